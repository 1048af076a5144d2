"""`rotation run`: the whole system with the demonstration city, from an empty folder to days that go round by themselves.

The story: servers up, history through Kafka, the first night's plan, then the clock runs and the city lives. Stopped and
started again, it goes on from where it was.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, delete, func, select

from config import Settings
from config.kafka import client
from infra.lan import lan_lines
from infra.messages import ServerError, ServerMessage
from rotation import network as networks
from rotation.accounts.auth import add_token
from rotation.accounts.permissions import Role
from rotation.facts.clock import standing_at
from rotation.kafka.recount import end_offsets, missing_events
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.store import progress
from rotation.store.clock import pause, read_clock, resume, set_clock
from rotation.store.engine import driver
from rotation.store.planned import is_planned
from rotation.store.tables import clock as clock_table
from rotation.store.tables import feeds, tokens
from rotation.store.tables import settings as kept
from rotation.system.importing import all_applied, behind
from rotation.system.interrupt import grace, heeded
from rotation.system.processes import CITY, RunningSystem, connected, prepared, running
from rotation.system.serve import page_address, page_answers, tell_first_sign_in
from rotation.system.terminal import Terminal

HISTORY_S = 600.0  # 26 weeks take some 30 s on two cores; on a loaded machine many times that
FIRST_PLAN_S = 600.0  # seen: 6 s, and 100 s on a busy machine where the planner is compiled on the way
FINISH_S = 7.0  # after Ctrl-C; with worker and servers after it the whole stops within 10 s
DRAIN_S = 2.0  # what is on its way when we stop is applied within a second; then it waits in Kafka for the next start
LOOK_S = 0.25
SHOW_S = 1.0
DAY_S = 86_400

Figures = Callable[[Engine, ZoneInfo, str], dict[str, Any]]  # `rotation.views.status.figures`


class Interrupted(Exception):
    """Stopped by a signal before the days went round; progress is kept for the next start."""


class Demonstration:
    """A run of the whole system: the state that its steps share."""

    def __init__(
        self,
        system: RunningSystem,
        settings: Settings,
        network: Network,
        terminal: Terminal,
        stop: Event,
        figures: Figures,
    ) -> None:
        self.system, self.settings, self.network, self.terminal = system, settings, network, terminal
        self.stop, self.count = stop, figures
        self.connected = connected(system.environment)
        self.kafka = client(self.connected)
        self.address = page_address(settings, system)
        self.desk_token = ""

    # --- The story ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create tables and topics, and start the worker that applies the events."""
        self.terminal.step("Creating tables and topics / 创建数据表与主题")
        self.engine: Engine = prepared(self.connected, self.network)
        self.system.start_named("worker")
        self.system.watch_hearts()
        with self.engine.begin() as connection:
            _hold(connection)
            self.desk_token = _desk_token(connection)
        tell_first_sign_in(self.engine, self.terminal.step)

    def bring_history(self) -> None:
        """Send the city's past through Kafka unless that was done, and wait until all of it is in the database."""
        told = self._history_told()
        if not told:
            weeks = self.settings.demo_history_weeks
            self.terminal.step(f"Sending {weeks} weeks of the city's history through Kafka / 发送 {weeks} 周历史数据")
            self.system.start(CITY, "history")
            self._until(self.system.ended(CITY), HISTORY_S, "city")
            self.system.start_named("planner")  # it waits for its hour, and is there when the last of the history is
        self._until(self._all_applied, HISTORY_S, "worker")
        Thread(target=self._missing, daemon=True).start()  # months take seconds, which Ctrl-C has not
        if told:
            with self.engine.begin() as connection:
                _stand_still(connection)
            self.system.start_named("planner")
        self.terminal.step(f"{self._figures()['events_in']:,} events applied / 条事件已入库")

    def plan_first(self) -> None:
        """Let planning time come, start the parts that the history did not need, and wait for the first plan."""
        with self.engine.begin() as connection:
            self._stand_at_planning_time(connection)
        self.system.start_named("relay", "web", "deliver")
        if self._figures()["runs"] == 0:
            self.terminal.step("Planning the first day: moves, crates, vans / 制定首日计划：调拨、装箱、车辆")
        self._until(self._planned, FIRST_PLAN_S, "planner")
        if not page_answers(self.system, self.address, self.stop):
            raise Interrupted

    def live(self, until: float | None) -> None:
        """Let the clock run and the city live until a signal stops us or the monotonic time `until` has come."""
        with self.engine.begin() as connection:
            resume(connection, DAY_S / self.settings.demo_day_s)
        self.system.start(CITY, "live", environment={"ROTATION_URL": self.address, "ROTATION_TOKEN": self.desk_token})
        shown = 0.0
        grace(FINISH_S)  # the figures that are asked for may take seconds beside other work
        with self.terminal.watch() or nullcontext():
            while not self.stop.wait(LOOK_S) and (until is None or time.monotonic() < until):
                self.system.check()
                if time.monotonic() - shown > SHOW_S:
                    self.terminal.show(self._figures(), self.address)
                    shown = time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Hold the clock, stop all but the worker, let events on their way arrive, and count everything once more."""
        heeded(FINISH_S)
        with self.engine.begin() as connection:
            pause(connection)
        self.system.stop("planner", "city", "web", "relay", "deliver")
        self._until(self._all_applied, DRAIN_S, "worker", strict=False)
        counted = self._figures()
        return counted | {"missing": self._missing(), "unread_messages": behind(self.engine, end_offsets(self.kafka))}

    # --- What it looks at ---------------------------------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        return self.count(self.engine, self.network.timezone, self.settings.plan_at)

    def _until(self, reached: Callable[[], bool], within_s: float, who: str, *, strict: bool = True) -> None:
        end = time.monotonic() + within_s
        tell = self._progress()
        while not (self._interrupted(strict) or reached()):
            self.system.check()
            if time.monotonic() > end:
                if strict:
                    raise ServerError("server.slow", name=who, seconds=within_s, log=self.system.logs / f"{who}.log")
                return
            tell()
            time.sleep(LOOK_S)

    def _interrupted(self, strict: bool) -> bool:
        """Raise Interrupted after a signal: first of all, since Ctrl-C may have hit a part at its very start too."""
        if strict and self.stop.is_set():
            raise Interrupted
        return False

    def _progress(self) -> Callable[[], None]:
        """Return a step that tells every few seconds how far the events are, where they went on."""
        last = [time.monotonic(), 0]

        def tell() -> None:
            if time.monotonic() - last[0] > PROGRESS_S:
                events = self._figures()["events_in"]
                if events != last[1]:
                    self.terminal.step(f"  {events:,} events applied / 条已入库")
                last[:] = [time.monotonic(), events]

        return tell

    def _history_told(self) -> bool:
        with self.engine.connect() as connection:
            return connection.execute(select(kept.c.name).where(kept.c.name == CITY.name)).first() is not None

    def _all_applied(self) -> bool:
        return all_applied(self.engine, self.kafka)

    def _planned(self) -> bool:
        with self.engine.connect() as connection:
            clock = read_clock(connection)
            today = self.network.day_of(clock.now())
            return is_planned(connection, today)

    def _missing(self) -> int:
        """Count the events that Kafka holds and the database does not; a range found whole is not counted again."""
        with self.engine.connect() as connection:
            counted = progress.counted(driver(connection).cursor(), CIRCULATION_EVENTS.name)
        missing = missing_events(self.kafka, counted)
        if not missing:
            with self.engine.begin() as connection:
                progress.verified(driver(connection).cursor(), CIRCULATION_EVENTS.name, counted)
        return missing

    def _stand_at_planning_time(self, connection: Connection) -> None:
        """Move the standing clock on to the planning time of its day, where it has not come yet."""
        now = read_clock(connection).now().astimezone(self.network.timezone)
        hours, minutes = map(int, self.settings.plan_at.split(":"))
        at = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
        set_clock(connection, standing_at(max(now, at)))


PROGRESS_S = 5.0
DESKS = "the demonstration city's desks"


def _hold(connection: Connection) -> None:
    """Let the clock stand where it has come to, so that nothing that waits in Kafka is of its future."""
    if connection.execute(select(clock_table.c.id)).first() is not None:
        pause(connection)


def _stand_still(connection: Connection) -> None:
    """Let the clock stand where it was; after a kill it ran on without its city, so it goes back to the last event."""
    clock = read_clock(connection)
    last: datetime | None = connection.execute(select(func.max(feeds.c.last_event_at))).scalar()
    set_clock(connection, standing_at(min(clock.now(), last) if clock.simulated and last else clock.now()))


def _desk_token(connection: Connection) -> str:
    """Return a new token for the city's desks; the token of an earlier start is no longer valid."""
    connection.execute(delete(tokens).where(tokens.c.about == DESKS))
    return add_token(connection, Role.DESK, DESKS, "rotation run")


def run(
    settings: Settings, seconds: float | None, terminal: Terminal, stop: Event, figures: Figures
) -> Mapping[str, Any]:
    """Run until `stop` is set or `seconds` are over; return the figures at the end (few if it was set very early).

    Raises
    ------
    ServerError, NetworkError
        With one sentence; everything that was started is stopped.
    """
    begin = time.monotonic()
    network = networks.read(settings.network_file())
    ready_s = None
    with suppress(Interrupted), running(settings, partial(_told, terminal, stop)) as system:
        demonstration = Demonstration(system, settings, network, terminal, stop, figures)
        with suppress(Interrupted):
            demonstration.prepare()
            demonstration.bring_history()
            demonstration.plan_first()
            ready_s = round(time.monotonic() - begin, 1)
            terminal.step(f"Ready after {ready_s} s on {demonstration.address} / 就绪，用时 {ready_s} 秒")
            for line in lan_lines(system.environment):
                terminal.step(line)
            demonstration.live(begin + seconds if seconds else None)
        return demonstration.finish() | {"seconds_to_ready": ready_s}
    return {"seconds_to_ready": None}


def _told(terminal: Terminal, stop: Event, message: ServerMessage) -> None:
    """Show a server's step; raise Interrupted after a signal, except during the steps of stopping."""
    terminal.step(message.text())
    if stop.is_set() and not message.code.endswith(".stop"):
        raise Interrupted
