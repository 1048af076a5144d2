"""Findings beside the moves: the floors, their shortfall, its cause and its cost; titles to buy, copies to weed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import kernels
from rotation.rebalancing.outcome import Floor, Prices, Suggestion
from rotation.rebalancing.pairing import Paired
from rotation.rebalancing.search import (
    CHUNK_TITLES,
    CertifiedPlan,
    Picked,
    PlanCounts,
    count,
    fresh_met,
    prices_of_moving,
    value_of,
)
from rotation.rebalancing.snapshot import Floats, PlanningSettings, Snapshot, StockState
from rotation.rebalancing.world import Tables

# Loans over the horizon: a title worth less is on no purchase list.
LEAST_WORTH = 0.1
# Loans: a price above it means that the limit is used up.
SCARCE = 1e-6


def value(tables: Tables, certified: CertifiedPlan, paired: Paired, settings: PlanningSettings) -> float:
    """Return the worth of the pairs together, floors met included."""
    picked = Picked(paired.release[paired.release >= 0], paired.column)
    return value_of(tables, certified.out, certified.into, picked, settings)


def prices(tables: Tables, certified: CertifiedPlan, settings: PlanningSettings) -> Prices:
    """State the flow's duals in the caller's terms: by class instead of section."""
    duals, section = certified.flow.duals, tables.world.section

    def by_class(of_section: NDArray[np.float64]) -> Floats:
        return np.ascontiguousarray(of_section[section].T, dtype=np.float32)

    return Prices(
        move=certified.price,
        room=by_class(duals.place + duals.room),
        in_copies=duals.in_copies.astype(np.float32),
        out_copies=duals.out_copies.astype(np.float32),
        fresh=np.minimum(duals.subsidy, settings.fresh_bonus).max(0, initial=0).astype(np.float32),
        floor=by_class(duals.floor),
        title=_one_more(tables, certified, settings),
        weight=tables.world.weight,
    )


def _one_more(tables: Tables, certified: CertifiedPlan, settings: PlanningSettings) -> Floats:
    world, worth = tables.world, np.zeros(len(tables.world.factor), np.float32)
    prices = prices_of_moving(world, certified.flow.duals)

    def chunk(lo: int) -> None:
        hi = min(lo + CHUNK_TITLES, len(worth))
        kernels.one_more_anywhere(world, lo, hi, prices, LEAST_WORTH, worth[lo:hi])

    with ThreadPoolExecutor(settings.threads) as pool:
        list(pool.map(chunk, range(0, len(worth), CHUNK_TITLES)))
    return worth


def floors(
    snapshot: Snapshot, tables: Tables, certified: CertifiedPlan, paired: Paired, settings: PlanningSettings
) -> tuple[Floor, ...]:
    """Return for each quota, set and shelf its shortfall, the limit that causes it, and its price."""
    counts = count(tables, certified.out, certified.into, Picked(paired.release[paired.release >= 0], paired.column))
    spare = _movable(tables, certified) - counts.out_copies.sum(1)
    after = _After(snapshot, tables, certified, counts, spare, settings)
    return tuple(chain(_quotas(after), _sets(after), _shelves(after)))


class _After(NamedTuple):
    """The night after its plan. `spare` counts by section the copies that could leave but stay."""

    snapshot: Snapshot
    tables: Tables
    certified: CertifiedPlan
    counts: PlanCounts
    spare: NDArray[np.int64]
    settings: PlanningSettings


def _quotas(after: _After) -> Iterator[Floor]:
    quota, subsidy = after.tables.limits.fresh, after.certified.flow.duals.subsidy
    asked, met = quota.sum(0), fresh_met(after.tables.limits, after.counts)[1].sum(0)
    price = np.where(quota > 0, np.minimum(subsidy, after.settings.fresh_bonus), 0.0).max(0, initial=0)
    for b in np.flatnonzero(asked > 0):
        missing = int(asked[b] - met[b])
        limit = _limit(after, slice(None), int(b)) if missing else ""
        yield Floor("fresh", int(b), -1, int(asked[b]), missing, limit, float(price[b]))


def _sets(after: _After) -> Iterator[Floor]:
    asked, section = after.snapshot.asked, after.tables.world.section
    met = fresh_met(after.tables.limits, after.counts)[0]
    for b, k in np.argwhere(asked > 0) if asked is not None else ():
        s = int(section[k])
        missing = int(asked[b, k] - met[s, b]) if asked is not None else 0
        limit = _limit(after, s, int(b)) if missing else ""
        price = float(after.certified.flow.duals.subsidy[s, b])
        yield Floor("set", int(b), int(k), missing + int(met[s, b]), missing, limit, price)


def _shelves(after: _After) -> Iterator[Floor]:
    floor, section = after.snapshot.places.class_floor, after.tables.world.section
    short = after.tables.limits.short
    missing = short - np.minimum(after.counts.in_copies, short)
    for b, k in np.argwhere(floor > 0):
        s = int(section[k])
        limit = _limit(after, s, int(b)) if missing[s, b] else ""
        price = after.certified.flow.duals.floor[s, b] + after.certified.flow.duals.kept[s, b]
        yield Floor("shelf", int(b), int(k), int(floor[b, k]), int(missing[s, b]), limit, float(price))


def _limit(after: _After, section: int | slice, b: int) -> str:
    """Return the limit that stops another copy there: the day's intake, the room, the stock, or a higher worth elsewhere."""
    duals = after.certified.flow.duals
    if after.counts.in_copies[:, b].sum() >= after.tables.limits.in_copies[b]:
        return "in_copies"
    if duals.place[b] > SCARCE or np.any(duals.room[section, b] > SCARCE):
        return "room"
    return "stock" if after.spare[section].sum() <= 0 else "worth"


def _movable(tables: Tables, certified: CertifiedPlan) -> NDArray[np.int64]:
    """Count the copies that may leave, or have no home, by section: `S`."""
    world, movable = tables.world, np.diff(certified.out.start) + tables.world.homeless
    of_class = np.bincount(world.cls, movable, len(world.section))
    return np.bincount(world.section, of_class, len(tables.limits.short)).astype(np.int64)


def suggestions(
    snapshot: Snapshot, tables: Tables, prices: Prices, settings: PlanningSettings
) -> tuple[tuple[Suggestion, ...], tuple[Suggestion, ...]]:
    """Return the titles of which another copy would be worth most, and copies that nobody borrows and no place wants."""
    best = np.argsort(-prices.title, kind="stable")[: settings.purchase_list]
    buy = tuple(Suggestion(int(t), -1, -1, float(prices.title[t])) for t in best if prices.title[t] > 0)
    copies = snapshot.copies
    rows = np.flatnonzero(
        tables.usable
        & (copies.state == StockState.ON_SHELF)
        & ~copies.fixed
        & (copies.idle_weeks >= settings.weed_idle_weeks)
    )
    worth = np.maximum(_worth_here(tables, snapshot, rows), prices.title[copies.title[rows]])
    order = np.lexsort((rows, -copies.idle_weeks[rows], worth))[: settings.purchase_list]
    weed = tuple(
        Suggestion(int(copies.title[i]), int(i), int(copies.place[i]), float(w))
        for i, w in zip(rows[order], worth[order], strict=True)
        if w < LEAST_WORTH
    )
    return buy, weed


def _worth_here(tables: Tables, snapshot: Snapshot, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the worth of each copy where it stands."""
    world, width = tables.world, len(snapshot.places)
    key = snapshot.copies.title[rows].astype(np.int64) * width + snapshot.copies.place[rows]
    cells = np.repeat(np.arange(len(world.factor)), np.diff(world.ptr)) * width + world.place
    at = np.searchsorted(cells, key)
    title, place = snapshot.copies.title[rows], snapshot.copies.place[rows]
    rate = world.factor[title] * world.of_class[world.cls[title], place] * world.mult[at]
    more = np.zeros(len(rows))
    kernels.marginals(rate.astype(np.float64), world.copies[at] - 1, world.horizon, world.loan, more)
    return np.asarray(more * world.worth[title] * world.weight[place])
