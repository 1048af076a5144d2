"""Laws that hold for any day: the judge against a plain drive by hand, and every engine's plan against the judge."""

import json
from itertools import permutations, product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from solver.check import read
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.explain import explain
from solver.problem import Lock, Problem, Run
from solver.solution import Cause, Evaluation, Solution
from solver.solve import solve
from tests.unit.solver.days import KM_S, PLACES, day, stop, van

KM = st.integers(1, PLACES - 1)
FEW = settings(max_examples=40, deadline=None)
FEWER = settings(max_examples=5, deadline=None)


@st.composite
def windows(draw: Any, until_s: int) -> list[list[int]]:
    bounds = sorted(draw(st.lists(st.integers(0, min(5000, until_s)), min_size=0, max_size=4, unique=True)))
    return [list(pair) for pair in zip(bounds[::2], bounds[1::2], strict=False)]


@st.composite
def stops(draw: Any, most: int, until_s: int) -> list[dict[str, Any]]:
    places = draw(st.lists(KM, min_size=1, max_size=most, unique=True))
    return [
        stop(
            place,
            windows=draw(windows(until_s)),
            service_s=draw(st.integers(0, 300)),
            deliver=draw(st.integers(0, 3)),
            collect=draw(st.integers(0, 3)),
            prize_cents=draw(st.none() | st.integers(0, 20_000)),
        )
        for place in places
    ]


@st.composite
def days(draw: Any, most: int = 4, vans: int = 2) -> Problem:
    fleet = [
        van(
            id=f"v{number}",
            capacity=draw(st.integers(3, 9)),
            shift=[0, draw(st.integers(2000, 9000))],
            hour_cents=draw(st.sampled_from([0, 3600])),
        )
        for number in range(vans)
    ]
    work = draw(stops(most, until_s=max(one["shift"][1] for one in fleet)))
    pairs = draw(st.lists(st.tuples(KM, KM), max_size=1))
    direct = [
        {"id": f"d{number}", "collect": {"place": str(a)}, "deliver": {"place": str(b)}, "prize_cents": 5000}
        for number, (a, b) in enumerate(pairs)
    ]
    return day(*work, vans=fleet, shipments=direct)


def plans_of(problem: Problem) -> st.SearchStrategy[Solution]:
    """Any plan, however broken, of what is in the problem."""
    visits = [one.id for one in problem.stops]
    visits += [f"{half}:{one.id}" for one in problem.shipments for half in ("collect", "deliver")]
    run = st.lists(st.sampled_from(visits), max_size=6)
    return st.lists(run, min_size=1, max_size=2).map(
        lambda runs: Solution(runs=[Run(van=problem.vans[at].id, visits=one) for at, one in enumerate(runs)])
    )


any_plan = days().flatmap(lambda problem: st.tuples(st.just(problem), plans_of(problem)))


# ---- by hand


def driven(problem: Problem, visits: list[str], start_s: int) -> tuple[list[int], list[int], int]:
    """Drive a run plainly: when each visit begins, how late it is, and when the van is back."""
    where = {one.id: (int(one.place or 0), one.windows, one.service_s) for one in problem.stops}
    for one in problem.shipments:
        where[f"collect:{one.id}"] = (int(one.collect.place or 0), [], 0)
        where[f"deliver:{one.id}"] = (int(one.deliver.place or 0), [], 0)
    clock, here, begins, late = start_s, 0, list[int](), list[int]()
    for visit in visits:
        place, opening, service_s = where[visit]
        clock += abs(place - here) * KM_S
        begin = next((max(clock, one.from_s) for one in opening if one.until_s >= clock), clock)
        late.append(max(0, begin - opening[-1].until_s) if opening else 0)
        begins.append(begin)
        clock, here = begin + service_s, place
    return begins, late, clock + here * KM_S


def highest_load(problem: Problem, visits: list[str]) -> int:
    amounts = {one.id: (one.deliver, one.collect) for one in problem.stops}
    load = sum(int(str(amounts[visit][0])) for visit in visits if visit in amounts)
    highest = load
    for visit in visits:
        deliver, collect = amounts.get(visit, (0, 0))
        shipped = 1 if visit.startswith("collect:") else -1 if visit.startswith("deliver:") else 0
        load += int(str(collect)) - int(str(deliver)) + shipped
        highest = max(highest, load)
    return highest


@FEW
@given(any_plan)
def test_the_judge_agrees_with_a_plain_drive(drawn):
    problem, solution = drawn
    evaluation = evaluate(problem, solution)
    for run, report in zip(solution.runs, evaluation.runs, strict=True):
        if run.visits:
            agrees(problem, run, report)


def agrees(problem: Problem, run: Run, report: Any) -> None:
    begins, late, end_s = driven(problem, run.visits, report.begin_s)
    amounts = {cause: sum(one.amount for one in report.violations if one.cause is cause) for cause in Cause}
    assert [one.begin_s for one in report.visits[1:-1]] == begins
    assert report.end_s == end_s
    assert amounts[Cause.WINDOW] == sum(late)
    mine = next(one for one in problem.vans if one.id == run.van)
    assert amounts[Cause.SHIFT] == max(0, end_s - mine.shift.until_s)
    assert amounts[Cause.LOAD] == max(0, highest_load(problem, run.visits) - int(str(mine.capacity)))


@FEW
@given(any_plan)
def test_no_other_start_makes_a_run_shorter_without_being_later(drawn):
    problem, solution = drawn
    for run, report in zip(solution.runs, evaluate(problem, solution).runs, strict=True):
        late_s = sum(one.amount for one in report.violations if one.cause is Cause.WINDOW)
        for start_s in range(0, 6000, 60) if run.visits else ():
            _, late, end_s = driven(problem, run.visits, start_s)
            if sum(late) <= late_s and len({len(one.windows) for one in problem.stops} - {0, 1}) == 0:
                assert report.work_s <= end_s - start_s or end_s > report.end_s


@FEW
@given(any_plan)
def test_a_plan_survives_json(drawn):
    problem, solution = drawn
    again = read(json.loads(problem.model_dump_json()))
    assert again.model_dump_json() == problem.model_dump_json()
    assert evaluate(again, Solution.model_validate_json(solution.model_dump_json())) == evaluate(problem, solution)


@FEW
@given(any_plan)
def test_explanations_hold_when_tried(drawn):
    problem, solution = drawn
    before = evaluate(problem, solution)
    for found in explain(problem, solution):
        for one in found.findings:
            if one.fits and one.run and {violation.cause for violation in before.violations} <= {Cause.UNSERVED}:
                after = evaluate(problem, with_run(solution, one.run))
                assert found.id not in after.unserved
                assert {violation.cause for violation in after.violations} <= {Cause.UNSERVED}
                assert after.cost_cents - before.cost_cents == one.extra_cents - (found.prize_cents or 0)


def with_run(solution: Solution, run: Run) -> Solution:
    return Solution(runs=[*(one for one in solution.runs if one.van != run.van), run])


# ---- engines


def everything(problem: Problem) -> list[Evaluation]:
    """Judge every plan that serves some of the stops, of a problem with two vans and no shipments."""
    names = [one.id for one in problem.stops]
    judged = list[Evaluation]()
    for vans in product((None, 0, 1), repeat=len(names)):
        groups = [[name for name, van_ in zip(names, vans, strict=True) if van_ == number] for number in (0, 1)]
        for first, second in product(permutations(groups[0]), permutations(groups[1])):
            runs = [Run(van="v0", visits=list(first)), Run(van="v1", visits=list(second))]
            judged.append(evaluate(problem, Solution(runs=runs)))
    return judged


@FEWER
@given(days(most=3))
def test_the_engine_finds_the_best_of_all_plans_of_a_tiny_day(problem):
    problem = problem.model_copy(update={"shipments": []})
    best = min(one.rank for one in everything(problem) if {v.cause for v in one.violations} <= {Cause.UNSERVED})
    assert evaluate(problem, solve(problem, Limits(iterations=300), engine="ortools")).rank == best


@FEWER
@given(days(most=5))
def test_what_an_engine_returns_breaks_no_rule(problem):
    evaluation = evaluate(problem, solve(problem, Limits(time_s=0.4), engine="ortools"))
    assert {one.cause for one in evaluation.violations} <= {Cause.UNSERVED}


@FEWER
@given(any_plan)
def test_a_warm_start_never_comes_back_worse(drawn):
    problem, solution = drawn
    assert (
        evaluate(problem, solve(problem, Limits(time_s=0.3), engine="ortools", warm=solution)).rank
        <= evaluate(problem, solution).rank
    )


@FEWER
@given(days(most=4), st.randoms())
def test_locks_hold(problem, random):
    names = [one.id for one in problem.stops]
    random.shuffle(names)
    lock = {"visits": names[:2], "van": "v1", "order": "kept"}
    locked = problem.model_copy(update={"locks": [Lock.model_validate(lock)]})
    evaluation = evaluate(locked, solve(locked, Limits(time_s=0.4), engine="ortools"))
    assert not {one.cause for one in evaluation.violations} & {Cause.LOCK_VAN, Cause.LOCK_ORDER}
