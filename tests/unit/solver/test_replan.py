"""Replanning a day under way: executed visits stay, loads stay on their van, the rest changes little."""

import pytest

from solver import replan
from solver.compare import compare
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.problem import Problem, Stop
from solver.solution import Evaluation, Solution
from solver.solve import solve
from tests.unit.solver.days import TWO_VANS, day, plans, stop, van

QUICK = Limits(time_s=0.5)
STOPS = [stop(place, deliver=1, collect=1, service_s=60) for place in range(1, 9)]
PLAN = plans(v="s1 s2 s3 s4", w="s8 s7 s6 s5")


def morning() -> Problem:
    return day(*STOPS, vans=TWO_VANS)


def judged_again(problem: Problem, solution: Solution) -> tuple[Solution, Evaluation]:
    found = solve(problem, QUICK, engine="ortools", warm=replan.still_valid(problem, solution))
    return found, evaluate(problem, found)


def test_at_a_moment_of_the_day_visits_begun_are_done_and_the_rest_is_on_board():
    problem = replan.at(morning(), PLAN, 360)
    position = problem.vans[0].under_way
    assert position is not None
    assert [one.visit for one in position.done] == ["s1", "s2"]
    assert (position.on_board, position.place, position.now_s, position.metres) == (["s3", "s4"], "2", 360, 2000)


def test_a_van_on_the_road_gets_first_where_it_is_driving_to():
    position = replan.at(morning(), PLAN, 200).vans[0].under_way
    assert position is not None
    assert (position.place, position.now_s, position.metres) == ("2", 300, 2000)


@pytest.mark.parametrize("now_s", [700, 1500, 40_000])
def test_nobody_leaves_before_now(now_s):
    problem = day(stop(1, windows=[[3000, 90_000]]), stop(4), vans=TWO_VANS)
    replanned = replan.at(problem, plans(w="s1"), now_s)
    runs = evaluate(replanned, plans(v="s4", w="s1")).runs
    assert all(run.begin_s >= now_s for run, van in zip(runs, replanned.vans, strict=True) if not van.under_way)


@pytest.mark.parametrize("now_s", range(0, 3000, 170))
def test_at_any_moment_the_rest_of_the_plan_costs_what_it_did(now_s):
    before = evaluate(morning(), PLAN)
    after = evaluate(replan.at(morning(), PLAN, now_s), PLAN)
    assert after.violations == []
    assert after.totals.metres == before.totals.metres
    assert after.totals.work_s >= before.totals.work_s  # a van that had not begun need not have left yet


def test_at_any_moment_the_warm_plan_holds_and_nothing_done_moves():
    problem = replan.at(morning(), PLAN, 800)
    found, evaluation = judged_again(problem, PLAN)
    assert evaluation.violations == []
    assert found.runs[0].visits[:3] == ["s1", "s2", "s3"]


def test_an_urgent_stop_comes_in_and_little_else_moves():
    problem = replan.urgent(replan.at(morning(), PLAN, 400), Stop.model_validate(stop(9, collect=2)))
    found, evaluation = judged_again(problem, PLAN)
    assert evaluation.violations == []
    moved = compare(problem, replan.still_valid(problem, PLAN), found).moved
    assert [one.visit for one in moved if one.van_before] == []


def test_an_urgent_stop_is_in_the_plan_before_any_search_and_nothing_else_moves():
    own_way = plans(v="s2 s1 s4 s3", w="s6 s5 s8 s7")
    problem = replan.urgent(replan.at(morning(), own_way, 0), Stop.model_validate(stop(9, collect=2)))
    evaluation = evaluate(problem, solve(problem, Limits(time_s=0.0), warm=replan.still_valid(problem, own_way)))
    assert (evaluation.feasible, evaluation.totals.changed) == (True, 0)


def test_an_urgent_stop_comes_between_where_the_order_is_kept():
    problem = replan.order_kept(replan.urgent(morning(), Stop.model_validate(stop(9, collect=2))), PLAN)
    found, evaluation = judged_again(problem, PLAN)
    assert evaluation.feasible
    for run in found.runs:
        kept = next(one.visits for one in PLAN.runs if one.van == run.van)
        assert [visit for visit in run.visits if visit != "s9"] == kept


def test_a_van_that_breaks_down_is_helped_from_where_it_stands():
    problem = replan.broken_down(replan.at(morning(), PLAN, 400), "w")
    found, evaluation = judged_again(problem, PLAN)
    assert evaluation.violations == []
    assert {one.id for one in problem.shipments} == {"rescue s8", "rescue s7", "rescue s6", "rescue s5"}
    helped = next(run for run in found.runs if run.van == "v").visits
    assert "deliver:rescue s5" in helped
    assert "s5" in helped  # what is to be collected there


def test_a_van_that_never_left_and_breaks_down_stays_in():
    _, evaluation = judged_again(replan.broken_down(day(*STOPS[:3], vans=TWO_VANS), "w"), plans(w="s1 s2 s3"))
    assert evaluation.feasible
    assert [run.van for run in evaluation.runs if run.visits] == ["v"]


def test_a_slow_road_takes_longer_in_both_directions_and_is_avoided():
    problem = replan.slower(morning(), "0", "1", 200)
    assert evaluate(problem, plans(v="s1")).totals.drive_s == 480
    assert evaluate(problem, plans(v="s2")).totals.drive_s == 480


def test_change_is_worth_its_gain_only():
    problem = day(stop(1), stop(2), vans=[van(), van(id="w", km_cents=1)])
    known = replan.at(problem, plans(v="s1 s2"), 0, change_cents=10**6)
    waiting = known.model_copy(update={"vans": problem.vans})
    assert [run.van for run in solve(waiting, QUICK, engine="ortools").runs] == ["v"]
    cheap = waiting.model_copy(update={"costs": waiting.costs.model_copy(update={"change_cents": 1})})
    assert [run.van for run in solve(cheap, QUICK, engine="ortools").runs] == ["w"]
