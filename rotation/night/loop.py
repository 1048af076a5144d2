"""Night after night: wait for each day's planning time, and plan it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from config import Settings
from rotation.facts.parts import Deed
from rotation.network import Network
from rotation.night import approval
from rotation.night.moves import Memory
from rotation.night.run import AnotherPlans, NightReport, plan_night
from rotation.store import retention
from rotation.store.clock import clock_held, read_clock
from rotation.store.engine import driver
from rotation.store.heartbeats import Turned, unheard
from rotation.store.networks import in_force
from rotation.store.planned import is_planned, stands_still
from solver.routing_service import TravelError

# Seconds between looks at the clock: a simulated day may last half a minute.
LOOK_S = 0.5
# Seconds between attempts while the database or the routing service does not answer.
AWAY_S = 2.0
# By when a night is planned that goes on: a province takes some twenty minutes.
LONGEST_NIGHT_S = 4 * 3600.0

log = structlog.get_logger(__name__)


def plan_nights(
    engine: Engine,
    network: Network,
    settings: Settings,
    stop: Event,
    tell: Callable[[NightReport], None],
    turn: Turned = unheard,
) -> None:
    """Plan each day when its time has come, until `stop` is set; `tell` gets each night's report.

    A simulated clock stands still while a day is planned: the seconds that planning takes would be hours of its day. If another
    process holds the clock, the city is catching up, and planning waits for its events. While the database or the routing
    service is away nothing is planned; the day is planned when they are back.
    """
    memory = Memory()
    while not stop.wait(LOOK_S):
        turn()
        try:
            _plan_if_due(engine, network, settings, tell, memory, turn)
            _decide_if_time_is_up(engine, network, settings)
        except OperationalError as error:
            turn(deed=Deed.WAITS)
            log.warning("database_unreachable", error=str(error.orig).strip())
            stop.wait(AWAY_S)
        except TravelError as error:
            turn(deed=Deed.WAITS)
            advice = "roads_fall_back = true lets straight lines stand in"
            log.warning("roads_unreachable", error=str(error), setting=advice)
            stop.wait(AWAY_S)


def _plan_if_due(
    engine: Engine,
    network: Network,
    settings: Settings,
    tell: Callable[[NightReport], None],
    memory: Memory,
    turn: Turned,
) -> None:
    with engine.begin() as connection:
        day = due_day(connection, network, settings)
    if day is not None:
        with clock_held(engine) as ours, suppress(AnotherPlans):
            if ours:
                turn(deed=Deed.PLANS, about=day, within_s=LONGEST_NIGHT_S)
                tell(plan_night(engine, network, settings, day, memory))
                turn(deed=Deed.PLANNED, about=day)
                _forget_old(engine, settings)


def _decide_if_time_is_up(engine: Engine, network: Network, settings: Settings) -> None:
    if settings.approval == "policy":
        with engine.begin() as connection:
            now = read_clock(connection).now()
            held = in_force(connection, network, network.day_of(now))
            approval.when_time_is_up(connection, held, settings, now)


def _forget_old(engine: Engine, settings: Settings) -> None:
    kept = timedelta(days=settings.keep_days)
    with engine.begin() as connection:
        now = read_clock(connection).now()
        retention.forget_scans(driver(connection).cursor(), now - kept)
        if forgotten := retention.forget(connection, retention.OF_THE_NIGHT, now - kept, datetime.now(UTC) - kept):
            log.info("forgotten", rows=forgotten)


def due_day(connection: Connection, network: Network, settings: Settings) -> date | None:
    """Return today if its planning time has come and it is not planned yet. Days of the past have no night."""
    if stands_still(connection):
        return None
    now = read_clock(connection).now().astimezone(network.timezone)
    if f"{now:%H:%M}" < settings.plan_at:
        return None
    return None if is_planned(connection, now.date()) else now.date()
