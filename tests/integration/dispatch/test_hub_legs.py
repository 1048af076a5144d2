"""What hubs do closes the legs of the copies in their crates, whatever the order of the scans; what they leave is seen."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import pytest
from psycopg import Cursor

from rotation.facts.events import CrateAtHub, CrateClosed, CrateCollected, Fact, TransferReceived, TransferSent
from rotation.kafka.message import Message
from rotation.store.audit import audit
from rotation.store.engine import connect
from rotation.store.waiting import waiting
from streams.apply import Writer
from tests.streams_world import MONDAY, city, told

NETWORK = city()
DAY = date(2026, 3, 2)
WAY: list[Fact] = [
    TransferSent(copy="c1", place="p2", to="p3"),
    CrateClosed(crate="mixed", place="p2", to="p0", copies=("c1",)),
    CrateCollected(crate="mixed", place="p2"),
    CrateAtHub(crate="mixed", place="p0"),
    CrateClosed(crate="sorted", place="p0", to="p1", copies=("c1",)),
    CrateCollected(crate="sorted", place="p0"),
    CrateAtHub(crate="sorted", place="p1"),
    CrateClosed(crate="last", place="p1", to="p3", copies=("c1",)),
]
LEGS = [("sort", "p0", "p0"), ("trunk", "p0", "p1"), ("sort", "p1", "p1")]


@pytest.fixture
def cursor(database: str) -> Any:
    with connect(database) as connection:
        connection.autocommit = True
        with connection.cursor() as one:
            yield one


@pytest.fixture
def scans(database: str) -> Any:
    writer = Writer(database, NETWORK, lambda *_: [])
    offset = 0

    def write(*numbers: int, facts: list[Fact] = WAY) -> None:
        nonlocal offset
        for number in numbers:
            value = orjson.dumps([told(facts[number], number)])
            writer.write(writer.prepare([Message(0, offset, value)]))
            offset += 1

    yield write
    writer.close()


def at(cursor: Cursor[Any], now: datetime) -> None:
    cursor.execute(
        "INSERT INTO clock VALUES (1, %s, %s, 0) ON CONFLICT (id) DO UPDATE SET network_at = excluded.network_at",
        (now, now),
    )


def plan(cursor: Cursor[Any], transfer: str = "own:c1") -> None:
    for position, (kind, origin, to) in enumerate(LEGS, 1):
        cursor.execute(
            "INSERT INTO legs (transfer_id, position, kind, from_place_id, to_place_id, day) VALUES (%s, %s, %s, %s, %s, %s)",
            (transfer, position, kind, origin, to, DAY),
        )


def statuses(cursor: Cursor[Any], transfer: str = "own:c1") -> list[str]:
    rows = cursor.execute("SELECT status FROM legs WHERE transfer_id = %s ORDER BY position", (transfer,)).fetchall()
    return [status for (status,) in rows]


def test_each_scan_of_a_hub_closes_its_leg_and_no_other(cursor: Cursor[Any], scans: Callable[..., None]):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0, 1, 2, 3)
    plan(cursor)
    assert statuses(cursor) == ["planned", "planned", "planned"]
    scans(4)
    assert statuses(cursor) == ["done", "planned", "planned"]
    scans(5)
    assert statuses(cursor) == ["done", "done", "planned"]
    scans(6, 7)
    assert statuses(cursor) == ["done", "done", "done"]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_scans_does_not_matter(cursor: Cursor[Any], scans: Callable[..., None], seed: int):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0)
    plan(cursor)
    rest = [*range(1, len(WAY)), *range(1, len(WAY))]
    random.Random(seed).shuffle(rest)
    scans(*rest)
    assert statuses(cursor) == ["done", "done", "done"]


def test_what_is_for_the_hub_itself_was_sorted_when_it_is_checked_in(cursor: Cursor[Any], scans: Callable[..., None]):
    at(cursor, MONDAY + timedelta(hours=1))
    facts: list[Fact] = [TransferSent(copy="c1", place="p2", to="p0"), TransferReceived(copy="c1", place="p0")]
    scans(0, facts=facts)
    plan(cursor)
    scans(1, facts=facts)
    assert statuses(cursor) == ["done", "planned", "planned"]


def test_a_journey_keeps_its_own_legs(cursor: Cursor[Any], scans: Callable[..., None]):
    """A transfer that began after the scan, of the same copy, is not done by it."""
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0, 1)
    cursor.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
        " VALUES ('later', 'c1', 'p3', 'p1', 'pick', 'ordered', '{}', %(at)s, %(at)s)",
        {"at": MONDAY + timedelta(hours=2)},
    )
    plan(cursor, "later")
    scans(2, 3, 4, 5)
    assert statuses(cursor, "later") == ["planned", "planned", "planned"]


def kinds(cursor: Cursor[Any], now: datetime) -> dict[str, tuple[str, int]]:
    return {wait.kind: (wait.place_id, wait.copies) for wait in waiting(cursor, now, now.date(), "UTC")}


def ordered(cursor: Cursor[Any], kind: str, to_hub: str, due: datetime) -> None:
    cursor.execute("INSERT INTO hub_orders VALUES (%s, 'p0', %s, %s, %s)", (kind, to_hub, due, DAY))


def test_what_a_hub_left_unsorted_past_its_order_is_seen_within_hours_and_by_the_audit(
    cursor: Cursor[Any], scans: Callable[..., None]
):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0, 1, 2, 3)
    ordered(cursor, "sort", "", MONDAY + timedelta(hours=2))
    assert kinds(cursor, MONDAY + timedelta(hours=2, minutes=30)) == {}
    assert kinds(cursor, MONDAY + timedelta(hours=4)) == {"unsorted": ("p0", 1)}
    at(cursor, MONDAY + timedelta(hours=4))
    assert [found.check for found in audit(cursor)] == ["copies that a hub has not sorted by its time"]
    scans(4)
    assert kinds(cursor, MONDAY + timedelta(hours=4)) == {}


def test_a_hub_that_nobody_ordered_to_sort_is_seen_after_a_day(cursor: Cursor[Any], scans: Callable[..., None]):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0, 1, 2, 3)
    ordered(cursor, "trunk", "p1", MONDAY - timedelta(days=1))  # so that it is known as a hub
    assert kinds(cursor, MONDAY + timedelta(hours=24)) == {}
    assert kinds(cursor, MONDAY + timedelta(hours=27)) == {"unsorted": ("p0", 1)}


def test_a_crate_that_its_trunk_left_behind_is_seen(cursor: Cursor[Any], scans: Callable[..., None]):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0, 1, 2, 3, 4)
    cursor.execute("INSERT INTO hub_orders VALUES ('sort', 'p1', '', %s, %s)", (MONDAY, DAY))
    ordered(cursor, "trunk", "p1", MONDAY + timedelta(hours=2))
    assert kinds(cursor, MONDAY + timedelta(hours=4)) == {"unsent": ("p0", 1)}
    scans(5)
    assert kinds(cursor, MONDAY + timedelta(hours=4)) == {}


def test_a_copy_longer_on_its_way_than_promised_is_slow_and_a_lane_that_takes_long_is_not(
    cursor: Cursor[Any], scans: Callable[..., None]
):
    at(cursor, MONDAY + timedelta(hours=1))
    scans(0)
    cursor.execute("UPDATE transfers SET promised_on = %s", (DAY + timedelta(days=1),))
    assert kinds(cursor, MONDAY + timedelta(days=4)) == {}
    assert kinds(cursor, MONDAY + timedelta(days=5)) == {"slow": ("p3", 1)}
    cursor.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
        " SELECT 'before-' || n, 'x', 'p2', 'p3', 'placement', 'received', '{}', %(at)s, %(at)s + interval '6 days'"
        " FROM generate_series(1, 20) n",
        {"at": MONDAY - timedelta(days=20)},
    )
    assert kinds(cursor, MONDAY + timedelta(days=9)) == {}
    assert kinds(cursor, MONDAY + timedelta(days=10)) == {"slow": ("p3", 1)}
    cursor.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
        " SELECT 'on', copy_id, 'p1', 'p3', 'shipment', 'sent', '{}', %(at)s, %(at)s FROM transfers WHERE status = 'sent'",
        {"at": MONDAY + timedelta(days=9)},
    )
    assert (
        kinds(cursor, MONDAY + timedelta(days=10)) == {}
    )  # it came to a wrong place, and travels on by another transfer
