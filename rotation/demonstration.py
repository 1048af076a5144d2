"""`rotation run`: the whole system with the demonstration city, from an empty folder to days that go round by themselves.

The story: servers up, history through Kafka, the first night's plan, then the clock runs and the city lives. Stopped and
started again, it goes on from where it was.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import datetime
from threading import Event
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select

from config import Settings
from config.kafka import client
from infra.messages import ServerError
from rotation import network as networks
from rotation.bootstrap import CITY, System, connected, prepared, running
from rotation.clock import standing_at
from rotation.network import Network
from rotation.serving import tell_first_sign_in
from rotation.status import figures
from rotation.store.clock import pause, read_clock, resume, set_clock
from rotation.store.planned import is_planned
from rotation.store.tables import clock as clock_table
from rotation.store.tables import feeds, progress, tokens
from rotation.store.tables import settings as kept
from rotation.terminal import Terminal
from rotation.web.auth import add_token
from rotation.web.permissions import Role
from streams.recount import end_offsets, events_in_kafka
from streams.topics import CIRCULATION_EVENTS

HISTORY_S = 600.0  # 26 weeks take some 30 s on two cores; on a loaded machine many times that
FIRST_PLAN_S = 180.0
DRAIN_S = 5.0  # what is on its way when we stop is applied within a second; then it waits in Kafka for the next start
LOOK_S = 0.25
SHOW_S = 1.0
DAY_S = 86_400


class Interrupted(Exception):
    """Told to stop before the days went round; what was reached is kept for the next start."""


class Demonstration:
    """One run of the whole: what its steps share."""

    def __init__(self, system: System, settings: Settings, network: Network, terminal: Terminal, stop: Event) -> None:
        self.system, self.settings, self.network, self.terminal = system, settings, network, terminal
        self.stop = stop
        self.connected = connected(system.environment)
        self.kafka = client(self.connected)
        self.address = f"http://{settings.web_host}:{system.environment['ROTATION_WEB_PORT']}"
        self.desk_token = ""

    # --- The story ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create tables and topics, and start what applies the events."""
        self.terminal.step("Creating tables and topics / 创建数据表与主题")
        self.engine: Engine = prepared(self.connected, self.network)
        self.system.start_named("worker")
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
        if told:
            with self.engine.begin() as connection:
                _stand_still(connection)
            self.system.start_named("planner")
        self.terminal.step(f"{self._figures()['events_in']:,} events applied / 条事件已入库")

    def plan_first(self) -> None:
        """Let planning time come, start what was of no help with the history, and wait for the first plan."""
        with self.engine.begin() as connection:
            self._stand_at_planning_time(connection)
        self.system.start_named("relay", "web")
        if self._figures()["runs"] == 0:
            self.terminal.step("Planning the first day: moves, crates, vans / 制定首日计划：调拨、装箱、车辆")
        self._until(self._planned, FIRST_PLAN_S, "planner")

    def live(self, until: float | None) -> None:
        """Let the clock run and the city live until we are told to stop or the monotonic time `until` has come."""
        with self.engine.begin() as connection:
            resume(connection, DAY_S / self.settings.demo_day_s)
        self.system.start(CITY, "live", environment={"ROTATION_URL": self.address, "ROTATION_TOKEN": self.desk_token})
        shown = 0.0
        with self.terminal.watch() or nullcontext():
            while not self.stop.wait(LOOK_S) and (until is None or time.monotonic() < until):
                self.system.check()
                if time.monotonic() - shown > SHOW_S:
                    self.terminal.show(self._figures(), self.address)
                    shown = time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Hold the clock, stop the city, let what is on its way arrive, and count everything once more."""
        with self.engine.begin() as connection:
            pause(connection)
        for name in ("planner", "city"):
            if name in self.system.parts:
                self.system.parts.pop(name).stop()
        self._until(self._all_applied, DRAIN_S, "worker", strict=False)
        counted = self._figures()
        return counted | {"missing": self._in_kafka() - counted["events_in"]}

    # --- What it looks at ---------------------------------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        return figures(self.engine, self.network.timezone)

    def _until(self, reached: Callable[[], bool], within_s: float, who: str, *, strict: bool = True) -> None:
        end = time.monotonic() + within_s
        tell = self._progress()
        while not reached():
            self.system.check()
            if self.stop.is_set() and strict:
                raise Interrupted
            if time.monotonic() > end:
                if strict:
                    raise ServerError("server.slow", name=who, seconds=within_s, log=self.system.logs / f"{who}.log")
                return
            tell()
            time.sleep(LOOK_S)

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

    def _in_kafka(self) -> int:
        return events_in_kafka(self.kafka, _applied(self.engine))

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


def all_applied(engine: Engine, kafka: Mapping[str, Any]) -> bool:
    """Whether everything that stands in Kafka is in the database."""
    applied = _applied(engine)
    return all(applied.get(partition, 0) >= end for partition, end in end_offsets(kafka).items())


def _applied(engine: Engine) -> dict[int, int]:
    with engine.connect() as connection:
        rows = connection.execute(
            select(progress.c.partition, progress.c.next_offset).where(progress.c.topic == CIRCULATION_EVENTS.name)
        )
        return dict(rows.all())


def _desk_token(connection: Connection) -> str:
    """Return a new token for the city's desks; the one of an earlier start is no longer valid."""
    connection.execute(delete(tokens).where(tokens.c.about == DESKS))
    return add_token(connection, Role.DESK, DESKS, "rotation run")


def run(settings: Settings, seconds: float | None, terminal: Terminal, stop: Event) -> Mapping[str, Any]:
    """Run until `stop` is set or `seconds` are over; return the figures at the end.

    Raises
    ------
    ServerError, NetworkError
        With one sentence; everything that was started is stopped.
    """
    begin = time.monotonic()
    network = networks.read(settings.network_file())
    with running(settings, lambda message: terminal.step(message.text())) as system:
        demonstration = Demonstration(system, settings, network, terminal, stop)
        with suppress(Interrupted):
            demonstration.prepare()
            demonstration.bring_history()
            demonstration.plan_first()
            ready_s = round(time.monotonic() - begin, 1)
            terminal.step(f"Ready after {ready_s} s on {demonstration.address} / 就绪，用时 {ready_s} 秒")
            demonstration.live(begin + seconds if seconds else None)
            return demonstration.finish() | {"seconds_to_ready": ready_s}
        return demonstration.finish() | {"seconds_to_ready": None}
