"""What if, for the city as it is now: read the night's world once, plan it twice, and tell what differs by the places' names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from config import Settings
from rotation.coverage import Added, changed, reach
from rotation.network import Network, Tier, distance_m
from rotation.planner import nights_world, rebalancing_settings
from rotation.rebalancing.what_if import Change, Lanes, compare, sentences
from rotation.store.clock import read_clock
from rotation.store.snapshot import World


def beside_todays(
    connection: Connection,
    network: Network,
    settings: Settings,
    change: Change,
    *,
    capacity: Mapping[str, float],
    closed: Collection[str] = (),
    added: Sequence[Added] = (),
    moved: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    day: date | None = None,
) -> dict[str, Any]:
    """Plan the day (today, unless another is named) as it is and with `change`; nothing is kept.

    `capacity` says how many times as much a place takes in and gives away, `closed` which places no copy comes to or leaves,
    `added` and `moved` which there are more or elsewhere: what they lend is what their tier lends.

    Raises
    ------
    ValueError
        When a place is not in the network, or a number cannot be.
    """
    other = changed(network, added, moved) if added or moved else network
    for place in (*capacity, *closed):
        if place not in other.place:
            raise ValueError(f"the network has no place {place!r}; see its file for the ids")
    now = read_clock(connection).now()
    on = day or network.day_of(now)
    as_it_is, as_it_would_be = _night(connection, network, settings, now, on), None
    if other is not network:
        as_it_would_be = _night(connection, other, settings, now, on)
    found = as_it_would_be or as_it_is
    row = found.names.place_row
    rows = replace(change, capacity={row[b]: times for b, times in capacity.items()}, closed=[row[b] for b in closed])
    made = compare(
        as_it_is.snapshot, rows, rebalancing_settings(settings, as_it_is.season), settings.seed, other=found.snapshot,
        rows=[row[place] for place in as_it_is.names.places],
    )  # fmt: skip
    chinese, english = sentences(made)
    sides = ((network, as_it_is, made.as_is, ()), (other, found, made.changed, closed))
    told = [
        asdict(side) | asdict(reach(city, shut, lived_in=network)) | {"kilometres": _kilometres(city, night, lanes)}
        for (city, night, side, shut), lanes in zip(sides, made.lanes, strict=True)
    ]
    return {
        "as_is": told[0],
        "changed": told[1],
        "arrivals": {found.names.places[b]: more for b, more in made.arrivals.items()},
        "what": {"zh": chinese, "en": english},
    }


def _night(connection: Connection, network: Network, settings: Settings, now: datetime, on: date) -> World:
    """Read the world, and leave nothing of the reading behind."""
    try:
        return nights_world(connection, network, settings, on, now)
    finally:
        connection.rollback()


def _kilometres(network: Network, night: World, lanes: Lanes) -> float:
    """Return what the moves' copies travel, by the hubs of both ends; a van carries many at once."""
    names = night.names.places
    return round(sum(copies * _lane_km(network, names[a], names[b]) for (a, b), copies in lanes.items()), 1)


def _lane_km(network: Network, origin: str, destination: str) -> float:
    stops = [origin, network.hub_of(origin), network.hub_of(destination), destination]
    located = [network.place[stop] for stop in stops if stop and network.place[stop].located]
    return sum(distance_m(one, other) for one, other in pairwise(located)) / 1000


def capacities(words: Collection[str]) -> dict[str, float]:
    """Read "PLACE=TIMES".

    Raises
    ------
    ValueError
        When a word is none.
    """
    found = {}
    for word in words:
        place, _, times = word.rpartition("=")
        try:
            found[place] = float(times)
        except ValueError:
            raise ValueError(f"expected PLACE=TIMES, as in riverside=1.5, got {word!r}") from None
    return found


def additions(words: Collection[str]) -> list[Added]:
    """Read "ID=LAT,LON" or "ID=LAT,LON,TIER".

    Raises
    ------
    ValueError
        When a word is none.
    """
    found = []
    for word in words:
        place, _, where = word.partition("=")
        try:
            lat, lon, *tier = where.split(",")
            found.append(Added(place, float(lat), float(lon), *(Tier(one) for one in tier[:1])))
        except ValueError:
            raise ValueError(
                f"expected ID=LAT,LON or ID=LAT,LON,TIER, as in east=30.27,120.15,room, got {word!r}"
            ) from None
    return found


def journeys(words: Collection[str]) -> dict[str, tuple[float, float]]:
    """Read "PLACE=LAT,LON".

    Raises
    ------
    ValueError
        When a word is none.
    """
    return {one.id: (one.lat, one.lon) for one in additions(words)}
