"""Whom a network reaches on foot, now and with a place added, moved or closed.

A network file tells how many residents count at each place, not where they live. So they are taken to live around it, denser
near it, as far out as half the way to the next place: a few dozen points a place, each with its share of the residents. Whoever
lives within a quarter of an hour of an open place is reached; everyone counts at the nearest place of the lowest tier.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.network import Network, Place, Tier
from solver.earth import EARTH_RADIUS_M

WALK_M = 870.0  # 15 minutes at 4.5 km/h, by streets a good quarter longer than the crow flies
POINTS = 61  # homes that stand for a place's residents: enough that one home is under 2 % of them
LEAST_SPREAD_M = 400.0  # residents live at least so far out, where places stand wall to wall
GOLDEN = math.pi * (3 - math.sqrt(5))  # angle of a sunflower's seeds: even cover without a grid

Reals = NDArray[np.float64]


class Added(NamedTuple):
    """A place that there is not yet, or not there: the shelf and hours of the first of its tier are taken over."""

    id: str
    lat: float
    lon: float
    tier: Tier = Tier.ROOM
    parent: str | None = None  # default: the nearest place of a higher tier


@dataclass(frozen=True, slots=True)
class Reach:
    """Residents in all and within WALK_M of an open place, and units (townships, villages) that have an open place."""

    residents: int
    within_15_minutes: int
    units: int
    units_served: int


def reach(network: Network, closed: Collection[str] = (), *, lived_in: Network | None = None) -> Reach:
    """Return whom the network reaches; homes are where they are around the places of `lived_in`, if that is another."""
    homes = _homes(lived_in or network)
    is_open = [place for place in network.places if place.located and place.id not in closed]
    near = _metres(homes.at, _coordinates(is_open)).min(axis=1, initial=np.inf) <= WALK_M
    served = [unit for unit in network.units if unit.place and unit.place not in closed]
    total = float(homes.residents.sum())
    return Reach(round(total), round(float(homes.residents[near].sum())), len(network.units), len(served))


def changed(network: Network, added: Sequence[Added], moved: Mapping[str, tuple[float, float]]) -> Network:
    """Return the network with places more and elsewhere, and everyone counted at the nearest place of the lowest tier.

    Raises
    ------
    ValueError
        When a place to be added is there, a place to be moved is not, or the tier has no place to take after.
    """
    known = network.place
    for place in added:
        if place.id in known:
            raise ValueError(f"there is a place {place.id!r} already; a new one needs an id of its own")
    if unknown := sorted(set(moved) - set(known)):
        raise ValueError(f"the network has no place {unknown[0]!r}; see its file for the ids")
    stands = [_moved(place, moved.get(place.id)) for place in network.places]
    other = network.model_copy(update={"places": (*stands, *(_like_its_tier(network, place) for place in added))})
    other = Network.model_validate(other.model_dump(by_alias=True))  # without what was remembered of the old one
    return _counted_anew(other, _homes(network))


def _moved(place: Place, to: tuple[float, float] | None) -> Place:
    return place.model_copy(update={"lat": to[0], "lon": to[1]}) if to else place


def _like_its_tier(network: Network, new: Added) -> Place:
    model = next((place for place in network.places if place.tier == new.tier and place.shelf), None)
    if model is None:
        raise ValueError(f"no place of the tier {new.tier!r} has a shelf that {new.id!r} could take after")
    name = {"zh": new.id, "en": new.id}
    parent = new.parent or _nearest_above(network, new)
    about = {"id": new.id, "name": name, "lat": new.lat, "lon": new.lon, "parent": parent}
    anew = {"population": 0, "special": {}, "hub": None, "closed": ()}
    return Place.model_validate(model.model_dump() | about | anew)


def _nearest_above(network: Network, new: Added) -> str | None:
    order = list(Tier)
    above = [p for p in network.places if p.located and order.index(p.tier) < order.index(new.tier)]
    away = _metres(np.array([[new.lat, new.lon]]), _coordinates(above))[0]
    return above[int(away.argmin())].id if above else None


def _counted_anew(network: Network, homes: "_Homes") -> Network:
    """Count the residents that counted at places of the lowest tier at those that are nearest now."""
    order = list(Tier)
    lowest = max((order.index(place.tier) for place in network.places), default=0)
    at = [place for place in network.places if place.located and order.index(place.tier) == lowest]
    theirs = homes.tier == lowest
    if not at or not theirs.any():
        return network
    nearest = _metres(homes.at[theirs], _coordinates(at)).argmin(axis=1)
    counted = np.bincount(nearest, homes.residents[theirs], len(at)).round().astype(int)
    population = dict(zip((place.id for place in at), counted.tolist(), strict=True))
    places = tuple(p.model_copy(update={"population": population.get(p.id, p.population)}) for p in network.places)
    return network.model_copy(update={"places": places})


# --- Homes --------------------------------------------------------------------------------------------------------------


class _Homes(NamedTuple):
    at: Reals  # H x 2: latitude, longitude
    residents: Reals  # H
    tier: NDArray[np.int64]  # H: of the place that they count at


def _homes(network: Network) -> _Homes:
    """Lay out the residents around their places: a sunflower of points whose density falls off with the distance."""
    places = [place for place in network.places if place.located and place.population]
    where, n = _coordinates(places), np.arange(POINTS) + 0.5
    between = _metres(where, _coordinates([place for place in network.places if place.located]))
    between[between < 1.0] = np.inf  # itself
    spread = np.maximum(between.min(axis=1, initial=np.inf) / 2, LEAST_SPREAD_M)
    spread[~np.isfinite(spread)] = LEAST_SPREAD_M
    radius = (n / POINTS)[None, :] * spread[:, None]  # as many in each ring: denser near the middle
    north, east = radius * np.sin(n * GOLDEN), radius * np.cos(n * GOLDEN)
    degree_m = math.radians(1) * EARTH_RADIUS_M
    lat = where[:, :1] + north / degree_m
    lon = where[:, 1:] + east / (degree_m * np.cos(np.radians(where[:, :1])))
    residents = np.repeat(np.array([place.population for place in places], np.float64) / POINTS, POINTS)
    tier = np.repeat(np.array([list(Tier).index(place.tier) for place in places], np.int64), POINTS)
    return _Homes(np.stack([lat.ravel(), lon.ravel()], axis=1), residents, tier)


def _coordinates(places: Sequence[Place]) -> Reals:
    return np.array([(place.lat, place.lon) for place in places], np.float64).reshape(-1, 2)


def _metres(one: Reals, other: Reals) -> Reals:
    """Return distances, N x M: flat over so few kilometres."""
    degree_m = math.radians(1) * EARTH_RADIUS_M
    north = one[:, None, 0] - other[None, :, 0]
    east = (one[:, None, 1] - other[None, :, 1]) * np.cos(np.radians(one[:, None, 0]))
    return np.asarray(np.hypot(north, east) * degree_m)
