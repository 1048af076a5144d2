"""A day as planned and as it goes: hubs, runs, stops, transfers, unserved crates. Pages and API read it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, func, literal, or_, select

from rotation.facts.arrivals import arrivals
from rotation.facts.lifecycle import SENT_OUT, LegKind, StopState
from rotation.language.natural import natural, natural_sql
from rotation.store.tables import day_plans, decisions, legs, runs, stops, titles, transfers

PAGE_ROWS = 60  # transfers on one page: what a person scrolls through, and a browser draws at once
LONGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StopLine:
    """A visit of a run. Instants are UTC; crates are handed over, taken, and in the van afterwards."""

    position: int
    place_id: str
    arrives_at: datetime
    begins_at: datetime
    departs_at: datetime
    deliver_crates: int
    collect_crates: int
    load_after_crates: int
    status: str
    done_at: datetime | None
    expected_at: datetime | None = None  # when its service began or will begin, by the scans and the clock
    late: bool = False


@dataclass(frozen=True, slots=True)
class RunLine:
    """A van's run."""

    run_id: str
    day_plan_id: str
    day: date
    hub_id: str
    van_id: str
    status: str
    departs_at: datetime
    returns_at: datetime
    distance_m: int
    cost_cents: int
    largest_load_crates: int
    stops: tuple[StopLine, ...]
    revision: int = 0  # how often it was ordered

    @property
    def done(self) -> int:
        """How many stops are done."""
        return sum(stop.status == StopState.DONE for stop in self.stops)

    @property
    def missed(self) -> int:
        """How many stops were missed."""
        return sum(stop.status == StopState.MISSED for stop in self.stops)

    @property
    def late(self) -> int:
        """How many stops were or will be served late."""
        return sum(stop.late for stop in self.stops)

    @property
    def crates(self) -> int:
        """Crates handed over and taken."""
        return sum(stop.deliver_crates + stop.collect_crates for stop in self.stops)


@dataclass(frozen=True, slots=True)
class HubPlan:
    """A hub's plan of a day, and the decision on it."""

    day_plan_id: str
    day: date
    hub_id: str
    status: str
    version: int
    created_at: datetime
    unserved: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """Decisions, by whom, when, and why."""

    decided_at: datetime
    who: str
    what: str
    subject: str
    why: str | None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A copy's transfer from a place to another."""

    transfer_id: str
    copy_id: str
    title_id: str | None
    title: str | None
    from_place_id: str
    to_place_id: str
    kind: str
    status: str
    day: date | None
    gain_loans: float | None
    reason: Mapping[str, Any]
    crate_id: str | None


@dataclass(frozen=True, slots=True)
class LegLine:
    """A dated part of a transfer's way."""

    position: int
    kind: str
    from_place_id: str
    to_place_id: str
    day: date
    run_id: str | None
    crate_id: str | None
    status: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which transfers of a day: all of them, or those of a run, a place, a kind, a status, or whose ids or title hold `text`."""

    run: str = ""
    place: str = ""
    kind: str = ""
    status: str = ""
    text: str = ""
    page: int = 1
    rows: int = PAGE_ROWS


def days(connection: Connection) -> list[date]:
    """Return the days that have a plan, in order."""
    return list(connection.scalars(select(day_plans.c.day).distinct().order_by(day_plans.c.day)))


def day_shown(planned: Sequence[date], today: date) -> date:
    """Return the day to look at: the next planned day from today on, else the last planned day, else today."""
    return next((day for day in planned if day >= today), planned[-1] if planned else today)


def hub_plans(connection: Connection, day: date) -> list[HubPlan]:
    """Return the day's plans, by hub."""
    columns = [
        day_plans.c[name] for name in ("day_plan_id", "day", "hub_id", "status", "version", "created_at", "unserved")
    ]
    rows = connection.execute(select(*columns).where(day_plans.c.day == day).order_by(natural_sql(day_plans.c.hub_id)))
    return [HubPlan(**{**row._mapping, "unserved": tuple(row.unserved or ())}) for row in rows]


def runs_of(connection: Connection, day: date, now: datetime) -> list[RunLine]:
    """Return the day's runs with their stops, as they go at the network's time `now`."""
    return _with_stops(connection, runs.c.day == day, now)


def run_of(connection: Connection, run_id: str, now: datetime) -> RunLine | None:
    """Return a run as it goes at the network's time `now`, or None if no run has that id."""
    found = _with_stops(connection, runs.c.run_id == run_id, now)
    return found[0] if found else None


def _with_stops(connection: Connection, which: ColumnElement[bool], now: datetime) -> list[RunLine]:
    rows = sorted(connection.execute(select(runs).where(which)).all(), key=_by_van)
    its_stops: defaultdict[str, list[StopLine]] = defaultdict(list)
    of_runs = stops.c.run_id.in_([row.run_id for row in rows])
    for stop in connection.execute(select(stops).where(of_runs).order_by(stops.c.run_id, stops.c.position)):
        its_stops[stop.run_id].append(StopLine(*stop[1:]))
    return [RunLine(**row._mapping, stops=_expected(row.status, its_stops[row.run_id], now)) for row in rows]


def _by_van(run: Row[Any]) -> tuple[Any, ...]:
    return natural(run.hub_id), natural(run.van_id), run.departs_at


def _expected(status: str, its_stops: Sequence[StopLine], now: datetime) -> tuple[StopLine, ...]:
    """Return a run's stops with their expected arrivals if its van is ordered to drive."""
    if status not in SENT_OUT:
        return tuple(its_stops)
    expected = zip(its_stops, arrivals(its_stops, now), strict=True)
    return tuple(replace(stop, expected_at=arrival.at, late=arrival.late) for stop, arrival in expected)


def decisions_of(connection: Connection, subjects: Sequence[str], limit: int = 50) -> list[DecisionLine]:
    """Return the last decisions on these subjects, the newest first."""
    wanted = select(decisions).where(decisions.c.subject.in_(subjects)).order_by(decisions.c.id.desc()).limit(limit)
    return [_decision(row) for row in connection.execute(wanted)]


def all_decisions(connection: Connection, limit: int = 200) -> list[DecisionLine]:
    """Return everyone's last decisions, the newest first."""
    query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
    return [_decision(row) for row in connection.execute(query)]


def _decision(row: Row[Any]) -> DecisionLine:
    return DecisionLine(row.decided_at, row.who, row.what, row.subject, row.why, row.details)


# --- Transfers ---------------------------------------------------------------


def transfers_of(connection: Connection, day: date, wanted: Wanted) -> list[Transfer]:
    """Return a page of the day's transfers."""
    rows = min(wanted.rows, LONGEST_PAGE)
    query = (
        _transfers()
        .where(*_conditions(day, wanted))
        .order_by(natural_sql(transfers.c.from_place_id), natural_sql(transfers.c.transfer_id))
    )
    return [Transfer(*row) for row in connection.execute(query.limit(rows).offset((wanted.page - 1) * rows))]


def count_transfers(connection: Connection, day: date, wanted: Wanted) -> int:
    """Return how many transfers of the day are wanted, on all pages."""
    query = select(func.count()).select_from(_joined()).where(*_conditions(day, wanted))
    return connection.scalar(query) or 0


def transfers_by_status(connection: Connection, day: date) -> dict[str, int]:
    """Return how many transfers of the day are in each status."""
    query = select(transfers.c.status, func.count()).where(_of_day(day)).group_by(transfers.c.status)
    return dict(connection.execute(query).all())


def transfer_of(connection: Connection, transfer_id: str) -> tuple[Transfer, list[LegLine]] | None:
    """Return a transfer and its way, or None where there is none of that id."""
    row = connection.execute(_transfers().where(transfers.c.transfer_id == transfer_id)).first()
    if row is None:
        return None
    way = connection.execute(select(legs).where(legs.c.transfer_id == transfer_id).order_by(legs.c.position))
    return Transfer(*row), [LegLine(*leg[1:]) for leg in way]


def _joined() -> Any:
    return transfers.outerjoin(titles, titles.c.title_id == transfers.c.title_id)


def _transfers() -> Select[Any]:
    of_transfer = [transfers.c[name] for name in ("transfer_id", "copy_id", "title_id")]
    rest = ("from_place_id", "to_place_id", "kind", "status", "day", "gain_loans", "reason", "crate_id")
    return select(*of_transfer, titles.c.name, *(transfers.c[name] for name in rest)).select_from(_joined())


def _of_day(day: date) -> ColumnElement[bool]:
    travelling = select(legs.c.transfer_id).where(legs.c.day == day)
    return or_(transfers.c.day == day, transfers.c.transfer_id.in_(travelling))


def _conditions(day: date, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [_of_day(day)]
    if wanted.run:
        conditions.append(transfers.c.transfer_id.in_(select(legs.c.transfer_id).where(legs.c.run_id == wanted.run)))
    if wanted.place:
        conditions.append(or_(transfers.c.from_place_id == wanted.place, transfers.c.to_place_id == wanted.place))
    if wanted.kind:
        conditions.append(transfers.c.kind == wanted.kind)
    if wanted.status:
        conditions.append(transfers.c.status == wanted.status)
    if wanted.text:
        conditions.append(_mentions(wanted.text))
    return conditions


def _mentions(text: str) -> ColumnElement[bool]:
    fields = (transfers.c.copy_id, transfers.c.title_id, titles.c.name, transfers.c.crate_id, transfers.c.transfer_id)
    return or_(*(field.icontains(text, autoescape=True) for field in fields))


# --- Crates at a stop ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StopCrate:
    """A crate to hand over at a stop (`deliver`), or copies to take there that are not in a known crate yet (`collect`)."""

    place_id: str
    kind: str
    crate_id: str | None
    copies: int


def crates_of(connection: Connection, run_id: str) -> list[StopCrate]:
    """Return the crates that a run hands over and takes, by place."""
    rows = [row for kind, at in _ENDS.items() for row in connection.execute(_crates(run_id, kind, at))]
    return sorted(
        (StopCrate(*row) for row in rows), key=lambda crate: (crate.place_id, crate.kind, crate.crate_id or "")
    )


_ENDS: Mapping[str, Column[Any]] = {LegKind.DELIVER: legs.c.to_place_id, LegKind.COLLECT: legs.c.from_place_id}


def _crates(run_id: str, kind: str, at: Column[Any]) -> Select[Any]:
    of_run = legs.c.kind.in_([kind, LegKind.DIRECT]) & (
        legs.c.run_id == run_id
    )  # a direct crate is taken and handed over
    return select(at, literal(kind), legs.c.crate_id, func.count()).where(of_run).group_by(at, legs.c.crate_id)
