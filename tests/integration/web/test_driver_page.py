"""A driver's page over a real PostgreSQL: crates by scan and by count, stops not served, and links that open one run."""

import re
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
from rotation.facts.clock import Clock
from rotation.network import PlaceKind
from rotation.store import tables as t
from rotation.store.clock import read_clock, set_clock
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK = web_city.demo()


@pytest.fixture(scope="module")
def run(engine: Engine) -> tuple[str, list[str]]:
    """A run of a district's hub, ordered, with its places in order; its driver and another hub's."""
    with engine.begin() as connection:
        found = connection.execute(select(t.runs).order_by(t.runs.c.run_id)).first()
        connection.execute(update(t.runs).where(t.runs.c.run_id == found.run_id).values(status="ordered"))
        mine = select(t.stops.c.place_id).where(t.stops.c.run_id == found.run_id).order_by(t.stops.c.position)
        places = list(connection.scalars(mine))
        other = next(place.id for place in NETWORK.hubs if place.id != found.hub_id)
        auth.add_user(connection, "zhou", PASSWORD, Role.DRIVER, [found.hub_id])
        auth.add_user(connection, "other-driver", PASSWORD, Role.DRIVER, [other])
        connection.execute(update(t.users).values(must_change=False))
        connection.execute(delete(t.legs))
        for number, place in enumerate(places[:3]):
            leg = {
                "transfer_id": f"x{number}",
                "position": 3,
                "kind": "deliver",
                "from_place_id": found.hub_id,
                "day": found.day,
            }
            connection.execute(
                insert(t.legs), {**leg, "to_place_id": place, "run_id": found.run_id, "crate_id": f"d{number}"}
            )
    return found.run_id, places


@pytest.fixture(autouse=True)
def crates(engine: Engine, run: tuple[str, list[str]]) -> Iterator[None]:
    """A crate that stands closed at the first place, for the hub."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        row = {
            "crate_id": "4240",
            "occurred_at": now,
            "source": "c",
            "event_id": "k",
            "type": "crate.closed",
            "copies": [],
        }
        connection.execute(insert(t.crates), {**row, "place_id": run[1][0], "to_place_id": NETWORK.hub_of(run[1][0])})
    yield
    with engine.begin() as connection:
        for table in (t.scans, t.outbox, t.crates):
            connection.execute(delete(table))
        connection.execute(update(t.stops).where(t.stops.c.run_id == run[0]).values(status="planned", done_at=None))


def said(browser: TestClient, run_id: str, place: str, code: str, work: str = "crate", **more: Any) -> str:
    fields = {"scan": uuid.uuid4().hex, "work": work, "code": code, "tab": place, **more}
    answer = browser.post(f"/driver/{run_id}/scans", data=fields, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["code"])


def told(engine: Engine) -> list[tuple[str, str]]:
    with engine.begin() as connection:
        mine = t.outbox.c.topic == "circulation.events"
        rows = connection.scalars(select(t.outbox.c.value).where(mine).order_by(t.outbox.c.id))
        return [(one["type"], one["data"]["crate"]) for one in map(orjson.loads, rows)]


def test_crates_are_handed_over_and_taken_by_scan_and_each_counts_once(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]
):
    browser, (run_id, places) = signed_in("zhou"), run
    assert said(browser, run_id, places[0], "d0") == "handed_over"
    assert said(browser, run_id, places[0], "d0") == "crate_done"
    assert said(browser, run_id, places[0], "d1") == "crate_of_another_stop"
    assert said(browser, run_id, places[0], "4240") == "crate_taken"
    assert said(browser, run_id, places[0], "9999") == "unknown_crate_taken"
    assert said(browser, run_id, "nowhere", "d0") == "not_on_this_run"
    assert told(engine) == [("crate.delivered", "d0"), ("crate.collected", "4240"), ("crate.collected", "9999")]


def test_counts_that_agree_with_each_other_and_the_plan_stand_for_scans(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]
):
    browser, (run_id, places) = signed_in("zhou"), run
    van = {"handed": 1, "taken": 1, "empties": 2}
    room = {f"room_{name}": number for name, number in van.items()}
    assert said(browser, run_id, places[0], "", "hand_over", **van, **{**room, "room_taken": 0}) == "counts_differ"
    assert told(engine) == []
    assert said(browser, run_id, places[0], "", "hand_over", **van, **room) == "counts_agree"
    assert told(engine) == [("crate.delivered", "d0"), ("crate.collected", "4240")]


def test_a_stop_without_crates_is_served_when_both_sides_say_nothing_changed_hands(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]
):
    run_id, places = run
    nothing = dict.fromkeys(("handed", "taken", "empties", "room_handed", "room_taken", "room_empties"), 0)
    assert said(signed_in("zhou"), run_id, places[3], "", "hand_over", **nothing) == "counts_agree"
    with engine.begin() as connection:
        mine = (t.stops.c.run_id == run_id) & (t.stops.c.place_id == places[3])
        assert connection.scalar(select(t.stops.c.status).where(mine)) == "done"


def test_a_stop_that_is_not_served_says_why_once(signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]):
    browser, (run_id, places) = signed_in("zhou"), run
    assert said(browser, run_id, places[4], "no reason", "not_served") == "not_understood"
    assert said(browser, run_id, places[4], "nobody_there", "not_served") == "stop_missed"
    assert said(browser, run_id, places[4], "nobody_there", "not_served") == "stop_is_over"
    assert "Nobody there" in browser.get(f"/driver/{run_id}").text


def link_of(signed_in: SignedIn, run_id: str) -> str:
    page = signed_in("dispatcher").post(f"/runs/{run_id}/links", follow_redirects=True).text
    return re.findall(r"<code>https?://[^/]+(/drive/[^<]+)</code>", page)[0]


def test_a_link_opens_one_run_and_nothing_else_until_it_is_withdrawn(
    signed_in: SignedIn, client: TestClient, engine: Engine, run: tuple[str, list[str]]
):
    run_id, places = run
    assert client.get(link_of(signed_in, run_id)).headers["location"] == f"/driver/{run_id}"
    assert client.get(f"/driver/{run_id}").status_code == 200
    assert said(client, run_id, places[0], "d0") == "handed_over"
    with engine.begin() as connection:
        other = connection.scalar(select(t.runs.c.run_id).where(t.runs.c.run_id != run_id))
        link = connection.execute(select(t.run_links).order_by(t.run_links.c.made_at.desc())).first()
    for address in (
        f"/driver/{other}",
        "/today",
        "/hands",
        "/password",
        f"/branch/{places[0]}",
        f"/runs/{run_id}/links",
    ):
        assert client.get(address).status_code == 403, address
    dispatcher = signed_in("dispatcher")
    assert dispatcher.post(f"/runs/{run_id}/links/{link.link_id}/withdraw").status_code == 303
    assert client.get(f"/driver/{run_id}", headers={"Accept": "application/json"}).status_code == 401


def test_a_link_ends_with_the_day(signed_in: SignedIn, client: TestClient, engine: Engine, run: tuple[str, list[str]]):
    address = link_of(signed_in, run[0])
    client.get(address)
    with engine.begin() as connection:
        clock = read_clock(connection)
        set_clock(connection, Clock(clock.now() + timedelta(days=1), clock.wall_at, 0.0))
    try:
        assert client.get(f"/driver/{run[0]}", headers={"Accept": "application/json"}).status_code == 401
        assert client.get(address).status_code == 410
        assert client.get("/drive/forged.token").status_code == 410
    finally:
        with engine.begin() as connection:
            set_clock(connection, Clock(clock.now(), clock.wall_at, 0.0))


def test_a_driver_opens_the_runs_of_the_own_hub(signed_in: SignedIn, run: tuple[str, list[str]]):
    assert signed_in("zhou").get(f"/driver/{run[0]}").status_code == 200
    assert signed_in("other-driver").get(f"/driver/{run[0]}").status_code == 403
    assert signed_in("other-driver").post(f"/driver/{run[0]}/scans", data={"scan": "12345678"}).status_code == 403
    assert signed_in("dispatcher").get(f"/driver/{run[0]}").status_code == 200


def test_a_crate_in_bags_is_handed_over_when_the_last_of_its_bags_was_scanned(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]
):
    browser, (run_id, places) = signed_in("zhou"), run
    bags = NETWORK.network.bags_per_crate
    with engine.begin() as connection:
        leg = connection.execute(select(t.legs).where(t.legs.c.crate_id == "d1")).mappings().one()
        more = NETWORK.copies_per_bag * (bags - 1) - 1  # so many copies that they fill all bags but one
        rows = [{**leg, "transfer_id": f"more-{number}"} for number in range(more)]
        connection.execute(insert(t.legs), rows)
    scanned = [said(browser, run_id, places[1], f"d1/{bag}") for bag in range(1, bags)]
    assert scanned == ["bag_noted"] * (bags - 2) + ["handed_over"]
    assert said(browser, run_id, places[1], "d1/1") == "crate_done"
    assert told(engine) == [("crate.delivered", "d1")]
    with engine.begin() as connection:
        connection.execute(delete(t.legs).where(t.legs.c.transfer_id.like("more-%")))


def test_crates_are_loaded_at_the_hub_and_brought_back_to_it(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]]
):
    browser, (run_id, places) = signed_in("zhou"), run
    hub = str(NETWORK.hub_of(places[0]))
    with engine.begin() as connection:
        now = read_clock(connection).now()
        row = {"occurred_at": now, "source": "c", "copies": [], "place_id": hub}
        for crate, kind, to in (("for-1", "crate.closed", places[1]), ("back-1", "crate.collected", hub)):
            more = {"crate_id": crate, "event_id": crate, "type": kind, "to_place_id": to}
            connection.execute(insert(t.crates), {**row, **more})
        fact = {"occurred_at": now, "source": "c", "sequence": 0, "place_id": places[0], "run_id": run_id}
        connection.execute(
            insert(t.crate_facts), {**fact, "crate_id": "back-1", "event_id": "f", "type": "crate.collected"}
        )
    page = browser.get(f"/driver/{run_id}").text
    assert page.index("for-1") < page.index("back-1")  # it opens at the hub, where something is to be loaded
    assert said(browser, run_id, hub, "for-1") == "crate_taken"
    assert said(browser, run_id, hub, "back-1") == "handed_over"
    assert told(engine) == [("crate.collected", "for-1"), ("crate.at_hub", "back-1")]
    with engine.begin() as connection:
        connection.execute(delete(t.crate_facts))


FIRST_VIEW_REQUESTS = 3


def test_the_drivers_first_view_is_three_requests_and_small(signed_in: SignedIn, run: tuple[str, list[str]]):
    browser = signed_in("zhou")
    page = browser.get(f"/driver/{run[0]}").text
    files = re.findall(r'(?:src|href)="(/(?:static|assets)/[^"]+)"', page)
    sizes = [len(browser.get(file).content) for file in files]
    assert 1 + len(files) == FIRST_VIEW_REQUESTS
    assert len(page.encode()) + sum(sizes) <= 100_000


# --- A self-service machine on the run -----------------------------------------------------------------------------------


@pytest.fixture
def machine(engine: Engine, run: tuple[str, list[str]]) -> Iterator[str]:
    """A machine as the run's last stop: nearly empty, its bin full, with a crate of two copies for it."""
    place = next(place for place in NETWORK.places if place.kind is PlaceKind.MACHINE)
    with engine.begin() as connection:
        now, mine = read_clock(connection).now(), t.stops.c.run_id == run[0]
        day = connection.scalar(select(t.runs.c.day).where(t.runs.c.run_id == run[0]))
        last = connection.execute(select(t.stops).where(mine).order_by(t.stops.c.position.desc())).first()
        added = {**last._asdict(), "position": last.position + 1, "place_id": place.id}
        connection.execute(insert(t.stops), added)
        fact = {"occurred_at": now, "source": "m", "event_id": "k"}
        report = {"bin_copies": 55, "free_slots": place.room - 20, "fault": None}
        connection.execute(insert(t.machines), {**fact, **report, "place_id": place.id})
        visit = {"why": "bin_full", "numbers": {"copies": 55, "holds": 60}, "crates": ["c1", "c2"]}
        connection.execute(insert(t.machine_visits), {**visit, "day": day, "place_id": place.id})
        leg = {"transfer_id": "xm", "position": 3, "kind": "deliver", "from_place_id": "hub", "day": day}
        connection.execute(insert(t.legs), {**leg, "to_place_id": place.id, "run_id": run[0], "crate_id": "dm"})
        for number in range(2):
            copy = {"copy_id": f"slot{number}", "state": "in_transit", "place_id": "hub", "to_place_id": place.id}
            connection.execute(insert(t.copies), {**fact, **copy, "title_id": f"s{number}", "class": "fiction"})
        crate = {"crate_id": "dm", "type": "crate.at_hub", "place_id": "hub", "to_place_id": place.id}
        connection.execute(insert(t.crates), {**fact, **crate, "copies": ["slot0", "slot1"]})
    yield place.id
    with engine.begin() as connection:
        for table in (t.machines, t.machine_visits):
            connection.execute(delete(table))
        connection.execute(delete(t.stops).where(t.stops.c.run_id == run[0], t.stops.c.place_id == place.id))
        connection.execute(delete(t.legs).where(t.legs.c.transfer_id == "xm"))
        connection.execute(delete(t.copies).where(t.copies.c.copy_id.like("slot%")))


def facts_told(engine: Engine) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        return [orjson.loads(one) for one in connection.scalars(select(t.outbox.c.value).order_by(t.outbox.c.id))]


def test_a_driver_fills_a_machines_slots_and_empties_its_bin(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]], machine: str
):
    browser, run_id = signed_in("zhou"), run[0]
    page = browser.get(f"/driver/{run_id}?stop={machine}").text
    assert "55 copies in the bin" in page
    assert "Return bin full" in page
    assert "Copies to put in: 2" in page
    counts = {"from_bin": 54, "into_slots": 2, "free_slots": 7}
    assert said(browser, run_id, machine, "dm") == "handed_over"
    assert said(browser, run_id, machine, "", "serve_machine", **counts) == "bin_wants_a_crate"
    assert (
        said(browser, run_id, machine, "77", "serve_machine", **counts | {"free_slots": 9999}) == "more_free_than_slots"
    )
    assert said(browser, run_id, run[1][0], "77", "serve_machine", **counts) == "not_a_machine"
    assert said(browser, run_id, machine, "77", "serve_machine", **counts) == "machine_served"
    kinds = [(one["type"], one["data"].get("copy") or one["data"].get("crate")) for one in facts_told(engine)]
    assert kinds == [
        ("crate.delivered", "dm"),
        ("crate.closed", "77"),
        ("crate.collected", "77"),
        ("transfer.received", "slot0"),
        ("transfer.received", "slot1"),
        ("machine.reported", None),
    ]
    assert facts_told(engine)[-1]["data"] == {"place": machine, "bin_copies": 0, "free_slots": 7}


def test_where_fewer_copies_went_into_slots_than_came_each_is_scanned_and_a_fault_stands(
    signed_in: SignedIn, engine: Engine, run: tuple[str, list[str]], machine: str
):
    browser, run_id = signed_in("zhou"), run[0]
    said(browser, run_id, machine, "dm")
    counts = {"from_bin": 0, "into_slots": 1, "free_slots": 0, "at_fault": "true"}
    assert said(browser, run_id, machine, "", "serve_machine", **counts) == "slots_differ"
    assert facts_told(engine)[-1]["data"]["fault"] == "seen_by_driver"
    assert "transfer.received" not in [one["type"] for one in facts_told(engine)]
    assert said(browser, run_id, machine, "slot1") == "received_here"
    assert facts_told(engine)[-1]["data"]["copy"] == "slot1"
