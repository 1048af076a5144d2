"""A small city for tests: the demonstration's 85 places with a twentieth of its stock, and the vans' orders for a day."""

from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest

from city import history
from city.model import START, CitySize
from rotation.network import Network, read

NETWORK = read(Path(__file__).parents[3] / "config" / "networks" / "demo.toml")
SMALL = CitySize(titles=400, copies=3_000, visits_a_week=6_000)
WEEKS = 6  # long enough for a renewal
STOP_S, BETWEEN_STOPS_S = 300, 600


@pytest.fixture(scope="session")
def network() -> Network:
    return NETWORK


def lived(seed: int) -> history.City:
    """Return a city after six weeks of history, of the caller's own."""
    return history.copied(NETWORK, _lived(seed))


@cache
def _lived(seed: int) -> history.City:
    found = history.found(NETWORK, seed, SMALL)
    for _ in history.days(found, WEEKS):
        pass
    return found


def days_orders(day: date) -> list[dict]:
    """Return orders for a day on which one van of each hub comes to every place that receives, and hubs sort and exchange."""
    return [*_sorts(day), *_trunks(day), *(run for hub in NETWORK.hubs for run in _runs(hub.id, day))]


def _at(day: date, second: int) -> str:
    return NETWORK.instant(day, second).isoformat()


def _sorts(day: date) -> list[dict]:
    hours = (5 * 3600, 18 * 3600)
    return [
        {"type": "order.sort", "hub": hub.id, "day": str(day), "at": _at(day, s)} for hub in NETWORK.hubs for s in hours
    ]


def _trunks(day: date) -> list[dict]:
    times = {"departs_at": _at(day, 20 * 3600), "arrives_at": _at(day + timedelta(days=1), 4 * 3600)}
    hubs = [hub.id for hub in NETWORK.hubs]
    lanes = [(a, b) for a in hubs for b in hubs if a != b]
    return [{"type": "order.trunk", "day": str(day), "from_hub": a, "to_hub": b, **times} for a, b in lanes]


def _runs(hub: str, day: date) -> list[dict]:
    places = [p for p in NETWORK.places if NETWORK.hub_of(p.id) == hub and p.id != hub and p.receiving_spans(day)]
    if not places:
        return []
    begins = [8 * 3600 + i * BETWEEN_STOPS_S for i in range(len(places))]
    stops = [
        {
            "position": i,
            "place": place.id,
            "begins_at": _at(day, begin),
            "departs_at": _at(day, begin + STOP_S),
            "deliver": [],
        }
        for i, (place, begin) in enumerate(zip(places, begins, strict=True))
    ]
    van = next(van.id for van in NETWORK.vans if van.hub == hub)
    times = {"departs_at": _at(day, 7 * 3600), "returns_at": _at(day, begins[-1] + 3600)}
    return [
        {"type": "order.run", "run": f"{hub}-{day}", "van": van, "hub": hub, "day": str(day), "stops": stops, **times}
    ]


def day_number(day: date) -> int:
    return (day - START).days
