"""The promise that rooms lend no less than before: a weight that rises while they do, and is the promise's price."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.night import loans_guard
from rotation.night.world.world import world
from rotation.store.engine import driver, engine
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

PROMISED = Network.model_validate(NETWORK.model_dump(by_alias=True) | {"floors": {"loans_of_before": {"room": 1.0}}})
LENT_UNTIL_LATELY = [
    fact
    for week in range(30, 10, -2)
    for fact in (
        moved("c1", weeks_ago(week), CopyState.ON_SHELF, "room"),
        moved("c1", weeks_ago(week - 1), CopyState.ON_LOAN, "room"),
    )
]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as connection:
        write(connection, {"c1": "t1"}, LENT_UNTIL_LATELY)
        yield connection


def nights(connection: Connection, first: int, last: int) -> list[float]:
    weights = []
    for night in range(first, last):
        loans_guard.steer(connection, PROMISED, MONDAY + timedelta(days=night))
        weights += [row["weight"] for row in loans_guard.standings(connection)]
    return weights


def test_a_room_that_lends_less_counts_more_each_night_and_never_without_bound(connection: Connection):
    loans_guard.steer(connection, PROMISED, MONDAY - timedelta(weeks=9))  # the promise begins while it lends
    weights = nights(connection, 0, 300)
    assert weights == sorted(weights)
    assert 1 < weights[10] < 1.2
    assert weights[-1] == loans_guard.WEIGHT_MOST
    [room] = loans_guard.standings(connection)
    assert (room["place"], room["lately"]) == ("room", 0)
    assert room["before"] == pytest.approx(10 / 26, rel=0.2)


def test_the_night_and_the_desk_read_the_weights(connection: Connection):
    def guard() -> list[float] | None:
        seen = world(driver(connection), PROMISED, MONDAY, history_weeks=52, loans_per_km=0.03, visited=())
        return None if seen.snapshot.guard is None else seen.snapshot.guard.tolist()

    assert guard() is None
    loans_guard.steer(connection, PROMISED, MONDAY - timedelta(weeks=9))
    nights(connection, 0, 30)
    connection.commit()
    found = guard()
    assert found is not None
    assert found[:2] == [1, 1]
    assert found[2] > 1


def test_without_the_promise_nothing_is_kept(connection: Connection):
    nights(connection, 0, 3)
    loans_guard.steer(connection, NETWORK, MONDAY)
    assert loans_guard.standings(connection) == []
