"""What must reach Kafka stands in the database first, in the transaction that it tells of: neither can be without the other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg import Cursor

CHANNEL = "outbox"  # wakes the relay
PAGE_CHANNEL = "rotation"  # wakes the page: small JSON, kind and ids
PAGE_IDS = 100  # ids in one notice at most: PostgreSQL takes 8,000 bytes; more say "many", and the page asks again


def put(
    cursor: Cursor[Any], topic: str, messages: Iterable[tuple[str | None, Mapping[str, Any] | Sequence[Any]]]
) -> None:
    """Put (key, JSON value) messages for a topic into the outbox and wake the relay at commit."""
    rows = [(key, orjson.dumps(value)) for key, value in messages]
    if rows:
        keys, values = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(
            "INSERT INTO outbox (topic, key, value) SELECT %s, * FROM unnest(%s::text[], %s::bytea[])",
            (topic, keys, values),
        )
        cursor.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def notify(cursor: Cursor[Any], kind: str, ids: Iterable[str] = (), **more: Any) -> None:
    """Tell the pages at commit that something of `kind` changed."""
    some = sorted(ids)
    notice = {"kind": kind, "ids": some[:PAGE_IDS], **({"many": len(some)} if len(some) > PAGE_IDS else {}), **more}
    cursor.execute("SELECT pg_notify(%s, %s)", (PAGE_CHANNEL, orjson.dumps(notice).decode()))
