"""Alerts recounted from the copies: what opens them, what closes them, and that they are told of once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psycopg
import pytest
from sqlalchemy import Connection

from rotation.alerts import rules
from rotation.alerts.rules import Changes, Thresholds, Touched
from rotation.alerts.thresholds import ThresholdKey, set_threshold
from rotation.alerts.touched import PLACES_A_NOTICE
from rotation.alerts.touched import notices as notices_of
from rotation.facts.lifecycle import AlertKind
from rotation.network import Network, from_tables
from rotation.store import conservation
from rotation.store.engine import connect, engine
from rotation.views import notices, status
from streams.watch import Watcher, touched
from tests.streams_world import MONDAY, city

NETWORK = city()


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as found:
        yield found


def at(connection: psycopg.Connection[Any], now: datetime) -> None:
    connection.execute("DELETE FROM clock")
    connection.execute("INSERT INTO clock VALUES (1, %s, now(), 0)", (now,))


def put(connection: psycopg.Connection[Any], number: int, place: str, since: datetime, to: str | None = None) -> None:
    state = "in_transit" if to else "on_shelf"
    connection.execute(
        "INSERT INTO copies (copy_id, occurred_at, source, event_id, state, place_id, to_place_id, title_id, class)"
        " VALUES (%s, %s, 's', 'e', %s, %s, %s, 't', 'fiction')"
        " ON CONFLICT (copy_id) DO UPDATE SET state = excluded.state, to_place_id = excluded.to_place_id",
        (f"c{number}", since, state, place, to),
    )


def sweep(connection: psycopg.Connection[Any], network: Network = NETWORK) -> Changes:
    with connection.transaction(), connection.cursor() as cursor:
        return rules.sweep(cursor, network, Thresholds())


def recount(connection: psycopg.Connection[Any], *places: str) -> Changes:
    with connection.transaction(), connection.cursor() as cursor:
        return rules.recount(cursor, NETWORK, Thresholds(), {place: Touched() for place in places})


def recount_only(connection: psycopg.Connection[Any], place: str, *classes: str, awaited: bool = False) -> Changes:
    with connection.transaction(), connection.cursor() as cursor:
        return rules.recount(cursor, NETWORK, Thresholds(), {place: Touched(frozenset(classes), awaited)})


def numbers(connection: psycopg.Connection[Any], kind: str) -> dict[str, Any]:
    rows = connection.execute("SELECT place_id, numbers FROM alerts WHERE kind = %s AND closed_at IS NULL", (kind,))
    return dict(rows.fetchall())


def test_a_copy_is_overdue_when_more_than_21_calendar_days_have_begun_since_it_was_sent(connection: Any) -> None:
    put(connection, 1, "p1", MONDAY, to="p2")
    put(connection, 2, "p1", MONDAY - timedelta(days=400), to="p3")
    at(connection, MONDAY + timedelta(days=21, hours=10))
    sweep(connection)
    assert set(numbers(connection, "overdue")) == {"p3"}
    at(connection, MONDAY + timedelta(days=22) - timedelta(hours=7))
    sweep(connection)
    found = numbers(connection, "overdue")
    assert {place: (one["count"], one["count_over_365_days"]) for place, one in found.items()} == {
        "p2": (1, 0),
        "p3": (1, 1),
    }


def test_the_overdue_alert_closes_with_its_last_copy_and_each_is_told_of_once(connection: Any) -> None:
    at(connection, MONDAY + timedelta(days=50))
    put(connection, 1, "p1", MONDAY, to="p2")
    assert recount(connection, "p2") == Changes(1, 0)
    assert recount(connection, "p2") == Changes(0, 0)
    put(connection, 1, "p2", MONDAY)
    assert recount(connection, "p2") == Changes(0, 1)
    told = connection.execute(
        "SELECT key, convert_from(value, 'UTF8')::json ->> 'what' FROM outbox ORDER BY id"
    ).fetchall()
    assert told == [("p2/overdue/", "opened"), ("p2/overdue/", "closed")]


def test_shelves_out_of_balance_open_alerts_by_class(connection: Any) -> None:
    connection.execute("INSERT INTO targets VALUES ('p1', 'fiction', 3, 10), ('p2', 'fiction', 0, 2)")
    for number in range(4):
        put(connection, number, "p2", MONDAY)
    assert recount(connection, "p1", "p2") == Changes(2, 0)
    assert numbers(connection, "shortage") == {"p1": {"level": 0, "coming": 0, "low": 3, "high": 10}}
    assert numbers(connection, "surplus") == {"p2": {"level": 4, "coming": 0, "low": 0, "high": 2}}


def test_a_shortage_ends_when_enough_is_on_its_way_by_recount_and_sweep(connection: Any) -> None:
    at(connection, MONDAY)
    connection.execute("INSERT INTO targets VALUES ('p1', 'fiction', 3, 10)")
    assert recount(connection, "p1") == Changes(1, 0)
    for number in range(5):
        put(connection, number, "p2", MONDAY, to="p1")
    assert recount_only(connection, "p1", "fiction") == Changes(0, 1)
    assert sweep(connection).opened == 0


STOP = (
    "INSERT INTO stops (run_id, position, place_id, arrives_at, begins_at, departs_at, deliver_crates, collect_crates,"
    " load_after_crates, status, done_at) VALUES (%s, %s, %s, %s, %s, %s, 1, 1, 1, %s, %s)"
)


def run(connection: psycopg.Connection[Any], day: datetime, *stops: tuple[str, str, datetime | None]) -> None:
    """A run of that day with a stop an hour from 08:00 on: place, status, when it was done."""
    name, begins = f"r-{day:%d}", day.replace(hour=8)
    connection.execute(
        "INSERT INTO runs VALUES (%s, 'plan', %s, 'p0', 'van', 'under_way', %s, %s, 1, 1, 1)",
        (name, day.date(), begins, begins + timedelta(hours=len(stops))),
    )
    for position, (place, state, done_at) in enumerate(stops, 1):
        due = begins + timedelta(hours=position - 1)
        connection.execute(STOP, (name, position, place, due, due, due, state, done_at))


def test_a_delay_seen_at_one_stop_is_an_alert_at_the_next_until_the_van_is_there(connection: Any) -> None:
    run(connection, MONDAY, ("p1", "done", MONDAY.replace(hour=8, minute=40)), ("p2", "planned", None))
    at(connection, MONDAY.replace(hour=8, minute=45))
    sweep(connection)
    assert {place: one["minutes"] for place, one in numbers(connection, "late").items()} == {"p2": 40}
    connection.execute(
        "UPDATE stops SET status = 'done', done_at = %s WHERE place_id = 'p2'", (MONDAY.replace(hour=9),)
    )
    sweep(connection)
    assert numbers(connection, "late") == {}


def test_a_missed_stop_is_an_alert_until_the_next_van_calls_there(connection: Any) -> None:
    run(connection, MONDAY, ("p1", "missed", None), ("p2", "done", MONDAY.replace(hour=9)))
    at(connection, MONDAY.replace(hour=10))
    sweep(connection)
    assert set(numbers(connection, "missed")) == {"p1"}
    tomorrow = MONDAY + timedelta(days=1)
    run(connection, tomorrow, ("p1", "done", tomorrow.replace(hour=8)))
    sweep(connection)
    assert numbers(connection, "missed") == {}


def test_our_own_receipts_are_no_feed_that_can_fall_silent(connection: Any) -> None:
    connection.execute("INSERT INTO feeds VALUES ('rotation/receipts', %s, now(), 1)", (MONDAY,))
    at(connection, MONDAY + timedelta(days=40))
    sweep(connection)
    assert numbers(connection, "feed") == {}


def test_a_room_with_few_copies_a_head_is_named(connection: Any) -> None:
    at(connection, MONDAY)
    for number in range(20):
        put(connection, number, f"p{1 + number % 4}", MONDAY)
    sweep(connection)
    assert set(numbers(connection, "unfair")) == {"p5"}


def test_alerts_of_what_exists_no_more_are_closed_by_the_sweep(connection: Any) -> None:
    connection.execute("INSERT INTO targets VALUES ('p1', 'fiction', 3, 10)")
    sweep(connection)
    connection.execute("DELETE FROM targets")
    assert sweep(connection).closed == 1


def test_only_what_was_touched_is_counted_again(connection: Any) -> None:
    at(connection, MONDAY + timedelta(days=50))
    put(connection, 1, "p1", MONDAY, to="p2")
    connection.execute(
        "INSERT INTO targets VALUES ('p1', 'fiction', 1, 9), ('p1', 'children', 1, 9), ('p2', 'fiction', 1, 9)"
    )
    assert recount_only(connection, "p1", "children") == Changes(1, 0)
    assert recount_only(connection, "p2") == Changes(0, 0)
    assert recount_only(connection, "p2", awaited=True) == Changes(1, 0)
    assert recount_only(connection, "p1", "fiction", "children") == Changes(1, 0)
    assert set(numbers(connection, "overdue")) == {"p2"}


def test_a_batch_that_touches_all_places_of_a_province_is_few_messages_and_is_read_as_it_was_told() -> None:
    told = {
        f"p{n}": Touched(frozenset({"fiction"}) if n % 2 else None, n % 3 == 0) for n in range(2 * PLACES_A_NOTICE + 1)
    }
    messages = [orjson.dumps(said) for said in notices_of(told)]
    assert len(messages) == 3
    assert touched(messages) == told


def test_notices_of_one_place_are_counted_together_and_an_older_relays_mean_all_of_it() -> None:
    messages = [
        b'[{"place":"p1","classes":["fiction"],"awaited":false},{"place":"p2","classes":["fiction"],"awaited":false}]',
        b'[{"place":"p1","classes":["children"],"awaited":true},"no notice"]',
        b'{"place":"p2"}',
        b"no notice",
    ]
    assert touched(messages) == {"p1": Touched(frozenset({"fiction", "children"}), True), "p2": Touched(None, True)}


def test_a_feed_that_is_silent_for_two_days_of_opening_is_an_alert_on_page_and_status_until_it_is_heard(
    connection: Any, database: str
) -> None:
    room = {"id": "a", "name": "a", "tier": "room", "parent": "c", "hours": {"mon-fri": "09:00-17:00"}}
    centre = {"id": "c", "name": "c", "tier": "central", "hub": {}}
    told = {"network": {"id": "n", "name": "n", "timezone": "UTC"}, "class": [{"id": "fiction", "name": "fiction"}]}
    van = {"id": "v", "hub": "c", "crates": 9}
    network = from_tables({**told, "place": [centre, room], "van": [van]}, "n.toml")
    said = (
        "INSERT INTO feeds VALUES ('koha', %(at)s, now(), 1) ON CONFLICT (source) DO UPDATE SET last_event_at = %(at)s"
    )
    for days, heard, silent in ((1, 0, False), (3, 0, True), (3, 3, False)):
        now, last = MONDAY + timedelta(days=days), MONDAY + timedelta(days=heard)
        at(connection, now)
        connection.execute(said, {"at": last})
        sweep(connection, network)
        with engine(database).connect() as looking:
            (feed,), (row,) = (
                notices.feeds_of(looking),
                status.figures(looking.engine, ZoneInfo("UTC"), "04:00")["feeds"],
            )
        assert (feed.silent, row["silent"], row["behind_s"]) == (silent, silent, 86400 * (days - heard))
        assert bool(numbers(connection, "feed")) == silent


def test_a_place_that_often_does_not_find_what_it_is_asked_for_is_named(connection: psycopg.Connection[Any]) -> None:
    at(connection, MONDAY)
    for number in range(10):
        found = number > 2
        connection.execute(
            "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at,"
            " changed_at) VALUES (%s, %s, 'p1', 'p2', 'pick', %s, '{}', %s, %s)",
            (f"t{number}", f"c{number}", "received" if found else "declined", MONDAY, MONDAY - timedelta(days=3)),
        )
        connection.execute(
            "INSERT INTO transfer_facts (transfer_id, occurred_at, sequence, source, event_id, type, copy_id, place_id, reason)"
            " VALUES (%s, %s, 0, 's', %s, %s, %s, 'p1', %s)",
            (f"t{number}", MONDAY, f"e{number}", "transfer.declined", f"c{number}", None if found else "not_found"),
        )
    sweep(connection)
    assert numbers(connection, "unfound") == {"p1": {"not_found": 3, "picks": 10, "days": 28}}


def test_counts_of_a_handover_that_differ_are_an_alert_until_both_sides_agree(
    connection: psycopg.Connection[Any],
) -> None:
    at(connection, MONDAY)
    sides = {"van": {"handed": 2, "taken": 1, "empties": 0}, "room": {"handed": 1, "taken": 1, "empties": 0}}
    for number, (code, values) in enumerate([("counts_differ", sides), ("counts_agree", {})]):
        connection.execute(
            "INSERT INTO scans (scan_id, work, place_id, run_id, code, who, at, received_at, answer)"
            " VALUES (%s, 'hand_over', 'p1', 'r1', '', 'zhou', %s, %s, %s)",
            (
                f"count-{number}",
                MONDAY - timedelta(hours=1),
                MONDAY + timedelta(minutes=number),
                orjson.dumps({"code": code, "tone": "warn", "values": values}).decode(),
            ),
        )
        sweep(connection)
        found = numbers(connection, "counts_differ")
        if code == "counts_differ":
            assert found["p1"] | {"run": "r1", "van_handed": 2, "room_handed": 1} == found["p1"]
    assert found == {}


def _moved(connection: psycopg.Connection[Any], number: int, here: str, there: str, status: str = "received") -> None:
    connection.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
        " VALUES (%s, %s, %s, %s, 'pick', %s, '{}', %s, %s)",
        (f"t{number}", f"c{number}", here, there, status, MONDAY, MONDAY),
    )


def _held(connection: psycopg.Connection[Any], day: date, copies: dict[str, int]) -> None:
    """Let a night have counted copies by place."""
    for place, held in copies.items():
        connection.execute(
            "INSERT INTO daily_figures VALUES (%s, 'turnover', 'place', %s, '', 0, %s)", (day, place, held)
        )


def test_a_place_is_drained_that_lost_more_than_a_seventh_in_four_weeks(connection: psycopg.Connection[Any]) -> None:
    at(connection, MONDAY)
    today = MONDAY.date()
    _held(connection, today - timedelta(days=40), {"p1": 500, "p2": 500})  # too long ago
    _held(connection, today - timedelta(days=27), {"p1": 100, "p2": 100})
    sweep(connection)
    assert numbers(connection, "drained") == {}  # one night says nothing
    _held(connection, today - timedelta(days=1), {"p1": 84, "p2": 86})
    sweep(connection)
    assert numbers(connection, "drained") == {"p1": {"before": 100, "held": 84, "days": 26}}
    _held(connection, today, {"p1": 91, "p2": 80})
    sweep(connection)
    assert numbers(connection, "drained") == {"p2": {"before": 100, "held": 80, "days": 27}}


def test_copies_that_were_given_up_are_an_alert_of_where_they_should_have_come_for_two_weeks(connection: Any) -> None:
    _moved(connection, 1, "p1", "p2", "lost")
    at(connection, MONDAY + timedelta(days=13))
    sweep(connection)
    assert numbers(connection, "lost") == {"p2": {"count": 1, "days": 14}}
    at(connection, MONDAY + timedelta(days=15))
    sweep(connection)
    assert numbers(connection, "lost") == {}


def test_a_plan_that_breaks_limits_is_an_alert_of_its_hub_until_it_is_sent_back(connection: Any) -> None:
    at(connection, MONDAY)
    connection.execute(
        "INSERT INTO day_plans (day_plan_id, day, hub_id, status, problem, solution, evaluation, unserved, created_at)"
        " VALUES ('d', %s, 'hub', 'draft', '{}', '{}', '{\"violations\": [{}, {}]}', '[{}]', %s)",
        (MONDAY.date(), MONDAY),
    )
    sweep(connection)
    assert numbers(connection, "infeasible") == {"hub": {"day": "2026-03-02", "violations": 2, "unserved": 1}}
    connection.execute("UPDATE day_plans SET status = 'sent_back'")
    sweep(connection)
    assert numbers(connection, "infeasible") == {}


def test_a_machines_report_opens_and_closes_its_alerts_at_once(connection: psycopg.Connection[Any]) -> None:
    at(connection, MONDAY)
    place = NETWORK.places[0].model_copy(update={"slots": 100, "bin": 50})
    network = NETWORK.model_copy(update={"places": (place, *NETWORK.places[1:])})
    network.__dict__.pop("place", None)
    for bin_copies, free, fault, opened in (
        (10, 30, None, set()),
        (40, 80, "door_jam", {"bin_full", "nearly_empty", "out_of_order"}),
        (30, 60, None, {"bin_full", "nearly_empty"}),  # in the band between the thresholds nothing changes
        (0, 20, None, set()),
    ):
        connection.execute("DELETE FROM machines")
        connection.execute(
            "INSERT INTO machines (place_id, occurred_at, source, event_id, bin_copies, free_slots, fault)"
            " VALUES (%s, %s, 's', 'e', %s, %s, %s)",
            (place.id, MONDAY, bin_copies, free, fault),
        )
        with connection.transaction(), connection.cursor() as cursor:
            rules.recount(cursor, network, Thresholds(), {place.id: Touched(frozenset(), awaited=False)})
        rows = connection.execute("SELECT kind FROM alerts WHERE closed_at IS NULL AND place_id = %s", (place.id,))
        assert {kind for (kind,) in rows} & {"bin_full", "nearly_empty", "out_of_order"} == opened


@contextmanager
def deciding(url: str) -> Iterator[Connection]:
    """A transaction as the page has it."""
    made = engine(url)
    with made.begin() as found:
        yield found
    made.dispose()


def choose(url: str, value: int, kind: AlertKind, tier: str = "", cls: str = "") -> None:
    with deciding(url) as found:
        set_threshold(found, ThresholdKey(kind, tier, cls), value, "zhou", MONDAY)


def test_the_narrowest_threshold_that_people_set_counts(connection: Any, database: str) -> None:
    connection.execute(
        "INSERT INTO targets VALUES ('p1', 'fiction', 10, 20), ('p1', 'children', 10, 20), ('p0', 'fiction', 10, 20)"
    )
    for number in range(27):
        put(connection, number, ("p1", "p0", "p1")[number % 3], MONDAY)
    connection.execute("UPDATE copies SET class = 'children' WHERE substr(copy_id, 2)::int % 3 = 2")
    sweep(connection)
    open_now = "SELECT place_id, class FROM alerts WHERE kind = 'shortage' AND closed_at IS NULL ORDER BY 1, 2"
    assert connection.execute(open_now).fetchall() == [("p0", "fiction"), ("p1", "children"), ("p1", "fiction")]
    connection.execute("DELETE FROM alerts")
    tier = NETWORK.place["p1"].tier
    choose(database, 50, AlertKind.SHORTAGE)
    choose(database, 100, AlertKind.SHORTAGE, tier)
    choose(database, 90, AlertKind.SHORTAGE, tier, "fiction")
    sweep(connection)
    assert connection.execute(open_now).fetchall() == [("p1", "children")]


def test_days_that_people_set_count_before_the_lanes_own_time(connection: Any, database: str) -> None:
    connection.execute("INSERT INTO lanes VALUES ('p1', 'p2', 50, 86400, 86400, 0, 0, %s)", (MONDAY,))
    put(connection, 1, "p1", MONDAY, to="p2")
    at(connection, MONDAY + timedelta(days=9))
    sweep(connection)
    assert set(numbers(connection, "overdue")) == {"p2"}
    choose(database, 12, AlertKind.OVERDUE, NETWORK.place["p2"].tier)
    sweep(connection)
    assert numbers(connection, "overdue") == {}
    at(connection, MONDAY + timedelta(days=13))
    sweep(connection)
    assert numbers(connection, "overdue")["p2"]["days"] == 12


def test_the_watcher_heeds_a_threshold_before_its_next_sweep_is_due(connection: Any, database: str) -> None:
    at(connection, MONDAY)
    connection.execute("INSERT INTO targets VALUES ('p1', 'fiction', 10, 20)")
    for number in range(9):
        put(connection, number, "p1", MONDAY)
    watcher = Watcher(database, NETWORK, Thresholds())

    async def changes() -> tuple[set[str], set[str]]:
        await watcher.sweep_if_due()
        before = set(numbers(connection, "shortage"))
        await watcher.sweep_if_due()
        choose(database, 20, AlertKind.SHORTAGE)
        await watcher.sweep_if_due()
        between = set(numbers(connection, "shortage"))
        await watcher.stop()
        return before, between

    assert asyncio.run(changes()) == ({"p1"}, set())


def test_copies_that_no_movement_put_where_they_stand_are_an_alert_until_they_add_up(connection: Any) -> None:
    at(connection, MONDAY)
    for number in range(4):
        put(connection, number, "p1", MONDAY)
    with connection.cursor() as cursor:
        assert [one[:3] for one in conservation.check(cursor, MONDAY)] == [("copies", 4, ("c0", "c1", "c2"))]
    sweep(connection)
    found = numbers(connection, "conservation")
    assert found == {"copies": {"count": 4, "first": "c0, c1, c2", "counted": MONDAY.isoformat()}}
    connection.execute(
        "INSERT INTO movements SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id, to_place_id FROM copies"
    )
    connection.execute("INSERT INTO counts VALUES ('applied', 4)")
    with connection.cursor() as cursor:
        assert conservation.check(cursor, MONDAY) == []
    sweep(connection)
    assert numbers(connection, "conservation") == {}


def test_a_place_of_few_loans_is_silent_later_unless_people_set_the_hours(connection: Any, database: str) -> None:
    hours = {"mon-sun": "09:00-17:00"}
    room = {"name": "r", "tier": "room", "parent": "c", "hours": hours}
    centre = {"id": "c", "name": "c", "tier": "central", "hub": {}}
    network = from_tables(
        {
            "network": {"id": "n", "name": "n", "timezone": "UTC"},
            "class": [{"id": "fiction", "name": "fiction"}],
            "place": [centre, room | {"id": "busy"}, room | {"id": "quiet"}],
            "van": [{"id": "v", "hub": "c", "crates": 9}],
        },
        "n.toml",
    )
    for place, loans in (("busy", 3650), ("quiet", 182.5)):  # ten a day, and one in two days
        connection.execute("INSERT INTO places_heard VALUES (%s, %s)", (place, MONDAY))
        connection.execute(
            "INSERT INTO daily_figures VALUES (%s, 'turnover', 'place', %s, '', %s, 1)", (MONDAY, place, loans)
        )
    for days, silent in ((3, {"busy"}), (6, {"busy"}), (8, {"busy", "quiet"})):
        at(connection, MONDAY + timedelta(days=days))
        sweep(connection, network)
        assert (days, set(numbers(connection, "silent"))) == (days, silent)
    choose(database, 720, AlertKind.SILENT)
    sweep(connection, network)
    assert numbers(connection, "silent") == {}
    choose(database, 16, AlertKind.SILENT)
    at(connection, MONDAY + timedelta(days=3))
    sweep(connection, network)
    assert set(numbers(connection, "silent")) == {"busy", "quiet"}
