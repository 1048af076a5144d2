"""The night's run, from yesterday's leftovers to the morning's orders: `plan_night` is the story, in order.

Everything is repeatable. A run that was stopped starts again and finds the rows it had written; a day that is ordered stays
as it is.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text

from config import Settings
from rotation import dispatch
from rotation.courier.ways import ways
from rotation.dispatch import marks
from rotation.dispatch.review import Action, DecidedMeanwhile, NothingThere, Subject, TooLate, decide
from rotation.dispatch.scans import close_days_before
from rotation.facts.lifecycle import OURS, PLANNED, TransferState
from rotation.network import Network
from rotation.night import approval, day_figures, placement_uplift
from rotation.night.moves import Memory, Night, decide_moves
from rotation.night.place_notices import with_closures
from rotation.night.vans import route
from rotation.store import conservation, outbox
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.locks import AdvisoryLock
from rotation.store.networks import in_force
from rotation.store.planned import note_planned
from rotation.store.tables import copies, feeds, plans, runs, transfers
from rotation.store.targets import set_targets

# An order that no desk or place has followed by then, a closed day and its neighbours, will not be followed.
ORDER_WAIT = timedelta(days=3)
# Time in which an owner who is asked may answer; then the copy is planned again.
CONSENT_WAIT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NightReport:
    """The report of a night's run, and of the stock that it saw; times in seconds of the wall clock."""

    plan_id: str
    day: date
    moves: int
    value_loans: float
    gap: float
    plan_s: float
    runs: int
    unserved: int
    routes_s: float
    orders: int
    copies: int
    stock_at: datetime | None  # of the newest event that was applied; None: none ever was
    stock_age_h: float | None


class AnotherPlans(RuntimeError):
    """Another process is planning at this moment."""


def plan_night(
    engine: Engine, network: Network, settings: Settings, day: date, memory: Memory | None = None
) -> NightReport:
    """Plan the day `day` before its first van leaves: moves, routes and, unless plans are held for review, orders.

    Raises
    ------
    AnotherPlans
        When a planner is at work already.
    TravelError
        When the chosen routing service does not answer, and nothing may stand in for it.
    """
    with engine.connect() as connection, alone(connection):
        network = _as_of(connection, network, day)
        travel = ways(network, settings)
        night = Night(connection, network, settings, day, read_clock(connection).now())
        # 1. What the days before left undone is closed or called off.
        _close_days_before(night)
        # 2. What should move.
        begin = time.perf_counter()
        decided = decide_moves(night, memory or Memory())
        moved = time.perf_counter()
        # 3. Which vans carry it.
        unserved = route(night, decided, travel)
        routed = time.perf_counter()
        # 4. Orders: hubs sort and send on in any case; the day's picks and runs if nobody must approve them first.
        orders = dispatch.order_hubs(connection, network, day) + _approve_and_order(night)
        # 5. The day is planned: pages show it, and no other night plans it again.
        note_planned(connection, day)
        outbox.notify(driver(connection).cursor(), "runs")
        connection.commit()
        figures = _plan_figures(connection, day) | asdict(stock_seen(connection, night.now))
        # 6. The key figures of the evening; a plan stands without them.
        day_figures.keep(connection, network, night.now, settings.horizon_weeks)
        placement_uplift.keep(connection, weeks=settings.horizon_weeks, now=night.now)
        connection.commit()
        # 7. Whether copies, crates and events still add up: an alert where they do not.
        conservation.check(driver(connection).cursor(), night.now)
        connection.commit()
    return NightReport(
        day=day, plan_s=moved - begin, routes_s=routed - moved, unserved=unserved, orders=orders, **figures
    )


def _as_of(connection: Connection, given: Network, day: date) -> Network:
    """Return the network that holds on a day, with the closures that places announced; its shelves set the levels from now on."""
    network = in_force(connection, given, day)
    if network is not given:
        set_targets(connection, network)
    return with_closures(connection, network, day)


@dataclass(frozen=True, slots=True)
class Stock:
    """The stock as known here: how many copies, and the age of its newest event, in hours of the network's time."""

    copies: int
    stock_at: datetime | None
    stock_age_h: float | None


def stock_seen(connection: Connection, now: datetime) -> Stock:
    """Return the stock as known here."""
    known_copies = connection.execute(select(func.count()).select_from(copies)).scalar_one()
    newest: datetime | None = connection.scalar(select(func.max(feeds.c.last_event_at)))
    age_h = round((now - newest).total_seconds() / 3600, 1) if newest else None
    return Stock(known_copies, newest, age_h)


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Plan alone while the context lasts, then roll back whatever was not committed; raises AnotherPlans."""
    taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": AdvisoryLock.PLANNER}).scalar()
    if not taken:
        raise AnotherPlans("another planner is at work; it will finish in a minute, or see its log")
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": AdvisoryLock.PLANNER})
        connection.commit()


def _close_days_before(night: Night) -> None:
    """Call off transfers that nobody approved, picked or sent, and close the runs of days that are over."""
    over_before = min(night.day, night.network.day_of(night.now))  # planning tomorrow at noon leaves today open
    marks.carry_over(night.connection, over_before, night.day)
    _call_off(night.connection, over_before, night.now)
    close_days_before(driver(night.connection).cursor(), over_before, night.now)


def _call_off(connection: Connection, day: date, now: datetime) -> None:
    """Cancel transfers that nobody approved, picked or sent, so that they are decided again and hold no room in crates."""
    ours = transfers.c.kind.in_(OURS)
    not_approved = transfers.c.status.in_(PLANNED) & (transfers.c.day < day)
    not_agreed = (transfers.c.status == TransferState.ASKED) & (transfers.c.day < day - CONSENT_WAIT)
    not_followed = (transfers.c.status == TransferState.ORDERED) & (transfers.c.created_at < now - ORDER_WAIT)
    left = connection.execute(
        select(transfers.c.transfer_id).where(ours, not_approved | not_agreed | not_followed)
    ).scalars()
    dispatch.cancel(connection, list(left), now)


def _approve_and_order(night: Night) -> int:
    """Approve and order the day, or the part that the policy allows, in one transaction; return how many orders were written."""
    if night.settings.approval == "policy":
        return approval.judge(night.connection, night.network, night.settings, night.day, night.now)
    if night.settings.approval != "automatic":
        return 0
    with suppress(NothingThere, DecidedMeanwhile, TooLate):
        subject, why = Subject(night.day), "approval = automatic"
        outcome = decide(night.connection, night.network, Action.APPROVE, subject, who="planner", why=why, at=night.now)
        return outcome.orders
    return 0


def _plan_figures(connection: Connection, day: date) -> dict[str, Any]:
    """Return the day's plan in the report's figures."""
    row = connection.execute(select(plans).where(plans.c.day == day)).one()
    return {
        "plan_id": row.plan_id,
        "moves": row.moves,
        "value_loans": row.value_loans,
        "gap": 1 - row.value_loans / row.bound_loans if row.bound_loans else 0.0,
        "runs": connection.scalar(select(func.count()).where(runs.c.day == day)) or 0,
    }
