"""A person's edits of a plan: each does what it says, is judged at once, and none is refused for what it breaks."""

from rotation.courier.edits import Edit, EditKind, begun, changed, choices, figures, judged, searched
from solver.problem import Call, Depot, Problem, Run, Shipment, Stop, Van, Window
from solver.solution import Cause, Solution

# Four stops east of the hub on a line, two vans of ten crates, places of a few km.
HUB = Depot(id="hub", lat=31.0, lon=121.0)
STOPS = [Stop(id=name, lat=31.0, lon=121.0 + n / 50, deliver=4, service_s=300) for n, name in enumerate("abcd", 1)]
VANS = [
    Van(id=name, start="hub", capacity=10, shift=Window(from_s=8 * 3600, until_s=16 * 3600)) for name in ("v1", "v2")
]
PROBLEM = Problem(depots=[HUB], vans=VANS, stops=STOPS)
PLAN = begun(PROBLEM, Solution(runs=[Run(van="v1", visits=["a", "b"]), Run(van="v2", visits=["c"])]))


def visits(*edits: Edit) -> dict[str, list[str]]:
    plan = changed(PLAN, edits)
    return {van.id: plan.visits(van.id) for van in VANS}


def moved(visit: str, van: str, before: str = "") -> Edit:
    return Edit(kind=EditKind.MOVE, visit=visit, van=van, before=before)


def test_a_stop_moves_to_another_run_before_the_stop_that_is_named():
    assert visits(moved("a", "v2", "c")) == {"v1": ["b"], "v2": ["a", "c"]}


def test_a_stop_moves_within_its_run():
    assert visits(moved("b", "v1", "a")) == {"v1": ["b", "a"], "v2": ["c"]}


def test_a_stop_that_nobody_serves_is_added_last_where_no_stop_is_named():
    assert visits(moved("d", "v2")) == {"v1": ["a", "b"], "v2": ["c", "d"]}


def test_a_stop_taken_out_is_served_by_nobody():
    plan = changed(PLAN, [Edit(kind=EditKind.REMOVE, visit="a")])
    assert judged(PLAN, plan).after.unserved == ["a", "d"]


def test_two_vans_change_runs():
    assert visits(Edit(kind=EditKind.SWAP_VANS, van="v1", to_van="v2")) == {"v1": ["c"], "v2": ["a", "b"]}


def test_a_run_is_split_from_a_stop_on_to_another_van_and_its_break_stays():
    rested = begun(PROBLEM, Solution(runs=[Run(van="v1", visits=["a", "b", "break:noon", "c"])]))
    plan = changed(rested, [Edit(kind=EditKind.SPLIT, visit="b", van="v2")])
    assert (plan.visits("v1"), plan.visits("v2")) == (["a", "break:noon"], ["b", "c"])
    assert plan.touched == {"b", "c"}


def test_a_split_takes_a_crates_first_half_along():
    crate = Shipment(
        id="x", collect=Call(place="a", lat=31.0, lon=121.02), deliver=Call(place="b", lat=31.0, lon=121.04)
    )
    both = begun(
        PROBLEM.model_copy(update={"shipments": [crate]}),
        Solution(runs=[Run(van="v1", visits=["collect:x", "a", "deliver:x", "b"])]),
    )
    plan = changed(both, [Edit(kind=EditKind.SPLIT, visit="deliver:x", van="v2")])
    assert (plan.visits("v1"), plan.visits("v2")) == (["a"], ["collect:x", "deliver:x", "b"])


def test_a_second_tour_of_the_same_van_lets_it_carry_more_than_it_holds():
    full = begun(PROBLEM, Solution(runs=[Run(van="v1", visits=["a", "b", "c"])]))
    plan = changed(full, [Edit(kind=EditKind.SPLIT, visit="c", van="v1")])
    assert plan.visits("v1") == ["a", "b", "reload:hub", "c"]
    found = judged(full, plan)
    assert [one.cause for one in found.solved] == [Cause.LOAD]
    assert found.broken == []
    assert found.after.totals.metres > found.before.totals.metres


def test_a_second_tour_from_the_first_stop_on_changes_nothing():
    assert changed(PLAN, [Edit(kind=EditKind.SPLIT, visit="a", van="v1")]) == PLAN


def test_another_start_moves_the_run_in_time():
    plan = changed(PLAN, [Edit(kind=EditKind.START, van="v1", seconds=10 * 3600)])
    begins = {run.van: run.begin_s for run in judged(PLAN, plan).after.runs}
    assert begins["v1"] >= 10 * 3600 > begins["v2"]


def test_edits_made_one_after_the_other_are_undone_by_leaving_out_the_last():
    edits = [moved("a", "v2"), moved("b", "v2")]
    assert changed(PLAN, edits[:1]).visits("v1") == ["b"]
    assert changed(PLAN, []).visits("v1") == ["a", "b"]


def test_an_overloaded_van_is_allowed_and_named_with_the_amount():
    found = judged(PLAN, changed(PLAN, [moved("a", "v2"), moved("b", "v2")]))
    assert [(one.cause, one.van, one.amount) for one in found.broken] == [(Cause.LOAD, "v2", 2)]


def test_a_limit_that_is_kept_again_counts_as_solved():
    served = judged(PLAN, changed(PLAN, [moved("d", "v2")]))
    assert [(one.cause, one.visit) for one in served.solved] == [(Cause.UNSERVED, "d")]
    assert served.broken == []


def test_the_figures_are_kilometres_minutes_money_and_co2_of_each_van():
    found = judged(PLAN, changed(PLAN, [moved("d", "v2")]))
    before, after = (figures(one, {"v1": 0, "v2": 200}) for one in (found.before, found.after))
    assert after.metres > before.metres
    assert after.work_s > before.work_s
    assert after.cost_cents > before.cost_cents
    v2_km = next(run.metres for run in found.after.runs if run.van == "v2") / 1000
    assert after.co2_g == int(v2_km * 200)


def test_the_choices_name_the_best_place_in_each_van_the_cheapest_first():
    found = choices(PLAN, "d")
    assert [one.van for one in found] == ["v2", "v1"]
    assert [bool(one.judged.broken) for one in found] == [False, True]


def test_a_search_leaves_what_was_moved_or_locked_on_its_van():
    plan = changed(PLAN, [moved("a", "v2"), Edit(kind=EditKind.LOCK, visit="b")])
    asked: list[Problem] = []

    def search(problem: Problem, warm: Solution) -> Solution:
        asked.append(problem)
        return warm

    found = searched(plan, search)
    assert {lock.van: lock.visits for lock in asked[0].locks} == {"v1": ["b"], "v2": ["a"]}
    assert changed(plan, [found]).visits("v2") == ["c", "a"]


def test_another_van_fetches_the_crates_of_a_van_that_broke_down():
    noon = begun(PROBLEM, Solution(runs=[Run(van="v1", visits=["a", "b"])]), 8 * 3600 + 60)
    broken = changed(noon, [Edit(kind=EditKind.BROKEN, van="v1")])
    assert {one.id for one in broken.problem.shipments} <= {"rescue a", "rescue b"}
    assert broken.problem.shipments


def test_a_late_van_is_later_at_every_stop_ahead():
    late = changed(PLAN, [Edit(kind=EditKind.LATE, van="v1", seconds=1800)])
    found = judged(PLAN, late)
    begins = [
        next(v.begin_s for r in one.runs if r.van == "v1" for v in r.visits if v.visit == "a")
        for one in (found.before, found.after)
    ]
    assert begins[1] - begins[0] == 1800


def test_an_urgent_stop_is_unserved_until_it_is_moved_to_a_van():
    stop = Stop(id="e", lat=31.0, lon=121.1, deliver=1)
    plan = changed(PLAN, [Edit(kind=EditKind.URGENT, stop=stop)])
    assert "e" in judged(PLAN, plan).after.unserved
    assert "e" not in judged(PLAN, changed(plan, [moved("e", "v2")])).after.unserved
