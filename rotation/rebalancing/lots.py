"""Lots: a room that a keeper opens for the van gets a lot that is large enough and worth the visit, or none.

A lot is a fixed cost, which a flow cannot express. So the night is solved and paired without lots, places with too small a lot
are closed, and it is solved again until no lot is too small. The first solution's bound holds for the last. Lots are counted in
copies that really come and go: after owners' limits, with all volumes of a set, and without the moves that are held back.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.pairing import Paired
from rotation.rebalancing.search import CertifiedPlan, Picked, search
from rotation.rebalancing.snapshot import Places, PlanningSettings
from rotation.rebalancing.world import Tables

# Solutions after the first; if lots are still too small then, every place with a least lot is closed.
ROUNDS = 4

Flags = NDArray[np.bool_]


class NightInLots(NamedTuple):
    """A solution and its copies."""

    tables: Tables
    certified: CertifiedPlan
    paired: Paired


def in_lots(
    places: Places,
    tables: Tables,
    free: CertifiedPlan,
    pair: Callable[[Tables, CertifiedPlan], Paired],
    settings: PlanningSettings,
) -> NightInLots:
    """Return the night whose lots are all large enough and worth the visit: that of `free` itself where it qualifies."""
    night = NightInLots(tables, free, pair(tables, free))
    for left in reversed(range(ROUNDS)):
        small = _too_small(places, night, settings)
        if not small.any():
            break
        tables = closed(tables, small if left else np.asarray((places.least_lot > 0) | (places.visit_price > 0)))
        certified = search(tables, settings)
        night = NightInLots(tables, certified, pair(tables, certified))
    return night


def closed(tables: Tables, places: Flags) -> Tables:
    """Return the tables with some places closed: no copy comes or leaves there."""
    limits = tables.limits
    into, out = (np.where(places, 0, copies) for copies in (limits.in_copies, limits.out_copies))
    return tables._replace(limits=limits._replace(in_copies=into, out_copies=out))


def kept_whole(places: Places, ends: NDArray[np.int64], chance: NDArray[np.float64], share: float) -> Flags:
    """Return the moves to hold back: those whose `chance` is below `share`, but no more than the lots allow.

    `ends` are the places that handle each move (moves x 2; -1: none). Where a lot would be too small, the moves with the highest
    chance are made after all; moves of the same chance stay together.
    """
    back = np.asarray(chance < share)
    while True:
        handled = _handled(places, ends[~back])
        small = np.r_[(handled > 0) & (handled < places.least_lot), False]  # the last for -1
        here = back & small[ends].any(1)
        if not here.any():
            return back
        back &= chance != chance[here].max()


def _handled(places: Places, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(ends[ends >= 0], minlength=len(places))


def _too_small(places: Places, night: NightInLots, settings: PlanningSettings) -> Flags:
    leaves = night.paired.release[night.paired.release >= 0]
    ends = np.r_[night.certified.into.place[night.paired.column], night.certified.out.place[leaves]]
    handled = _handled(places, ends)
    small = (handled > 0) & (handled < places.least_lot)
    judged = (handled > 0) & (places.visit_price > 0)  # elsewhere a van comes anyway, and no visit has to pay
    return np.asarray(small | judged & (worth(night, settings) < places.visit_price))


def worth(night: NightInLots, settings: PlanningSettings) -> NDArray[np.float64]:
    """Return by place the worth of the moves to and from there beyond their price, floors met included."""
    (world, certified), duals = (night.tables.world, night.certified), night.certified.flow.duals
    picked = Picked(night.paired.release[night.paired.release >= 0], night.paired.column)
    leaves, arrives = certified.out.title[picked.leaves], certified.into.title[picked.arrives]
    there, section = certified.into.place[picked.arrives], world.section[world.cls[arrives]]
    came = certified.into.value[picked.arrives] + duals.floor[section, there]
    came = came + duals.subsidy[section, there] * (certified.into.fresh[picked.arrives] == 1)
    left = certified.out.value[picked.leaves].astype(np.float64) - settings.move_price
    size = len(world.factor)
    number = np.bincount(arrives, minlength=size)  # as many copies arrive as leave, plus the homeless ones
    each = (np.bincount(arrives, came, size) + np.bincount(leaves, left, size)) / np.maximum(number, 1)
    ends = np.r_[there, certified.out.place[picked.leaves]]
    return np.bincount(ends, each[np.r_[arrives, leaves]], len(world.weight)).astype(np.float64)
