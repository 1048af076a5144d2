"""The Faust app: a consumer group that keeps the database in step with the events and watches their effect on the stock."""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import faust

from rotation.facts.parts import Deed
from rotation.kafka.clients import METADATA_MS, Client, gap_fetcher
from rotation.kafka.faust_clients import brokers, credentials
from rotation.kafka.message import Message
from rotation.kafka.topics import WORKERS_GROUP
from rotation.network import Network
from rotation.store.heartbeats import Turned, unheard
from rotation.store.topic_identity import Guard, OtherKafka
from streams.apply import Batch, Stopped, Topics, Writer
from streams.metrics import MeasuredWriter
from streams.transport import Transport

log = logging.getLogger(__name__)

BATCH_BYTES = 1_500_000  # some 5,000 events of 300 bytes: larger transactions gained nothing, and latency grew
MESSAGE_BYTES = 100  # of a message beside its value
WAITING_MESSAGES = 2_000  # beyond it Faust's own buffer fills, and fetching pauses
ROOM_LOOK_S = 0.002
STOP_LOOK_S = 0.2
JOIN_S = 2.0  # a batch in hand is written in well under a second; a database that does not answer is not waited for
SESSION_TIMEOUT_S = 8.0  # at Faust's 60 s half of the restarts after kill -9 took over a minute; at 6 to 10 s none
HEARTBEAT_S = 2.0
LOOK_S = 10.0  # another topic under the same name is seen within 30 s, rebalances included
HOLES_S = 2.0  # who waits until all is applied waits no longer for the marker of a transaction
POSITION_S = 1.0  # of a partition that was given away meanwhile nobody answers
BUFFER_MESSAGES = (
    2048  # beyond it a partition's fetching pauses; large enough that the fetcher's pause of 1 s never comes
)

SETTINGS: Mapping[str, Any] = {
    "broker_session_timeout": SESSION_TIMEOUT_S,
    "broker_heartbeat_interval": HEARTBEAT_S,
    "broker_request_timeout": 30.0,
    "broker_max_poll_interval": 300.0,
    "consumer_auto_offset_reset": "earliest",
    "consumer_metadata_max_age_ms": METADATA_MS,
    "consumer_max_fetch_size": 4 << 20,
    "stream_buffer_maxsize": BUFFER_MESSAGES,
    "stream_wait_empty": False,
    "topic_disable_leader": True,
    "topic_allow_declare": False,
    "store": "memory://",
    "web_enabled": False,
    "autodiscover": False,
    "logging_config": None,
    "loghandlers": [],
}


class RotationApp(faust.App):
    """Faust's app, which knows where the database stands on the topic that it keeps in step with."""

    sought_topic: str = ""
    writer: Writer
    client: Client
    guard: Guard

    def on_init_dependencies(self) -> Any:
        """Go without Faust's own monitor: a fifth of a lone event's time, and our figures are the writer's."""
        found = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return found

    async def positions(self, partitions: list[int]) -> Mapping[int, int]:
        """Return the next offset that the database wants of each partition."""
        return await asyncio.get_running_loop().run_in_executor(None, self._positions, partitions)

    def _positions(self, partitions: list[int]) -> Mapping[int, int]:
        stored = self.writer.positions(partitions)
        self.guard.look_if_it_answers()
        return stored

    async def read_to(self) -> Mapping[int, int]:
        """Return how far the consumer is in each partition of the events that is this worker's."""
        mine = [tp for tp in self.consumer.assignment() if tp.topic == self.sought_topic]
        found = [(tp.partition, await asyncio.wait_for(self.consumer.position(tp), POSITION_S)) for tp in mine]
        return {partition: offset for partition, offset in found if offset is not None}


def create(
    client: Client,
    database_url: str,
    network: Network,
    data_dir: Path,
    *,
    topics: Topics = Topics(),
    name: str = WORKERS_GROUP,
    turn: Turned = unheard,
) -> RotationApp:
    """Return the app with `apply` attached; `name` is the consumer group, `turn` hears of each turn."""
    own = {"broker": brokers(client), "broker_credentials": credentials(client), "datadir": str(data_dir / name)}
    app = RotationApp(name, **own, **SETTINGS)
    app.transport = Transport(app.conf.broker, app, app.loop)
    app.sought_topic, app.client = topics.events, client
    app.writer = MeasuredWriter(database_url, network, gap_fetcher(client, topics.events), topics)
    app.guard = Guard(client, database_url, topics.events)
    _attach_apply(app, topics, turn)
    _attach_guard(app, turn)
    return app


def _attach_guard(app: RotationApp, turn: Turned) -> None:
    """Check from time to time that the topic is still the topic that was read, and pass by its end where that holds no event."""

    async def aside(step: Callable[..., None], *arguments: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, step, *arguments)
        except OtherKafka as other:
            await app.crash(other)

    @app.timer(LOOK_S, name="guard")  # type: ignore[untyped-decorator]
    async def guard() -> None:
        await aside(app.guard.look_if_it_answers)

    @app.timer(HOLES_S, name="holes")  # type: ignore[untyped-decorator]
    async def holes() -> None:
        turn("events")
        with suppress(TimeoutError):
            await aside(app.guard.pass_by_holes, await app.read_to())


def _attach_apply(app: RotationApp, topics: Topics, turn: Turned) -> None:
    hand = Hand(app.writer, turn)

    @app.agent(app.topic(topics.events, value_type=bytes, value_serializer="raw", key_serializer="raw"), name="apply")
    async def apply(stream: Any) -> None:
        hand.start()
        async for event in stream.events():
            if hand.full:
                await hand.room()
            for one in (event, *_waiting(stream)):
                hand.give(_message(one))

    app.on_before_shutdown.connect(hand.stop, weak=False)


class Hand:
    """Hands messages from Faust to the writer: while a batch is written the next is parsed, and newer messages gather.

    So a lone event is written at once, and under load batches grow by themselves until they keep up. Faust's own `take_events`
    waits out its time for every batch, and costs two waits a message.
    """

    def __init__(self, writer: Writer, turn: Turned = unheard) -> None:
        """Start no threads yet: the app may be made only to be looked at."""
        self._writer, self._turn = writer, turn
        self._waiting: deque[Message] = deque()
        self._some = threading.Event()
        self._parsed: queue.Queue[Batch] = queue.Queue(maxsize=1)
        self._threads: list[threading.Thread] = []

    @property
    def full(self) -> bool:
        """Whether the writer is far behind."""
        return len(self._waiting) >= WAITING_MESSAGES

    async def room(self) -> None:
        """Wait until half of the waiting messages are taken."""
        while len(self._waiting) > WAITING_MESSAGES // 2 and not self._writer.stopping.is_set():  # noqa: ASYNC110
            await asyncio.sleep(ROOM_LOOK_S)  # a look costs less than an event a message

    def give(self, message: Message) -> None:
        """Let a message wait for its batch."""
        self._waiting.append(message)
        self._some.set()

    def start(self) -> None:
        """Start the two threads, once."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=loop, name=name, daemon=True)
                for name, loop in (("parse", self._parse), ("write", self._write))
            ]
            for thread in self._threads:
                thread.start()

    async def stop(self, *_: Any, **__: Any) -> None:
        """Let the batch in hand end, and begin no other."""
        self._writer.stopping.set()
        self._some.set()
        await asyncio.get_running_loop().run_in_executor(None, self._shut)

    def _parse(self) -> None:
        with suppress(Stopped):
            while not self._writer.stopping.is_set():
                self._turn("parse", within_s=inf)
                self._some.wait()
                self._some.clear()
                while messages := self._taken():
                    self._turn("parse")
                    self._hand_over(self._writer.prepare(messages))

    def _taken(self) -> list[Message]:
        """Take the waiting messages, up to a batch's bytes."""
        taken, size = [], 0
        while self._waiting and size < BATCH_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].value) + MESSAGE_BYTES
        return taken

    def _hand_over(self, batch: Batch) -> None:
        while True:
            try:
                return self._parsed.put(batch, timeout=STOP_LOOK_S)
            except queue.Full:
                if self._writer.stopping.is_set():
                    raise Stopped from None

    def _write(self) -> None:
        with suppress(Stopped):
            while not self._writer.stopping.is_set():
                self._turn("write")
                with suppress(queue.Empty):
                    written = self._writer.write(self._parsed.get(timeout=STOP_LOOK_S))
                    self._turn("write", Deed.APPLIED, sum(written))

    def _shut(self) -> None:
        for thread in self._threads:
            thread.join(JOIN_S)
        self._writer.close()


def _waiting(stream: Any) -> Iterator[Any]:
    """Yield the events that wait behind the stream's last, acknowledged: Faust lets everybody else take a turn before each."""
    events = stream.channel.queue
    while not events.empty():
        event = events.get_nowait()
        event.ack()
        yield event


def _message(event: Any) -> Message:
    record: Any = event.message
    headers = record.headers or ()
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    return Message(record.partition, record.offset, record.value or b"", pairs, record.timestamp or 0.0)
