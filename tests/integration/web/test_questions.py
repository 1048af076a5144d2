"""Why not and what if on the page: asked by a form, worked at beside the page, answered in both languages; who may."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import Engine, delete, insert, select

from rotation.store.tables import plans, transfers
from rotation.web.background import MOST_WAITING, Busy, Works
from tests.integration.web.conftest import SignedIn
from tests.web_city import DAY, demo

ROOM = demo().places[6].id
CHINESE = {"Accept-Language": "zh-CN"}
HELD_S = 1.0  # long enough that a question which waits for nobody would be answered


def answered(browser: TestClient, address: str) -> Response:
    """Look again as the page does, until the answer is there."""
    for _ in range(300):
        found = browser.get(address)
        if 'role="status"' not in found.text.split('id="answer"')[-1]:
            return found
        time.sleep(0.1)
    raise AssertionError("no answer came")


@pytest.fixture
def coming(engine: Engine) -> Iterator[str]:
    """A title that is on its way to the room."""
    row = {
        "transfer_id": "on-its-way",
        "copy_id": "c-way",
        "title_id": "t-way",
        "from_place_id": "central",
        "to_place_id": ROOM,
        "kind": "pick",
        "status": "ordered",
        "day": DAY,
        "gain_loans": 0.84,
        "reason": {
            "code": "new_stock",
            "value_there": 1.2,
            "gain_low": 0.5,
            "gain_high": 1.25,
            "price": 0.7,
            "room_price": 0.11,
        },
        "created_at": "2026-03-12T04:00Z",
        "changed_at": "2026-03-12T04:00Z",
    }
    with engine.begin() as connection:
        connection.execute(insert(transfers), row)
    yield "t-way"
    with engine.begin() as connection:
        connection.execute(delete(transfers).where(transfers.c.transfer_id == "on-its-way"))


def test_why_a_title_is_not_there_is_asked_on_two_pages_and_answered_with_its_transfer(
    signed_in: SignedIn, coming: str
):
    viewer, address = signed_in("viewer"), f"/why-not?title={coming}&place={ROOM}"
    for page in (f"/prices?place={ROOM}", f"/imbalance?place={ROOM}"):
        assert f'<option value="{ROOM}" selected>' in viewer.get(page).text
    found = answered(viewer, address)
    assert "New stock goes where it is borrowed most" in found.text
    assert "/transfers/on-its-way" in found.text
    assert "新书送到最多人借的地方" in viewer.get(address, headers=CHINESE).text
    assert viewer.get(f"/api/why-not?title={coming}&place={ROOM}").json()["transfer"] == "on-its-way"


def test_a_transfer_tells_its_gain_with_an_interval_and_what_it_displaced(signed_in: SignedIn, coming: str):
    viewer = signed_in("viewer")
    said = "It brings 0.84 expected loans, in eight of ten cases 0.50 to 1.25."
    assert said in viewer.get("/transfers/on-its-way").text
    assert "至多值0.70次" in viewer.get("/transfers/on-its-way", headers=CHINESE).text


def test_without_a_night_nothing_has_a_price_and_that_is_said(signed_in: SignedIn):
    found = answered(signed_in("viewer"), f"/why-not?title=t-unheard&place={ROOM}")
    assert found.status_code == 400
    assert "no night has been planned yet" in found.text
    assert signed_in("viewer").get(f"/api/why-not?title=t-unheard&place={ROOM}").status_code == 404


def test_what_if_draws_both_plans_and_keeps_nothing(signed_in: SignedIn, engine: Engine):
    dispatcher = signed_in("dispatcher")
    assert 'id="answer"' not in dispatcher.get("/what-if").text
    address = f"/what-if?moves=500&place={ROOM}&times=2&tier=room&new=lane&new_at=31.03,112.25&closed="
    found = answered(dispatcher, address).text
    assert found.count("<rect") == 18
    assert "Residents within 15 minutes" in found
    assert "步行15分钟内的居民" in dispatcher.get(address, headers=CHINESE).text
    with engine.connect() as connection:
        assert connection.execute(select(plans)).all() == []


def test_what_cannot_be_is_said(signed_in: SignedIn):
    dispatcher = signed_in("dispatcher")
    assert "expected ID=LAT,LON" in dispatcher.get("/what-if?new=lane&new_at=here").text
    assert "no place &#39;moon&#39;" in answered(dispatcher, "/what-if?closed=moon").text
    wrong = dispatcher.post("/api/what-if", json={"closed": ["moon"]})
    assert (wrong.status_code, "no place 'moon'" in wrong.json()["detail"]) == (400, True)


def test_the_api_compares_too_and_who_only_looks_may_not(signed_in: SignedIn):
    made = signed_in("dispatcher").post("/api/what-if", json={"moves": 5, "capacity": {ROOM: 0}})
    assert {"as_is", "changed", "arrivals", "what"} == set(made.json())
    viewer = signed_in("viewer")
    assert viewer.get("/what-if").status_code == viewer.post("/api/what-if", json={}).status_code == 403
    assert "/what-if" not in viewer.get("/prices").text


def test_the_apis_question_waits_for_the_one_before_it_and_is_refused_where_too_many_wait(
    app: FastAPI, signed_in: SignedIn
):
    dispatcher, works, free = signed_in("dispatcher"), app.state.web.works, threading.Event()
    pieces = [works.ask(("held", n), lambda: free.wait(5)) for n in range(MOST_WAITING)]
    refused = [dispatcher.post("/api/what-if", json={"moves": 7}, headers=one) for one in (CHINESE, {})]
    assert [one.status_code for one in refused] == [429, 429]
    assert [one.json()["detail"][:6] for one in refused] == ["其他人已提问", "Other "]
    assert refused[0].headers["Retry-After"] == "60"
    pieces[-1].future.cancel()
    with ThreadPoolExecutor(1) as other:
        made = other.submit(dispatcher.post, "/api/what-if", json={"moves": 7})
        time.sleep(HELD_S)
        assert not made.done()
        free.set()
        assert made.result(timeout=60).status_code == 200


def test_the_same_question_is_answered_once_and_too_many_are_refused():
    works, asked = Works(), []
    pieces = [works.ask("a", lambda: asked.append(1)) for _ in range(3)]
    pieces[0].future.result(timeout=5)
    assert (asked, len({id(piece) for piece in pieces})) == ([1], 1)
    waiting = [works.ask(n, lambda: time.sleep(0.2)) for n in range(MOST_WAITING)]
    with pytest.raises(Busy):
        works.ask("one more", lambda: None)
    works.close()
    assert len(waiting) == MOST_WAITING


def test_a_page_that_is_started_again_answers_again():
    works = Works()
    assert works.ask("why", lambda: 1).future.result(10) == 1
    works.close()
    assert works.ask("why", lambda: 2).future.result(10) == 2
    works.close()
