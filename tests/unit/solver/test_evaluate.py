"""The judge: small days whose times, loads and costs can be checked by hand."""

import pytest

from solver.evaluate import evaluate, evaluate_change
from solver.problem import Run
from solver.solution import Cause, Solution
from tests.unit.solver.days import TWO_VANS, day, judged, plan, plans, stop, times, under_way, van, wrong

HOUR = 3600


def test_a_run_takes_its_drives_and_services():
    run = judged(day(stop(3, service_s=60)), "s3").runs[0]
    assert (run.work_s, run.metres, run.money.kilometres) == (3 * 120 * 2 + 60, 6000, 6000)


def test_service_takes_longer_for_more_crates():
    evaluation = judged(day(stop(1, deliver=3, collect=2, service_s=60, service_s_per_unit=10)), "s1")
    assert evaluation.runs[0].service_s == 60 + 50


def test_a_van_waits_for_a_window_to_open_but_leaves_the_depot_late_instead():
    evaluation = judged(day(stop(1, windows=[[HOUR, 2 * HOUR]])), "s1")
    assert times(evaluation)["s1"] == (HOUR, HOUR, HOUR)
    assert evaluation.runs[0].begin_s == HOUR - 120


def test_what_cannot_be_saved_by_leaving_late_is_waited():
    early, late = stop(1, windows=[[0, 600]]), stop(2, windows=[[HOUR, 2 * HOUR]])
    assert judged(day(early, late), "s1", "s2").runs[0].wait_s == HOUR - 600 - 120


def test_a_lunch_closure_is_waited_out():
    after_first = stop(1, service_s=3000, windows=[[0, 100]])
    closed = stop(2, windows=["00:00-00:50", "01:30-02:00"])
    arrive, begin, _ = times(judged(day(after_first, closed), "s1", "s2"))["s2"]
    assert arrive < begin == 5400


def test_lateness_is_the_seconds_after_the_last_window():
    assert wrong(judged(day(stop(5, windows=[[0, 100]])), "s5")) == {Cause.WINDOW: 500}


def test_an_overloaded_van_is_told_once_at_its_worst():
    problem = day(stop(1, deliver=4), stop(2, deliver=4), vans=[van(capacity=5)])
    assert wrong(judged(problem, "s1", "s2")) == {Cause.LOAD: 3}


def test_a_van_carries_what_it_will_hand_over_and_what_it_took():
    evaluation = judged(day(stop(1, deliver=4, collect=3), stop(2, deliver=1, collect=5)), "s1", "s2")
    assert [visit.load["crates"] for visit in evaluation.runs[0].visits[:3]] == [5, 4, 8]


def test_each_dimension_counts_by_itself():
    heavy = stop(1, deliver={"crates": 1, "kg": 90})
    problem = day(heavy, vans=[van(capacity={"crates": 9, "kg": 50})], dimensions=["crates", "kg"])
    assert [(one.unit, one.amount) for one in judged(problem, "s1").violations] == [("kg", 40)]


def test_a_shipment_rides_from_its_collection_to_its_delivery():
    direct = {"id": "d", "amount": 2, "collect": {"place": "1"}, "deliver": {"place": "3"}}
    evaluation = judged(day(stop(2), shipments=[direct]), "collect:d", "s2", "deliver:d")
    assert [visit.load["crates"] for visit in evaluation.runs[0].visits[:4]] == [0, 2, 2, 0]


@pytest.mark.parametrize("visits", [("deliver:d", "collect:d"), ("collect:d",), ("deliver:d",)])
def test_halves_of_a_shipment_stay_together_in_their_order(visits):
    direct = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "3"}}
    assert Cause.SPLIT in wrong(judged(day(shipments=[direct]), *visits))


def test_the_shift_the_latest_start_and_the_longest_run_bind():
    tight = van(shift=[0, 600], max_duration_s=500, max_metres=4000)
    assert wrong(judged(day(stop(3), vans=[tight]), "s3")) == {
        Cause.SHIFT: 120,
        Cause.DURATION: 220,
        Cause.DISTANCE: 2000,
    }


def test_a_start_after_the_latest_one_is_told():
    opens_late = [{"id": "hub", "place": "0", "windows": [[HOUR, 9 * HOUR]]}]
    problem = day(stop(1), vans=[van(latest_start_s=HOUR - 300)], depots=opens_late)
    assert wrong(judged(problem, "s1")) == {Cause.START: 300}


@pytest.mark.parametrize(
    ("need", "have", "cause"),
    [
        ({"skills": ["lift"]}, {}, Cause.SKILL),
        ({"sizes": {"height_cm": 200}}, {"sizes": {"height_cm": 250}}, Cause.SIZE),
        ({"vans": ["w"]}, {}, Cause.VAN),
    ],
)
def test_a_van_that_may_not_come_is_told(need, have, cause):
    assert wrong(judged(day(stop(1, **need), vans=[van(**have), van(id="w")]), "s1")) == {cause: 1}


def barred(weekday: int) -> object:
    zone = {"id": "old", "bans": [{"windows": ["00:00-01:00"], "weekdays": [0], "plate_ends": ["7"]}]}
    return day(stop(1, zone="old", service_s=60), vans=[van(plate="A 17")], zones=[zone], weekday=weekday)


def test_a_zone_is_barred_by_hour_weekday_and_plate():
    assert times(judged(barred(0), "s1"))["s1"][1] == HOUR
    assert times(judged(barred(1), "s1"))["s1"][1] == 120


def test_service_may_not_overlap_a_ban_that_begins_in_its_middle():
    zone = {"id": "old", "bans": [{"windows": [[150, 900]]}]}
    assert times(judged(day(stop(1, zone="old", service_s=60), zones=[zone]), "s1"))["s1"][1] == 900


def test_a_zone_barred_all_day_is_a_violation():
    zone = {"id": "old", "bans": [{"windows": [[0, 90_000]]}]}
    problem = day(stop(1, zone="old", service_s=60, windows=[[0, 80_000]]), zones=[zone])
    assert Cause.ZONE in wrong(judged(problem, "s1"))


TIRED = van(breaks=[{"id": "lunch", "length_s": 600, "windows": [[200, 400]]}])


def test_a_rest_is_taken_on_the_road_when_its_window_opens():
    evaluation = judged(day(stop(3), vans=[TIRED | {"latest_start_s": 0}]), "break:lunch", "s3")
    assert times(evaluation)["break:lunch"][1] == 200
    assert times(evaluation)["s3"][0] == 360 + 600


def test_a_missing_rest_is_told_unless_the_run_is_over_before_it():
    assert wrong(judged(day(stop(3), vans=[TIRED | {"latest_start_s": 0}]), "s3")) == {Cause.BREAK: 1}
    assert judged(day(stop(1), vans=[TIRED]), "s1").feasible


def test_a_rest_that_begins_after_its_window_is_late():
    late = judged(day(stop(5, windows=[[0, 600]]), vans=[TIRED | {"latest_start_s": 0}]), "s5", "break:lunch")
    assert wrong(late) == {Cause.BREAK_LATE: 200}


def test_a_reload_empties_the_van_of_what_it_collected():
    problem = day(stop(1, collect=4), stop(2, deliver=5), vans=[van(capacity=5, max_reloads=1)])
    assert judged(problem, "s1", "reload:hub", "s2").feasible
    assert wrong(judged(problem, "s1", "s2")) == {Cause.LOAD: 4}


def test_reloads_are_counted():
    problem = day(stop(1), vans=[van(max_reloads=1)])
    assert wrong(judged(problem, "reload:hub", "s1", "reload:hub")) == {Cause.RELOAD: 1}


def test_crates_ready_late_hold_the_van_back():
    assert judged(day(stop(1, deliver=1, ready_s=HOUR)), "s1").runs[0].begin_s == HOUR


def test_what_comes_back_after_the_sorting_cut_off_is_told():
    hub = [{"id": "hub", "place": "0", "sort_cutoff_s": 500, "unload_s": 100}]
    assert wrong(judged(day(stop(2, collect=1), depots=hub), "s2")) == {Cause.CUTOFF: 80}
    assert judged(day(stop(2, deliver=1), depots=hub), "s2").feasible


TWO_HUBS = [{"id": "hub", "place": "0"}, {"id": "far", "place": "9"}]


def test_crates_are_of_their_own_depot():
    problem = day(stop(1, deliver=1, depot="far"), vans=[van(start="hub")], depots=TWO_HUBS)
    assert wrong(judged(problem, "s1")) == {Cause.DEPOT: 1}


def test_a_run_may_end_elsewhere_or_nowhere():
    ending = day(
        stop(1), vans=[van(start="hub", end="far"), van(id="open", start="hub", open_end=True)], depots=TWO_HUBS
    )
    assert [evaluate(ending, plan("s1", van=name)).totals.metres for name in ("v", "open")] == [9000, 1000]


def test_docks_are_counted_by_the_vans_that_stand_at_them():
    hub = [{"id": "hub", "place": "0", "docks": 1, "load_s": 300}]
    timely = [van(latest_start_s=0), van(id="w", latest_start_s=0)]
    assert wrong(evaluate(day(stop(1), stop(2), depots=hub, vans=timely), plans(v="s1", w="s2"))) == {Cause.DOCKS: 1}


def test_locks_hold_van_order_and_neighbours():
    def locked(**lock):
        return day(stop(1), stop(2), stop(3), vans=TWO_VANS, locks=[lock])

    assert wrong(evaluate(locked(visits=["s1"], van="w"), plans(v="s1 s2 s3")))[Cause.LOCK_VAN] == 1
    assert wrong(judged(locked(visits=["s1", "s3"], order="kept"), "s1", "s2", "s3")) == {}
    assert wrong(judged(locked(visits=["s3", "s1"], order="kept"), "s1", "s2", "s3")) == {Cause.LOCK_ORDER: 1}
    assert wrong(judged(locked(visits=["s1", "s3"], order="unbroken"), "s1", "s2", "s3")) == {Cause.LOCK_ORDER: 1}
    apart = evaluate(locked(visits=["s1", "s3"], order="kept"), plans(v="s1 s2", w="s3"))
    assert wrong(apart) == {Cause.LOCK_VAN: 1}


DONE_FIRST = {"visit": "s1", "arrive_s": 620, "begin_s": 620, "leave_s": 700}


def test_a_van_under_way_goes_on_from_where_it_is():
    problem = day(stop(1), stop(3), vans=[under_way(done=[DONE_FIRST])])
    evaluation = judged(problem, "s1", "s3")
    assert evaluation.feasible
    assert (evaluation.runs[0].begin_s, evaluation.runs[0].end_s, evaluation.totals.metres) == (500, 1480, 6000)


def test_what_was_done_stays_at_the_beginning():
    problem = day(stop(1), stop(3), vans=[under_way(done=[DONE_FIRST])])
    assert Cause.EXECUTED in wrong(judged(problem, "s3", "s1"))


def test_a_van_under_way_hands_over_only_what_it_carries():
    problem = day(stop(3, deliver=1), stop(4, deliver=1), vans=[under_way(on_board=["s3"]), van(id="w")])
    assert wrong(evaluate(problem, plans(v="s3 s4"))) == {Cause.READY: 1}
    assert wrong(evaluate(problem, plans(v="s4", w="s3"))) == {Cause.READY: 1, Cause.ON_BOARD: 1}


def test_what_was_done_is_not_done_again():
    problem = day(stop(1), stop(3), vans=[under_way(done=[DONE_FIRST]), van(id="w")])
    assert wrong(evaluate(problem, plans(v="s1 s3 s1"))) == {Cause.EXECUTED: 1}
    assert wrong(evaluate(problem, plans(v="s1 s3", w="s1"))) == {Cause.EXECUTED: 1, Cause.TWICE: 1}


def test_no_visit_is_on_two_runs_and_no_van_drives_two():
    problem = day(stop(1), stop(2), vans=TWO_VANS)
    assert wrong(evaluate(problem, plans(v="s1 s2", w="s2"))) == {Cause.TWICE: 1}
    twice = Solution(runs=[Run(van="v", visits=["s1"]), Run(van="v", visits=["s2"])])
    assert wrong(evaluate(problem, twice)) == {Cause.VAN_TWICE: 1}


def test_the_load_of_a_van_under_way_counts_what_it_carries_and_took():
    problem = day(
        stop(1, collect=2), stop(3, deliver=4), stop(5, collect=1), vans=[under_way(done=[DONE_FIRST], on_board=["s3"])]
    )
    loads = {
        one.visit: one.load.get("crates") for one in judged(problem, "s1", "s3", "s5").runs[0].visits if not one.done
    }
    assert loads == {"start:hub": 6, "s3": 2, "s5": 3, "end:hub": 0}


def test_a_van_under_way_that_the_plan_forgets_goes_home():
    problem = day(stop(1), vans=[under_way(), van(id="w")])
    assert evaluate(problem, plans(w="s1")).totals.metres == 2000 + 2000 + 2000


def test_broken_plans_are_judged_however_broken():
    evaluation = evaluate(day(stop(1), stop(2)), plans(v="s1 s1 ghost break:none", x="s2"))
    assert wrong(evaluation) == {Cause.TWICE: 1, Cause.UNKNOWN: 3, Cause.UNSERVED: 1}


def test_mandatory_work_left_out_weighs_by_priority_and_optional_by_its_prize():
    problem = day(stop(1), stop(2, priority=4), stop(3, prize_cents=700))
    none, one = evaluate(problem, Solution()), judged(problem, "s2")
    assert none.money.prizes_forgone == 700
    assert none.unserved == ["s1", "s2", "s3"]
    assert one.infeasibility < judged(problem, "s1").infeasibility < none.infeasibility


def test_costs_are_counted_by_what_they_are_paid_for():
    dear = van(
        fixed_cents=50, hour_cents=3600, km_cents=100, normal_s=600, overtime_hour_cents=7200, energy="electric_van"
    )
    costs = {"co2_cents_per_kg": 10, "not_preferred_cents": 7, "late_hour_cents": 3600}
    money = judged(
        day(stop(4, preferred_vans=["w"], windows=[[0, 400]]), vans=[dear, van(id="w")], costs=costs), "s4"
    ).money
    assert (money.vans, money.hours, money.kilometres, money.overtime) == (50, 960, 800, 720)
    assert (money.energy, money.co2, money.not_preferred, money.late) == (56, 0, 7, 80)


def test_imbalance_is_between_the_longest_and_the_shortest_work():
    problem = day(stop(1), stop(5), vans=TWO_VANS, costs={"imbalance_hour_cents": 3600})
    evaluation = evaluate(problem, plans(v="s1", w="s5"))
    assert (evaluation.totals.imbalance_s, evaluation.money.imbalance) == (960, 960)


def test_change_counts_visits_on_another_van_or_out_of_order():
    problem = day(
        *(stop(place) for place in range(1, 6)),
        vans=TWO_VANS,
        baseline=[{"van": "v", "visits": ["s1", "s2", "s3", "s4", "s5"]}],
        costs={"change_cents": 10},
    )
    assert evaluate(problem, plans(v="s1 s2 s3 s4", w="s5")).money.change == 10
    assert evaluate(problem, plans(v="s4 s1 s2 s3 s5")).money.change == 10


def test_rush_hours_slow_the_part_of_the_drive_that_falls_in_them():
    problem = day(stop(5), slots=[{"from_s": 300, "until_s": 900, "percent": 200}], vans=[van(latest_start_s=0)])
    assert times(judged(problem, "s5"))["s5"][0] == 300 + 600


def test_who_leaves_later_never_arrives_earlier_through_a_rush():
    slot = [{"from_s": 600, "until_s": 1200, "percent": 300}]
    arrivals = []
    for opens_s in range(0, 1300, 50):
        hub = [{"id": "hub", "place": "0", "windows": [[opens_s, 36_000]]}]
        arrivals.append(
            times(judged(day(stop(5), depots=hub, slots=slot, vans=[van(max_reloads=1)]), "reload:hub", "s5"))["s5"][0]
        )
    assert arrivals == sorted(arrivals)


def test_one_edited_run_is_judged_as_the_whole_plan_would_be():
    problem = day(*(stop(place) for place in range(1, 6)), vans=TWO_VANS)
    before, after = plans(v="s1 s2 s3", w="s4 s5"), plans(v="s1 s2", w="s3 s4 s5")
    assert evaluate_change(problem, evaluate(problem, before), after.runs) == evaluate(problem, after)
    without = evaluate_change(problem, evaluate(problem, before), [Run(van="w")])
    assert without == evaluate(problem, plans(v="s1 s2 s3"))
