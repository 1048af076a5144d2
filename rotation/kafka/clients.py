"""Connections to Kafka: the same broker, TLS and SASL for Faust, kafka-python and their tests."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from rotation.kafka.message import Message

GAP_MESSAGES = 500  # messages fetched at once where a worker reads from Kafka itself what Faust passed by
FETCH_TIMEOUT_S = 50.0  # a broker that holds nothing at an offset says so at once; one that is away does not answer
FETCH_LOOK_MS = 500  # a reader that passed nothing but markers has a new position and no message
COMMITTED: Mapping[str, Any] = {"isolation_level": "read_committed"}  # of every reader: an aborted message is no fact
NEVER_PASS = (
    InvalidRecordError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
METADATA_MS = (
    10_000  # a topic or partition made meanwhile is read within 30 s; the libraries' own 5 minutes are too long
)
LARGEST_REQUEST_BYTES = 1_048_576  # the broker's own default; events beyond MAX_BATCH_BYTES never come as far


Client = Mapping[str, Any]
"""kafka-python's connection arguments, as `config.kafka.client` gives them; Faust's are made of them."""


def producer(client: Client, **more: Any) -> KafkaProducer:
    """Return an idempotent producer: every broker in sync has a message before it counts as sent, once and in order."""
    return KafkaProducer(**client, acks="all", enable_idempotence=True, max_request_size=LARGEST_REQUEST_BYTES, **more)


def consumer(client: Client, **more: Any) -> KafkaConsumer:
    """Return a consumer that reads from the beginning and commits nothing by itself; of transactions only committed messages."""
    own = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "metadata_max_age_ms": METADATA_MS}
    return KafkaConsumer(**{**own, **client, **COMMITTED, **more})


class Deleted(RuntimeError):
    """Messages that nobody has read are no longer there: nothing behind them may be written before a person says so."""


FetchGap = Callable[[int, int, int], list[Message]]
"""Read a partition's messages from one offset until before another, as many as come at once; none: Kafka holds none of them."""


def gap_fetcher(client: Client, topic: str) -> FetchGap:
    """Return a function that reads a partition's messages from an offset until before another; none if Kafka holds none.

    A transaction leaves an offset without a message behind it: messages read ahead answer the next calls, so that not
    every transaction costs a look.

    It raises TimeoutError where Kafka does not answer: no answer is no confirmation, and Deleted where messages are gone.
    """
    ahead: dict[int, HeldOffsets] = {}

    def fetch(partition: int, begin: int, end: int) -> list[Message]:
        if partition in ahead and ahead[partition].holds_nothing(begin, end):
            return []
        at = TopicPartition(topic, partition)
        reader = consumer(client, max_poll_records=GAP_MESSAGES)
        try:
            reader.assign([at])
            _all_there(reader, at, begin)
            reader.seek(at, begin)
            messages, read_to = _read(reader, at, end)
        finally:
            reader.close()
        ahead[partition] = HeldOffsets(begin, read_to, [message.offset for message in messages])
        return [message for message in messages if begin <= message.offset < end]

    return fetch


class HeldOffsets(NamedTuple):
    """The offsets of all messages that a partition holds from `begin` until before `end`, in order."""

    begin: int
    end: int
    offsets: list[int]

    def holds_nothing(self, begin: int, end: int) -> bool:
        """Whether these offsets were seen, and hold no message."""
        inside = bisect_left(self.offsets, begin) != bisect_left(self.offsets, end)
        return self.begin <= begin and end <= self.end and not inside


def _all_there(reader: KafkaConsumer, at: TopicPartition, begin: int) -> None:
    earliest = reader.beginning_offsets([at])[at]
    if earliest > begin:
        raise Deleted(
            f"{at.topic}/{at.partition}: offsets {begin} to {earliest - 1} were deleted before they were read"
        )


def _read(reader: KafkaConsumer, at: TopicPartition, end: int) -> tuple[list[Message], int]:
    """Return the first messages that come, and how far that is; none where the reader comes to `end` without any."""
    until = time.monotonic() + FETCH_TIMEOUT_S
    while time.monotonic() < until:
        found = [message_of(record) for record in reader.poll(timeout_ms=FETCH_LOOK_MS).get(at, [])]
        position = reader.position(at)
        if found or position >= end:
            return found, position
    raise TimeoutError(f"{at.topic}/{at.partition}: no answer from offset {reader.position(at)} on")


def message_of(record: Any) -> Message:
    """Return a record of any client as a message."""
    return Message(record.partition, record.offset, record.value or b"", tuple(record.headers or ()))


class RefusedByKafka(RuntimeError):
    """The broker refuses a record, and would again: it is too large, dated too far ahead, or not allowed."""


class MendingProducer:
    """A producer that is replaced once a record has failed: an idempotent producer of kafka-python refuses all after it."""

    def __init__(self, client: Client, **more: Any) -> None:
        """Connect at the first message."""
        self._client, self._more = client, more
        self._producer: KafkaProducer | None = None
        self._one_at_a_time = threading.Lock()

    def send(self, topic: str, value: bytes, within_s: float, **record: Any) -> None:
        """Send a message (`record`: its key and headers) and wait until every broker in sync has it: see `send_all`."""
        self.send_all(topic, [value], within_s, **record)

    def send_all(self, topic: str, values: Iterable[bytes], within_s: float, **record: Any) -> None:
        """Send messages in their order, and then wait until every broker in sync has them all.

        Raises
        ------
        RefusedByKafka
            When a message can never pass; the words are the broker's.
        KafkaError
            When Kafka does not answer in time: the same may be sent again.
        """
        sender, end = self._open(), time.monotonic() + within_s
        try:
            for sent in [sender.send(topic, value, **record) for value in values]:
                sent.get(timeout=max(end - time.monotonic(), 0))
        except KafkaError as error:
            self._drop(sender)
            if isinstance(error, NEVER_PASS):
                raise RefusedByKafka(f"{type(error).__name__}: {error}") from error
            raise

    def close(self, timeout: float) -> None:
        """Let messages under way arrive."""
        if self._producer:
            self._producer.close(timeout=timeout)

    def _open(self) -> KafkaProducer:
        with self._one_at_a_time:
            if self._producer is None:
                self._producer = producer(self._client, **self._more)
            return self._producer

    def _drop(self, failed: KafkaProducer) -> None:
        with self._one_at_a_time:
            if self._producer is failed:
                self._producer = None
        threading.Thread(target=failed.close, kwargs={"timeout": 0}, daemon=True).start()  # others may wait for it
