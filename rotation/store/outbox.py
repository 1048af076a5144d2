"""Messages for Kafka are written to the database first, in the transaction that they report: neither exists without the other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg import Cursor

from rotation.kafka.topics import CIRCULATION_EVENTS, STOCK_ALERTS, STOCK_TARGETS, TRANSFER_ORDERS

CHANNEL = "outbox"  # wakes the relay
DELIVERIES = "deliveries"  # wakes the process that delivers orders out
WRITE_BACKS = "write_backs"  # wakes those that write back to library systems
PAGE_CHANNEL = "rotation"  # wakes the page: small JSON, kind and ids
ENDED = "ended"  # a notice that sessions, tokens or users are no more: their live streams end
PAGE_IDS = 100  # ids in one notice at most: PostgreSQL takes 8,000 bytes; more say "many", and the page asks again


Messages = Iterable[tuple[str | None, Mapping[str, Any] | Sequence[Any]]]
"""Keys and JSON values."""


def put(cursor: Cursor[Any], topic: str, messages: Messages) -> None:
    """Put (key, JSON value) messages for a topic into the outbox and wake the relay at commit."""
    rows = [(key, orjson.dumps(value)) for key, value in messages]
    if rows:
        keys, values = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(
            "INSERT INTO outbox (topic, key, value) SELECT %s, * FROM unnest(%s::text[], %s::bytea[])",
            (topic, keys, values),
        )
        wake(cursor, CHANNEL)


def put_events(cursor: Cursor[Any], messages: Messages) -> None:
    """Put batches of facts into the outbox."""
    put(cursor, CIRCULATION_EVENTS.name, messages)


def put_orders(cursor: Cursor[Any], messages: Messages) -> None:
    """Put orders of transfers into the outbox."""
    put(cursor, TRANSFER_ORDERS.name, messages)


def put_targets(cursor: Cursor[Any], messages: Messages) -> None:
    """Put the places where lent copies are wanted into the outbox."""
    put(cursor, STOCK_TARGETS.name, messages)


def put_alerts(cursor: Cursor[Any], messages: Messages) -> None:
    """Put alerts that opened, changed or closed into the outbox."""
    put(cursor, STOCK_ALERTS.name, messages)


def put_back(cursor: Cursor[Any], ids: Sequence[int] | None) -> int:
    """Put dead letters (None: all) back under their own ids, so that they count once; return how many."""
    columns = "id, topic, key, value, created_at"
    cursor.execute(
        "WITH back AS (DELETE FROM dead_letters WHERE %(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s)"
        f" RETURNING {columns}) INSERT INTO outbox ({columns}) SELECT {columns} FROM back",
        {"ids": None if ids is None else list(ids)},
    )
    moved = cursor.rowcount
    wake(cursor, CHANNEL)
    return moved


def wake(cursor: Cursor[Any], channel: str) -> None:
    """Wake at commit the process that waits on a channel."""
    cursor.execute("SELECT pg_notify(%s, '')", (channel,))


def notify(cursor: Cursor[Any], kind: str, ids: Iterable[str] = (), **more: Any) -> None:
    """Notify the pages at commit that something of `kind` changed."""
    some = sorted(ids)
    notice = {"kind": kind, "ids": some[:PAGE_IDS], **({"many": len(some)} if len(some) > PAGE_IDS else {}), **more}
    cursor.execute("SELECT pg_notify(%s, %s)", (PAGE_CHANNEL, orjson.dumps(notice).decode()))
