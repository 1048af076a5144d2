"""Levels are counted again where notices say so, and everywhere where none are heard."""

from collections.abc import Collection

import pytest

from rotation.views import balance
from rotation.views.balance import FEW_PLACES, Level, Recent

COUNTED: list[Collection[str] | None] = []


def counts(connection: object, network: object, places: Collection[str] | None = None) -> list[Level]:
    COUNTED.append(None if places is None else sorted(places))
    some = ["mill", "quay"] if places is None else places
    return [Level(place, "fiction", "room", len(COUNTED), 0, 1, 9, 0) for place in sorted(some)]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    COUNTED.clear()
    made = Clock()
    monkeypatch.setattr(balance, "levels", counts)
    monkeypatch.setattr(balance, "monotonic", made)
    return made


def asked(recent: Recent) -> dict[str, int]:
    """Ask, and return how manieth count each place's level is of."""
    return {level.place_id: level.on_shelf for level in recent.levels(None, None)}  # type: ignore[arg-type]


def heard(clock: Clock) -> Recent:
    recent = Recent()
    recent.hear(heard=True)
    asked(recent)
    clock.now_s = 60.0
    return recent


def test_while_notices_are_heard_nothing_is_counted_again_without_one(clock: Clock):
    assert asked(heard(clock)) == {"mill": 1, "quay": 1}
    assert COUNTED == [None]


def test_only_the_place_that_a_notice_names_is_counted_again_and_once(clock: Clock):
    recent = heard(clock)
    recent.touch(["quay"])
    assert [asked(recent), asked(recent)] == [{"mill": 1, "quay": 2}] * 2
    assert COUNTED == [None, ["quay"]]


def test_a_notice_that_names_not_all_has_everything_counted(clock: Clock):
    recent = heard(clock)
    recent.touch(None)
    asked(recent)
    assert COUNTED == [None, None]


def test_many_places_are_counted_as_all_and_not_more_often_than_pages_ask(clock: Clock):
    recent = heard(clock)
    for _ in range(2):
        recent.touch([f"p{number}" for number in range(FEW_PLACES + 1)])
        asked(recent)
    assert COUNTED == [None, None]
    clock.now_s += 2
    asked(recent)
    assert COUNTED == [None, None, None]


def test_whoever_does_not_hear_counts_everything_each_time_it_is_old(clock: Clock):
    recent = heard(clock)
    recent.hear(heard=False)
    asked(recent)
    asked(recent)
    clock.now_s += 2
    asked(recent)
    assert COUNTED == [None, None, None]


def test_a_count_that_fails_is_made_again(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    recent = heard(clock)
    recent.touch(["quay"])
    monkeypatch.setattr(balance, "levels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asked(recent)
    monkeypatch.setattr(balance, "levels", counts)
    asked(recent)
    assert COUNTED == [None, None]
