"""The returns desk's page over a real PostgreSQL: one answer to a scan, overruled with a reason, and librarians' rules."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, insert, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store import tables as t
from rotation.store.clock import read_clock
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK = web_city.demo()
HERE, OTHER, THERE = [place.id for place in NETWORK.places if place.tier == "subdistrict"][:3]


@pytest.fixture(scope="module", autouse=True)
def people(engine: Engine) -> None:
    with engine.begin() as connection:
        auth.add_user(connection, "zhao", PASSWORD, Role.BRANCH, [HERE])
        connection.execute(update(t.users).values(must_change=False))


@pytest.fixture(autouse=True)
def returned(engine: Engine) -> Iterator[None]:
    """b1 of THERE was lent and came back at HERE; THERE has another copy of its title."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        connection.execute(insert(t.titles), {"title_id": "w1", "class": "fiction", "name": "Book"})
        for copy, place, home in (("b1", HERE, THERE), ("b2", THERE, THERE)):
            row = {"copy_id": copy, "occurred_at": now - timedelta(days=1), "source": "c", "event_id": copy}
            more = {"state": "on_shelf", "place_id": place, "home_place_id": home, "title_id": "w1", "class": "fiction"}
            connection.execute(insert(t.copies), {**row, **more})
    yield
    with engine.begin() as connection:
        for table in (t.scans, t.outbox, t.return_rules, t.holds):
            connection.execute(delete(table))
        connection.execute(delete(t.transfers).where(t.transfers.c.copy_id.like("b%")))
        connection.execute(delete(t.copies).where(t.copies.c.copy_id.like("b%")))
        connection.execute(delete(t.titles).where(t.titles.c.title_id == "w1"))


def said(browser: TestClient, work: str, code: str, **more: Any) -> tuple[str, str]:
    fields = {"scan": uuid.uuid4().hex, "work": work, "code": code, **more}
    answer = browser.post(f"/desk/{HERE}/scans", data=fields, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["code"], answer.json()["html"]


def wanted_at(engine: Engine, place: str) -> None:
    with engine.begin() as connection:
        now = read_clock(connection).now() - timedelta(days=9)
        row = {
            "hold_id": "h1",
            "occurred_at": now,
            "source": "c",
            "event_id": "h",
            "type": "hold.placed",
            "title_id": "w1",
        }
        connection.execute(insert(t.holds), {**row, "place_id": place})


def of_b1(engine: Engine) -> list[tuple[str, str]]:
    with engine.begin() as connection:
        mine = select(t.transfers.c.to_place_id, t.transfers.c.status).where(t.transfers.c.copy_id == "b1")
        return [tuple(row) for row in connection.execute(mine.order_by(t.transfers.c.created_at, t.transfers.c.status))]


def test_a_copy_that_a_reader_waits_for_is_sent_with_the_code_of_its_place_and_a_slip(
    signed_in: SignedIn, engine: Engine
):
    wanted_at(engine, OTHER)
    browser = signed_in("zhao")
    code, html = said(browser, "return", "b1")
    assert code == "send"
    assert NETWORK.code[OTHER] in html
    assert "A reader waits" in html
    slip = browser.get(re.findall(r'href="(/desk[^"]+)"', html)[0])
    assert slip.status_code == 200
    assert NETWORK.code[OTHER] in slip.text


def at_home(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(update(t.copies).where(t.copies.c.copy_id == "b1").values(home_place_id=HERE))


def test_a_copy_that_nothing_calls_for_stays(signed_in: SignedIn, engine: Engine):
    at_home(engine)
    assert said(signed_in("zhao"), "return", "b1")[0] == "keep"


def test_staff_overrule_with_a_reason_that_counts_and_the_copy_keeps_its_new_way(signed_in: SignedIn, engine: Engine):
    wanted_at(engine, OTHER)
    browser = signed_in("zhao")
    said(browser, "return", "b1")
    assert said(browser, "overrule", "b1", to=HERE, why="event_here")[0] == "keep"
    assert of_b1(engine) == [(OTHER, "cancelled")]
    assert said(browser, "return", "b1")[0] == "keep"
    assert said(browser, "overrule", "b1", to=THERE, why="reader_asked")[0] == "send"
    assert ("ordered" in {status for to, status in of_b1(engine) if to == THERE}) is True
    assert said(browser, "overrule", "b1", to=THERE, why="no reason")[0] == "not_understood"
    page = browser.get(f"/desk/{HERE}").text
    assert "Needed for an event here 1" in page
    assert "A reader just asked for it 1" in page


def test_a_rule_sends_what_does_not_float_home_and_its_end_lets_it_stay(signed_in: SignedIn, engine: Engine):
    browser = signed_in("zhao")
    browser.post(f"/desk/{HERE}/rules", data={"kind": "do_not_float", "cls": "fiction"})
    assert said(browser, "return", "b1")[0] == "send"
    assert of_b1(engine) == [(THERE, "ordered")]
    with engine.begin() as connection:
        rule = connection.scalar(select(t.return_rules.c.rule_id))
        connection.execute(delete(t.transfers).where(t.transfers.c.copy_id == "b1"))
    at_home(engine)
    assert browser.post(f"/desk/{HERE}/rules/{rule}/end").status_code == 303
    assert said(browser, "return", "b1")[0] == "keep"


def test_a_place_with_as_many_of_a_title_as_a_rule_allows_gets_no_more(signed_in: SignedIn, engine: Engine):
    browser = signed_in("zhao")
    rule = {"kind": "at_most", "copies": "1", "everywhere": "true"}
    signed_in("dispatcher").post(f"/desk/{HERE}/rules", data=rule)
    code, html = said(browser, "return", "b1")
    assert code == "keep"
    assert "at most so many" in html
    assert of_b1(engine) == []


def test_a_branch_sets_rules_for_itself_and_a_dispatcher_for_all(signed_in: SignedIn):
    browser, dispatcher = signed_in("zhao"), signed_in("dispatcher")
    rule = {"kind": "at_most", "copies": "2", "everywhere": "true"}
    assert browser.post(f"/desk/{HERE}/rules", data=rule).status_code == 403
    assert dispatcher.post(f"/desk/{HERE}/rules", data=rule).status_code == 303
    assert dispatcher.post(f"/desk/{HERE}/rules", data={**rule, "copies": "0"}).status_code == 422
    assert "everywhere" in browser.get(f"/desk/{HERE}").text
    assert browser.get(f"/desk/{OTHER}").status_code == 403
