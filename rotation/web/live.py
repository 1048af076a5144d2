"""What changed, told to every open page: NOTIFY in a writer's transaction, one LISTEN a process, server-sent events to browsers.

An event names the kinds of things that changed and nothing else; the page asks again for the parts that show them. So a
thousand changes cost a browser no more than one, and a page that missed some is right after the next.

Writers tell with `rotation.store.outbox.notify(cursor, kind)`: `TOLD` has the kinds that they use.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from types import MappingProxyType

import psycopg
import structlog

from rotation.store.engine import conninfo
from rotation.store.outbox import PAGE_CHANNEL
from rotation.web.balance import Recent

RETRY_S = 1.0  # between trials to reach PostgreSQL again
PROBE_S = 5.0  # between looks whether Kafka answers, and PostgreSQL while nothing is told
PROBE_TIMEOUT_S = 3.0
HEARTBEAT_S = 15.0  # proxies close what is silent for a minute
STREAM_S = 900.0  # a stream ends and the browser opens the next: who may look is asked again

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What can change."""

    RUNS = "runs"  # plans, runs, stops, transfers and decisions
    LEVELS = "levels"
    ALERTS = "alerts"
    REJECTIONS = "rejections"
    FEEDS = "feeds"


ALL = frozenset(Kind)

GAP_S: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.ALERTS: 0.05,  # somebody waits for it; rare, by hysteresis
        Kind.RUNS: 0.5,
        Kind.REJECTIONS: 1.0,
        Kind.FEEDS: 1.0,
        Kind.LEVELS: 2.0,  # changes with every loan, and means nothing for seconds
    }
)


TOLD: Mapping[str, frozenset[Kind]] = MappingProxyType(
    {
        "stock": frozenset({Kind.LEVELS, Kind.FEEDS}),
        "alert": frozenset({Kind.ALERTS}),
        "rejected": frozenset({Kind.REJECTIONS, Kind.FEEDS}),
        "runs": frozenset({Kind.RUNS}),
    }
)


def kinds_of(payload: str) -> frozenset[Kind]:
    """Return what a notification is about; everything, where it is not known."""
    try:
        return TOLD[json.loads(payload)["kind"]]
    except (ValueError, KeyError, TypeError):
        return ALL


def touched_by(payload: str) -> list[str] | None:
    """Return the places whose stock a notice says has changed; None where it names not all of them, or is not known."""
    try:
        notice = json.loads(payload)
        if notice["kind"] != "stock":
            return [] if notice["kind"] in TOLD else None
        return None if "many" in notice else list(notice["ids"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class State:
    """What answers."""

    database: bool = True
    kafka: bool = True

    def event(self) -> str:
        """Return it as a server-sent event."""
        return _event("state", {"database": self.database, "kafka": self.kafka})


@dataclass(eq=False)
class Subscriber:
    """One open page: what it has not been told yet, and when it was told of each kind last."""

    pending: set[Kind] = field(default_factory=lambda: set(ALL))
    state: State | None = None
    told_at: dict[Kind, float] = field(default_factory=dict)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, kinds: Iterable[Kind]) -> None:
        """Note what changed; wakes the page only for what is new to it."""
        if new := set(kinds) - self.pending:
            self.pending |= new
            self.something.set()

    def tell_state(self, state: State) -> None:
        """Note what answers now."""
        self.state = state
        self.something.set()

    def take(self, now: float) -> list[Kind]:
        """Return the kinds whose time has come, and forget them."""
        due = sorted(kind for kind in self.pending if self._wait_s(kind, now) <= 0)
        self.pending.difference_update(due)
        self.told_at.update(dict.fromkeys(due, now))
        return due

    def wait_s(self, now: float) -> float:
        """Return the seconds until something is due; HEARTBEAT_S where nothing waits."""
        return min((self._wait_s(kind, now) for kind in self.pending), default=HEARTBEAT_S)

    def _wait_s(self, kind: Kind, now: float) -> float:
        return self.told_at.get(kind, float("-inf")) + GAP_S[kind] - now


class Live:
    """Listens once, tells many."""

    def __init__(self, database_url: str, kafka_bootstrap: str | None, stock: Recent | None = None) -> None:
        """`kafka_bootstrap` None: nothing is said of Kafka. `stock` is told which places to count again."""
        self._stock = stock or Recent()
        self._conninfo = conninfo(database_url)
        self._kafka = kafka_bootstrap
        self.subscribers: set[Subscriber] = set()
        self.state = State()
        self.notifications = 0

    async def run(self) -> None:
        """Listen until cancelled; a database that goes away is asked again every second."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen_for_ever())
            if self._kafka:
                tasks.create_task(self._watch_kafka(self._kafka))

    async def stream(self) -> AsyncIterator[str]:
        """Yield server-sent events for one page; everything is told at the start, so that a page that comes back is right."""
        subscriber, until = Subscriber(), monotonic() + STREAM_S
        subscriber.tell_state(self.state)
        self.subscribers.add(subscriber)
        try:
            while monotonic() < until:
                for event in _events(subscriber):
                    yield event
                if not await _something_is_due(subscriber):
                    yield ": still here\n\n"
        finally:
            self.subscribers.discard(subscriber)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                self._stock.hear(heard=False)
                self._tell_state(database=False)
                log.warning("database_unreachable", error=str(error).strip())
            await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=3
        ) as connection:
            await connection.execute(f"LISTEN {PAGE_CHANNEL}".encode())
            self._stock.hear(heard=True)
            self._tell_state(database=True)
            self._tell(ALL)  # what was told while nobody listened
            while True:
                async for notification in connection.notifies(timeout=PROBE_S):
                    self.notifications += 1
                    self._stock.touch(touched_by(notification.payload))
                    self._tell(kinds_of(notification.payload))
                await asyncio.wait_for(connection.execute(b"SELECT 1"), PROBE_TIMEOUT_S)  # a dead peer says nothing

    async def _watch_kafka(self, bootstrap: str) -> None:
        while True:
            self._tell_state(kafka=await _any_answers(bootstrap))
            await asyncio.sleep(PROBE_S)

    def _tell(self, kinds: frozenset[Kind]) -> None:
        for subscriber in self.subscribers:
            subscriber.tell(kinds)

    def _tell_state(self, *, database: bool | None = None, kafka: bool | None = None) -> None:
        state = State(
            self.state.database if database is None else database, self.state.kafka if kafka is None else kafka
        )
        if state != self.state:
            self.state = state
            for subscriber in self.subscribers:
                subscriber.tell_state(state)


def _events(subscriber: Subscriber) -> Iterable[str]:
    if subscriber.state:
        yield subscriber.state.event()
        subscriber.state = None
    if kinds := subscriber.take(monotonic()):
        yield _event("changed", kinds)


async def _something_is_due(subscriber: Subscriber) -> bool:
    """Wait until there is something to tell, whatever else changes meanwhile; False after HEARTBEAT_S of silence."""
    silent_from = monotonic()
    while not subscriber.state and (wait_s := subscriber.wait_s(monotonic())) > 0:
        subscriber.something.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await subscriber.something.wait()
        if not subscriber.pending and monotonic() - silent_from >= HEARTBEAT_S:
            return subscriber.state is not None
    return True


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def _any_answers(bootstrap: str) -> bool:
    return any([await _answers(address.strip()) for address in bootstrap.split(",")])


async def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), PROBE_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True
