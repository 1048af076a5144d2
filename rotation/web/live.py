"""Live updates for every open page: NOTIFY in a writer's transaction, one LISTEN a process, server-sent events to browsers.

An event names the kinds of things that changed and nothing else; the page asks again for the parts that show them. So a
thousand changes cost a browser no more than a single change, and a page that missed some is right after the next.

Writers call `rotation.store.outbox.notify(cursor, kind)`; `KINDS` lists the kinds that they use.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from types import MappingProxyType

import psycopg
import structlog

from rotation.store.engine import conninfo
from rotation.store.outbox import ENDED, PAGE_CHANNEL
from rotation.views.balance import Recent

RETRY_S = 1.0  # between trials to reach PostgreSQL again
PROBE_S = 5.0  # between looks whether Kafka answers, and PostgreSQL while nothing is told
PROBE_TIMEOUT_S = 3.0
HEARTBEAT_S = 15.0  # proxies close what is silent for a minute
STREAM_S = 900.0  # a stream ends and the browser opens the next: who may look is asked again

log = structlog.get_logger(__name__)


class ChangeKind(StrEnum):
    """A kind of change."""

    RUNS = "runs"  # plans, runs, stops, transfers and decisions
    LEVELS = "levels"
    ALERTS = "alerts"
    REJECTIONS = "rejections"
    FEEDS = "feeds"


ALL = frozenset(ChangeKind)

GAP_S: Mapping[ChangeKind, float] = MappingProxyType(
    {
        ChangeKind.ALERTS: 0.05,  # somebody waits for it; rare, by hysteresis
        ChangeKind.RUNS: 0.5,
        ChangeKind.REJECTIONS: 1.0,
        ChangeKind.FEEDS: 1.0,
        ChangeKind.LEVELS: 2.0,  # changes with every loan, and means nothing for seconds
    }
)


KINDS: Mapping[str, frozenset[ChangeKind]] = MappingProxyType(
    {
        "stock": frozenset({ChangeKind.LEVELS, ChangeKind.FEEDS}),
        "alert": frozenset({ChangeKind.ALERTS}),
        "rejected": frozenset({ChangeKind.REJECTIONS, ChangeKind.FEEDS}),
        "runs": frozenset({ChangeKind.RUNS}),
        ENDED: frozenset(),
    }
)


def kinds_of(payload: str) -> frozenset[ChangeKind]:
    """Return the kinds of change that a notification is about; all kinds, if it is not understood."""
    try:
        return KINDS[json.loads(payload)["kind"]]
    except (ValueError, KeyError, TypeError):
        return ALL


def touched_by(payload: str) -> list[str] | None:
    """Return the places whose stock a notice says has changed; None where it names not all of them, or is not known."""
    try:
        notice = json.loads(payload)
        if notice["kind"] != "stock":
            return [] if notice["kind"] in KINDS else None
        return None if "many" in notice else list(notice["ids"])
    except (ValueError, KeyError, TypeError):
        return None


def ended_by(payload: str) -> list[str]:
    """Return the sessions, tokens and users that a notice says are no more."""
    try:
        notice = json.loads(payload)
        return list(notice["ids"]) if notice["kind"] == ENDED else []
    except (ValueError, KeyError, TypeError):
        return []


@dataclass(frozen=True, slots=True)
class LiveState:
    """Which servers answer."""

    database: bool = True
    kafka: bool = True

    def event(self) -> str:
        """Return it as a server-sent event."""
        return _event("state", {"database": self.database, "kafka": self.kafka})


@dataclass(eq=False)
class Subscriber:
    """An open page: the changes it has not been sent yet, and when each kind was sent last."""

    pending: set[ChangeKind] = field(default_factory=lambda: set(ALL))
    state: LiveState | None = None
    told_at: dict[ChangeKind, float] = field(default_factory=dict)
    something: asyncio.Event = field(default_factory=asyncio.Event)
    handles: frozenset[str] = frozenset()  # whose ending ends the stream
    ended: bool = False

    def tell(self, kinds: Iterable[ChangeKind]) -> None:
        """Note a change; wakes the page only for kinds that are new to it."""
        if new := set(kinds) - self.pending:
            self.pending |= new
            self.something.set()

    def end(self, handles: Collection[str]) -> None:
        """End the stream if it is of these sessions, tokens or users."""
        if not self.handles.isdisjoint(handles):
            self.ended = True
            self.something.set()

    def tell_state(self, state: LiveState) -> None:
        """Note which servers answer now."""
        self.state = state
        self.something.set()

    def take(self, now: float) -> list[ChangeKind]:
        """Return the kinds whose time has come, and forget them."""
        due = sorted(kind for kind in self.pending if self._wait_s(kind, now) <= 0)
        self.pending.difference_update(due)
        self.told_at.update(dict.fromkeys(due, now))
        return due

    def wait_s(self, now: float) -> float:
        """Return the seconds until something is due; HEARTBEAT_S where nothing waits."""
        return min((self._wait_s(kind, now) for kind in self.pending), default=HEARTBEAT_S)

    def _wait_s(self, kind: ChangeKind, now: float) -> float:
        return self.told_at.get(kind, float("-inf")) + GAP_S[kind] - now


class LiveChanges:
    """Listens once, tells many."""

    def __init__(self, database_url: str, kafka_bootstrap: str | None, stock: Recent | None = None) -> None:
        """With `kafka_bootstrap` None, Kafka's state is left out. `stock` gets the places to count again."""
        self._stock = stock or Recent()
        self._conninfo = conninfo(database_url)
        self._kafka = kafka_bootstrap
        self.subscribers: set[Subscriber] = set()
        self.state = LiveState()
        self.notifications = 0
        self._name, self._changes, self._changed_at = secrets.token_hex(4), 0, dict.fromkeys(ALL, 0)

    async def run(self) -> None:
        """Listen until cancelled; a database that goes away is asked again every second."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen_for_ever())
            if self._kafka:
                tasks.create_task(self._watch_kafka(self._kafka))

    def mark(self) -> str:
        """Return how far changes have come, for a page to say when it opens its stream."""
        return f"{self._name}-{self._changes}"

    def since(self, mark: str) -> set[ChangeKind]:
        """Return the kinds that have changed since a mark; all kinds, where it is another process's."""
        name, _, count = mark.partition("-")
        if name != self._name or not count.isdecimal():
            return set(ALL)
        return {kind for kind, at in self._changed_at.items() if at > int(count)}

    async def stream(self, handles: Collection[str] = (), mark: str = "") -> AsyncIterator[str]:
        """Yield server-sent events for a page until any of `handles` ends.

        It begins with every kind that has changed since the page's `mark`, so that a page that comes back is right.
        """
        subscriber, until = Subscriber(self.since(mark), handles=frozenset(handles)), monotonic() + STREAM_S
        subscriber.tell_state(self.state)
        self.subscribers.add(subscriber)
        try:
            while monotonic() < until and not subscriber.ended:
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
                    self._end(ended_by(notification.payload))
                await asyncio.wait_for(connection.execute(b"SELECT 1"), PROBE_TIMEOUT_S)  # a dead peer says nothing

    async def _watch_kafka(self, bootstrap: str) -> None:
        while True:
            self._tell_state(kafka=await _any_answers(bootstrap))
            await asyncio.sleep(PROBE_S)

    def _tell(self, kinds: frozenset[ChangeKind]) -> None:
        self._changes += 1
        self._changed_at.update(dict.fromkeys(kinds, self._changes))
        for subscriber in self.subscribers:
            subscriber.tell(kinds)

    def _end(self, handles: Collection[str]) -> None:
        for subscriber in self.subscribers if handles else ():
            subscriber.end(handles)

    def _tell_state(self, *, database: bool | None = None, kafka: bool | None = None) -> None:
        state = LiveState(
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
    while not (subscriber.state or subscriber.ended) and (wait_s := subscriber.wait_s(monotonic())) > 0:
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
