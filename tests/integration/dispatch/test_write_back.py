"""Write-back over a real PostgreSQL to stand-ins that hold to Koha's, FOLIO's and SIP2's schemas and fail as they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import select

from rotation.alerts.rules import Thresholds, sweep
from rotation.dispatch import orders, write_back
from rotation.dispatch.write_back import WriteBackCause
from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.feeds.write_back import folio, koha, sip2, writing
from rotation.feeds.write_back.system import LibrarySystem
from rotation.hands import directions
from rotation.store.engine import connect, engine
from rotation.store.tables import copies
from tests import library_apis_simulated as simulated
from tests import web_city
from tests.library_apis_simulated import LOST
from tests.needs import REPOSITORY

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLACES = {"p1": "CPL", "p2": "FPL", "shut": "CLOSED"}
CHECK_IN, HOLD, DROP_HOLD, RELOCATE = WriteBackKind
Rows = psycopg.Connection[Any]


@pytest.fixture
def connection(database: str) -> Iterator[Rows]:
    with connect(database, autocommit=True) as found:
        yield found


@pytest.fixture
def of_koha() -> Iterator[simulated.Koha]:
    with simulated.served(simulated.Koha()) as api:
        api.item(1, "b1", "CPL")
        api.item(2, "b2", "CPL")
        yield api


@pytest.fixture
def of_folio() -> Iterator[simulated.FolioApi]:
    with simulated.served(simulated.FolioApi()) as api:
        api.item("c1", "b1", "loc-p1")
        api.points = {"sp-p1", "sp-p2"}
        yield api


@pytest.fixture
def of_sip2() -> Iterator[simulated.Sip2]:
    with simulated.served(simulated.Sip2()) as server:
        server.items = {"c1": ("10", "CPL", "FPL")}
        yield server


def koha_system(api: simulated.Koha, secret: str = "x") -> koha.KohaSystem:
    return koha.KohaSystem(koha.KohaWriteBack(patron=51, places=PLACES), client(api.url), "us", secret)


def folio_system(api: simulated.FolioApi, password: str = "x") -> folio.FolioSystem:
    places = {place: {"service_point": f"sp-{place}", "location": f"loc-{place}"} for place in PLACES}
    chosen = folio.FolioWriteBack.model_validate({"tenant": "diku", "places": places})
    return folio.FolioSystem(chosen, client(api.url), "us", password)


def sip2_system(server: simulated.Sip2, password: str = "x") -> sip2.Sip2System:
    chosen = sip2.Sip2WriteBack(host="127.0.0.1", port=server.server_address[1], places=PLACES)
    return sip2.Sip2System(chosen, "us", password, timeout_s=2)


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=2, trust_env=False)


def ask(connection: Rows, kind: WriteBackKind, copy: str = "c1", place: str = "p2", transfer: str = "t1") -> None:
    with connection.transaction(), connection.cursor() as cursor:
        write_back.ask(cursor, [kind], [WriteBackCause(transfer, copy, place, transfer, AT)])


def has_item(connection: Rows, copy: str, number: int) -> None:
    connection.execute("INSERT INTO item_copies VALUES ('koha', %s, %s, %s)", (number, copy, f"b{number}"))


def ours(connection: Rows, transfer: str = "t1", copy: str = "c1") -> None:
    """A pick that Rotation decided on."""
    connection.execute(
        "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, day, reason, created_at,"
        " changed_at) VALUES (%s, %s, 'p1', 'p2', 'pick', 'ordered', '2026-03-02', '{}', now(), now())",
        (transfer, copy),
    )


def due_again(connection: Rows) -> None:
    connection.execute("UPDATE write_backs SET next_at = now()")


def stand(connection: Rows) -> list[tuple[Any, ...]]:
    """Kind, whether it is done, its id there, and its fault, in order."""
    return connection.execute(
        "SELECT kind, done_at IS NOT NULL, answer_id, fault FROM write_backs ORDER BY write_back_id"
    ).fetchall()


# --- What is asked for --------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_where_no_system_or_not_that_kind_or_place_is_switched_on(
    connection: Rows, of_sip2: simulated.Sip2
) -> None:
    ask(connection, CHECK_IN)
    writing.switch(connection, sip2_system(of_sip2))
    ask(connection, HOLD)
    ask(connection, CHECK_IN, place="elsewhere")
    assert stand(connection) == []
    ask(connection, CHECK_IN)
    ask(connection, CHECK_IN)  # the same cause once more
    assert stand(connection) == [(CHECK_IN, False, None, None)]


def test_a_hold_that_was_never_asked_for_is_not_dropped_and_a_copy_of_the_systems_own_keeps_its_home(
    connection: Rows, of_koha: simulated.Koha
) -> None:
    writing.switch(connection, koha_system(of_koha))
    ask(connection, DROP_HOLD)
    ask(connection, RELOCATE)
    assert stand(connection) == []
    ours(connection)
    ask(connection, RELOCATE)
    assert stand(connection) == [(RELOCATE, False, None, None)]


def test_a_transfer_that_is_called_off_drops_its_hold(connection: Rows, database: str, of_koha: simulated.Koha) -> None:
    system = koha_system(of_koha)
    writing.switch(connection, system)
    has_item(connection, "c1", 1)
    ours(connection)
    ask(connection, HOLD)
    assert (writing.write(connection, system), len(of_koha.holds)) == (1, 1)
    with engine(database).begin() as cancelling:
        assert orders.cancel(cancelling, ["t1"], AT) == 1
    assert writing.write(connection, system) == 1
    assert stand(connection) == [(HOLD, True, "7", None), (DROP_HOLD, True, "7", None)]
    assert of_koha.holds == {}


# --- Each system --------------------------------------------------------------------------------------------------------------


def test_koha_holds_a_copy_for_its_place_then_lets_it_live_there(connection: Rows, of_koha: simulated.Koha) -> None:
    system = koha_system(of_koha)
    writing.switch(connection, system)
    has_item(connection, "c1", 1)
    ours(connection)
    for kind in (HOLD, RELOCATE, DROP_HOLD):
        ask(connection, kind)
    assert [writing.write(connection, system) for _ in range(4)] == [1, 1, 1, 0]
    assert of_koha.done == [("hold", "1"), ("home", "1"), ("drop", "7")]
    assert of_koha.items[1]["home_library_id"] == "FPL"
    assert [row[2] for row in stand(connection)] == ["7", "1", "7"]


def test_koha_finds_an_item_by_its_barcode_where_no_feed_told_its_number(
    connection: Rows, of_koha: simulated.Koha
) -> None:
    system = koha_system(of_koha)
    writing.switch(connection, system)
    ask(connection, HOLD, copy="b2")
    ask(connection, HOLD, copy="nobody")
    assert writing.write(connection, system) == 1
    assert [(row[2], row[3]) for row in stand(connection)] == [("7", None), (None, WriteBackFault.UNKNOWN_ITEM)]


def test_koha_would_clear_an_items_further_subfields_so_that_it_is_left_to_people(
    connection: Rows, of_koha: simulated.Koha
) -> None:
    of_koha.item(3, "b3", "CPL", extended_subfields="<marcxml/>")
    system = koha_system(of_koha)
    writing.switch(connection, system)
    has_item(connection, "c1", 3)
    ours(connection)
    ask(connection, RELOCATE)
    writing.write(connection, system)
    assert (stand(connection)[0][3], of_koha.done) == (WriteBackFault.HARMFUL, [])


def test_folio_checks_in_at_the_service_point_and_changes_the_location(
    connection: Rows, of_folio: simulated.FolioApi
) -> None:
    system = folio_system(of_folio)
    writing.switch(connection, system)
    ours(connection)
    ask(connection, RELOCATE)
    ask(connection, CHECK_IN)
    assert writing.write(connection, system) + writing.write(connection, system) == 2
    item = of_folio.items["c1"]
    assert (item["permanentLocationId"], item["lastCheckIn"]["servicePointId"]) == ("loc-p2", "sp-p2")
    assert stand(connection) == [(RELOCATE, True, "c1", None), (CHECK_IN, True, None, None)]


def test_sip2_checks_in_and_gives_no_id(connection: Rows, of_sip2: simulated.Sip2) -> None:
    system = sip2_system(of_sip2)
    writing.switch(connection, system)
    ask(connection, CHECK_IN)
    ask(connection, CHECK_IN, copy="nobody")
    assert writing.write(connection, system) == 1
    assert of_sip2.items["c1"] == ("03", "FPL", "")
    assert stand(connection) == [(CHECK_IN, True, None, None), (CHECK_IN, False, None, WriteBackFault.UNKNOWN_ITEM)]


# --- Once, whatever happens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["of_koha", "of_folio", "of_sip2"])
def test_what_was_done_without_an_answer_is_found_and_not_done_again(
    connection: Rows, system: str, request: pytest.FixtureRequest
) -> None:
    api = request.getfixturevalue(system)
    opened: LibrarySystem = {"of_koha": koha_system, "of_folio": folio_system, "of_sip2": sip2_system}[system](api)
    kind = HOLD if system == "of_koha" else CHECK_IN
    writing.switch(connection, opened)
    has_item(connection, "c1", 1) if system == "of_koha" else None
    api.faults = [LOST] * (3 if system == "of_sip2" else 1)  # SIP2's client asks three times
    ask(connection, kind)
    assert writing.write(connection, opened) == 0
    assert stand(connection) == [(kind, False, None, WriteBackFault.AWAY)]
    assert writing.write(connection, opened) == 0  # not before its time
    due_again(connection)
    assert writing.write(connection, opened) == 1
    assert len(api.done) == 1
    assert stand(connection)[0][1]


@pytest.mark.parametrize("lists_old_holds", [True, False])
def test_a_hold_that_staff_cancelled_before_its_answer_came_is_not_placed_again_where_koha_lists_old_holds(
    connection: Rows, of_koha: simulated.Koha, lists_old_holds: bool
) -> None:
    opened = koha_system(of_koha)
    writing.switch(connection, opened)
    has_item(connection, "c1", 1)
    of_koha.faults = [LOST]
    ask(connection, HOLD)
    writing.write(connection, opened)
    of_koha.old_holds = dict(of_koha.holds) if lists_old_holds else None
    (placed,) = of_koha.holds
    of_koha.holds.clear()
    due_again(connection)
    assert writing.write(connection, opened) == 1
    assert len(of_koha.done) == (1 if lists_old_holds else 2)
    if lists_old_holds:
        assert stand(connection) == [(HOLD, True, str(placed), None)]


def test_the_desks_order_is_held_and_what_it_supersedes_is_dropped(
    connection: Rows, database: str, of_koha: simulated.Koha
) -> None:
    writing.switch(connection, koha_system(of_koha))
    ours(connection)
    ask(connection, HOLD)
    connection.execute(
        "INSERT INTO copies (copy_id, occurred_at, source, event_id, state, place_id, title_id, class)"
        " VALUES ('c1', now(), 's', 'e', 'on_shelf', 'p1', 't', 'fiction')"
    )
    with engine(database).begin() as other:
        copy = other.execute(select(copies).where(copies.c.copy_id == "c1")).one()
        placed = directions.ordered(other, copy, "p1", directions.Direction("p2", None, {"code": "needed"}, 0.5), AT)
        for_reader = {"code": "readers_wait", "hold": "h1"}
        directions.ordered(
            other, copy, "p1", directions.Direction("p2", None, for_reader, 0.0), AT + timedelta(minutes=1)
        )
    rows = connection.execute("SELECT kind, transfer_id FROM write_backs ORDER BY write_back_id").fetchall()
    assert rows == [(HOLD, "t1"), (DROP_HOLD, "t1"), (HOLD, placed.transfer), (DROP_HOLD, placed.transfer)]


def test_a_process_that_is_killed_after_the_request_leaves_one_hold(
    connection: Rows, database: str, of_koha: simulated.Koha, tmp_path: Path
) -> None:
    chosen = tmp_path / "koha.toml"
    chosen.write_text('patron = 51\n[places]\np2 = "FPL"\n')
    environment = os.environ | {
        "DATABASE_URL": database,
        "KOHA_API_URL": of_koha.url,
        "KOHA_API_CLIENT": "us",
        "KOHA_API_SECRET": "x",
    }
    command = [sys.executable, "-m", "rotation", "write-back", "koha", "--map", str(chosen)]
    slow = of_koha.RequestHandlerClass._answer  # type: ignore[attr-defined]

    def hangs(handler: Any, status: int, *more: Any) -> None:
        time.sleep(60 if status == 201 else 0)
        slow(handler, status, *more)

    of_koha.RequestHandlerClass._answer = hangs  # type: ignore[attr-defined]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
    try:
        until(lambda: connection.execute("SELECT 1 FROM write_back_switches").fetchone())
        has_item(connection, "c1", 1)
        ask(connection, HOLD)
        until(lambda: of_koha.done)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        of_koha.RequestHandlerClass._answer = slow  # type: ignore[attr-defined]
    assert stand(connection) == [(HOLD, False, None, None)]
    assert writing.write(connection, koha_system(of_koha)) == 1
    assert (len(of_koha.holds), stand(connection)) == (1, [(HOLD, True, "7", None)])


def until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("system", ["of_koha", "of_folio"])
def test_a_token_that_ends_is_renewed_in_the_middle(
    connection: Rows, system: str, request: pytest.FixtureRequest
) -> None:
    api = request.getfixturevalue(system)
    api.answers_a_token = 1
    opened = koha_system(api) if system == "of_koha" else folio_system(api)
    writing.switch(connection, opened)
    has_item(connection, "c1", 1) if system == "of_koha" else None
    ask(connection, HOLD if system == "of_koha" else CHECK_IN)
    assert writing.write(connection, opened) == 1
    assert (len(api.done), api.signed_in > 1) == (1, True)


# --- Refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "fault"),
    [(400, WriteBackFault.REFUSED), (403, WriteBackFault.NOT_ALLOWED), (404, WriteBackFault.UNKNOWN_ITEM)],
)
def test_a_refusal_waits_for_a_person_and_holds_back_what_follows_of_the_copy_alone(
    connection: Rows, database: str, of_koha: simulated.Koha, answer: int, fault: WriteBackFault
) -> None:
    system = koha_system(of_koha)
    writing.switch(connection, system)
    has_item(connection, "c1", 1)
    has_item(connection, "c2", 2)
    of_koha.faults = [answer]
    ask(connection, HOLD)
    ask(connection, HOLD, transfer="t2")
    ask(connection, HOLD, copy="c2", transfer="t3")
    assert writing.write(connection, system) == 1
    due_again(connection)
    assert writing.write(connection, system) == 0
    with engine(database).begin() as looking:
        first, second = write_back.not_done(looking, 10)
        assert (first.refused, first.fault, first.behind, second.behind) == (True, fault, False, True)
        assert write_back.leave(looking, first.write_back_id, "mei")
        assert not write_back.leave(looking, first.write_back_id, "mei")
    assert writing.write(connection, system) == 1
    assert [hold["item_id"] for hold in of_koha.holds.values()] == [2, 1]


def test_wrong_passwords_and_closed_pickup_places_are_told_and_mended(
    connection: Rows, database: str, of_koha: simulated.Koha, of_folio: simulated.FolioApi, of_sip2: simulated.Sip2
) -> None:
    for system in (koha_system(of_koha, "wrong"), folio_system(of_folio, "wrong"), sip2_system(of_sip2, "wrong")):
        connection.execute("DELETE FROM write_back_switches")
        writing.switch(connection, system)
        connection.execute("DELETE FROM write_backs")
        ask(connection, CHECK_IN if CHECK_IN in system.kinds else HOLD)
        writing.write(connection, system)
        assert stand(connection)[0][3] == WriteBackFault.NOT_ALLOWED, system.name
    right = sip2_system(of_sip2)
    with engine(database).begin() as mending:
        assert write_back.try_again(mending) == 1
    assert writing.write(connection, right) == 1


def test_a_system_that_is_away_is_left_alone_asked_again_later_and_alerts_in_the_end(
    connection: Rows, of_koha: simulated.Koha
) -> None:
    system = koha_system(of_koha)
    writing.switch(connection, system)
    has_item(connection, "c1", 1)
    has_item(connection, "c2", 2)
    of_koha.faults = [503, 503]
    ask(connection, HOLD)
    ask(connection, HOLD, copy="c2", transfer="t2")
    assert writing.write(connection, system) == 0
    waits = connection.execute("SELECT tries, next_at - now() FROM write_backs ORDER BY write_back_id").fetchall()
    assert [row[0] for row in waits] == [1, 0]
    assert timedelta(seconds=3) < waits[0][1] <= timedelta(seconds=writing.RETRIES_S[0])
    assert alerts(connection) == []
    connection.execute("UPDATE write_backs SET asked_at = now() - interval '1 hour', next_at = now()")
    assert alerts(connection) == [("koha", 2, 0)]
    of_koha.faults = []
    assert writing.write(connection, system) == 2
    assert alerts(connection) == []


def alerts(connection: Rows) -> list[tuple[Any, ...]]:
    with connection.transaction(), connection.cursor() as cursor:
        sweep(cursor, web_city.demo(), Thresholds())
    return connection.execute(
        "SELECT place_id, (numbers ->> 'waiting')::int, (numbers ->> 'refused')::int FROM alerts"
        " WHERE kind = 'unwritten' AND closed_at IS NULL"
    ).fetchall()
