"""Where stock is short and where it is in surplus: what stands on each shelf against its targets. Read by page and API."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from rotation.network import Network
from rotation.store.tables import copies, targets

SHORTAGE, SURPLUS = "shortage", "surplus"


@dataclass(frozen=True, slots=True)
class Level:
    """Copies of a class on the shelf of a place, on their way to it, and the levels between which it is in balance."""

    place_id: str
    title_class: str
    tier: str
    on_shelf: int
    coming: int
    low: int
    high: int

    @property
    def beyond(self) -> int:
        """Copies below `low` (negative) or above `high` (positive); 0: in balance."""
        return min(self.on_shelf - self.low, 0) or max(self.on_shelf - self.high, 0)

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
    """Return every level that has a target, of places in the network; the worst first."""
    here = _counts(connection, copies.c.place_id, "on_shelf")
    coming = _counts(connection, copies.c.to_place_id, "in_transit")
    rows = connection.execute(select(targets.c.place_id, targets.c["class"], targets.c.low, targets.c.high))
    found = [
        Level(place, cls, network.place[place].tier, here.get((place, cls), 0), coming.get((place, cls), 0), low, high)
        for place, cls, low, high in rows
        if place in network.place
    ]
    return sorted(found, key=lambda level: (-abs(level.beyond), level.place_id, level.title_class))


def _counts(connection: Connection, at: object, state: str) -> dict[tuple[str, str], int]:
    query = select(at, copies.c["class"], func.count()).where(copies.c.state == state, copies.c["class"].is_not(None))  # type: ignore[call-overload]
    return {(place, cls): count for place, cls, count in connection.execute(query.group_by(at, copies.c["class"]))}


def matching(
    found: Iterable[Level], *, kind: str = "", tier: str = "", title_class: str = "", place: str = ""
) -> list[Level]:
    """Return the levels that are out of balance and match what is asked; an empty string asks for nothing."""
    return [
        level
        for level in found
        if level.kind
        and kind in ("", level.kind)
        and tier in ("", level.tier)
        and title_class in ("", level.title_class)
        and place in ("", level.place_id)
    ]


def summary(found: Iterable[Level]) -> dict[tuple[str, str], Cell]:
    """Return a cell for each tier and class that has targets."""
    by: dict[tuple[str, str], Counter[str]] = {}
    for level in found:
        count = by.setdefault((level.tier, level.title_class), Counter())
        count.update(places=1)
        if level.kind:
            count.update({level.kind: 1, f"copies {level.kind}": abs(level.beyond)})
    return {
        key: Cell(c["places"], c[SHORTAGE], c[SURPLUS], c[f"copies {SHORTAGE}"], c[f"copies {SURPLUS}"])
        for key, c in by.items()
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
