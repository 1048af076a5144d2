"""How far each partition of the events' topic is in the database: a number that moves only in the transaction that writes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor


class StaleWorker(Exception):
    """Another worker has gone further on one of the partitions: it has moved away from us, or we were asleep."""


class Span(NamedTuple):
    """Offsets `begin` until before `end` of a partition; `gap` of them, at the beginning, Kafka holds no more."""

    partition: int
    begin: int
    end: int
    gap: int = 0


def read(cursor: Cursor[Any], topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Return the next offset to be written of each partition; one never heard of begins at 0."""
    cursor.execute(
        "INSERT INTO progress (topic, partition, next_offset) SELECT %s, p, 0 FROM unnest(%s::int[]) p ORDER BY p"
        " ON CONFLICT DO NOTHING",
        (topic, sorted(partitions)),
    )
    cursor.execute(
        "SELECT partition, next_offset FROM progress WHERE topic = %s AND partition = ANY(%s)",
        (topic, list(partitions)),
    )
    return dict(cursor.fetchall())


def rewind(cursor: Cursor[Any], topic: str, partitions: Collection[int], at: datetime) -> None:
    """Let partitions be read from their beginning: facts are known again, and new ones may stand where others stood.

    What was rejected there keeps its row, under a name that says until when the topic was another.
    """
    cursor.execute(
        "UPDATE progress SET next_offset = 0 WHERE topic = %s AND partition = ANY(%s)", (topic, list(partitions))
    )
    cursor.execute(
        "UPDATE rejections SET topic = %s WHERE topic = %s AND partition = ANY(%s)",
        (f"{topic} until {at:%Y-%m-%d %H:%M:%S}", topic, list(partitions)),
    )


def advance(cursor: Cursor[Any], topic: str, spans: Sequence[Span], middle_at: datetime | None) -> None:
    """Move each partition from its span's beginning to its end, and hold it until the transaction ends.

    `middle_at` is when the middle one of the events happened, by which `is_history` knows what most of them are about.

    Raises
    ------
    StaleWorker
        When one of them does not stand at its span's beginning; the transaction must be rolled back.
    """
    partitions, begins, ends, gaps = [list(column) for column in zip(*sorted(spans), strict=True)]
    cursor.execute(
        "UPDATE progress p SET next_offset = v.last, gap_offsets = p.gap_offsets + v.gap, middle_at = %s, written_at = now()"
        " FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) v(part, first, last, gap)"
        " WHERE p.topic = %s AND p.partition = v.part AND p.next_offset = v.first",
        (middle_at, partitions, begins, ends, gaps, topic),
    )
    if cursor.rowcount != len(spans):
        raise StaleWorker(f"{topic}: {cursor.rowcount} of {len(spans)} partitions stand where this worker believed")


def is_history(cursor: Cursor[Any], now: datetime) -> bool:
    """Whether some partition is being told of days ago: its copies are not where they will be a moment later.

    `now` is the network's time. A partition may be weeks behind another, so that each is asked.
    """
    cursor.execute(
        "SELECT coalesce(bool_or(middle_at < %s - interval '1 day'), false) FROM progress"
        " WHERE written_at > now() - interval '5 seconds'",
        (now,),
    )
    (found,) = cursor.fetchone() or (False,)
    return bool(found)
