"""Why each copy moves, and why another does not: the numbers behind the decision, and which of them weighed most."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import kernels, world
from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Move, Prices, Reason, ReasonCode
from rotation.rebalancing.pairing import Paired
from rotation.rebalancing.search import CertifiedPlan
from rotation.rebalancing.snapshot import Pairs, PlanningSettings, Snapshot, StockState
from rotation.rebalancing.world import Tables, World

TENTH = 1.2816  # standard deviations to the 10 % and 90 % of a normal distribution

Reals = NDArray[np.floating[Any]]
Rows = NDArray[np.integer[Any]]


class Numbers(NamedTuple):
    """One row for each move; sentences and other users of reasons refer to these names. Rates are loans a week."""

    copies_here: Rows  # including the copy that goes
    copies_there: Rows
    rate_here: Reals
    rate_there: Reals
    idle_weeks: Reals
    waiting: Reals  # readers there
    loss_here: Reals  # loans over the horizon, equity weight included
    value_there: Reals  # likewise, with the worth of waiting readers and requests
    cost: Reals  # handling and transport, in loans
    price: Reals  # the least that every move brings beyond its costs
    room_price: Reals  # of the shelf there
    weight_here: Reals
    weight_there: Reals


def moves(
    snapshot: Snapshot,
    tables: Tables,
    rates: Rates,
    certified: CertifiedPlan,
    paired: Paired,
    prices: Prices,
    settings: PlanningSettings,
) -> list[Move]:
    """Return the moves with gains and reasons, in the order of their copies."""
    order = np.argsort(paired.copy, kind="stable")
    copy, release, column = paired.copy[order], paired.release[order], paired.column[order]
    numbers = _numbers(snapshot, tables, certified, copy, release, column, prices)
    gain = numbers.value_there - numbers.loss_here - numbers.cost
    spread = TENTH * _deviation(tables.world, rates, snapshot.copies.title[copy], certified, column, numbers)
    codes = _codes(snapshot, tables, certified, copy, column, numbers, gain, settings)
    rows = zip(*(x.tolist() for x in numbers), strict=True)
    reasons = [
        Reason(code, dict(zip(Numbers._fields, row, strict=True))) for code, row in zip(codes, rows, strict=True)
    ]
    ends = (copy, snapshot.copies.title[copy], snapshot.copies.place[copy], certified.into.place[column])
    facts = zip(*(x.tolist() for x in (*ends, gain, gain - spread, gain + spread)), reasons, strict=True)
    return [Move(*fact) for fact in facts]


def _numbers(
    snapshot: Snapshot,
    tables: Tables,
    certified: CertifiedPlan,
    copy: Rows,
    release: Rows,
    column: Rows,
    prices: Prices,
) -> Numbers:
    w, out, into = tables.world, certified.out, certified.into
    title, here, there = snapshot.copies.title[copy], snapshot.copies.place[copy], into.place[column]
    homed = release >= 0
    cell = np.where(homed, out.cell[release], 0) if len(out.cell) else np.zeros(len(copy), np.int64)
    rank = release - np.searchsorted(out.cell, cell) if len(out.cell) else release * 0
    there_copies, there_mult = _at(w, title, there)
    scale = w.factor[title] * 1.0
    lane = 0.0 if snapshot.lane_cost is None else snapshot.lane_cost[here, there]
    out_cost = np.where(homed, snapshot.places.out_cost[here], 0.0)
    return Numbers(
        np.where(homed, w.copies[cell] - rank, 1) if len(w.copies) else np.ones(len(copy), np.int64),
        there_copies,
        np.where(homed, scale * w.of_class[w.cls[title], here] * (w.mult[cell] if len(w.mult) else 1.0), 0.0),
        scale * w.of_class[w.cls[title], there] * there_mult,
        snapshot.copies.idle_weeks[copy].astype(np.float64),
        _looked_up(snapshot.holds, title, there, len(snapshot.places)),
        np.where(homed, -(out.value[release] if len(out.value) else 0.0) - out_cost, 0.0),
        into.value[column] + snapshot.places.in_cost[there].astype(np.float64) + w.trunk[title, w.hub[there]],
        out_cost + snapshot.places.in_cost[there] + lane,
        np.full(len(copy), certified.price),
        prices.room[there, w.cls[title]].astype(np.float64),
        w.weight[here].astype(np.float64),
        w.weight[there].astype(np.float64),
    )


def _at(w: World, title: Rows, place: Rows) -> tuple[Rows, Reals]:
    """Return copies and freshness factor of each title at each place."""
    copies, mult = (_of_cells(w, title, place, x, y) for x, y in ((w.copies, 0), (w.mult, w.novelty)))
    return copies.astype(np.int64), mult


def _awaited(w: World, title: Rows, place: Rows) -> Reals:
    return _of_cells(w, title, place, w.awaited, 0)


def _of_cells(w: World, title: Rows, place: Rows, values: NDArray[Any], otherwise: float) -> Reals:
    """Return the value of each cell, `otherwise` where there is none."""
    if not len(values):
        return np.full(len(title), otherwise, np.float64)
    cells = np.repeat(np.arange(len(w.factor)), np.diff(w.ptr)) * len(w.weight) + w.place
    key = title.astype(np.int64) * len(w.weight) + place
    at = np.minimum(np.searchsorted(cells, key), len(cells) - 1)
    return np.where(cells[at] == key, values[at], otherwise).astype(np.float64)


def _looked_up(pairs: Pairs, title: Rows, place: Rows, width: int) -> Reals:
    key = pairs.title.astype(np.int64) * width + pairs.place
    unique, row = np.unique(key, return_inverse=True)
    total = np.bincount(row, pairs.number, len(unique))
    wanted = title.astype(np.int64) * width + place
    at = np.minimum(np.searchsorted(unique, wanted), max(len(unique) - 1, 0))
    return np.where(unique[at] == wanted, total[at], 0.0) if len(unique) else np.zeros(len(wanted))


def _deviation(w: World, rates: Rates, title: Rows, certified: CertifiedPlan, column: Rows, numbers: Numbers) -> Reals:
    """Return the standard deviation of each gain by the demand's posterior: uncertainty of the place and of the title."""
    cls, there = w.cls[title], certified.into.place[column]
    own = rates.class_spread[cls, there].astype(np.float64)
    common = rates.title_spread[title].astype(np.float64)

    def swing(rate: Reals, copies: Rows, spread: Reals) -> Reals:
        ends = [np.zeros(len(rate)), np.zeros(len(rate))]
        for end, sign in zip(ends, (1, -1), strict=True):
            kernels.marginals(rate * np.exp(sign * spread), copies, w.horizon, w.loan, end)
        return np.asarray((ends[0] - ends[1]) / 2)

    place = swing(numbers.rate_there, numbers.copies_there, own) * numbers.weight_there
    here = swing(numbers.rate_here, np.maximum(numbers.copies_here - 1, 0), common) * numbers.weight_here
    of_title = swing(numbers.rate_there, numbers.copies_there, common) * numbers.weight_there - here
    return np.sqrt(place**2 + of_title**2)


def _codes(
    snapshot: Snapshot,
    tables: Tables,
    certified: CertifiedPlan,
    copy: Rows,
    column: Rows,
    numbers: Numbers,
    gain: Reals,
    settings: PlanningSettings,
) -> list[ReasonCode]:
    """Return the main reason of each move: waiting readers, a request, a floor that alone justifies it, or the loans."""
    w, duals = tables.world, certified.flow.duals
    title, there = snapshot.copies.title[copy], certified.into.place[column]
    section = w.section[w.cls[title]]
    asked = _looked_up(snapshot.requests, title, there, len(snapshot.places))
    of_a_set = _meets_sets(tables, certified, column, section, there, gain)
    waited = _awaited(w, title, there) > 0
    short_of = gain < certified.price
    rules = (
        (waited, ReasonCode.READERS_WAIT),
        ((asked > numbers.copies_there) | of_a_set, ReasonCode.REQUESTED),
        (snapshot.copies.state[copy] == StockState.HOMELESS, ReasonCode.NEW_STOCK),
        (short_of & (duals.floor[section, there] > 0), ReasonCode.FLOOR),
        (short_of & (certified.into.fresh[column] == 1) & (duals.subsidy[section, there] > 0), ReasonCode.FRESH_QUOTA),
        (numbers.idle_weeks >= settings.stale_after_weeks, ReasonCode.STALE_HERE),
        (np.ones(len(copy), bool), ReasonCode.BORROWED_MORE),
    )
    first = np.argmax(np.stack([holds for holds, _ in rules]), axis=0)
    return [rules[i][1] for i in first]


def _meets_sets(
    tables: Tables, certified: CertifiedPlan, column: Rows, section: Rows, there: Rows, gain: Reals
) -> NDArray[np.bool_]:
    """Return which moves fill the sets that request a class: among the arriving fresh copies, those that gain least."""
    asked = tables.limits.asked[section, there] * (certified.into.fresh[column] == 1)
    cell = section * np.int64(len(tables.world.weight)) + there
    order = np.lexsort((gain, cell, asked == 0))
    rank = np.empty(len(column), np.int64)
    first = np.searchsorted(cell[order][: (asked > 0).sum()], cell[order])
    rank[order] = np.arange(len(order)) - first
    return np.asarray((asked > 0) & (rank < asked))


def why_not_there(
    snapshot: Snapshot, rates: Rates, prices: Prices, title: int, place: int, settings: PlanningSettings
) -> Reason:
    """Return why no copy of `title`, the snapshot's only title, goes to `place` at a night's rates and prices."""
    its_own = replace(rates, of_title=rates.of_title[[title]], title_spread=rates.title_spread[[title]])
    tables = world.tables(snapshot, its_own, settings)
    w = world.weighed(tables.world, prices.weight)
    numbers = _worth_there(w, prices, place) | {"title": float(title), "place": float(place)}
    allowed, group = w.masks[w.mask_row[0]][place], int(snapshot.titles.float_group[0])
    section = w.section[w.cls[0]]
    rules = (
        (group >= 0 and not snapshot.places.groups[group, place], ReasonCode.NOT_IN_GROUP),
        (snapshot.places.in_copies[place] <= 0, ReasonCode.NOT_SERVED),
        (not tables.free_copy.any() and not w.homeless[0], ReasonCode.NO_COPY_FREE),
        (not allowed, ReasonCode.NO_CONSENT),
        (min(tables.limits.room[section, place], tables.limits.room_total[place]) <= 0, ReasonCode.NO_ROOM),
        (numbers["net"] <= 0 and numbers["copies_there"] > 0, ReasonCode.ALREADY_THERE),
        (numbers["net"] <= 0, ReasonCode.WORTH_LESS),
        (True, ReasonCode.BETTER_ELSEWHERE),
    )
    return Reason(next(code for holds, code in rules if holds), numbers)


def _worth_there(w: World, prices: Prices, place: int) -> dict[str, float]:
    """Return the worth of another copy there, the cost of the best copy's leaving, and the remainder after the prices."""
    copies, mult = _at(w, np.zeros(1, np.int64), np.array([place]))
    rate = float(w.factor[0] * w.of_class[w.cls[0], place] * mult[0])
    column = np.zeros(1, np.int32), np.array([place], np.int32)
    value, fresh = np.zeros(1, np.float32), np.zeros(1, np.int8)
    kernels.column_values(w, *column, value, fresh)
    start, size = np.zeros(2, np.int64), int(w.free.clip(0).sum())
    cell, left = np.zeros(size, np.int32), np.zeros(size, np.float32)
    kernels.releases(w, max(size, 1), start, cell, left)
    leaving = float(left.max()) if size else 0.0
    scarce = float(prices.room[place, w.cls[0]] + prices.in_copies[place]) + (0.0 if w.homeless[0] else prices.move)
    return {
        "copies_there": float(copies[0]),
        "rate_there": rate,
        "value_there": float(value[0]),
        "loss_here": -leaving,
        "prices": scarce,
        "net": float(value[0]) + leaving - scarce,
    }
