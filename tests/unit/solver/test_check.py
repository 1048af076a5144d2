"""Bad input: every complaint at once, each with its place, the value and the expectation, in both languages."""

import json

import pytest

from solver.check import ProblemError, read
from solver.evaluate import evaluate
from solver.instance import compiled
from solver.messages import COMPLAINTS, say_complaint
from solver.problem import Problem, Run, problem_schema
from solver.solution import Solution
from tests.unit.solver.days import day, line, stop, van

GOOD = {
    "depots": [{"id": "hub", "lat": 51.4, "lon": -2.6}],
    "vans": [{"id": "v", "capacity": 20}],
    "stops": [{"id": "a", "lat": 51.5, "lon": -2.5, "deliver": 3, "windows": ["09:00-12:00", "13:00-17:30"]}],
}


def complaints(change):
    data = json.loads(json.dumps(GOOD))
    change(data)
    with pytest.raises(ProblemError) as error:
        read(data)
    return {one.at: one for one in error.value.complaints}


def changed(*path_and_value):
    *path, key, value = path_and_value

    def change(data):
        for part in path:
            data = data[part]
        data[key] = value

    return change


def test_a_short_problem_is_enough():
    assert read(GOOD).stops[0].windows[1].until_s == 17 * 3600 + 1800


SAME_ID = {"id": "a", "collect": {"place": "hub"}, "deliver": {"place": "a"}}
TUESDAYS = {"id": "z", "bans": [{"windows": ["07:00-09:00"], "weekdays": [1]}]}
OVERLAPPING = [{"from_s": 0, "until_s": 9, "percent": 110}, {"from_s": 5, "until_s": 19, "percent": 90}]
TWO_DEPOTS = [*GOOD["depots"], {"id": "b", "lat": 51, "lon": -2}]

BAD = {
    "negative times": (changed("stops", 0, "windows", [[-5, 10]]), "stops[0].windows[0].from_s"),
    "a window that ends first": (changed("vans", 0, "shift", "17:00-08:00"), "vans[0].shift"),
    "an hour that may be seconds": (changed("vans", 0, "shift", "8-16"), "vans[0].shift.from_s"),
    "a window of three ends": (changed("stops", 0, "windows", ["08:00-09:00-10:00"]), "stops[0].windows[0]"),
    "no number": (changed("stops", 0, "service_s", "soon"), "stops[0].service_s"),
    "half a second": (changed("stops", 0, "service_s", 0.5), "stops[0].service_s"),
    "not a number": (changed("stops", 0, "lat", float("nan")), "stops[0].lat"),
    "negative amounts": (changed("stops", 0, "deliver", -1), "stops[0].deliver"),
    "a misspelt field": (changed("stops", 0, "delivr", 1), "stops[0].delivr"),
    "an unknown depot": (changed("stops", 0, "depot", "nowhere"), "stops[0].depot"),
    "an unknown van": (changed("stops", 0, "vans", ["x"]), "stops[0].vans[0]"),
    "an unknown zone": (changed("stops", 0, "zone", "x"), "stops[0].zone"),
    "an unknown energy": (changed("vans", 0, "energy", "steam"), "vans[0].energy"),
    "an unknown visit in a lock": (changed("locks", [{"visits": ["x"]}]), "locks[0].visits[0]"),
    "an id given twice": (changed("shipments", [SAME_ID]), "shipments[0].id"),
    "an id like another visit's": (changed("stops", 0, "id", "break:a"), "stops[0].id"),
    "a dimension that is none": (changed("stops", 0, "deliver", {"kg": 4}), "stops[0].deliver"),
    "a van for nothing": (changed("vans", 0, "capacity", 0), "vans[0].capacity"),
    "no coordinates": (changed("stops", 0, "lat", None), "stops[0].lat"),
    "half a pair of coordinates": (changed("stops", 0, "lon", None), "stops[0].lon"),
    "a window outside all shifts": (changed("vans", 0, "shift", "18:00-22:00"), "stops[0].windows"),
    "bans by weekday without one": (changed("zones", [TUESDAYS]), "weekday"),
    "slots that overlap": (changed("slots", OVERLAPPING), "slots[1]"),
    "no van": (changed("vans", []), "vans"),
    "no depot": (changed("depots", []), "depots"),
    "several depots and a van that names none": (changed("depots", TWO_DEPOTS), "vans[0].start"),
    "a place in two places": (changed("stops", 0, "place", "hub"), "stops[0].lat"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_with_its_place(name):
    change, place = BAD[name]
    assert place in complaints(change)


@pytest.mark.parametrize("name", BAD)
def test_said_in_both_languages(name):
    for complaint in complaints(BAD[name][0]).values():
        assert complaint.code in COMPLAINTS
        assert say_complaint(complaint, "en").isascii()
        assert "：" in say_complaint(complaint, "zh")


def test_a_dimension_that_a_capacity_leaves_out_has_no_limit():
    data = GOOD | {"dimensions": ["crates", "kg"], "stops": [GOOD["stops"][0] | {"deliver": {"crates": 3, "kg": 900}}]}
    for capacity in ({"crates": 3}, 3):
        instance = compiled(read(data | {"vans": [{"id": "v", "capacity": capacity}]}))
        assert evaluate(instance, Solution(runs=[Run(van="v", visits=["a"])])).feasible
    tight = compiled(read(data | {"vans": [{"id": "v", "capacity": {"kg": 899}}]}))
    assert not evaluate(tight, Solution(runs=[Run(van="v", visits=["a"])])).feasible


@pytest.mark.parametrize(
    ("change", "place", "field"),
    [
        (changed("stops", 0, "delivr", 1), "stops[0].delivr", "deliver"),
        (changed("vans", 0, "shfit", "08:00-16:00"), "vans[0].shfit", "shift"),
        (changed("depots", 0, "window", []), "depots[0].window", "windows"),
        (changed("costs", {"late_hour_cent": 1}), "costs.late_hour_cent", "late_hour_cents"),
    ],
)
def test_a_misspelt_field_is_answered_with_the_field_that_was_meant(change, place, field):
    assert f"{field} is: meant?" in say_complaint(complaints(change)[place])


def test_complaints_name_the_element_by_its_id():
    complaint = complaints(changed("stops", 0, "service_s", -3))["stops[0].service_s"]
    assert say_complaint(complaint).startswith("stops[0].service_s of a: ")
    assert say_complaint(complaint, "zh").startswith("stops[0].service_s（a）：")


@pytest.mark.parametrize(
    "change",
    [
        changed("stops", 0, "service_s", True),
        changed("stops", 0, "lat", True),
        changed("vans", 0, "max_reloads", True),
        changed("stops", 0, "ready_s", False),
        changed("stops", 0, "windows", [[True, 9]]),
    ],
)
def test_true_and_false_are_no_numbers(change):
    assert {one.code for one in complaints(change).values()} == {"boolean"}


@pytest.mark.parametrize(
    "change",
    [changed("stops", 0, "ready_s", 1_772_438_400), changed("vans", 0, "shift", [1_772_438_400, 1_772_467_200])],
)
def test_a_unix_time_is_named_as_one(change):
    assert {one.code for one in complaints(change).values()} == {"unix_time"}


def test_all_is_told_at_once_also_where_fields_are_bad():
    def change(data):
        data["vans"][0]["shift"] = "17:00-08:00"
        data["stops"][0]["depot"] = "nowhere"
        data["stops"].append({"id": "b", "lat": 51.4, "lon": -2.4, "service_s": -3, "zone": "z"})

    assert set(complaints(change)) >= {"vans[0].shift", "stops[0].depot", "stops[1].service_s"}


@pytest.mark.parametrize("cell", [float("nan"), -1, 0.5, None, "x"])
def test_a_bad_cell_of_a_matrix_is_told(cell):
    travel = line(3).model_dump()
    travel["seconds"][1][2] = cell
    with pytest.raises(ProblemError) as error:
        day(stop(1), travel=travel)
    assert [one.at for one in error.value.complaints] == ["travel.seconds"]


def test_a_matrix_has_a_row_for_each_place():
    travel = line(3).model_dump() | {"places": ["0", "1"]}
    with pytest.raises(ProblemError) as error:
        day(stop(1), travel=travel)
    assert [one.at for one in error.value.complaints] == ["travel.metres", "travel.seconds"]


def test_locks_that_contradict_are_told():
    with pytest.raises(ProblemError) as error:
        day(stop(1), vans=[van(), van(id="w")], locks=[{"visits": ["s1"], "van": "v"}, {"visits": ["s1"], "van": "w"}])
    assert [one.code for one in error.value.complaints] == ["lock_conflict"]


def test_the_past_is_known_and_in_order():
    position = {"place": "1", "now_s": 100, "started_s": 200}
    done = [{"visit": "s9", "arrive_s": 50, "begin_s": 40, "leave_s": 60}]
    with pytest.raises(ProblemError) as error:
        day(stop(1), vans=[van(under_way=position | {"done": done})])
    assert {one.code for one in error.value.complaints} == {"unknown_visit", "done_order", "started_late"}


def test_a_hundred_thousand_stops_are_refused_unless_asked_for():
    def change(data):
        data["stops"] = [{"id": f"s{n}", "lat": 51.4, "lon": -2.6} for n in range(100_000)]

    found = complaints(change)
    assert found["stops"].code == "too_many_stops"


@pytest.mark.parametrize("data", [None, [], 3, "x", {}, {"stops": 4}])
def test_what_is_no_problem_at_all_is_refused(data):
    with pytest.raises(ProblemError):
        read(data)


def test_the_schema_knows_every_field():
    assert set(problem_schema()["properties"]) == set(Problem.model_fields)
