"""The demonstration's city for ten of its days, by counting: nothing stays on the way.

The whole but Kafka (`city.database_driver`): the worker's writer, the desk, the nights, the orders, and people who do them, with
their late and broken vans and their shelves out of order.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from city.database_driver import Days
from city.model import START, CitySize
from config.settings import load
from rotation.network import Network, PlaceKind, read
from rotation.store.audit import audit
from rotation.store.engine import connect, engine
from rotation.views.status import figures

DEMONSTRATION = read(Path(__file__).parents[3] / "config" / "networks" / "demo.toml")
DAYS = 10
WEEKS = 2  # of history: lanes have run for days before anyone plans
QUARTER = CitySize(
    titles=2_000, copies=16_000, visits_a_week=15_000
)  # of the demonstration's city: a day takes three seconds
ROUTE_S = 0.3  # a search's time; its routes need not be the best
IN_TRANSIT_SHARE = 0.04
RECEIVED_SHARE = 0.99
AT_HUBS = ("unsorted", "unsent", "not_left")
# The audit was clean in every run seen since it looks at a copy's newest journey. The searches of routes end by the clock, so no
# two runs are alike: a van that breaks down twice at one place may leave so many copies past their promise, and nothing else.
STRAGGLERS = {"copies whose leg nobody did by its time", "copies longer on their way than their lane takes"}
MOST_STRAGGLERS = 2
VANLESS, LIBRARY = "gudu-library", "xinbu-library"
CLOSED_DAY = START + timedelta(weeks=WEEKS, days=4)


def as_it_is(network: Network) -> Network:
    return network


def a_hub_without_vans(network: Network) -> Network:
    """One district's places are served by the central hub; the district library still sorts, and no van starts there."""
    vans = [van for van in network.vans if van.hub != VANLESS]
    moved = [
        place.model_copy(update={"parent": "central"} if place.parent == VANLESS else {}) for place in network.places
    ]
    return network.model_copy(update={"vans": tuple(vans), "places": tuple(moved)})


def a_hub_with_nothing_but_vans(network: Network) -> Network:
    """A depot in place of a district library: its vans serve the district and it sorts; it has neither shelves nor readers."""
    library = network.place[LIBRARY]
    depot = library.model_copy(
        update={"id": "depot", "kind": PlaceKind.STORE, "population": 0, "special": {}, "shelf": {}, "hours": {}}
    )
    places = [
        place.model_copy(update={"parent": "depot"} if LIBRARY in (place.id, place.parent) else {}).model_copy(
            update={"hub": None} if place.id == LIBRARY else {}
        )
        for place in network.places
    ]
    vans = [van.model_copy(update={"hub": "depot"} if van.hub == LIBRARY else {}) for van in network.vans]
    return network.model_copy(update={"places": (*places, depot), "vans": tuple(vans)})


def a_closed_day(network: Network) -> Network:
    shut = [place.model_copy(update={"closed": (*place.closed, CLOSED_DAY)}) for place in network.places]
    return network.model_copy(update={"places": tuple(shut)})


@pytest.fixture
def lived(database: str) -> Iterator[Callable[[Network], dict[str, Any]]]:
    begun: list[Days] = []

    def live(network: Network) -> dict[str, Any]:
        own = engine(database)
        days = Days(own, database, network, load(route_seconds=ROUTE_S), weeks=WEEKS, size=QUARTER)
        begun.append(days)
        for _ in range(DAYS):
            days.day()
        days.sweep()
        counted = figures(own, network.timezone, "04:00")
        days.night()  # what vans that broke down on the last evening missed is planned again, or the audit names it
        return counted

    yield live
    for days in begun:
        days.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("change", [as_it_is, a_hub_without_vans, a_hub_with_nothing_but_vans, a_closed_day])
def test_after_ten_days_nothing_stays_on_the_way(
    change: Callable[[Network], Network], lived: Callable[[Network], dict[str, Any]], database: str
):
    network = Network.model_validate(change(DEMONSTRATION).model_dump(by_alias=True))
    found = lived(network)
    way = found["way"]
    assert found["in_transit"]["copies"] <= IN_TRANSIT_SHARE * found["copies"]
    assert [way["waiting"][kind] for kind in AT_HUBS] == [0, 0, 0]
    assert way["placements_over_6_days"] > 0
    assert way["placements_over_6_days_received"] >= RECEIVED_SHARE * way["placements_over_6_days"]
    assert way["sorts_ordered"] == way["sorts_done"] == 2 * DAYS * len(network.hubs)
    assert way["trunks_ordered"] == way["trunks_done"] == DAYS * len(network.hubs) * (len(network.hubs) - 1)
    with connect(database) as connection:
        found_differences = {one.check: one.count for one in audit(connection.cursor(), network.network.timezone)}
    assert found_differences.keys() <= STRAGGLERS
    assert sum(found_differences.values()) <= MOST_STRAGGLERS
