"""Events that could not be applied: kept with their bytes and the reason, listed, and sent again once they are mended."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor
from psycopg.rows import class_row

from rotation.events import MAX_BATCH_BYTES, Rejection
from rotation.store import facts, outbox

REJECTED_TOPIC = "circulation.rejected"
KEPT_BYTES = MAX_BATCH_BYTES  # of an original: what is larger could never be sent again as it is


class Rejected(NamedTuple):
    """One rejection as it stands in the database."""

    id: int
    topic: str
    partition: int
    offset: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a rejection
    reason: str
    field: str
    message: str
    original: bytes
    rejected_at: datetime
    replayed_at: datetime | None


class StillWrong(ValueError):
    """Mended bytes that would be rejected again, each with its reason."""

    def __init__(self, rejections: Sequence[Rejection]) -> None:
        super().__init__("; ".join(f"event {r.index}: {r.reason}: {r.field}: {r.message}" for r in rejections))
        self.rejections = rejections


Position = tuple[int, int]  # partition, offset


def add(
    cursor: Cursor[Any], topic: str, rejected: Sequence[tuple[int, int, Rejection]], tell_topic: str = REJECTED_TOPIC
) -> int:
    """Record (partition, offset, rejection) of `topic`, each once, and tell of the new ones; return how many were new."""
    if not rejected:
        return 0
    rows = [(p, o, r.index, r.reason, r.field, r.message, r.original[:KEPT_BYTES]) for p, o, r in rejected]
    columns = [list(column) for column in zip(*rows, strict=True)]
    new = cursor.execute(INSERT, (topic, *columns)).fetchall()
    outbox.put(cursor, tell_topic, (_told(topic, *row) for row in new))
    if new:
        outbox.notify(cursor, "rejected", count=len(new))
    return len(new)


INSERT = """
INSERT INTO rejections (topic, partition, "offset", index, reason, field, message, original)
SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::text[], %s::text[], %s::text[], %s::bytea[]) ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING RETURNING partition, "offset", index, reason, field, message
"""


def _told(
    topic: str, partition: int, offset: int, index: int, reason: str, field: str, message: str
) -> tuple[str, dict[str, Any]]:
    at = {"topic": topic, "partition": partition, "offset": offset, "index": index}
    return f"{topic}/{partition}/{offset}/{index}", {**at, "reason": reason, "field": field, "message": message}


def add_at_edge(cursor: Cursor[Any], edge_name: str, rejection: Rejection, position: Position | None = None) -> None:
    """Record and count what never reached Kafka; `edge_name` is "http", "file:NAME" and the like.

    `position` is where it stands there, once and for all; without one it gets a number of its own each time.
    """
    if position is None:
        (number,) = cursor.execute("SELECT nextval(pg_get_serial_sequence('rejections', 'id'))").fetchone() or (0,)
        position = (0, number)
    facts.add_counts(cursor, {"rejected": add(cursor, edge_name, [(*position, rejection)])})


def listed(
    cursor: Cursor[Any], *, limit: int = 100, before: int | None = None, waiting: bool = False
) -> list[Rejected]:
    """Return the newest rejections, below id `before` where it is given; with `waiting` only those not replayed."""
    with cursor.connection.cursor(row_factory=class_row(Rejected)) as rows:
        return rows.execute(
            'SELECT id, topic, partition, "offset", index, reason, field, message, original, rejected_at, replayed_at'
            " FROM rejections WHERE (%s::bigint IS NULL OR id < %s) AND NOT (%s AND replayed_at IS NOT NULL)"
            " ORDER BY id DESC LIMIT %s",
            (before, before, waiting, limit),
        ).fetchall()


def refused_before(cursor: Cursor[Any], topic: str, begins: Sequence[Position]) -> dict[Position, set[int]]:
    """Return the indexes rejected at each (partition, offset) from `begins` on: what a replay must refuse again."""
    found: dict[Position, set[int]] = {}
    for partition, begin in begins:
        rows = cursor.execute(
            'SELECT "offset", index FROM rejections WHERE topic = %s AND partition = %s AND "offset" >= %s',
            (topic, partition, begin),
        )
        for offset, index in rows.fetchall():
            found.setdefault((partition, offset), set()).add(index)
    return found


def original(cursor: Cursor[Any], rejection_id: int) -> bytes:
    """Return the bytes of a rejected event, held against others who replay it; raises LookupError where there is none."""
    known = cursor.execute("SELECT original FROM rejections WHERE id = %s FOR UPDATE", (rejection_id,)).fetchone()
    if known is None:
        raise LookupError(f"no rejection {rejection_id}")
    return bytes(known[0])


def mark_replayed(cursor: Cursor[Any], rejection_id: int) -> None:
    """Tell that a rejection was sent again; raises LookupError where there is none."""
    if not cursor.execute("UPDATE rejections SET replayed_at = now() WHERE id = %s", (rejection_id,)).rowcount:
        raise LookupError(f"no rejection {rejection_id}")
