"""Levels: one alert from opening to closing, and silence counted in open hours."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.alerts import levels
from rotation.alerts.levels import AlertVerdict
from rotation.network import Place
from tests.streams_world import city


def test_a_shelf_below_its_least_is_a_shortage_until_it_has_come_back_by_the_band() -> None:
    assert [levels.shortage(level, 0, 10, 50) for level in (9, 10, 13, 14)] == [
        AlertVerdict.OPEN,
        AlertVerdict.KEEP,
        AlertVerdict.KEEP,
        AlertVerdict.CLOSE,
    ]


def test_what_is_on_its_way_to_a_shelf_is_no_shortage_there() -> None:
    assert [levels.shortage(6, coming, 10, 50) for coming in (3, 4, 8)] == [
        AlertVerdict.OPEN,
        AlertVerdict.KEEP,
        AlertVerdict.CLOSE,
    ]


def test_a_shelf_above_its_most_is_a_surplus_until_it_has_gone_down_by_the_band() -> None:
    assert [levels.surplus(level, 10, 50) for level in (51, 50, 47, 46)] == [
        AlertVerdict.OPEN,
        AlertVerdict.KEEP,
        AlertVerdict.KEEP,
        AlertVerdict.CLOSE,
    ]


@given(st.integers(0, 300), st.integers(0, 100), st.integers(0, 100))
def test_no_level_is_a_shortage_and_a_surplus_and_the_middle_is_neither(level: int, low: int, span: int) -> None:
    high = low + span
    assert {levels.shortage(level, 0, low, high), levels.surplus(level, low, high)} != {AlertVerdict.OPEN}
    middle = (low + high) // 2
    assert AlertVerdict.OPEN not in (levels.shortage(middle, 0, low, high), levels.surplus(middle, low, high))


@given(st.lists(st.integers(0, 30), max_size=60))
def test_a_level_that_swings_within_the_band_opens_no_second_alert(swings: list[int]) -> None:
    low, high, opened, is_open = 10, 50, 0, False
    for level in (9, *(10 + swing % 4 for swing in swings)):
        verdict = levels.shortage(level, 0, low, high)
        opened += verdict is AlertVerdict.OPEN and not is_open
        is_open = verdict is AlertVerdict.OPEN or (is_open and verdict is AlertVerdict.KEEP)
    assert opened == 1


def test_half_a_shelf_unread_is_stale_but_not_in_a_room_of_a_few_books() -> None:
    assert levels.stale(60, 100) is AlertVerdict.OPEN
    assert levels.stale(45, 100) is AlertVerdict.KEEP
    assert levels.stale(20, 30) is AlertVerdict.CLOSE


def test_a_place_with_under_half_of_its_peers_copies_per_head_is_treated_unfairly() -> None:
    peers = [1.0, 1.0, 1.2, 0.4]
    assert [levels.unfair(share, peers) for share in (0.4, 0.55, 0.9)] == [
        AlertVerdict.OPEN,
        AlertVerdict.KEEP,
        AlertVerdict.CLOSE,
    ]


@pytest.mark.parametrize(
    ("until", "hours"),
    [
        (datetime(2026, 3, 2, 12, tzinfo=UTC), 3.0),
        (datetime(2026, 3, 3, 12, tzinfo=UTC), 11.0),
        (datetime(2026, 3, 9, 9, tzinfo=UTC), 40.0),
    ],
)
def test_only_open_hours_count_as_silence(until: datetime, hours: float) -> None:
    place = Place.model_validate({"id": "a", "name": "a", "tier": "room", "hours": {"mon-fri": "09:00-17:00"}})
    since = datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert levels.open_hours(city(), [place], since, until) == hours


def test_a_place_that_does_not_find_a_fifth_of_its_picks_is_named_until_it_finds_nine_in_ten() -> None:
    assert [levels.not_found(copies, 100) for copies in (21, 20, 11, 10)] == [
        AlertVerdict.OPEN,
        AlertVerdict.KEEP,
        AlertVerdict.KEEP,
        AlertVerdict.CLOSE,
    ]
    assert levels.not_found(9, 9) is AlertVerdict.CLOSE
