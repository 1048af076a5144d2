"""A dispatcher's morning, an alert's life and a month's report, in a browser over a planned day."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from sqlalchemy import select

from rotation.night import day_figures
from rotation.store.tables import decisions
from tests import web_city
from tests.e2e.web.conftest import Served
from tests.e2e.web.test_page import faults
from tests.scenarios import dispatcher

Open = Callable[..., Page]


def readable(page: Page, name: str) -> None:
    """Look at a step as those do who cannot see it."""
    assert (name, faults(page)) == (name, [])


@pytest.fixture(scope="module")
def planned(served: Served) -> Served:
    """The page over a day that was planned as the night does it, with the evening's key figures."""
    network = web_city.demo()
    with served.engine.begin() as connection:
        web_city.plan_really(connection, network)
        day_figures.keep(connection, network, network.instant(web_city.DAY, 5 * 3600), horizon_weeks=8)
    return served


def test_a_dispatchers_morning_an_alerts_life_and_a_months_report(planned: Served, open_as: Open):
    page = open_as("dispatcher", "zh")
    dispatcher.morning(page, readable)
    dispatcher.alert(page, readable)
    assert dispatcher.month(page, readable).startswith(b"%PDF")
    with planned.engine.connect() as connection:
        made = connection.scalars(select(decisions.c.what).order_by(decisions.c.number.desc()).limit(4)).all()
    assert made == ["approve", "change", "release", "pinned"]
    assert planned.complaints == []
