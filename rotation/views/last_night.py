"""The last night as it was decided: prices, each floor's shortfall and cost, purchase and weeding lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from rotation.night import loans_guard
from rotation.store.tables import plans, shelf_prices, titles

SHELVES = 60  # the dearest; whoever wants others asks for a place


@dataclass(frozen=True, slots=True)
class FloorLine:
    """A promise to a place, its shortfall after the night's moves and the reason, and the price of its last copy in loans."""

    kind: str
    place: str
    cls: str | None
    asked: int
    missing: int
    limit: str
    price: float

    @property
    def costs(self) -> float:
        """At most how many more loans its copies would bring elsewhere, at the last copy's price."""
        return self.price * (self.asked - self.missing)


@dataclass(frozen=True, slots=True)
class ShelfPrice:
    """The price of a place on a shelf, in loans: the next copy must bring that much there."""

    place: str
    cls: str
    price: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A title to buy another copy of, or a copy (with its place) that nobody borrows and no place wants."""

    title: str
    name: str | None
    worth: float
    copy: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class NightSummary:
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
    cost_of_crates: float  # beyond the circulation's charge; cost_of_lanes is all of it: rotation.night.uncharged_costs
    cost_of_lanes: float
    held_back: int
    floors: tuple[FloorLine, ...]
    floors_unset: tuple[Mapping[str, str], ...]
    loans_guarded: tuple[
        Mapping[str, Any], ...
    ]  # loans a week before and lately, and the weight: rotation.night.loans_guard
    shelves: tuple[ShelfPrice, ...]
    purchases: tuple[Listed, ...]
    weeding: tuple[Listed, ...]


def last(connection: Connection, place: str = "") -> NightSummary | None:
    """Return the last night, of a place if asked for; None where none was planned."""
    row = connection.execute(select(plans).order_by(plans.c.day.desc()).limit(1)).first()
    if row is None:
        return None
    told = row.details
    floors = [FloorLine(**one) for one in told.get("floors", ()) if place in ("", one["place"])]
    return NightSummary(
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
        loans_guarded=tuple(row for row in loans_guard.standings(connection) if place in ("", row["place"])),
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
