"""What the city tells: valid facts, the same again for a seed, and nothing of any reader."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson
import pytest

from city import day as steps
from city import facts, history, model
from rotation.facts.events import FACT_OF_TYPE, Edge, Event, cloud_event, parse
from rotation.facts.movements import present, spells
from tests.unit.city.conftest import NETWORK, SMALL, WEEKS

EDGE = Edge(
    frozenset(NETWORK.place),
    frozenset(c.id for c in NETWORK.classes),
    model.midnight(NETWORK) + timedelta(weeks=WEEKS),
)


def told(seed: int, weeks: int = WEEKS) -> list[str]:
    return [event for day in history.days(history.found(NETWORK, seed, SMALL), weeks) for event in day]


@pytest.fixture(scope="module")
def events() -> list[str]:
    return told(7)


@pytest.fixture(scope="module")
def parsed(events) -> list[Event]:
    return [one for message in facts.batches(events) for one in parse(message, EDGE)]


def test_every_fact_is_valid(parsed):
    assert [one for one in parsed if not isinstance(one, Event)] == []


def test_the_quickly_written_json_is_what_events_would_write(events, parsed):
    by_type = {one.fact.type: (text, one) for text, one in zip(events, parsed, strict=True)}
    for text, one in by_type.values():
        read = orjson.loads(text)
        read["time"] = datetime.fromisoformat(read["time"]).astimezone(UTC).isoformat()
        written = cloud_event(one.fact, event_id=one.id, source=one.source, time=one.time, sequence=one.sequence)
        assert read == written


def test_every_kind_of_fact_of_the_day_is_told_in_six_weeks(parsed):
    assert {one.fact.type for one in parsed} >= set(facts.TYPES) - {
        "copy.withdrawn",
        "copy.damaged",
        "copy.found",
        "hold.expired",
    }


def test_types_stand_in_the_order_of_the_days_kinds():
    kinds = (
        "ADDED",
        "LOANED",
        "RETURNED",
        "RENEWED",
        "FOUND",
        "DAMAGED",
        "WITHDRAWN",
        "HELD",
        "EXPIRED",
        "FILLED",
        "SENT",
        "RECEIVED",
    )
    past = {"HELD": "hold.placed", "EXPIRED": "hold.expired", "FILLED": "hold.filled"}
    for kind in kinds:
        name = facts.TYPES[getattr(steps, kind)]
        assert name == past.get(kind) or name.split(".")[1] == kind.lower()
        assert name in FACT_OF_TYPE


def test_the_same_seed_tells_the_same_facts_with_the_same_ids(events):
    assert told(7) == events


def test_no_two_facts_share_an_id(parsed):
    assert len({one.id for one in parsed}) == len(parsed)


def test_no_fact_has_a_field_for_a_reader(events):
    words = set(re.findall(r'"([a-z_]+)":', "".join(events)))
    assert words == {
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "data",
        "sequence",
        "copy",
        "place",
        "to",
        "title",
        "class",
        "title_name",
        "owner",
        "hold",
        "call_number",
        "room",
        "shelf",
    }


def test_a_copy_is_in_one_place_at_a_time(parsed):
    movements = [movement for one in parsed if (movement := one.movement())]
    for spell in spells(movements):
        assert spell.until is None or spell.since <= spell.until


def test_each_loan_begins_where_the_copy_stood(parsed):
    movements = sorted(
        (m for one in parsed if (m := one.movement())), key=lambda m: (m.copy_id, m.occurred_at, m.sequence)
    )
    for before, after in pairwise(movements):
        if before.copy_id == after.copy_id and after.state == "on_loan":
            assert after.place_id == before.place_id


def test_the_facts_say_what_the_city_knows(parsed):
    city = history.found(NETWORK, 7, SMALL)
    for _ in history.days(city, WEEKS):
        pass
    now = present(movement for one in parsed if (movement := one.movement()))
    known = {
        steps.SHELF: "on_shelf",
        steps.LOAN: "on_loan",
        steps.TRANSIT: "in_transit",
        steps.HOLD_SHELF: "on_hold_shelf",
    }
    for copy, row in enumerate(city.state.copies):
        if row["state"] in known:
            movement = now[facts.copy_id(copy)]
            assert (movement.state, movement.place_id) == (known[row["state"]], NETWORK.places[row["place"]].id)


def test_eight_thousand_titles_have_eight_thousand_names():
    assert len({facts.title_name(title) for title in range(8_000)}) == 8_000
