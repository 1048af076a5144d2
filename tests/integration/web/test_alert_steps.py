"""An alert's life on its page: acknowledged, put off, given to somebody, commented on; one cause is one line."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from rotation.alerts.handling import handling_of
from rotation.store.clock import read_clock
from rotation.store.tables import alert_steps, alerts
from tests.integration.web.conftest import SignedIn


@pytest.fixture
def some(engine: Engine) -> list[int]:
    """Two open alerts of one kind."""
    with engine.connect() as connection:
        query = select(alerts.c.alert_id).where(alerts.c.closed_at.is_(None), alerts.c.kind == "silent")
        return list(connection.scalars(query.order_by(alerts.c.alert_id).limit(2)))


def send(browser: TestClient, step: str, ids: list[int], **fields: object) -> str:
    answer = browser.post("/alerts/steps", data={"step": step, "alert": ids, **fields})
    assert answer.status_code == 303, answer.text
    return browser.get(answer.headers["location"]).text


def test_an_alert_given_to_somebody_says_who_has_it_and_keeps_the_comment(
    signed_in: SignedIn, some: list[int], engine: Engine
):
    browser = signed_in("dispatcher")
    send(browser, "assigned", some, assignee="administrator")
    page = send(browser, "commented", some[:1], comment="the door was locked")
    assert "the door was locked" in page
    with engine.connect() as connection:
        handled = handling_of(connection, some)
    assert [handled[one].assignee for one in some] == ["administrator"] * 2


def test_an_alert_that_is_put_off_is_out_of_sight_until_its_hour_and_comes_back(
    signed_in: SignedIn, some: list[int], engine: Engine
):
    browser = signed_in("dispatcher")
    page = send(browser, "snoozed", some[:1], hours=4)
    assert f'id="alert-{some[0]}"' not in page
    assert f'id="alert-{some[0]}"' in browser.get("/alerts?state=snoozed").text
    with engine.connect() as connection:
        now = read_clock(connection).now()
        handled = handling_of(connection, some[:1])[some[0]]
    assert handled.snoozed_until(now) is not None
    assert handled.snoozed_until(now + timedelta(hours=5)) is None


def test_a_viewer_looks_and_does_nothing_and_a_step_that_is_none_is_refused(
    signed_in: SignedIn, some: list[int], engine: Engine
):
    assert signed_in("viewer").post("/alerts/steps", data={"step": "snoozed", "alert": some}).status_code == 403
    assert signed_in("dispatcher").post("/alerts/steps", data={"step": "eaten", "alert": some}).status_code == 422
    with engine.connect() as connection:
        assert "eaten" not in connection.scalars(select(alert_steps.c.step)).all()


def test_alerts_of_one_kind_in_one_hubs_area_are_one_line(signed_in: SignedIn):
    page = signed_in("viewer").get("/alerts").text
    causes = page.split('class="cause"')[1:]
    assert len(causes) == len({cause.split('id="')[1].split('"')[0] for cause in causes})
    assert any(cause.count("data-alert=") > 1 for cause in causes)
