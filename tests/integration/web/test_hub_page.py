"""A hub's page over a real PostgreSQL: crates by copy, mis-sorts, crates closed in loading order, and the backlog."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
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
HUB = next(place.id for place in NETWORK.places if place.hub and place.tier == "district")


@pytest.fixture(scope="module", autouse=True)
def people(engine: Engine) -> None:
    with engine.begin() as connection:
        auth.add_user(connection, "sun", PASSWORD, Role.HUB, [HUB])
        auth.add_user(connection, "elsewhere", PASSWORD, Role.HUB, ["central"])
        connection.execute(update(t.users).values(must_change=False))


@pytest.fixture
def stops(engine: Engine) -> list[str]:
    """The places of a run of the hub, in order."""
    with engine.begin() as connection:
        run = connection.scalar(select(t.runs.c.run_id).where(t.runs.c.hub_id == HUB).order_by(t.runs.c.run_id))
        return list(
            connection.scalars(select(t.stops.c.place_id).where(t.stops.c.run_id == run).order_by(t.stops.c.position))
        )


@pytest.fixture(autouse=True)
def arrived(engine: Engine, stops: list[str]) -> Iterator[None]:
    """A crate at the hub with b1 for the first stop, b2 for the last, b3 for the hub itself."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        connection.execute(insert(t.titles), {"title_id": "w1", "class": "fiction", "name": "Book"})
        for copy, to in (("b1", stops[0]), ("b2", stops[-1]), ("b3", HUB)):
            row = {"copy_id": copy, "occurred_at": now - timedelta(hours=3), "source": "c", "event_id": copy}
            more = {"state": "in_transit", "place_id": "central", "to_place_id": to, "home_place_id": HUB}
            connection.execute(insert(t.copies), {**row, **more, "title_id": "w1", "class": "fiction"})
        crate = {"crate_id": "4300", "occurred_at": now - timedelta(hours=1), "source": "c", "event_id": "k"}
        connection.execute(
            insert(t.crates),
            {
                **crate,
                "type": "crate.collected",
                "place_id": stops[1],
                "to_place_id": HUB,
                "copies": ["b1", "b2", "b3"],
            },
        )
    yield
    with engine.begin() as connection:
        for table in (t.scans, t.outbox, t.crates):
            connection.execute(delete(table))
        connection.execute(delete(t.transfers).where(t.transfers.c.copy_id.like("b%")))
        connection.execute(delete(t.copies).where(t.copies.c.copy_id.like("b%")))
        connection.execute(delete(t.titles).where(t.titles.c.title_id == "w1"))


def said(browser: TestClient, code: str, work: str = "sort") -> tuple[str, str]:
    fields = {"scan": uuid.uuid4().hex, "work": work, "code": code}
    answer = browser.post(f"/hub/{HUB}/scans", data=fields, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["code"], answer.json()["html"]


def told(engine: Engine) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        rows = connection.scalars(
            select(t.outbox.c.value).where(t.outbox.c.topic == "circulation.events").order_by(t.outbox.c.id)
        )
        return [orjson.loads(row) for row in rows]


def crate_of(engine: Engine) -> str:
    with engine.begin() as connection:
        return str(
            connection.scalar(select(t.scans.c.subject).order_by(t.scans.c.received_at.desc(), t.scans.c.scan_id))
        )


def test_a_crate_that_arrives_is_set_down_once(signed_in: SignedIn, engine: Engine):
    browser = signed_in("sun")
    assert said(browser, "4300")[0] == "set_down"
    assert [one["type"] for one in told(engine)] == ["crate.at_hub"]


def test_a_copy_is_answered_with_its_crate_and_the_wrong_label_is_caught(
    signed_in: SignedIn, engine: Engine, stops: list[str]
):
    browser = signed_in("sun")
    code, html = said(browser, "b1")
    assert code == "into"
    assert NETWORK.code[stops[0]] in html
    right = crate_of(engine)
    assert said(browser, "4300")[0] == "mis_sort"
    said(browser, "b1")
    assert said(browser, right)[0] == "sorted"
    assert said(browser, "b3")[0] == "for_the_hub"
    assert [one["type"] for one in told(engine)] == ["transfer.received"]


def test_a_crate_is_closed_with_what_was_sorted_into_it_and_later_stops_come_first(
    signed_in: SignedIn, engine: Engine, stops: list[str]
):
    browser = signed_in("sun")
    said(browser, "b1")
    first_stop = crate_of(engine)
    said(browser, "b2")
    with engine.begin() as connection:
        last_stop = connection.scalar(select(t.scans.c.subject).where(t.scans.c.subject != first_stop))
    code, html = said(browser, first_stop, "close_crate")
    assert code == "closed_too_early"
    assert NETWORK.code[stops[-1]] in html
    assert said(browser, last_stop, "close_crate")[0] == "hub_crate_closed"
    assert said(browser, last_stop, "close_crate")[0] == "nothing_inside"
    closed = [(one["data"]["to"], one["data"]["copies"]) for one in told(engine)]
    assert closed == [(stops[0], ["b1"]), (stops[-1], ["b2"])]


def test_the_backlog_is_what_lies_in_the_crates_that_stand_at_the_hub(signed_in: SignedIn, engine: Engine):
    browser = signed_in("sun")
    with engine.begin() as connection:
        connection.execute(update(t.crates).values(type="crate.at_hub", place_id=HUB))
    assert '<b class="figure">3</b>' in browser.get(f"/hub/{HUB}").text
    said(browser, "b1")
    page = browser.get(f"/hub/{HUB}").text
    assert '<b class="figure">2</b>' in page
    assert "1 sorted today, 4 an hour" in page


def test_what_does_not_travel_is_no_work_of_the_hub(signed_in: SignedIn):
    assert said(signed_in("sun"), "s1")[0] == "not_travelling"


def test_another_hub_or_place_that_does_not_sort_is_refused(signed_in: SignedIn, stops: list[str]):
    assert signed_in("elsewhere").get(f"/hub/{HUB}").status_code == 403
    assert (
        signed_in("elsewhere").post(f"/hub/{HUB}/scans", data={"scan": "12345678", "work": "sort"}).status_code == 403
    )
    assert signed_in("dispatcher").get(f"/hub/{stops[0]}").status_code == 404
