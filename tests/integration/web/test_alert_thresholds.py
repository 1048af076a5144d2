"""Thresholds of alerts on the page: tried on last month, set, ended; each with who and when, and by administrators alone."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, insert, select

from rotation.alerts.threshold_preview import ThresholdPreview, preview
from rotation.alerts.thresholds import AlertThresholds, ThresholdKey, Thresholds
from rotation.facts.lifecycle import AlertKind
from rotation.network import Network
from rotation.store.clock import read_clock
from rotation.store.tables import alert_thresholds, alerts, daily_figures, movements, targets
from tests import web_city

SignedIn = Callable[[str], TestClient]
NETWORK = web_city.demo()
PLACE = next(place for place in NETWORK.places if place.hours and place.tier == "room")
CLASS = NETWORK.classes[0].id
THRESHOLD = {"kind": "shortage", "tier": "room", "cls": CLASS, "value": "60"}


def tried(engine: Engine, value: int, key: ThresholdKey, network: Network = NETWORK) -> ThresholdPreview:
    with engine.connect() as connection:
        now = read_clock(connection).now()
        return preview(connection, network, now, AlertThresholds(Thresholds()), key, value)


def level(engine: Engine, *beyond: int) -> None:
    """Keep how far a shelf was out of balance on each of the last days, the newest last; its least is 10."""
    with engine.begin() as connection:
        today = NETWORK.day_of(read_clock(connection).now())
        connection.execute(delete(daily_figures))
        connection.execute(delete(targets).where(targets.c.place_id == PLACE.id, targets.c["class"] == CLASS))
        connection.execute(insert(targets).values(place_id=PLACE.id, low=10, high=20, **{"class": CLASS}))
        row = {"by": "place", "subject": PLACE.id, "base": 1.0}
        for number, amount in enumerate(beyond):
            day = {"day": today - timedelta(days=len(beyond) - 1 - number)}
            connection.execute(
                insert(daily_figures), row | day | {"figure": "stale_stock", "class": "", "amount": 60, "base": 100}
            )
            if amount:
                connection.execute(
                    insert(daily_figures), row | day | {"figure": "level", "class": CLASS, "amount": amount}
                )


def test_a_shelf_short_twice_by_two_and_once_by_five_opens_fewer_alerts_at_a_lower_threshold(engine: Engine):
    level(engine, *[0] * 25, -2, 0, -5, 0, -2)
    key = ThresholdKey(AlertKind.SHORTAGE, PLACE.tier, CLASS)
    found = tried(engine, 60, key)
    assert (found.present.opened, found.proposed.opened) == (3, 1)
    assert [number for _, number in found.proposed.open_on][-3:] == [1, 0, 0]
    assert [number for _, number in found.present.open_on][-5:] == [1, 0, 1, 0, 1]


def test_a_surplus_counts_only_at_the_tier_that_the_threshold_is_for(engine: Engine):
    level(engine, 0, 0, 3, 0)
    assert tried(engine, 100, ThresholdKey(AlertKind.SURPLUS, "room")).proposed.opened == 1
    assert tried(engine, 200, ThresholdKey(AlertKind.SURPLUS, "room")).proposed.opened == 0
    assert tried(engine, 100, ThresholdKey(AlertKind.SURPLUS, "central")).proposed.opened == 0


def test_a_stale_shelf_was_open_all_the_month_and_opened_nothing(engine: Engine):
    level(engine, *[0] * 31)
    found = tried(engine, 50, ThresholdKey(AlertKind.STALE))
    assert (found.proposed.opened, found.proposed.open_on[-1][1]) == (0, 1)
    assert tried(engine, 70, ThresholdKey(AlertKind.STALE)).proposed.open_on[-1][1] == 0


@pytest.fixture
def moved(engine: Engine):
    """A copy sent to a place that arrived after 12 days, and one sent 3 days later that never did; nothing else moved there."""
    with engine.begin() as connection:
        now = read_clock(connection).now()
        row = {"source": "s", "sequence": 0, "place_id": "central", "to_place_id": PLACE.id, "state": "in_transit"}
        for copy, days in (("m1", 25), ("m2", 22)):
            at = {"copy_id": copy, "event_id": copy, "occurred_at": now - timedelta(days=days)}
            connection.execute(insert(movements), row | at)
        arrived = {"state": "on_shelf", "place_id": PLACE.id, "to_place_id": None, "event_id": "m1-in"}
        at = {"copy_id": "m1", "occurred_at": now - timedelta(days=13)}
        connection.execute(insert(movements), row | arrived | at)
    yield
    with engine.begin() as connection:
        connection.execute(delete(movements))


def test_copies_under_way_to_a_place_at_once_would_have_been_one_overdue_alert(engine: Engine, moved: None):
    key = ThresholdKey(AlertKind.OVERDUE, PLACE.tier)
    assert tried(engine, 10, key).proposed.opened == 2  # the first had come a day before the second was overdue
    assert tried(engine, 8, key).proposed.opened == 1
    found = tried(engine, 20, key)
    assert (found.proposed.opened, found.present.opened, found.proposed.open_on[-1][1]) == (1, 1, 1)


def test_a_place_that_moved_nothing_for_two_weeks_would_have_been_silent(engine: Engine, moved: None):
    key = ThresholdKey(AlertKind.SILENT, PLACE.tier)
    assert tried(engine, 16, key).proposed.opened == 1
    assert tried(engine, 700, key).proposed.opened == 0


def test_a_threshold_is_tried_set_and_ended_on_the_page_with_who_and_when(engine: Engine, signed_in: SignedIn):
    level(engine, *[0] * 25, -2, 0, -5, 0, -2)
    browser = signed_in("administrator")
    with engine.begin() as connection:
        now = read_clock(connection).now()
        connection.execute(delete(alerts))
        row = {"kind": "shortage", "place_id": PLACE.id, "class": CLASS, "numbers": {}, "changed_at": now}
        connection.execute(insert(alerts), row | {"opened_at": now - timedelta(days=2), "closed_at": now})
    shown = browser.get("/alerts/thresholds/preview", params=THRESHOLD).text
    assert "would have opened 1" in shown
    assert "counted in the same way: 3. Alerts that did open: 1." in shown
    assert browser.post("/alerts/thresholds", data=THRESHOLD).status_code == 303
    assert "below 60% of the least" in browser.get("/alerts/thresholds").text
    assert browser.post("/alerts/thresholds", data=THRESHOLD | {"value": "70"}).status_code == 303
    assert browser.post("/alerts/thresholds/end", data=THRESHOLD).status_code == 303
    assert browser.post("/alerts/thresholds/end", data=THRESHOLD).status_code == 404
    with engine.connect() as connection:
        kept = connection.execute(select(alert_thresholds).order_by(alert_thresholds.c.threshold_id)).all()
    assert [(row.value, row.who, row.ended_by) for row in kept] == [
        (60, "administrator", "administrator"),
        (70, "administrator", "administrator"),
    ]
    assert "低于目标下限的 70%" in browser.get("/alerts/thresholds", headers={"Accept-Language": "zh"}).text


@pytest.mark.parametrize(
    "wrong", [{"value": "101"}, {"value": "0"}, {"kind": "stale"}, {"kind": "late"}, {"tier": "moon"}, {"cls": "none"}]
)
def test_a_threshold_that_cannot_be_is_refused_before_it_is_tried_and_when_it_is_set(
    signed_in: SignedIn, wrong: dict[str, str]
):
    browser = signed_in("administrator")
    assert browser.get("/alerts/thresholds/preview", params=THRESHOLD | wrong).status_code == 422
    assert browser.post("/alerts/thresholds", data=THRESHOLD | wrong).status_code == 422


def test_dispatchers_see_thresholds_and_set_none(signed_in: SignedIn):
    browser = signed_in("dispatcher")
    shown = browser.get("/alerts/thresholds").text
    assert "In force" in shown
    assert "Set a threshold" not in shown
    assert browser.get("/alerts/thresholds/preview", params=THRESHOLD).status_code == 403
    assert browser.post("/alerts/thresholds", data=THRESHOLD).status_code == 403
