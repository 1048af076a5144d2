"""The last night as it was decided: prices, what each floor lacks and costs, what to buy and to weed. Read by page and API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from rotation.store.tables import plans, shelf_prices, titles

SHELVES = 60  # the dearest; whoever wants others asks for a place


@dataclass(frozen=True, slots=True)
class Floor:
    """A promise to a place, what it lacks after the night's moves and why, and the price of its last copy in loans."""

    kind: str
    place: str
    cls: str | None
    asked: int
    missing: int
    limit: str
    price: float

    @property
    def costs(self) -> float:
        """What its copies would bring elsewhere beyond what they bring here, at the last one's price: at most so much."""
        return self.price * (self.asked - self.missing)


@dataclass(frozen=True, slots=True)
class ShelfPrice:
    """What a place on a shelf is worth in loans: the next copy must bring that much there."""

    place: str
    cls: str
    price: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A title to buy one more copy of, or a copy (with its place) that nobody borrows and no place wants."""

    title: str
    name: str | None
    worth: float
    copy: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """A night's decision. Prices are in expected loans: of a move beyond its costs, of a minute of staff, of an hour of vans."""

    day: date
    moves: int
    value_loans: float
    gap: float
    move_price: float
    staff_minute_price: float
    van_hour_price: float
    lost_to_owners: float
    lost_to_lots: float
    cost_of_crates: float  # beyond what the circulation charges, as cost_of_lanes: rotation.beyond
    cost_of_lanes: float
    held_back: int
    floors: tuple[Floor, ...]
    floors_unset: tuple[Mapping[str, str], ...]
    shelves: tuple[ShelfPrice, ...]
    purchases: tuple[Listed, ...]
    weeding: tuple[Listed, ...]


def last(connection: Connection, place: str = "") -> Night | None:
    """Return the last night, of one place if asked for; None where none was planned."""
    row = connection.execute(select(plans).order_by(plans.c.day.desc()).limit(1)).first()
    if row is None:
        return None
    told = row.details
    floors = [Floor(**one) for one in told.get("floors", ()) if place in ("", one["place"])]
    return Night(
        day=row.day,
        moves=row.moves,
        value_loans=row.value_loans,
        gap=told["gap"],
        move_price=told["move_price"],
        staff_minute_price=told.get("staff_minute_price", 0.0),
        van_hour_price=told.get("van_hour_price", 0.0),
        lost_to_owners=told["lost_to_owners"],
        lost_to_lots=told.get("lost_to_lots", 0.0),
        cost_of_crates=told.get("cost_of_crates", 0.0),
        cost_of_lanes=told.get("cost_of_lanes", 0.0),
        held_back=told.get("held_back", 0),
        floors=tuple(sorted(floors, key=lambda floor: (-floor.costs, -floor.missing, floor.place, floor.cls or ""))),
        floors_unset=tuple(told.get("floors_unset", ())),
        shelves=_shelves(connection, place),
        purchases=_listed(connection, told["purchases"]),
        weeding=_listed(connection, [one for one in told["weeding"] if place in ("", one.get("place"))]),
    )


def _shelves(connection: Connection, place: str) -> tuple[ShelfPrice, ...]:
    prices = shelf_prices.c
    query = select(prices.place_id, prices["class"], prices.price_loans).order_by(
        prices.price_loans.desc(), prices.place_id, prices["class"]
    )
    wanted = query.where(prices.place_id == place) if place else query.where(prices.price_loans > 0).limit(SHELVES)
    return tuple(ShelfPrice(*row) for row in connection.execute(wanted))


def _listed(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[Listed, ...]:
    ids = {row["title"] for row in rows if "title" in row}
    found = select(titles.c.title_id, titles.c.name).where(titles.c.title_id.in_(ids))
    name = {row.title_id: row.name for row in connection.execute(found)}
    return tuple(
        Listed(row["title"], name.get(row["title"]), row["worth"], row.get("copy"), row.get("place"))
        for row in rows
        if "title" in row
    )
