"""Lanes counted from the facts, copies overdue by their lane, and copies lost in transit, over a real PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest

from rotation.alerts import levels, rules
from rotation.alerts.rules import Thresholds
from rotation.dispatch import lost
from rotation.store import lanes
from rotation.store.engine import connect, engine
from rotation.views import journeys
from tests.streams_world import MONDAY, city

NETWORK = city()
ENOUGH = levels.LANE_LEAST_JOURNEYS


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as found:
        found.execute("INSERT INTO clock VALUES (1, %s, now(), 0)", (MONDAY,))
        yield found


def fact(connection: psycopg.Connection[Any], transfer: str, kind: str, at: datetime, place: str) -> None:
    connection.execute(
        "INSERT INTO transfer_facts (transfer_id, occurred_at, sequence, source, event_id, type, copy_id, place_id)"
        " VALUES (%s, %s, 0, 's', %s, %s, %s, %s)",
        (transfer, at, f"{transfer}-{kind}", kind, f"copy-{transfer}", place),
    )


def journey(connection: psycopg.Connection[Any], number: int, hours: float, promised_days: int | None = None) -> None:
    """A copy that went from p1 to p2 in so many hours, two days before Monday."""
    sent = MONDAY - timedelta(days=20)
    promised = None if promised_days is None else (sent + timedelta(days=promised_days)).date()
    connection.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at,"
        " changed_at, promised_on) VALUES (%s, %s, 'p1', 'p2', 'pick', 'received', '{}', %s, %s, %s)",
        (f"t{number}", f"copy-t{number}", sent, sent, promised),
    )
    fact(connection, f"t{number}", "transfer.sent", sent, "p1")
    fact(connection, f"t{number}", "transfer.received", sent + timedelta(hours=hours), "p2")


def travelling(connection: psycopg.Connection[Any], copy: str, since: datetime) -> None:
    connection.execute(
        "INSERT INTO copies (copy_id, occurred_at, source, event_id, state, place_id, to_place_id, title_id, class)"
        " VALUES (%s, %s, 's', 'e', 'in_transit', 'p1', 'p2', 't', 'fiction')",
        (copy, since),
    )


def test_a_lane_says_what_half_and_nine_in_ten_of_its_journeys_took_and_which_promises_were_kept(
    connection: psycopg.Connection[Any], database: str
) -> None:
    for number in range(11):
        journey(connection, number, hours=24 * (number + 1), promised_days=5)
    with connection.transaction(), connection.cursor() as cursor:
        assert lanes.count_if_due(cursor, MONDAY, "UTC") is True
        assert lanes.count_if_due(cursor, MONDAY + timedelta(hours=1), "UTC") is False
    with engine(database).connect() as reading:
        (lane,) = journeys.lanes(reading, here="p1")
        assert journeys.lanes(reading, here="p2") == []
    assert (lane.journeys, lane.median_h, lane.nine_in_ten_h, lane.promised, lane.kept) == (11, 144.0, 240.0, 11, 5)


def overdue(connection: psycopg.Connection[Any]) -> list[int]:
    with connection.transaction(), connection.cursor() as cursor:
        rules.sweep(cursor, NETWORK, Thresholds())
    rows = connection.execute("SELECT numbers -> 'count' FROM alerts WHERE kind = 'overdue' AND closed_at IS NULL")
    return [count for (count,) in rows]


def test_a_copy_is_overdue_by_its_lane_and_where_that_is_unknown_by_the_set_days(
    connection: psycopg.Connection[Any],
) -> None:
    travelling(connection, "c1", MONDAY - timedelta(days=levels.OVERDUE_LEAST_DAYS + 1))
    assert overdue(connection) == []
    for number in range(ENOUGH):
        journey(connection, number, hours=24)
    with connection.transaction(), connection.cursor() as cursor:
        lanes.count_if_due(cursor, MONDAY, "UTC")
    assert overdue(connection) == [1]


def test_a_copy_too_long_on_its_way_is_looked_for_at_both_ends_and_then_said_to_be_lost_with_one_id(
    connection: psycopg.Connection[Any], database: str
) -> None:
    travelling(connection, "c1", MONDAY - timedelta(days=61))
    travelling(connection, "c2", MONDAY - timedelta(days=30))
    with engine(database).connect() as reading:
        for place, expected in (("p1", ["c1", "c2"]), ("p2", ["c1", "c2"]), ("p3", [])):
            assert [one.copy_id for one in lost.sought(reading, place, MONDAY, 21)] == expected
    with connection.transaction(), connection.cursor() as cursor:
        assert (lost.give_up(cursor, MONDAY, 60), lost.give_up(cursor, MONDAY, 60)) == (1, 1)
    said = [orjson.loads(value) for (value,) in connection.execute("SELECT value FROM outbox").fetchall()]
    assert {(one["id"], one["type"], one["data"]["copy"]) for one in said} == {(said[0]["id"], "transfer.lost", "c1")}


def test_a_journey_has_the_copys_own_facts_and_the_scans_of_its_crate_while_it_was_inside(
    connection: psycopg.Connection[Any], database: str
) -> None:
    journey(connection, 1, hours=48)
    sent = MONDAY - timedelta(days=20)
    scans = [
        ("crate.closed", 1, ["copy-t1"]),
        ("crate.collected", 2, None),
        ("crate.closed", 20, ["another"]),
        ("crate.collected", 21, None),
    ]
    for number, (kind, hour, inside) in enumerate(scans):
        connection.execute(
            "INSERT INTO crate_facts (crate_id, occurred_at, sequence, source, event_id, type, place_id, copies)"
            " VALUES ('k', %s, 0, 's', %s, %s, 'p1', %s)",
            (sent + timedelta(hours=hour), f"k{number}", kind, orjson.dumps(inside).decode() if inside else None),
        )
    with engine(database).connect() as reading:
        found = [one.type for one in journeys.journey(reading, "t1")]
    assert found == ["transfer.sent", "crate.closed", "crate.collected", "transfer.received"]
