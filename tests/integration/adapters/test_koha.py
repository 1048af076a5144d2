"""Koha's database, read with a cursor: loans, transfers with their reasons, and items that mend what was lost."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from rotation import feeds
from rotation.adapters.koha import Map
from rotation.feeds import Ends, Report
from rotation.store.audit import audit
from rotation.store.engine import connect
from tests.koha_simulated import mariadb, new_koha, run
from tests.streams_world import PLACES, counts
from tests.unit.adapters.patron import CARD, NAME, PHONE, named_in

MAP = Map(timezone="Asia/Shanghai", branches={f"BR{place[1:]}": place for place in PLACES}, default_class="fiction")
BARCODES = [f"b{number:03}" for number in range(12)]


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="koha-") as folder, mariadb(Path(folder)) as running:
        yield running


@pytest.fixture
def koha(socket: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Koha with twelve items at BR1 that a reader knows."""
    connection = feeds.koha_connection(new_koha(socket, f"koha_{abs(hash(request.node.name)) % 10**9}"))
    run(connection, "INSERT INTO borrowers (cardnumber, surname, phone) VALUES (%s, %s, %s)", CARD, NAME, PHONE)
    for number, barcode in enumerate(BARCODES):
        run(
            connection,
            "INSERT INTO items (biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, itemnotes, timestamp)"
            " VALUES (%s, %s, '2026-01-05', 'BR1', 'BR1', 'BK', %s, '2026-01-05 09:00:00')",
            number // 2, barcode, NAME,
        )  # fmt: skip
    yield connection
    connection.close()


def happened(koha: Any, kind: str, item: int, branch: str, at: str) -> None:
    """A circulation with its reader, and what it does to the item."""
    run(
        koha, "INSERT INTO statistics (datetime, branch, type, other, itemnumber, borrowernumber) VALUES (%s, %s, %s, %s, %s, 1)",
        at, branch, kind, CARD, item,
    )  # fmt: skip
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
        koha, "INSERT INTO branchtransfers (itemnumber, datesent, frombranch, tobranch, comments, reason)"
        " VALUES (%s, %s, 'BR2', %s, %s, %s)",
        item, at, to, f"for {NAME} {PHONE}", reason,
    )  # fmt: skip


def follow(engine: Engine, koha: Any, ends: Ends) -> Report:
    return feeds.follow_koha(engine, koha, MAP, ends, Event(), once=True)


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
    run(koha, "INSERT INTO reserves (borrowernumber, itemnumber, found, reservenotes) VALUES (1, 5, 'W', %s)", NAME)
    run(koha, "UPDATE items SET timestamp = '2026-03-05 11:00:00' WHERE itemnumber = 5")
    return {
        "b000": ("on_loan", "p1", None),
        "b001": ("in_transit", "p2", "p1"),
        "b002": ("on_shelf", "p1", None),
        "b003": ("missing", "p1", None),
        "b004": ("on_hold_shelf", "p1", None),
        **dict.fromkeys(BARCODES[5:], ("on_shelf", "p1", None)),
    }


def test_a_week_of_koha_stands_as_koha_has_it_and_a_second_look_adds_nothing(
    database: str, engine: Engine, koha: Any, applied: Ends
) -> None:
    expected = a_week(koha)
    follow(engine, koha, applied)
    before = counts(database)["applied"]
    follow(engine, koha, applied)
    assert stands(database) == expected
    assert counts(database)["applied"] == before
    with connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_one_loan_ends_one_stay_on_the_shelf(database: str, engine: Engine, koha: Any, applied: Ends) -> None:
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
    database: str, engine: Engine, koha: Any, applied: Ends
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
    database: str, engine: Engine, koha: Any, applied: Ends
) -> None:
    happened(koha, "issue", 1, "BR1", "2026-03-02 10:00:00")
    follow(engine, koha, applied)
    happened(koha, "issue", 2, "BR1", "2026-03-02 09:55:00")
    follow(engine, koha, applied)
    assert stands(database)["b001"] == ("on_loan", "p1", None)


def test_a_deleted_item_has_left_the_stock(database: str, engine: Engine, koha: Any, applied: Ends) -> None:
    follow(engine, koha, applied)
    run(koha, "INSERT INTO deleteditems SELECT * FROM items WHERE itemnumber = 9")
    run(koha, "UPDATE deleteditems SET timestamp = '2026-03-07 09:00:00'")
    run(koha, "DELETE FROM items WHERE itemnumber = 9")
    follow(engine, koha, applied)
    assert stands(database)["b008"] == ("withdrawn", "p1", None)


def test_a_dry_run_shows_what_it_would_send_and_keeps_no_place(engine: Engine, koha: Any) -> None:
    a_week(koha)
    shown: list[str] = []
    feeds.follow_koha(engine, koha, MAP, feeds.shown(shown.append), Event(), once=True, keep=False)
    assert any('"transfer.sent"' in line for line in shown)
    assert feeds.cursor_of(engine, "koha.koha.items") is None
    assert named_in(*shown) == []


def test_no_reader_stands_in_any_table_log_or_error(
    engine: Engine, koha: Any, applied: Ends, everything: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    a_week(koha)
    sent(koha, 7, "NOWHERE", "2026-03-06 09:00:00")
    assert follow(engine, koha, applied).refused == {"unknown_place": 1}
    assert named_in(everything(), caplog.text) == []
