"""Alerts recounted from the copies: what opens them, what closes them, and that they are told of once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest

from rotation import status
from rotation.alerts import rules
from rotation.alerts.rules import Changes, Thresholds, Touched
from rotation.network import Network, from_tables
from rotation.store.engine import connect, engine
from rotation.web import notices
from streams.watch import touched
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
    assert numbers(connection, "shortage") == {"p1": {"level": 0, "low": 3, "high": 10}}
    assert numbers(connection, "surplus") == {"p2": {"level": 4, "low": 0, "high": 2}}


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
        f"p{n}": Touched(frozenset({"fiction"}) if n % 2 else None, n % 3 == 0)
        for n in range(2 * rules.PLACES_A_NOTICE + 1)
    }
    messages = [orjson.dumps(said) for said in rules.notices(told)]
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
            (feed,), (row,) = notices.feeds_of(looking), status.figures(looking.engine, UTC)["feeds"]
        assert (feed.silent, row["silent"], row["behind_s"]) == (silent, silent, 86400 * (days - heard))
        assert bool(numbers(connection, "feed")) == silent
