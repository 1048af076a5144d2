"""Days of the past that stand still, as an import leaves them: their clock and alerts, and runs for the copies of the last."""

import time
from contextlib import nullcontext
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, select

from config import Settings
from rotation.alerts.rules import Thresholds, sweep
from rotation.courier.routes import DIRECT_FILL_COPIES, as_plan, planned, report, share_s
from rotation.courier.store import write_days
from rotation.courier.ways import ways
from rotation.facts.clock import standing_at
from rotation.network import Network
from rotation.night.run import alone
from rotation.night.vans import searching, to_carry
from rotation.store import outbox
from rotation.store.clock import read_clock, set_clock
from rotation.store.engine import driver
from rotation.store.planned import mark_standing
from rotation.store.tables import clock


def schedule_days(
    engine: Engine, network: Network, settings: Settings, first: date, days: int, *, keep: bool = False
) -> dict[str, Any]:
    """Schedule the waiting copies from the day `first` on, over `days` days; nothing is ordered.

    With `keep` the days' runs are written as drafts, in place of the drafts that they had: the page shows them. Hubs whose
    day someone has approved, or that is ordered, keep theirs.

    Raises
    ------
    AnotherPlans
        When runs are to be kept and a planner is at work.
    TravelError
        When the routing service that is set does not answer, and nothing may stand in for it.
    """
    begin, travel = time.perf_counter(), ways(network, settings)
    with engine.connect() as connection, alone(connection) if keep else nullcontext():
        waiting = to_carry(connection, network, first)
        with searching(settings, share_s(network, days, settings.route_seconds)) as search:
            found = planned(network, waiting, first, days, search, DIRECT_FILL_COPIES, travel)
        if keep:
            write_days(connection, as_plan(found), read_clock(connection).now())
            outbox.notify(driver(connection).cursor(), "runs")
            connection.commit()
    return report(found) | {"kept": keep, "seconds": round(time.perf_counter() - begin, 2)}


def judge(settings: Settings, network: Network, engine: Engine) -> None:
    """Open and close the alerts of the imported days: a worker waits a while before it judges days of the past."""
    with engine.begin() as connection, driver(connection).cursor() as cursor:
        sweep(cursor, network, Thresholds.of(settings))


def advance_clock(engine: Engine, source: str, latest: datetime) -> None:
    """Let the clock stand at the end of the last day shown, `latest`; a later day that was imported before stays."""
    with engine.begin() as connection:
        stood = connection.execute(select(clock.c.id)).first() is not None
        now = read_clock(connection).now()
        set_clock(connection, standing_at(max(latest, now) if stood else latest))
        mark_standing(connection, source)
