"""Every route of the pages for hands, by every role, at the own place and at another's: who may, and who gets 403."""

import itertools

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import PERMISSIONS, Role, Scope, allowed, scope_of
from rotation.store import tables as t
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK = web_city.demo()
OWN, OTHER = [place.id for place in NETWORK.hubs if place.tier == "district"][:2]
BOUND = (Role.BRANCH, Role.HUB, Role.DRIVER)
FREE = (Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR)
OF_PLACES = [route for route in PERMISSIONS if "{place_id}" in route]
OF_RUNS = [route for route in PERMISSIONS if route.split(" ")[1].startswith("/driver/")]


@pytest.fixture(scope="module")
def browsers(engine: Engine, app: object) -> dict[str, TestClient]:
    """A browser for each role; branch, hub and driver are bound to OWN."""
    with engine.begin() as connection:
        for role in BOUND:
            auth.add_user(connection, f"own-{role}", PASSWORD, role, [OWN])
        connection.execute(update(t.users).values(must_change=False))
    found = {}
    headers = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
    for role in (*BOUND, *FREE):
        browser = TestClient(app, headers=headers, follow_redirects=False)  # type: ignore[arg-type]
        browser.post("/sign-in", data={"name": f"own-{role}" if role in BOUND else role, "password": PASSWORD})
        found[role] = browser
    return found


def ask(browser: TestClient, route: str, place: str, run: str) -> int:
    """Call a route with nothing in it: 403 before anything else where the caller may not."""
    method, path = route.split(" ")
    address = path.format(
        place_id=place, run_id=run, notice_id=1, rule_id=1, scan_id="x", link_id="x", crate_id="x", cls="x"
    )
    return browser.request(method, address).status_code


@pytest.mark.parametrize(("route", "role"), list(itertools.product(OF_PLACES, (*BOUND, *FREE))))
def test_a_route_of_a_place_is_open_to_its_roles_at_their_own_places_alone(
    browsers: dict[str, TestClient], route: str, role: Role
):
    may = allowed(*route.split(" "), role)
    assert (ask(browsers[role], route, OWN, "") != 403) is may
    assert (ask(browsers[role], route, OTHER, "") != 403) is (may and role in FREE)


@pytest.mark.parametrize(("route", "role"), list(itertools.product(OF_RUNS, (*BOUND, *FREE))))
def test_a_run_is_open_to_the_drivers_of_its_hub_and_to_dispatchers(
    browsers: dict[str, TestClient], engine: Engine, route: str, role: Role
):
    with engine.begin() as connection:
        runs = dict(
            connection.execute(select(t.runs.c.hub_id, t.runs.c.run_id).where(t.runs.c.hub_id.in_([OWN, OTHER]))).all()
        )
    may = allowed(*route.split(" "), role)
    assert (ask(browsers[role], route, "", runs[OWN]) != 403) is may
    assert (ask(browsers[role], route, "", runs[OTHER]) != 403) is (may and role in FREE)


def test_routes_of_places_and_runs_are_all_there():
    assert len(OF_PLACES) == 18
    assert len(OF_RUNS) == 5


@pytest.mark.parametrize("role", [Role.DESK, Role.BRANCH, Role.HUB])
def test_a_token_of_a_place_asks_for_placement_and_receives_there_alone(engine: Engine, client: TestClient, role: Role):
    with engine.begin() as connection:
        token = auth.add_token(connection, role, "a desk", "tests", places=[OWN])
    headers = {"Authorization": f"Bearer {token}"}
    for place, status in ((OWN, 404), (OTHER, 403)):
        asked = {"copy": "nobody", "place": place}
        assert client.post("/placement", json=asked, headers=headers).status_code == status
        crate = f"/api/crates/none?place={place}"
        assert client.get(crate, headers=headers).status_code == status
        assert client.post(crate.replace("none", "none/received"), headers=headers).status_code == status
    assert client.get("/api/crates/none", headers=headers).status_code == 403  # a bound token names its place


def test_people_without_a_place_work_nowhere(engine: Engine, signed_in: SignedIn):
    with engine.begin() as connection:
        auth.add_user(connection, "nowhere", PASSWORD, Role.BRANCH, [])
        connection.execute(update(t.users).values(must_change=False))
    browser = signed_in("nowhere")
    assert browser.get(f"/branch/{OWN}").status_code == 403
    assert "Ask an administrator" in browser.get("/hands").text


# Routes of machines; every other is of people's pages, and no token with scopes may open one.
OF_MACHINES = [
    route
    for route in PERMISSIONS
    if route.split(" ")[1].startswith("/api/") or route in ("POST /events", "POST /placement")
] + ["GET /metrics"]
VALUES = {"day": "2026-03-12", "run_id": "x", "set_id": "x", "crate_id": "x"}


@pytest.mark.parametrize("scope", Scope)
def test_a_token_opens_the_routes_of_its_scope_alone(engine: Engine, client: TestClient, scope: Scope):
    with engine.begin() as connection:
        made = auth.add_token(connection, Role.ADMINISTRATOR, "a machine", "tests", scopes=[scope])
    headers = {"Authorization": f"Bearer {made}", "Accept": "application/json"}
    for route in OF_MACHINES:
        method, path = route.split(" ")
        status = client.request(method, path.format(**VALUES), headers=headers).status_code
        assert (route, status != 403) == (route, scope_of(method, path) is scope)


def test_a_token_with_scopes_opens_no_page_and_has_no_more_than_its_role(engine: Engine, client: TestClient):
    with engine.begin() as connection:
        made = auth.add_token(connection, Role.VIEWER, "a machine", "tests", scopes=list(Scope))
    headers = {"Authorization": f"Bearer {made}", "Accept": "application/json"}
    assert client.get("/today", headers=headers).status_code == 403
    assert client.post("/api/decisions", headers=headers).status_code == 403
    assert client.get("/api/alerts", headers=headers).status_code == 200


def test_every_route_that_a_token_may_call_has_a_scope():
    assert [route for route in OF_MACHINES if scope_of(*route.split(" ")) is None] == []
    assert {scope_of(*route.split(" ")) for route in OF_MACHINES} == set(Scope)


def test_scopes_are_chosen_and_shown_where_tokens_are_made(signed_in: SignedIn):
    browser = signed_in("administrator")
    asked = {"about": "a report", "role": "viewer", "scopes": ["read", "counts"]}
    assert browser.post("/tokens", data=asked).status_code == 303
    assert "Send the city&#39;s counts · Read only" in browser.get("/users").text
    assert browser.post("/tokens", data=asked | {"scopes": "all"}).status_code == 422
