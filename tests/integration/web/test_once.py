"""What is sent twice is done once; HEAD; and odd values, each answered with the place of the mistake."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from rotation.accounts.permissions import Role
from tests.integration.web.conftest import SignedIn
from tests.web_city import PAGES

ASKED = {"place": "yunze", "due": "2026-04-01", "class": "fiction", "copies": 5}


@pytest.fixture
def place(client: TestClient) -> str:
    return client.app.state.web.network.places[0].id  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def asked(client: TestClient, place: str) -> dict[str, object]:
    network = client.app.state.web.network  # type: ignore[attr-defined]
    return {"place": place, "due": "2026-04-01", "class": network.classes[0].id, "copies": 5}


def sets(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM sets")).scalar_one())


def test_a_hundred_equal_posts_with_one_key_make_one_set(
    client: TestClient, engine: Engine, asked: dict[str, object], token: Callable[[Role], dict[str, str]]
):
    headers, before = {**token(Role.DISPATCHER), "Idempotency-Key": "one"}, sets(engine)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post("/api/sets", json=asked, headers=headers), range(100)))
    assert set(Counter(answer.status_code for answer in answers)) <= {200, 409}
    assert len({answer.json()["set"] for answer in answers if answer.status_code == 200}) == 1
    assert sets(engine) == before + 1
    again = client.post("/api/sets", json=asked, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_key_is_of_one_request_and_of_whoever_sent_it(
    client: TestClient, engine: Engine, asked: dict[str, object], token: Callable[[Role], dict[str, str]]
):
    mine, theirs = token(Role.DISPATCHER), token(Role.DISPATCHER)
    key, before = {"Idempotency-Key": "two"}, sets(engine)
    assert client.post("/api/sets", json=asked, headers=mine | key).status_code == 200
    assert client.post("/api/sets", json=asked | {"copies": 6}, headers=mine | key).status_code == 422
    assert client.post("/api/sets", json=asked, headers=theirs | key).status_code == 200
    assert client.post("/api/sets", json=asked, headers=key).status_code == 401
    assert sets(engine) == before + 2


def test_what_was_refused_may_be_sent_again_with_the_same_key(
    client: TestClient, asked: dict[str, object], token: Callable[[Role], dict[str, str]]
):
    headers = {**token(Role.DISPATCHER), "Idempotency-Key": "three"}
    assert client.post("/api/sets", json=asked | {"place": "nowhere"}, headers=headers).status_code == 400
    assert client.post("/api/sets", json=asked, headers=headers).status_code == 200


def test_a_form_that_is_sent_twice_makes_one_set(signed_in: SignedIn, engine: Engine, asked: dict[str, object]):
    browser, before = signed_in("dispatcher"), sets(engine)
    key = browser.get("/sets").text.split('name="idempotency_key" value="')[1].split('"')[0]
    form = {"place": asked["place"], "due": "2026-04-01", "cls": asked["class"], "copies": 5, "idempotency_key": key}
    assert [browser.post("/sets", data=form).status_code for _ in range(2)] == [303, 303]
    assert sets(engine) == before + 1


def test_head_is_get_without_a_body(signed_in: SignedIn, client: TestClient):
    browser = signed_in("viewer")
    for path in PAGES:
        answer = browser.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert browser.head("/live").status_code == 200
    assert client.head("/health/ready").status_code == 200
    assert client.head("/static/app.css").status_code == 200
    assert client.head("/users").status_code == 303


@pytest.mark.parametrize("seen", ["x=²", "x=" + "9" * 40, "x=-1", "=", "x=1,", "x=٣"])
def test_a_version_that_is_no_number_counts_as_never_seen(seen: str, signed_in: SignedIn):
    answer = signed_in("dispatcher").post(
        "/decisions", data={"action": "approve", "day": "2026-03-12", "seen": seen, "run": "none"}
    )
    assert answer.status_code in (404, 409)


@pytest.mark.parametrize("day", ["2026-02-30", "0000-01-01", "30.2.2026", "9999999-01-01", "infinity"])
def test_a_day_that_does_not_exist_is_named(day: str, signed_in: SignedIn, asked: dict[str, object]):
    browser = signed_in("dispatcher")
    form = {"place": asked["place"], "due": "2026-04-01", "cls": asked["class"], "copies": 5}
    assert browser.post("/sets", data={**form, "return_on": day}).status_code == 422
    assert browser.post("/sets", data={**form, "due": day}).status_code == 422


@pytest.mark.parametrize("name", ["fresh_bonus", "floor_bonus", "move_price", "equity"])
@pytest.mark.parametrize("value", ["1e308", "1e999", "-1e999", "NaN", "Infinity", "-1"])
def test_an_amount_beyond_all_bounds_is_refused(
    name: str, value: str, client: TestClient, token: Callable[[Role], dict[str, str]]
):
    body = f'{{"{name}": {value}}}'
    headers = {**token(Role.DISPATCHER), "content-type": "application/json"}
    assert client.post("/api/what-if", content=body, headers=headers).status_code == 422
