"""What a night decided, kept for the day: rates and prices as arrays with the names of their rows, in one blob of the database."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from rotation.demand import Rates
from rotation.rebalancing.outcome import Plan, Prices
from rotation.rebalancing.snapshot import Floats
from rotation.store.snapshot import Names
from rotation.store.tables import plans, rates, shelf_prices


@dataclass(frozen=True)
class Night:
    """The last night that was planned."""

    plan_id: str
    rates: Rates
    prices: Prices
    titles: list[str]
    places: list[str]
    classes: list[str]

    def of(self, names: Names) -> tuple[Rates, Prices]:
        """Return rates and prices in the rows of `names`: a title that is new since then counts as its class's mean."""
        t, p, k = (_rows(old, new) for old, new in zip((self.titles, self.places, self.classes), (names.titles, names.places, names.classes), strict=True))
        found = Rates(
            _take(self.rates.of_title, t, 1.0),
            _take(_take(self.rates.of_class, k, 0.0).T, p, 0.0).T,
            _take(self.rates.title_spread, t, 1.0),
            _take(_take(self.rates.class_spread, k, 1.0).T, p, 1.0).T,
        )
        by_place = {name: _take(getattr(self.prices, name), p, 0.0) for name in ("in_copies", "out_copies", "fresh")}
        grids = {name: _take(_take(getattr(self.prices, name), p, 0.0).T, k, 0.0).T for name in ("room", "floor")}
        prices = replace(
            self.prices, **by_place, **grids, title=_take(self.prices.title, t, 0.0), weight=_take(self.prices.weight, p, 1.0)
        )
        return found, prices


def _rows(old: Sequence[str], new: Sequence[str]) -> NDArray[np.intp]:
    """Return the row in `old` of each of `new`, -1 where it is not there."""
    where = {name: row for row, name in enumerate(old)}
    return np.array([where.get(name, -1) for name in new], dtype=np.intp)


def _take(values: Floats, rows: NDArray[np.intp], otherwise: float) -> Floats:
    taken = values[np.maximum(rows, 0)] if len(values) else np.zeros((len(rows), *values.shape[1:]), np.float32)
    return np.ascontiguousarray(np.where((rows >= 0).reshape(-1, *[1] * (values.ndim - 1)), taken, np.float32(otherwise)))


def keep(connection: Connection, plan_id: str, found: Rates, plan: Plan, names: Names) -> None:
    """Keep a night's rates and prices; those of earlier nights go, as the day needs only the last."""
    blob = io.BytesIO()
    np.savez_compressed(
        blob,
        titles=np.array(names.titles, dtype=np.str_),
        places=np.array(names.places, dtype=np.str_),
        classes=np.array(names.classes, dtype=np.str_),
        **{f"rates_{f.name}": getattr(found, f.name) for f in fields(Rates)},
        **{f"prices_{f.name}": getattr(plan.prices, f.name) for f in fields(Prices)},
    )
    connection.execute(delete(rates))
    connection.execute(insert(rates), {"plan_id": plan_id, "arrays": blob.getvalue()})
    rows = [
        {"place_id": place, "class": cls, "price_loans": float(plan.prices.room[p, k]), "plan_id": plan_id}
        for p, place in enumerate(names.places)
        for k, cls in enumerate(names.classes)
    ]
    statement = upsert(shelf_prices)
    new = {name: statement.excluded[name] for name in ("price_loans", "plan_id")}
    connection.execute(statement.on_conflict_do_update(index_elements=["place_id", "class"], set_=new), rows)


def last(connection: Connection) -> Night | None:
    """Return the last night's rates and prices, or None where none was planned yet."""
    row = connection.execute(
        select(rates.c.plan_id, rates.c.arrays).join(plans, plans.c.plan_id == rates.c.plan_id).order_by(plans.c.day.desc()).limit(1)
    ).first()
    if row is None:
        return None
    with np.load(io.BytesIO(row.arrays)) as kept:
        found = Rates(**{f.name: kept[f"rates_{f.name}"] for f in fields(Rates)})
        prices = Prices(**{f.name: _plain(kept[f"prices_{f.name}"]) for f in fields(Prices)})
        names = {name: [str(one) for one in kept[name]] for name in ("titles", "places", "classes")}
    return Night(row.plan_id, found, prices, **names)


def _plain(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> object:
    return float(array) if array.ndim == 0 else array
