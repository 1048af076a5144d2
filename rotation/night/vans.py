"""Which vans carry it: the day's runs, and with them a second look at the picks that no van is worth sending for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from sqlalchemy import Connection, select

from config import Settings
from config.kafka import client
from rotation.courier import store as courier
from rotation.courier.day import CourierPlan as Routed
from rotation.courier.day import Solve, plan_day, solve_alone
from rotation.courier.legs import OpenTransfer
from rotation.courier.machines import keep as keep_visits
from rotation.courier.problems import Worth
from rotation.courier.worker import Workers
from rotation.dispatch.marks import pinned
from rotation.facts.lifecycle import PLANNED, AlertKind, DayPlanState, TransferKind
from rotation.network import Network
from rotation.night import machines, rounds, visits
from rotation.night.moves import Decided, Night, keep, propose, tell_of_visits
from rotation.rebalancing.plan import plan
from rotation.store.clock import read_clock
from rotation.store.machines import MachineVisit
from rotation.store.planned import stands_still
from rotation.store.tables import day_plans, transfers
from solver.engines import Limits
from solver.problem import Travel

# Seconds for all hubs' answers: a request waits in Kafka for a worker, and the night is long.
WORKERS_S = 600.0
# Share of the first routing's time that each further round gets.
FURTHER_ROUND_SHARE = 0.25


def route(night: Night, decided: Decided | None, travel: Travel | None) -> int:
    """Plan the day's runs for all copies that wait or were decided to move; return how many stops no van serves.

    A day that is ordered stays as it is. Picks that no van is worth sending for are decided again, if tonight decided them.
    """
    connection, settings = night.connection, night.settings
    statuses = connection.execute(select(day_plans.c.status).where(day_plans.c.day == night.day)).scalars().all()
    if not {DayPlanState.ORDERED, DayPlanState.DONE} & set(statuses):
        with searching(settings, settings.route_seconds) as search:
            vans = _Vans(night, travel, search)
            first = vans.route()
        if decided and settings.loan_cents:
            with searching(settings, FURTHER_ROUND_SHARE * settings.route_seconds) as vans.search:
                _decide_with_the_vans(vans, decided, first)
    if decided:
        tell_of_visits(night)
    connection.commit()
    unserved = connection.execute(select(day_plans.c.unserved).where(day_plans.c.day == night.day)).scalars()
    return sum(len(stops) for stops in unserved)


@dataclass
class _Vans:
    """The day's routing, for every round; a hub whose crates are the same as before is not solved again."""

    night: Night
    travel: Travel | None
    search: Solve
    worth: Worth = field(default_factory=dict)  # of the picks last routed
    last: Routed | None = None
    due: Sequence[MachineVisit] = ()  # at machines

    def route(self) -> Routed:
        """Route all copies that wait or are decided to move, and write the runs in place of the round before's."""
        night = self.night
        waiting = to_carry(night.connection, night.network, night.day)
        self.due = machines.due(night.connection, night.network)
        self.worth = self._worth()
        known = self.last.hubs if self.last else ()
        self.last = plan_day(
            night.network,
            night.day,
            waiting,
            night.now,
            search=self.search,
            announced=visits.announced(night.connection, night.day),
            worth=self.worth,
            pinned=pinned(night.connection),
            machines=self.due,
            known=known,
            travel=self.travel,
        )
        courier.write_days(night.connection, self.last, night.now)
        keep_visits(night.connection, night.day, self.due, self.last.crates)
        return self.last

    def _worth(self) -> Worth:
        if not self.night.settings.loan_cents:
            return {}
        of_day = (
            (transfers.c.day == self.night.day)
            & (transfers.c.kind == TransferKind.PICK)
            & transfers.c.status.in_(PLANNED)
            & transfers.c.transfer_id.not_in(pinned(self.night.connection))
            # A nearly empty machine is to be filled, whatever the way costs.
            & transfers.c.to_place_id.not_in([one.place_id for one in self.due if one.why is AlertKind.NEARLY_EMPTY])
        )
        columns = (transfers.c.transfer_id, transfers.c.reason["code"].astext, transfers.c.gain_loans)
        picks = (
            (pick, code, gain) for pick, code, gain in self.night.connection.execute(select(*columns).where(of_day))
        )
        return rounds.worth(picks, self.night.settings.loan_cents)


def _decide_with_the_vans(vans: _Vans, decided: Decided, routed: Routed) -> None:
    """Decide again without the picks that no van will do, two or three rounds in all, and keep the best round."""
    night, loan_cents = vans.night, vans.night.settings.loan_cents

    def attempt(closed: rounds.Closed) -> rounds.Round:
        snapshot = rounds.without(decided.world.snapshot, closed, decided.world.names.place_row)
        other = plan(snapshot, decided.chosen, night.settings.seed)
        propose(night, decided._replace(plan=other))
        return rounds.judged(other, vans.route(), vans.worth, loan_cents)

    first = rounds.judged(decided.plan, routed, vans.worth, loan_cents)
    tried = rounds.together(first, lambda last: rounds.unvisited(last.routed, vans.worth, night.network), attempt)
    best = rounds.best(tried)
    chosen = decided._replace(plan=best.decided)
    if best is not first:
        keep(night, chosen)
    if best is not tried[-1]:
        propose(night, chosen)
        courier.write_days(night.connection, best.routed, night.now)
        keep_visits(night.connection, night.day, vans.due, best.routed.crates)


def to_carry(connection: Connection, network: Network, day: date) -> list[OpenTransfer]:
    """Return a plan of `day`'s possible transfers: all open ones; on days that stand still, the copies sent on the last of them.

    No row tells where older copies are: years of them would fill the vans of a morning.
    """
    waiting = courier.open_transfers(connection, network, day)
    if not stands_still(connection):
        return waiting
    last = network.day_of(read_clock(connection).network_at)
    return [one for one in waiting if one.since and network.day_of(one.since) == last]


@contextmanager
def searching(settings: Settings, time_s: float) -> Iterator[Solve]:
    """Yield a solver for a hub's problem that takes `time_s`: this process, or whichever solver worker is free."""
    seed = settings.seed
    if settings.solving == "here":
        yield partial(solve_alone, time_s=time_s, seed=seed)
        return
    workers = Workers(client(settings), Limits(time_s=time_s, threads=1, seed=seed), WORKERS_S)
    try:
        yield workers
    finally:
        workers.close()
