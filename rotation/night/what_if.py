"""A what-if request for the city as it is now, answered by planning the night twice and naming the differences by place."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from config import Settings
from rotation.network import Network, Tier, distance_m
from rotation.night.coverage import Added, changed, reach
from rotation.night.moves import nights_world
from rotation.night.settings import rebalancing_settings
from rotation.night.world.world import NightWorld
from rotation.rebalancing.what_if import Change, Lanes, compare, sentences
from rotation.store.clock import read_clock

# Infinity is no amount, and beyond a million loans, or times, sums lose their digits.
Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL's text holds anything else


class PlaceSite(BaseModel):
    """Where a place is, or would be."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=200, pattern=NO_NUL)
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)


class NewPlace(PlaceSite):
    """A place that does not exist yet."""

    tier: Tier = Tier.ROOM


class WhatIf(BaseModel):
    """The differences to try; a field that is left out stays as it is. Page, API and command line all ask by this request."""

    model_config = ConfigDict(extra="forbid")

    moves: int | None = Field(default=None, ge=0, le=1_000_000, description="Moves per day")
    move_price: Amount | None = Field(default=None, description="Loans that a move must bring beyond its costs")
    equity: Amount | None = Field(default=None, description="Alpha of the equity weights")
    fresh_bonus: Amount | None = Field(default=None, description="Value of a fresh copy under a quota, in loans")
    floor_bonus: Amount | None = Field(default=None, description="Value of a copy on a special shelf, in loans")
    capacity: dict[str, Amount] = Field(
        default={}, max_length=1000, description="Factor by which a place takes in and gives away more copies"
    )
    closed: list[str] = Field(default=[], max_length=1000, description="Places that copies neither enter nor leave")
    added: list[NewPlace] = Field(default=[], max_length=100, description="New places")
    moved: list[PlaceSite] = Field(default=[], max_length=100, description="Other sites for places")

    @property
    def empty(self) -> bool:
        """Whether nothing would be different."""
        return self == WhatIf()


def question(**fields: Any) -> WhatIf:
    """Return the request of these fields.

    Raises
    ------
    ValueError
        When a field has a value that cannot be; the message is a sentence.
    """
    try:
        return WhatIf(**fields)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(map(str, wrong["loc"]))
        raise ValueError(f"{name} {wrong['input']!r}: {wrong['msg'][:1].lower()}{wrong['msg'][1:]}") from None


def beside_todays(
    connection: Connection, network: Network, settings: Settings, asked: WhatIf, *, day: date | None = None
) -> dict[str, Any]:
    """Plan the day (default: today) as it is and as asked; nothing is kept.

    Added and moved places lend as their tier does.

    Raises
    ------
    ValueError
        When a place is not in the network, or a number cannot be.
    """
    other = _other_network(network, asked)
    for place in (*asked.capacity, *asked.closed):
        if place not in other.place:
            raise ValueError(f"the network has no place {place!r}; see its file for the ids")
    now = read_clock(connection).now()
    on = day or network.day_of(now)
    as_it_is = as_it_would_be = _night(connection, network, settings, now, on)
    if other is not network:
        as_it_would_be = _night(connection, other, settings, now, on)
    row = as_it_would_be.names.place_row
    made = compare(
        as_it_is.snapshot,
        _change(asked, row),
        rebalancing_settings(settings, as_it_is.season),
        settings.seed,
        other=as_it_would_be.snapshot,
        rows=[row[place] for place in as_it_is.names.places],
    )
    chinese, english = sentences(made)
    sides = ((network, as_it_is, made.as_is, ()), (other, as_it_would_be, made.changed, asked.closed))
    as_is, would_be = [
        asdict(side) | asdict(reach(city, closed, lived_in=network)) | {"kilometres": _kilometres(city, night, lanes)}
        for (city, night, side, closed), lanes in zip(sides, made.lanes, strict=True)
    ]
    return {
        "as_is": as_is,
        "changed": would_be,
        "arrivals": {as_it_would_be.names.places[b]: more for b, more in made.arrivals.items()},
        "what": {"zh": chinese, "en": english},
    }


def _other_network(network: Network, asked: WhatIf) -> Network:
    if not asked.added and not asked.moved:
        return network
    added = [Added(site.id, site.lat, site.lon, site.tier) for site in asked.added]
    return changed(network, added, {site.id: (site.lat, site.lon) for site in asked.moved})


def _change(asked: WhatIf, row: Mapping[str, int]) -> Change:
    """Return the change in the planner's words, by the rows of the world that would be."""
    return Change(
        asked.moves,
        asked.move_price,
        asked.equity,
        asked.fresh_bonus,
        asked.floor_bonus,
        capacity={row[place]: times for place, times in asked.capacity.items()},
        closed=[row[place] for place in asked.closed],
    )


def _night(connection: Connection, network: Network, settings: Settings, now: datetime, on: date) -> NightWorld:
    """Read the world, and leave nothing of the reading behind."""
    try:
        return nights_world(connection, network, settings, on, now)
    finally:
        connection.rollback()


def _kilometres(network: Network, night: NightWorld, lanes: Lanes) -> float:
    """Return how far the moves' copies travel by way of the hubs of both ends; a van carries many at once."""
    names = night.names.places
    return round(sum(copies * _lane_km(network, names[a], names[b]) for (a, b), copies in lanes.items()), 1)


def _lane_km(network: Network, origin: str, destination: str) -> float:
    stops = [origin, network.hub_of(origin), network.hub_of(destination), destination]
    located = [network.place[stop] for stop in stops if stop and network.place[stop].located]
    return sum(distance_m(here, there) for here, there in pairwise(located)) / 1000


def capacities(words: Collection[str]) -> dict[str, float]:
    """Read words of the form "PLACE=TIMES".

    Raises
    ------
    ValueError
        When a word has another form.
    """
    factors = {}
    for word in words:
        place, _, times = word.rpartition("=")
        try:
            factors[place] = float(times)
        except ValueError:
            raise ValueError(f"expected PLACE=TIMES, as in riverside=1.5, got {word!r}") from None
    return factors


def additions(words: Collection[str]) -> list[NewPlace]:
    """Read words of the form "ID=LAT,LON" or "ID=LAT,LON,TIER".

    Raises
    ------
    ValueError
        When a word has another form.
    """
    return [NewPlace(**_site(word)) for word in words]


def journeys(words: Collection[str]) -> list[PlaceSite]:
    """Read words of the form "PLACE=LAT,LON".

    Raises
    ------
    ValueError
        When a word has another form.
    """
    return [PlaceSite(**{name: value for name, value in _site(word).items() if name != "tier"}) for word in words]


def _site(word: str) -> dict[str, Any]:
    place, _, where = word.partition("=")
    try:
        lat, lon, *tier = where.split(",")
        site = NewPlace(id=place, lat=float(lat), lon=float(lon), tier=Tier(*tier[:1] or (Tier.ROOM,)))
    except ValueError:
        raise ValueError(
            f"expected ID=LAT,LON or ID=LAT,LON,TIER, as in east=30.27,120.15,room, got {word!r}"
        ) from None
    return site.model_dump()
