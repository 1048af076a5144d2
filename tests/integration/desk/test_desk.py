"""The desk: one answer for a copy in hand, as a transfer, the same when asked again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, update

from config import load
from rotation.clock import standing_at
from rotation.desk import Desk, UnknownCopy, UnknownPlace
from rotation.planner import plan_night
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.store.tables import copies, holds, transfers
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    write,
)

TITLES = {f"c{number}": f"t{number % 3}" for number in range(1, 10)}
SETTINGS = load(data_dir=Path("unused"), route_seconds=0.3, moves_per_day=20)


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    at = engine(database)
    with at.begin() as connection:
        write(connection, TITLES, [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_CENTRE])
        set_clock(connection, standing_at(MONDAY))
    yield at
    at.dispose()


@pytest.fixture
def desk(city: Engine) -> Desk:
    return Desk(city, NETWORK, SETTINGS)


def test_without_a_night_a_copy_goes_home(desk: Desk):
    answer = desk.place("c1", "room")
    assert (answer.to, answer.reason["code"]) == ("centre", "goes_home")


def test_the_answer_is_a_transfer_and_the_same_question_finds_it_again(desk: Desk, city: Engine):
    first, second = desk.place("c1", "room"), desk.place("c1", "room")
    assert first == second
    with city.connect() as connection:
        (row,) = connection.execute(select(transfers)).all()
    assert (row.transfer_id, row.status, row.from_place_id, row.to_place_id) == (
        first.transfer,
        "ordered",
        "room",
        "centre",
    )


def test_a_copy_that_stays_has_no_transfer(desk: Desk, city: Engine):
    assert desk.place("c2", "centre").transfer is None
    with city.connect() as connection:
        assert connection.execute(select(transfers)).all() == []


def test_a_reader_who_waits_comes_before_everything(desk: Desk, city: Engine):
    hold = {
        "hold_id": "h", "occurred_at": MONDAY - timedelta(days=1), "sequence": 0, "source": "test", "event_id": "h",
        "type": "hold.placed", "title_id": "t1", "place_id": "branch",
    }  # fmt: skip
    with city.begin() as connection:
        connection.execute(insert(holds), hold)
    assert desk.place("c1", "room").to == "branch"
    assert desk.place("c4", "room").to != "branch"  # of the same title: the one hold is on its way already


def test_after_a_night_a_copy_stays_where_it_is_read(desk: Desk, city: Engine):
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    answer = desk.place("c1", "room")
    assert (answer.to, answer.reason["code"]) == ("room", "stays")
    assert answer.reason["value_there"] > 0.5  # one copy that a loan a month finds on the shelf, over eight weeks


def test_a_copy_nobody_wants_here_goes_where_it_is_read(desk: Desk, city: Engine):
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    answer = desk.place("c7", "centre")  # a second copy of the title that the room lends every month
    assert answer.to in {"room", "branch"}
    assert answer.gain_loans > 0


def test_reference_stock_goes_home_whatever_the_prices_say(desk: Desk, city: Engine):
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id == "c1").values(fixed=True))
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    assert desk.place("c1", "room").to == "centre"


def test_what_was_never_heard_of_is_told_so(desk: Desk):
    with pytest.raises(UnknownCopy):
        desk.place("nobody", "room")
    with pytest.raises(UnknownPlace):
        desk.place("c1", "nowhere")
