"""Events in Kafka, counted again from the topic itself: the check that nothing was lost on the way to the database."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from config.kafka import partitions as partitions_of
from rotation.facts.events import count
from rotation.kafka import clients
from rotation.kafka.clients import message_of
from rotation.kafka.message import CountedPartition
from rotation.kafka.topics import CIRCULATION_EVENTS

POLL_MS = 500
MESSAGES = 5_000  # counted at once


def end_offsets(client: Mapping[str, Any], topic: str = CIRCULATION_EVENTS.name) -> dict[int, int]:
    """Return each partition's next offset, as far as no transaction is open."""
    consumer = clients.consumer(client)
    try:
        partitions = partitions_of(consumer, topic)
        return {one.partition: offset for one, offset in consumer.end_offsets(partitions).items()}
    finally:
        consumer.close()


def missing_events(
    client: Mapping[str, Any], counted: Mapping[int, CountedPartition], topic: str = CIRCULATION_EVENTS.name
) -> int:
    """Return how many of the events that Kafka holds are not among the `counted`, partition by partition; never negative."""
    consumer = clients.consumer(client, max_poll_records=MESSAGES)
    try:
        at = [one for one in partitions_of(consumer, topic) if one.partition in counted]
        consumer.assign(at)
        for one in at:
            consumer.seek(one, counted[one.partition].begin)
        found = _counted(consumer, at, {number: one.end for number, one in counted.items()})
    finally:
        consumer.close()
    return sum(max(found[number] - one.events, 0) for number, one in counted.items())


def _counted(consumer: KafkaConsumer, partitions: list[TopicPartition], until: Mapping[int, int]) -> Counter[int]:
    events = Counter[int]()
    while any(consumer.position(one) < until[one.partition] for one in partitions):
        for one, records in consumer.poll(POLL_MS).items():
            messages = [message_of(record) for record in records if record.offset < until[one.partition]]
            events[one.partition] += sum(count(message.value, message.headers) for message in messages)
    return events
