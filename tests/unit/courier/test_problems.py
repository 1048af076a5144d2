"""The routing problem of a hub's day: places, windows and crates as the network and the legs have them."""

from rotation.courier.crates import crates
from rotation.courier.legs import OpenTransfer, itineraries
from rotation.courier.problems import hub_problem, place_of
from solver.problem import Problem, Stop
from tests.unit.courier.town import MONDAY, calendar, morning_of, waiting

CALENDAR = calendar()
NOON, HALF_PAST_ONE, FIVE = 12 * 3600, 13 * 3600 + 1800, 17 * 3600
ONE_CRATE_S = 300 + 45


def asked(*transfers: OpenTransfer) -> Problem:
    found = list(itineraries(transfers, CALENDAR, morning_of(MONDAY)))
    return hub_problem(CALENDAR, CALENDAR.network.place["east"], MONDAY, crates(found, CALENDAR.network))


def stop(place: str, *transfers: OpenTransfer) -> Stop:
    return next(stop for stop in asked(*transfers).stops if stop.place == place)


def test_service_ends_before_lunch_and_before_closing():
    windows = [(window.from_s, window.until_s) for window in stop("mill", waiting("mill", "quay")).windows]
    assert windows == [(9 * 3600, NOON - ONE_CRATE_S), (HALF_PAST_ONE, FIVE - ONE_CRATE_S)]


def test_what_is_collected_is_due_at_the_cut_off_unless_the_place_opens_too_late_for_it():
    assert stop("mill", waiting("mill", "quay")).due_s == FIVE
    assert stop("late", waiting("late", "quay")).due_s is None


def test_a_place_with_more_crates_than_a_van_holds_is_several_stops_of_its_name():
    stops = asked(*(waiting("mill", "quay", number) for number in range(60))).stops
    assert [(one.id, place_of(one.id), one.collect) for one in stops] == [("mill", "mill", 10), ("mill#2", "mill", 5)]


def test_vans_load_again_only_where_crates_are_many():
    few, many = asked(waiting("mill", "quay")), asked(*(waiting("mill", "quay", number) for number in range(60)))
    assert ({van.max_reloads for van in few.vans}, {van.max_reloads for van in many.vans}) == ({0}, {2})


def test_other_hubs_crates_are_no_stops_of_this_one():
    assert [one.id for one in asked(waiting("mill", "quay"), waiting("hill", "mill")).stops] == ["mill"]
