"""Scheduled days on the page: `rotation routes --keep` writes them, Today shows each, and what is decided there stays."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, select, update

from config.settings import KEPT_NETWORK, Settings, load
from rotation import network
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.courier.day import solve_alone
from rotation.facts.clock import standing_at
from rotation.night import vans
from rotation.night.historic_days import schedule_days
from rotation.store.clock import set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.planned import mark_standing
from rotation.store.tables import copies, day_plans, runs, transfers, users
from rotation.web.app import create_app
from solver.problem import Problem
from solver.solution import Solution
from tests.integration.web.conftest import AS_A_PAGE, PASSWORD
from tests.unit.courier.town import MONDAY, TUESDAY, town

SUNDAY_NIGHT = town().instant(date(2026, 3, 1), 23 * 3600)
LANES = {"c1": ("mill", "hill"), "c2": ("hill", "quay"), "c3": ("hill", "nowhere")}
CHINESE = {"Accept-Language": "zh-CN"}


def sent(copy: str, from_place: str, to_place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows that a `transfer.sent` leaves."""
    at = {"occurred_at": SUNDAY_NIGHT, "sequence": 0, "source": "desk", "event_id": f"{copy}-sent"}
    row = {"copy_id": copy, **at, "state": "in_transit", "place_id": from_place, "to_place_id": to_place}
    shipment = {
        "transfer_id": f"ship-{copy}",
        "copy_id": copy,
        "from_place_id": from_place,
        "to_place_id": to_place,
        "kind": "shipment",
        "status": "sent",
        "reason": {"code": "system"},
        "created_at": SUNDAY_NIGHT,
        "changed_at": SUNDAY_NIGHT,
    }
    return row, shipment


@pytest.fixture(scope="module")
def settings(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("town")
    network.write(town(), folder / KEPT_NETWORK)
    return load(database_url=module_database, data_dir=folder, route_seconds=1.0)


@pytest.fixture(scope="module")
def engine(module_database: str) -> Iterator[Engine]:
    """An import of one Sunday, whose next two days are kept."""
    made = engine_of(module_database)
    rows = [sent(copy, *lane) for copy, lane in LANES.items()]
    with made.begin() as connection:
        set_clock(connection, standing_at(SUNDAY_NIGHT))
        mark_standing(connection, "an import")
        connection.execute(insert(copies), [row for row, _ in rows])
        connection.execute(insert(transfers), [shipment for _, shipment in rows])
        auth.add_user(connection, "dispatcher", PASSWORD, Role.DISPATCHER)
        connection.execute(update(users).values(must_change=False))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def dispatcher(settings: Settings, engine: Engine) -> TestClient:
    schedule_days(engine, town(), settings, MONDAY, 2, keep=True)
    client = TestClient(create_app(settings), headers=AS_A_PAGE, follow_redirects=False)
    client.post("/sign-in", data={"name": "dispatcher", "password": PASSWORD})
    return client


def test_the_page_opens_on_the_first_kept_day_and_leads_to_the_next(dispatcher: TestClient):
    page = dispatcher.get("/today").text
    assert "Monday, March 2, 2026" in page
    assert f'href="/today?day={TUESDAY}" rel="next"' in page


def test_a_kept_day_shows_its_runs_its_stops_and_why_each_copy_travels(dispatcher: TestClient):
    page = dispatcher.get(f"/today?day={TUESDAY}").text
    assert 'id="run-20260303-w1"' in page
    assert "ship-c1" in page
    assert "A shipment of the library system&#39;s own" in page
    drawn = dispatcher.get(f"/today/map.json?day={TUESDAY}").json()
    assert [[stop["place"] for stop in run["stops"]] for run in drawn["runs"]] == [["hill"]]


@pytest.mark.parametrize(
    ("headers", "closed", "nowhere"),
    [
        ({}, "Next possible day: Wednesday 4 March.", "The place has no coordinates"),
        (CHINESE, "最早可行日期：3月4日星期三。", "该服务点没有坐标"),
    ],
)
def test_what_waits_has_its_reason_and_its_date_in_both_languages(
    headers: dict[str, str], closed: str, nowhere: str, dispatcher: TestClient
):
    waiting = dispatcher.get(f"/today?day={TUESDAY}&part=unserved", headers=headers).text
    assert closed in waiting
    assert nowhere in waiting


def test_a_network_without_targets_says_why_nothing_is_counted(dispatcher: TestClient):
    assert "the network file gives no shelf room" in dispatcher.get("/imbalance").text
    assert len(dispatcher.get("/imbalance/map.json").json()["places"]) == 7  # all that have coordinates


def test_kept_again_a_draft_is_replaced_and_what_a_dispatcher_approved_stays(
    dispatcher: TestClient, settings: Settings, engine: Engine
):
    with engine.connect() as connection:
        version = connection.execute(
            select(day_plans.c.version).where(day_plans.c.day_plan_id == "20260302-east")
        ).scalar()
    decision = {
        "action": "approve",
        "day": str(MONDAY),
        "hub": "east",
        "seen": f"20260302-east={version}",
        "run": "",
        "why": "",
    }
    assert dispatcher.post("/decisions", data=decision).status_code == 303
    report = schedule_days(engine, town(), settings, MONDAY, 2, keep=True)
    assert (report["kept"], report["complete"]) == (True, True)
    with engine.connect() as connection:
        status = dict(connection.execute(select(runs.c.run_id, runs.c.status)).all())
    assert status == {"20260302-e1": "ordered", "20260302-w1": "draft", "20260303-w1": "draft"}


def test_without_keep_nothing_is_written(dispatcher: TestClient, settings: Settings, engine: Engine):
    with engine.connect() as connection:
        before = connection.execute(select(day_plans).order_by(day_plans.c.day_plan_id)).all()
    schedule_days(engine, town(), settings, MONDAY, 2)
    with engine.connect() as connection:
        assert connection.execute(select(day_plans).order_by(day_plans.c.day_plan_id)).all() == before


def test_solver_workers_schedule_where_the_setting_says_so(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    asked = list[str]()

    class Near:
        """Stands for the workers, whose own tests have Kafka."""

        def __init__(self, *_: Any) -> None: ...

        def __call__(self, problem: Problem) -> Solution:
            asked.append(problem.name)
            return solve_alone(problem, time_s=0.5, seed=1)

        def close(self) -> None: ...

    monkeypatch.setattr(vans, "Workers", Near)
    by_workers = settings.model_copy(update={"solving": "workers", "kafka_bootstrap": "unused:9092"})
    report = schedule_days(engine, town(), by_workers, MONDAY, 1)
    assert len(asked) >= len(report["hubs"]) > 0
