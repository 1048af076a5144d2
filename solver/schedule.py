"""When each van is where, and with which load: the single simulation behind every judgement.

The idea: many runs are driven at once, column by column. A run edited by hand and the ten thousand insertions of
`explain` are the same table with more rows: one meaning of "arrives at 9:40", and fast enough for both.

A run is served as early as possible; then its start is postponed as long as that delays nothing (drivers are not paid to
wait), and past the hours of a place that closes for lunch if that shortens the run, or past rush hours. A rest begins where
the van stands or on the road, as soon as its window opens. Waiting happens on arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from solver.instance import Instance, NodeKind
from solver.solution import Cause
from solver.timing_kernels import NEVER_S, Bools, Ints, columns, loads, timed


@dataclass(frozen=True)
class Schedule:
    """R runs of at most K columns: the van's start, its visits, its end, and the void. Seconds, metres, units."""

    instance: Instance
    van: Ints  # R
    rows: Ints  # R, K: nodes
    arrive_s: Ints  # R, K
    begin_s: Ints  # R, K
    leave_s: Ints  # R, K
    metres: Ints  # R, K: driven since the column before
    drive_s: Ints  # R, K
    load: Ints  # R, K, D: when it leaves
    due_s: Ints  # R, K: at the end of a trip, when its collected crates must be there; else never; 0 in the void

    @cached_property
    def kinds(self) -> Ints:
        return self.instance.kind[self.rows]

    @cached_property
    def real(self) -> Bools:
        """R, K: not the void."""
        return np.asarray(self.rows != self.instance.void)

    @cached_property
    def last(self) -> Ints:
        """R: the column of the end."""
        return np.asarray(self.real.sum(axis=1) - 1)

    @cached_property
    def used(self) -> Bools:
        """R: the van goes out (or has gone)."""
        return np.asarray((self.kinds <= NodeKind.DELIVER).any(axis=1) | self.instance.under_way[self.van])

    def column(self, node: int) -> Ints:
        """R: where the node stands last in each run, or -1."""
        return columns(self.rows, np.full((len(self.rows), 1), node))[:, 0]

    @cached_property
    def started_s(self) -> Ints:
        return self.begin_s[:, 0] - self.instance.past_s[self.van]

    @cached_property
    def ended_s(self) -> Ints:
        return np.take_along_axis(self.leave_s, self.last[:, None], axis=1)[:, 0]

    @cached_property
    def work_s(self) -> Ints:
        return np.where(self.used, self.ended_s - self.started_s, 0)

    @cached_property
    def way_m(self) -> Ints:
        return np.where(self.used, self.metres.sum(axis=1) + self.instance.past_m[self.van], 0)


def table(instance: Instance, runs: Sequence[tuple[int, Sequence[int]]]) -> tuple[Ints, Ints]:
    """Return vans (R) and rows (R, K) of runs given as van and nodes; ends are added, short rows filled up."""
    width = max((len(nodes) for _, nodes in runs), default=0) + 2
    rows = np.full((len(runs), width), instance.void, dtype=np.int64)
    for row, (van, nodes) in zip(rows, runs, strict=True):
        row[: len(nodes) + 2] = [instance.start[van], *nodes, instance.end[van]]
    return np.array([van for van, _ in runs], dtype=np.int64), rows


def drive(instance: Instance, van: Ints, rows: Ints, not_before_s: Ints | None = None) -> Schedule:
    """Simulate the runs; with `not_before_s` (R) none begins earlier than that.

    A run without one of its driver's breaks begins after it, where that makes nothing later.
    """
    begin_s = instance.begin_s[van] if not_before_s is None else np.maximum(instance.begin_s[van], not_before_s)
    runs = _driven(instance, van, rows, begin_s)
    for _ in range(
        max(map(len, instance.breaks), default=0)
    ):  # begun after a break, a run may end too late for another
        rested_s = _after_breaks(runs)
        again = np.flatnonzero(rested_s > runs.started_s)
        if not len(again):
            break
        after = _driven(instance, van[again], rows[again], np.maximum(begin_s[again], rested_s[again]))
        better = _late_s(after) <= _late_s(runs)[again]
        for name in ("arrive_s", "begin_s", "leave_s", "drive_s"):
            getattr(runs, name)[again[better]] = getattr(after, name)[better]
        runs = replace(runs)  # without what is cached
    return runs


def _driven(instance: Instance, van: Ints, rows: Ints, begin_s: Ints) -> Schedule:
    arrive, begin, leave, metres, seconds, due = timed(instance.tables, van, rows, begin_s)
    load = loads(instance.tables, van, rows)
    return Schedule(instance, van, rows, arrive, begin, leave, metres, seconds, load, due)


def _after_breaks(runs: Schedule) -> Ints:
    """R: when the breaks that a run lacks can be over before it begins; 0 where it lacks none."""
    rested_s = np.zeros(len(runs.rows), dtype=np.int64)
    for van, nodes in enumerate(runs.instance.breaks):
        mine = np.flatnonzero((runs.van == van) & runs.used & ~runs.instance.under_way[van]) if nodes else ()
        for node in nodes if len(mine) else ():
            lacks = (runs.column(node)[mine] < 0) & ~spares(runs, node)[mine]
            last_s = runs.instance.close_s[0, node, -1]
            rested_s[mine[lacks & (last_s < NEVER_S)]] = np.maximum(
                rested_s[mine[lacks & (last_s < NEVER_S)]], earliest_rest_s(runs.instance, node)
            )
    return rested_s


def spares(runs: Schedule, rest: int) -> Bools:
    """R: whether a run needs this break not, as it can be had before it begins or after it ends."""
    last_s = int(runs.instance.close_s[0, rest, -1])
    outside = (runs.ended_s <= last_s) | (runs.started_s >= earliest_rest_s(runs.instance, rest))
    return np.asarray(outside & (last_s < NEVER_S))


def earliest_rest_s(instance: Instance, rest: int) -> int:
    """Return when a break can be over at the earliest."""
    return int(instance.open_s[0, rest, 0] + instance.service_s[rest])


def _late_s(runs: Schedule) -> Ints:
    """R: seconds late in all: windows, times due, times on board, shift, latest start, longest run."""
    instance, van = runs.instance, runs.van
    close_s = instance.close_s[instance.van_class[van][:, None], runs.rows, -1]
    visits = np.maximum(0, runs.begin_s - close_s) + np.maximum(0, runs.leave_s - runs.due_s)
    over = [
        runs.ended_s - instance.finish_s[van],
        runs.begin_s[:, 0] - instance.latest_begin_s[van],
        runs.work_s - instance.max_duration_s[van],
    ]
    on_board = too_long_on_board(runs) if Cause.LONG_ON_BOARD in instance.breakable else np.zeros_like(visits)
    return np.asarray(((visits + on_board) * runs.real).sum(axis=1) + sum(np.maximum(0, one) for one in over))


def too_long_on_board(runs: Schedule) -> Ints:
    """R, K: at a delivery, the seconds that its shipment was on board beyond its longest time."""
    instance = runs.instance
    collected = columns(runs.rows, instance.partner[runs.rows])
    here = np.take_along_axis(runs.leave_s, np.maximum(collected, 0), axis=1)
    left_s = np.where(collected >= 0, here, instance.collected_s[runs.rows])
    aboard = (collected >= 0) | instance.aboard[runs.van[:, None], runs.rows]
    over = runs.begin_s - left_s - instance.max_on_board_s[runs.rows]
    return np.asarray(np.maximum(0, over) * aboard)
