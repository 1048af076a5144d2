"""A backtest on a small imported history: told beside what came, and methods beside each other."""

from collections.abc import Iterator
from datetime import timedelta
from xml.etree import ElementTree

import numpy as np
import pytest
from sqlalchemy import Connection, update

from config import load
from rotation.facts.movements import CopyState, Movement
from rotation.night.backtest import backtest
from rotation.store.engine import engine
from rotation.store.tables import movements
from rotation.views.backtest_chart import picture
from tests.integration.night.small_city import MONDAY, NETWORK, moved, write

WEEKS, HISTORY, LOAN_WEEKS, TITLES = 8, 60, 2.0, 120
RATE = {"centre": 0.30, "branch": 0.12, "room": 0.04}  # loans a week on the shelf


def lives(draw: np.random.Generator, copy: str, place: str, factor: float) -> list[Movement]:
    """Let a copy be lent, and come back to its place, until today."""
    week, facts = -float(HISTORY), [moved(copy, MONDAY - timedelta(weeks=HISTORY), CopyState.ON_SHELF, place)]
    state = CopyState.ON_LOAN
    while (week := week + (draw.exponential(1 / (RATE[place] * factor)) if state is CopyState.ON_LOAN else 2.0)) < 0:
        facts.append(moved(copy, MONDAY + timedelta(weeks=week), state, place))
        state = CopyState.ON_SHELF if state is CopyState.ON_LOAN else CopyState.ON_LOAN
    return facts


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    draw = np.random.default_rng(7)
    factor = draw.gamma(1, 1, TITLES)
    copies = {f"{place}-{t}": (f"t{t}", place) for t in range(TITLES) for place in RATE}
    facts = [
        fact
        for copy, (title, place) in copies.items()
        for fact in lives(draw, copy, place, 0.1 + factor[int(title[1:])])
    ]
    with engine(database).connect() as connection:
        write(connection, {copy: title for copy, (title, _) in copies.items()}, facts)
        connection.commit()
        yield connection


def test_what_the_night_believed_is_told_beside_what_came_and_beside_other_methods(connection: Connection):
    outcome = backtest(connection, NETWORK, load(), MONDAY, WEEKS)
    assert outcome["history_weeks"] == pytest.approx(HISTORY - WEEKS, abs=0.1)
    assert outcome["pairs"] > 0.9 * TITLES * len(RATE)
    total = {method["method"]: method for method in outcome["methods"]}
    assert total["ours"]["told"] == pytest.approx(outcome["loans"], rel=0.15)
    assert outcome["methods"][0]["method"] == "ours"
    assert set(total) == {"ours", "croston", "tsb", "last year", "plain rate of the class"}
    tiers = {group["name"]: group for group in outcome["groups"] if group["group"] == "tier"}
    assert tiers["central"]["loans"] > tiers["room"]["loans"] > 0
    assert all(group["low"] < 1 < group["high"] for group in tiers.values())
    assert sum(group["loans"] for group in tiers.values()) == pytest.approx(outcome["loans"])
    assert {group["name"] for group in outcome["groups"] if group["group"] == "age"} == {"older"}


def test_the_fit_sees_nothing_of_the_weeks_held_out(connection: Connection):
    before = backtest(connection, NETWORK, load(), MONDAY, WEEKS)
    held_out = MONDAY - timedelta(weeks=WEEKS)
    connection.execute(
        update(movements).where(movements.c.occurred_at > held_out).values(place_id="room", state=CopyState.MISSING)
    )
    after = backtest(connection, NETWORK, load(), MONDAY, WEEKS)
    assert after["loans"] < 0.5 * before["loans"]
    assert [after[name] for name in ("pair_loans", "hold_share", "fading")] == [
        before[name] for name in ("pair_loans", "hold_share", "fading")
    ]


def test_the_picture_has_a_row_for_each_group(connection: Connection):
    outcome = backtest(connection, NETWORK, load(), MONDAY, WEEKS)
    drawn = ElementTree.fromstring(picture(outcome))
    circles = drawn.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(outcome["groups"])


def test_a_history_too_short_is_refused_in_a_sentence(connection: Connection):
    with pytest.raises(ValueError, match="does not reach back"):
        backtest(connection, NETWORK, load(), MONDAY - timedelta(weeks=HISTORY - 5), WEEKS)
