"""A city's promises to its places, in copies: how many fresh copies are due by a day's end, and how full special shelves are.

A quarter's promise is kept at an even pace: today's quota is the number due by tonight minus the number that came since the
quarter began. A room that is visited twice a week therefore catches up on its days, and a bad week is made up later.
"""

import calendar
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from rotation.network import Floors, Network, Place

Known = Mapping[str, float | None]  # figures by id; None: named somewhere, and not known


@dataclass(frozen=True, slots=True)
class Unset:
    """A floor that names a figure that is not known."""

    floor: str
    figure: str


def fresh_due(network: Network, known: Known, day: date) -> dict[str, int]:
    """Return how many fresh copies each place should have had in this quarter by the end of a day, where any."""
    share = quarter_share(day)
    due = {place.id: math.ceil(_a_quarter(network.floors, known, place) * share - 1e-9) for place in network.places}
    return {place: copies for place, copies in due.items() if copies}


def special_shelves(network: Network, known: Known) -> dict[tuple[str, str], int]:
    """Return how many copies the shelf of each special group's class should hold, by place and class."""
    share = _value(network.floors.special_shelf_share, known)
    special = {title_class.id for title_class in network.classes if title_class.special_group}
    floors = {
        (place.id, cls): math.floor(room * min(share, 1.0))
        for place in network.places
        for cls, room in place.shelf.items()
        if cls in special
    }
    return {key: copies for key, copies in floors.items() if copies}


def unset(network: Network, known: Known) -> list[Unset]:
    """Return the floors that name a figure without a value, or none that there is."""
    return [
        Unset(name, figure)
        for name, figure in _named(network.floors)
        if isinstance(figure, str) and known.get(figure) is None
    ]


def quarter_began(day: date) -> date:
    """Return the first day of a day's quarter."""
    return date(day.year, day.month - (day.month - 1) % 3, 1)


def quarter_share(day: date) -> float:
    """Return the share of its quarter that is over when a day ends."""
    began = quarter_began(day)
    last = date(day.year, began.month + 2, calendar.monthrange(day.year, began.month + 2)[1])
    return ((day - began).days + 1) / ((last - began).days + 1)


def _a_quarter(floors: Floors, known: Known, place: Place) -> float:
    """Return the fresh copies that a place is promised a quarter."""
    per_1000 = _value(floors.fresh_per_1000_quarter.get(place.tier), known)
    return per_1000 * place.population / 1000 + _value(floors.fresh_per_quarter.get(place.tier), known)


def _value(figure: float | str | None, known: Known) -> float:
    return (known.get(figure) or 0.0) if isinstance(figure, str) else (figure or 0.0)


def _named(floors: Floors) -> Iterator[tuple[str, float | str | None]]:
    for name in ("fresh_per_1000_quarter", "fresh_per_quarter", "loans_of_before"):
        yield from ((f"{name}.{tier}", figure) for tier, figure in getattr(floors, name).items())
    yield "special_shelf_share", floors.special_shelf_share
    yield "holdings_per_head", floors.holdings_per_head
