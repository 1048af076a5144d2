"""Minimum lots: a room that somebody opens for the van gets a lot worth the visit, or none.

A lot is a fixed cost, which no flow knows. So the night is solved freely; places that came out with too little are closed, and
it is solved again until no lot is too small. The free night's bound holds for what remains.
"""

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.search import Found, count, search
from rotation.rebalancing.snapshot import Ints, Settings
from rotation.rebalancing.world import Tables

ROUNDS = 4  # solutions more than the free one; if lots are too small after that, every place that has one is closed

Flags = NDArray[np.bool_]


def in_lots(least: Ints, tables: Tables, free: Found, settings: Settings) -> tuple[Tables, Found]:
    """Return the night whose lots are all large enough, and its tables: `free` itself where they are already."""
    found = free
    for left in reversed(range(ROUNDS)):
        small = _too_small(least, tables, found)
        if not small.any():
            break
        tables = closed(tables, small if left else np.asarray(least > 0))
        found = search(tables, settings)
    return tables, found


def closed(tables: Tables, places: Flags) -> Tables:
    """Return the tables with places that nothing comes to and nothing leaves."""
    limits = tables.limits
    into, out = (np.where(places, 0, copies) for copies in (limits.in_copies, limits.out_copies))
    return tables._replace(limits=limits._replace(in_copies=into, out_copies=out))


def _too_small(least: Ints, tables: Tables, found: Found) -> Flags:
    counts = count(tables, found.out, found.into, found.picked)
    handled = counts.in_copies.sum(0) + counts.out_copies.sum(0)
    return np.asarray((handled > 0) & (handled < least))
