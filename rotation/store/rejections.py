"""Events that could not be applied: kept with their bytes and the reason, and sent again once they are mended."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from psycopg import Cursor

from rotation.facts.events import MAX_BATCH_BYTES, Rejection, RejectionReason
from rotation.store import facts, outbox

KEPT_BYTES = MAX_BATCH_BYTES  # of an original: a larger event could never be sent again as it is


class StillWrong(ValueError):
    """Mended bytes that would be rejected again, each with its reason."""

    def __init__(self, rejections: Sequence[Rejection]) -> None:
        super().__init__("; ".join(f"event {r.index}: {r.reason}: {r.field}: {r.message}" for r in rejections))
        self.rejections = rejections


DUE_AT_ONCE = 1_000  # looked at in a minute; the rest follows in the next
REFUSED_AT_EDGE = "refused_at_edge"  # its name among the counts
Position = tuple[int, int]  # partition, offset


def add(cursor: Cursor[Any], topic: str, rejected: Sequence[tuple[int, int, Rejection]], tell_topic: str) -> int:
    """Record (partition, offset, rejection) of `topic`, each once, and publish the new rejections; return how many were new."""
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


def add_at_edge(
    cursor: Cursor[Any],
    edge_name: str,
    refused: Sequence[Rejection],
    tell_topic: str,
    positions: Sequence[Position] | None = None,
) -> None:
    """Record rejections of events that never reached Kafka; `edge_name` is "http", "file:NAME" and the like.

    `positions` is where each stands there, once and for all; without, each gets a number of its own each time. They are
    counted apart from the worker's rejections: its row of `counts` is never held by a source's events.
    """
    at = positions or _new_positions(cursor, len(refused))
    rows = [(*position, one) for position, one in zip(at, refused, strict=True)]
    facts.add_counts(cursor, {REFUSED_AT_EDGE: add(cursor, edge_name, rows, tell_topic)})


def _new_positions(cursor: Cursor[Any], count: int) -> list[Position]:
    query = "SELECT nextval(pg_get_serial_sequence('rejections', 'id')) FROM generate_series(1, %s)"
    return [(0, number) for (number,) in cursor.execute(query, (count,))]


def rejected_before(cursor: Cursor[Any], topic: str, begins: Sequence[Position]) -> dict[Position, set[int]]:
    """Return the indexes rejected at each (partition, offset) from `begins` on: a replay must reject these again."""
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
    """Record that a rejection was sent again; raises LookupError where there is none."""
    if not cursor.execute("UPDATE rejections SET replayed_at = now() WHERE id = %s", (rejection_id,)).rowcount:
        raise LookupError(f"no rejection {rejection_id}")


class ReplayChoice(NamedTuple):
    """Which rejections to send again; a field left out chooses all. Times are those of the rejection."""

    reason: str = ""
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None


def waiting(cursor: Cursor[Any], chosen: ReplayChoice) -> list[int]:
    """Return the rejections that were not sent again yet, the oldest first."""
    rows = cursor.execute(
        "SELECT id, original FROM rejections WHERE replayed_at IS NULL AND (%(reason)s = '' OR reason = %(reason)s)"
        " AND (%(since)s::timestamptz IS NULL OR rejected_at >= %(since)s)"
        " AND (%(until)s::timestamptz IS NULL OR rejected_at < %(until)s) ORDER BY id",
        chosen._asdict(),
    )
    return [number for number, kept in rows if not chosen.source or _event(kept).get("source") == chosen.source]


def send_due(cursor: Cursor[Any], topic: str, latest: datetime) -> int:
    """Send again the events refused as in the future that are so no longer: a source's clock was ahead, or ours was behind.

    `latest` is the latest time that is let in now. Return how many.
    """
    rows = cursor.execute(
        "SELECT id, original FROM rejections WHERE reason = %s AND replayed_at IS NULL ORDER BY id LIMIT %s"
        " FOR UPDATE SKIP LOCKED",
        (RejectionReason.IN_THE_FUTURE, DUE_AT_ONCE),
    ).fetchall()
    due = {number: event for number, kept in rows if _is_due(event := _event(kept), latest)}
    outbox.put(cursor, topic, ((None, event) for event in due.values()))
    cursor.execute("UPDATE rejections SET replayed_at = now() WHERE id = ANY(%s)", (list(due),))
    return len(due)


def _is_due(event: Mapping[str, Any], latest: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(event.get("time"))) <= latest
    except (ValueError, TypeError):
        return False


def _event(kept: bytes) -> dict[str, Any]:
    """Return the event that was kept; empty where the bytes are none."""
    with suppress(orjson.JSONDecodeError):
        event = orjson.loads(bytes(kept))
        if isinstance(event, dict):
            return event
    return {}
