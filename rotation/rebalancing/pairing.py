"""From flows to copies: within each title, which copy goes to which of the places the circulation chose.

To the flow all copies of a title at a place are worth the same, so this picks the one that idled longest. It also checks
rules that the flow cannot see: whose copy may stand where, and that no copy returns to the place it was just moved from.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import volumes
from rotation.rebalancing.circulation import Columns, Releases
from rotation.rebalancing.search import CertifiedPlan
from rotation.rebalancing.snapshot import PlanningSettings, Snapshot, StockState
from rotation.rebalancing.world import NO_LIMIT, Tables

# Loans: no lane costs as much.
FORBIDDEN = 1e6

Rows = NDArray[np.int64]


class Paired(NamedTuple):
    """One row for each move: the copy, the release it leaves by (-1: homeless) and the column it arrives by."""

    copy: Rows
    release: Rows
    column: Rows
    unplaced: Rows  # homeless copies that no place takes
    lost: float  # value that no allowed pair realises
    stuck: Rows  # copies that should leave but found no allowed place


def pair(snapshot: Snapshot, tables: Tables, certified: CertifiedPlan, settings: PlanningSettings) -> Paired:
    """Choose copies and pair them with their places."""
    out, into, picked = certified.out, certified.into, certified.picked
    pool = _Pool(snapshot, tables, out.title[picked.leaves])
    copy, release = pool.take(out, picked.leaves)
    homeless = pool.homeless(into.title[picked.arrives], out.title[picked.leaves])
    copy, release = np.r_[copy, homeless], np.r_[release, np.full(len(homeless), -1)]
    source = np.lexsort(
        (snapshot.copies.place[copy], snapshot.copies.title[copy])
    )  # by their content, not by their rows
    copy, release, column = copy[source], release[source], picked.arrives
    chosen = _assign(snapshot, copy, into, column, settings)
    good = chosen >= 0
    stuck = copy[~good & (release >= 0)]
    lost = out.value[release[~good & (release >= 0)]].sum() + into.value[np.setdiff1d(column, chosen[good])].sum()
    copy, lead = volumes.with_followers(snapshot, copy[good])
    release, column = release[good][lead], chosen[good][lead]
    kept = _with_room(tables, out, into, release, column, lead, settings.budget_moves)
    copy, release, column = copy[kept], release[kept], column[kept]
    placed = copy[release < 0]
    waiting = np.flatnonzero(tables.usable & (snapshot.copies.state == StockState.HOMELESS))
    waiting, _ = volumes.with_followers(snapshot, waiting)
    return Paired(copy, release, column, np.setdiff1d(waiting, placed), max(float(lost), 0.0), stuck)


def without_moves(paired: Paired) -> Paired:
    """Return the pairs of a night on which nothing moves after all."""
    none = np.zeros(0, np.int64)
    unplaced = np.union1d(paired.unplaced, paired.copy[paired.release < 0])
    return paired._replace(copy=none, release=none, column=none, unplaced=unplaced)


class _Pool:
    """Copies of `titles` that may leave, by title and place, those that idled longest first."""

    def __init__(self, snapshot: Snapshot, tables: Tables, titles: NDArray[np.int32]) -> None:
        self.copies, self.width = snapshot.copies, max(len(snapshot.places), 1)
        leaves = np.zeros(len(snapshot.titles) + 1, bool)  # the last for copies of no known title
        leaves[titles] = True
        free = np.flatnonzero(tables.free_copy & leaves[np.where(tables.usable, self.copies.title, -1)])
        self.rows = free[
            np.lexsort((free, -self.copies.arrived_weeks[free], -self.copies.idle_weeks[free], self._key(free)))
        ]
        self.keys = self._key(self.rows)
        none_left = np.flatnonzero(tables.usable & (self.copies.state == StockState.HOMELESS))
        self.waiting = none_left[np.argsort(self.copies.title[none_left], kind="stable")]

    def _key(self, rows: Rows) -> Rows:
        return self.copies.title[rows].astype(np.int64) * self.width + self.copies.place[rows]

    def take(self, out: Releases, leaves: Rows) -> tuple[Rows, Rows]:
        """Return a copy for each release."""
        key = out.title[leaves].astype(np.int64) * self.width + out.place[leaves]
        order = np.lexsort((leaves, key))
        rank = np.arange(len(key)) - np.searchsorted(key[order], key[order])
        return self.rows[np.searchsorted(self.keys, key[order]) + rank], leaves[order]

    def homeless(self, arrives: NDArray[np.int32], leaves: NDArray[np.int32]) -> Rows:
        """Return as many homeless copies of each title as its arrivals exceed its departures."""
        size = int(max(arrives.max(initial=-1), leaves.max(initial=-1))) + 1
        needed = np.bincount(arrives, minlength=size) - np.bincount(leaves, minlength=size)
        title = self.copies.title[self.waiting]
        rank = np.arange(len(title)) - np.searchsorted(title, title)
        known = title < size
        return self.waiting[known][rank[known] < needed[title[known]]]


def _assign(snapshot: Snapshot, copy: Rows, into: Columns, column: Rows, settings: PlanningSettings) -> Rows:
    """Return the column of each copy, -1 where none is allowed; both are sorted by title, equally many of each."""
    from scipy.optimize import linear_sum_assignment  # 50 MB that only a plan needs

    chosen = column.copy()
    title = into.title[column]
    many = np.flatnonzero(np.r_[False, title[1:] == title[:-1]] | np.r_[title[1:] == title[:-1], False])
    chosen[_cost(snapshot, copy, into.place[column], settings) >= FORBIDDEN] = -1
    for group in np.split(many, np.flatnonzero(np.diff(title[many])) + 1) if len(many) else ():
        cost = _cost(snapshot, copy[group][:, None], into.place[column[group]][None, :], settings)
        row, at = linear_sum_assignment(cost)
        chosen[group[row]] = np.where(cost[row, at] < FORBIDDEN, column[group[at]], -1)
    return chosen


def _cost(snapshot: Snapshot, copy: Rows, place: NDArray[np.int32], settings: PlanningSettings) -> NDArray[np.float64]:
    """Return the cost of taking each copy to each place, FORBIDDEN where it must not go."""
    copies = snapshot.copies
    back = (copies.came_from[copy] == place) & (copies.moved_weeks[copy] < settings.ping_pong_weeks)
    stays = (copies.place[copy] == place) & (copies.state[copy] != StockState.HOMELESS)
    no_consent = np.zeros(np.broadcast_shapes(copy.shape, place.shape), bool)
    if snapshot.consent is not None:
        no_consent = ~snapshot.consent[copies.owner[copy], snapshot.places.owner[place]]
    lane = 0.0 if snapshot.lane_cost is None else snapshot.lane_cost[copies.place[copy], place]
    return np.asarray(lane + np.where(back | stays | no_consent, FORBIDDEN, 0.0))


def _with_room(
    tables: Tables, out: Releases, into: Columns, release: Rows, column: Rows, lead: Rows, budget: int | None
) -> NDArray[np.bool_]:
    """Keep the moves that fit, now that some copies stay and some take others with them: the least valuable arrivals are dropped.

    Moves with the same `lead` are dropped together.
    """
    kept = np.ones(len(column), bool)
    least = np.argsort(into.value[column], kind="stable")
    while True:
        wrong = least[kept[least] & _over(tables, out, into, release, column, kept)[least]]
        _, first = np.unique(into.place[column[wrong]], return_index=True)
        if not len(wrong) and budget is not None and (kept & (release >= 0)).sum() > budget:
            wrong, first = least[kept[least] & (release >= 0)[least]], np.zeros(1, np.int64)
        if not len(wrong):
            return kept
        kept[np.isin(lead, lead[wrong[first]])] = False


def _over(
    tables: Tables, out: Releases, into: Columns, release: Rows, column: Rows, kept: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the moves with too many arrivals, or departures, at one of their ends."""
    limits, section = tables.limits, tables.world.section[tables.world.cls]
    came, left = np.zeros(limits.short.shape, np.int64), np.zeros(limits.short.shape, np.int64)
    there, picks = into.place[column], kept & (release >= 0)
    origin = out.place[release[picks]]
    np.add.at(came, (section[into.title[column[kept]]], there[kept]), 1)
    np.add.at(left, (section[out.title[release[picks]]], origin), 1)
    change = came - left
    full = ((change > limits.room) & (limits.room < NO_LIMIT)) | (change.sum(0) > limits.room_total)
    full |= came.sum(0) > limits.in_copies
    over = full[section[into.title[column]], there]
    over[picks] |= (left.sum(0) > limits.out_copies)[origin]
    return np.asarray(over)
