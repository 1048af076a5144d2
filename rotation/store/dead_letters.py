"""Messages of the outbox that Kafka refuses for good, set aside so that those behind them go on, until a person decides."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor

COLUMNS = "id, topic, key, value, created_at"  # as in the outbox


class DeadLetter(NamedTuple):
    """A message that was set aside: its id in the outbox, how long it is, and Kafka's words."""

    id: int
    topic: str
    key: str | None
    bytes: int
    reason: str
    created_at: datetime
    set_aside_at: datetime


def set_aside(cursor: Cursor[Any], message: int, reason: str) -> None:
    """Take a message out of the outbox and keep it with the reason why Kafka refused it."""
    cursor.execute(
        f"WITH gone AS (DELETE FROM outbox WHERE id = %s RETURNING {COLUMNS})"
        f" INSERT INTO dead_letters ({COLUMNS}, reason) SELECT {COLUMNS}, %s FROM gone",
        (message, reason),
    )


def dead_letters(cursor: Cursor[Any]) -> list[DeadLetter]:
    """Return the messages set aside, the oldest first."""
    query = "SELECT id, topic, key, length(value), reason, created_at, set_aside_at FROM dead_letters ORDER BY id"
    return [DeadLetter(*row) for row in cursor.execute(query)]


def drop(cursor: Cursor[Any], ids: Sequence[int]) -> int:
    """Delete messages for good; return how many."""
    return cursor.execute("DELETE FROM dead_letters WHERE id = ANY(%s)", (list(ids),)).rowcount
