"""A day's courier work from first to last: open transfers get dates, dates make crates, crates make runs.

Hubs are solved side by side, each search in a process of the solver's own; every answer of an engine is judged before
anyone sees it.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event, Timer

from rotation.courier.calendar import Calendar, Visits
from rotation.courier.crates import Crate, crates, direct, in_runs
from rotation.courier.legs import Itinerary, Now, OpenTransfer, itineraries
from rotation.courier.machines import bin_crates
from rotation.courier.omissions import Omission, omissions
from rotation.courier.problems import Worth, hub_problem
from rotation.courier.runs import HubDay, read_back
from rotation.facts.lifecycle import LegKind
from rotation.network import Network, Place
from rotation.store.machines import MachineVisit
from solver.engines import Limits
from solver.problem import Problem, Travel
from solver.solution import Solution
from solver.solve import solve

SIDE_BY_SIDE = max(1, min(8, os.cpu_count() or 1))  # searches at a time: each keeps a core busy

Solve = Callable[[Problem], Solution]


@dataclass(frozen=True, slots=True)
class CourierPlan:
    """The itinerary of every open transfer, the runs of consecutive days, and the copies that wait on each day."""

    days: tuple[date, ...]
    itineraries: tuple[Itinerary, ...]
    crates: tuple[Crate, ...]
    hubs: tuple[HubDay, ...]
    omissions: tuple[Omission, ...]

    @property
    def day(self) -> date:
        """The first day."""
        return self.days[0]


def plan_day(
    network: Network,
    day: date,
    open_transfers: Iterable[OpenTransfer],
    now: datetime,
    *,
    search: Solve,
    announced: Visits | None = None,
    direct_fill_copies: int | None = None,
    worth: Worth | None = None,
    machines: Sequence[MachineVisit] = (),
    known: Iterable[HubDay] = (),
    travel: Travel | None = None,
    pinned: Set[str] = frozenset(),
) -> CourierPlan:
    """Plan a day's runs for all that is open at `now`, the network's time.

    `search` solves a hub's problem: `solve_alone`, or the solver workers. Places by appointment are visited on `announced` days
    only; None: on any that their calendar allows. Lanes of at least `direct_fill_copies` go direct; None: all go through a hub.
    A stop only for transfers that have a `worth` (cents) is served where they are worth the way; every other must be, and so must
    the bins of `machines`; where not all fit, stops of `pinned` transfers come first. A hub's
    day that is `known` with the same crates is not solved again. `travel`: the ways between all located places; None: straight
    lines.

    Raises
    ------
    PlanRejected
        When an engine answered with a plan that breaks a rule other than leaving a stop out.
    """
    calendar = Calendar(network, announced, travel)
    return plan_days(
        calendar, [day], open_transfers, Now(day, now), search, direct_fill_copies, worth, known, machines, pinned
    )


def plan_days(
    calendar: Calendar,
    days: Sequence[date],
    open_transfers: Iterable[OpenTransfer],
    now: Now,
    search: Solve,
    direct_fill_copies: int | None,
    worth: Worth | None = None,
    known: Iterable[HubDay] = (),
    machines: Sequence[MachineVisit] = (),
    pinned: Set[str] = frozenset(),
) -> CourierPlan:
    """Plan some consecutive days as `plan_day` does; direct crates that no run has room for go through their hub after all."""
    through = list(itineraries(open_transfers, calendar, now))
    found = through if direct_fill_copies is None else direct(through, calendar, direct_fill_copies)
    made = _made(found, calendar, days[0], machines)
    hubs = plan_hubs(calendar, days, made, search, known, worth, pinned)
    if left := _direct_left_out(made, hubs):
        found = [one if new.transfer.transfer_id in left else new for one, new in zip(through, found, strict=True)]
        made = _made(found, calendar, days[0], machines)
        hubs = plan_hubs(calendar, days, made, search, hubs, worth, pinned)
    return CourierPlan(tuple(days), tuple(found), tuple(made), tuple(hubs), omissions(found, calendar, days))


def _made(found: Iterable[Itinerary], calendar: Calendar, day: date, machines: Iterable[MachineVisit]) -> list[Crate]:
    """Return the crates of itineraries, and those that machines' bins fill on the first day."""
    made = crates(found, calendar.network)
    return made + bin_crates(machines, made, calendar, day)


def _direct_left_out(made: Iterable[Crate], hubs: Iterable[HubDay]) -> set[str]:
    """Return the transfers in direct crates that are on no run."""
    left = {crate for hub_day in hubs for stop in hub_day.unserved for crate in stop.crates}
    return {
        transfer for crate in made if crate.kind is LegKind.DIRECT and crate.id in left for transfer in crate.transfers
    }


def solve_alone(problem: Problem, *, time_s: float, seed: int, iterations: int | None = None) -> Solution:
    """Solve a hub's problem on a single core; `time_s` ends a search whose iterations do not, as of a single stop.

    With `iterations` that end before, the same seed gives the same routes.
    """
    stop = Event()
    timer = Timer(time_s, stop.set)
    timer.start()
    try:
        return solve(problem, Limits(time_s=time_s, iterations=iterations, threads=1, seed=seed), cancel=stop)
    finally:
        timer.cancel()


def plan_hubs(
    calendar: Calendar,
    days: Iterable[date],
    made: Sequence[Crate],
    search: Solve,
    known: Iterable[HubDay] = (),
    worth: Worth | None = None,
    pinned: Set[str] = frozenset(),
) -> list[HubDay]:
    """Plan the runs of every hub on each of some days, wherever it has crates to bring or fetch; all side by side.

    A hub's day that is `known` with the same crates is not solved again.
    """
    solved = {(one.day, one.hub, one.crates): one for one in known}
    of_hub: dict[tuple[date, str | None], list[Crate]] = defaultdict(list)
    for crate in made:
        if in_runs(crate):
            of_hub[crate.day, calendar.hub(crate.from_place)].append(crate)
    work = [(day, hub, tuple(own)) for day in days for hub in calendar.network.hubs if (own := of_hub[day, hub.id])]

    def planned(day: date, hub: Place, own: tuple[Crate, ...]) -> HubDay:
        if (day, hub.id, own) in solved:
            return solved[day, hub.id, own]
        problem = hub_problem(calendar, hub, day, own, worth, pinned)
        return read_back(calendar, day, hub.id, own, problem, search(problem))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        return list(threads.map(lambda one: planned(*one), work))
