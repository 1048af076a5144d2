"""The Faust app: one consumer group that keeps the database in step with the events and watches what they do to the stock."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust

from rotation.network import Network
from streams.apply import Stopped, Topics, Writer
from streams.clients import Client, brokers, credentials, gap_fetcher, shorter_than
from streams.rows import Message
from streams.transport import Transport

log = logging.getLogger(__name__)

BATCH_MESSAGES = 200  # some 20,000 events at 100 a message, what a transaction takes in half a second at full load
BATCH_WAIT_S = 0.02  # a lone event waits no longer than this before it is written
IN_FLIGHT = 2  # one batch is parsed while the one before is written
SESSION_TIMEOUT_S = 8.0  # at Faust's 60 s half of the restarts after kill -9 took over a minute; at 6 to 10 s none
HEARTBEAT_S = 2.0
BUFFER_MESSAGES = 2048  # beyond it a partition's fetching pauses; large enough that the fetcher's pause of 1 s never comes


class RotationApp(faust.App):
    """Faust's app, which knows where the database stands on the topic that it keeps in step with."""

    sought_topic: str = ""
    writer: Writer
    client: Client

    async def positions(self, partitions: list[int]) -> Mapping[int, int]:
        """Return the next offset that the database wants of each partition."""
        return await asyncio.get_running_loop().run_in_executor(None, self._positions, partitions)

    def _positions(self, partitions: list[int]) -> Mapping[int, int]:
        stored = self.writer.positions(partitions)
        for partition, end in shorter_than(self.client, self.sought_topic, stored).items():
            log.error(
                "partition %d of %s ends at %d, but the database has read to %d: this Kafka is not the one it was read from;"
                " restore it, or run `rotation rebuild`", partition, self.sought_topic, end, stored[partition],
            )  # fmt: skip
        return stored


def create(
    client: Client, database_url: str, network: Network, data_dir: Path, *, topics: Topics = Topics(), name: str = "rotation"  # noqa: B008
) -> RotationApp:
    """Return the app with `apply` attached; `name` is the consumer group."""
    app = RotationApp(
        name,
        broker=brokers(client),
        broker_credentials=credentials(client),
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=30.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 << 20,
        stream_buffer_maxsize=BUFFER_MESSAGES,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        store="memory://",
        datadir=str(data_dir / name),
        web_enabled=False,
        autodiscover=False,
        logging_config=None,
        loghandlers=[],
    )
    app.transport = Transport(app.conf.broker, app, app.loop)
    app.sought_topic, app.client = topics.events, client
    app.writer = Writer(database_url, network, gap_fetcher(client, topics.events), topics)
    _attach_apply(app, topics)
    return app


def _attach_apply(app: RotationApp, topics: Topics) -> None:
    hand = _Hand(app.writer)

    @app.agent(app.topic(topics.events, value_type=bytes, value_serializer="raw", key_serializer="raw"), name="apply")
    async def apply(stream: Any) -> None:
        async for events in stream.take_events(BATCH_MESSAGES, within=BATCH_WAIT_S):
            await hand.over([_message(event) for event in events])

    app.on_before_shutdown.connect(hand.stop, weak=False)


class _Hand:
    """Hands batches from Faust to the writer: parsed on one thread, written on another, in their order."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._parsing, self._writing = ThreadPoolExecutor(1, "parse"), ThreadPoolExecutor(1, "write")
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def over(self, messages: list[Message]) -> None:
        """Return as soon as there is room for the next batch."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        self._parsing.submit(self._parse, messages, lambda: loop.call_soon_threadsafe(self._free.release))

    def _parse(self, messages: list[Message], done: Any) -> None:
        try:
            batch = self._writer.prepare(messages)
        except Stopped:
            return
        self._writing.submit(self._write, batch, done)

    def _write(self, batch: Any, done: Any) -> None:
        try:
            self._writer.write(batch)
        except Stopped:
            return
        done()

    async def stop(self, *_: Any, **__: Any) -> None:
        """Let the batch in hand end, and begin no other."""
        self._writer.stopping.set()
        await asyncio.get_running_loop().run_in_executor(None, self._shut)

    def _shut(self) -> None:
        self._parsing.shutdown(wait=True)
        self._writing.shutdown(wait=True)
        self._writer.close()


def _message(event: Any) -> Message:
    record: Any = event.message
    headers = record.headers or ()
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    return Message(record.partition, record.offset, record.value or b"", pairs)
