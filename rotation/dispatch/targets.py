"""Targets of orders besides Kafka, and deliveries on their way to them.

Each order is written for each target in the transaction that orders; `rotation deliver` sends it.
"""

import base64
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from psycopg import Cursor
from sqlalchemy import Connection, func, insert, text, update

from rotation.facts.lifecycle import TargetKind
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import deliveries, order_targets, target_secrets

KEY_PREFIX = "whsec_"  # before the base64, as Standard Webhooks write it
SECRET_BYTES = 32  # they ask for 24 to 64


class BadAddress(ValueError):
    """No address that a target of this kind can have."""


@dataclass(frozen=True, slots=True)
class OrderTarget:
    """A target with its deliveries: those that wait, those given up, and the last answer."""

    target_id: str
    kind: str
    address: str
    added_by: str
    waiting: int
    dead: int
    delivered: int
    oldest: datetime | None
    answer: str


_WRITE = """
INSERT INTO deliveries (target_id, body) SELECT t.target_id, b.body FROM unnest(%s::bytea[]) WITH ORDINALITY b(body, n)
CROSS JOIN (SELECT target_id FROM order_targets WHERE ended_at IS NULL) t ORDER BY b.n, t.target_id"""


def write(cursor: Cursor[Any], messages: Iterable[Mapping[str, Any]]) -> None:
    """Write orders for every target, in the caller's transaction."""
    bodies = [orjson.dumps(message) for message in messages]
    if bodies and cursor.execute(_WRITE, (bodies,)).rowcount:
        outbox.wake(cursor, outbox.DELIVERIES)


def add(connection: Connection, kind: TargetKind, address: str, who: str) -> str:
    """Add a target; return the secret of its webhooks, empty for a folder.

    Raises
    ------
    BadAddress
        When it is no URL of http or https, or no folder that is there.
    """
    _check(kind, address)
    target = secrets.token_hex(4)
    connection.execute(insert(order_targets), {"target_id": target, "kind": kind, "address": address, "added_by": who})
    if kind is not TargetKind.WEBHOOK:
        return ""
    secret = KEY_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    connection.execute(insert(target_secrets), {"target_id": target, "secret": secret})
    return secret


def _check(kind: TargetKind, address: str) -> None:
    parts = urlsplit(address)
    if kind is TargetKind.WEBHOOK and not (parts.scheme in ("http", "https") and parts.hostname):
        raise BadAddress(address)
    if kind is not TargetKind.WEBHOOK and not (Path(address).is_absolute() and Path(address).is_dir()):
        raise BadAddress(address)


def end(connection: Connection, target: str) -> bool:
    """End a target: no order is written for it any more, and nothing that waits is sent; return whether it stood."""
    mine = (order_targets.c.target_id == target) & order_targets.c.ended_at.is_(None)
    return bool(connection.execute(update(order_targets).where(mine).values(ended_at=func.now())).rowcount)


def send_again(connection: Connection, target: str) -> int:
    """Let all that was given up for a target be tried again at once; return how many."""
    mine = (deliveries.c.target_id == target) & deliveries.c.dead_at.is_not(None)
    again = connection.execute(update(deliveries).where(mine).values(dead_at=None, tries=0, next_at=func.now()))
    outbox.wake(driver(connection).cursor(), outbox.DELIVERIES)
    return again.rowcount


_STANDING = text("""
    SELECT t.target_id, t.kind, t.address, t.added_by,
        count(d.*) FILTER (WHERE d.done_at IS NULL AND d.dead_at IS NULL) AS waiting,
        count(d.*) FILTER (WHERE d.dead_at IS NOT NULL) AS dead, count(d.*) FILTER (WHERE d.done_at IS NOT NULL) AS delivered,
        min(d.written_at) FILTER (WHERE d.done_at IS NULL AND d.dead_at IS NULL) AS oldest,
        coalesce((SELECT answer FROM deliveries l WHERE l.target_id = t.target_id AND l.tries > 0 AND l.done_at IS NULL
            ORDER BY l.delivery_id LIMIT 1), '') AS answer
    FROM order_targets t LEFT JOIN deliveries d USING (target_id) WHERE t.ended_at IS NULL
    GROUP BY t.target_id ORDER BY t.added_at""")


def standing(connection: Connection) -> list[OrderTarget]:
    """Return the targets that have not ended, and how their deliveries go."""
    return [OrderTarget(*row) for row in connection.execute(_STANDING)]
