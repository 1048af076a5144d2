"""Searches together: nothing is lost in parts, nothing gets worse by recombining, and the judge agrees with the engines."""

from dataclasses import replace
from itertools import chain
from time import monotonic, sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver import race
from solver.construct import first_plan
from solver.decompose import joined, positions, sectors, split
from solver.engines import Limits, Plan, engine
from solver.engines.pyvrp import PyvrpModel, SubProblem, left_out, refused
from solver.evaluate import evaluate
from solver.generate import courier_day
from solver.instance import Instance, compiled, runs_of
from solver.problem import Apart, Break, Lock, Stop, UnderWay, Window
from solver.rank import rank
from solver.recombine import recombined
from solver.search import ORDINARY, Search, Until
from solver.solution import Cause, Solution
from solver.solve import solve
from solver.worker_pool import Task
from tests.unit.solver.days import day, stop, van

DAY = compiled(courier_day(30, seed=5))
EASY = [stop.model_copy(update={"windows": [], "prize_cents": None}) for stop in courier_day(30, seed=5).stops]
AT_ANY_TIME = compiled(courier_day(30, seed=5).model_copy(update={"stops": EASY, "shipments": []}))
BUSY_S = 8  # a machine that does much else may take so long to begin and to end
QUICK = Limits(iterations=240, threads=2, seed=3)


def searched(instance: Instance, seed: int, iterations: int = 60) -> tuple[PyvrpModel, Search]:
    model = PyvrpModel(instance, SubProblem.whole(instance))
    search = Search(model, seed, ORDINARY)
    search.go_on(Until(iterations=iterations))
    return model, search


def found(name: str, instance: Instance, limits: Limits, warm: Plan | None = None) -> list[Plan]:
    """Return all plans that an engine reports."""
    plans = list[Plan]()
    engine(name).run(instance, limits, warm, lambda plan: plans.append(plan) or True)
    return plans


def judged(instance: Instance, plan: Plan):
    return evaluate(instance, Solution(runs=runs_of(instance, plan)))


# ---- PyVRP's terms


def test_pyvrp_counts_the_cents_that_the_judge_counts():
    model, search = searched(DAY, seed=1)
    ours = judged(DAY, model.decode(search.best))
    theirs = sum(
        route.fixed_vehicle_cost() + route.distance_cost() + route.duration_cost() for route in search.best.routes()
    )
    assert ours.feasible
    assert ours.cost_cents - ours.money.prizes_forgone == pytest.approx(theirs / model.units, abs=len(ours.runs))


def test_a_plan_goes_into_pyvrps_terms_and_back_unchanged():
    model, search = searched(DAY, seed=2)
    plan = model.decode(search.best)
    assert sorted(nodes for _, nodes in model.decode(model.encode(plan))) == sorted(nodes for _, nodes in plan)


def test_a_van_never_makes_a_visit_that_it_may_not():
    day = courier_day(12, seed=2)
    own = {"s3": ["van1"], "s4": ["van2"], "s7": ["van3"]}
    stops = [stop.model_copy(update={"vans": own.get(stop.id, []), "prize_cents": None}) for stop in day.stops]
    instance = compiled(day.model_copy(update={"stops": stops}))
    model, search = searched(instance, seed=1)
    assert judged(instance, model.decode(search.best)).feasible


def test_what_pyvrp_is_not_told_is_named():
    day = courier_day(6, seed=1)
    vans = [van.model_copy(update={"breaks": [Break(id="lunch", length_s=1800)]}) for van in day.vans]
    assert left_out(compiled(day)) == []
    assert left_out(compiled(day.model_copy(update={"vans": vans}))) == ["breaks"]


def test_a_van_under_way_is_refused_by_pyvrp_and_served_by_the_race():
    day = courier_day(6, seed=1)
    position = UnderWay(place="p1", now_s=9 * 3600, started_s=8 * 3600)
    vans = [day.vans[0].model_copy(update={"under_way": position}), *day.vans[1:]]
    instance = compiled(day.model_copy(update={"vans": vans}))
    assert refused(instance) == ["vans under way"]
    with pytest.raises(ValueError, match="vans under way"):
        found("pyvrp", instance, QUICK)
    assert judged(instance, found("race", instance, Limits(time_s=1.0, iterations=20, threads=1))[-1]).feasible


def test_what_must_be_served_is_worth_a_van_however_dear_where_not_all_can_be():
    vans = [van(id=name, fixed_cents=3_000_000, capacity=2) for name in ("v", "w")]
    stops = [stop(place, deliver=1) for place in range(1, 9)]
    instance = compiled(day(*stops, vans=vans))
    model = PyvrpModel(instance, replace(SubProblem.whole(instance), soft=True))
    search = Search(model, 1, ORDINARY)
    search.go_on(Until(iterations=60))
    assert sum(len(nodes) for _, nodes in model.decode(search.best)) == 4


def test_a_core_goes_on_looking_for_a_plan_that_serves_all_where_each_alone_can_be_served():
    stops = [stop(place, deliver=1) for place in range(1, 9)]
    instance = compiled(day(*stops, vans=[van(capacity=2)]))
    two, one = (race._Race(instance, Limits(60.0, None, cores, 1), None, print, []) for cores in (2, 1))
    rounds = two.rounds
    assert [two._hopes(two.whole, 1, core) for core in range(2)] == [True, True]
    assert [two._hopes(two.whole, rounds // 2, core) for core in range(2)] == [True, False]
    assert [one._hopes(one.whole, turn, 0) for turn in (rounds // 2, rounds // 2 + 1)] == [True, False]
    assert not two._hopes(two.whole, rounds - 1, 0)
    hoping, leaving = (two._task(two.whole, [], rounds // 2, core) for core in range(2))
    assert (hoping.part.soft, hoping.taste) == (False, race.STRICT)
    assert (leaving.part.soft, leaving.taste) == (True, race.TASTES[1])


def test_rules_come_before_any_way_around_them_where_a_search_is_strict():
    instance = compiled(courier_day(24, 1))
    model = PyvrpModel(instance, SubProblem.whole(instance))
    strict, ordinary = (Search(model, 1, taste).penalties.penalties() for taste in (race.STRICT, ORDINARY))
    assert strict[1] > 100 * ordinary[1]


def test_days_of_shipments_are_searched_strictly():
    shipments = [{"id": f"t{place}", "collect": {"place": f"{place}"}, "deliver": {"place": "5"}} for place in (2, 4)]
    stops, mixed = day(stop(1, deliver=1)), day(stop(1, deliver=1), shipments=shipments)
    tastes = [race._Race(compiled(one), Limits(1.0, None, 1, 1), None, print, []).tastes for one in (mixed, stops)]
    assert tastes == [(race.STRICT,), race.TASTES]


# ---- parts


@settings(max_examples=25, deadline=None)
@given(parts=st.integers(2, 4), turn=st.integers(0, 20), seed=st.integers(1, 3))
def test_parts_hold_every_item_and_every_van_exactly_once(parts, turn, seed):
    instance = compiled(courier_day(24, seed))
    plan = PyvrpModel(instance, SubProblem.whole(instance)).decode(searched(instance, seed, 20)[1].best)[:-1]
    cut = split(instance, positions(instance), plan, parts, turn)
    assert sorted(item for part, _ in cut for item in part.items) == list(range(len(instance.items)))
    assert sorted(van for part, _ in cut for van in part.vans) == list(range(len(instance.start)))
    assert joined(runs for _, runs in cut) == sorted(plan)


def test_each_part_has_vans_of_the_hubs_that_its_stops_belong_to():
    instance = compiled(courier_day(80, 1, hubs=3))
    for part, _ in sectors(instance, positions(instance), 2):
        stops = instance.wanted_depot[instance.first_half[list(part.items)]]
        vans = instance.depot[instance.start[list(part.vans)]]
        for hub in range(3):
            assert (vans == hub).sum() * 8 >= (stops == hub).sum()


def test_sectors_hold_every_item_once_and_no_runs():
    cut = sectors(DAY, positions(DAY), 3)
    assert sorted(item for part, _ in cut for item in part.items) == list(range(len(DAY.items)))
    assert all(not runs for _, runs in cut)


def test_places_are_laid_out_as_far_apart_as_drives_are_long():
    corners = np.array([(0, 0), (600, 0), (600, 900), (0, 900), (300, 400)])
    seconds = np.linalg.norm(corners[:, None] - corners[None], axis=2).round()
    day = courier_day(4, seed=1)
    travel = day.travel.model_copy(update={"seconds": seconds.astype(np.int64)})
    where = positions(compiled(day.model_copy(update={"travel": travel})))
    assert np.linalg.norm(where[:, None] - where[None], axis=2) == pytest.approx(seconds, abs=2)


# ---- recombination


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 50))
def test_recombining_never_makes_a_plan_worse(seed):
    model, first = searched(DAY, seed)
    _, second = searched(DAY, seed + 100)
    best = min((model.decode(one.best) for one in (first, second)), key=lambda plan: rank(DAY, plan))
    assert rank(DAY, recombined(DAY, best, [*first.take_runs(), *second.take_runs()], 0.2)) <= rank(DAY, best)


def test_the_better_runs_of_two_plans_are_put_together():
    model, search = searched(AT_ANY_TIME, seed=1)
    (one, first), (two, second), *others = model.decode(search.best)
    good, spoilt = [(one, first), (two, second), *others], [(one, first), (two, second[::-1]), *others]
    better = recombined(AT_ANY_TIME, spoilt, [(one, first[::-1]), (two, second)], 0.2)
    assert rank(AT_ANY_TIME, better) <= rank(AT_ANY_TIME, good) < rank(AT_ANY_TIME, spoilt)


def test_recombination_does_not_wait_for_its_effort_where_the_turn_ends_sooner():
    stops = [stop(1 + number % 9) | {"id": f"s{number}"} for number in range(90)]
    instance = compiled(day(*stops, vans=[van() | {"id": f"v{number}"} for number in range(30)]))
    random = np.random.default_rng(1)
    triples = [(0, random.permutation(90)[:3].tolist()) for _ in range(4_000)]
    began = monotonic()
    recombined(instance, [], triples, effort=60.0, until_at=began + 1.0)
    assert monotonic() - began < 1.0 + BUSY_S


# ---- the race


def test_a_search_that_goes_on_from_a_plan_never_strays_to_a_worse_one_at_first():
    model, search = searched(DAY, seed=9, iterations=400)
    again = Search(model, 1, ORDINARY, search.best)
    begun = again.cost(search.best)
    for _ in range(10):
        again.go_on(Until(iterations=1))
        assert again.penalties.cost_evaluator().penalised_cost(again.current) <= begun


def test_a_search_that_stands_still_begins_from_nothing_and_keeps_its_best(monkeypatch):
    model, search = searched(DAY, seed=9, iterations=400)
    best = search.cost(search.best)
    monkeypatch.setattr("solver.search.MOST_STILL", search.still + 1)
    search.go_on(Until(iterations=1))
    before, after = ({tuple(nodes) for _, nodes in model.decode(one)} for one in (search.best, search.current))
    assert not before & after
    search.go_on(Until(iterations=100))
    assert search.cost(search.best) <= best


@pytest.mark.parametrize("large_items", [700, 20])
def test_a_race_whose_searches_never_answer_has_a_plan_at_once_and_ends_in_time(monkeypatch, large_items):
    monkeypatch.setattr(race, "LARGE_ITEMS", large_items)
    monkeypatch.setattr(race, "ANSWER_S", 0.2)
    monkeypatch.setattr(Search, "go_on", lambda *_: sleep(60))
    first_plan(DAY)  # reads the compiled loops, which takes a second
    began, limit_s = monotonic(), 0.7
    assert judged(DAY, found("race", DAY, Limits(limit_s, threads=2))[0]).feasible
    assert monotonic() - began < limit_s + BUSY_S


def test_there_is_a_plan_when_no_time_is_left_for_any_search():
    solution = solve(DAY, Limits(time_s=0.0))
    assert solution.engine == "construct"
    assert evaluate(DAY, solution).feasible


def test_a_first_plan_is_cut_short_where_the_clock_says_so():
    assert first_plan(DAY, until=0.0) == []


def test_a_race_with_an_iteration_limit_and_a_seed_gives_the_same_plan_again():
    assert found("race", DAY, QUICK)[-1] == found("race", DAY, QUICK)[-1]


@pytest.mark.parametrize("name", ["race", "pyvrp"])
def test_a_warm_start_never_comes_back_worse(name):
    warm = PyvrpModel(DAY, SubProblem.whole(DAY)).decode(searched(DAY, seed=9, iterations=400)[1].best)
    assert all(rank(DAY, plan) < rank(DAY, warm) for plan in found(name, DAY, QUICK, warm))


def test_a_race_is_over_when_its_time_is():
    began = monotonic()
    assert judged(DAY, found("race", DAY, Limits(time_s=1.5, threads=2))[-1]).feasible
    assert monotonic() - began < 1.5 + BUSY_S


def test_a_race_that_is_told_to_stop_stops():
    plans = list[Plan]()
    race.run(DAY, Limits(time_s=30, threads=1), None, lambda plan: bool(plans.append(plan)))
    assert len(plans) == 1


def test_a_large_day_begins_in_sectors_and_goes_on_in_parts(monkeypatch):
    monkeypatch.setattr(race, "LARGE_ITEMS", 20)
    monkeypatch.setattr(race, "SPLIT_ITEMS", 10)
    assert judged(DAY, found("race", DAY, QUICK)[-1]).feasible


@pytest.mark.parametrize(("fixed_cents", "fewer"), [(100, False), (100_000, True)])
def test_where_vans_are_most_of_the_cost_a_core_tries_one_less(monkeypatch, fixed_cents, fewer):
    vans = [van.model_copy(update={"fixed_cents": fixed_cents}) for van in DAY.problem.vans]
    day, asked, ask = compiled(DAY.problem.model_copy(update={"vans": vans})), list[Task](), race.WorkerPool.ask
    monkeypatch.setattr(
        race.WorkerPool,
        "ask",
        lambda self, tasks, *rest: asked.extend(chain.from_iterable(tasks)) or ask(self, tasks, *rest),
    )
    assert judged(day, found("race", day, QUICK)[-1]).feasible
    assert any(len(task.part.vans) < len(vans) for task in asked) is fewer


def test_what_pyvrp_is_not_told_is_mended():
    model, search = searched(AT_ANY_TIME, seed=1)
    _, nodes = model.decode(search.best)[0]
    lock = Lock(visits=[AT_ANY_TIME.keys[node] for node in sorted(nodes)[:7]], order="unbroken")
    instance = compiled(AT_ANY_TIME.problem.model_copy(update={"locks": [lock]}))
    assert not judged(instance, model.decode(search.best)).feasible
    mended = found("race", instance, Limits(time_s=3, threads=2))[-1]
    assert judged(instance, mended).feasible
    assert rank(instance, mended) < rank(instance, first_plan(instance))


def test_a_search_that_only_breaks_what_it_does_not_know_makes_way_early(monkeypatch):
    groups = [[stop.id for stop in AT_ANY_TIME.problem.stops[at::2]] for at in (0, 1)]
    instance = compiled(AT_ANY_TIME.problem.model_copy(update={"apart": [Apart(groups=groups)]}))
    turns, together = list[int](), race._Race._together
    monkeypatch.setattr(race._Race, "_together", lambda self, turn: (turns.append(turn), together(self, turn))[1])
    mended = found("race", instance, Limits(time_s=3))[-1]
    assert judged(instance, mended).feasible
    assert turns in ([], [0])  # of two


stops = st.builds(
    lambda deliver, collect, prize, opens: {
        "deliver": deliver,
        "collect": collect,
        "prize_cents": prize,
        "windows": [Window(from_s=opens * 3600, until_s=(opens + 2) * 3600)],
    },
    st.integers(0, 5),
    st.integers(0, 5),
    st.none() | st.integers(0, 3000),
    st.integers(8, 14),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(stops, min_size=1, max_size=8), st.integers(1, 3))
def test_whatever_the_race_reports_keeps_every_rule_or_names_what_it_leaves(changes, seed):
    day = courier_day(len(changes), seed)
    own = [stop.model_copy(update=change) for stop, change in zip(day.stops, changes, strict=True)]
    instance = compiled(day.model_copy(update={"stops": own}))
    for plan in found("race", instance, Limits(iterations=24, threads=1, seed=seed))[-1:]:
        assert not [wrong for wrong in judged(instance, plan).violations if wrong.cause != "unserved"]


def test_a_day_without_work_is_an_empty_plan():
    day = courier_day(3, seed=1).model_copy(update={"stops": [], "shipments": []})
    assert found("race", compiled(day), Limits(iterations=10, threads=1)) in ([], [[]])


def test_a_stop_that_nobody_can_serve_is_left_and_the_rest_is_served():
    day = courier_day(5, seed=1)
    huge = Stop(id="huge", place="p1", deliver=10_000)
    instance = compiled(day.model_copy(update={"stops": [*day.stops, huge]}))
    report = judged(instance, found("race", instance, Limits(iterations=240, threads=1))[-1])
    assert [wrong.visit for wrong in report.violations] == ["huge"]


def test_work_is_left_out_rather_than_a_rule_broken_for_it():
    """Two stops locked together fill more than a van: one is left, also by searches that know nothing of the lock."""
    small = [van(capacity=5), van(id="w", capacity=5)]
    lock = [{"visits": ["s1", "s2"], "order": "kept"}]
    instance = compiled(day(stop(1, deliver=4), stop(2, deliver=4), stop(3, deliver=1), vans=small, locks=lock))
    for plan in (first_plan(instance), found("race", instance, Limits(time_s=1.0, threads=1))[-1]):
        assert [wrong.cause for wrong in judged(instance, plan).violations] == [Cause.UNSERVED]
