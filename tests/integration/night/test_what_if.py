"""What if, on a city's database: two plans of the same night, told by the places' names, and nothing kept of either."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from config import load
from rotation.facts.clock import standing_at
from rotation.night.coverage import Added, changed, reach
from rotation.night.what_if import NewPlace, PlaceSite, WhatIf, additions, beside_todays, capacities
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.store.tables import plans, transfers
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    write,
)

SETTINGS = load(data_dir=Path("unused"), moves_per_day=20)


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    at = engine(database)
    with at.begin() as connection:
        facts = [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_CENTRE]
        write(connection, {f"c{number}": f"t{number % 3}" for number in range(1, 10)}, facts)
        set_clock(connection, standing_at(MONDAY))
    yield at
    at.dispose()


def beside(city: Engine, **places: Any) -> dict[str, Any]:
    with city.connect() as connection:
        return beside_todays(connection, NETWORK, SETTINGS, WhatIf(move_price=0.0, **places))


def test_a_change_is_told_by_the_places_names_and_nothing_is_kept(city: Engine):
    free, shut = beside(city), beside(city, capacity={"branch": 0}, closed=["room"])
    assert free["changed"]["moves"] > free["as_is"]["moves"]
    assert set(free["arrivals"]) <= {"room", "branch", "centre"}
    assert shut["changed"]["moves"] == 0
    assert f"{free['changed']['moves']:d} in all" in free["what"]["en"]
    with city.connect() as connection:
        assert connection.execute(select(plans)).all() == connection.execute(select(transfers)).all() == []


def test_a_place_more_gets_copies_and_whom_it_reaches_is_told(city: Engine):
    """The new room stands where nobody lives near a place yet, and takes over part of the room's residents."""
    lane, branch = NewPlace(id="lane", lat=30.034, lon=120.056), PlaceSite(id="branch", lat=30.021, lon=120.031)
    found = beside(city, added=[lane], moved=[branch])
    assert found["changed"]["residents"] == found["as_is"]["residents"] == 10_000
    other = changed(NETWORK, [Added("lane", 30.034, 120.056)], {"branch": (30.021, 120.031)})
    assert found["changed"]["within_15_minutes"] == reach(other, lived_in=NETWORK).within_15_minutes
    assert found["arrivals"]["lane"] > 0
    assert found["changed"]["kilometres"] > 0
    with pytest.raises(ValueError, match="no place 'moon'"):
        beside(city, moved=[PlaceSite(id="moon", lat=30.0, lon=120.0)])
    assert additions(["lane=30.1,120.2,room"]) == [NewPlace(id="lane", lat=30.1, lon=120.2)]
    with pytest.raises(ValueError, match="expected ID=LAT,LON"):
        additions(["lane=here"])


def test_a_place_that_is_not_there_and_a_capacity_that_is_none_are_refused(city: Engine):
    with pytest.raises(ValueError, match="no place 'moon'"):
        beside(city, closed=["moon"])
    with pytest.raises(ValueError, match="expected PLACE=TIMES"):
        capacities(["room:2"])
    assert capacities(["room=2", "branch=0.5"]) == {"room": 2.0, "branch": 0.5}
