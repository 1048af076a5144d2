"""A branch's page over a real PostgreSQL: each scan answered once, recorded, and told as events."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from pypdf import PdfReader
from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.kafka.message import Message
from rotation.network import Network
from rotation.store import tables as t
from rotation.store.clock import read_clock, set_clock
from streams.apply import Writer
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK: Network = web_city.demo()
SUBDISTRICTS = [place.id for place in NETWORK.places if place.tier == "subdistrict"]
HERE, OTHER, THERE = SUBDISTRICTS[:3]


@pytest.fixture(scope="module", autouse=True)
def people(engine: Engine) -> None:
    """A person at HERE, and one at OTHER."""
    with engine.begin() as connection:
        for name, place in (("li", HERE), ("wang", OTHER)):
            auth.add_user(connection, name, PASSWORD, Role.BRANCH, [place])
        connection.execute(update(t.users).values(must_change=False))


@pytest.fixture(autouse=True)
def shelf(engine: Engine) -> Iterator[None]:
    """Three picks at HERE, whose call numbers stand in another order than their ids."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        titles = [("w1", "fiction"), ("w2", "picture-books"), ("w3", "fiction")]
        connection.execute(
            insert(t.titles), [{"title_id": one, "class": cls, "name": f"Book {one}"} for one, cls in titles]
        )
        for number, (room, call) in enumerate(
            [("一楼 文学", "I247.5/208"), ("少儿室", "I287.8/0876"), ("一楼 文学", "I247.5/77")], 1
        ):
            _copy(connection, f"b{number}", HERE, f"w{number}", dict(titles)[f"w{number}"], now)
            connection.execute(
                insert(t.shelvings),
                {
                    "copy_id": f"b{number}",
                    "told_at": now,
                    "call_number": call,
                    "room": room,
                    "shelf": "C1",
                    "barcode": f"YZ{number}",
                },
            )
            connection.execute(insert(t.transfers), _pick(f"pick-{number}", f"b{number}", f"w{number}", now))
    yield
    with engine.begin() as connection:
        for table in (t.scans, t.shelvings, t.outbox, t.place_notices, t.transfer_facts, t.sets):
            connection.execute(delete(table))
        connection.execute(delete(t.transfers).where(t.transfers.c.from_place_id == HERE))
        connection.execute(delete(t.copies).where(t.copies.c.copy_id.like("b%")))
        connection.execute(delete(t.titles).where(t.titles.c.title_id.like("w%")))
        connection.execute(delete(t.crates))


def _copy(connection: Connection, copy: str, place: str, title: str, cls: str, now: Any, **more: Any) -> None:
    row = {
        "copy_id": copy,
        "occurred_at": now - timedelta(days=40),
        "source": "city",
        "event_id": copy,
        "state": "on_shelf",
    }
    connection.execute(insert(t.copies), {**row, "place_id": place, "title_id": title, "class": cls, **more})


def _pick(transfer: str, copy: str, title: str, now: Any) -> dict[str, Any]:
    return {
        "transfer_id": transfer,
        "copy_id": copy,
        "title_id": title,
        "from_place_id": HERE,
        "to_place_id": THERE,
        "kind": "pick",
        "status": "ordered",
        "day": NETWORK.day_of(now),
        "reason": {"code": "borrowed_more"},
        "created_at": now,
        "changed_at": now,
    }


def send(browser: TestClient, work: str, code: str, *, scan: str = "", place: str = HERE, **more: Any) -> Any:
    fields = {"scan": scan or uuid.uuid4().hex, "work": work, "code": code, **more}
    return browser.post(f"/branch/{place}/scans", data=fields, headers={"Accept": "application/json"})


def said(browser: TestClient, work: str, code: str, **more: Any) -> tuple[str, str]:
    answer = send(browser, work, code, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["tone"], answer.json()["code"]


def told(engine: Engine) -> list[dict[str, Any]]:
    """The events in the outbox, by order."""
    with engine.begin() as connection:
        rows = connection.scalars(
            select(t.outbox.c.value).where(t.outbox.c.topic == "circulation.events").order_by(t.outbox.c.id)
        )
        return [orjson.loads(row) for row in rows]


def test_the_list_stands_in_the_order_of_rooms_and_shelves(signed_in: SignedIn):
    html = signed_in("li").get(f"/branch/{HERE}").text
    calls = [html.index(call) for call in ("I287.8/0876", "I247.5/77", "I247.5/208")]
    assert calls == sorted(calls)


def test_a_found_copy_is_told_once_however_often_its_scan_is_sent(signed_in: SignedIn, engine: Engine):
    browser, scan = signed_in("li"), uuid.uuid4().hex
    assert said(browser, "pick", "YZ2", scan=scan) == ("good", "taken")
    assert said(browser, "pick", "YZ2", scan=scan) == ("good", "taken")
    assert said(browser, "pick", "b2") == ("info", "picked_before")
    (event,) = told(engine)
    assert (event["type"], event["data"]["copy"], event["data"]["transfer"]) == ("transfer.picked", "b2", "pick-2")
    with engine.begin() as connection:
        who = connection.execute(select(t.scans.c.who, t.scans.c.place_id).where(t.scans.c.scan_id == scan)).one()
    assert tuple(who) == ("li", HERE)


def test_the_id_of_another_scan_is_refused(signed_in: SignedIn):
    browser, scan = signed_in("li"), uuid.uuid4().hex
    send(browser, "pick", "YZ2", scan=scan)
    assert send(browser, "pick", "YZ1", scan=scan).status_code == 409


@pytest.mark.parametrize(
    ("code", "tone", "answer"),
    [("nobody", "bad", "unknown_code"), ("twin", "warn", "shared_code"), ("s1", "warn", "not_on_list")],
)
def test_a_code_that_names_no_line_is_answered_and_recorded(
    signed_in: SignedIn, engine: Engine, code: str, tone: str, answer: str
):
    with engine.begin() as connection:
        connection.execute(update(t.shelvings).where(t.shelvings.c.copy_id.in_(["b1", "b3"])).values(barcode="twin"))
    assert said(signed_in("li"), "pick", code) == (tone, answer)
    assert told(engine) == []
    with engine.begin() as connection:
        assert connection.scalars(select(t.scans.c.code)).all() == [code]


def test_a_barcode_that_changed_names_its_copy_and_the_old_one_whoever_has_it_now(signed_in: SignedIn, engine: Engine):
    items = [(1, "b1", "NEW-1"), (2, "b2", "b1")]  # b1's label was replaced, and its old barcode given to b2
    with engine.begin() as connection:
        for item, copy, barcode in items:
            connection.execute(
                insert(t.item_copies), {"source": "koha", "item": item, "copy_id": copy, "barcode": barcode}
            )
    browser = signed_in("li")
    assert said(browser, "pick", "NEW-1") == ("good", "taken")
    assert said(browser, "pick", "b1") == ("good", "taken")
    assert [event["data"]["copy"] for event in told(engine)] == ["b1", "b2"]
    with engine.begin() as connection:
        connection.execute(update(t.item_copies).values(barcode="twin"))
    assert said(browser, "pick", "twin") == ("warn", "shared_code")
    with engine.begin() as connection:
        connection.execute(delete(t.item_copies))


def looked(engine: Engine, times: int, first_days_ago: int) -> None:
    """Let the facts say that pick-1 was looked for so often, as the stream writes them."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        facts = [
            {
                "transfer_id": "pick-1",
                "occurred_at": now - timedelta(days=first_days_ago - n),
                "source": "rotation/hands",
                "event_id": f"look-{n}",
                "sequence": 0,
                "type": "transfer.declined",
                "copy_id": "b1",
                "place_id": HERE,
                "reason": "not_found",
            }
            for n in range(times)
        ]
        connection.execute(insert(t.transfer_facts), facts)
        mine = t.transfers.c.transfer_id == "pick-1"
        connection.execute(
            update(t.transfers).where(mine).values(status="declined", changed_at=facts[-1]["occurred_at"])
        )


def test_a_copy_that_was_not_found_is_asked_for_again_and_at_last_is_missing(signed_in: SignedIn, engine: Engine):
    browser = signed_in("li")
    assert said(browser, "not_found", "pick-1") == ("warn", "not_found")
    (event,) = told(engine)
    assert (event["type"], event["data"]["reason"]) == ("transfer.declined", "not_found")
    looked(engine, 1, 1)
    assert "Look again" not in browser.get(f"/branch/{HERE}").text.replace("found: ", "")
    with engine.begin() as connection:
        connection.execute(delete(t.transfer_facts))
        connection.execute(delete(t.scans))
    looked(engine, 3, 31)
    assert "Looked for 3 times" in browser.get(f"/branch/{HERE}").text
    assert said(browser, "not_found", "pick-1") == ("bad", "given_up")
    assert [one["type"] for one in told(engine)] == ["transfer.declined", "transfer.declined", "copy.missing"]


def test_a_find_ends_the_search(signed_in: SignedIn, engine: Engine):
    looked(engine, 1, 5)
    assert said(signed_in("li"), "pick", "YZ1") == ("good", "found_again")
    (event,) = told(engine)
    assert (event["type"], event["data"]) == ("copy.found", {"copy": "b1", "place": HERE})


@pytest.fixture
def wanted(engine: Engine) -> str:
    """A set of picture books for THERE that lacks one."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        row = {"set_id": "set-1", "place_id": THERE, "class": "picture-books", "copies": 1, "due": NETWORK.day_of(now)}
        connection.execute(insert(t.sets), {**row, "titles": None, "note": "", "asked_by": "x", "asked_at": now})
        connection.execute(text("UPDATE sets SET titles = NULL"))
        for copy, more in {
            "b4": {},
            "b5": {},
            "b6": {"class": "fiction"},
            "b7": {"fixed": True},
            "b8": {"state": "on_loan"},
        }.items():
            _copy(
                connection,
                copy,
                HERE,
                f"w{copy}",
                **{"cls": "picture-books", "now": now} | {("cls" if k == "class" else k): v for k, v in more.items()},
            )
        connection.execute(
            insert(t.copies),
            {
                "copy_id": "b9",
                "occurred_at": now,
                "source": "c",
                "event_id": "b9",
                "state": "on_shelf",
                "place_id": THERE,
                "title_id": "w2",
                "class": "picture-books",
            },
        )
    return "set-1"


def test_any_fit_says_yes_no_and_enough(signed_in: SignedIn, engine: Engine, wanted: str):
    browser = signed_in("li")
    for code, answer in {"b6": "other_class", "b7": "stays_here", "b8": "not_in_stock_here", "b2": "twice"}.items():
        assert said(browser, "any_fit", code, set_id=wanted) == ("bad", answer)
    with engine.begin() as connection:
        now = read_clock(connection).now()
        stood = {
            "copy_id": "b5",
            "occurred_at": now - timedelta(days=200),
            "sequence": 0,
            "source": "c",
            "event_id": "x",
        }
        connection.execute(insert(t.movements), {**stood, "state": "on_shelf", "place_id": THERE})
    assert said(browser, "any_fit", "b5", set_id=wanted) == ("bad", "stood_there")
    assert said(browser, "any_fit", "b4", set_id=wanted) == ("good", "fits")
    assert said(browser, "any_fit", "b5", set_id=wanted) == ("info", "enough")
    assert [one["type"] for one in told(engine)] == ["transfer.picked"]


def test_what_was_taken_is_closed_into_one_crate_and_its_label_counts_once(signed_in: SignedIn, engine: Engine):
    browser = signed_in("li")
    assert said(browser, "close_crate", "4239") == ("info", "crate_empty")
    said(browser, "pick", "YZ2")
    said(browser, "pick", "YZ3")
    assert said(browser, "close_crate", "4239") == ("good", "crate_closed")
    assert said(browser, "close_crate", "4239") == ("info", "closed_before")
    events = told(engine)[2:]
    assert [one["type"] for one in events] == ["transfer.sent", "transfer.sent", "crate.closed"]
    assert events[-1]["data"] == {"crate": "4239", "place": HERE, "to": NETWORK.hub_of(HERE), "copies": ["b2", "b3"]}
    said(browser, "pick", "YZ1")
    assert said(browser, "close_crate", "4239") == ("bad", "crate_in_use")


def travelling(engine: Engine, to: str, crate: str = "4248") -> None:
    """b2 is on its way to a place in a crate that a van has handed over at HERE."""
    with engine.begin() as connection:
        mine = t.copies.c.copy_id == "b2"
        connection.execute(update(t.copies).where(mine).values(state="in_transit", place_id=OTHER, to_place_id=to))
        now = read_clock(connection).now()
        row = {"crate_id": crate, "occurred_at": now, "source": "c", "event_id": "k", "type": "crate.delivered"}
        connection.execute(insert(t.crates), {**row, "place_id": HERE, "to_place_id": to, "copies": ["b2"]})


def test_a_crate_is_received_when_its_count_is_right_and_else_copy_by_copy(signed_in: SignedIn, engine: Engine):
    travelling(engine, HERE)
    browser = signed_in("li")
    assert said(browser, "receive", "4248") == ("info", "crate_to_count")
    assert said(browser, "receive", "4248", counted=2) == ("warn", "count_differs")
    assert told(engine) == []
    assert said(browser, "receive", "YZ2") == ("good", "received_here")
    assert [one["type"] for one in told(engine)] == ["transfer.received"]
    assert said(browser, "receive", "4248", counted=1) == ("good", "crate_received")


def test_a_copy_for_another_place_is_sent_on(signed_in: SignedIn, engine: Engine):
    travelling(engine, THERE)
    browser = signed_in("li")
    assert said(browser, "receive", "4248") == ("bad", "crate_other_place")
    assert said(browser, "receive", "YZ2") == ("warn", "misrouted")
    (event,) = told(engine)
    assert (event["type"], event["data"]["place"], event["data"]["to"]) == ("transfer.misrouted", HERE, THERE)


def test_a_scan_of_yesterday_by_a_clock_that_is_off_gets_its_own_time(signed_in: SignedIn, engine: Engine):
    answer = send(signed_in("li"), "pick", "YZ2", at="2031-01-01T10:00:00Z")
    assert answer.json()["code"] == "taken"
    with engine.begin() as connection:
        connection.execute(delete(t.scans))
    browser = signed_in("li")
    fields = {
        "scan": uuid.uuid4().hex,
        "work": "not_found",
        "code": "pick-1",
        "at": "2031-01-01T10:00:00Z",
        "sent": "2031-01-01T12:00:00Z",
    }
    answer = browser.post(f"/branch/{HERE}/scans", data=fields, headers={"Accept": "application/json"})
    assert "min off" in answer.json()["html"]


def test_what_a_branch_says_of_itself_stands_until_withdrawn(signed_in: SignedIn, engine: Engine):
    browser = signed_in("li")
    assert (
        browser.post(f"/branch/{HERE}/notices", data={"kind": "too_full", "cls": "fiction", "copies": "40"}).status_code
        == 303
    )
    assert (
        browser.post(
            f"/branch/{HERE}/notices", data={"kind": "closed", "first_day": "2020-01-01", "last_day": "2020-01-02"}
        ).status_code
        == 400
    )
    assert browser.post(f"/branch/{HERE}/notices", data={"kind": "too_full", "cls": "nothing"}).status_code == 400
    with engine.begin() as connection:
        notice = connection.scalar(select(t.place_notices.c.notice_id))
    assert browser.post(f"/branch/{HERE}/notices/{notice}/withdraw").status_code == 303
    assert browser.post(f"/branch/{HERE}/notices/{notice}/withdraw").status_code == 404


def test_the_list_on_paper_reads_as_the_list_on_the_page(signed_in: SignedIn):
    browser = signed_in("li")
    assert "I247.5/77" in browser.get(f"/branch/{HERE}/pick-list").text
    answer = browser.get(f"/branch/{HERE}/pick-list.pdf", headers={"Accept-Language": "zh-CN"})
    words = PdfReader(BytesIO(answer.content)).pages[0].extract_text()
    calls = [words.index(call) for call in ("I287.8/0876", "I247.5/77", "I247.5/208")]
    assert calls == sorted(calls)
    assert "下架清单" in words
    assert NETWORK.code[THERE] in words


Token = Callable[[Role], dict[str, str]]


def test_a_branch_works_at_its_own_place_alone(signed_in: SignedIn):
    browser = signed_in("wang")
    for address in (f"/branch/{HERE}", f"/branch/{HERE}/pick-list", f"/branch/{HERE}/pick-list.pdf"):
        assert browser.get(address).status_code == 403
    for address in (f"/branch/{HERE}/scans", f"/branch/{HERE}/notices", f"/branch/{HERE}/notices/1/withdraw"):
        assert browser.post(address, data={"scan": "12345678", "work": "pick", "kind": "closed"}).status_code == 403
    assert browser.get("/hands").headers["location"] == f"/branch/{OTHER}"
    assert browser.get("/").headers["location"] == "/hands"
    assert browser.get("/today").status_code == 403


def test_what_the_page_tells_comes_round_through_the_stream(signed_in: SignedIn, engine: Engine, module_database: str):
    browser = signed_in("li")
    said(browser, "pick", "YZ2")
    said(browser, "not_found", "pick-1")
    with engine.begin() as connection:  # the clock stands, and of two facts of one instant either may be the later one
        clock = read_clock(connection)
        set_clock(connection, replace(clock, network_at=clock.network_at + timedelta(seconds=1)))
    said(browser, "close_crate", "4239")
    writer = Writer(module_database, NETWORK, lambda *_: [])
    try:
        messages = [Message(0, number, orjson.dumps(event)) for number, event in enumerate(told(engine))]
        written = writer.write(writer.prepare(messages))
    finally:
        writer.close()
    assert (written.applied, written.duplicates, written.rejected) == (len(messages), 0, 0)
    with engine.begin() as connection:
        states = dict(connection.execute(select(t.transfers.c.transfer_id, t.transfers.c.status)).all())
        copy = connection.execute(
            select(t.copies.c.state, t.copies.c.to_place_id).where(t.copies.c.copy_id == "b2")
        ).one()
        crate = connection.execute(
            select(t.crates.c.type, t.crates.c.copies).where(t.crates.c.crate_id == "4239")
        ).one()
        for table in (t.movements, t.crate_facts, t.progress):
            connection.execute(delete(table))
    assert (states["pick-1"], states["pick-2"]) == ("declined", "sent")
    assert tuple(copy) == ("in_transit", THERE)
    assert tuple(crate) == ("crate.closed", ["b2"])
    page = browser.get(f"/branch/{HERE}").text
    assert "not found: 1" in page
    assert "found: 1" in page
