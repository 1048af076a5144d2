"""Scans close stops, legs and runs, whatever their order."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import Connection, insert, text

from rotation.dispatch.scans import BACK_LATE, close_days_before, follow_scans, miss_overdue_stops
from rotation.store.engine import driver, engine
from rotation.store.tables import legs, runs, stops
from tests.integration.night.small_city import MONDAY

DAY = date(2026, 3, 2)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        run = {
            "run_id": "r",
            "day_plan_id": "p",
            "day": DAY,
            "hub_id": "centre",
            "van_id": "v1",
            "status": "ordered",
            "departs_at": MONDAY,
            "returns_at": MONDAY,
            "distance_m": 1,
            "cost_cents": 1,
            "largest_load_crates": 1,
        }
        one.execute(insert(runs), run)
        for position, place in enumerate(("branch", "room"), 1):
            stop = {
                "run_id": "r",
                "position": position,
                "place_id": place,
                "arrives_at": MONDAY,
                "begins_at": MONDAY,
                "departs_at": MONDAY,
                "deliver_crates": 1,
                "collect_crates": 1,
                "load_after_crates": 1,
            }
            one.execute(insert(stops), stop)
        leg = {
            "transfer_id": "t",
            "position": 1,
            "kind": "collect",
            "from_place_id": "branch",
            "to_place_id": "centre",
            "day": DAY,
            "run_id": "r",
        }
        one.execute(insert(legs), leg)
        one.execute(text("CREATE TEMP TABLE batch_crate_facts (LIKE crate_facts)"))
        yield one


def scan(connection: Connection, place: str, minutes: int = 0, type_: str = "crate.collected") -> None:
    row = {"crate": f"c-{place}", "at": MONDAY + timedelta(minutes=minutes), "type": type_, "place": place}
    connection.execute(text("TRUNCATE batch_crate_facts"))
    connection.execute(
        text(
            "INSERT INTO batch_crate_facts (crate_id, occurred_at, sequence, source, event_id, type, place_id, run_id)"
            " VALUES (:crate, :at, 0, 'test', 'e', :type, :place, 'r')"
        ),
        row,
    )
    follow_scans(driver(connection).cursor())


def statuses(connection: Connection) -> tuple[str, list[str], str]:
    run = connection.execute(text("SELECT status FROM runs")).scalar_one()
    every = list(connection.execute(text("SELECT status FROM stops ORDER BY position")).scalars())
    return run, every, connection.execute(text("SELECT status FROM legs")).scalar_one()


def test_the_first_scan_sets_the_run_under_way_and_closes_its_stop_and_leg(connection: Connection):
    scan(connection, "branch")
    assert statuses(connection) == ("under_way", ["done", "planned"], "done")


def test_the_last_scan_ends_the_run(connection: Connection):
    scan(connection, "branch")
    scan(connection, "room", type_="crate.delivered")
    assert statuses(connection)[0] == "done"


def test_a_stop_was_done_at_its_first_scan_whichever_came_first(connection: Connection):
    scan(connection, "branch", minutes=9)
    scan(connection, "branch", minutes=3)
    done_at = connection.execute(text("SELECT done_at FROM stops WHERE place_id = 'branch'")).scalar_one()
    assert done_at == MONDAY + timedelta(minutes=3)


def test_a_scan_at_the_hub_closes_no_stop(connection: Connection):
    scan(connection, "branch", type_="crate.at_hub")
    assert statuses(connection)[1] == ["planned", "planned"]


def test_a_stop_is_missed_when_the_van_was_scanned_at_a_later_one_and_done_by_a_scan_that_comes_late(
    connection: Connection,
):
    scan(connection, "room")
    assert statuses(connection)[:2] == ("incomplete", ["missed", "done"])
    scan(connection, "branch")
    assert statuses(connection)[:2] == ("done", ["done", "done"])


def test_stops_without_a_scan_are_missed_once_the_van_should_be_back(connection: Connection):
    miss_overdue_stops(driver(connection).cursor(), MONDAY + BACK_LATE)
    assert statuses(connection)[:2] == ("ordered", ["planned", "planned"])
    miss_overdue_stops(driver(connection).cursor(), MONDAY + BACK_LATE + timedelta(seconds=1))
    assert statuses(connection)[:2] == ("incomplete", ["missed", "missed"])
    scan(connection, "branch")
    assert statuses(connection)[:2] == ("incomplete", ["done", "missed"])


def test_a_draft_that_nobody_approved_expires_with_its_day(connection: Connection):
    connection.execute(text("UPDATE runs SET status = 'draft'"))
    close_days_before(driver(connection).cursor(), DAY, MONDAY)
    assert statuses(connection)[0] == "draft"
    close_days_before(driver(connection).cursor(), DAY + timedelta(days=1), MONDAY + timedelta(days=1))
    assert statuses(connection)[:2] == ("expired", ["planned", "planned"])
