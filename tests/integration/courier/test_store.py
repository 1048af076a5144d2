"""Open transfers read from a real database as scans left them, and planned days written into it."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from config import load
from rotation.courier.day import CourierPlan, plan_days, solve_alone
from rotation.courier.legs import OpenTransfer, Where
from rotation.courier.store import open_transfers, write_days
from rotation.facts.clock import standing_at
from rotation.night.loop import due_day
from rotation.night.vans import to_carry
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.store.planned import mark_standing
from rotation.store.tables import copies, crates, day_plans, legs, runs, stops, transfers
from tests.unit.courier.town import MONDAY, TUESDAY, calendar, morning_of, town, waiting

NOON = town().instant(MONDAY, 12 * 3600)
SENT = {"occurred_at": NOON, "sequence": 0, "source": "desk", "event_id": "e"}
SEARCH = partial(solve_alone, time_s=30.0, seed=1, iterations=20)


@pytest.fixture
def connection(module_database: str) -> Iterator[Connection]:
    """A transaction that is never committed: each test begins with empty tables."""
    with engine(module_database).connect() as connection:
        yield connection


def in_transit(connection: Connection, to_place: str = "mill", place: str = "quay", copy: str = "c1") -> None:
    row = {"copy_id": copy, **SENT, "state": "in_transit", "place_id": place, "to_place_id": to_place, "title_id": "t"}
    connection.execute(insert(copies), row)


def scanned(connection: Connection, kind: str, place: str, to_place: str, hours: int = 1, crate: str = "k1") -> None:
    at = {**SENT, "occurred_at": NOON + timedelta(hours=hours)}
    row = {
        "crate_id": crate,
        **at,
        "type": f"crate.{kind}",
        "place_id": place,
        "to_place_id": to_place,
        "copies": ["c1"],
    }
    connection.execute(insert(crates), row)


def stands(connection: Connection) -> list[tuple[Where, str, str | None]]:
    return [(one.where, one.at, one.crate) for one in open_transfers(connection, town(), TUESDAY)]


def test_a_copy_sent_and_in_no_crate_waits_at_its_desk(connection: Connection):
    in_transit(connection)
    assert open_transfers(connection, town(), TUESDAY) == [
        OpenTransfer("shipment-c1", "c1", "mill", Where.PLACE, "quay", NOON, "shipment", None)
    ]


@pytest.mark.parametrize(
    ("scan", "place", "to_place", "where"),
    [
        ("closed", "quay", "east", (Where.PLACE, "quay", "k1")),  # a mixed crate that waits for its van
        ("collected", "quay", "east", (Where.VAN, "east", None)),
        ("at_hub", "east", "east", (Where.HUB, "east", None)),
        ("closed", "east", "mill", (Where.SORTED, "east", "k1")),
        ("collected", "east", "mill", (Where.SORTED, "east", "k1")),
        ("closed", "east", "east", (Where.HUB, "east", None)),  # the hub's own desk packs for its own sorting
        ("at_hub", "east", "mill", (Where.SORTED, "east", "k1")),  # came back undelivered
        ("closed", "west", "east", (Where.SORTED, "west", "k1")),
        ("collected", "west", "east", (Where.SORTED, "east", None)),
        (
            "closed",
            "east",
            "late",
            (Where.HUB, "east", None),
        ),  # redirected: the crate goes where the copy no longer does
    ],
)
def test_the_last_scan_of_its_crate_tells_where_a_copy_is(
    connection: Connection, scan: str, place: str, to_place: str, where: tuple[Where, str, str | None]
):
    in_transit(connection)
    scanned(connection, scan, place, to_place)
    assert stands(connection) == [where]


def test_a_crate_handed_over_leaves_nothing_to_carry(connection: Connection):
    in_transit(connection)
    scanned(connection, "delivered", "mill", "mill")
    assert stands(connection) == []


def test_a_crate_of_an_earlier_journey_tells_nothing(connection: Connection):
    in_transit(connection)
    scanned(connection, "at_hub", "east", "east", hours=-30)
    assert stands(connection) == [(Where.PLACE, "quay", None)]


def test_a_pick_waits_on_its_shelf_from_its_day_on(connection: Connection):
    row = {"copy_id": "c1", **SENT, "state": "on_shelf", "place_id": "mill", "title_id": "t"}
    connection.execute(insert(copies), row)
    pick = {
        "transfer_id": "p1",
        "copy_id": "c1",
        "from_place_id": "mill",
        "to_place_id": "quay",
        "kind": "pick",
        "status": "proposed",
        "day": TUESDAY,
        "reason": {},
        "created_at": NOON,
        "changed_at": NOON,
    }
    connection.execute(insert(transfers), pick)
    assert open_transfers(connection, town(), MONDAY) == []
    assert [(one.transfer_id, one.kind) for one in open_transfers(connection, town(), TUESDAY)] == [("p1", "pick")]


COPIES = [
    *(waiting("mill", "quay", number) for number in range(6)),
    waiting("quay", "hill"),
    waiting("hill", "mill"),
]


def planned(*found: OpenTransfer) -> CourierPlan:
    return plan_days(calendar(), [MONDAY], found, morning_of(MONDAY), SEARCH, None)


def rows(connection: Connection) -> dict[str, list[Any]]:
    kept = (day_plans.c.day_plan_id, day_plans.c.hub_id, day_plans.c.status, day_plans.c.unserved)
    return {
        "plans": sorted(connection.execute(select(*kept)).all(), key=str),
        "runs": sorted(connection.execute(select(runs)).all(), key=str),
        "stops": sorted(connection.execute(select(stops)).all(), key=str),
        "legs": sorted(connection.execute(select(legs)).all(), key=str),
    }


def test_a_planned_day_written_twice_is_there_once(connection: Connection):
    write_days(connection, planned(*COPIES), NOON)
    first = rows(connection)
    write_days(connection, planned(*COPIES), NOON)
    assert rows(connection) == first
    assert {name: len(some) for name, some in first.items()} == {"plans": 2, "runs": 2, "stops": 3, "legs": 28}


def test_each_collection_leg_names_its_run_and_its_crate(connection: Connection):
    write_days(connection, planned(*COPIES), NOON)
    collected = connection.execute(
        select(legs.c.run_id, legs.c.crate_id)
        .where(legs.c.kind == "collect", legs.c.from_place_id == "mill")
        .distinct()
    ).all()
    assert sorted(map(tuple, collected)) == [
        ("20260302-e1", "c-20260302-mill-1"),
        ("20260302-e1", "c-20260302-mill-2"),
    ]


def test_a_day_planned_again_forgets_what_is_no_longer_open(connection: Connection):
    write_days(connection, planned(*COPIES), NOON)
    write_days(connection, planned(COPIES[-1]), NOON)
    assert connection.scalars(select(runs.c.run_id)).all() == ["20260302-w1"]
    on_runs = connection.scalars(select(legs.c.transfer_id).where(legs.c.run_id.is_not(None))).all()
    assert on_runs == ["t-hill-mill-1"]


def test_a_hub_that_is_ordered_keeps_its_runs_and_their_legs(connection: Connection):
    write_days(connection, planned(*COPIES), NOON)
    connection.execute(update(day_plans).where(day_plans.c.hub_id == "east").values(status="ordered"))
    before = rows(connection)
    write_days(connection, planned(*COPIES[-1:], waiting("mill", "late")), NOON)
    after = rows(connection)
    assert [run for run in after["runs"] if run.hub_id == "east"] == [
        run for run in before["runs"] if run.hub_id == "east"
    ]
    assert {leg for leg in before["legs"] if leg.run_id == "20260302-e1"} <= set(after["legs"])


def test_each_new_draft_has_a_new_version(connection: Connection):
    for _ in range(3):
        write_days(connection, planned(*COPIES), NOON)
    assert set(connection.scalars(select(day_plans.c.version))) == {3}


# --- Several days, as `rotation routes --keep` writes them -----------------------------------------------------------------

TWO_DAYS = [MONDAY, TUESDAY]
WAITING = [waiting("mill", "hill"), waiting("hill", "quay"), waiting("hill", "nowhere")]


def two_days(*found: OpenTransfer) -> CourierPlan:
    return plan_days(calendar(), TWO_DAYS, found, morning_of(MONDAY), SEARCH, None)


def leg_of(connection: Connection, transfer: str) -> list[tuple[int, str, str | None]]:
    query = select(legs.c.position, legs.c.kind, legs.c.run_id).where(legs.c.transfer_id == transfer)
    return [tuple(row) for row in connection.execute(query.order_by(legs.c.position))]  # type: ignore[misc]


def test_each_day_has_its_runs_and_a_copy_the_run_of_each_leg(connection: Connection):
    write_days(connection, two_days(*WAITING), NOON)
    assert sorted(connection.scalars(select(runs.c.run_id))) == ["20260302-e1", "20260302-w1", "20260303-w1"]
    assert leg_of(connection, "t-mill-hill-1") == [
        (1, "collect", "20260302-e1"),
        (2, "sort", None),
        (3, "trunk", None),
        (4, "sort", None),
        (5, "deliver", "20260303-w1"),
    ]


def test_what_waits_for_a_closed_place_is_listed_on_the_days_it_waits_with_the_next_possible_one(
    connection: Connection,
):
    write_days(connection, two_days(*WAITING), NOON)
    listed = {
        (row.day, row.hub_id): row.unserved
        for row in connection.execute(select(day_plans.c.day, day_plans.c.hub_id, day_plans.c.unserved))
    }
    nowhere = {"code": "no_coordinates", "place": "nowhere", "copies": 1, "next_day": None}
    quay = {"code": "closed", "place": "quay", "copies": 1, "next_day": "2026-03-04"}
    assert listed == {
        (MONDAY, "east"): [],
        (MONDAY, "west"): [nowhere],
        (TUESDAY, "east"): [quay],
        (TUESDAY, "west"): [nowhere],
    }


@pytest.mark.parametrize("status", ["approved", "ordered", "under_way"])
def test_a_hub_with_one_run_that_someone_approved_keeps_its_day_and_the_other_days_are_planned_around_it(
    connection: Connection, status: str
):
    write_days(connection, two_days(*WAITING), NOON)
    connection.execute(update(runs).where(runs.c.run_id == "20260302-e1").values(status=status, cost_cents=1))
    way = leg_of(connection, "t-mill-hill-1")
    write_days(connection, two_days(*WAITING), NOON)
    cost = dict(connection.execute(select(runs.c.run_id, runs.c.cost_cents)).all())
    assert (cost["20260302-e1"], len(cost)) == (1, 3)
    assert leg_of(connection, "t-mill-hill-1") == way
    versions = {tuple(row) for row in connection.execute(select(day_plans.c.day_plan_id, day_plans.c.version))}
    assert versions == {("20260302-east", 1), ("20260302-west", 2), ("20260303-east", 2), ("20260303-west", 2)}


def test_a_day_that_was_sent_back_is_planned_anew(connection: Connection):
    write_days(connection, two_days(*WAITING), NOON)
    connection.execute(update(runs).values(status="sent_back"))
    connection.execute(update(day_plans).values(status="sent_back"))
    write_days(connection, two_days(*WAITING), NOON)
    assert (
        set(connection.scalars(select(day_plans.c.status)))
        == {"draft"}
        == set(connection.scalars(select(runs.c.status)))
    )


# --- Days of the past ------------------------------------------------------------------------------------------------------


def test_of_days_that_stand_still_only_what_the_last_of_them_told_is_carried(connection: Connection):
    in_transit(connection)
    row = {
        "copy_id": "old",
        **SENT,
        "occurred_at": NOON - timedelta(days=400),
        "state": "in_transit",
        "place_id": "quay",
        "to_place_id": "mill",
        "title_id": "t",
    }
    connection.execute(insert(copies), row)
    set_clock(connection, standing_at(NOON))
    assert {one.copy_id for one in to_carry(connection, town(), TUESDAY)} == {"c1", "old"}
    mark_standing(connection, "an import")
    assert {one.copy_id for one in to_carry(connection, town(), TUESDAY)} == {"c1"}


def test_no_night_comes_to_days_of_the_past(connection: Connection):
    set_clock(connection, standing_at(NOON))
    assert due_day(connection, town(), load()) == MONDAY
    mark_standing(connection, "an import")
    assert due_day(connection, town(), load()) is None
