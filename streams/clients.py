"""Connections to Kafka: the same broker, TLS and SASL for Faust, kafka-python and their tests."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import faust
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.rows import Message

GAP_MESSAGES = 500  # messages fetched at once where a worker reads from Kafka itself what Faust passed by
FETCH_TIMEOUT_MS = 5_000  # a broker that holds nothing at an offset says so at once; one that is away does not answer
LARGEST_REQUEST_BYTES = 1_048_576  # the broker's own default; events beyond MAX_BATCH_BYTES never come as far


Client = Mapping[str, Any]
"""kafka-python's connection arguments, as `config.kafka.client` gives them; Faust's are made of them."""


def brokers(client: Client) -> list[str]:
    """Return the brokers' addresses as Faust wants them."""
    return [f"kafka://{address}" for address in client["bootstrap_servers"]]


def credentials(client: Client) -> Any:
    """Return Faust's credentials, None where the broker asks for none."""
    context = ssl.create_default_context(cafile=client["ssl_cafile"]) if "ssl_cafile" in client else None
    if "sasl_plain_username" in client:
        return faust.SASLCredentials(
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            mechanism=client["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None


def producer(client: Client, **more: Any) -> KafkaProducer:
    """Return an idempotent producer: every broker in sync has a message before it counts as sent, once and in order."""
    return KafkaProducer(**client, acks="all", enable_idempotence=True, max_request_size=LARGEST_REQUEST_BYTES, **more)


def consumer(client: Client, **more: Any) -> KafkaConsumer:
    """Return a consumer of no group, which reads what it is told to."""
    return KafkaConsumer(**client, enable_auto_commit=False, auto_offset_reset="earliest", **more)


def gap_fetcher(client: Client, topic: str) -> Callable[[int, int, int], list[Message]]:
    """Return a function that reads a partition's messages from one offset until before another; none where Kafka holds none.

    It raises TimeoutError where Kafka does not answer: no answer is no confirmation.
    """

    def fetch(partition: int, begin: int, end: int) -> list[Message]:
        reader = consumer(client, max_poll_records=GAP_MESSAGES)
        try:
            at = TopicPartition(topic, partition)
            reader.assign([at])
            earliest = reader.beginning_offsets([at])[at]
            if earliest >= end:
                return []
            reader.seek(at, max(begin, earliest))
            return _until(reader, at, max(begin, earliest), end)
        finally:
            reader.close()

    return fetch


def _until(reader: KafkaConsumer, at: TopicPartition, begin: int, end: int) -> list[Message]:
    for _ in range(10):
        records = reader.poll(timeout_ms=FETCH_TIMEOUT_MS).get(at, [])
        found = [message_of(record) for record in records if begin <= record.offset < end]
        if found or records or reader.position(at) >= end:
            return found
    raise TimeoutError(f"{at.topic}/{at.partition}: no answer from offset {reader.position(at)} on")


def shorter_than(client: Client, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
    """Return the ends of those partitions that end before the database's position: this is not the topic that was read."""
    reader = consumer(client)
    try:
        ends = reader.end_offsets([TopicPartition(topic, partition) for partition in positions])
        return {at.partition: end for at, end in ends.items() if end < positions[at.partition]}
    finally:
        reader.close()


def message_of(record: Any) -> Message:
    """Return a record of any client as a message."""
    return Message(record.partition, record.offset, record.value or b"", tuple(record.headers or ()))
