"""Instants and days at the edges: RFC 3339, and nothing that only looks like it."""

from datetime import UTC, date, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rotation.facts.clock import Day, Instant, InstantInFile
from rotation.facts.events import CopyReturned, Edge, Event, Rejection, RejectionReason, cloud_event, parse

EDGE = Edge(frozenset({"p1"}), frozenset(), datetime(2030, 1, 1, tzinfo=UTC))
EVENT = cloud_event(CopyReturned(copy="c1", place="p1"), event_id="e", source="s", time=EDGE.now)
NO_INSTANTS = (
    "20260302",
    "20260302080000",
    "1772409600",
    "1772409600.5",
    1772409600,
    1772409600.5,
    "2026-03-02",
    "2026-03-02T08:00Z",
    "2026-03-02T08:00:00+0800",
    "2026-03-02T08:00:00 Z",
    "2026-03-02T24:00:00Z",
    "2026-02-30T08:00:00Z",
    True,
    None,
    [],
    "",
    "２０２６-03-02T08:00:00Z",
    "2026-W10-1T08:00:00Z",
    "2026-03-02T08:00:00Z\\n",
)


def told(time: object) -> Event | Rejection:
    """One event alone; a batch with a good one beside it must say the same."""
    (alone,) = parse(orjson.dumps(EVENT | {"time": time}), EDGE)
    good, beside = parse(orjson.dumps([EVENT, EVENT | {"time": time}]), EDGE)
    assert isinstance(good, Event)
    assert type(alone) is type(beside)
    return alone


@pytest.mark.parametrize("time", NO_INSTANTS)
def test_an_events_time_that_is_not_rfc_3339_is_refused_by_its_field(time: object) -> None:
    found = told(time)
    assert isinstance(found, Rejection)
    assert (found.reason, found.field) == (RejectionReason.ENVELOPE, "time")


def test_an_instant_without_its_zone_is_refused_as_that() -> None:
    found = told("2026-03-02T08:00:00")
    assert isinstance(found, Rejection)
    assert found.reason is RejectionReason.NO_ZONE


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-02T00:00:00Z",
        "2026-03-02t08:00:00+08:00",
        "2026-03-02 00:00:00.000000001z",
        "2026-03-01T19:00:00-05:00",
    ],
)
def test_every_way_of_rfc_3339_is_the_same_instant(time: str) -> None:
    found = told(time)
    assert isinstance(found, Event)
    assert found.time == datetime(2026, 3, 2, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1900, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_we_write_is_read_as_it_was(at: datetime) -> None:
    assert TypeAdapter(Instant).validate_python(at.isoformat()) == at


@pytest.mark.parametrize(
    "day", ["20260302", 20260302, "1772409600", 1772409600, 20454, "2026-3-2", "２０２６-03-02", "2026-02-30"]
)
def test_a_day_is_written_as_one(day: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Day).validate_python(day)
    assert TypeAdapter(Day).validate_python("2026-03-02") == date(2026, 3, 2)


@pytest.mark.parametrize("at", ["20260302", 1772409600, "2026-03-02", "2026-03-02T08:00:00"])
def test_an_instant_in_a_file_may_be_tomls_own_but_is_no_number(at: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(InstantInFile).validate_python(at)
    assert TypeAdapter(InstantInFile).validate_python(EDGE.now) == EDGE.now
