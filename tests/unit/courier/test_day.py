"""A planned day: what the runs do is what the legs promise, and the check sees it when they do not."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from rotation.courier.check import ScheduledDays, faults
from rotation.courier.day import CourierPlan, plan_day, plan_days, solve_alone
from rotation.courier.legs import OpenTransfer, Where
from rotation.courier.runs import PlannedRun, PlanRejected
from rotation.facts.lifecycle import LegKind
from rotation.network import Network, from_tables
from solver.problem import Problem
from solver.problem import Run as SolverRun
from solver.solution import Solution
from tests.unit.courier.town import MONDAY, RAW, TUESDAY, WEDNESDAY, calendar, morning_of, town, waiting

SEARCH = partial(solve_alone, time_s=30.0, seed=1, iterations=30)
SOME = [
    *(waiting("mill", "quay", number) for number in range(3)),
    *(waiting("quay", "mill", number) for number in range(6)),
    waiting("hill", "mill"),
    waiting("mill", "west"),
]


def week(transfers: list[OpenTransfer], direct_fill_copies: int | None = None) -> CourierPlan:
    days = [MONDAY, TUESDAY, WEDNESDAY]
    return plan_days(calendar(), days, transfers, morning_of(MONDAY), SEARCH, direct_fill_copies)


@pytest.fixture(scope="module")
def plan() -> CourierPlan:
    return week(SOME)


def as_schedule(plan: CourierPlan) -> ScheduledDays:
    return ScheduledDays(calendar(), MONDAY, WEDNESDAY, plan.itineraries, plan.crates, plan.hubs)


def broken(plan: CourierPlan) -> set[str]:
    return {fault.rule for fault in faults(as_schedule(plan))}


def runs(plan: CourierPlan, hub: str) -> list[PlannedRun]:
    return [run for hub_day in plan.hubs if hub_day.hub == hub for run in hub_day.runs]


def test_a_schedule_carries_every_copy_as_its_legs_promise(plan: CourierPlan):
    assert faults(as_schedule(plan)) == []
    assert all(itinerary.within(WEDNESDAY) for itinerary in plan.itineraries)


def test_delivery_and_collection_are_one_visit():
    stands_sorted = OpenTransfer("t", "c", "mill", Where.SORTED, "east")
    found = plan_days(calendar(), [MONDAY], [stands_sorted, waiting("mill", "hill")], morning_of(MONDAY), SEARCH, None)
    visits = [(stop.place, len(stop.deliver), len(stop.collect)) for run in runs(found, "east") for stop in run.stops]
    assert visits == [("mill", 1, 1)]


def test_a_lunch_closure_is_kept():
    early = {"mill": "11:50-12:00", "quay": "08:30-11:45"}
    raw = {
        **RAW,
        "place": [
            {**place, "receiving": {"mon-fri": [early[place["id"]], "13:30-17:00"]}} if place["id"] in early else place
            for place in RAW["place"]
        ],
    }
    network: Network = from_tables(raw, "town")
    found = plan_day(
        network, MONDAY, SOME, morning_of(MONDAY).at, search=partial(solve_alone, time_s=30.0, seed=1, iterations=20)
    )
    for hub_day in found.hubs:
        for run in hub_day.runs:
            for stop in run.stops:
                begin_s, end_s = (t.hour * 3600 + t.minute * 60 + t.second for t in (stop.begins_at, stop.departs_at))
                assert any(a <= begin_s and end_s <= b for a, b in network.place[stop.place].receiving_spans(MONDAY))


def test_loads_follow_from_what_is_handed_over_and_taken(plan: CourierPlan):
    for hub_day in plan.hubs:
        for run in hub_day.runs:
            load = sum(len(stop.deliver) for stop in run.stops)
            for stop in run.stops:
                load += len(stop.collect) - len(stop.deliver)
                assert stop.load_after_crates == load


def test_a_lane_that_fills_a_crate_goes_direct_on_one_run():
    found = week(SOME, direct_fill_copies=4)
    crate = next(crate for crate in found.crates if crate.kind is LegKind.DIRECT)
    carried = [
        (stop.place, crate.id in stop.collect, crate.id in stop.deliver)
        for run in runs(found, "east")
        for stop in run.stops
        if crate.id in (*stop.collect, *stop.deliver)
    ]
    assert carried == [("quay", True, False), ("mill", False, True)]
    assert faults(as_schedule(found)) == []


def test_the_same_seed_and_iterations_give_the_same_routes(plan: CourierPlan):
    assert [hub_day.runs for hub_day in week(SOME).hubs] == [hub_day.runs for hub_day in plan.hubs]


def test_more_crates_than_a_van_holds_take_several_visits_or_trips():
    found = week([waiting("mill", "quay", number) for number in range(60)])
    assert faults(as_schedule(found)) == []
    assert sum(len(stop.collect) for run in runs(found, "east") for stop in run.stops) == 15


def nothing_goes(problem: Problem) -> Solution:
    return Solution(runs=[], engine="idle")


def test_stops_that_no_van_serves_are_named_with_their_crates():
    found = plan_days(calendar(), [MONDAY], SOME, morning_of(MONDAY), nothing_goes, None)
    left = {stop.place: (len(stop.crates), stop.why) for hub_day in found.hubs for stop in hub_day.unserved}
    assert {place: crates for place, (crates, _) in left.items()} == {"mill": 1, "quay": 2, "hill": 1}
    assert all(why and why["verdict"] == "worth_it" for _, why in left.values())


def test_a_place_that_opens_too_late_for_the_cut_off_is_served_by_a_later_van():
    found = week([waiting("late", "mill"), *SOME])
    assert broken(found) == set()
    assert {run.van for run in runs(found, "east") for stop in run.stops if stop.place == "late"} == {"e2"}


def served_for(cents: int, *others: OpenTransfer) -> tuple[set[str], list[str]]:
    pick = waiting("mill", "quay")
    found = plan_day(
        town(),
        MONDAY,
        [pick, *others],
        morning_of(MONDAY).at,
        search=partial(solve_alone, time_s=0.5, seed=1),
        worth={pick.transfer_id: cents},
    )
    verdicts = [stop.why["verdict"] for hub_day in found.hubs for stop in hub_day.unserved if stop.why]
    return {stop.place for run in runs(found, "east") for stop in run.stops}, verdicts


def test_a_stop_is_made_where_what_it_fetches_is_worth_the_way():
    assert served_for(200) == (set(), ["costs_more"])
    assert served_for(40_000) == ({"mill"}, [])


def test_a_pick_goes_along_where_a_van_calls_anyway():
    assert served_for(0, waiting("mill", "west", 2)) == ({"mill"}, [])


def everyone_twice(problem: Problem) -> Solution:
    return Solution(runs=[SolverRun(van=problem.vans[0].id, visits=[problem.stops[0].id] * 2)], engine="broken")


def test_a_plan_that_breaks_a_rule_is_refused_before_anyone_sees_it():
    with pytest.raises(PlanRejected, match="broken"):
        plan_days(calendar(), [MONDAY], SOME, morning_of(MONDAY), everyone_twice, None)


def test_the_check_sees_a_crate_left_out(plan: CourierPlan):
    assert broken(replace(plan, hubs=plan.hubs[1:])) == {"left_out"}


def moved(run: PlannedRun, hours: int) -> PlannedRun:
    by = timedelta(hours=hours)
    stops = tuple(replace(s, begins_at=s.begins_at + by, departs_at=s.departs_at + by) for s in run.stops)
    return replace(run, returns_at=run.returns_at + by, stops=stops)


def test_the_check_sees_a_stop_outside_its_window_and_a_run_back_too_late(plan: CourierPlan):
    late = replace(plan.hubs[0], runs=tuple(moved(run, 10) for run in plan.hubs[0].runs))
    assert broken(replace(plan, hubs=(late, *plan.hubs[1:]))) == {"outside_window", "after_cutoff"}


def test_the_check_sees_an_overloaded_van(plan: CourierPlan):
    run = plan.hubs[0].runs[0]
    full = replace(run, stops=(replace(run.stops[0], load_after_crates=11), *run.stops[1:]))
    assert broken(replace(plan, hubs=(replace(plan.hubs[0], runs=(full,)), *plan.hubs[1:]))) == {"overloaded"}


def test_the_check_sees_a_leg_without_its_crate(plan: CourierPlan):
    assert "no_crate" in broken(replace(plan, crates=plan.crates[1:]))
