"""Lots: a room that somebody opens for the van gets a lot that is large enough and worth the visit, or none.

A lot is a fixed cost, which no flow knows. So the night is solved freely; places that came out with too little are closed, and
it is solved again until no lot is too small. The free night's bound holds for what remains.
"""

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.search import Found, all_volumes, count, search
from rotation.rebalancing.snapshot import Places, Settings
from rotation.rebalancing.world import Tables

ROUNDS = 4  # solutions more than the free one; if lots are too small after that, every place that has one is closed

Flags = NDArray[np.bool_]


def in_lots(places: Places, tables: Tables, free: Found, settings: Settings) -> tuple[Tables, Found]:
    """Return the night whose lots are all large enough and worth it, and its tables: `free` itself where they are already."""
    found = free
    for left in reversed(range(ROUNDS)):
        small = _too_small(places, tables, found, settings)
        if not small.any():
            break
        tables = closed(tables, small if left else np.asarray((places.least_lot > 0) | (places.visit_price > 0)))
        found = search(tables, settings)
    return tables, found


def closed(tables: Tables, places: Flags) -> Tables:
    """Return the tables with places that nothing comes to and nothing leaves."""
    limits = tables.limits
    into, out = (np.where(places, 0, copies) for copies in (limits.in_copies, limits.out_copies))
    return tables._replace(limits=limits._replace(in_copies=into, out_copies=out))


def _too_small(places: Places, tables: Tables, found: Found, settings: Settings) -> Flags:
    counts = count(tables, found.out, found.into, all_volumes(tables, found.out, found.into, found.picked))
    handled = counts.in_copies.sum(0) + counts.out_copies.sum(0)
    small = (handled > 0) & (handled < places.least_lot)
    return np.asarray(small | (handled > 0) & (worth(tables, found, settings) < places.visit_price))


def worth(tables: Tables, found: Found, settings: Settings) -> NDArray[np.float64]:
    """Return by place what the moves that come and go there are worth beyond their own price, floors met included."""
    world, duals = tables.world, found.flow.duals
    picked = all_volumes(tables, found.out, found.into, found.picked)
    leaves, arrives = found.out.title[picked.leaves], found.into.title[picked.arrives]
    there, section = found.into.place[picked.arrives], world.section[world.cls[arrives]]
    came = found.into.value[picked.arrives] + duals.floor[section, there]
    came = came + duals.subsidy[section, there] * (found.into.fresh[picked.arrives] == 1)
    left = found.out.value[picked.leaves].astype(np.float64) - settings.move_price
    size = len(world.factor)
    number = np.bincount(arrives, minlength=size)  # of copies that leave as many arrive, with those without a home more
    each = (np.bincount(arrives, came, size) + np.bincount(leaves, left, size)) / np.maximum(number, 1)
    ends = np.r_[there, found.out.place[picked.leaves]]
    return np.bincount(ends, each[np.r_[arrives, leaves]], len(world.weight)).astype(np.float64)
