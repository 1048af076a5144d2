"""The night's world: what stands in the database, as arrays."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Connection

from rotation.movements import State
from rotation.rebalancing.snapshot import State as Planned
from rotation.store.engine import driver, engine
from rotation.store.snapshot import World, world
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

TITLES = {"c1": "t1", "c2": "t1", "c3": "t2"}
FACTS = [
    moved("c1", weeks_ago(20), State.ON_SHELF, "centre"),
    moved("c1", weeks_ago(16), State.ON_LOAN, "centre"),
    moved("c1", weeks_ago(13), State.ON_SHELF, "branch"),
    moved("c2", weeks_ago(10), State.ON_SHELF, "centre"),
    moved("c2", weeks_ago(2), State.IN_TRANSIT, "centre", "room"),
    moved("c3", weeks_ago(90), State.ON_SHELF, "room"),
    moved("c4", weeks_ago(1), State.ON_SHELF, "room"),
]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        write(one, TITLES, FACTS)
        one.commit()
        yield one


@pytest.fixture
def night(connection: Connection) -> World:
    return world(driver(connection), NETWORK, MONDAY, history_weeks=52, visited=NETWORK.place)


def copy_row(night: World, copy: str) -> int:
    return list(night.names.copies).index(copy)


def test_a_copy_in_transit_counts_where_it_goes(night: World):
    row = copy_row(night, "c2")
    assert night.names.places[night.snapshot.copies.place[row]] == "room"
    assert night.snapshot.copies.state[row] == Planned.IN_TRANSIT


def test_an_unlisted_copy_has_no_title(night: World):
    assert night.snapshot.copies.title[copy_row(night, "c4")] == -1


def test_time_on_loan_and_on_the_road_is_no_exposure(night: World):
    seen = night.snapshot.exposure
    at = {
        (night.names.titles[t], night.names.places[p]): (float(loans), float(weeks))
        for t, p, loans, weeks in zip(seen.title, seen.place, seen.loans, seen.shelf_weeks, strict=True)
    }
    loans, weeks = at["t1", "centre"]
    assert 0 < loans < 1  # one loan sixteen weeks ago, discounted
    assert 9 < weeks < 12  # four weeks of c1 and eight of c2, discounted, and nothing of the three on loan
    assert ("t1", "room") not in at


def test_a_copy_that_has_not_moved_for_longer_than_the_history_is_exposed_all_along(night: World):
    seen = night.snapshot.exposure
    room = night.names.place_row["room"]
    weeks = seen.shelf_weeks[(seen.place == room) & (seen.title == night.names.title_row["t2"])]
    assert 42 < float(weeks.sum()) < 46  # 52 weeks, each a week further back weighing a little less


def test_a_copy_knows_when_it_came_and_how_long_nobody_wanted_it(night: World):
    row = copy_row(night, "c1")
    assert float(night.snapshot.copies.arrived_weeks[row]) == pytest.approx(13, abs=0.01)
    assert float(night.snapshot.copies.idle_weeks[row]) == pytest.approx(13, abs=0.01)


def test_rows_follow_the_ids_and_not_the_order_of_writing(night: World):
    assert list(night.names.copies) == sorted(night.names.copies)
    assert night.snapshot.copies.title.dtype == np.int32


def test_an_empty_city_is_an_empty_world(database: str):
    with engine(database).connect() as empty:
        found = world(driver(empty), NETWORK, MONDAY, history_weeks=52, visited=NETWORK.place)
    assert len(found.snapshot.copies) == 0
    assert len(found.snapshot.places) == 3
