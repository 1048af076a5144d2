"""Where stock is short and where it is in surplus: copies on each shelf against its targets. Pages and API read it."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from time import monotonic

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import AlertKind
from rotation.facts.movements import CopyState
from rotation.network import Network

KEPT_S = 1.5  # less than live.GAP_S of levels, so that each live update sees a new count
LONGEST_S = 600.0  # a change that told nobody, as of targets, is seen by then
FEW_PLACES = 100  # some 15 ms; as many as one notice names
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
        return AlertKind.SHORTAGE if self.beyond < 0 else AlertKind.SURPLUS if self.beyond > 0 else ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A tier's places for a class: how many have targets, are short, are in surplus, and by how many copies."""

    places: int
    short: int
    surplus: int
    copies_short: int
    copies_surplus: int


def levels(connection: Connection, network: Network, places: Collection[str] | None = None) -> list[Level]:
    """Return every level that has a target, of places in the network; with `places`, theirs alone."""
    tiers = {place.id: place.tier for place in network.places}
    rows = connection.execute(_ALL) if places is None else connection.execute(_SOME, {"places": list(places)})
    return [
        Level(place, cls, tiers[place], here, coming, low, high, beyond)
        for place, cls, low, high, here, coming, beyond in rows.all()
        if place in tiers
    ]


_LEVELS = f"""
    SELECT t.place_id, t.class, t.low, t.high, coalesce(h.copies, 0), coalesce(c.copies, 0),
        least(coalesce(h.copies, 0) - t.low, 0) + greatest(coalesce(h.copies, 0) - t.high, 0)
    FROM targets t
    LEFT JOIN (SELECT place_id, class, count(*) AS copies FROM copies
            WHERE state = '{CopyState.ON_SHELF}'{{here}} GROUP BY 1, 2) h
        ON h.place_id = t.place_id AND h.class = t.class
    LEFT JOIN (SELECT to_place_id, class, count(*) AS copies FROM copies
            WHERE state = '{CopyState.IN_TRANSIT}' AND to_place_id IS NOT NULL{{coming}} GROUP BY 1, 2) c
        ON c.to_place_id = t.place_id AND c.class = t.class{{of}}"""
_ALL = text(_LEVELS.format(here="", coming="", of=""))
_SOME = text(
    _LEVELS.format(
        here=" AND place_id = ANY(:places)",
        coming=" AND to_place_id = ANY(:places)",
        of=" WHERE t.place_id = ANY(:places)",
    )
)


class Recent:
    """The last count, shared by all who ask: a page's parts, and everyone who looks at it.

    While the notices of changed places are heard, only those places are counted again; a million copies take most of a
    second. While none are heard, all are counted, at most every KEPT_S.
    """

    def __init__(self) -> None:
        """Count at the first question."""
        self._lock, self._note = Lock(), Lock()
        self._at, self._levels = float("-inf"), dict[str, list[Level]]()
        self._heard, self._touched, self._all = False, set[str](), True

    @property
    def heard(self) -> bool:
        """Whether notices are heard."""
        return self._heard

    def hear(self, *, heard: bool) -> None:
        """Note that notices arrive from now on, or do not: any level may have changed meanwhile."""
        with self._note:
            self._heard, self._all = heard, True

    def touch(self, places: Collection[str] | None) -> None:
        """Note that the stock of some places is not as it was; None: of any."""
        with self._note:
            self._all |= places is None
            self._touched.update(places or ())

    def levels(self, connection: Connection, network: Network) -> list[Level]:
        """Return every level."""
        with self._lock:
            age_s = monotonic() - self._at
            everything, some = self._take(age_s)
            try:
                self._count(connection, network, everything, some)
            except BaseException:
                self.touch(None)
                raise
            return list(chain.from_iterable(self._levels.values()))

    def _take(self, age_s: float) -> tuple[bool, set[str]]:
        """Return whether all is to be counted now, else which places, and forget them."""
        with self._note:
            many = self._all or not self._heard or len(self._touched) > FEW_PLACES
            everything = age_s > LONGEST_S or (many and age_s > KEPT_S)
            some = set() if many and not everything else self._touched
            if everything or not many:
                self._touched, self._all = set(), self._all and not everything
            return everything, some

    def _count(self, connection: Connection, network: Network, everything: bool, some: set[str]) -> None:
        if everything:
            self._levels, self._at = _by_place(levels(connection, network)), monotonic()
        elif some:
            self._levels |= _by_place(levels(connection, network, some))


def _by_place(found: Iterable[Level]) -> dict[str, list[Level]]:
    grouped: dict[str, list[Level]] = {}
    for level in found:
        grouped.setdefault(level.place_id, []).append(level)
    return grouped


def matching(
    found: Iterable[Level], *, kind: str = "", tier: str = "", title_class: str = "", place: str = ""
) -> list[Level]:
    """Return the levels that are out of balance and match the filters, the worst first; an empty string is no filter."""
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
    ends = {key: ((*key, AlertKind.SHORTAGE), (*key, AlertKind.SURPLUS)) for key in places}
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
