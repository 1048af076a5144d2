"""Arrivals: a delay is carried from stop to stop, a planned wait absorbs it, and nobody arrives before now."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rotation.facts.arrivals import arrivals

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Stop:
    arrives_at: datetime
    begins_at: datetime
    status: str = "planned"
    done_at: datetime | None = None


def at(minutes: int, *, wait: int = 0, status: str = "planned", done: int | None = None) -> Stop:
    begins = EIGHT + timedelta(minutes=minutes)
    return Stop(
        begins - timedelta(minutes=wait), begins, status, EIGHT + timedelta(minutes=done) if done is not None else None
    )


def expected(stops: list[Stop], now: int = 0) -> list[tuple[int | None, bool]]:
    found = arrivals(stops, EIGHT + timedelta(minutes=now))
    return [(round((one.at - EIGHT).total_seconds() / 60) if one.at else None, one.late) for one in found]


def test_before_anything_is_scanned_the_plan_holds() -> None:
    assert expected([at(30), at(60)]) == [(30, False), (60, False)]


def test_a_delay_is_carried_to_the_stops_after_it() -> None:
    assert expected([at(30, status="done", done=50), at(60), at(90)]) == [(50, True), (80, True), (110, True)]


def test_a_wait_that_was_planned_absorbs_a_delay() -> None:
    assert expected([at(30, status="done", done=50), at(90, wait=15), at(120)]) == [
        (50, True),
        (95, False),
        (125, False),
    ]


def test_a_van_that_is_early_waits_as_planned() -> None:
    assert expected([at(30, status="done", done=20), at(60)]) == [(20, False), (60, False)]


def test_a_van_of_which_nothing_is_heard_is_late_by_the_clock() -> None:
    assert expected([at(30), at(60)], now=50) == [(50, True), (80, True)]


def test_a_stop_that_was_passed_by_has_no_arrival_and_says_nothing_of_the_next() -> None:
    assert expected([at(30, status="missed"), at(60, status="done", done=61)]) == [(None, False), (61, False)]
