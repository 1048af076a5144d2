"""A night's decision, kept for the day: rates and prices as arrays, with the names of their rows, in a blob."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from rotation.night.world.touched_rows import Names
from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Plan, Prices
from rotation.rebalancing.snapshot import Floats
from rotation.store.tables import rates, shelf_prices


@dataclass(frozen=True)
class PlannedNight:
    """The last night that was planned."""

    plan_id: str
    rates: Rates
    prices: Prices
    titles: list[str]
    places: list[str]
    classes: list[str]

    def of(self, names: Names) -> tuple[Rates, Prices]:
        """Return rates and prices in the rows of `names`: a title that is new since then counts as its class's mean."""
        t, p, k = _rows(self.titles, names.titles), _rows(self.places, names.places), _rows(self.classes, names.classes)
        found = replace(
            self.rates,
            of_title=_take(self.rates.of_title, t, 1.0),
            of_class=_take(_take(self.rates.of_class, k, 0.0).T, p, 0.0).T,
            title_spread=_take(self.rates.title_spread, t, 1.0),
            class_spread=_take(_take(self.rates.class_spread, k, 1.0).T, p, 1.0).T,
        )
        was = self.prices
        prices = replace(
            was,
            room=_take(_take(was.room, p, 0.0).T, k, 0.0).T,
            in_copies=_take(was.in_copies, p, 0.0),
            out_copies=_take(was.out_copies, p, 0.0),
            fresh=_take(was.fresh, p, 0.0),
            floor=_take(_take(was.floor, p, 0.0).T, k, 0.0).T,
            title=_take(was.title, t, 0.0),
            weight=_take(was.weight, p, 1.0),
        )
        return found, prices


def _rows(old: Sequence[str], new: Sequence[str]) -> NDArray[np.intp]:
    """Return the row in `old` of each of `new`, -1 where it is not there."""
    where = {name: row for row, name in enumerate(old)}
    return np.array([where.get(name, -1) for name in new], dtype=np.intp)


def _take(values: Floats, rows: NDArray[np.intp], otherwise: float) -> Floats:
    taken = values[np.maximum(rows, 0)] if len(values) else np.zeros((len(rows), *values.shape[1:]), np.float32)
    known = (rows >= 0).reshape(-1, *[1] * (values.ndim - 1))
    return np.ascontiguousarray(np.where(known, taken, np.float32(otherwise)))


def keep(connection: Connection, plan_id: str, plan: Plan, names: Names) -> None:
    """Keep a night's rates and prices; those of earlier nights go, as the day needs only the last."""
    blob = io.BytesIO()
    np.savez_compressed(
        blob,
        titles=np.array(names.titles, dtype=np.str_),
        places=np.array(names.places, dtype=np.str_),
        classes=np.array(names.classes, dtype=np.str_),
        **{f"rates_{f.name}": getattr(plan.rates, f.name) for f in fields(Rates)},
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


def last(connection: Connection) -> PlannedNight | None:
    """Return the last night's rates and prices, or None where none was planned yet."""
    row = connection.execute(select(rates.c.plan_id, rates.c.arrays)).first()
    if row is None:
        return None
    with np.load(io.BytesIO(row.arrays)) as kept:
        if any(f"rates_{f.name}" not in kept for f in fields(Rates)):
            return None  # a version before kept them: the desk goes by its plain rule until tonight
        of: dict[str, Any] = {f.name: _number(kept[f"rates_{f.name}"]) for f in fields(Rates)}
        found = Rates(**of)
        told = {f.name: kept[f"prices_{f.name}"] for f in fields(Prices) if f"prices_{f.name}" in kept}
        arrays: dict[str, Any] = {name: _number(array) for name, array in told.items()}
        prices = Prices(**arrays)
        names = {name: [str(one) for one in kept[name]] for name in ("titles", "places", "classes")}
    return PlannedNight(row.plan_id, found, prices, **names)


def _number(kept: NDArray[Any]) -> NDArray[Any] | float:
    return kept if kept.ndim else float(kept)
