"""Any day that the format can say: no engine raises, no process stays behind, and the race is never behind an engine."""

import psutil
import pytest

from solver.engines import Limits
from solver.engines.pyvrp import refused
from solver.evaluate import evaluate
from solver.instance import Instance, compiled
from solver.problem import Problem
from solver.solution import Cause, Solution
from solver.solve import solve
from solver.worker import end_idle
from tests.unit.solver.any_days import any_day, limited_day

SECOND = Limits(time_s=1.0)
LONGER = Limits(time_s=15.0)  # where the machine is busy, a second may be gone before a search has begun
LIMITED = (1, 2, 3, 4)
SEEDS = (0, 6, 8, 10, 19, 45)  # five of them once found the race behind, or VROOM refusing the day


def rank(instance: Instance, plan: Solution) -> tuple[int, int, int]:
    """Rules broken, work left out, cost: less is better."""
    judged = evaluate(instance, plan)
    wrong = sum(one.amount for one in judged.violations if one.cause is not Cause.UNSERVED)
    return wrong, judged.infeasibility, judged.cost_cents


DAYS = [*(any_day(seed) for seed in SEEDS), *(limited_day(seed) for seed in LIMITED)]


@pytest.mark.parametrize("problem", DAYS, ids=[*map(str, SEEDS), *(f"limited {seed}" for seed in LIMITED)])
def test_the_race_is_never_worse_than_its_engines_alone_and_nothing_raises(problem: Problem):
    instance = compiled(problem)
    engines = ["ortools", "vroom", *(["pyvrp"] if not refused(instance) else [])]
    alone = min(rank(instance, solve(instance, SECOND, engine=engine)) for engine in engines)
    raced = solve(instance, SECOND)
    if rank(instance, raced) > alone:
        raced = solve(instance, LONGER)
    assert raced.errors == []
    assert rank(instance, raced) <= alone


def test_no_process_stays_behind():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    solve(any_day(SEEDS[0]), SECOND)
    end_idle()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
