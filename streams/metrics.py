"""A worker's figures for Prometheus: its work is counted as it goes, and the state of things is looked up at each scrape.

So figures cost a batch two clock readings, and a lookup that fails leaves out its own figures and nothing else.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import Cursor

from rotation.kafka.clients import Client, consumer
from rotation.kafka.message import Message
from rotation.store.engine import Reconnecting
from streams.apply import Batch, Writer, Written

log = structlog.get_logger()

LOOKUP_MS = 2_000  # Prometheus gives a scrape 10 s: two lookups that fail must leave time for the other figures
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
SECONDS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2.5, 5, 15, 60, 300)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
EVENTS = Counter("rotation_worker_events", "Events written, by what became of them.", ("outcome",), registry=REGISTRY)
BATCH_MESSAGES = Histogram("rotation_worker_batch_messages", "Messages a batch.", registry=REGISTRY, buckets=SIZES)
BATCH_EVENTS = Histogram("rotation_worker_batch_events", "Events a batch.", registry=REGISTRY, buckets=SIZES)
PARSE = Histogram("rotation_worker_parse_seconds", "To parse a batch.", registry=REGISTRY, buckets=SECONDS)
WRITE = Histogram(
    "rotation_worker_write_seconds",
    "A batch's transaction, with every wait for a database that is away.",
    registry=REGISTRY,
    buckets=SECONDS,
)
DELAY = Histogram(
    "rotation_worker_delay_seconds",
    "From the sending of a batch's oldest message, by Kafka's timestamp, to its commit.",
    registry=REGISTRY,
    buckets=SECONDS,
)
FAILED = Counter("rotation_worker_lookups_failed", "Lookups that failed.", ("of",), registry=REGISTRY)

for _outcome in Written._fields:
    EVENTS.labels(_outcome)  # there from the first scrape on, so that rates start from zero
for _of in ("kafka", "postgresql"):
    FAILED.labels(_of)


class MeasuredWriter(Writer):
    """Writes batches as Writer does, and counts their outcomes."""

    def prepare(self, messages: Sequence[Message]) -> Batch:
        """Parse messages, and note the time."""
        with PARSE.time():
            return super().prepare(messages)

    def write(self, batch: Batch) -> Written:
        """Write a batch, and note sizes, times and outcomes; a batch that was written before counts for nothing."""
        begin = time.monotonic()
        written = super().write(batch)
        if sum(written):
            _note(batch.messages, written, time.monotonic() - begin)
        return written


def _note(messages: Sequence[Message], written: Written, seconds: float) -> None:
    WRITE.observe(seconds)
    BATCH_MESSAGES.observe(len(messages))
    BATCH_EVENTS.observe(sum(written))
    for outcome, count in written._asdict().items():
        EVENTS.labels(outcome).inc(count)
    sent = [message.sent_at_s for message in messages if message.sent_at_s]
    if sent:
        DELAY.observe(max(time.time() - min(sent), 0.0))


def serve(host: str, port: int, looked_up: "LookedUp") -> None:
    """Answer Prometheus at `host` and `port`, on a thread of its own, with this process's figures and where things stand."""
    try:
        start_http_server(port, host, REGISTRY)
    except OSError as error:
        raise SystemExit(
            f"the figures' port {port} cannot be opened ({error.strerror}): set ROTATION_METRICS_PORT to another"
        ) from error
    REGISTRY.register(looked_up)
    log.info("figures", address=f"http://{host}:{port}/metrics")


class LookedUp(Collector):
    """Looks up how far this worker's partitions are behind, how many events were rejected, and how large the tables are."""

    def __init__(self, database_url: str, client: Client, topic: str, assigned: Callable[[], Collection[int]]) -> None:
        """Connect when someone asks; `assigned` are the partitions of `topic` that are this worker's."""
        self._client, self._topic, self._assigned = client, topic, assigned
        self._database = Reconnecting(database_url, _impatient)
        self._kafka: KafkaConsumer | None = None
        self._one_at_a_time = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that can be looked up."""
        with self._one_at_a_time:
            yield from self._looked_up("postgresql", self._rejected)
            yield from self._looked_up("postgresql", self._tables)
            yield from self._looked_up("kafka", self._lag)

    def _looked_up(self, of: str, look: Callable[[], list[Metric]]) -> list[Metric]:
        try:
            return look()
        except Exception as error:  # a part that is away must not take the other figures with it
            log.warning("no figures", of=of, error=f"{type(error).__name__}: {error}".strip())
            FAILED.labels(of).inc()
            self._forget_kafka()
            return []

    def _lag(self) -> list[Metric]:
        found = GaugeMetricFamily("rotation_worker_lag_messages", "Kafka's, not yet written.", labels=["partition"])
        positions = self._positions()
        for at, end in self._ends().items():
            found.add_metric([str(at.partition)], max(end - positions.get(at.partition, 0), 0))
        return [found]

    def _positions(self) -> dict[int, int]:
        with self._database.cursor() as cursor:
            return dict(
                cursor.execute(
                    "SELECT partition, next_offset FROM progress WHERE topic = %s", (self._topic,)
                ).fetchall()
            )

    def _ends(self) -> dict[TopicPartition, int]:
        mine = [TopicPartition(self._topic, partition) for partition in sorted(self._assigned())]
        if not mine:
            return {}
        if self._kafka is None:
            self._kafka = consumer(self._client, bootstrap_timeout_ms=LOOKUP_MS)
        return dict(self._kafka.end_offsets(mine, timeout_ms=LOOKUP_MS))

    def _forget_kafka(self) -> None:
        if self._kafka:
            self._kafka.close(autocommit=False)
        self._kafka = None

    def _rejected(self) -> list[Metric]:
        found = CounterMetricFamily("rotation_rejected", "Events rejected, by reason.", labels=["reason"])
        with self._database.cursor() as cursor:
            for reason, count in cursor.execute("SELECT reason, count(*) FROM rejections GROUP BY reason"):
                found.add_metric([reason], count)
        return [found]

    def _tables(self) -> list[Metric]:
        size = GaugeMetricFamily("rotation_table_bytes", "On disk, with indexes.", labels=["table"])
        rows = GaugeMetricFamily("rotation_table_rows", "PostgreSQL's own estimate.", labels=["table"])
        with self._database.cursor() as cursor:
            for table, size_bytes, estimated in cursor.execute(TABLES):
                size.add_metric([table], size_bytes)
                rows.add_metric([table], estimated)
        return [size, rows]


TABLES = """
SELECT relname, pg_total_relation_size(oid), greatest(reltuples, 0) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""


def _impatient(cursor: Cursor[Any]) -> None:
    cursor.execute(f"SET statement_timeout = {LOOKUP_MS}")
