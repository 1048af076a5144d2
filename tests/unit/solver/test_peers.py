"""VROOM as it is asked, days as they are drawn, and children that come late."""

from math import inf

import numpy as np
import pytest

from solver.engines import Limits, Plan
from solver.engines import vroom as vroom_engine
from solver.engines.pyvrp import SubProblem
from solver.evaluate import evaluate
from solver.generate import courier_day
from solver.instance import MANDATORY, compiled, runs_of
from solver.problem import Break, UnderWay, Window
from solver.search import Until, first_penalties
from solver.solution import Solution
from solver.solve import solve
from solver.worker_pool import Task, WorkerPool
from tests.unit.solver.days import day, stop, van

DAY = courier_day(12, seed=3)


def plan_of(day) -> Plan:
    plans = list[Plan]()
    vroom_engine.run(compiled(day), Limits(time_s=1.0, threads=1), None, lambda plan: plans.append(plan) or True)
    return plans[-1]


def judged(day, plan: Plan):
    return evaluate(day, Solution(runs=runs_of(compiled(day), plan)))


def test_vrooms_plan_keeps_every_rule_of_an_ordinary_day():
    report = judged(DAY, plan_of(DAY))
    assert report.feasible
    assert report.totals.served > 0


def test_vroom_sends_only_vans_that_may():
    stops = [stop.model_copy(update={"vans": ["van2"]}) if stop.id == "s4" else stop for stop in DAY.stops]
    day = DAY.model_copy(update={"stops": stops})
    assert judged(day, plan_of(day)).feasible


def test_vroom_gives_drivers_their_breaks():
    lunch = Break(id="lunch", length_s=1200, windows=[Window(from_s=11 * 3600, until_s=14 * 3600)])
    day = DAY.model_copy(update={"vans": [van.model_copy(update={"breaks": [lunch]}) for van in DAY.vans]})
    assert not [wrong for wrong in judged(day, plan_of(day)).violations if wrong.cause == "break"]


def test_vroom_says_what_it_is_not_told_and_leaves_vans_under_way_alone():
    assert vroom_engine.left_out(compiled(DAY)) == ["prizes", "pay for waiting and service"]
    position = UnderWay(place="p1", now_s=9 * 3600, started_s=8 * 3600)
    vans = [DAY.vans[0].model_copy(update={"under_way": position}), *DAY.vans[1:]]
    assert plan_of(DAY.model_copy(update={"vans": vans})) == []


@pytest.mark.parametrize("stops", [6, 60])
def test_a_day_is_drawn_the_same_from_the_same_seed_and_differently_from_another(stops):
    same, again, other = courier_day(stops, 7), courier_day(stops, 7), courier_day(stops, 8)
    assert same.model_dump_json() == again.model_dump_json() != other.model_dump_json()


def test_a_day_has_deliveries_and_collections_optional_work_lunch_closures_and_direct_shipments():
    day = courier_day(150, seed=1)
    assert all(stop.collect for stop in day.stops)
    assert any(stop.deliver for stop in day.stops)
    assert any(len(stop.windows) == 2 for stop in day.stops)
    assert 0 < (compiled(day).prize_cents != MANDATORY).sum() < len(compiled(day).items)
    assert len(day.shipments) == 37


def test_a_second_late_costs_more_than_a_second_under_way_from_the_start():
    from solver.engines.pyvrp import PyvrpModel

    data = PyvrpModel(compiled(DAY), SubProblem.whole(compiled(DAY))).data
    loads, late, far = first_penalties(data)
    assert late > data.vehicle_type(0).unit_duration_cost
    assert far > data.vehicle_type(0).unit_distance_cost
    assert all(np.isfinite(loads))


def test_a_child_that_comes_late_is_not_waited_for_and_its_part_stays_as_it_was():
    instance = compiled(DAY)
    plan = [(0, [0])]
    with WorkerPool(instance, 1) as team:
        found = team.ask([[Task(SubProblem.whole(instance), plan, Until(inf), seed=1)]], late=0.0)
    assert [one.plan for one in found] == [plan]


def test_a_plan_that_breaks_a_rule_is_refused_where_another_keeps_them():
    """VROOM knows nothing of locks: it would serve both of two stops that are locked together and fill more than a van."""
    small = [van(capacity=5), van(id="w", capacity=5)]
    lock = [{"visits": ["s1", "s2"], "order": "kept"}]
    problem = day(stop(1, deliver=4), stop(2, deliver=4), vans=small, locks=lock)
    assert len(plan_of(problem)) == 2
    found = evaluate(problem, solve(problem, Limits(time_s=0.5), engine="vroom"))
    assert [wrong.cause for wrong in found.violations] == ["unserved"]
