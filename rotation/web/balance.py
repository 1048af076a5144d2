"""Where stock is short and where it is in surplus: what stands on each shelf against its targets. Read by page and API."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from sqlalchemy import Connection, text

from rotation.network import Network

SHORTAGE, SURPLUS = "shortage", "surplus"
KEPT_S = 1.5  # less than live.GAP_S of levels, so that each live update sees a new count
Key = tuple[str, str, str]  # tier, class, kind


@dataclass(frozen=True, slots=True)
class Level:
    """Copies of a class on the shelf of a place, on their way to it, and the levels between which it is in balance.

    `beyond` are the copies below `low` (negative) or above `high` (positive); 0: in balance.
    """

    place_id: str
    title_class: str
    tier: str
    on_shelf: int
    coming: int
    low: int
    high: int
    beyond: int

    @property
    def kind(self) -> str:
        """shortage, surplus, or empty where in balance."""
        return SHORTAGE if self.beyond < 0 else SURPLUS if self.beyond > 0 else ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A tier's places for one class: how many have targets, are short, are in surplus, and by how many copies."""

    places: int
    short: int
    surplus: int
    copies_short: int
    copies_surplus: int


def levels(connection: Connection, network: Network) -> list[Level]:
    """Return every level that has a target, of places in the network."""
    tiers = {place.id: place.tier for place in network.places}
    return [
        Level(place, cls, tiers[place], here, coming, low, high, beyond)
        for place, cls, low, high, here, coming, beyond in connection.execute(_LEVELS).all()
        if place in tiers
    ]


_LEVELS = text("""
    SELECT t.place_id, t.class, t.low, t.high, coalesce(h.copies, 0), coalesce(c.copies, 0),
        least(coalesce(h.copies, 0) - t.low, 0) + greatest(coalesce(h.copies, 0) - t.high, 0)
    FROM targets t
    LEFT JOIN (SELECT place_id, class, count(*) AS copies FROM copies WHERE state = 'on_shelf' GROUP BY 1, 2) h
        ON h.place_id = t.place_id AND h.class = t.class
    LEFT JOIN (SELECT to_place_id, class, count(*) AS copies FROM copies WHERE state = 'in_transit' GROUP BY 1, 2) c
        ON c.to_place_id = t.place_id AND c.class = t.class""")


class Recent:
    """The last count, shared by all who ask within KEPT_S: a page's parts, and everyone who looks at it."""

    def __init__(self) -> None:
        """Count at the first question."""
        self._lock, self._at, self._levels = Lock(), float("-inf"), list[Level]()

    def levels(self, connection: Connection, network: Network) -> list[Level]:
        """Return every level, at most KEPT_S old."""
        with self._lock:
            if monotonic() - self._at > KEPT_S:
                self._levels, self._at = levels(connection, network), monotonic()
            return self._levels


def matching(
    found: Iterable[Level], *, kind: str = "", tier: str = "", title_class: str = "", place: str = ""
) -> list[Level]:
    """Return the levels that are out of balance and match what is asked, the worst first; an empty string asks for nothing."""
    asked = [
        level
        for level in found
        if level.beyond
        and kind in ("", level.kind)
        and tier in ("", level.tier)
        and title_class in ("", level.title_class)
        and place in ("", level.place_id)
    ]
    return sorted(asked, key=lambda level: (-abs(level.beyond), level.place_id, level.title_class))


def summary(found: Collection[Level]) -> dict[tuple[str, str], Cell]:
    """Return a cell for each tier and class that has targets."""
    places = Counter((level.tier, level.title_class) for level in found)
    places_out, copies_out = Counter[Key](), Counter[Key]()
    for level in found:
        if level.beyond:
            key = (level.tier, level.title_class, level.kind)
            places_out[key] += 1
            copies_out[key] += abs(level.beyond)
    ends = {key: ((*key, SHORTAGE), (*key, SURPLUS)) for key in places}
    return {
        key: Cell(count, places_out[short], places_out[surplus], copies_out[short], copies_out[surplus])
        for key, count in places.items()
        for short, surplus in [ends[key]]
    }


@dataclass(frozen=True, slots=True)
class PlaceBalance:
    """A place on the map: copies short and in surplus over its classes."""

    place_id: str
    short: int
    surplus: int


def by_place(found: Iterable[Level]) -> list[PlaceBalance]:
    """Return each place's sums."""
    short: Counter[str] = Counter()
    surplus: Counter[str] = Counter()
    for level in found:
        short[level.place_id] += max(-level.beyond, 0)
        surplus[level.place_id] += max(level.beyond, 0)
    return [PlaceBalance(place, short[place], surplus[place]) for place in sorted(short)]
