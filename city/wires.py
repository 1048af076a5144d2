"""The city's connections: Kafka for facts and orders, HTTP for the question where a returned copy goes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import structlog
from kafka import KafkaConsumer, KafkaProducer

from city.live import HOME, Ask, PlacementAnswer
from config.kafka import partitions
from rotation.kafka.clients import COMMITTED
from rotation.kafka.topics import TRANSFER_ORDERS

log = structlog.get_logger()

BATCH_BYTES = 1_000_000  # history goes in large requests
LINGER_MS = 20
FLUSH_S = 60.0
GROUP = "city"
COMMIT_MS = 5000  # orders read again after a restart do nothing
# Placement answers within 50 ms; later than this the library system's own rule applies.
ASK_S = 1.0
# After no answer placement is left alone for this time.
PAUSE_S = 5.0

POLL_MS = 10  # with none at all nothing is ever fetched

Orders = Callable[[], list[Mapping[str, Any]]]


class Sender:
    """Sends messages; an error of the broker is raised by the next `send` or `flush`."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer
        self._failed: list[BaseException] = []

    def send(self, topic: str, message: bytes, partition: int | None = None) -> None:
        """Send a message without waiting for the broker, to any partition unless one is given."""
        self._check()
        self._producer.send(topic, message, partition=partition).add_errback(self._failed.append)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self._producer.partitions_for(topic))

    def flush(self) -> None:
        """Wait until every replica has everything."""
        self._producer.flush(timeout=FLUSH_S)
        self._check()

    def _check(self) -> None:
        if self._failed:
            raise self._failed[0]


@contextmanager
def producing(kafka: Mapping[str, Any], linger_ms: int = LINGER_MS) -> Iterator[Sender]:
    """Yield a sender; all messages have arrived when the block ends, or its first error is raised."""
    options = {"acks": "all", "enable_idempotence": True, "linger_ms": linger_ms, "batch_size": BATCH_BYTES}
    producer = KafkaProducer(**kafka, **options)
    try:
        sender = Sender(producer)
        yield sender
        sender.flush()
    finally:
        producer.close(timeout=1)


@contextmanager
def ordering(kafka: Mapping[str, Any], group: str = GROUP) -> Iterator[Orders]:
    """Yield a function that returns new orders; messages that are not JSON are skipped and logged."""
    options = {"group_id": group, "auto_offset_reset": "earliest", "auto_commit_interval_ms": COMMIT_MS}
    consumer = KafkaConsumer(**kafka, **COMMITTED, **options)
    consumer.assign(partitions(consumer, TRANSFER_ORDERS.name))  # one city: no sharing

    def come() -> list[Mapping[str, Any]]:
        messages = [message for some in consumer.poll(timeout_ms=POLL_MS).values() for message in some]
        return [order for message in messages if (order := _order(message.value))]

    try:
        yield come
    finally:
        consumer.close(autocommit=False)  # messages read but not committed come again


def _order(value: bytes | None) -> Mapping[str, Any] | None:
    try:
        order = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        log.warning("order_unreadable", bytes=len(value or b""))
        return None
    return order if isinstance(order, dict) else None


def asking(url: str, token: str | None = None) -> Ask:
    """Return a function that asks placement at `url` (`POST /placement`); without an answer, copies go home for a while."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = httpx.Client(base_url=url, timeout=ASK_S, headers=headers, trust_env=False)
    silent_until = 0.0

    def ask(copy: str, place: str) -> PlacementAnswer:
        nonlocal silent_until
        if time.monotonic() < silent_until:
            return HOME
        try:
            return _answered(client.post("/placement", json={"copy": copy, "place": place}), copy, place)
        except httpx.HTTPError as error:
            silent_until = time.monotonic() + PAUSE_S
            log.warning("placement_silent", error=type(error).__name__)
            return HOME

    return ask


def _answered(response: httpx.Response, copy: str, place: str) -> PlacementAnswer:
    """Read an answer; a rejection, or a nonsensical answer, sends the copy home and is logged."""
    try:
        if response.is_success:
            found = response.json()
            return PlacementAnswer(found["to"], found.get("transfer"))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    log.warning("placement_refused", status=response.status_code, copy=copy, place=place)
    return HOME
