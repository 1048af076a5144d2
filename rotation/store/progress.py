"""How far each partition of the events' topic is in the database: a number that moves only in the transaction that writes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from psycopg import Cursor
from psycopg.types.json import Jsonb

from rotation.kafka.message import CountedPartition


class StaleWorker(Exception):
    """Another worker has gone further on a partition: it has moved away from us, or we were asleep."""


class OffsetRange(NamedTuple):
    """Offsets `begin` until before `end` of a partition; `gap` of them, at the beginning, Kafka holds no more."""

    partition: int
    begin: int
    end: int
    gap: int = 0


def read(cursor: Cursor[Any], topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Return the next offset to be written of each partition; an unknown partition begins at 0."""
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


def positions(cursor: Cursor[Any], topic: str) -> dict[int, int]:
    """Return the next offset to be written of each partition that was heard of."""
    cursor.execute("SELECT partition, next_offset FROM progress WHERE topic = %s", (topic,))
    return dict(cursor.fetchall())


class TopicRead(NamedTuple):
    """The topic that progress counts, as it was when it was first read; ids are empty where the broker gives none."""

    cluster_id: str
    topic_id: str
    partitions: int


def topic_read(cursor: Cursor[Any], topic: str, present: TopicRead) -> TopicRead:
    """Return the topic that progress counts; `present` from now on where none is remembered."""
    cursor.execute(
        "INSERT INTO topics_read (topic, cluster_id, topic_id, partitions) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (topic) DO UPDATE SET topic_id = excluded.topic_id WHERE topics_read.topic_id = ''",
        (topic, *present),
    )
    cursor.execute("SELECT cluster_id, topic_id, partitions FROM topics_read WHERE topic = %s", (topic,))
    return TopicRead(*(cursor.fetchone() or present))


def counted(cursor: Cursor[Any], topic: str) -> dict[int, CountedPartition]:
    """Return the counted events of each partition."""
    rows = cursor.execute(
        "SELECT partition, counted_from, next_offset, events FROM progress WHERE topic = %s", (topic,)
    )
    return {partition: CountedPartition(*rest) for partition, *rest in rows}


def verified(cursor: Cursor[Any], topic: str, counted: Mapping[int, CountedPartition]) -> None:
    """Count on from where these partitions were counted against Kafka and found whole."""
    for partition, (begin, end, events) in counted.items():
        cursor.execute(
            "UPDATE progress SET counted_from = %s, events = events - %s"
            " WHERE topic = %s AND partition = %s AND counted_from = %s AND next_offset >= %s",
            (end, events, topic, partition, begin, end),
        )


def note_findings(cursor: Cursor[Any], topic: str, findings: Sequence[Mapping[str, str]]) -> bool:
    """Keep how the topic differs from the topic that was read; return whether that is news."""
    cursor.execute(
        "UPDATE topics_read SET findings = %s WHERE topic = %s AND findings <> %s",
        (Jsonb(list(findings)), topic, Jsonb(list(findings))),
    )
    return cursor.rowcount > 0


def rewind(cursor: Cursor[Any], topic: str, begins: Mapping[int, int], at: datetime) -> None:
    """Let partitions be read from where they begin: facts are known again, and new events may stand where others stood.

    Rejections keep their rows, under a name that says until when the topic was another.
    """
    cursor.execute(
        "UPDATE progress p SET next_offset = v.first, counted_from = v.first, events = 0"
        " FROM unnest(%s::int[], %s::bigint[]) v(part, first)"
        " WHERE p.topic = %s AND p.partition = v.part",
        (list(begins), list(begins.values()), topic),
    )
    cursor.execute(
        "UPDATE rejections SET topic = %s WHERE topic = %s AND partition = ANY(%s)",
        (f"{topic} until {at:%Y-%m-%d %H:%M:%S}", topic, list(begins)),
    )


def pass_by(cursor: Cursor[Any], topic: str, partition: int, begin: int, end: int) -> bool:
    """Go on behind offsets that hold no event, and count them as a gap; False where the partition stands elsewhere by now."""
    cursor.execute(
        "UPDATE progress SET next_offset = %s, gap_offsets = gap_offsets + %s"
        " WHERE topic = %s AND partition = %s AND next_offset = %s",
        (end, end - begin, topic, partition, begin),
    )
    return cursor.rowcount > 0


def forget_topic(cursor: Cursor[Any], topic: str) -> None:
    """Let progress count the topic as it is now."""
    cursor.execute("DELETE FROM topics_read WHERE topic = %s", (topic,))


def advance(
    cursor: Cursor[Any],
    topic: str,
    spans: Sequence[OffsetRange],
    middle_at: datetime | None,
    events: Mapping[int, int] = MappingProxyType({}),
) -> None:
    """Move each partition from its span's beginning to its end, and hold it until the transaction ends.

    `middle_at` is when the middle event happened, by which `is_history` judges most of them. `events` counts, by partition, the
    events whose outcome this transaction writes.

    Raises
    ------
    StaleWorker
        When a partition does not stand at its span's beginning; the transaction must be rolled back.
    """
    partitions, begins, ends, gaps = [list(column) for column in zip(*sorted(spans), strict=True)]
    counted = [events.get(partition, 0) for partition in partitions]
    cursor.execute(
        "UPDATE progress p SET next_offset = v.last, gap_offsets = p.gap_offsets + v.gap, events = p.events + v.counted,"
        " middle_at = %s, written_at = now()"
        " FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) v(part, first, last, gap, counted)"
        " WHERE p.topic = %s AND p.partition = v.part AND p.next_offset = v.first",
        (middle_at, partitions, begins, ends, gaps, counted, topic),
    )
    if cursor.rowcount != len(spans):
        raise StaleWorker(f"{topic}: {cursor.rowcount} of {len(spans)} partitions stand where this worker believed")


def is_history(cursor: Cursor[Any], now: datetime) -> bool:
    """Whether some partition carries events of days ago: its copies are not where they will be a moment later.

    `now` is the network's time. A partition may be weeks behind another, so that each is asked.
    """
    cursor.execute(
        "SELECT coalesce(bool_or(middle_at < %s - interval '1 day'), false) FROM progress"
        " WHERE written_at > now() - interval '5 seconds'",
        (now,),
    )
    (found,) = cursor.fetchone() or (False,)
    return bool(found)
