"""The cases of the race: courier days from seeds, the public sets, our own variants, and a real day's hubs.

The idea: a case is a name and a way to get its problem, so that a long list costs nothing until it is run. The part of
the name before the last slash is its class.
"""

import json
import os
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from bench.routes import CHOICES, waiting
from rotation.courier.routes import DIRECT_FILL_COPIES, planned
from rotation.feeds import librarieswest
from solver.construct import first_plan
from solver.formats import convert
from solver.generate import courier_day
from solver.instance import compiled, runs_of
from solver.problem import Problem, Window
from solver.solution import Solution

Case = tuple[str, Callable[[], Problem]]

DATA = Path(os.environ.get("ROTATION_DATA") or Path(__file__).parents[2] / "shared" / "data")
SETS = DATA / "vrp"
SPARE_VANS = 5  # a fifth more than the best known plan has, and two at least
MEAN_RUNS = 10  # that a van's fixed cost is worth, so that fewer vans win
BOTH_WAYS_FROM = ("VRPTW/solomon/R104.txt", "VRPTW/solomon/C104.txt", "VRPTW/homberger_200/r1_2_5.txt")
ENDLESS = Window(from_s=0, until_s=10**9)
# The day on which copies checked in the day before go out.
REAL_DAY = date(2020, 3, 10)
LIBRARIES_WEST = f"librarieswest/{REAL_DAY}"


def courier_days(sizes: list[int], instances: int) -> Iterator[Case]:
    """Yield `each` days for each of these numbers of stops."""
    for stops in sizes:
        for number in range(1, instances + 1):
            yield f"courier/{stops}/{number}", partial(courier_day, stops, number)


def best_known() -> dict[str, dict[str, float]]:
    """Return vehicles and distance of the best known plan, by case."""
    known: dict[str, dict[str, float]] = json.loads((SETS / "best_known.json").read_text())
    return known


def public_sets() -> Iterator[Case]:
    """Yield Solomon's, Gehring and Homberger's, and Li and Lim's instances, vans first."""
    for name, known in best_known().items():
        yield name, partial(_vans_first, name, known)


def both_ways() -> Iterator[Case]:
    """Yield customers of the sets with their demand split into delivered and collected: without their windows, and with them."""
    for name in BOTH_WAYS_FROM:
        for side in ("x", "y"):
            yield f"VRPSPD/{Path(name).stem}{side}", partial(_both_ways, name, side, windows=False)
            yield f"VRPSPDTW/{Path(name).stem}{side}", partial(_both_ways, name, side, windows=True)


def real_day() -> Iterator[Case]:
    """Yield the problem of each hub of LibrariesWest on a day of its snapshots."""
    problems = list[Problem]()

    def note(problem: Problem) -> Solution:
        problems.append(problem)
        return Solution(runs=runs_of(compiled(problem), first_plan(compiled(problem))))

    shown = next(one for one in librarieswest.snapshots(DATA / "librarieswest") if one.day == REAL_DAY - timedelta(1))
    network = librarieswest.network(DATA / "librarieswest", CHOICES)
    planned(network, list(waiting(shown)), REAL_DAY, 1, note, DIRECT_FILL_COPIES)
    for problem in sorted(problems, key=lambda one: one.name):
        yield f"{LIBRARIES_WEST}/{problem.name or problem.depots[0].id}", problem.model_copy


def _vans_first(name: str, known: dict[str, float]) -> Problem:
    problem = convert((SETS / name).read_text(), None)
    count = int(known["vehicles"] + max(2, known["vehicles"] // SPARE_VANS))
    fixed_cents = round(MEAN_RUNS * 1000 * known["distance"] / known["vehicles"])
    vans = [van.model_copy(update={"fixed_cents": fixed_cents}) for van in problem.vans]
    vans += [vans[0].model_copy(update={"id": f"more{number}"}) for number in range(max(0, count - len(vans)))]
    return problem.model_copy(update={"vans": vans[:count]})


def _both_ways(name: str, side: str, *, windows: bool) -> Problem:
    """Return the customers with their demand in two shares by their position (Salhi and Nagy 1999); `side` swaps them."""
    problem = convert((SETS / name).read_text(), None)
    assert problem.travel is not None
    way = dict(zip(problem.travel.places, problem.travel.metres[0].tolist(), strict=True))
    stops = []
    for number, stop in enumerate(problem.stops):
        demand, share = int(stop.deliver), (way[stop.id] % 1000) / 1000
        parts = [round(demand * share), demand - round(demand * share)]
        parts = parts if (side == "x") == (number % 2 == 0) else parts[::-1]
        free = {} if windows else {"windows": [], "service_s": 0}
        stops.append(stop.model_copy(update={"deliver": parts[0], "collect": parts[1], **free}))
    shift = {} if windows else {"shift": ENDLESS}
    vans = [van.model_copy(update={"fixed_cents": 0, **shift}) for van in problem.vans]
    return problem.model_copy(update={"stops": stops, "vans": vans})
