"""Each constraint of the OR-Tools model: it holds, and nothing else would hold it."""

from typing import Any

import pytest

from solver import construct
from solver.docks import taking_turns
from solver.engines import Limits, Plan, ortools
from solver.evaluate import evaluate
from solver.instance import Instance, compiled, runs_of
from solver.problem import Problem
from solver.solution import Cause, Evaluation, Solution
from tests.unit.solver.days import TWO_VANS, day, stop, under_way, van, wrong

SEARCH = Limits(time_s=0.3)
HOUR = 3600


def searched(problem: Problem, limits: Limits = SEARCH) -> Evaluation:
    """The engine's best plan by its own objective (its last), judged."""
    instance, found = compiled(problem), list[Plan]()
    ortools.run(instance, limits, None, lambda plan: bool(found.append(plan) or True))
    return evaluate(instance, Solution(runs=taking_turns(instance, runs_of(instance, found[-1]))))


def without(monkeypatch: pytest.MonkeyPatch, constraint: Any) -> None:
    """Leave one constraint out of the model, and the first plan that knows all of them."""
    rest = tuple(one for one in ortools.CONSTRAINTS if one is not constraint)
    assert len(rest) < len(ortools.CONSTRAINTS)
    monkeypatch.setattr(ortools, "CONSTRAINTS", rest)
    monkeypatch.setattr(ortools, "first_plan", lambda instance: None)
    monkeypatch.setattr(ortools, "with_breaks", lambda instance, van, nodes: nodes)


LIFT = {"skills": ["lift"]}
DIRECT = {"id": "d", "amount": 0, "collect": {"place": "5"}, "deliver": {"place": "1"}}
SLOW = {
    "id": "d",
    "collect": {"place": "1", "windows": [[0, 400]]},
    "deliver": {"place": "2", "windows": [[600, 9000]]},
}
TWO_HUBS = [{"id": "hub", "place": "0"}, {"id": "far", "place": "9"}]
PLATE_BAN = [{"id": "old", "bans": [{"windows": [[10, HOUR]], "plate_ends": ["7"]}]}]
FAR_STOPS = [stop(8), stop(9)]
CHEAP_W = van(id="w", km_cents=10)

# what is tried, on what day, and the cause that must not be broken
HELD: dict[str, tuple[Any, Problem, Cause]] = {
    "visits come when someone receives": (
        ortools.zones_keep_their_hours,
        day(
            stop(1, zone="old", windows=[[0, 600]]), vans=[van(plate="7"), van(id="w", km_cents=9000)], zones=PLATE_BAN
        ),
        Cause.WINDOW,
    ),
    "runs keep the shift": (
        ortools.shift_bounds_the_run,
        day(*FAR_STOPS, stop(1, prize_cents=0), vans=[van(max_duration_s=18 * 120 - 1), *TWO_VANS[1:]]),
        Cause.DURATION,
    ),
    "no van drives too far": (
        ortools.way_is_bounded,
        day(stop(3), stop(6), vans=[van(max_metres=8000), van(id="w", km_cents=9000)]),
        Cause.DISTANCE,
    ),
    "visits are counted": (
        ortools.visits_are_counted,
        day(stop(1), stop(2), vans=[van(max_visits=1), van(id="w", km_cents=9000)]),
        Cause.VISITS,
    ),
    "no leg is too far": (
        ortools.legs_are_bounded,
        day(stop(3), stop(5), stop(9), vans=[van(max_leg_metres=5000), van(id="w", km_cents=9000)]),
        Cause.LEG_DISTANCE,
    ),
    "no van waits too long": (
        ortools.waiting_is_bounded,
        day(
            stop(1, windows=[[0, 600]]),
            stop(2, windows=[[3600, 7200]]),
            vans=[van(max_wait_s=2000), van(id="w", fixed_cents=9000)],
        ),
        Cause.WAIT,
    ),
    "loads fit": (
        ortools.loads_fit,
        day(
            stop(1, deliver=3),
            stop(2, collect=3),
            stop(3, deliver=2, collect=2),
            vans=[van(capacity=4), van(id="w", capacity=4)],
        ),
        Cause.LOAD,
    ),
    "shipments are collected before they are delivered": (
        ortools.halves_go_together,
        day(stop(3), shipments=[DIRECT], vans=[van(end="far", start="hub")], depots=TWO_HUBS),
        Cause.SPLIT,
    ),
    "nothing stays long on board": (
        ortools.nothing_stays_long_on_board,
        day(stop(4, windows=[[0, 500]]), shipments=[SLOW | {"max_on_board_s": 500}], vans=TWO_VANS),
        Cause.LONG_ON_BOARD,
    ),
    "only able vans come": (ortools.only_vans_that_may, day(stop(1, **LIFT), vans=[CHEAP_W, van(**LIFT)]), Cause.SKILL),
    "crates come from their depot": (
        ortools.only_vans_that_may,
        day(stop(8, deliver=1, depot="hub"), vans=[van(start="hub"), van(id="w", start="far")], depots=TWO_HUBS),
        Cause.DEPOT,
    ),
    "collections are back by the cut-off": (
        ortools.back_in_time,
        day(
            stop(2, collect=1),
            stop(6),
            depots=[{"id": "hub", "place": "0", "sort_cutoff_s": 600}],
            vans=[van(), van(id="w", fixed_cents=5000)],
        ),
        Cause.CUTOFF,
    ),
    "docks are enough": (
        ortools.docks_hold,
        day(
            stop(1, vans=["v"], windows=[[420, 425]]),
            stop(2, vans=["w", "x"], windows=[[540, 545]]),
            depots=[{"id": "hub", "place": "0", "docks": 1, "load_s": 300}, {"id": "far", "place": "4", "load_s": 200}],
            vans=[van(start="hub"), van(id="w", start="hub"), van(id="x", start="far", km_cents=5000)],
        ),
        Cause.DOCKS,
    ),
    "locked orders are kept": (
        ortools.locks_hold,
        day(stop(1), stop(2), stop(3), locks=[{"visits": ["s3", "s1", "s2"], "order": "unbroken", "van": "v"}]),
        Cause.LOCK_ORDER,
    ),
    "what is kept apart meets on no run": (
        ortools.groups_stay_apart,
        day(stop(1), stop(2), apart=[{"groups": [["s1"], ["s2"]]}], vans=TWO_VANS),
        Cause.APART,
    ),
    "what goes together stays on one van": (
        ortools.locks_hold,
        day(
            stop(1, vans=["v"]),
            stop(2),
            vans=[van(), van(id="w", km_cents=1)],
            locks=[{"visits": ["s1", "s2"], "order": "kept"}],
        ),
        Cause.LOCK_VAN,
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_the_engine_holds_that(name):
    assert wrong(searched(HELD[name][1])) == {}


@pytest.mark.parametrize("name", HELD)
def test_nothing_but_the_constraint_would_hold_that(name, monkeypatch):
    constraint, problem, cause = HELD[name]
    without(monkeypatch, constraint)
    assert cause in wrong(searched(problem))


def test_what_must_be_served_is_and_what_may_be_left_is_left():
    problem = day(stop(1), stop(9), stop(2, prize_cents=100_000), stop(8, prize_cents=0), stop(3, prize_cents=0))
    late = problem.model_copy(update={"vans": [problem.vans[0].model_copy(update={"max_metres": 12_000})]})
    assert searched(problem).totals.unserved == 0
    assert searched(late).unserved == ["s9", "s8", "s3"]


def test_of_mandatory_work_the_higher_priority_is_served():
    problem = day(stop(1), stop(3, priority=3), vans=[van(max_metres=6_000)], locks=[])
    assert searched(day(stop(4, priority=1), stop(5), vans=[van(max_duration_s=8 * 120)])).unserved == ["s5"]
    assert searched(problem).unserved == []


def test_the_cheaper_van_drives_and_a_dear_one_stays_in():
    dear, cheap = van(fixed_cents=90_000), van(id="w", fixed_cents=10)
    assert [run.van for run in searched(day(stop(1), vans=[dear, cheap])).runs] == ["w"]
    far = van(energy="diesel_van", km_cents=0), van(id="w", energy="electric_van", km_cents=0)
    assert [run.van for run in searched(day(stop(9), vans=list(far))).runs] == ["w"]


def test_overtime_is_avoided_where_another_van_has_time():
    tired = van(normal_s=18 * 120, overtime_hour_cents=360_000)
    evaluation = searched(day(*FAR_STOPS, stop(7, service_s=900), vans=[tired, tired | {"id": "w"}]))
    assert evaluation.money.overtime < 900 * 100


def test_lunch_closures_are_waited_out():
    closed = stop(2, windows=[[0, 300], [4000, 5000]])
    assert searched(day(stop(1, service_s=3000, windows=[[0, 200]]), closed)).feasible


def test_a_van_waits_for_crates_that_come_late():
    evaluation = searched(day(stop(1, deliver=1, ready_s=HOUR), stop(2, deliver=1, windows=[[0, 600]]), vans=TWO_VANS))
    assert evaluation.feasible
    assert evaluation.totals.vans == 2


def test_a_setup_is_made_once_where_the_van_stays():
    stops = [stop(place, setup_s=200) | {"id": f"{place}{name}"} for place in (1, 2) for name in "ab"]
    just_enough_s = 4 * 120 + 2 * 200
    assert searched(day(*stops, vans=[van(shift=[0, just_enough_s])])).feasible
    assert len(searched(day(*stops, vans=[van(shift=[0, just_enough_s - 1])])).unserved) == 2


def test_drivers_rest_in_time():
    lunch = {"id": "lunch", "length_s": 900, "windows": [[1000, 1200], [9000, 9100]]}
    stops = [stop(place, service_s=200) for place in (2, 5, 7)] + [stop(9, windows=[[2000, 3000]])]
    assert searched(day(*stops, vans=[van(breaks=[lunch])])).feasible
    anytime = {"id": "rest", "length_s": 300}
    assert searched(day(*stops, vans=[van(breaks=[anytime])])).feasible


def test_a_van_loads_again_where_its_room_is_too_small():
    full = [stop(place, deliver=3, collect=2) for place in (1, 2, 3)]
    evaluation = searched(day(*full, vans=[van(capacity=5, max_reloads=3)]))
    assert evaluation.feasible
    assert sum(visit.visit == "reload:hub" for visit in evaluation.runs[0].visits) == 2


def test_preferred_vans_and_the_baseline_are_priced():
    costs = {"not_preferred_cents": 50_000}
    assert searched(day(stop(1, preferred_vans=["v"]), vans=[van(), CHEAP_W], costs=costs)).runs[0].van == "v"
    known = {"baseline": [{"van": "v", "visits": ["s1"]}], "costs": {"change_cents": 50_000}}
    assert searched(day(stop(1), vans=[van(), CHEAP_W], **known)).runs[0].van == "v"


def test_work_is_shared_where_that_is_paid_for():
    stops = [stop(place, service_s=1200) for place in (1, 2, 3, 4)]
    even = searched(day(*stops, vans=TWO_VANS, costs={"imbalance_hour_cents": 36_000}))
    assert even.totals.vans == 2
    assert searched(day(*stops, vans=TWO_VANS)).totals.vans == 1


def test_rush_hours_are_counted_at_their_worst():
    slots = [{"from_s": 0, "until_s": 36_000, "percent": 200}]
    assert searched(day(stop(5, windows=[[0, 1300]]), stop(1), slots=slots)).feasible


LATER_RUSH = [{"from_s": 20_000, "until_s": 36_000, "percent": 300}]


def test_a_rush_that_no_drive_to_a_stop_can_meet_does_not_slow_it():
    assert searched(day(stop(5, windows=[[0, 700]]), slots=LATER_RUSH)).feasible


def test_a_first_plan_drives_as_fast_as_the_hour_lets_it(monkeypatch):
    monkeypatch.setattr(construct, "INSERTED_ROWS", 0)
    instance = compiled(day(stop(5, windows=[[0, 700]]), slots=LATER_RUSH))
    assert construct.first_plan(instance) == [(0, [0])]


def test_a_van_under_way_serves_what_it_carries_and_goes_home():
    carried = under_way(done=[], on_board=["s4"])
    evaluation = searched(day(stop(4, deliver=2), stop(6, deliver=1), stop(3, collect=1), vans=[carried, van(id="w")]))
    assert evaluation.feasible
    assert "s4" in [visit.visit for visit in evaluation.runs[0].visits]


def test_open_ends_cost_no_way():
    assert searched(day(stop(5), vans=[van(open_end=True)])).totals.metres == 5000
    assert searched(day(stop(5), vans=[van(open_start=True, open_end=True)])).totals.metres == 0


def test_an_iteration_limit_gives_the_same_plan_again():
    stops = [
        stop(place % 9 + 1, id=f"x{place}", deliver=place % 3, windows=[[place * 300, place * 300 + 2000]])
        for place in range(12)
    ]
    problem = day(*stops, vans=[van(capacity=6), van(id="w", capacity=6)])
    limits = Limits(iterations=20)
    assert searched(problem, limits) == searched(problem, limits)


def test_nothing_to_do_is_a_plan_too():
    assert searched(day()).runs == []


def test_a_model_has_all_constraints():
    assert isinstance(compiled(day(stop(1))), Instance)
    assert len({one.__doc__ for one in ortools.CONSTRAINTS}) == len(ortools.CONSTRAINTS)
