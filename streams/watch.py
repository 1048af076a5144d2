"""From `stock.touched` to alerts: the places that changed are counted again, and everything once a minute."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any

import orjson
from psycopg import Cursor

from rotation.alerts import rules, thresholds
from rotation.alerts.rules import Changes, Thresholds, Touched
from rotation.dispatch.lost import give_up
from rotation.dispatch.scans import miss_overdue_stops
from rotation.facts.events import FUTURE_TOLERANCE
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.store import lanes, progress, rejections
from rotation.store.clock import clock_by
from rotation.store.engine import Reconnecting
from rotation.store.networks import in_force_by
from streams.app import RotationApp

__all__ = ["Changes", "Thresholds", "attach"]

log = logging.getLogger(__name__)

TOUCHED_AT_ONCE = 2_000  # notices gathered into a count
WAIT_S = 0.005  # a lone notice waits no longer: a count of one shelf takes about as long
LOOK_S = 2.0  # how often it is asked whether a sweep is due
SWEEP_S = 60.0  # the net below the notices
SWEEP_NETWORK_S = 3600.0  # simulated time passes faster: an hour of it is a sweep too, but no more often than LOOK_S


def attach(app: RotationApp, database_url: str, network: Network, usual: Thresholds) -> None:
    """Attach the agent that watches levels, and its sweep, to the app."""
    watcher = Watcher(database_url, network, usual, app.sought_topic)
    topic = app.topic(app.writer.topics.touched, value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(topic, name="watch")
    async def watch(stream: Any) -> None:
        async for events in stream.take_events(TOUCHED_AT_ONCE, within=WAIT_S):
            await watcher.recount(touched([event.message.value for event in events]))

    @app.timer(LOOK_S, name="sweep")  # type: ignore[untyped-decorator]
    async def sweep() -> None:
        await watcher.sweep_if_due()

    app.on_before_shutdown.connect(watcher.stop, weak=False)


class Watcher:
    """Counts on a thread of its own. A failure is logged and left to the next sweep, which counts everything."""

    def __init__(
        self, database_url: str, network: Network, usual: Thresholds, events: str = CIRCULATION_EVENTS.name
    ) -> None:
        """Connect when there is something to count; `events` is the topic of events."""
        self._events, self._network, self._usual = events, network, usual
        self._database = Reconnecting(database_url)
        self._thread = ThreadPoolExecutor(1, "watch")
        self._swept: tuple[float, float] | None = None
        self._set = thresholds.AlertThresholds(usual)

    async def recount(self, places: Mapping[str, Touched]) -> None:
        """Count places again; resting afterwards as long as it took, so that counting never takes more than half the time."""
        begin = time.monotonic()
        await self._run(self._recount, places)
        await asyncio.sleep(time.monotonic() - begin)

    async def sweep_if_due(self) -> None:
        """Count everything again when a minute or an hour of the network's time has passed, or somebody set a threshold."""
        await self._run(self._sweep_if_due)

    async def stop(self, *_: Any, **__: Any) -> None:
        """Let the count in hand end."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._database.close()

    async def _run(self, step: Any, *arguments: Any) -> None:
        with suppress(RuntimeError):  # the thread was shut down meanwhile
            await asyncio.get_running_loop().run_in_executor(self._thread, _told, step, *arguments)

    def _recount(self, places: Mapping[str, Touched]) -> None:
        with self._database.cursor() as cursor:
            if progress.is_history(cursor, clock_by(cursor).now()):
                self._swept = None  # half-read history is not judged; a sweep is due as soon as it is read
            else:
                rules.recount(cursor, self._in_force(cursor), self._usual, places)

    def _sweep_if_due(self) -> None:
        with self._database.cursor() as cursor:
            now = clock_by(cursor).now()
            at, chosen = (time.monotonic(), now.timestamp()), thresholds.in_force(cursor, self._usual)
            if (self._due(*at) or chosen != self._set) and not progress.is_history(cursor, now):
                miss_overdue_stops(cursor, now)
                if sent := rejections.send_due(cursor, self._events, now + FUTURE_TOLERANCE):
                    log.warning("%d events that were refused as in the future are sent again", sent)
                lanes.count_if_due(cursor, now, self._network.network.timezone)
                if lost := give_up(cursor, now, self._usual.lost_days[1]):
                    log.info("%d copies are lost in transit", lost)
                rules.sweep(cursor, self._in_force(cursor), self._usual)
                self._swept, self._set = at, chosen

    def _in_force(self, cursor: Cursor[Any]) -> Network:
        return in_force_by(cursor, self._network, self._network.day_of(clock_by(cursor).now()))

    def _due(self, wall_s: float, network_s: float) -> bool:
        if self._swept is None:
            return True
        return wall_s - self._swept[0] >= SWEEP_S or abs(network_s - self._swept[1]) >= SWEEP_NETWORK_S


def _told(step: Any, *arguments: Any) -> None:
    """Do a step; an error is logged and mended by the next sweep: an agent never raises."""
    try:
        step(*arguments)
    except Exception as error:
        log.error("count failed: %s: %s", type(error).__name__, str(error).strip())


def touched(messages: Iterable[bytes]) -> dict[str, Touched]:
    """Return the notices in messages of stock.touched, by place; other messages are left to the sweep."""
    found: dict[str, Touched] = {}
    for notice in chain.from_iterable(map(_notices, messages)):
        with suppress(TypeError, KeyError, AttributeError):
            classes, place = notice.get("classes"), str(notice["place"])
            one = Touched(None if classes is None else frozenset(classes), notice.get("awaited", True))
            found[place] = found[place].and_also(one) if place in found else one
    return found


def _notices(message: bytes) -> list[Any]:
    """Return the notices of a message: those of a batch, or the single notice of an older worker."""
    try:
        told = orjson.loads(message)
    except orjson.JSONDecodeError:
        return []
    return told if isinstance(told, list) else [told]
