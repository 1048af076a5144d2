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

from solver.instance import NEVER_S, Bools, Instance, Ints, Kind
from solver.problem import Slot

MOST_CLOSURES = 6  # that the start of one run is put off past: lunch at places one after the other, and a little more
FEW_RUNS = 16  # up to here plain numbers are faster than arrays of a column


REST = int(Kind.BREAK)  # looked up once: an enumeration is slow to ask


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
    due_s: Ints  # R, K: at the end of a trip, when its collected crates must be there; else never

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

    @cached_property
    def column(self) -> Ints:
        """R, N: where each node stands in the run, or -1."""
        column = np.full((len(self.rows), self.instance.void + 1), -1, dtype=np.int64)
        np.put_along_axis(column, self.rows, np.arange(self.rows.shape[1])[None, :], axis=1)
        column[:, self.instance.void] = -1
        return column

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


def sketch(instance: Instance, van: Ints, rows: Ints) -> Schedule:
    """Simulate the runs in a third of the time: all starts as early as can be, only the first begin put off.

    Rules come out as in `drive` (but for rush hours and late rests); a cost may come out higher.
    """
    start, due = _trips(instance, rows)
    times = _Pass(instance, van, rows, start, instance.begin_s[van])
    times.begin[:, 0] += times.delay(due)
    load = _loads(instance, van, rows)
    return Schedule(instance, van, rows, times.arrive, times.begin, times.leave, times.metres, times.seconds, load, due)


def drive(instance: Instance, van: Ints, rows: Ints, not_before_s: Ints | None = None) -> Schedule:
    """Simulate the runs; with `not_before_s` (R) none begins earlier than that."""
    start, due = _trips(instance, rows)
    begin_s = instance.begin_s[van] if not_before_s is None else np.maximum(instance.begin_s[van], not_before_s)
    first = _Pass(instance, van, rows, start, begin_s)
    times = _put_off(first, due)
    if instance.problem.slots:
        if times is not first and not (times.leave <= first.leave).all():
            times = _kept(first, times, instance, van, rows, start)
    else:
        _pass_closures(times, due)
    load = _loads(instance, van, rows)
    return Schedule(instance, van, rows, times.arrive, times.begin, times.leave, times.metres, times.seconds, load, due)


def _put_off(first: "_Pass", due: Ints) -> "_Pass":
    start_s = first.begin[:, 0] + first.delay(due)
    if (start_s == first.begin[:, 0]).all():
        return first
    return first.again(slice(None), start_s)


def _pass_closures(times: "_Pass", due: Ints) -> None:
    """Begin runs still later where visits then fall into their next windows and less is waited in all."""
    rows, here = np.arange(len(times.rows)), times
    for _ in range(MOST_CLOSURES):
        jump = here.to_next_window(due[rows])
        gains = np.flatnonzero(jump)
        if not len(gains):
            return
        rows = rows[gains]
        begin_s = here.begin[gains, 0] + jump[gains]
        here = _put_off(times.again(rows, begin_s), due[rows])
        better = (here.length() < times.length()[rows]) & (here.late(due[rows]) <= times.late(due)[rows])
        times.take(rows[better], here, better)


def _kept(first: "_Pass", later: "_Pass", instance: Instance, van: Ints, rows: Ints, floor: Ints) -> "_Pass":
    """Return the later start only for the rows that it makes no visit later (rush hours may)."""
    waits = (later.leave > first.leave)[:, 1:].any(axis=1)
    return _Pass(instance, van, rows, floor, np.where(waits, first.begin[:, 0], later.begin[:, 0]))


_Facts = tuple[Ints, ...]  # metres, seconds without rush hours, openings, closings, services: whatever the start


def _facts(instance: Instance, van: Ints, rows: Ints) -> _Facts:
    zone = instance.van_class[van][:, None]
    return (
        *_way(instance, van, rows),
        instance.open_s[zone, rows],
        instance.close_s[zone, rows],
        instance.service_s[rows],
    )


class _Pass:
    """One drive through all columns from the given start times; arrays R, K."""

    def __init__(
        self, instance: Instance, van: Ints, rows: Ints, floor: Ints, start_s: Ints, facts: "_Facts | None" = None
    ) -> None:
        self.instance, self.van, self.rows, self.floor = instance, van, rows, floor
        self.facts = facts or _facts(instance, van, rows)
        self.arrive, self.begin, self.driven = (np.zeros(rows.shape, dtype=np.int64) for _ in range(3))
        metres, base, self.opens, self.closes, self.service = self.facts
        self.metres = metres.copy()
        self.seconds = base.copy()
        self.resting = instance.kind[rows] == REST if REST in instance.kind else None
        self.clock = start_s
        self.rest, self.rested = np.zeros_like(start_s), np.zeros_like(start_s)  # on the road: max(t + rest, rested)
        if len(rows) <= FEW_RUNS and self.resting is None and not instance.problem.slots:
            self._visit_one_by_one()
        else:
            for column in range(rows.shape[1]):
                self._visit(column)
        self.leave, self.gap, self.close = self.begin + self.service, self.begin - self.driven, self._close()
        if self.resting is not None:
            self.gap[self.resting] = 0

    def again(self, chosen: Ints | slice, start_s: Ints) -> "_Pass":
        """Return a pass of the chosen rows from other start times."""
        facts = tuple(one[chosen] for one in self.facts)
        return _Pass(self.instance, self.van[chosen], self.rows[chosen], self.floor[chosen], start_s, facts)

    def _visit_one_by_one(self) -> None:
        """What `_visit` does for all columns, run by run in plain numbers: no array is worth making for so few."""
        driven, begin = list[list[int]](), list[list[int]]()
        tables = (self.seconds, self.opens, self.closes, self.floor, self.service)
        for clock, *columns in zip(self.clock.tolist(), *(one.tolist() for one in tables), strict=True):
            arrivals, begins = list[int](), list[int]()
            for seconds, opens, closes, floor, service in zip(*columns, strict=True):
                arrive = clock + seconds
                opened = next((opens[at] for at, close in enumerate(closes) if arrive <= close), opens[-1])
                clock = max(arrive, opened, floor)
                arrivals.append(arrive)
                begins.append(clock)
                clock += service
            driven.append(arrivals)
            begin.append(begins)
        self.driven, self.begin = (np.array(one, dtype=np.int64).reshape(self.rows.shape) for one in (driven, begin))
        self.arrive = self.driven.copy()

    def _visit(self, column: int) -> None:
        """Go on to one column: what does not depend on the clock is done for all columns at once, before and after."""
        if self.instance.problem.slots:
            slots, base = self.instance.problem.slots, self.seconds[:, column]
            self.seconds[:, column] = through_slots(slots, self.clock, base)
        driven = self.clock + self.seconds[:, column]
        arrive = driven
        if self.resting is not None:
            driven = driven + self.rest
            arrive = np.maximum(driven, self.rested)
        opened = self._opened(column, arrive)
        begin = np.maximum(np.maximum(arrive, opened), self.floor[:, column])
        self.driven[:, column], self.arrive[:, column], self.begin[:, column] = driven, arrive, begin
        leave = begin + self.service[:, column]
        if self.resting is None:
            self.clock = leave
        else:
            self._rest(column, self.resting[:, column], leave, opened)

    def _rest(self, column: int, resting: Bools, leave: Ints, opened: Ints) -> None:
        length = self.service[:, column]
        self.clock = np.where(resting, self.clock, leave)
        self.rested = np.where(resting, np.maximum(self.rested, opened) + length, 0)
        self.rest = np.where(resting, self.rest + length, 0)

    def _opened(self, column: int, arrive: Ints) -> Ints:
        """Return the opening of the first window that has not closed, or of the last one."""
        opens, closes = self.opens[:, column], self.closes[:, column]
        opened = opens[:, -1]
        for window in reversed(range(opens.shape[1] - 1)):
            opened = np.where(arrive <= closes[:, window], opens[:, window], opened)
        return opened

    def _close(self) -> Ints:
        """Return the close of each column's window (R, K)."""
        close = self.closes[:, :, -1].copy()
        for window in reversed(range(self.closes.shape[2] - 1)):
            close = np.where(self.arrive <= self.closes[:, :, window], self.closes[:, :, window], close)
        return close

    def delay(self, due: Ints) -> Ints:
        """Return by how many seconds each start can be put off without delaying the end or breaking a rule."""
        slack = np.maximum(0, np.minimum(self.close - self.begin, due - self.leave))
        slack[self.rows == self.instance.void] = NEVER_S
        latest = np.maximum(0, self.instance.latest_begin_s[self.van] - self.begin[:, 0])
        slack[:, 0] = np.minimum(slack[:, 0], latest)
        gap = self.gap.copy()
        gap[:, 0] = 0
        gap[self.rows == self.instance.void] = 0
        waited = gap.cumsum(axis=1)
        delay = np.minimum((waited + slack).min(axis=1), waited[:, -1])
        return np.asarray(np.where(self.instance.under_way[self.van], 0, delay))

    def to_next_window(self, due: Ints) -> Ints:
        """Return by how much later each run has to begin for the visit that holds it back to miss its window (0: no gain)."""
        slack = np.maximum(0, np.minimum(self.close - self.begin, due - self.leave))
        slack[self.rows == self.instance.void] = NEVER_S
        waited = np.where(self.rows == self.instance.void, 0, self.gap)
        waited[:, 0] = 0
        reach = waited.cumsum(axis=1) + slack
        row, column = np.arange(len(reach)), reach.argmin(axis=1)
        zone = self.instance.van_class[self.van]
        opens_again = self.close[row, column] < self.instance.close_s[zone, self.rows[row, column], -1]
        gains = opens_again & (waited.sum(axis=1) > 0) & ~self.instance.under_way[self.van]
        return np.asarray(np.where(gains, reach[row, column] + 1, 0))

    def length(self) -> Ints:
        """Return each run's seconds from start to end."""
        return np.asarray(np.where(self.rows == self.instance.void, 0, self.leave).max(axis=1) - self.begin[:, 0])

    def late(self, due: Ints) -> Ints:
        """Return how many seconds each run is late in all: windows, times due, the shift and its latest start."""
        real = self.rows != self.instance.void
        visits = np.maximum(0, self.begin - self.close) + np.maximum(0, self.leave - due)
        ends = np.maximum(0, np.where(real, self.leave, 0).max(axis=1) - self.instance.finish_s[self.van])
        starts = np.maximum(0, self.begin[:, 0] - self.instance.latest_begin_s[self.van])
        return np.asarray((visits * real).sum(axis=1) + ends + starts)

    def take(self, rows: Ints, other: "_Pass", chosen: Bools) -> None:
        """Put the chosen runs of another pass in place of these rows."""
        for name in ("arrive", "begin", "leave", "metres", "seconds", "close", "gap"):
            getattr(self, name)[rows] = getattr(other, name)[chosen]


def _way(instance: Instance, van: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return metres and the van's own seconds from the last place before each column; rests are nowhere."""
    place, columns = instance.place[rows], np.arange(rows.shape[1])
    located = np.maximum.accumulate(np.where(place == len(instance.places), -1, columns), axis=1)
    before = np.pad(located[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    left = np.where(before < 0, len(instance.places), np.take_along_axis(place, np.maximum(before, 0), axis=1))
    seconds = instance.seconds[left, place] * instance.time_percent[van][:, None]
    return instance.metres[left, place], np.asarray(-(-seconds // 100))


def through_slots(slots: Sequence[Slot], leave_s: Ints, base_s: Ints) -> Ints:
    """Return seconds under way for drives of `base_s` that begin at `leave_s`.

    The speed changes when a slot begins or ends, also on the way, so that who leaves later never arrives earlier
    (Ichoua, Gendreau, Potvin 2003).
    """
    remaining, clock = base_s.astype(float), leave_s.astype(float)
    for from_s, until_s, percent in _stretches(slots):
        done = np.clip(until_s - np.maximum(clock, from_s), 0, None) * 100 / percent
        done = np.minimum(done, remaining)
        clock = clock + done * percent / 100
        remaining = remaining - done
    return np.asarray(np.ceil(clock - leave_s - 1e-6), dtype=np.int64)


def _stretches(slots: Sequence[Slot]) -> list[tuple[int, float, int]]:
    """Return the whole of time as spans with their percentage."""
    spans, clock = list[tuple[int, float, int]](), 0
    for slot in slots:
        spans += [(clock, slot.from_s, 100), (slot.from_s, slot.until_s, slot.percent)]
        clock = slot.until_s
    return [*spans, (clock, float("inf"), 100)]


def _trips(instance: Instance, rows: Ints) -> tuple[Ints, Ints]:
    """Return, for each column, the earliest loading (where a trip starts) and when crates are due (where it ends)."""
    kinds = instance.kind[rows]
    ready, due = np.zeros(rows.shape, dtype=np.int64), np.full(rows.shape, NEVER_S)
    if instance.ready_s.any():
        latest = np.zeros(len(rows), dtype=np.int64)
        for column in reversed(range(rows.shape[1])):
            starts = (kinds[:, column] == Kind.RELOAD) | (kinds[:, column] == Kind.START)
            ready[:, column] = np.where(starts, latest, 0)
            latest = np.where(starts, 0, np.maximum(latest, instance.ready_s[rows[:, column]]))
    if (instance.due_s < NEVER_S).any() or (instance.cut_off_s < NEVER_S).any():
        _fill_due(instance, rows, kinds, due)
    return ready, due


def _fill_due(instance: Instance, rows: Ints, kinds: Ints, due: Ints) -> None:
    earliest, collected = np.full(len(rows), NEVER_S), np.zeros(len(rows), dtype=bool)
    cut_off = np.append(instance.cut_off_s, NEVER_S)  # of no depot: never
    for column in range(rows.shape[1]):
        node = rows[:, column]
        ends = (kinds[:, column] == Kind.RELOAD) | (kinds[:, column] == Kind.END)
        here = np.minimum(earliest, np.where(collected, cut_off[instance.depot[node]], NEVER_S))
        due[:, column] = np.where(ends, here, NEVER_S)
        earliest = np.where(ends, NEVER_S, np.minimum(earliest, instance.due_s[node]))
        collected = ~ends & (collected | instance.collect[node].any(axis=1))


def _loads(instance: Instance, van: Ints, rows: Ints) -> Ints:
    """Return the load on leaving each column: crates to deliver, crates collected, shipments on the way; none at an end."""
    kinds = instance.kind[rows]
    load = _loads_on_the_way(instance, van, rows, kinds)
    load[kinds == Kind.END] = 0
    return load


def _loads_on_the_way(instance: Instance, van: Ints, rows: Ints, kinds: Ints) -> Ints:
    to_deliver, moving = instance.deliver[rows], instance.change[rows].cumsum(axis=1) + instance.carried[van][:, None]
    handed = to_deliver.cumsum(axis=1)
    left = handed[:, -1:] - handed
    if not (kinds == Kind.RELOAD).any():
        if not instance.under_way.any():
            return np.asarray(left + instance.collect[rows].cumsum(axis=1) + moving)
    else:
        left = _left_of_trip(kinds, to_deliver)
    load: Ints = left + moving + _kept_on_board(instance, van, rows, kinds, left)
    return load


def _left_of_trip(kinds: Ints, to_deliver: Ints) -> Ints:
    """Return what is still to be handed over of the trip under way, on leaving each column."""
    left = np.zeros(to_deliver.shape, dtype=np.int64)
    rest = np.zeros_like(left[:, 0])
    for column in reversed(range(kinds.shape[1])):
        starts = (kinds[:, column] == Kind.RELOAD) | (kinds[:, column] == Kind.START)
        left[:, column] = rest
        rest = np.where(starts[:, None], 0, rest + to_deliver[:, column])
    return left


def _kept_on_board(instance: Instance, van: Ints, rows: Ints, kinds: Ints, left: Ints) -> Ints:
    """Return what is on board beside `left` and shipments: collected, and on a van under way what it set out with."""
    kept = np.zeros_like(left)
    set_out = instance.under_way[van][:, None]
    on = np.where(set_out, instance.base_load[van] - left[:, 0], 0)
    for column in range(rows.shape[1]):
        reloaded = (kinds[:, column] == Kind.RELOAD)[:, None]
        on = np.where(reloaded, 0, on + instance.collect[rows[:, column]])
        kept[:, column] = on
    return kept
