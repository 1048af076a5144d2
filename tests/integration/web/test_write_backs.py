"""The page of write-backs: what our own pages ask of library systems, and what a person does about a refusal."""

import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, select, text, update

from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.store import tables as t
from rotation.store.clock import read_clock
from tests import web_city
from tests.integration.web.conftest import SignedIn

NETWORK = web_city.demo()
HERE = next(place.id for place in NETWORK.places if place.tier == "subdistrict")


@pytest.fixture
def travelling(engine: Engine) -> str:
    """A copy on its way to HERE, with a library system that wants check-ins."""
    copy = uuid.uuid4().hex
    with engine.begin() as connection:
        connection.execute(t.write_backs.delete())
        connection.execute(t.write_back_switches.delete())
        switched = {"system": "sip2", "kinds": [WriteBackKind.CHECK_IN], "places": [HERE]}
        connection.execute(insert(t.write_back_switches), switched)
        other = connection.scalar(select(t.copies.c.copy_id).where(t.copies.c.state == "on_shelf").limit(1))
        now = read_clock(connection).now()
        row = connection.execute(select(t.copies).where(t.copies.c.copy_id == other)).one()._asdict()
        moved = {"copy_id": copy, "state": "in_transit", "to_place_id": HERE, "occurred_at": now}
        connection.execute(insert(t.copies), row | moved)
    return copy


def test_one_scan_receives_the_copy_and_asks_for_its_check_in_once(
    signed_in: SignedIn, engine: Engine, travelling: str
) -> None:
    browser, scan = signed_in("dispatcher"), uuid.uuid4().hex
    for _ in range(2):
        sent = {"scan": scan, "work": "receive", "code": travelling, "tab": "in"}
        browser.post(f"/branch/{HERE}/scans", data=sent)
    with engine.connect() as connection:
        asked = connection.execute(
            select(t.write_backs.c.kind, t.write_backs.c.copy_id, t.write_backs.c.place_id)
        ).all()
    assert [tuple(row) for row in asked] == [(WriteBackKind.CHECK_IN, travelling, HERE)]


def test_a_desk_that_takes_a_return_first_lets_the_library_system_know(
    signed_in: SignedIn, engine: Engine, travelling: str
) -> None:
    with engine.begin() as connection:
        lent = update(t.copies).where(t.copies.c.copy_id == travelling).values(state="on_loan", to_place_id=None)
        connection.execute(lent)
    sent = {"scan": uuid.uuid4().hex, "work": "return", "code": travelling, "tab": "desk"}
    signed_in("dispatcher").post(f"/desk/{HERE}/scans", data=sent)
    with engine.connect() as connection:
        assert connection.scalar(select(t.write_backs.c.kind)) == WriteBackKind.CHECK_IN


@pytest.mark.parametrize(
    ("language", "words"), [("en", "The library system refused it"), ("zh", "图书馆系统拒绝了此操作")]
)
def test_the_page_shows_a_refusal_with_what_to_do_and_viewers_only_see_it(
    signed_in: SignedIn, engine: Engine, travelling: str, language: str, words: str
) -> None:
    asked = {"system": "sip2", "kind": WriteBackKind.CHECK_IN, "copy_id": travelling, "place_id": HERE, "cause": "x"}
    with engine.begin() as connection:
        refused = {
            "at": text("now()"),
            "refused_at": text("now()"),
            "fault": WriteBackFault.REFUSED,
            "answer": "ok=0 <b>",
        }
        one = connection.scalar(insert(t.write_backs).values(asked | refused).returning(t.write_backs.c.write_back_id))
    viewer, dispatcher = signed_in("viewer"), signed_in("dispatcher")
    for browser, buttons in ((viewer, 0), (dispatcher, 1)):
        browser.get(f"/language/{language}")
        html = browser.get("/write-back").text
        assert words in html
        assert "ok=0 &lt;b&gt;" in html
        assert html.count(f"/write-back/{one}/leave") == buttons
    assert viewer.post(f"/write-back/{one}/leave").status_code == 403
    dispatcher.post(f"/write-back/{one}/again")
    with engine.connect() as connection:
        assert connection.scalar(select(t.write_backs.c.refused_at)) is None
    dispatcher.post(f"/write-back/{one}/leave")
    assert dispatcher.post(f"/write-back/{one}/leave").status_code == 404


def test_without_a_switched_on_system_the_page_says_how(signed_in: SignedIn, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(t.write_back_switches.delete())
    browser: TestClient = signed_in("viewer")
    browser.get("/language/en")
    assert "ROTATION_WRITE_BACK" in browser.get("/write-back").text
