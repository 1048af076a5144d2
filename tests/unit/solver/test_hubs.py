"""Several hubs in one day: rounds of each, trunks between them before and after the sorting, and docks that are few."""

import pytest

from solver.engines import Limits
from solver.evaluate import evaluate
from solver.problem import Slot
from solver.solution import Cause
from solver.solve import solve
from tests.unit.solver.days import day, plans, stop, times, van, wrong

EAST_LEAVES_S, SORTING_S, SORTED_S, WEST_LOADS_S = 3000, 4200, 6000, 9000
HUBS = [
    {"id": "centre", "place": "0", "docks": 1, "load_s": 100, "unload_s": 100, "sort_cutoff_s": SORTING_S},
    {"id": "east", "place": "5", "load_s": 60},
    {"id": "west", "place": "9", "load_s": 60},
]
CENTRE, EAST, WEST = ({"place": one, "service_s": 300} for one in ("0", "5", "9"))
BEFORE = {
    "id": "before",
    "amount": 8,
    "collect": EAST | {"windows": [[EAST_LEAVES_S, SORTING_S]]},
    "deliver": CENTRE | {"windows": [[0, SORTING_S]]},
}
AFTER = {
    "id": "after",
    "amount": 8,
    "collect": CENTRE | {"windows": [[SORTED_S, WEST_LOADS_S]]},
    "deliver": WEST | {"windows": [[0, WEST_LOADS_S]]},
}
NETWORK = day(
    stop(4, collect=3, depot="east", due_s=EAST_LEAVES_S),
    stop(2, collect=2, depot="centre"),
    stop(8, deliver=4, depot="west", ready_s=WEST_LOADS_S),
    depots=HUBS,
    vans=[
        van(id="trunk", start="centre"),
        van(id="e", start="east"),
        van(id="c", start="centre"),
        van(id="w", start="west"),
    ],
    shipments=[BEFORE, AFTER],
)
TRUNK = "collect:before deliver:before collect:after deliver:after"


@pytest.mark.parametrize("engine", ["race", "ortools"])
def test_rounds_and_trunks_of_several_hubs_are_one_problem(engine):
    found = evaluate(NETWORK, solve(NETWORK, Limits(time_s=1.5, threads=2), engine=engine))
    assert found.violations == []
    assert found.totals.served == len(NETWORK.stops) + len(NETWORK.shipments)


def test_a_trunk_comes_before_the_sorting_and_another_leaves_after_it():
    judged = evaluate(NETWORK, plans(trunk=TRUNK, e="s4", c="s2", w="s8"))
    trunk, west = times(judged), times(judged, van=3)
    assert judged.violations == []
    assert trunk["deliver:before"][1] <= SORTING_S <= SORTED_S <= trunk["collect:after"][1]
    assert trunk["deliver:after"][2] <= WEST_LOADS_S <= west["start:west"][1]


def test_a_trunk_that_misses_the_sorting_is_told():
    late = "collect:after deliver:after collect:before deliver:before"
    assert Cause.WINDOW in wrong(evaluate(NETWORK, plans(trunk=late, e="s4", c="s2", w="s8")))


def test_what_a_round_collects_is_at_its_hub_before_its_sorting():
    slow = NETWORK.model_copy(update={"slots": [Slot(from_s=0, until_s=36_000, percent=900)]})
    assert wrong(evaluate(slow, plans(c="s2")))[Cause.CUTOFF] == 2 * 2 * 120 * 9 + 200 - SORTING_S


TWO_TRUNKS = day(
    depots=HUBS,
    vans=[van(id="a", start="east"), van(id="b", start="west")],
    shipments=[BEFORE, {**BEFORE, "id": "too", "collect": WEST, "deliver": CENTRE | {"windows": [[3780, 3800]]}}],
)
BOTH = plans(a="collect:before deliver:before", b="collect:too deliver:too")


def test_trunks_stand_at_the_docks_of_the_hub_that_they_come_to():
    assert wrong(evaluate(TWO_TRUNKS, BOTH)) == {Cause.DOCKS: 1}


@pytest.mark.parametrize("engine", ["race", "ortools"])
def test_trunks_take_turns_at_a_dock(engine):
    found = evaluate(TWO_TRUNKS, solve(TWO_TRUNKS, Limits(time_s=1.5, threads=2), engine=engine))
    assert found.violations == []
