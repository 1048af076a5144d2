"""Ruin and recreate by the judge's clock finds plans that engines miss because they apply a rule more strictly."""

from time import monotonic

import pytest

from solver.engines import Limits, engine
from solver.evaluate import evaluate
from solver.instance import Instance, compiled, rows_of, runs_of
from solver.polish import polished
from solver.problem import Problem, Run
from solver.rank import rank
from solver.solution import Evaluation, Solution
from tests.unit.solver.days import day, stop, under_way, van

TRIES_S = 0.5
DEAR = {"fixed_cents": 100_000, "shift": [0, 4000]}  # a run of 12 km takes 3,840 s: in the rush all the way 4,320
RUSH_IN_THE_FIRST_HOUR = day(
    stop(3), stop(6), vans=[van(**DEAR), van(id="w", **DEAR)], slots=[{"from_s": 0, "until_s": 3600, "percent": 300}]
)
TWO_HUBS = [{"id": "near", "place": "0"}, {"id": "far", "place": "5"}]
LOADS_AT_THE_FAR_HUB = day(
    stop(2, deliver=4, depot="near"),
    stop(7, deliver=4, depot="far"),
    depots=TWO_HUBS,
    vans=[van(start="near", reload_depots=["far"], max_reloads=1, capacity=5)],
)
OUT_AND_ASKED_FOR_MORE = day(stop(4, deliver=2), vans=[under_way() | {"max_reloads": 1}])

CASES = {
    "one van has time for all, once the rush is over": (RUSH_IN_THE_FIRST_HOUR, [("v", ["s3"]), ("w", ["s6"])]),
    "crates of another hub are loaded on the way": (LOADS_AT_THE_FAR_HUB, [("v", ["s2"])]),
    "a van under way fetches what is new": (OUT_AND_ASKED_FOR_MORE, [("v", [])]),
}


def begun(name: str) -> tuple[Instance, list[tuple[int, list[int]]]]:
    problem, runs = CASES[name]
    instance = compiled(problem)
    return instance, rows_of(instance, [Run(van=van, visits=visits) for van, visits in runs])


def judged(instance: Instance | Problem, plan: list[tuple[int, list[int]]]) -> Evaluation:
    return evaluate(instance, Solution(runs=runs_of(compiled(instance), plan)))


@pytest.mark.parametrize("name", CASES)
def test_the_judges_clock_finds_that(name):
    instance, plan = begun(name)
    before = judged(instance, plan)
    found = judged(instance, polished(instance, plan, monotonic() + TRIES_S, seed=1))
    assert found.feasible
    assert found.totals.vans == 1
    assert found.rank < before.rank


@pytest.mark.parametrize("name", CASES)
def test_what_ortools_is_told_is_stricter_than_that(name):
    instance, plan = begun(name)
    plans = [plan]
    engine("ortools").run(instance, Limits(iterations=30), None, lambda one: plans.append(one) or True)
    assert min(rank(instance, one) for one in plans) == rank(instance, plan)


@pytest.mark.parametrize("name", CASES)
def test_a_race_knows_it_too(name):
    instance, plan = begun(name)
    plans = [plan]
    engine("race").run(instance, Limits(time_s=1.5, threads=2), None, lambda one: plans.append(one) or True)
    assert rank(instance, plans[-1]) < rank(instance, plan)
