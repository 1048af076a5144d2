"""The desk's rule measured against the library system's own, held back by place and week, or only watched (shadow)."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, delete, insert, select

from rotation.facts.clock import standing_at
from rotation.facts.movements import CopyState
from rotation.hands.desk import Desk
from rotation.night import placement_uplift
from rotation.night.moves import nights_world
from rotation.night.placement_uplift import PlaceWeek, effect
from rotation.night.run import plan_night
from rotation.store import city_settings
from rotation.store.clock import set_clock
from rotation.store.desk_answers import AnsweredBy, answered_by, lot
from rotation.store.engine import engine
from rotation.store.tables import copies, desk_answers, movements, transfers
from rotation.views import desk_shadow
from tests.integration.desk.test_desk import SETTINGS, TITLES, settings
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    write,
)

HELD_BACK, RULED = 0.999_999, 1e-9  # shares at which chance is certain
TODAY = MONDAY.date()


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    """A night has been planned whose prices keep c1 in the room; its home is the centre."""
    at = engine(database)
    with at.begin() as connection:
        write(connection, TITLES, [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_CENTRE])
        set_clock(connection, standing_at(MONDAY))
    plan_night(at, NETWORK, SETTINGS, TODAY)
    yield at
    at.dispose()


def desk(city: Engine, **changes: Any) -> Desk:
    made = Desk(city, NETWORK, settings(**changes))
    made.refresh()
    return made


def kept(city: Engine) -> list[tuple[str, ...]]:
    answer = desk_answers.c
    with city.connect() as connection:
        rows = connection.execute(
            select(answer.copy_id, answer.answered_by, answer.desk_to, answer.own_to, answer.code)
        )
        return [tuple(row) for row in rows]


# --- By which rule ----------------------------------------------------------------------------------------------------------


def test_a_place_keeps_its_lot_for_a_week_and_shares_come_out_as_set():
    sunday = TODAY + timedelta(days=6)
    assert lot(1, "room", TODAY) == lot(1, "room", sunday) != lot(1, "room", sunday + timedelta(days=1))
    assert len({lot(1, "room", TODAY), lot(1, "centre", TODAY), lot(2, "room", TODAY)}) == 3
    chosen, weeks = settings(desk_held_back_share=0.2), [TODAY + timedelta(weeks=week) for week in range(200)]
    rules = [answered_by(chosen, place, week) for place in ("centre", "branch", "room") for week in weeks]
    assert rules.count(AnsweredBy.OWN_RULE) / len(rules) == pytest.approx(0.2, abs=0.05)
    assert answered_by(SETTINGS, "room", TODAY) is None


@pytest.mark.parametrize(
    ("changes", "to", "by"),
    [
        ({"desk_held_back_share": HELD_BACK}, "centre", "own_rule"),
        ({"desk_held_back_share": RULED}, "room", "desk_rule"),
        ({"desk_mode": "shadow"}, "centre", "shadow"),
    ],
)
def test_the_rule_that_answers_acts_and_both_answers_are_kept_once(
    city: Engine, changes: dict[str, Any], to: str, by: str
):
    asked = desk(city, **changes)
    assert asked.place("c1", "room") == (first := asked.place("c1", "room"))
    assert (first.to, first.transfer is None) == (to, to == "room")
    assert kept(city) == [("c1", by, "room", "centre", "stays")]


def test_nothing_is_kept_while_nothing_is_measured(city: Engine):
    assert desk(city).place("c1", "room").to == "room"
    assert kept(city) == []


def test_a_copy_held_back_counts_where_it_goes_for_the_next_answer(city: Engine):
    asked = desk(city, desk_mode="shadow")
    asked.place("c7", "centre")  # stays; the desk's rule wants it elsewhere
    asked.place("c4", "centre")  # of the same title: were c7 away, the rule would not send this one after it
    answers = [desk_to for _, _, desk_to, *_ in sorted(kept(city))]
    assert answers[0] == answers[1] != "centre"


def test_the_desk_heeds_the_city_s_setting_at_the_next_answer(city: Engine):
    asked = desk(city)
    with city.begin() as connection:
        city_settings.change(connection, SETTINGS, "desk_mode", "shadow", "li")
    assert asked.place("c1", "room").to == "centre"


# --- Rest -------------------------------------------------------------------------------------------------------------------


def answer(copy: str, by: str, at: datetime = MONDAY, place: str = "room", **more: str) -> dict[str, Any]:
    said = {"desk_to": "room", "own_to": "centre", "code": "stays", "title_id": TITLES.get(copy, f"title-{copy}")}
    return {"copy_id": copy, "place_id": place, "day": at.date(), "at": at, "answered_by": by} | said | more


@pytest.mark.parametrize(("by", "rests"), [("own_rule", True), ("desk_rule", True), ("shadow", False)])
def test_measured_copies_rest_on_their_shelf_until_the_horizon_is_over(city: Engine, by: str, rests: bool):
    with city.begin() as connection:
        old = MONDAY - timedelta(weeks=SETTINGS.horizon_weeks, hours=1)
        connection.execute(insert(desk_answers), [answer("c2", by), answer("c3", by, old), answer("c1", by)])
        connection.execute(delete(transfers))  # the night's own
        found = nights_world(connection, NETWORK, SETTINGS, TODAY, MONDAY)
    fixed = [bool(found.snapshot.copies.fixed[found.names.copy_row[copy]]) for copy in ("c2", "c3", "c1")]
    assert fixed == [rests, False, False]  # c1 is lent


# --- What it brought --------------------------------------------------------------------------------------------------------


def lent(copy: str, at: datetime, place: str = "room") -> dict[str, Any]:
    row = {"sequence": 0, "source": "test", "event_id": f"{copy}{at}", "state": CopyState.ON_LOAN, "place_id": place}
    return {"copy_id": copy, "occurred_at": at} | row


Rows = list[dict[str, Any]]


def measured_weeks(number: int) -> tuple[Rows, Rows]:
    """Two copies a place-week. By the desk's rule both are lent, one of them twice; else one, once."""
    answers, loans = [], []
    for week in range(number):
        at = MONDAY - timedelta(weeks=20 + week)
        for rule, times in (("desk_rule", (2, 1)), ("own_rule", (1, 0))):
            for nth, lends in enumerate(times):
                copy = f"{rule}-{week}-{nth}"
                answers.append(answer(copy, rule, at, place=f"place-{rule}"))
                loans += [lent(copy, at + timedelta(weeks=loan, hours=1)) for loan in range(lends)]
                loans.append(lent(copy, at + timedelta(weeks=9)))  # after the horizon
    return answers, loans


def write_measured(connection: Connection, answers: Rows, loans: Rows) -> None:
    """Write answers and loans, and for each answer its copy and another of its title."""
    about = {"occurred_at": MONDAY, "source": "test", "event_id": "e", "state": "on_shelf", "place_id": "room"}
    stock = [
        about | {"copy_id": f"{other}{one['copy_id']}", "title_id": one["title_id"]}
        for one in answers
        for other in ("", "other-")
    ]
    connection.execute(insert(desk_answers), answers)
    connection.execute(insert(movements), loans)
    connection.execute(insert(copies), stock)


def test_the_effect_counts_copies_of_place_weeks_and_with_all_copies_of_their_titles(city: Engine):
    answers, loans = measured_weeks(30)
    held_back = [one for one in answers if one["answered_by"] == "own_rule"]  # whose other copies lend as much again
    loans += [lent(f"other-{one['copy_id']}", one["at"] + timedelta(weeks=1)) for one in held_back]
    with city.begin() as connection:
        write_measured(connection, answers, loans)
        connection.execute(insert(desk_answers), answer("c2", "shadow", answers[0]["at"]))
        found = placement_uplift.measured(connection, weeks=8, now=MONDAY)
        placement_uplift.keep(connection, weeks=8, now=MONDAY)
        assert placement_uplift.last(connection) == found
    assert found is not None
    assert (found.place_weeks, found.held_back) == (30, 30)
    assert (found.of_copies.desk_rule, found.of_copies.own_rule) == (1.5 / 8, 0.5 / 8)
    assert (found.of_copies.a_copy_week, found.of_copies.half_width) == (1 / 8, 0)
    assert found.of_titles.a_copy_week == 0.0  # 3 loans by the desk's rule, 1 and 2 of the others else


@pytest.mark.parametrize(
    ("number", "weeks_before", "is_told"), [(30, 0, True), (29, 0, False), (30, 12, True), (30, 13, False)]
)
def test_nothing_is_told_of_too_few_place_weeks_or_before_their_horizon(
    city: Engine, number: int, weeks_before: int, is_told: bool
):
    with city.begin() as connection:
        write_measured(connection, *measured_weeks(number))
        now = MONDAY - timedelta(weeks=weeks_before)
        assert (placement_uplift.measured(connection, weeks=8, now=now) is not None) is is_told


def simulated(seed: int, uplift: float, place_weeks: int = 400, held_back: float = 0.3) -> placement_uplift.Effect:
    """Place-weeks of uneven size and pull, in which the desk's rule multiplies the loans of each copy."""
    random = np.random.default_rng(seed)
    sides: tuple[list[PlaceWeek], list[PlaceWeek]] = ([], [])
    for _ in range(place_weeks):
        copies_placed, is_held_back = 1 + random.poisson(random.gamma(2, 15)), random.random() < held_back
        rate = 0.8 * random.gamma(6, 1 / 6) * (1.0 if is_held_back else 1.0 + uplift)
        sides[is_held_back].append(PlaceWeek(int(copies_placed), int(random.poisson(rate * copies_placed))))
    found = effect(*sides, weeks=8)
    assert found is not None
    return found


def test_the_interval_holds_a_known_uplift_about_as_often_as_it_says():
    truth = 0.8 * 0.25 / 8
    found = [simulated(seed, 0.25) for seed in range(60)]
    holding = sum(abs(one.a_copy_week - truth) <= one.half_width for one in found)
    assert holding >= 53  # 95 %: 57 of 60; 52 or fewer once in seventy
    assert np.mean([one.a_copy_week for one in found]) == pytest.approx(truth, rel=0.1)
    assert np.mean([one.half_width for one in found]) < 2 * truth  # no interval that holds everything


# --- Shadow -----------------------------------------------------------------------------------------------------------------


def test_watched_answers_are_compared_with_where_the_copies_were_lent_next(city: Engine):
    yesterday, ago = MONDAY - timedelta(days=1), MONDAY - timedelta(weeks=9)
    same = {"desk_to": "centre", "code": "goes_home"}
    answers = [answer(f"s{nth}", "shadow", yesterday) for nth in range(4)]
    answers += [answer("same", "shadow", yesterday, **same), answer("old", "shadow", ago), answer("m", "desk_rule")]
    places = ("room", "centre", "branch")
    with city.begin() as connection:
        connection.execute(insert(desk_answers), answers)
        loans = [lent(f"s{nth}", yesterday + timedelta(hours=2), place) for nth, place in enumerate(places)]
        loans += [lent("s0", yesterday + timedelta(hours=9), "branch"), lent("s3", yesterday - timedelta(hours=1))]
        connection.execute(insert(movements), loans)
        found = desk_shadow.watched(connection, weeks=8, now=MONDAY)
    assert found == [
        desk_shadow.Watched("room", "stays", 4, 4, 1, 1, 1, 1),
        desk_shadow.Watched("room", "goes_home", 1, 0, 0, 0, 0, 0),
    ]


def test_in_shadow_readers_who_wait_and_transfers_go_on(city: Engine):
    desk(city, desk_mode="shadow").place("c1", "room")
    with city.connect() as connection:
        rows = connection.execute(select(transfers.c.to_place_id, transfers.c.reason)).all()
    assert [tuple(row) for row in rows if row.to_place_id == "centre"] == [("centre", {"code": "goes_home"})]


def test_the_day_of_an_answer_is_the_network_s(city: Engine):
    with city.begin() as connection:
        set_clock(connection, standing_at(MONDAY.replace(hour=20)))  # Tuesday in Shanghai
    desk(city, desk_mode="shadow").place("c1", "room")
    with city.connect() as connection:
        assert connection.scalars(select(desk_answers.c.day)).all() == [date(2026, 3, 3)]
