"""Other policies on the same night: thresholds, proportional shares, greedy; each valued by the planner's own definitions.

Every policy makes at most as many moves as it is given, keeps the same capacities, and brings a title to a place at most once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import circulation, search
from rotation.rebalancing.circulation import Releases
from rotation.rebalancing.snapshot import PlanningSettings, Snapshot
from rotation.rebalancing.world import STANDING, Tables, standing

LOW, HIGH = 0.8, 1.2  # shares of a class's mean stock, corrected for the place's size, between which nothing moves
Rows = NDArray[np.int64]


class _Limits:
    """Remaining capacities; `take` returns whether a move still fits, and counts it."""

    def __init__(self, tables: Tables, out: Releases) -> None:
        limits, self.world, self.out = tables.limits, tables.world, out
        self.came, self.left = limits.in_copies.copy(), limits.out_copies.copy()
        self.room, self.total = limits.room.copy(), limits.room_total.copy()
        self.taken: set[tuple[int, int]] = set()

    def take(self, row: int, b: int) -> bool:
        t, a = int(self.out.title[row]), int(self.out.place[row])
        s = self.world.section[self.world.cls[t]]
        if a == b or (t, b) in self.taken or not self.world.masks[self.world.mask_row[t], b]:
            return False
        if min(self.came[b], self.left[a], self.room[s, b], self.total[b]) <= 0:
            return False
        self.taken.add((t, b))
        self.came[b], self.left[a] = self.came[b] - 1, self.left[a] - 1
        self.room[s, b], self.total[b] = self.room[s, b] - 1, self.total[b] - 1
        self.room[s, a], self.total[a] = self.room[s, a] + 1, self.total[a] + 1
        return True


def _value(
    tables: Tables, out: Releases, moves: Iterable[tuple[int, int]], settings: PlanningSettings, most: int
) -> tuple[int, float]:
    """Take the moves that fit, in order, and value them."""
    limits, kept = _Limits(tables, out), []
    for row, b in moves:
        if len(kept) >= most:
            break
        if limits.take(row, b):
            kept.append((row, b))
    rows, to = np.array(kept, np.int64).reshape(-1, 2).T
    into = circulation.columns(tables.world, out.title[rows], to.astype(np.int32))
    picked = search.Picked(_first_of_cells(out, rows), np.arange(len(into.title)))
    return len(kept), search.value_of(tables, out, into, picked, settings)


def _first_of_cells(out: Releases, rows: Rows) -> Rows:
    """Return the cheapest releases of each cell, as many as `rows` contains of it: copies of a cell are alike."""
    cells, number = np.unique(out.cell[rows], return_counts=True)
    first = np.searchsorted(out.cell, cells)
    return np.concatenate([np.arange(f, f + n) for f, n in zip(first, number, strict=True)]) if len(cells) else rows


def greedy(tables: Tables, out: Releases, settings: PlanningSettings, most: int) -> tuple[int, float]:
    """Best pair first by marginal value, each title with its dozen best places; floors are ignored."""
    blind = replace(settings, fresh_bonus=0.0, floor_bonus=0.0)
    duals = circulation.opening_duals(circulation.network(tables.limits, blind), blind)
    asked = search.ask(tables.world, out, duals, settings.move_price, settings, 12, 0.0)

    def pairs() -> Iterator[tuple[int, int]]:
        rank = np.zeros(len(tables.world.factor), np.int64)
        best = np.lexsort((-out.value, out.title))
        for i in np.argsort(-asked.score, kind="stable"):
            t = asked.title[i]
            if out.start[t] + rank[t] < out.start[t + 1]:
                yield int(best[out.start[t] + rank[t]]), int(asked.place[i])
                rank[t] += 1

    return _value(tables, out, pairs(), settings, most)


def proportional(
    snapshot: Snapshot, tables: Tables, out: Releases, settings: PlanningSettings, most: int, seed: int
) -> tuple[int, float]:
    """Any copies from places with more than their share of loans to those with less."""
    stock = standing(snapshot, STANDING).sum(1)
    loans = np.bincount(snapshot.exposure.place, snapshot.exposure.loans, len(stock)) + 1
    wanted = loans / loans.sum() * stock.sum() - stock
    return _value(tables, out, _even_out(out, wanted, out.place, seed), settings, most)


def thresholds(
    snapshot: Snapshot, tables: Tables, out: Releases, settings: PlanningSettings, most: int, seed: int
) -> tuple[int, float]:
    """Any copies from shelves of a class above the maximum to those below the minimum."""
    stock = standing(snapshot, STANDING)
    mean = stock.sum(1, keepdims=True) * stock.sum(0) / max(stock.sum(), 1)
    wanted = np.where(stock > HIGH * mean, mean - stock, np.where(stock < LOW * mean, mean - stock, 0)).T
    cls, width = snapshot.titles.cls, len(snapshot.places)
    shelf = cls[out.title].astype(np.int64) * width + out.place

    def pairs() -> Iterator[tuple[int, int]]:
        for k in range(snapshot.classes):
            of_class = np.zeros(wanted.size)
            of_class[k * width : (k + 1) * width] = wanted[k]
            for row, cell in _even_out(out, of_class, shelf, seed + k):
                yield row, cell % width

    return _value(tables, out, pairs(), settings, most)


def _even_out(out: Releases, wanted: NDArray[np.float64], shelf: Rows, seed: int) -> Iterator[tuple[int, int]]:
    """Pair random copies of shelves with too many with random gaps of those with too few."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(shelf))
    rank = np.empty(len(shelf), np.int64)
    sorted_ = order[np.argsort(shelf[order], kind="stable")]
    rank[sorted_] = np.arange(len(shelf)) - np.searchsorted(shelf[sorted_], shelf[sorted_])
    rows = order[rank[order] < np.maximum(-wanted, 0)[shelf[order]]]
    gaps = draw.permutation(np.repeat(np.arange(len(wanted)), np.maximum(wanted, 0).astype(int)))
    yield from zip(rows.tolist(), gaps.tolist(), strict=False)
