"""Automatic approval by policy: what is as usual goes, all else waits with its reason, then as set."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from config import Settings, load
from rotation.facts.clock import standing_at
from rotation.night import approval
from rotation.store.clock import read_clock, set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.tables import day_plans, decisions, runs
from tests import web_city

NETWORK = web_city.demo()
USUAL_CENTS = 40_000


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    """A day of drafts that cost what is usual, after ten days that did."""
    made = engine_of(database)
    with made.begin() as connection:
        web_city.fill(connection, NETWORK, transfers=60, copies_a_level=1)
        sound = {"violations": [], "cost_cents": USUAL_CENTS}
        connection.execute(update(day_plans).values(evaluation=sound))
        row = {"problem": {}, "solution": {}, "evaluation": sound, "status": "done", "unserved": [], "version": 1}
        for hub in hubs(connection):
            for days in range(1, 11):
                day = web_city.DAY - timedelta(days=days)
                more = {"day_plan_id": f"{day}-{hub}", "day": day, "hub_id": hub, "created_at": "2026-03-01T00:00:00Z"}
                connection.execute(insert(day_plans), row | more)
    yield made
    made.dispose()


def hubs(connection: Any) -> list[str]:
    return list(connection.scalars(select(day_plans.c.hub_id).where(day_plans.c.day == web_city.DAY)))


def by_policy(**more: Any) -> Settings:
    return load(data_dir=Path("unused"), approval="policy", **more)


def judge(city: Engine, **more: Any) -> None:
    with city.begin() as connection:
        now = read_clock(connection).now()
        approval.judge(connection, NETWORK, by_policy(**more), web_city.DAY, now)


def said(city: Engine) -> dict[str, set[str]]:
    """Return by decision the reasons."""
    with city.connect() as connection:
        rows = connection.execute(select(decisions.c.what, decisions.c.why).where(decisions.c.who == "policy"))
        found: dict[str, set[str]] = {}
        for what, why in rows:
            found.setdefault(what, set()).add(why)
        return found


def statuses(city: Engine) -> set[str]:
    with city.connect() as connection:
        return set(connection.scalars(select(day_plans.c.status).where(day_plans.c.day == web_city.DAY)))


def test_a_day_as_usual_goes_by_itself_and_says_why_in_both_languages(city: Engine):
    judge(city)
    (why,) = said(city)["approve"]
    assert "the usual is 400.00" in why
    assert "通常" in why
    assert statuses(city) == {"ordered"}


@pytest.mark.parametrize(
    ("evaluation", "settings", "words"),
    [
        ({"violations": [{"cause": "window"}], "cost_cents": USUAL_CENTS}, {}, "breaks limits: 1"),
        ({"violations": [], "cost_cents": int(USUAL_CENTS * 1.3)}, {}, "It costs 520.00"),
        ({"violations": [], "cost_cents": USUAL_CENTS}, {"policy_moves": 3}, "at most 3 go by themselves"),
    ],
)
def test_what_is_not_as_usual_waits_with_its_reason(
    city: Engine, evaluation: dict[str, Any], settings: dict[str, Any], words: str
):
    with city.begin() as connection:
        connection.execute(update(day_plans).where(day_plans.c.day == web_city.DAY).values(evaluation=evaluation))
    judge(city, **settings)
    assert set(said(city)) == {"wait"}
    assert all(words in why for why in said(city)["wait"])
    assert statuses(city) == {"draft"}


def test_what_no_van_takes_and_a_dear_day_within_the_share_do_not_hold_a_plan_up(city: Engine):
    evaluation = {"violations": [{"cause": "unserved"}], "cost_cents": int(USUAL_CENTS * 1.2)}
    with city.begin() as connection:
        connection.execute(update(day_plans).where(day_plans.c.day == web_city.DAY).values(evaluation=evaluation))
    judge(city)
    assert set(said(city)) == {"approve"}


@pytest.mark.parametrize(("then", "status"), [("approve", "ordered"), ("send_back", "sent_back"), ("wait", "draft")])
def test_when_its_time_is_up_a_draft_that_nobody_decided_on_goes_as_set(city: Engine, then: str, status: str):
    judge(city, policy_moves=3)
    settings = by_policy(policy_moves=3, policy_until="07:30", policy_then=then)
    for hour_s, expected in ((7.25 * 3600, "draft"), (7.75 * 3600, status)):
        with city.begin() as connection:
            at = NETWORK.instant(web_city.DAY, int(hour_s))
            set_clock(connection, standing_at(at))
            approval.when_time_is_up(connection, NETWORK, settings, at)
        assert statuses(city) == {expected}
    with city.connect() as connection:
        assert connection.scalar(select(runs.c.status).limit(1)) is not None
