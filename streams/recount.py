"""What stands in Kafka, counted anew from the topic itself: the check that nothing was lost on the way to the database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition
from psycopg import Cursor

from config.kafka import partitions as partitions_of
from rotation.store import progress
from streams.topics import CIRCULATION_EVENTS

POLL_MS = 500


def end_offsets(client: Mapping[str, Any], topic: str = CIRCULATION_EVENTS.name) -> dict[int, int]:
    """Return each partition's next offset."""
    consumer = KafkaConsumer(**client)
    try:
        partitions = partitions_of(consumer, topic)
        return {one.partition: offset for one, offset in consumer.end_offsets(partitions).items()}
    finally:
        consumer.close()


def events_in_kafka(client: Mapping[str, Any], until: Mapping[int, int], topic: str = CIRCULATION_EVENTS.name) -> int:
    """Read `topic` from its beginning to the offsets `until` and count its events; what is no batch counts as one."""
    consumer = KafkaConsumer(**client, enable_auto_commit=False, max_poll_records=5000)
    try:
        partitions = partitions_of(consumer, topic)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        return _counted(consumer, partitions, until)
    finally:
        consumer.close()


def rewind(client: Mapping[str, Any], cursor: Cursor[Any], topic: str = CIRCULATION_EVENTS.name) -> list[int]:
    """Let the partitions that end before what was read of them be read from their beginning; return them."""
    ends = end_offsets(client, topic)
    stored = progress.read(cursor, topic, list(ends))
    short = [partition for partition, end in ends.items() if end < stored[partition]]
    progress.rewind(cursor, topic, short, datetime.now(UTC))
    return short


def _counted(consumer: KafkaConsumer, partitions: list[TopicPartition], until: Mapping[int, int]) -> int:
    events = 0
    while any(consumer.position(one) < until.get(one.partition, 0) for one in partitions):
        for one, records in consumer.poll(POLL_MS).items():
            events += sum(_events(record.value) for record in records if record.offset < until.get(one.partition, 0))
    return events


def _events(message: bytes | None) -> int:
    try:
        batch = orjson.loads(message or b"")
    except orjson.JSONDecodeError:
        return 1
    return max(len(batch), 1) if isinstance(batch, list) else 1
