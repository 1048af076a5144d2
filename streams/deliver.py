"""Orders to targets besides Kafka: webhooks as Standard Webhooks say, and files that are there whole or not at all.

A webhook carries `webhook-id`, `webhook-timestamp` and `webhook-signature`; its id stays the same at every try, so whoever gets
it twice knows. A delivery without a 2xx answer is tried later and later, then given up until a person sends it again. A file
gets its deliveries before it is written: killed at any moment, the same file is written again, and no order stands in two.
"""

import base64
import csv
import hashlib
import hmac
import io
import os
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import psycopg
import structlog

from rotation.dispatch.targets import KEY_PREFIX
from rotation.facts.lifecycle import TargetKind
from rotation.facts.parts import Deed
from rotation.store.engine import connect
from rotation.store.heartbeats import Turned, unheard
from rotation.store.locks import AdvisoryLock
from rotation.store.outbox import DELIVERIES

log = structlog.get_logger()

# Seconds after each try, as Standard Webhooks suggest: a day and a half in all, then somebody must look.
RETRIES_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
ANSWER_S = 15.0  # a receiver takes a message and works on it later
ANSWER_LENGTH = 200  # kept of an answer, for the page
LOOK_S = 1.0
PAUSE_S = 2.0  # after the database was away
AT_ONCE = 500
TAKEN = range(200, 300)  # a redirection is no receipt: whoever moved must change the address
GONE = 410  # the receiver wants no more
KEPT_DAYS = 30  # of what was delivered
FORGET_EVERY = 3_600  # rounds: about an hour
COLUMNS = (
    "type",
    "transfer",
    "copy",
    "title",
    "from",
    "to",
    "run",
    "van",
    "hub",
    "day",
    "at",
    "departs_at",
    "returns_at",
)


class Delivery(NamedTuple):
    """An order for a target."""

    delivery_id: int
    body: bytes
    tries: int


class DeliveryTarget(NamedTuple):
    """A target that deliveries wait for."""

    target_id: str
    kind: TargetKind
    address: str
    secret: str


def run(url: str, stop: threading.Event, turn: Turned = unheard) -> None:
    """Deliver until `stop`, waiting for the database where it is away."""
    while not stop.is_set():
        try:
            with connect(url, autocommit=True) as connection, httpx.Client(timeout=ANSWER_S) as client:
                connection.execute(f"LISTEN {DELIVERIES}")
                for round_number in count():
                    if stop.is_set():
                        break
                    if round_number % FORGET_EVERY == 0:
                        connection.execute(_FORGET, (KEPT_DAYS,))
                    turn()
                    if delivered := deliver(connection, client, turn):
                        turn(deed=Deed.SENT, about=delivered)
                    next(connection.notifies(timeout=LOOK_S, stop_after=1), None)
        except psycopg.Error as error:
            log.warning("waiting", error=str(error).strip())
            turn(deed=Deed.WAITS)
            stop.wait(PAUSE_S)


_TARGETS = """
SELECT t.target_id, t.kind, t.address, coalesce(s.secret, '') FROM order_targets t LEFT JOIN target_secrets s USING (target_id)
WHERE t.ended_at IS NULL ORDER BY t.target_id"""
_DUE = """
SELECT delivery_id, body, tries FROM deliveries WHERE target_id = %s AND done_at IS NULL AND dead_at IS NULL AND next_at <= now()
AND file IS NOT DISTINCT FROM %s ORDER BY delivery_id LIMIT %s"""
_FORGET = "DELETE FROM deliveries WHERE done_at < now() - %s * interval '1 day'"
_DONE = "UPDATE deliveries SET done_at = now(), tries = tries + 1, answer = %s WHERE delivery_id = ANY(%s)"


def deliver(connection: psycopg.Connection[Any], client: httpx.Client, turn: Turned = unheard) -> int:
    """Try all that is due; return how many were delivered. A single process delivers at a time."""
    lock = connection.execute("SELECT pg_try_advisory_lock(%s)", (AdvisoryLock.DELIVERIES,)).fetchone()
    if not lock or not lock[0]:
        return 0
    targets = [DeliveryTarget(one[0], TargetKind(one[1]), *one[2:]) for one in connection.execute(_TARGETS).fetchall()]
    return sum(_webhooks(connection, client, one, turn) if one.secret else _file(connection, one) for one in targets)


# --- Webhooks -------------------------------------------------------------------------------------------------------------


def signature(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """Return the signature of a message, version 1 of Standard Webhooks: HMAC-SHA256 of id, timestamp and body."""
    key = base64.b64decode(secret.removeprefix(KEY_PREFIX))
    signed = hmac.new(key, f"{message_id}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _webhooks(connection: psycopg.Connection[Any], client: httpx.Client, target: DeliveryTarget, turn: Turned) -> int:
    """Send the due deliveries to a webhook; the first that fails ends the round, so that a receiver in trouble is not stormed."""
    sent = 0
    for one in (Delivery(*row) for row in connection.execute(_DUE, (target.target_id, None, AT_ONCE)).fetchall()):
        turn()
        status, answer, wait_s = _post(connection, client, target, one)
        if status not in TAKEN:
            _failed(connection, one, status, answer, wait_s)
            return sent
        connection.execute(_DONE, (answer, [one.delivery_id]))
        sent += 1
    return sent


def _post(
    connection: psycopg.Connection[Any], client: httpx.Client, target: DeliveryTarget, one: Delivery
) -> tuple[int, str, float]:
    """Return the answer's status (0: none), its words, and after how long to come back at the earliest."""
    (now_s,) = connection.execute("SELECT extract(epoch FROM now())::bigint").fetchone() or (0,)
    message = f"order_{one.delivery_id}"
    headers = {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(target.secret, message, now_s, one.body),
    }
    try:
        answer = client.post(target.address, content=one.body, headers=headers)
    except httpx.HTTPError as error:
        return 0, f"{type(error).__name__}: {error}"[:ANSWER_LENGTH], 0
    wait = answer.headers.get("retry-after", "")
    return (
        answer.status_code,
        f"{answer.status_code} {answer.text}"[:ANSWER_LENGTH],
        float(wait) if wait.isdigit() else 0,
    )


def _failed(connection: psycopg.Connection[Any], one: Delivery, status: int, answer: str, wait_s: float) -> None:
    """Let a delivery be tried again later, or give it up; others may overtake it."""
    if one.tries >= len(RETRIES_S) or status == GONE:
        connection.execute(
            "UPDATE deliveries SET dead_at = now(), tries = tries + 1, answer = %s WHERE delivery_id = %s",
            (answer, one.delivery_id),
        )
        return
    later = "UPDATE deliveries SET tries = tries + 1, answer = %s, next_at = now() + %s * interval '1 s' WHERE delivery_id = %s"
    connection.execute(later, (answer, max(RETRIES_S[one.tries], wait_s), one.delivery_id))


# --- Files ----------------------------------------------------------------------------------------------------------------


def _file(connection: psycopg.Connection[Any], target: DeliveryTarget) -> int:
    """Write a folder's waiting deliveries into a file; a file begun before is written first."""
    name = _begun(connection, target)
    rows = [Delivery(*row) for row in connection.execute(_DUE, (target.target_id, name, AT_ONCE)).fetchall()]
    if name is None or not rows:
        return 0
    try:
        _put(Path(target.address) / name, _written(target.kind, [one.body for one in rows]))
    except OSError as error:
        for one in rows:
            _failed(connection, one, 0, str(error), 0)
        return 0
    connection.execute(_DONE, (name, [one.delivery_id for one in rows]))
    return len(rows)


_NAMED = (
    "SELECT min(file) FROM deliveries WHERE target_id = %s AND done_at IS NULL AND dead_at IS NULL AND file IS NOT NULL"
)
_NAME = """
UPDATE deliveries SET file = %s WHERE delivery_id = ANY(%s)"""


def _begun(connection: psycopg.Connection[Any], target: DeliveryTarget) -> str | None:
    """Return the name of the file to write: a batch begun before, or a new batch of all that waits; None without any."""
    begun = connection.execute(_NAMED, (target.target_id,)).fetchone()
    if begun and begun[0]:
        return str(begun[0])
    rows = connection.execute(_DUE, (target.target_id, None, AT_ONCE)).fetchall()
    if not rows:
        return None
    name = f"orders-{rows[0][0]}-{rows[-1][0]}.{'csv' if target.kind is TargetKind.CSV else 'jsonl'}"
    connection.execute(_NAME, (name, [row[0] for row in rows]))
    return name


def _written(kind: TargetKind, bodies: Sequence[bytes]) -> bytes:
    if kind is TargetKind.JSON_LINES:
        return b"".join(body + b"\n" for body in bodies)
    lines = io.StringIO(newline="")
    table = csv.DictWriter(lines, [*COLUMNS, "order"], extrasaction="ignore", lineterminator="\r\n")
    table.writeheader()
    for body in bodies:
        order: Mapping[str, Any] = orjson.loads(body)
        table.writerow({**order, "order": body.decode()})
    return lines.getvalue().encode()


def _put(path: Path, content: bytes) -> None:
    """Put a file where whoever reads the folder finds it whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
