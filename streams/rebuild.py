"""The database anew from Kafka: emptied, read from the first event on, and compared row by row with the tables that it replaces.

Workers may go on meanwhile: progress belongs to the worker that moves it, and each skips the events that others have written.
Rejected events stay rejected, though the network's clock or places have changed since; rejections themselves are kept.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

from psycopg import Cursor

from config.kafka import partitions as partitions_of
from rotation.kafka.clients import Client, consumer, gap_fetcher, message_of
from rotation.kafka.message import Message
from rotation.network import Network
from rotation.store import progress, retention
from rotation.store.engine import connect
from rotation.store.topic_identity import Guard
from streams.apply import Batch, Topics, Writer

KEPT = "replaced"  # schema of the tables that are replaced, until the next rebuild
DERIVED = (
    "movements",
    "hold_facts",
    "transfer_facts",
    "crate_facts",
    "machine_facts",
    "copies",
    "holds",
    "crates",
    "machines",
    "titles",
    "shelvings",
)
NOT_COMPARED = ("feeds", "places_heard")  # the time of a source's last event is set anew; a place's within ten minutes
ANEW = "UPDATE progress SET next_offset = 0, gap_offsets = 0, counted_from = 0, events = 0 WHERE topic = %s"
POLL_MS = 1_000
BATCH_MESSAGES = 100

Tell = Callable[[int, int], None]
"""Hears how many messages of how many are read."""


class NotKept(RuntimeError):
    """Kafka no longer holds the beginning, so a rebuild would lose it."""


class TableDifference(NamedTuple):
    """Rows of a table that only the old or only the new state has."""

    table: str
    only_before: int
    only_after: int


def rebuild(url: str, client: Client, network: Network, tell: Tell, topics: Topics = Topics()) -> list[TableDifference]:
    """Replace the derived tables by the events in Kafka and return where the result differs; nothing should.

    Raises
    ------
    NotKept
        When the topic's beginning is gone; the tables are left as they are.
    OtherKafka
        When the topic is another than was read: before anything is changed, or at the end, should it be made anew meanwhile.
    """
    ends = _ends(client, topics.events)
    with closing(Guard(client, url, topics.events)) as guard:
        guard.look()
        with connect(url) as connection, connection.cursor() as cursor:
            _empty(cursor, topics.events)
            connection.commit()
        _replay(url, client, network, topics, ends, tell)
        guard.look()
    with connect(url) as connection, connection.cursor() as cursor:
        _pass_by_holes(cursor, topics.events, ends)
        retention.forget_again(cursor, KEPT)
        return list(_differences(cursor))


def _ends(client: Client, topic: str) -> dict[int, int]:
    reader = consumer(client)
    try:
        partitions = partitions_of(reader, topic)
        begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    finally:
        reader.close()
    gone = {at.partition: begin for at, begin in begins.items() if begin}
    if gone:
        raise NotKept(f"{topic} no longer holds its beginning: {gone}; restore a backup instead")
    return {at.partition: end for at, end in ends.items()}


def _pass_by_holes(cursor: Cursor[Any], topic: str, ends: dict[int, int]) -> None:
    """Let progress stand at the end of the topic as read: behind the last event there may be markers of transactions."""
    for partition, position in progress.positions(cursor, topic).items():
        if position < ends.get(partition, 0):
            progress.pass_by(cursor, topic, partition, position, ends[partition])


def _empty(cursor: Cursor[Any], topic: str) -> None:
    cursor.execute(f"DROP SCHEMA IF EXISTS {KEPT} CASCADE")
    cursor.execute(f"CREATE SCHEMA {KEPT}")
    cursor.execute("LOCK TABLE progress")
    for table in DERIVED:
        cursor.execute(f"CREATE TABLE {KEPT}.{table} AS TABLE {table}")
    cursor.execute(f"CREATE TABLE {KEPT}.transfers AS SELECT transfer_id, status, changed_at FROM transfers")
    cursor.execute(f"TRUNCATE {', '.join((*DERIVED, *NOT_COMPARED))}")
    cursor.execute("DELETE FROM transfers WHERE reason ->> 'code' = 'system'")
    cursor.execute("DELETE FROM counts WHERE name IN ('applied', 'late', 'duplicates')")
    cursor.execute(ANEW, (topic,))


def _replay(url: str, client: Client, network: Network, topics: Topics, ends: dict[int, int], tell: Tell) -> None:
    writer = Writer(url, network, gap_fetcher(client, topics.events), topics)
    total, done = sum(ends.values()), 0
    try:
        writer.positions(list(ends))
        for batch in _prepared(writer, _messages(client, topics.events, ends)):
            writer.write(batch)
            done += len(batch.messages)
            tell(done, total)
    finally:
        writer.close()


def _prepared(writer: Writer, batches: Iterable[list[Message]]) -> Iterator[Batch]:
    """Yield batches, each parsed while its predecessor is written."""
    with ThreadPoolExecutor(1) as ahead:
        waiting = None
        for messages in batches:
            parsing = ahead.submit(writer.prepare, messages)
            if waiting:
                yield waiting.result()
            waiting = parsing
        if waiting:
            yield waiting.result()


def _messages(client: Client, topic: str, ends: dict[int, int]) -> Iterator[list[Message]]:
    reader = consumer(client, max_poll_records=BATCH_MESSAGES)
    try:
        partitions = partitions_of(reader, topic)
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        while any(reader.position(at) < ends[at.partition] for at in partitions):
            for at, records in reader.poll(POLL_MS).items():
                yield [message_of(record) for record in records if record.offset < ends[at.partition]]
    finally:
        reader.close()


def _differences(cursor: Cursor[Any]) -> Iterator[TableDifference]:
    for table in (*DERIVED, "transfers"):
        columns = "transfer_id, status, changed_at" if table == "transfers" else "*"
        before, after = f"SELECT {columns} FROM {KEPT}.{table}", f"SELECT {columns} FROM {table}"
        if _sum(cursor, before) == _sum(cursor, after):
            continue
        counted = cursor.execute(
            f"SELECT (SELECT count(*) FROM ({before} EXCEPT ALL {after}) b),"
            f" (SELECT count(*) FROM ({after} EXCEPT ALL {before}) a)"
        ).fetchone()
        if counted and any(counted):
            yield TableDifference(table, *counted)


def _sum(cursor: Cursor[Any], rows: str) -> Any:
    """Return how many rows there are, and the sum of their 64-bit hashes, in any order: a comparison in a tenth of the time."""
    return cursor.execute(f"SELECT count(*), sum(hash_record_extended(r, 0)::numeric) FROM ({rows}) r").fetchone()
