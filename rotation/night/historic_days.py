"""Days of the past that stand still, as an import leaves them: runs for the copies that the last of them mentions."""

import time
from contextlib import nullcontext
from datetime import date
from typing import Any

from sqlalchemy import Engine

from config import Settings
from rotation.courier.routes import DIRECT_FILL_COPIES, as_plan, planned, report, share_s
from rotation.courier.store import write_days
from rotation.courier.ways import ways
from rotation.network import Network
from rotation.night.run import alone
from rotation.night.vans import searching, to_carry
from rotation.store import outbox
from rotation.store.clock import read_clock
from rotation.store.engine import driver


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
