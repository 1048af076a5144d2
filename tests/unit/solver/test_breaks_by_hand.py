"""The judge beside an independent search of every start, on thousands of small random runs with breaks."""

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import pytest

from solver.check import ProblemError
from solver.evaluate import evaluate
from solver.instance import compiled
from solver.problem import Problem, Run
from solver.solution import Solution
from tests.unit.solver.days import day, stop, van

PLACES, HORIZON_S = 5, 40
LINE = {
    "places": [str(place) for place in range(PLACES)],
    "metres": [[abs(a - b) for b in range(PLACES)] for a in range(PLACES)],
    "seconds": [[2 * abs(a - b) for b in range(PLACES)] for a in range(PLACES)],
}
Hours = list[list[int]]


class Call(NamedTuple):
    """A visit or a break: where (None on the road), its hours, and how long."""

    place: int | None
    hours: Hours
    length_s: int


class Drive(NamedTuple):
    late_s: int
    start_s: int
    end_s: int


def hours_of(random: random.Random, most: int) -> Hours:
    bounds = sorted(random.sample(range(HORIZON_S), 2 * random.randint(0, most)))
    return [list(pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]


def drawn(random: random.Random) -> Problem:
    """Return a day of a van with one or two breaks."""
    places = random.sample(range(1, PLACES), random.randint(1, 3))
    stops = [stop(place, windows=hours_of(random, 2), service_s=random.randint(0, 3)) for place in places]
    breaks = [
        {"id": f"b{number}", "length_s": random.randint(1, 5), "windows": hours_of(random, 2) or [[5, 20]]}
        for number in range(random.randint(1, 2))
    ]
    begin_s = random.randint(0, 15)
    fields: dict[str, Any] = {"max_duration_s": random.randint(8, 30)} if random.random() < 0.5 else {}
    fleet = [van(breaks=breaks, shift=[begin_s, random.randint(begin_s, HORIZON_S)], **fields)]
    return day(*stops, vans=fleet, travel=LINE)


def days(random: random.Random) -> Iterator[Problem]:
    """Yield days; one whose stops are all outside the shift is refused, as it must be another one."""
    while True:
        with suppress(ProblemError):
            yield drawn(random)


def run_of(problem: Problem, random: random.Random) -> list[str]:
    """Return its stops in any order, and its breaks anywhere among them, if not left out."""
    visits = [one.id for one in problem.stops]
    random.shuffle(visits)
    for rest in problem.vans[0].breaks:
        if random.random() < 0.7:
            visits.insert(random.randint(0, len(visits)), f"break:{rest.id}")
    return visits


def first_open(hours: Hours, clock: int) -> list[int]:
    return next((span for span in hours if span[1] >= clock), hours[-1]) if hours else [0, 10**6]


def go(calls: list[Call], start_s: int) -> Drive:
    """Drive as a person would: a rest begins where its hours find the van, on the road or at the next place."""
    clock, here, late, waiting = start_s, 0, 0, list[Call]()
    for call in [*calls, Call(0, [], 0)]:
        if call.place is None:
            waiting.append(call)
            continue
        left = 2 * abs(call.place - here)
        for rest in waiting:
            opens, closes = first_open(rest.hours, clock)
            driven = min(left, max(0, opens - clock))
            clock, left = max(clock + driven, opens), left - driven
            late, clock = late + max(0, clock - closes), clock + rest.length_s
        opens, closes = first_open(call.hours, clock + left)
        clock = max(clock + left, opens)
        late, clock, here, waiting = late + max(0, clock - closes), clock + call.length_s, call.place, []
    return Drive(late, start_s, clock)


def right_starts(problem: Problem, visits: list[str]) -> Iterator[Drive]:
    """Yield the drives from each start that break no rule."""
    mine = problem.vans[0]
    calls = {one.id: Call(int(one.place or 0), _hours(one), one.service_s) for one in problem.stops}
    rests = {f"break:{one.id}": Call(None, _hours(one), one.length_s) for one in mine.breaks}
    for start_s in range(mine.shift.from_s, mine.shift.until_s + 1):
        drive = go([(calls | rests)[visit] for visit in visits], start_s)
        lacking = [rest for name, rest in rests.items() if name not in visits and not _outside(rest, drive)]
        long = mine.max_duration_s is not None and drive.end_s - start_s > mine.max_duration_s
        if not (drive.late_s or lacking or long or drive.end_s > mine.shift.until_s):
            yield drive


def _hours(one: Any) -> Hours:
    return [[span.from_s, span.until_s] for span in one.windows]


def _outside(rest: Call, drive: Drive) -> bool:
    """Whether the rest is over when the run begins, or can begin after it ends."""
    return any(span[0] + rest.length_s <= drive.start_s or span[1] >= drive.end_s for span in rest.hours)


@pytest.mark.parametrize("seed", range(10))
def test_the_judge_finds_the_shortest_right_start_where_there_is_one(seed):
    rng = random.Random(seed)
    for problem in islice(days(rng), 100):
        instance = compiled(problem)
        for visits in (run_of(problem, rng) for _ in range(10)):
            report = evaluate(instance, Solution(runs=[Run(van="v", visits=visits)])).runs[0]
            lengths = [one.end_s - one.start_s for one in right_starts(problem, visits)]
            about = (problem.model_dump_json(exclude={"travel", "energies"}, exclude_defaults=True), visits)
            assert bool(lengths) == (not report.violations), about
            assert not lengths or report.end_s - report.begin_s == min(lengths), about
