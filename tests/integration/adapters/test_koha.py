"""Koha's database, read with a cursor: loans, transfers with their reasons, and items that repair lost events."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from rotation.facts.parts import Part
from rotation.feeds import destinations, koha_feed
from rotation.feeds.carrying import FeedReport
from rotation.feeds.destinations import Destinations
from rotation.feeds.koha import KohaMap
from rotation.feeds.staying import Attempt, Outage, stay_up
from rotation.store import migrate
from rotation.store.audit import audit
from rotation.store.engine import connect
from rotation.store.engine import engine as engine_of
from rotation.store.heartbeats import Pulse, Turned
from rotation.system import roles
from rotation.views.notices import feeds_of
from rotation.views.unplaced import unplaced_copies
from tests.koha_simulated import installed, mariadb, new_koha, run, running_in
from tests.streams_world import PLACES, counts
from tests.unit.adapters.patron import CARD, NAME, PHONE, named_in

MAP = KohaMap(timezone="Asia/Shanghai", branches={f"BR{place[1:]}": place for place in PLACES}, default_class="fiction")
BARCODES = [f"b{number:03}" for number in range(12)]


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="koha-") as folder, mariadb(Path(folder)) as running:
        yield running


@pytest.fixture
def koha(socket: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Koha with twelve items at BR1 that a reader knows; of 20.11 where the test's parameter says so."""
    oldest = getattr(request, "param", "newest") == "oldest"
    connection = koha_feed.koha_connection(new_koha(socket, f"koha_{abs(hash(request.node.name)) % 10**9}", oldest))
    run(connection, "INSERT INTO borrowers (cardnumber, surname, phone) VALUES (%s, %s, %s)", CARD, NAME, PHONE)
    run(connection, "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    for number, barcode in enumerate(BARCODES):
        run(connection, "INSERT IGNORE INTO biblio (biblionumber, title) VALUES (%s, 'Momo')", number // 2)
        run(
            connection,
            "INSERT INTO items (biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, itemnotes, timestamp)"
            " VALUES (%s, %s, '2026-01-05', 'BR1', 'BR1', 'BK', %s, '2026-01-05 09:00:00')",
            number // 2,
            barcode,
            NAME,
        )
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def compared_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare copy by copy and hold by hold when a test that follows Koha is over, unless its mark says why it differs."""
    if not {"koha", "applied", "engine"} <= set(request.fixturenames):
        yield
        return
    engine, koha, _ = (request.getfixturevalue(name) for name in ("engine", "koha", "applied"))
    yield
    if not request.node.get_closest_marker("differs"):
        assert differing(engine, koha) == {}


def happened(koha: Any, kind: str, item: int, branch: str, at: str) -> None:
    """A circulation with its reader, and what it does to the item."""
    run(
        koha,
        "INSERT INTO statistics (datetime, branch, type, other, itemnumber, borrowernumber) VALUES (%s, %s, %s, %s, %s, 1)",
        at,
        branch,
        kind,
        CARD,
        item,
    )
    onloan = "2026-05-01" if kind == "issue" else None
    run(
        koha,
        "UPDATE items SET onloan = %s, holdingbranch = %s, timestamp = %s WHERE itemnumber = %s",
        onloan,
        branch,
        at,
        item,
    )


def sent(koha: Any, item: int, to: str, at: str, reason: str = "ReturnToHome") -> None:
    run(
        koha,
        "INSERT INTO branchtransfers (itemnumber, datesent, frombranch, tobranch, comments, reason)"
        " VALUES (%s, %s, 'BR2', %s, %s, %s)",
        item,
        at,
        to,
        f"for {NAME} {PHONE}",
        reason,
    )


def held(koha: Any, title: int, at: str, branch: str = "BR1", **columns: object) -> int:
    """A hold of a reader for a title; returns its number."""
    values = {"item": None, "found": None, "suspend": 0} | columns
    run(
        koha,
        "INSERT INTO reserves (borrowernumber, biblionumber, branchcode, itemnumber, found, suspend, reservedate, reservenotes,"
        " timestamp) VALUES (1, %s, %s, %s, %s, %s, %s, %s, %s)",
        title,
        branch,
        values["item"],
        values["found"],
        values["suspend"],
        at[:10],
        NAME,
        at,
    )
    with koha.cursor() as cursor:
        cursor.execute("SELECT max(reserve_id) AS number FROM reserves")
        number: int = cursor.fetchone()["number"]
    koha.rollback()
    return number


def follow(engine: Engine, koha: Any, ends: Destinations) -> FeedReport:
    return koha_feed.follow_koha(engine, koha, MAP, ends, Event(), once=True)


def stands(url: str) -> dict[str, tuple[str, str, str | None]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT copy_id, state, place_id, to_place_id FROM copies").fetchall()
    return {copy: (state, place, to) for copy, state, place, to in rows}


def a_week(koha: Any) -> dict[str, tuple[str, str, str | None]]:
    """What happened in a week; returns where what moved stands at its end."""
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    happened(koha, "issue", 2, "BR1", "2026-03-02 10:00:00")
    happened(koha, "return", 2, "BR2", "2026-03-04 10:00:00")
    sent(koha, 2, "BR1", "2026-03-04 10:00:00")
    happened(koha, "issue", 3, "BR1", "2026-03-02 11:00:00")
    happened(koha, "return", 3, "BR2", "2026-03-04 11:00:00")
    sent(koha, 3, "BR1", "2026-03-04 11:00:00", "RotatingCollection")
    run(koha, "UPDATE branchtransfers SET datearrived = '2026-03-05 09:00:00' WHERE itemnumber = 3")
    run(koha, "UPDATE items SET holdingbranch = 'BR1', timestamp = '2026-03-05 09:00:00' WHERE itemnumber = 3")
    run(koha, "UPDATE items SET itemlost = 1, timestamp = '2026-03-05 10:00:00' WHERE itemnumber = 4")
    held(koha, 2, item=5, found="W", at="2026-03-05 11:00:00")
    run(koha, "UPDATE items SET timestamp = '2026-03-05 11:00:00' WHERE itemnumber = 5")
    return {
        "b000": ("on_loan", "p1", None),
        "b001": ("in_transit", "p2", "p1"),
        "b002": ("on_shelf", "p1", None),
        "b003": ("missing", "p1", None),
        "b004": ("on_hold_shelf", "p1", None),
        **dict.fromkeys(BARCODES[5:], ("on_shelf", "p1", None)),
    }


# Releases between these two have columns of one or the other: see tests/koha_schema.py.
both_ends = pytest.mark.parametrize("koha", ["oldest", "newest"], indirect=True)


@both_ends
def test_a_week_of_koha_stands_as_koha_has_it_and_a_second_look_adds_nothing(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    expected = a_week(koha)
    follow(engine, koha, applied)
    before = counts(database)["applied"]
    follow(engine, koha, applied)
    assert stands(database) == expected
    assert counts(database)["applied"] == before
    with connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_one_loan_ends_one_stay_on_the_shelf(database: str, engine: Engine, koha: Any, applied: Destinations) -> None:
    follow(engine, koha, applied)
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT state FROM movements WHERE copy_id = 'b000' ORDER BY occurred_at, sequence, source, event_id"
        ).fetchall()
    shelf_then_loan = [one for one in pairwise(rows) if one == (("on_shelf",), ("on_loan",))]
    assert len(shelf_then_loan) == 1


def test_kohas_reasons_are_kept_and_its_free_text_is_not(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    a_week(koha)
    sent(koha, 6, "BR3", "2026-03-06 09:00:00", reason=f"for {NAME}"[:40])
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT copy_id, type, reason FROM transfer_facts ORDER BY 1, 2").fetchall()
    assert rows == [
        ("b001", "transfer.sent", "ReturnToHome"),
        ("b002", "transfer.received", "RotatingCollection"),
        ("b002", "transfer.sent", "RotatingCollection"),
        ("b005", "transfer.sent", None),
    ]


def test_what_a_long_transaction_wrote_behind_the_cursor_is_found(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    happened(koha, "issue", 2, "BR1", "2026-03-02 09:55:00")
    follow(engine, koha, applied)
    assert stands(database)["b001"] == ("on_loan", "p1", None)


@both_ends
def test_a_deleted_item_has_left_the_stock(database: str, engine: Engine, koha: Any, applied: Destinations) -> None:
    follow(engine, koha, applied)
    run(koha, "INSERT INTO deleteditems SELECT * FROM items WHERE itemnumber = 9")
    run(koha, "UPDATE deleteditems SET timestamp = '2026-03-07 09:00:00'")
    run(koha, "DELETE FROM items WHERE itemnumber = 9")
    follow(engine, koha, applied)
    assert stands(database)["b008"] == ("withdrawn", "p1", None)


def test_a_dry_run_shows_what_it_would_send_and_keeps_no_place(engine: Engine, koha: Any) -> None:
    a_week(koha)
    shown: list[str] = []
    koha_feed.follow_koha(engine, koha, MAP, destinations.shown(shown.append), Event(), once=True, keep=False)
    assert any('"transfer.sent"' in line for line in shown)
    assert destinations.cursor_of(engine, "koha.koha.items") is None
    assert named_in(*shown) == []


@pytest.mark.differs("the transfer to an unmapped branch is refused")
def test_no_reader_stands_in_any_table_log_or_error(
    engine: Engine, koha: Any, applied: Destinations, everything: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    a_week(koha)
    sent(koha, 7, "NOWHERE", "2026-03-06 09:00:00")
    assert follow(engine, koha, applied).rejected == {"unknown_place": 1}
    assert named_in(everything(), caplog.text) == []


def signed(koha: Any, item: int, at: str, **signs: object) -> None:
    """What a librarian sets in an item's row."""
    columns = ", ".join(f"{name} = %s" for name in signs)
    run(koha, f"UPDATE items SET {columns}, timestamp = %s WHERE itemnumber = %s", *signs.values(), at, item)


# Signs of an item that cannot be picked, and the reason by the map.
UNPICKABLE = [
    ({"notforloan": -1}, "on_order"),
    ({"notforloan": -4}, "in_process"),
    ({"notforloan": 1}, "reference"),
    ({"notforloan": 2}, "staff"),
    ({"notforloan": 7}, "not_for_loan"),
    ({"location": "PROC", "permanent_location": "GEN"}, "in_process"),
    ({"location": "CART", "permanent_location": "GEN"}, "cart"),
    ({"restricted": 1}, "restricted"),
    ({"itype": "REF"}, "reference"),
]


@both_ends
def test_what_cannot_be_picked_is_not_on_the_shelf_and_its_reason_is_told(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    run(koha, "INSERT INTO itemtypes (itemtype, notforloan) VALUES ('BK', 0), ('REF', 1)")
    for item, (signs, _) in enumerate(UNPICKABLE, 1):
        signed(koha, item, "2026-03-02 09:00:00", **signs)
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT state, event_id FROM copies ORDER BY copy_id").fetchall()
    told = [(state, event_id.rpartition("/")[2]) for state, event_id in rows]
    assert told[: len(UNPICKABLE)] == [("withdrawn", reason) for _, reason in UNPICKABLE]
    assert {state for state, _ in told[len(UNPICKABLE) :]} == {"on_shelf"}


@pytest.mark.parametrize("own", [None, ""])
def test_an_item_without_a_type_has_its_records(
    database: str, engine: Engine, koha: Any, applied: Destinations, own: str | None
) -> None:
    run(koha, "INSERT INTO itemtypes (itemtype, notforloan) VALUES ('BK', 0), ('REF', 1)")
    run(koha, "INSERT INTO biblioitems (biblioitemnumber, biblionumber, itemtype) VALUES (7, 1, 'REF')")
    signed(koha, 1, "2026-03-02 09:00:00", biblioitemnumber=7, itype=own)
    signed(koha, 2, "2026-03-02 09:00:00", biblioitemnumber=7, itype="BK")
    happened(koha, "issue", 1, "BR1", "2026-03-03 10:00:00")
    happened(koha, "return", 1, "BR1", "2026-03-04 10:00:00")
    follow(engine, koha, applied)
    assert [stands(database)[copy][0] for copy in ("b000", "b001")] == ["withdrawn", "on_shelf"]


def test_what_can_be_picked_again_is_on_the_shelf_again(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    signed(koha, 1, "2026-03-02 09:00:00", notforloan=-1)
    follow(engine, koha, applied)
    signed(koha, 1, "2026-03-04 09:00:00", notforloan=0)
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("on_shelf", "p1", None)


def test_a_copy_that_is_damaged_or_on_the_cart_at_its_return_is_not_on_the_shelf(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    for item, signs in ((1, {"damaged": 1}), (2, {"location": "CART"})):
        happened(koha, "issue", item, "BR1", "2026-03-02 10:00:00")
        happened(koha, "return", item, "BR1", "2026-03-04 10:00:01")
        signed(koha, item, "2026-03-04 10:00:00", **signs)
    follow(engine, koha, applied)
    assert [stands(database)[copy][0] for copy in ("b000", "b001")] == ["damaged", "withdrawn"]


# --- Transfers that do not end as meant --------------------------------------------------------------------------------------


def cancelled(koha: Any, item: int, at: str, reason: str = "Manual") -> None:
    run(
        koha,
        "UPDATE branchtransfers SET datecancelled = %s, cancellation_reason = %s WHERE itemnumber = %s",
        at,
        reason,
        item,
    )


@pytest.mark.differs("the items' branch is not written")
def test_a_copy_whose_transfer_is_called_off_on_its_way_is_unknown_until_someone_scans_it(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    for item in (1, 2, 3):
        sent(koha, item, "BR3", "2026-03-04 10:00:00")
    cancelled(koha, 1, "2026-03-06 15:00:00")
    cancelled(koha, 2, "2026-03-04 10:04:00")
    run(koha, "UPDATE items SET datelastseen = '2026-03-05 09:00:00', timestamp = timestamp WHERE itemnumber = 3")
    cancelled(koha, 3, "2026-03-06 15:00:00")
    follow(engine, koha, applied)
    copies = stands(database)
    assert copies["b000"] == ("unknown", "p2", None)
    assert (copies["b001"], copies["b002"]) == (("on_shelf", "p2", None), ("on_shelf", "p2", None))
    with engine.connect() as connection:
        assert [(one.copy_id, one.place_id) for one in unplaced_copies(connection)] == [("b000", "p2")]
    happened(koha, "return", 1, "BR4", "2026-03-07 09:00:00")
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("on_shelf", "p4", None)


@pytest.mark.parametrize("at_once", [True, False], ids=["read once", "read after each step"])
def test_a_copy_scanned_at_a_third_branch_is_still_in_transit_and_last_seen_there(
    database: str, engine: Engine, koha: Any, applied: Destinations, at_once: bool
) -> None:
    sent(koha, 1, "BR3", "2026-03-04 10:00:00")
    if not at_once:
        follow(engine, koha, applied)
    happened(koha, "return", 1, "BR4", "2026-03-05 10:00:00")
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("in_transit", "p4", "p3")
    cancelled(koha, 1, "2026-03-05 10:05:00")
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("on_shelf", "p4", None)


@both_ends
def test_a_copy_lost_on_its_way_is_missing(database: str, engine: Engine, koha: Any, applied: Destinations) -> None:
    for item, reason in ((1, "ItemLost"), (2, "Manual")):
        sent(koha, item, "BR3", "2026-03-04 10:00:00")
        signed(koha, item, "2026-03-05 10:00:00", itemlost=2)
        cancelled(koha, item, "2026-03-05 10:00:01", reason)
    follow(engine, koha, applied)
    assert [stands(database)[copy][0] for copy in ("b000", "b001")] == ["missing", "missing"]


def test_a_stale_transfer_cancelled_after_the_copy_was_lent_elsewhere_leaves_it_on_loan(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    sent(koha, 1, "BR3", "2026-01-14 10:00:00")
    follow(engine, koha, applied)
    happened(koha, "issue", 1, "BR4", "2026-03-02 10:00:00")
    cancelled(koha, 1, "2026-03-02 18:00:00")
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("on_loan", "p4", None)


def test_a_copy_back_before_its_stale_transfer_is_cancelled_is_on_the_shelf(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    sent(koha, 1, "BR3", "2026-01-14 10:00:00")
    happened(koha, "issue", 1, "BR4", "2026-03-02 10:00:00")
    happened(koha, "return", 1, "BR5", "2026-03-03 10:00:00")
    cancelled(koha, 1, "2026-03-03 10:00:00")
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("on_shelf", "p5", None)


# --- Renewals, homes, clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", ["OPACRenew", None, "", "CRON"])
def test_a_renewal_without_a_branch_goes_on_where_the_copy_was_lent(
    database: str, engine: Engine, koha: Any, applied: Destinations, branch: str | None
) -> None:
    happened(koha, "issue", 1, "BR4", "2026-03-02 10:00:00")
    run(
        koha,
        "INSERT INTO statistics (datetime, branch, type, itemnumber) VALUES ('2026-03-09 10:00:00', %s, 'renew', 1)",
        branch,
    )
    report = follow(engine, koha, applied)
    assert (report.sent["copy.renewed"], report.rejected) == (1, {})
    assert stands(database)["b000"] == ("on_loan", "p4", None)


def test_a_renewal_of_a_loan_that_koha_no_longer_has_is_at_the_branch_that_holds_it(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    signed(koha, 1, "2026-03-09 10:00:00", onloan="2026-05-01", holdingbranch="BR2")
    run(koha, "INSERT INTO statistics (datetime, type, itemnumber) VALUES ('2026-03-09 10:00:00', 'renew', 1)")
    assert follow(engine, koha, applied).rejected == {}
    assert stands(database)["b000"] == ("on_loan", "p2", None)


def test_a_new_home_is_told_and_moves_no_copy(database: str, engine: Engine, koha: Any, applied: Destinations) -> None:
    happened(koha, "issue", 1, "BR2", "2026-03-02 10:00:00")
    sent(koha, 2, "BR3", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    before = stands(database)
    for item in (1, 2, 3):
        signed(koha, item, "2026-03-06 09:00:00", homebranch="BR5")
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        homes = connection.execute("SELECT home_place_id FROM copies ORDER BY copy_id LIMIT 4").fetchall()
    assert homes == [("p5",), ("p5",), ("p5",), ("p1",)]
    assert stands(database) == before
    assert follow(engine, koha, applied).sent["copy.added"] == 0


def test_a_server_in_utc_says_the_same_as_one_in_kohas_zone(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    happened(koha, "return", 1, "BR1", "2026-03-05 09:00:00")
    # 16:30 in Shanghai: Koha's zone sets DATETIMEs, the server's own zone shows TIMESTAMPs.
    signed(koha, 1, "2026-03-05 08:30:00", withdrawn=1)
    follow(engine, koha, applied)
    assert stands(database)["b000"] == ("withdrawn", "p1", None)


def test_a_position_on_the_servers_clock_is_read_on_from_before_it(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    follow(engine, koha, applied)
    destinations.keep_cursor(engine, "koha.koha.items", ["2026-03-05T16:00:00", "000000000012"])
    signed(koha, 1, "2026-03-05 08:30:00", withdrawn=1)
    follow(engine, koha, applied)
    assert stands(database)["b000"][0] == "withdrawn"


LONDON = MAP.model_copy(update={"timezone": "Europe/London"})


@pytest.mark.differs("statistics alone are written")
def test_both_passes_of_a_repeated_hour_are_read(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    def follow_in_london() -> None:
        koha_feed.follow_koha(engine, koha, LONDON, applied, Event(), once=True)

    def lent(item: int, at: str) -> None:
        run(
            koha,
            "INSERT INTO statistics (datetime, branch, type, itemnumber) VALUES (%s, 'BR1', 'issue', %s)",
            at,
            item,
        )

    lent(1, "2026-10-25 01:05:00")
    lent(2, "2026-10-25 01:55:00")
    follow_in_london()
    lent(3, "2026-10-25 01:05:00")
    lent(4, "2026-10-25 01:10:00")
    follow_in_london()
    follow_in_london()
    lent(5, "2026-10-25 02:10:00")
    follow_in_london()
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT copy_id, to_char(occurred_at AT TIME ZONE 'UTC', 'HH24:MI') FROM movements"
            " WHERE state = 'on_loan' ORDER BY copy_id"
        ).fetchall()
    assert rows == [("b000", "00:05"), ("b001", "00:55"), ("b002", "01:05"), ("b003", "01:10"), ("b004", "02:10")]


@pytest.mark.differs("statistics alone are written")
def test_pages_of_many_rows_of_one_second_are_read_whole(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    run(
        koha,
        "INSERT INTO statistics (datetime, branch, type, itemnumber)"
        " SELECT '2026-03-02 00:00:00', concat('X', seq), 'issue', 1 + mod(seq, 12) FROM seq_1_to_1300",
    )
    run(
        koha,
        "INSERT INTO statistics (datetime, branch, type, itemnumber)"
        " SELECT '2026-03-02 00:00:00' + INTERVAL seq SECOND, 'BR1', 'issue', 1 + mod(seq, 12) FROM seq_1_to_1100",
    )
    report = follow(engine, koha, applied)
    assert (report.rejected["unknown_place"], report.sent["copy.loaned"]) == (1300, 1100)


# --- Identity -----------------------------------------------------------------------------------------------------------------


def test_a_barcode_that_changes_is_the_same_copy(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    follow(engine, koha, applied)
    signed(koha, 1, "2026-03-02 09:00:00", barcode="NEW1")
    follow(engine, koha, applied)
    happened(koha, "issue", 1, "BR2", "2026-03-03 10:00:00")
    follow(engine, koha, applied)
    copies = stands(database)
    assert (len(copies), copies["b000"]) == (12, ("on_loan", "p2", None))
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT copy_id, barcode FROM item_copies WHERE item = 1").fetchall()
    assert rows == [("b000", "NEW1")]


def test_a_barcode_that_another_item_had_is_another_copy(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    follow(engine, koha, applied)
    signed(koha, 1, "2026-03-02 09:00:00", barcode="NEW1")
    signed(koha, 2, "2026-03-02 09:05:00", barcode="b000")
    run(
        koha,
        "INSERT INTO items (itemnumber, biblionumber, barcode, homebranch, holdingbranch, itype, timestamp)"
        " VALUES (13, 1, 'b001', 'BR2', 'BR2', 'BK', '2026-03-02 09:10:00')",
    )
    follow(engine, koha, applied)
    happened(koha, "issue", 2, "BR2", "2026-03-03 10:00:00")
    follow(engine, koha, applied)
    copies = stands(database)
    assert (copies["b001"][0], copies["b000"][0], copies["koha-13"]) == (
        "on_loan",
        "on_shelf",
        ("on_shelf", "p2", None),
    )
    assert len(copies) == 13


def test_a_number_in_both_items_and_deleteditems_is_a_living_copy(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    run(koha, "INSERT INTO deleteditems SELECT * FROM items WHERE itemnumber = 9")
    run(koha, "UPDATE deleteditems SET timestamp = '2026-03-07 09:00:00', barcode = 'OLD9'")
    follow(engine, koha, applied)
    copies = stands(database)
    assert (copies["b008"], len(copies)) == (("on_shelf", "p1", None), 12)


def test_items_that_a_deleted_title_took_along_leave_the_stock(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    follow(engine, koha, applied)
    run(koha, "DELETE FROM biblio WHERE biblionumber = 2")
    assert follow(engine, koha, applied).sent == {"copy.withdrawn": 2}
    assert [stands(database)[copy][0] for copy in ("b003", "b004", "b005", "b006")] == [
        "on_shelf",
        "withdrawn",
        "withdrawn",
        "on_shelf",
    ]
    assert follow(engine, koha, applied).sent == {}


def test_a_koha_without_any_item_takes_no_copy_out(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    follow(engine, koha, applied)
    run(koha, "CREATE TABLE kept AS SELECT * FROM items")
    run(koha, "DELETE FROM items")
    assert follow(engine, koha, applied).sent == {}
    run(koha, "INSERT INTO items SELECT * FROM kept")
    assert follow(engine, koha, applied).sent == {}


def test_copies_of_a_merged_title_have_the_title_that_stays(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    held(koha, 0, "2026-03-03 09:00:00")
    follow(engine, koha, applied)
    signed(koha, 1, "2026-03-04 09:00:00", biblionumber=5)
    signed(koha, 2, "2026-03-04 09:00:00", biblionumber=5)
    run(koha, "UPDATE reserves SET biblionumber = 5, timestamp = '2026-03-04 09:00:00'")
    run(koha, "DELETE FROM biblio WHERE biblionumber = 0")
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT title_id, state FROM copies WHERE copy_id < 'b002' ORDER BY 1, 2").fetchall()
        title = connection.execute("SELECT title_id, type FROM holds").fetchall()
    assert (rows, title) == ([("5", "on_loan"), ("5", "on_shelf")], [("5", "hold.placed")])


@pytest.mark.differs("followed with another map")
def test_copies_that_the_map_calls_fixed_never_leave(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    signed(koha, 1, "2026-03-02 09:00:00", ccode="LOCAL")
    signed(koha, 2, "2026-03-02 09:00:00", location="CART", permanent_location="READ")
    signed(koha, 3, "2026-03-02 09:00:00", itype="MAP")
    fixed = MAP.fixed.model_copy(update={"types": ("MAP",), "locations": ("READ",), "collections": ("LOCAL",)})
    chosen = MAP.model_copy(update={"fixed": fixed})
    koha_feed.follow_koha(engine, koha, chosen, applied, Event(), once=True)
    signed(koha, 3, "2026-03-05 09:00:00", itype="BK")
    koha_feed.follow_koha(engine, koha, chosen, applied, Event(), once=True)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT copy_id FROM copies WHERE fixed ORDER BY 1").fetchall() == [
            ("b000",),
            ("b001",),
        ]


@pytest.mark.parametrize("day", ["0000-00-00", "0206-01-05", "2206-01-05", None])
def test_a_copy_with_a_mistyped_first_day_is_listed_from_its_rows_time(
    database: str, engine: Engine, koha: Any, applied: Destinations, day: str | None
) -> None:
    run(koha, "SET SESSION sql_mode = ''")
    run(koha, "UPDATE items SET dateaccessioned = %s, timestamp = timestamp WHERE itemnumber = 1", day)
    report = follow(engine, koha, applied)
    assert (report.rejected.total(), stands(database)["b000"]) == (0, ("on_shelf", "p1", None))
    assert title_of(database, "b000") == "0"


def title_of(url: str, copy: str) -> str | None:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT title_id FROM copies WHERE copy_id = %s", (copy,)).fetchone()
    return row[0] if row else None


def names(url: str) -> dict[str, str | None]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT title_id, name FROM titles").fetchall())


@both_ends
def test_a_title_is_named_as_lists_show_it(database: str, engine: Engine, koha: Any, applied: Destinations) -> None:
    title, author = "Momo, oder :", "Ende, Michael."
    run(
        koha,
        "UPDATE biblio SET title = %s, subtitle = 'ein Roman /', author = %s WHERE biblionumber = 1",
        title,
        author,
    )
    run(koha, "UPDATE biblio SET title = %s WHERE biblionumber = 2", "紅樓夢\n𠮷" + "x" * 400)
    run(koha, "UPDATE biblio SET title = NULL, author = 'Nobody' WHERE biblionumber = 3")
    follow(engine, koha, applied)
    found = names(database)
    assert [found[number] for number in ("0", "1", "3")] == ["Momo", "Momo, oder : ein Roman / Ende, Michael", None]
    assert (found["2"] or "").startswith("紅樓夢 𠮷x")
    assert len(found["2"] or "") == 300


def test_a_title_known_before_without_a_name_is_named_when_an_item_changes_and_no_copy_moves(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    happened(koha, "issue", 1, "BR2", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE titles SET name = NULL")
    before = stands(database)
    signed(koha, 1, "2026-03-03 09:00:00", itemnotes="changed")
    follow(engine, koha, applied)
    assert (names(database)["0"], stands(database)) == ("Momo", before)
    assert before["b000"] == ("on_loan", "p2", None)


@pytest.mark.parametrize("call_number", ['I247.5/"H"123', "I\\247\t/1", "K892 .\n1 書𠮷", "{[0]}"])
def test_a_call_number_comes_as_koha_has_it(
    database: str, engine: Engine, koha: Any, applied: Destinations, call_number: str
) -> None:
    run(koha, "UPDATE items SET itemcallnumber = %s, timestamp = timestamp WHERE itemnumber = 1", call_number)
    follow(engine, koha, applied)
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT call_number FROM shelvings WHERE copy_id = 'b000'").fetchone()
    assert row == (call_number,)


# --- Holds --------------------------------------------------------------------------------------------------------------------


def holds(url: str) -> dict[str, tuple[str, str, str | None]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT hold_id, type, place_id, copy_id FROM holds").fetchall()
    return {hold: (kind, place, copy) for hold, kind, place, copy in rows}


def archived(koha: Any, hold: int, at: str, **columns: object) -> None:
    """What Koha does when a hold ends: the row goes to old_reserves with how it ended."""
    run(
        koha,
        "INSERT INTO old_reserves (reserve_id, biblionumber, branchcode, found, cancellationdate, expirationdate, itemnumber,"
        " timestamp) SELECT reserve_id, biblionumber, branchcode, %s, %s, %s, itemnumber, %s FROM reserves WHERE reserve_id = %s",
        columns.get("found"),
        columns.get("cancellationdate"),
        columns.get("expirationdate"),
        at,
        hold,
    )
    run(koha, "DELETE FROM reserves WHERE reserve_id = %s", hold)


def test_a_hold_that_is_trapped_without_a_change_of_its_item_is_seen(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    number = held(koha, 0, "2026-03-02 09:00:00", branch="BR2")
    follow(engine, koha, applied)
    assert holds(database) == {f"koha-{number}": ("hold.placed", "p2", None)}
    run(koha, "UPDATE reserves SET itemnumber = 1, found = 'W', timestamp = '2026-03-03 09:00:00'")
    follow(engine, koha, applied)
    assert holds(database) == {f"koha-{number}": ("hold.filled", "p2", "b000")}
    assert stands(database)["b000"] == ("on_hold_shelf", "p2", None)
    assert follow(engine, koha, applied).sent == {}


@both_ends
def test_holds_are_told_as_suspended_moved_and_ended(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    suspended, moved, fetched, cancelled_one, expired, later = (
        held(koha, 0, "2026-03-02 09:00:00", item=item) for item in (None, 2, 3, None, None, None)
    )
    run(koha, "UPDATE reserves SET reservedate = '2999-01-01' WHERE reserve_id = %s", later)
    follow(engine, koha, applied)
    run(koha, "UPDATE reserves SET suspend = 1, timestamp = '2026-03-03 09:00:00' WHERE reserve_id = %s", suspended)
    run(koha, "UPDATE reserves SET branchcode = 'BR3', timestamp = '2026-03-03 09:00:00' WHERE reserve_id = %s", moved)
    archived(koha, fetched, "2026-03-03 09:00:00", found="F")
    archived(koha, cancelled_one, "2026-03-03 09:00:00", cancellationdate="2026-03-03", expirationdate="2026-04-01")
    archived(koha, expired, "2026-03-05 09:00:00", cancellationdate="2026-03-05", expirationdate="2026-03-04")
    follow(engine, koha, applied)
    assert holds(database) == {
        f"koha-{suspended}": ("hold.suspended", "p1", None),
        f"koha-{moved}": ("hold.placed", "p3", "b001"),
        f"koha-{fetched}": ("hold.cancelled", "p1", "b002"),
        f"koha-{cancelled_one}": ("hold.cancelled", "p1", None),
        f"koha-{expired}": ("hold.expired", "p1", None),
        f"koha-{later}": ("hold.suspended", "p1", None),
    }
    run(koha, "UPDATE reserves SET suspend = 0, timestamp = '2026-03-06 09:00:00' WHERE reserve_id = %s", suspended)
    follow(engine, koha, applied)
    assert holds(database)[f"koha-{suspended}"] == ("hold.placed", "p1", None)


@pytest.mark.parametrize("sql", ["DELETE FROM borrowers", "DELETE FROM biblio WHERE biblionumber = 0"])
def test_holds_that_a_cascade_took_are_cancelled(
    database: str, engine: Engine, koha: Any, applied: Destinations, sql: str
) -> None:
    number = held(koha, 0, "2026-03-02 09:00:00")
    follow(engine, koha, applied)
    run(koha, sql)
    follow(engine, koha, applied)
    assert holds(database) == {f"koha-{number}": ("hold.cancelled", "p1", None)}
    assert follow(engine, koha, applied).sent == {}


@pytest.mark.differs("followed with another map")
def test_a_hold_at_an_unmapped_branch_is_told_once_the_map_has_it(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    number = held(koha, 0, "2026-03-02 09:00:00", branch="NEW")
    assert follow(engine, koha, applied).rejected == {"unknown_place": 1}
    mended = MAP.model_copy(update={"branches": {**MAP.branches, "NEW": "p5"}})
    koha_feed.follow_koha(engine, koha, mended, applied, Event(), once=True)
    assert holds(database) == {f"koha-{number}": ("hold.placed", "p5", None)}


# --- Versions and settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("koha", "release"), [("oldest", "20.11"), ("newest", "25.11")], indirect=["koha"])
def test_no_release_from_20_11_on_lacks_anything(koha: Any, release: str) -> None:
    assert list(koha_feed.koha_inspected(koha)) == [f"Koha {release}"]


def test_a_koha_older_than_20_11_or_without_a_column_is_refused(koha: Any) -> None:
    assert list(koha_feed.koha_inspected(koha)) == ["Koha 25.11"]
    run(koha, "UPDATE systempreferences SET value = '20.0506000' WHERE variable = 'Version'")
    with pytest.raises(ValueError, match=r"this Koha is 20\.05; at least 20\.11 is needed"):
        list(koha_feed.koha_inspected(koha))
    run(koha, "UPDATE systempreferences SET value = '20.1100000' WHERE variable = 'Version'")
    run(koha, "ALTER TABLE branchtransfers DROP COLUMN datecancelled")
    with pytest.raises(ValueError, match=r"lacks branchtransfers\.datecancelled"):
        list(koha_feed.koha_inspected(koha))


def test_what_moves_copies_in_koha_by_itself_is_named_at_the_start(koha: Any) -> None:
    run(
        koha,
        "INSERT INTO systempreferences (variable, value) VALUES ('AutomaticItemReturn', '1'), ('StockRotation', '0'),"
        " ('item-level_itypes', '0')",
    )
    run(koha, "DELETE FROM circulation_rules")
    said = " ".join(koha_feed.koha_inspected(koha))
    assert "AutomaticItemReturn to 0" in said
    assert "set item-level_itypes to 1" in said
    assert "homebranch: let them float" in said
    assert "StockRotation" not in said


def test_without_the_right_to_read_the_version_a_sentence_says_so(koha: Any) -> None:
    run(koha, "DROP TABLE systempreferences")
    assert "version is unknown" in next(koha_feed.koha_inspected(koha))


# --- Mended maps, and what differs --------------------------------------------------------------------------------------------


@pytest.mark.differs("followed with another map")
def test_what_a_map_refused_is_told_when_the_map_is_mended_and_the_change_is_said(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    assert koha_feed.take_map(engine, MAP) == []
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    run(
        koha,
        "INSERT INTO statistics (datetime, branch, type, itemnumber) VALUES ('2026-03-03 10:00:00', 'MPL', 'return', 1)",
    )
    signed(koha, 1, "2026-03-03 10:00:00", onloan=None, holdingbranch="MPL")
    assert follow(engine, koha, applied).rejected["unknown_place"] >= 2
    for day in (4, 5):
        happened(koha, "issue", 2, "BR1", f"2026-03-{day:02} 10:00:00")
        follow(engine, koha, applied)
    mended = MAP.model_copy(update={"branches": {**MAP.branches, "MPL": "p5"}})
    said = koha_feed.take_map(engine, mended)
    assert said[0] == "the map has changed: branches.MPL was not there, now 'p5'"
    assert "statistics is read again from the first row that the map before refused" in said
    koha_feed.follow_koha(engine, koha, mended, applied, Event(), once=True)
    assert stands(database)["b000"] == ("on_shelf", "p5", None)
    assert koha_feed.take_map(engine, mended) == []


def test_reading_again_from_a_day_has_no_effect_twice(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    expected = a_week(koha)
    follow(engine, koha, applied)
    before = counts(database)["applied"]
    koha_feed.read_koha_from(engine, MAP, datetime(2026, 3, 4))  # noqa: DTZ001
    assert follow(engine, koha, applied).sent.total() > 0
    assert (stands(database), counts(database)["applied"]) == (expected, before)


def differing(engine: Engine, koha: Any) -> dict[str, tuple[str | None, str | None]]:
    return {one.copy: (one.theirs, one.here) for one in koha_feed.koha_differences(engine, koha, MAP)}


@pytest.mark.differs("made at its end")
@both_ends
def test_a_check_finds_no_difference_after_a_week_and_each_one_that_is_made(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    a_week(koha)
    follow(engine, koha, applied)
    assert differing(engine, koha) == {}
    number = held(koha, 4, "2026-03-06 09:00:00")
    happened(koha, "issue", 8, "BR2", "2026-03-06 09:00:00")
    run(koha, "DELETE FROM items WHERE itemnumber = 10")
    run(koha, "UPDATE items SET itemlost = 0, timestamp = timestamp WHERE itemnumber = 4")
    run(koha, "UPDATE items SET homebranch = 'BR2', timestamp = timestamp WHERE itemnumber = 11")
    run(koha, "UPDATE items SET biblionumber = 1, timestamp = timestamp WHERE itemnumber = 12")
    assert differing(engine, koha) == {
        "b003": ("on_shelf at p1", "missing at p1"),
        "b007": ("on_loan at p2", "on_shelf at p1"),
        "b009": (None, "on_shelf at p1"),
        "b010": ("title 5, class fiction, home p2", "title 5, class fiction, home p1"),
        "b011": ("title 1, class fiction, home p1", "title 5, class fiction, home p1"),
        f"koha-{number}": ("hold.placed 4 p1", None),
    }


@pytest.mark.differs("an item at an unmapped branch")
def test_a_feed_needs_no_more_than_its_own_role(
    database: str, engine: Engine, koha: Any, applied: Destinations
) -> None:
    roles.grant(database)
    with connect(database) as owner:
        owner.execute("DROP ROLE IF EXISTS koha_feed")
        owner.execute("CREATE ROLE koha_feed LOGIN IN ROLE rotation_feed")
    url = database.replace("postgres@", "koha_feed@")
    migrate.upgrade(url)
    own = engine_of(url)
    a_week(koha)
    happened(koha, "return", 6, "NEW", "2026-03-05 10:00:00")
    with Pulse(url, Part.FEED, "koha") as pulse:
        pulse.turn()
        Outage(own, "koha").end()
        assert follow(own, koha, Destinations(applied.send, destinations.reject_in(own))).rejected == {
            "unknown_place": 2
        }
        koha_feed.take_map(own, MAP)
    own.dispose()
    assert len(stands(database)) == len(BARCODES)
    assert counts(database)["refused_at_edge"] == 2


# --- Restarts -----------------------------------------------------------------------------------------------------------------


def test_a_feed_outlives_a_restart_of_kohas_database_and_says_so_meanwhile(
    database: str, engine: Engine, applied: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(koha_feed, "KOHA_POLL_S", 0.1)
    stop, said = Event(), list[str]()
    with tempfile.TemporaryDirectory(prefix="koha-") as short, ExitStack() as first:
        folder = Path(short)
        first.enter_context(installed(folder))
        with running_in(folder) as socket:
            url = new_koha(socket, "koha")
            new_item(url, 1, "BR1")
            feed = Thread(
                target=stay_up, args=(attempt(engine, url, applied, stop), stop, Outage(engine, "koha"), said.append)
            )
            feed.start()
            until(lambda: "x1" in stands(database))
        until(lambda: away(engine) is not None)
        with running_in(folder):
            new_item(url, 2, "BR2")
            until(lambda: "x2" in stands(database) and away(engine) is None)
            stop.set()
            feed.join(30)
    assert said
    assert "cannot be reached" in said[0]


def attempt(engine: Engine, url: str, ends: Destinations, stop: Event) -> Attempt[FeedReport]:
    def once(well: Callable[[], None], turn: Turned) -> FeedReport:
        with closing(koha_feed.koha_connection(url)) as connection:
            return koha_feed.follow_koha(engine, connection, MAP, ends, stop, well=well, turn=turn)

    return once


def new_item(url: str, number: int, branch: str) -> None:
    with closing(koha_feed.koha_connection(url)) as connection:
        run(
            connection,
            "INSERT INTO items (itemnumber, biblionumber, barcode, homebranch, holdingbranch, itype, timestamp)"
            " VALUES (%s, 999999, %s, %s, %s, 'BK', '2026-03-02 09:00:00')",
            number,
            f"x{number}",
            branch,
            branch,
        )


def away(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return next((feed.away for feed in feeds_of(connection) if feed.source == "koha"), None)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
