"""Changing a plan on its page: each change a form, answered by a redirect, judged when the page is shown again."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, update

from config.settings import load
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.courier.day import plan_days, solve_alone
from rotation.courier.store import write_days
from rotation.dispatch import drafts
from rotation.facts.clock import Clock
from rotation.store.clock import set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.tables import day_plans, decisions, stops, users
from rotation.web.app import create_app
from tests.integration.web.conftest import AS_A_PAGE, PASSWORD
from tests.unit.courier.town import MONDAY, RAW, TUESDAY, calendar, morning_of, town, waiting

PLAN = "20260302-east"
EARLY = town().instant(MONDAY, 5 * 3600)


@pytest.fixture(scope="module")
def engine(module_database: str) -> Iterator[Engine]:
    """A small town's Monday, planned, at five in the morning."""
    made = engine_of(module_database)
    search = partial(solve_alone, time_s=30.0, seed=1, iterations=20)
    copies = [waiting("mill", "quay"), waiting("quay", "hill"), waiting("hill", "mill")]
    with made.begin() as connection:
        set_clock(connection, Clock(EARLY, datetime.now(UTC), 0.0))
        write_days(connection, plan_days(calendar(), [MONDAY], copies, morning_of(MONDAY), search, None), EARLY)
        for role in (Role.VIEWER, Role.DISPATCHER):
            auth.add_user(connection, role, PASSWORD, role)
        connection.execute(update(users).values(must_change=False))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def dispatcher(module_database: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A dispatcher's browser."""
    app = create_app(
        load(database_url=module_database, data_dir=tmp_path_factory.mktemp("web"), network=Path("demo.toml"))
    )
    app.state.web.network = town()
    browser = TestClient(app, headers=AS_A_PAGE, follow_redirects=False)
    assert browser.post("/sign-in", data={"name": Role.DISPATCHER, "password": PASSWORD}).status_code == 303
    return browser


def post(browser: TestClient, act: str, **fields: object) -> str:
    """Send a form and return the page that is shown then."""
    answer = browser.post(f"/plans/{PLAN}/{act}", data=fields)
    assert answer.status_code == 303, answer.text
    return browser.get(answer.headers["location"]).text


def map_of(browser: TestClient) -> dict[str, Any]:
    """Return the data that the page's map is drawn from."""
    page = browser.get(f"/plans/{PLAN}/change").text
    return json.loads(page.partition('id="map-now">')[2].partition("</script>")[0])


def test_a_stop_is_taken_out_undone_and_the_plan_accepted(dispatcher: TestClient, engine: Engine):
    first = dispatcher.get(f"/plans/{PLAN}/change").text
    assert "Draft: 0 changes" in first
    assert RAW["place"]
    out = post(dispatcher, "edits", version=0, kind="remove", visit="mill")
    assert "Draft: 1 change" in out
    assert "must be served and is not" in out
    assert "Draft: 0 changes" in post(dispatcher, "undo", version=1)
    assert "Draft: 1 change" in post(dispatcher, "redo", version=2)
    met = post(dispatcher, "edits", version=1, kind="remove", visit="quay")
    assert "dispatcher changed this draft at" in met
    assert "Yours was not made" in met
    with engine.connect() as connection:
        version = connection.scalar(select(day_plans.c.version).where(day_plans.c.day_plan_id == PLAN))
    assert "Accepted." in post(dispatcher, "accept", version=3, plan=version)
    with engine.connect() as connection:
        assert connection.scalars(select(decisions.c.what)).all() == ["change"]


def test_the_places_where_a_stop_could_go_are_judged_before_it_is_moved(dispatcher: TestClient):
    page = dispatcher.get(f"/plans/{PLAN}/change", params={"visit": "mill"}).text
    assert "Move " in page
    assert "no longer:" in page


def test_a_visit_that_is_not_of_this_plan_is_refused(dispatcher: TestClient):
    assert (
        dispatcher.post(
            f"/plans/{PLAN}/edits", data={"version": 0, "kind": "move", "visit": "no", "van": "e1"}
        ).status_code
        == 422
    )
    assert dispatcher.get("/plans/nothing/change").status_code == 404


def test_a_search_around_the_changes_is_one_change_more(dispatcher: TestClient):
    assert "Improved around the changes" in post(dispatcher, "improve", version=0)


def test_a_run_is_split_from_a_stop_on_undone_and_done_again(dispatcher: TestClient, engine: Engine):
    with engine.connect() as connection:
        version = drafts.read(connection, town(), PLAN, EARLY).version
        runs = drafts.read(connection, town(), PLAN, EARLY).plan.runs
    van, last = next((van, run.visits[-1]) for van, run in runs.items() if len(run.visits) > 1)
    assert 'id="split"' in dispatcher.get(f"/plans/{PLAN}/change", params={"visit": last}).text
    assert "a tour of its own" in post(dispatcher, "edits", version=version, kind="split", visit=last, van=van)
    with engine.connect() as connection:
        assert drafts.read(connection, town(), PLAN, EARLY).plan.visits(van)[-2:] == ["reload:east", last]
    drawn = {run["id"]: run["line"] for run in map_of(dispatcher)["runs"]}
    assert drawn[van].count(drawn[van][0]) == 3  # from the hub, past it, and back to it
    assert "a tour of its own" not in post(dispatcher, "undo", version=version + 1)
    assert "a tour of its own" in post(dispatcher, "redo", version=version + 2)
    post(dispatcher, "undo", version=version + 3)
    nowhere = {"version": version + 4, "kind": "split", "visit": last, "van": ""}
    assert dispatcher.post(f"/plans/{PLAN}/edits", data=nowhere).status_code == 422


def test_the_map_shows_each_run_with_its_numbers(dispatcher: TestClient):
    found = map_of(dispatcher)
    assert {run["id"] for run in found["runs"]} >= {"e1"}
    assert all(stop["n"] for run in found["runs"] for stop in run["stops"])


def test_the_day_after_shows_the_day_as_planned_as_changed_and_as_done(dispatcher: TestClient, engine: Engine):
    assert 'id="past"' not in dispatcher.get(f"/today?day={MONDAY}").text
    with engine.begin() as connection:
        done_at = town().instant(MONDAY, 10 * 3600)
        connection.execute(update(stops).where(stops.c.place_id == "quay").values(status="done", done_at=done_at))
        set_clock(connection, Clock(town().instant(TUESDAY, 5 * 3600), datetime.now(UTC), 0.0))
    rows = list(csv.reader(dispatcher.get(f"/today?day={MONDAY}&table=past&form=csv").text.splitlines()))[1:]
    of = {row[1]: row[2:] for row in rows}
    planned, changed, done, state = of["Mill"]
    assert ":" in planned
    assert (changed, done, state) == ("–", "", "taken out by people")
    assert of["Quay"][0] not in ("", "–")
    assert of["Quay"][2:] == ["10:00", "Done"]
    decided = dispatcher.get(f"/today?day={MONDAY}&part=decided").text
    assert "Mill taken out" in decided
    assert ">dispatcher<" in decided
