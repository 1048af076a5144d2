"""When each van is where, and with what: the one simulation behind every judgement.

The idea: many runs are driven at once, column by column. One run edited by hand and ten thousand insertions that
`explain` tries are the same table with more rows: one meaning of "arrives at 9:40", and fast enough for both.

A run is served as early as it can be; then its start is put off as far as that delays nothing (drivers are not paid to
wait), and past the hours of a place that closes for lunch where the run is shorter by it. A rest begins where the van
stands or on the road, as soon as its window opens. Waiting is done on arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from solver.clock import Bools, Ints, columns, loads, timed
from solver.instance import Instance, Kind


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
        return np.asarray((self.kinds <= Kind.DELIVER).any(axis=1) | self.instance.under_way[self.van])

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
    """Simulate the runs; with `not_before_s` (R) none begins earlier than that."""
    begin_s = instance.begin_s[van] if not_before_s is None else np.maximum(instance.begin_s[van], not_before_s)
    arrive, begin, leave, metres, seconds, due = timed(instance.tables, van, rows, begin_s)
    load = loads(instance.tables, van, rows)
    return Schedule(instance, van, rows, arrive, begin, leave, metres, seconds, load, due)
