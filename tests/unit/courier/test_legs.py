"""Legs: each transfer has dates that a calendar on the wall would give, or the reason that it has none."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.courier.calendar import Calendar
from rotation.courier.legs import Itinerary, LegReasonCode, OpenTransfer, Where, itinerary
from rotation.facts.lifecycle import LegKind
from rotation.network import from_tables
from tests.unit.courier.town import (
    FRIDAY,
    MONDAY,
    RAW,
    SATURDAY,
    SUNDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    calendar,
    morning_of,
    town,
    waiting,
)

CALENDAR = calendar()
NEXT_MONDAY = MONDAY + timedelta(days=7)


def legs(transfer: OpenTransfer, first_day: date) -> list[tuple[LegKind, date]]:
    return [(leg.kind, leg.day) for leg in itinerary(transfer, CALENDAR, morning_of(first_day)).legs]


def reasons(found: Itinerary) -> list[tuple[LegReasonCode, str, date | None]]:
    return [(reason.code, reason.place, reason.next_day) for reason in found.reasons]


def test_within_one_hub_a_copy_is_collected_sorted_and_delivered_the_next_day():
    assert legs(waiting("mill", "quay"), TUESDAY) == [
        (LegKind.COLLECT, TUESDAY),
        (LegKind.SORT, TUESDAY),
        (LegKind.DELIVER, WEDNESDAY),
    ]


def test_to_another_hub_it_goes_by_trunk_overnight_and_is_delivered_the_next_day_too():
    assert legs(waiting("mill", "hill"), MONDAY) == [
        (LegKind.COLLECT, MONDAY),
        (LegKind.SORT, MONDAY),
        (LegKind.TRUNK, MONDAY),
        (LegKind.SORT, TUESDAY),
        (LegKind.DELIVER, TUESDAY),
    ]


def test_what_is_collected_on_friday_is_delivered_on_monday_where_no_one_receives_at_the_weekend():
    found = itinerary(waiting("quay", "mill"), CALENDAR, morning_of(FRIDAY))
    assert found.arrives == NEXT_MONDAY
    assert reasons(found) == [(LegReasonCode.CLOSED, "mill", NEXT_MONDAY)]


def test_a_copy_at_a_place_open_on_saturday_is_collected_then_though_no_other_is_open():
    assert legs(waiting("quay", "mill"), SATURDAY) == [
        (LegKind.COLLECT, SATURDAY),
        (LegKind.SORT, SATURDAY),
        (LegKind.DELIVER, NEXT_MONDAY),
    ]


def test_each_closed_end_is_named_with_the_next_possible_day():
    found = itinerary(waiting("quay", "hill"), CALENDAR, morning_of(TUESDAY))
    assert reasons(found) == [(LegReasonCode.CLOSED, "quay", WEDNESDAY)]
    assert (found.legs[0].day, found.arrives) == (WEDNESDAY, THURSDAY)


def test_a_closed_day_of_the_calendar_counts_as_one_of_the_week():
    found = itinerary(waiting("mill", "hill"), CALENDAR, morning_of(TUESDAY))
    assert reasons(found) == [(LegReasonCode.CLOSED, "hill", THURSDAY)]


def test_what_cannot_be_back_by_the_cut_off_is_sorted_the_day_after():
    assert legs(waiting("late", "mill"), MONDAY) == [
        (LegKind.COLLECT, MONDAY),
        (LegKind.SORT, TUESDAY),
        (LegKind.DELIVER, WEDNESDAY),
    ]


def test_a_missed_cut_off_is_named_with_the_next_sorting():
    found = itinerary(waiting("late", "mill"), CALENDAR, morning_of(MONDAY))
    assert reasons(found) == [(LegReasonCode.AFTER_CUTOFF, "late", TUESDAY)]


def test_a_hubs_own_copies_need_no_collection_and_its_own_arrivals_no_delivery():
    assert legs(waiting("east", "mill"), MONDAY) == [(LegKind.SORT, MONDAY), (LegKind.DELIVER, TUESDAY)]
    assert legs(waiting("mill", "west"), MONDAY)[-1] == (LegKind.SORT, TUESDAY)


def at_hub(hub: str, to_place: str, day: date, hour: int, where: Where = Where.HUB) -> OpenTransfer:
    return OpenTransfer("t", "c", to_place, where, hub, town().instant(day, hour * 3600))


def test_a_copy_set_down_before_the_cut_off_goes_out_the_next_morning_and_after_it_a_day_later():
    assert legs(at_hub("east", "mill", MONDAY, 16), TUESDAY) == [(LegKind.SORT, MONDAY), (LegKind.DELIVER, TUESDAY)]
    assert legs(at_hub("east", "mill", MONDAY, 18), TUESDAY) == [(LegKind.SORT, TUESDAY), (LegKind.DELIVER, WEDNESDAY)]


def test_a_copy_that_missed_last_nights_trunk_takes_tonights():
    assert legs(at_hub("east", "hill", SUNDAY, 16), MONDAY + timedelta(days=7))[1:] == [
        (LegKind.TRUNK, NEXT_MONDAY),
        (LegKind.SORT, NEXT_MONDAY + timedelta(days=1)),
        (LegKind.DELIVER, NEXT_MONDAY + timedelta(days=1)),
    ]


def test_a_sorted_copy_is_delivered_on_the_first_day_or_waits_for_its_trunk():
    assert legs(at_hub("east", "mill", SUNDAY, 20, Where.SORTED), TUESDAY) == [(LegKind.DELIVER, TUESDAY)]
    assert legs(at_hub("east", "hill", SUNDAY, 20, Where.SORTED), TUESDAY)[0] == (LegKind.TRUNK, TUESDAY)


@pytest.mark.parametrize(
    ("transfer", "code", "place"),
    [
        (waiting("mill", "nowhere"), LegReasonCode.NO_COORDINATES, "nowhere"),
        (waiting("nowhere", "mill"), LegReasonCode.NO_COORDINATES, "nowhere"),
        (waiting("mill", "shut"), LegReasonCode.CLOSED, "shut"),
        (waiting("mill", "moon"), LegReasonCode.UNKNOWN_PLACE, "moon"),
        (waiting("mill", "mill"), LegReasonCode.ALREADY_THERE, "mill"),
    ],
)
def test_what_cannot_go_has_one_named_reason_and_no_legs(transfer: OpenTransfer, code: LegReasonCode, place: str):
    found = itinerary(transfer, CALENDAR, morning_of(MONDAY))
    assert (found.legs, reasons(found)) == ((), [(code, place, None)])


TEN_ON_MONDAY = town().instant(MONDAY, 36_000)
PLACES = [place.id for place in town().places]
somewhere = st.builds(
    lambda where, at, to, day: OpenTransfer("t", "c", to, where, at, TEN_ON_MONDAY + timedelta(days=day)),
    st.sampled_from(Where),
    st.sampled_from(PLACES),
    st.sampled_from(PLACES),
    st.integers(-3, 7),
)


@given(somewhere, st.integers(7, 14))
def test_every_transfer_has_legs_or_one_reason_and_its_days_never_go_backward(transfer: OpenTransfer, day: int):
    found = itinerary(transfer, CALENDAR, morning_of(MONDAY + timedelta(days=day)))
    days = [leg.day for leg in found.legs]
    assert days == sorted(days)
    assert bool(found.legs) or len(found.reasons) == 1


@given(somewhere, st.integers(7, 14))
def test_each_leg_begins_where_the_one_before_ended_and_the_last_ends_at_its_goal(transfer: OpenTransfer, day: int):
    found = itinerary(transfer, CALENDAR, morning_of(MONDAY + timedelta(days=day)))
    ends = [(leg.from_place, leg.to_place) for leg in found.legs]
    assert all(one[1] == following[0] for one, following in pairwise(ends))
    assert not ends or ends[-1][1] == transfer.to_place


@given(somewhere, st.integers(7, 14))
def test_vans_call_only_on_days_when_the_place_receives(transfer: OpenTransfer, day: int):
    found = itinerary(transfer, CALENDAR, morning_of(MONDAY + timedelta(days=day)))
    calls = [
        (leg.from_place if leg.kind is LegKind.COLLECT else leg.to_place, leg.day)
        for leg in found.legs
        if leg.kind in (LegKind.COLLECT, LegKind.DELIVER)
    ]
    assert all(town().place[place].receiving_spans(on) for place, on in calls)


def test_no_van_leaves_a_hub_without_coordinates_and_the_others_go_on():
    places = [
        {name: value for name, value in place.items() if place["id"] != "west" or name not in ("lat", "lon")}
        for place in RAW["place"]
    ]
    half = Calendar(from_tables(RAW | {"place": places}, "town"))
    assert (half.call("hill", MONDAY), half.call("mill", MONDAY)) == (None, CALENDAR.call("mill", MONDAY))
    found = itinerary(waiting("mill", "hill"), half, morning_of(MONDAY))
    assert [reason.place for reason in found.reasons] == ["hill"]
