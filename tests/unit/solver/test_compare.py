"""What a second plan changes."""

from solver.compare import compare
from tests.unit.solver.days import TWO_VANS, day, plans, stop


def changes(first, second):
    problem = day(*(stop(place, deliver=1) for place in range(1, 6)), vans=TWO_VANS)
    return compare(problem, first, second)


def test_nothing_differs_from_itself():
    same = changes(plans(v="s1 s2", w="s3"), plans(v="s1 s2", w="s3"))
    assert (same.moved, same.shifted, same.cost_cents) == ([], [], 0)


def test_a_visit_on_another_van_has_moved():
    found = changes(plans(v="s1 s2", w="s3"), plans(v="s1", w="s2 s3"))
    assert [(one.visit, one.van_before, one.van_after) for one in found.moved] == [("s2", "v", "w")]


def test_only_the_fewest_visits_count_as_reordered():
    found = changes(plans(v="s1 s2 s3 s4"), plans(v="s4 s1 s2 s3"))
    assert [(one.visit, one.reordered) for one in found.moved] == [("s4", True)]


def test_dropped_and_added_visits_have_no_van_on_one_side():
    found = changes(plans(v="s1 s2"), plans(v="s1 s3"))
    assert {(one.visit, one.van_before, one.van_after) for one in found.moved} == {("s2", "v", None), ("s3", None, "v")}


def test_those_that_only_come_at_another_time_are_told_apart():
    found = changes(plans(v="s1 s3"), plans(v="s1 s2 s3 s4"))
    assert [one.visit for one in found.moved] == ["s2", "s4"]
    assert found.shifted == []
    assert [(one.visit, one.later_s) for one in changes(plans(v="s3 s1"), plans(v="s5 s3 s1")).shifted] == [
        ("s3", 480),
        ("s1", 480),
    ]


def test_cost_way_and_load_are_subtracted():
    found = changes(plans(v="s1"), plans(v="s1 s2"))
    assert (found.cost_cents, found.totals["metres"], found.peak["crates"]) == (2000, 2000, 1)
