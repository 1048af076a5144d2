"""The night's run: what should move, which vans carry it when, and, where the city lets it, the orders.

Everything is repeatable: a run that was stopped starts again and finds what it had written; a day that is ordered stays
as it is.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection, Engine, delete, insert, select, text
from sqlalchemy.exc import OperationalError

from config import Settings
from config.figures import known
from config.kafka import client
from rotation import dispatch, floors, night, past, rounds, sets, visits, wanted
from rotation.beyond import beyond
from rotation.courier import store as courier
from rotation.courier.day import Plan as Routed
from rotation.courier.day import Solve, plan_day, solve_alone
from rotation.courier.problems import Worth
from rotation.courier.ways import ways
from rotation.courier.worker import Workers
from rotation.dispatch.following import close_days_before
from rotation.network import Network
from rotation.rebalancing.outcome import Code, Floor, Move, Plan
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Settings as RebalancingSettings
from rotation.review import Action, DecidedMeanwhile, NothingThere, Subject, decide, tell_pages
from rotation.sets import OpenSet
from rotation.store.clock import clock_held, read_clock
from rotation.store.engine import driver
from rotation.store.places import PER_KM_LOANS
from rotation.store.planned import is_planned, note_planned
from rotation.store.reading import Names
from rotation.store.snapshot import World, world
from rotation.store.tables import day_plans, legs, plans, runs, transfers
from solver.engines import Limits
from solver.problem import Travel
from solver.roadmap import TravelError

PLANNER_LOCK = 7_276_005  # key of the advisory lock: one planner at a time in the whole network
WORKERS_S = 600.0  # for all hubs' answers; a request waits in Kafka for a worker, and the night is long
ORDER_WAIT = timedelta(
    days=3
)  # what no desk or place has done by then, a closed day and its neighbours, it will not do
CONSENT_WAIT = timedelta(days=7)  # in which an owner who is asked may answer; then the copy is planned anew
A_ROUNDS_SHARE = 0.25  # of the first routing's time, for each round after it
CARRIED = ("proposed", "approved")  # statuses of picks that a day's vans are planned for
PLAIN = RebalancingSettings()


@dataclass(frozen=True, slots=True)
class Report:
    """What one night's run did; times in seconds of the wall clock."""

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


class AnotherPlans(RuntimeError):
    """Another process is planning at this moment."""


def rebalancing_settings(settings: Settings, season: float = 1.0) -> RebalancingSettings:
    """Return what the city set, in the planner's words.

    Raises
    ------
    ValueError
        When `planning` names no setting, or one that has a name of its own here.
    """
    own: dict[str, Any] = {
        "horizon_weeks": float(settings.horizon_weeks),
        "budget_moves": settings.moves_per_day,
        "budget_staff_minutes": settings.staff_minutes_per_day,
        "budget_van_hours": settings.van_hours_per_day,
        "cool_down_weeks": settings.cooldown_days / 7,
        "desk_chance": settings.desk_chance,
        "held_back_share": settings.held_back_share,
        "season": season,
    }
    others = set(RebalancingSettings.__slots__) - own.keys()
    if unknown := sorted(settings.planning.keys() - others):
        raise ValueError(f"planning: {', '.join(unknown)} is no setting; there are {', '.join(sorted(others))}")
    more = {name: type(getattr(PLAIN, name))(value) for name, value in settings.planning.items()}
    return RebalancingSettings(**own, **more)


@dataclass
class Memory:
    """What one night leaves for the next in the same process: its world, so that only what was touched since is read."""

    world: World | None = None


def plan_night(engine: Engine, network: Network, settings: Settings, day: date, memory: Memory | None = None) -> Report:
    """Plan the day `day` before its first van leaves: moves, routes and, unless plans are held for review, orders.

    Raises
    ------
    AnotherPlans
        When a planner is at work already.
    TravelError
        When the routing service that is set does not answer, and nothing may stand in for it.
    """
    travel = ways(network, settings)
    with engine.connect() as connection, alone(connection):
        now = read_clock(connection).now()
        _call_off_what_was_left(connection, day, now)
        close_days_before(driver(connection).cursor(), day)
        begin = time.perf_counter()
        decided = _moves(connection, network, settings, day, now, memory or Memory())
        plan_s = time.perf_counter() - begin
        unserved = _routes(connection, network, settings, day, now, decided, travel)
        routes_s = time.perf_counter() - begin - plan_s
        orders = _approve_and_order(connection, network, day, now) if settings.approval == "automatic" else 0
        note_planned(connection, day)
        tell_pages(connection)
        count = len(connection.execute(select(runs.c.run_id).where(runs.c.day == day)).all())
        connection.commit()
        planned = _told(connection, day)
    return Report(day=day, plan_s=plan_s, routes_s=routes_s, runs=count, unserved=unserved, orders=orders, **planned)


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Plan alone while the context lasts; raises AnotherPlans where someone is at it, and rolls back what was not committed."""
    taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": PLANNER_LOCK}).scalar()
    if not taken:
        raise AnotherPlans("another planner is at work; it will finish in a minute, or see its log")
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": PLANNER_LOCK})
        connection.commit()


# --- 1. What should move ----------------------------------------------------------------------------------------------


class _Decided(NamedTuple):
    """What this night decided, and what it was decided from."""

    found: World
    chosen: RebalancingSettings
    plan: Plan


def _moves(
    connection: Connection, network: Network, settings: Settings, day: date, now: datetime, memory: Memory
) -> _Decided | None:
    """Decide the day's picks and keep them with the night's prices; None where that was done before."""
    if connection.execute(select(plans).where(plans.c.day == day)).first() is not None:
        return None
    found = memory.world = nights_world(connection, network, settings, day, now, memory.world)
    chosen = rebalancing_settings(settings, found.season)
    decided = _Decided(found, chosen, plan(found.snapshot, chosen, settings.seed))
    _keep(connection, network, day, decided, settings)
    _propose(connection, network, day, found, decided.plan)
    return decided


def _told(connection: Connection, day: date) -> dict[str, Any]:
    """Return what the night's report tells of the day's plan."""
    row = connection.execute(select(plans).where(plans.c.day == day)).one()
    return {
        "plan_id": row.plan_id,
        "moves": row.moves,
        "value_loans": row.value_loans,
        "gap": 1 - row.value_loans / row.bound_loans if row.bound_loans else 0.0,
    }


def nights_world(
    connection: Connection, network: Network, settings: Settings, day: date, now: datetime, last: World | None = None
) -> World:
    """Read what a night plans the day with; of what `last` read, only what was touched since."""
    found = world(
        driver(connection), network, now, history_weeks=settings.history_weeks, visited=visits.planned_for(network, day),
        horizon_weeks=settings.horizon_weeks, local_first_days=settings.local_first_days, last=last,
    )  # fmt: skip
    return visits.credited(connection, network, found, day)


def _keep(connection: Connection, network: Network, day: date, made: _Decided, settings: Settings) -> None:
    """Write a night's prices and figures, in place of those of the round before."""
    found, chosen, decided = made
    plan_id = _plan_id(day)
    connection.execute(delete(plans).where(plans.c.plan_id == plan_id))
    connection.execute(
        insert(plans),
        {
            "plan_id": plan_id,
            "day": day,
            "snapshot_at": found.at,
            "seed": settings.seed,
            "moves": len(decided.moves),
            "value_loans": decided.value,
            "bound_loans": decided.bound,
            "seconds": sum(decided.seconds.values()),
            "details": _details(network, decided, found.names),
        },
    )
    night.keep(connection, plan_id, decided, found.names)
    if settings.publish_targets:
        wanted.publish(driver(connection), plan_id, found, decided.rates, decided.prices, chosen)


def _plan_id(day: date) -> str:
    return f"plan-{day:%Y%m%d}"


def _propose(connection: Connection, network: Network, day: date, found: World, decided: Plan) -> None:
    """Write a night's moves in place of the round before's; they are proposed until someone, or the setting, approves them.

    Those to an owner who is asked first wait for that; those held back are kept to be compared with the others.
    """
    plan_id = _plan_id(day)
    before = select(transfers.c.transfer_id).where(transfers.c.plan_id == plan_id)
    connection.execute(delete(legs).where(legs.c.transfer_id.in_(before)))
    connection.execute(delete(transfers).where(transfers.c.plan_id == plan_id))
    open_sets, asks = sets.still_open(driver(connection), day), _asks(network, found)
    decided_on = visits.Decided(plan_id, day, visits.planned_for(network, day))
    on = {**dict.fromkeys(network.place, day), **decided_on.on}  # what has no home leaves whenever it can
    moved = [move for move in decided.moves if move.origin != move.destination]  # what has no home may stay
    rows = [
        _transfer(move, found, plan_id, on, "asked" if asks(move) else "proposed")
        | {"set_id": _set(open_sets, move, found)}
        for move in moved
    ] + [_transfer(move, found, plan_id, on, "held_back") | {"set_id": None} for move in decided.held_back]
    visits.announce(connection, network, decided_on, found, rows)  # before its own moves wait too
    if rows:
        connection.execute(insert(transfers), rows)


def _tell_of_visits(connection: Connection, day: date) -> None:
    """Tell rooms of the visits that the night announced, with the moves that stand."""
    of_plan = select(transfers).where(transfers.c.plan_id == _plan_id(day)).order_by(transfers.c.transfer_id)
    visits.tell(connection, _plan_id(day), [dict(row) for row in connection.execute(of_plan).mappings()])


def _set(open_sets: Sequence[OpenSet], move: Move, found: World) -> str | None:
    """Return the set that a move fills, if it was made for one."""
    if move.reason.code is not Code.REQUESTED:
        return None
    names, cls = found.names, int(found.snapshot.titles.cls[move.title])
    return sets.filled(open_sets, names.places[move.destination], names.titles[move.title], names.classes[cls])


def _asks(network: Network, found: World) -> Callable[[Move], bool]:
    """Return what says whether a move needs its owner's word: the copy's owner lends there only when asked."""
    owners = dict(enumerate(network.owners, 1))
    copies, places = found.snapshot.copies, found.snapshot.places

    def asks(move: Move) -> bool:
        owner, other = owners.get(int(copies.owner[move.copy])), owners.get(int(places.owner[move.destination]))
        return owner is not None and other is not None and not owner.lets(other.id)

    return asks


def _transfer(move: Move, found: World, plan_id: str, on: Mapping[str, date], status: str) -> dict[str, Any]:
    names = found.names
    numbers = {key: round(float(number), 4) for key, number in move.reason.numbers.items()}
    interval = {"gain_low": round(move.gain_low, 4), "gain_high": round(move.gain_high, 4)}
    return {
        "transfer_id": f"{plan_id}-{names.copies[move.copy]}",
        "copy_id": names.copies[move.copy],
        "title_id": names.titles[move.title],
        "from_place_id": names.places[move.origin],
        "to_place_id": names.places[move.destination],
        "kind": "pick",
        "status": status,
        "plan_id": plan_id,
        "day": on[names.places[move.origin]],
        "gain_loans": move.gain,
        "reason": {"code": str(move.reason.code), **interval, **numbers},
        "created_at": found.at,
        "changed_at": found.at,
    }


def _details(network: Network, decided: Plan, names: Names) -> dict[str, Any]:
    """Return what the page shows of a plan beside its moves."""
    ways = [(names.places[move.origin], names.places[move.destination]) for move in decided.moves]
    more = beyond(network, ways, PER_KM_LOANS)
    return {
        "gap": decided.gap,
        "move_price": decided.prices.move,
        "staff_minute_price": decided.prices.staff_minute,
        "van_hour_price": decided.prices.van_hour,
        "rounds": decided.rounds,
        "seconds": dict(decided.seconds),
        "lost_to_owners": decided.lost_to_owners,
        "lost_to_lots": decided.lost_to_lots,
        "cost_of_crates": more.crates,
        "cost_of_lanes": more.lanes,
        "held_back": len(decided.held_back),
        "refused": {why: len(rows) for why, rows in decided.refused.items()},
        "floors": [_floor(one, names) for one in decided.floors],
        "floors_unset": [asdict(one) for one in floors.unset(network, known())],
        "purchases": [{"title": names.titles[one.title], "worth": one.worth} for one in decided.purchases],
        "weeding": [
            {
                "copy": names.copies[one.copy],
                "title": names.titles[one.title],
                "place": names.places[one.place],
                "worth": one.worth,
            }
            for one in decided.weeding
        ],
    }


def _floor(floor: Floor, names: Names) -> dict[str, Any]:
    cls = names.classes[floor.cls] if floor.cls >= 0 else None
    return {**asdict(floor), "place": names.places[floor.place], "cls": cls}


# --- 2. Which vans carry it -------------------------------------------------------------------------------------------


def _routes(
    connection: Connection, network: Network, settings: Settings, day: date, now: datetime, decided: _Decided | None,
    travel: Travel | None,
) -> int:  # fmt: skip
    """Plan the day's runs for all that waits and all that was decided; a day that is ordered stays. Count the unserved.

    Picks that no van is worth sending for are decided anew, where it was decided tonight.
    """
    ordered = connection.execute(select(day_plans.c.status).where(day_plans.c.day == day)).scalars().all()
    if not {"ordered", "done"} & set(ordered):
        with searching(settings, settings.route_seconds) as search:
            vans = _Vans(connection, network, settings, day, now, travel, search)
            first = vans.route()
        if decided and settings.loan_cents:
            with searching(settings, A_ROUNDS_SHARE * settings.route_seconds) as vans.search:
                _with_the_vans(vans, decided, first)
    if decided:
        _tell_of_visits(connection, day)
    connection.commit()
    unserved = connection.execute(select(day_plans.c.unserved).where(day_plans.c.day == day)).scalars()
    return sum(len(some) for some in unserved)


@dataclass
class _Vans:
    """The day's routing, as often as it is asked; hubs whose crates are the same are not solved again."""

    connection: Connection
    network: Network
    settings: Settings
    day: date
    now: datetime
    travel: Travel | None
    search: Solve
    worth: Worth = field(default_factory=dict)  # of the picks last routed
    last: Routed | None = None

    def route(self) -> Routed:
        """Route all that waits and all that is decided, and write it in place of what was routed before."""
        waiting = past.to_carry(self.connection, self.network, self.day)
        self.worth = self._worth()
        known = self.last.hubs if self.last else ()
        self.last = plan_day(
            self.network, self.day, waiting, self.now, search=self.search,
            announced=visits.announced(self.connection, self.day), worth=self.worth, known=known, travel=self.travel,
        )  # fmt: skip
        courier.write_days(self.connection, self.last, self.now)
        return self.last

    def _worth(self) -> Worth:
        if not self.settings.loan_cents:
            return {}
        of_plan = (transfers.c.day == self.day) & (transfers.c.kind == "pick") & transfers.c.status.in_(CARRIED)
        columns = (transfers.c.transfer_id, transfers.c.reason["code"].astext, transfers.c.gain_loans)
        picks = ((one, code, gain) for one, code, gain in self.connection.execute(select(*columns).where(of_plan)))
        return rounds.worth(picks, self.settings.loan_cents)


def _with_the_vans(vans: _Vans, decided: _Decided, routed: Routed) -> None:
    """Decide anew without what no van will do, two or three rounds in all, and let the best of them stand."""
    loan_cents, (found, chosen, _) = vans.settings.loan_cents, decided

    def attempt(closed: rounds.Closed) -> rounds.Round:
        snapshot = rounds.without(found.snapshot, closed, found.names.place_row)
        other = plan(snapshot, chosen, vans.settings.seed)
        _propose(vans.connection, vans.network, vans.day, found, other)
        return rounds.judged(other, vans.route(), vans.worth, loan_cents)

    first = rounds.judged(decided.plan, routed, vans.worth, loan_cents)
    tried = rounds.together(first, lambda one: rounds.unvisited(one.routed, vans.worth, vans.network), attempt)
    best = rounds.best(tried)
    if best is not first:
        _keep(vans.connection, vans.network, vans.day, decided._replace(plan=best.decided), vans.settings)
    if best is not tried[-1]:
        _propose(vans.connection, vans.network, vans.day, found, best.decided)
        courier.write_days(vans.connection, best.routed, vans.now)


@contextmanager
def searching(settings: Settings, time_s: float) -> Iterator[Solve]:
    """Yield what solves a hub's problem within `time_s`: this process, or whichever solver worker is free."""
    seed = settings.seed
    if settings.solving == "here":
        yield partial(solve_alone, time_s=time_s, seed=seed)
        return
    workers = Workers(client(settings), Limits(time_s=time_s, threads=1, seed=seed), WORKERS_S)
    try:
        yield workers
    finally:
        workers.close()


# --- 3. Orders --------------------------------------------------------------------------------------------------------


def _approve_and_order(connection: Connection, network: Network, day: date, now: datetime) -> int:
    """Approve the whole day, as the setting says, and order it in the same transaction; nothing to approve is no orders."""
    with suppress(NothingThere, DecidedMeanwhile):
        why = "approval = automatic"
        return decide(connection, network, Action.APPROVE, Subject(day), who="planner", why=why, at=now).orders
    return 0


def _call_off_what_was_left(connection: Connection, day: date, now: datetime) -> None:
    """Cancel what nobody approved, picked or sent, so that it is decided anew and holds no room in crates."""
    ours = transfers.c.kind.in_(["pick", "placement"])
    not_approved = transfers.c.status.in_(["proposed", "approved"]) & (transfers.c.day < day)
    not_agreed = (transfers.c.status == "asked") & (transfers.c.day < day - CONSENT_WAIT)
    not_followed = (transfers.c.status == "ordered") & (transfers.c.created_at < now - ORDER_WAIT)
    left = connection.execute(
        select(transfers.c.transfer_id).where(ours, not_approved | not_agreed | not_followed)
    ).scalars()
    dispatch.cancel(connection, list(left), now)


# --- Night after night ------------------------------------------------------------------------------------------------

LOOK_S = 0.5  # how often the clock is looked at: a simulated day may last half a minute
AWAY_S = 2.0  # between looks for a database that does not answer

log = structlog.get_logger(__name__)


def nights(engine: Engine, network: Network, settings: Settings, stop: Event, tell: Callable[[Report], None]) -> None:
    """Plan each day when its time has come, until `stop` is set.

    A simulated clock stands still meanwhile: the seconds that planning takes would be hours of its day. Where another holds it
    already, the city is catching up, and what it has to tell is waited for. While the database or the routing service is away
    nothing is planned; what it had been told before is found again.
    """
    memory = Memory()
    while not stop.wait(LOOK_S):
        try:
            _plan_what_is_due(engine, network, settings, tell, memory)
        except OperationalError as error:
            log.warning("database_unreachable", error=str(error.orig).strip())
            stop.wait(AWAY_S)
        except TravelError as error:
            log.warning(
                "roads_unreachable", error=str(error), setting="roads_fall_back = true lets straight lines stand in"
            )
            stop.wait(AWAY_S)


def _plan_what_is_due(
    engine: Engine, network: Network, settings: Settings, tell: Callable[[Report], None], memory: Memory
) -> None:
    with engine.begin() as connection:
        day = _due(connection, network, settings)
    if day is not None:
        with clock_held(engine) as ours, suppress(AnotherPlans):
            if ours:
                tell(plan_night(engine, network, settings, day, memory))


def _due(connection: Connection, network: Network, settings: Settings) -> date | None:
    """Return today where its planning time has come and nothing was planned yet; days of the past have no night."""
    if past.stands_still(connection):
        return None
    now = read_clock(connection).now().astimezone(network.timezone)
    if f"{now:%H:%M}" < settings.plan_at:
        return None
    return None if is_planned(connection, now.date()) else now.date()
