"""A day's courier work from first to last: what is open gets dates, dates make crates, crates make runs.

Hubs are solved side by side, each in a process of its own; whatever an engine answers is judged before anyone sees it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from multiprocessing import get_context

from rotation.courier.calendar import Calendar
from rotation.courier.crates import Crate, crates, direct, in_runs
from rotation.courier.legs import Itinerary, Now, OpenTransfer, itineraries
from rotation.courier.problems import Worth, hub_problem
from rotation.courier.runs import HubDay, read_back
from rotation.network import Network
from solver.problem import Problem
from solver.solution import Solution

WORKERS = 2  # processes; a hub's problem keeps one core busy
SOLVES_PER_PROCESS = 20  # OR-Tools keeps memory: 0.9 GB were seen after 25 solves in one process

Solve = Callable[[Problem], Solution]


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What becomes of every open transfer, and the runs of one day."""

    day: date
    itineraries: tuple[Itinerary, ...]
    crates: tuple[Crate, ...]
    hubs: tuple[HubDay, ...]


def plan_day(
    network: Network,
    day: date,
    open_transfers: Iterable[OpenTransfer],
    now: datetime,
    *,
    time_s: float,
    seed: int,
    iterations: int | None = None,
    direct_fill_copies: int | None = None,
) -> DayPlan:
    """Plan a day's runs for all that is open at `now`, the network's time.

    With `iterations` the search ends by their number, and the same seed gives the same routes; `time_s` bounds each hub's
    search. Lanes of at least `direct_fill_copies` go direct; None: all go through a hub.

    Raises
    ------
    PlanRefused
        When an engine answered with a plan that breaks a rule other than leaving a stop out.
    """
    calendar = Calendar(network)
    found = dated(calendar, open_transfers, Now(day, now), direct_fill_copies)
    made = crates(found, network.network.copies_per_crate)
    with processes() as pool:
        solve = partial(solve_alone, time_s=time_s, seed=seed, iterations=iterations)
        hubs = plan_hubs(calendar, day, made, solve, pool)
    return DayPlan(day, tuple(found), tuple(made), tuple(hubs))


def dated(
    calendar: Calendar, open_transfers: Iterable[OpenTransfer], now: Now, direct_fill_copies: int | None
) -> list[Itinerary]:
    """Return every transfer's itinerary, lanes that fill a crate put direct where that is asked for."""
    found = list(itineraries(open_transfers, calendar, now))
    return found if direct_fill_copies is None else direct(found, calendar, direct_fill_copies)


@contextmanager
def processes(workers: int = WORKERS) -> Iterator[Executor]:
    """Keep processes for solving; they start clean and are replaced before an engine's memory grows."""
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=SOLVES_PER_PROCESS) as pool:
        yield pool


def solve_alone(problem: Problem, *, time_s: float, seed: int, iterations: int | None) -> Solution:
    """Solve one hub's problem on one core; imported late, so that planning without solving needs no engine."""
    from solver import Limits, solve

    return solve(problem, Limits(time_s=time_s, iterations=iterations, threads=1, seed=seed))


def plan_hubs(
    calendar: Calendar, day: date, made: Sequence[Crate], solve: Solve, pool: Executor, worth: Worth | None = None
) -> list[HubDay]:
    """Plan the runs of every hub that has crates to bring or fetch on a day, hubs side by side."""
    of_day = [crate for crate in made if crate.day == day and in_runs(crate)]
    hubs = [hub for hub in calendar.network.hubs if any(calendar.hub(crate.from_place) == hub.id for crate in of_day)]
    problems = [hub_problem(calendar, hub, day, of_day, worth) for hub in hubs]
    solutions = pool.map(solve, problems)
    return [
        read_back(calendar, day, hub.id, of_day, problem, solution)
        for hub, problem, solution in zip(hubs, problems, solutions, strict=True)
    ]
