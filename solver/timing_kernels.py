"""A run's times and loads: the loops behind `solver.schedule`, compiled.

The idea: all that a run needs from the clock is laid out visit by visit (`ask`, `hours`); then it is driven from a
start, and again from a later start while that shortens it. A few runs or ten thousand are the same loop. Compiled code is
kept on disk, beside this file; few arrays go from loop to loop, because many take long to compile.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NEVER_S = 2 * 10**9  # later than any time of a problem; a window that ends then is open
# Times that the start of a run is postponed past a closure: successive lunch breaks, and a little more.
MOST_CLOSURES = 6
# Rounding of sums of fractions.
ALMOST_S = 1e-6
PLACE, SERVICE, LOADS, UNLOADS, RESTS, READY, DUE, CLOSING, LOADING = range(9)  # rows of `Tables.nodes`
ZONES, PERCENT, LATEST, FINISH, UNDER_WAY, KIND = range(6)  # rows of `Tables.vans`
DELIVER, COLLECT, CHANGE = range(3)  # rows of `Tables.amounts`
LOAD, CARRIED = range(2)  # rows of `Tables.aboard`
COLLECTION, MOST_S = range(2)  # rows of `Tables.on_board`
ASKED_SERVICE, ASKED_REST, ASKED_DRIVE, ASKED_FLOOR, ASKED_DUE, ASKED_METRES = range(6)  # rows of what a run asks
# And where the time on board is limited: the column of a delivery's collection or -1, and the longest time between them.
ASKED_FROM, ASKED_MOST = range(6, 8)
HOLDS_PER_VISIT = 4  # collections put off, at most: each is once, and again after a closure that it runs into
ARRIVE, BEGIN, GAP, CLOSE, SECONDS, DRIVEN = range(6)  # rows of a drive
LEAVE, METRES, DRIVE, TIME_DUE = range(2, 6)  # rows of the answer, after arrival and beginning


class TimingTables(NamedTuple):
    """An instance in the form the loops take: N nodes, V vans, W windows, Z zone classes, S slots, D dimensions, K kinds."""

    # 9, N: place, service, whether a trip begins, whether one ends, whether it is a rest, ready, due, closing, loading
    nodes: Ints
    vans: Ints  # 6, V: zone class, percent of driving times, latest beginning, end of shift, whether under way, kind
    open_s: Ints  # Z, N, W
    close_s: Ints  # Z, N, W
    amounts: Ints  # 3, N, D: delivered, collected, changed
    aboard: Ints  # 2, V, D: on a van under way: crates, shipments
    metres: Ints  # K, places + 1 squared, the last is nowhere
    seconds: Ints  # the same
    slots: Ints  # S, 3: from, until, percent
    setup_s: Ints  # N: before the service where the last place was another; empty where none takes any
    on_board: Ints  # 2, N: a delivery's collection, and the longest time between them; 0, N where none is limited


def compiled(function: F) -> F:
    """Compile, keeping the result on disk; other threads may run meanwhile."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def within(function: F) -> F:
    """Compile with its callers: into their code on disk."""
    return cast(F, numba.njit(nogil=True)(function))


@within
def _through(slots: Ints, leave_s: int, base_s: int) -> int:
    """Return seconds under way for a drive of `base_s` that begins at `leave_s`.

    The speed changes when a slot begins or ends, also during the drive, so that a later departure never arrives earlier
    (Ichoua, Gendreau, Potvin 2003).
    """
    left, clock = float(base_s), float(leave_s)
    for slot in range(len(slots)):
        before = min(max(0.0, slots[slot, 0] - clock), left)
        clock, left = clock + before, left - before
        inside = min(max(0.0, slots[slot, 1] - max(clock, slots[slot, 0])) * 100 / slots[slot, 2], left)
        clock, left = clock + inside * slots[slot, 2] / 100, left - inside
    return math.ceil(clock + left - leave_s - ALMOST_S)


@compiled
def through_slots(slots: Ints, leave_s: Ints, base_s: Ints) -> Ints:
    """Return seconds under way for drives of `base_s` that begin at `leave_s`."""
    seconds = np.empty_like(base_s)
    for at in range(len(base_s)):
        seconds[at] = _through(slots, leave_s[at], base_s[at])
    return seconds


@within
def _way(run: Ints, places: Ints, metres: Ints, seconds: Ints, percent: int, ask: Ints) -> None:
    """Write metres, and the van's own seconds without rush hours, from the last place before each visit; rests are nowhere."""
    nowhere = len(metres) - 1
    here = nowhere
    for at in range(len(run)):
        there = places[run[at]]
        ask[ASKED_METRES, at] = metres[here, there]
        ask[ASKED_DRIVE, at] = -(-seconds[here, there] * percent // 100)
        here = here if there == nowhere else there


@within
def _trips(run: Ints, nodes: Ints, collect: Ints, ask: Ints) -> None:
    """Write the earliest loading, where a trip begins, and when its crates are due, where it ends.

    A stop's own due time stands for the depot's cut-off; where the van loads again, it may leave later by the loading.
    """
    latest, earliest, collected = 0, NEVER_S, False
    for at in range(len(run) - 1, -1, -1):
        node = run[at]
        ask[ASKED_FLOOR, at] = latest if nodes[LOADS, node] else 0
        latest = 0 if nodes[LOADS, node] else max(latest, nodes[READY, node])
    for at in range(len(run)):
        node = run[at]
        ask[ASKED_DUE, at] = NEVER_S
        if nodes[UNLOADS, node]:
            due_s = min(earliest, nodes[CLOSING, node] if collected else NEVER_S)
            ask[ASKED_DUE, at] = due_s + nodes[LOADING, node] if due_s < NEVER_S else NEVER_S
            earliest, collected = NEVER_S, False
        else:
            earliest = min(earliest, nodes[DUE, node])
            for dimension in range(collect.shape[1]):
                collected = collected or (collect[node, dimension] > 0 and nodes[DUE, node] == NEVER_S)


@within
def _go(ask: Ints, hours: Ints, slots: Ints, start_s: int, out: Ints) -> None:
    """Drive from this start. Service begins in the first window that has not closed; waiting happens on arrival.

    Loading begins in the first window that has not closed when its crates are ready. A rest begins where the van stands or
    on the road, as soon as its window opens: driving goes on after `rested`.
    """
    clock, rest, rested = start_s, 0, 0
    for at in range(ask.shape[1]):
        out[SECONDS, at] = _through(slots, clock, ask[ASKED_DRIVE, at]) if len(slots) else ask[ASKED_DRIVE, at]
        driven = clock + out[SECONDS, at] + rest
        arrive, window = max(driven, rested), 0
        able = max(arrive, ask[ASKED_FLOOR, at])
        while window < hours.shape[2] - 1 and able > hours[1, at, window]:
            window += 1
        begin = max(able, hours[0, at, window])
        out[DRIVEN, at] = driven
        out[ARRIVE, at], out[BEGIN, at], out[CLOSE, at] = arrive, begin, hours[1, at, window]
        out[GAP, at] = 0 if ask[ASKED_REST, at] or at == 0 else begin - driven
        if ask[ASKED_REST, at]:
            rested = max(rested, hours[0, at, window]) + ask[ASKED_SERVICE, at]
            rest += ask[ASKED_SERVICE, at]
        else:
            clock, rest, rested = begin + ask[ASKED_SERVICE, at], 0, 0


@within
def _hold_back(ask: Ints, hours: Ints, slots: Ints, out: Ints) -> None:
    """Drive again while a collection must be put off as its load would be too long on board."""
    for _ in range(HOLDS_PER_VISIT * ask.shape[1]):
        if not _hold(ask, hours, out):
            break
        _go(ask, hours, slots, out[BEGIN, 0], out)


@within
def _too_long(ask: Ints, out: Ints, at: int) -> int:
    """Return the seconds that what is delivered here was too long on board; below 0: it was not."""
    first = ask[ASKED_FROM, at]
    if first < 0:
        return -1
    return int(out[BEGIN, at] - out[BEGIN, first] - ask[ASKED_SERVICE, first] - ask[ASKED_MOST, at])


@within
def _hold(ask: Ints, hours: Ints, out: Ints) -> bool:
    """Put off the first collection whose load would be too long on board, where the van only waits meanwhile; whether one was."""
    for at in range(ask.shape[1]):
        later_s, first = _too_long(ask, out, at), ask[ASKED_FROM, at]
        if later_s > 0 and _can_wait(ask, hours, out, first, at, later_s):
            ask[ASKED_FLOOR, first] = out[BEGIN, first] + later_s
            return True
    return False


@within
def _can_wait(ask: Ints, hours: Ints, out: Ints, first: int, last: int, later_s: int) -> bool:
    """Whether a visit can begin so much later that those after it are in time, and the last of them no later than now."""
    for at in range(first, last):
        begin = out[DRIVEN, at] if ask[ASKED_REST, at] else out[BEGIN, at]
        if begin + later_s > hours[1, at, -1]:
            return False
        later_s -= out[GAP, at + 1]
        if later_s <= 0:
            return True
    return False


@within
def _slack(ask: Ints, out: Ints, at: int) -> int:
    """By how much a visit may be reached later; a rest also waits for its window, while the van stands or drives."""
    if ask[ASKED_REST, at]:
        return int(max(0, out[CLOSE, at] - out[DRIVEN, at]))
    due = ask[ASKED_DUE, at] - ask[ASKED_SERVICE, at]
    return int(max(0, min(out[CLOSE, at], due) - out[BEGIN, at]))


@within
def _delay(ask: Ints, latest_s: int, out: Ints) -> int:
    """Return by how much the start can be postponed without delaying the end or breaking a rule."""
    delay, waited = max(0, latest_s - out[BEGIN, 0]), 0
    for at in range(ask.shape[1]):
        waited += out[GAP, at]
        delay = min(delay, waited + _slack(ask, out, at))
    return int(min(delay, waited))


@within
def _to_next_window(ask: Ints, hours: Ints, out: Ints) -> int:
    """Return by how much later the run must begin so that the visit that holds it back misses its window (0: no gain)."""
    reach, holding, waited = NEVER_S, 0, 0
    for at in range(ask.shape[1]):
        waited += out[GAP, at]
        far = waited + _slack(ask, out, at)
        if far < reach:
            reach, holding = far, at
    return reach + 1 if waited and out[CLOSE, holding] < hours[1, holding, -1] else 0


@within
def _late(ask: Ints, latest_s: int, finish_s: int, out: Ints) -> int:
    """Return how many seconds the run is late in all: windows, times due, times on board, the shift and its latest start."""
    late, leave = max(0, out[BEGIN, 0] - latest_s), 0
    for at in range(ask.shape[1]):
        leave = out[BEGIN, at] + ask[ASKED_SERVICE, at]
        late += max(0, out[BEGIN, at] - out[CLOSE, at]) + max(0, leave - ask[ASKED_DUE, at])
    if ask.shape[0] > ASKED_FROM:
        for at in range(ask.shape[1]):
            late += max(0, _too_long(ask, out, at))
    return int(late + max(0, leave - finish_s))


@within
def _later(one: Ints, other: Ints) -> bool:
    """Whether some visit of `one` begins after that of `other`."""
    later = False
    for at in range(1, one.shape[1]):
        later = later or one[BEGIN, at] > other[BEGIN, at]
    return later


@within
def _copy(one: Ints, other: Ints) -> None:
    """Cell by cell: compiling an assignment of slices takes seconds."""
    for line in range(one.shape[0]):
        for at in range(one.shape[1]):
            other[line, at] = one[line, at]


@within
def _put_off(ask: Ints, hours: Ints, slots: Ints, latest_s: int, out: Ints, spare: Ints) -> None:
    """Begin later where that delays nothing; with rush hours it may, and then nothing is changed."""
    delay = _delay(ask, latest_s, out)
    if delay:
        _go(ask, hours, slots, out[BEGIN, 0] + delay, spare)
        if len(slots) == 0 or not _later(spare, out):
            _copy(spare, out)


@within
def _past_rush(ask: Ints, slots: Ints, out: Ints) -> int:
    """Return by how much later the run must begin so that its first slowed drive begins when its slot ends (0: none is)."""
    left = out[BEGIN, 0] + ask[ASKED_SERVICE, 0]
    for at in range(1, ask.shape[1]):
        if out[SECONDS, at] > ask[ASKED_DRIVE, at]:
            for slot in range(len(slots)):
                slows = slots[slot, 2] > 100 and slots[slot, 0] < left + out[SECONDS, at]
                if slows and slots[slot, 1] > left:
                    return int(slots[slot, 1] - left)
        if not ask[ASKED_REST, at]:
            left = out[BEGIN, at] + ask[ASKED_SERVICE, at]
    return 0


@within
def _begin_later(
    ask: Ints, hours: Ints, slots: Ints, latest_s: int, finish_s: int, best: Ints, here: Ints, spare: Ints
) -> None:
    """Begin still later, past closures or, in a day with rush hours, past these, where the run is shorter and no later in all."""
    _copy(best, here)
    for _ in range(MOST_CLOSURES):
        jump = _past_rush(ask, slots, here) if len(slots) else _to_next_window(ask, hours, here)
        if not jump:
            break
        _go(ask, hours, slots, here[BEGIN, 0] + jump, here)
        if ask.shape[0] > ASKED_FROM:
            _hold_back(ask, hours, slots, here)
        _put_off(ask, hours, slots, latest_s, here, spare)
        shorter = here[BEGIN, -1] - here[BEGIN, 0] < best[BEGIN, -1] - best[BEGIN, 0]
        if shorter and _late(ask, latest_s, finish_s, here) <= _late(ask, latest_s, finish_s, best):
            _copy(here, best)


@within
def _service_and_hours(run: Ints, nodes: Ints, open_s: Ints, close_s: Ints, ask: Ints, hours: Ints) -> None:
    for at in range(len(run)):
        ask[ASKED_SERVICE, at], ask[ASKED_REST, at] = nodes[SERVICE, run[at]], nodes[RESTS, run[at]]
        for window in range(hours.shape[2]):
            hours[0, at, window], hours[1, at, window] = open_s[run[at], window], close_s[run[at], window]


@within
def _set_up(run: Ints, places: Ints, setup_s: Ints, nowhere: int, ask: Ints) -> None:
    """Add the setup of visits that are at another place than the last; rests are nowhere."""
    here = nowhere
    for at in range(len(run)):
        there = places[run[at]]
        if there != here:
            ask[ASKED_SERVICE, at] += setup_s[run[at]]
        here = here if there == nowhere else there


@within
def _collections(run: Ints, on_board: Ints, ask: Ints) -> None:
    for at in range(len(run)):
        ask[ASKED_FROM, at], ask[ASKED_MOST, at] = -1, on_board[MOST_S, run[at]]
        for first in range(at if ask[ASKED_MOST, at] < NEVER_S else 0):
            if run[first] == on_board[COLLECTION, run[at]]:
                ask[ASKED_FROM, at] = first


@within
def _answer(ask: Ints, drive: Ints, row: int, times: Ints) -> None:
    for at in range(ask.shape[1]):
        times[ARRIVE, row, at], times[BEGIN, row, at] = drive[ARRIVE, at], drive[BEGIN, at]
        times[LEAVE, row, at] = drive[BEGIN, at] + ask[ASKED_SERVICE, at]
        times[METRES, row, at], times[DRIVE, row, at] = ask[ASKED_METRES, at], drive[SECONDS, at]
        times[TIME_DUE, row, at] = ask[ASKED_DUE, at]


@compiled
def timed(day: TimingTables, vans: Ints, rows: Ints, earliest_s: Ints) -> Ints:
    """Return arrival, beginning, leaving, metres, seconds of driving and times due of runs, 6 by R by K; the void's are 0."""
    nodes, width, slots = day.nodes, rows.shape[1], day.slots
    times = np.zeros((6, len(rows), width), dtype=np.int64)
    lines = ASKED_MOST + 1 if len(day.on_board) else ASKED_FROM
    asked, hours_of = np.empty((lines, width), np.int64), np.empty((2, width, day.open_s.shape[2]), np.int64)
    drives = np.empty((3, 6, width), np.int64)
    for row in range(len(rows)):
        size, van, kind = _size(rows[row], nodes.shape[1] - 1), vans[row], day.vans[KIND, vans[row]]
        run, ask, hours, zone = rows[row, :size], asked[:, :size], hours_of[:, :size], day.vans[ZONES, van]
        best, here, spare = drives[0, :, :size], drives[1, :, :size], drives[2, :, :size]
        _service_and_hours(run, nodes, day.open_s[zone], day.close_s[zone], ask, hours)
        if len(day.setup_s):
            _set_up(run, nodes[PLACE], day.setup_s, day.metres.shape[1] - 1, ask)
        _way(run, nodes[PLACE], day.metres[kind], day.seconds[kind], day.vans[PERCENT, van], ask)
        _trips(run, nodes, day.amounts[COLLECT], ask)
        _go(ask, hours, slots, earliest_s[row], best)
        if lines > ASKED_FROM:
            _collections(run, day.on_board, ask)
            _hold_back(ask, hours, slots, best)
        latest_s, finish_s = day.vans[LATEST, van], day.vans[FINISH, van]
        if not day.vans[UNDER_WAY, van]:
            _put_off(ask, hours, slots, latest_s, best, spare)
            _begin_later(ask, hours, slots, latest_s, finish_s, best, here, spare)
        _answer(ask, best, row, times)
    return times


@compiled
def columns(rows: Ints, nodes: Ints) -> Ints:
    """Return where each of these nodes (R, M) stands last in its own row (R, K), or -1."""
    found = np.full_like(nodes, -1)
    for row in range(nodes.shape[0]):
        for one in range(nodes.shape[1]):
            for at in range(rows.shape[1]):
                found[row, one] = at if rows[row, at] == nodes[row, one] else found[row, one]
    return found


@within
def _size(row: Ints, void: int) -> int:
    size = 0
    while size < len(row) and row[size] != void:
        size += 1
    return size


@compiled
def loads(day: TimingTables, vans: Ints, rows: Ints) -> Ints:
    """Return the load on leaving each column (R, K, D): crates to deliver, crates collected, shipments; none at an end."""
    load = np.zeros((len(rows), rows.shape[1], day.amounts.shape[2]), dtype=np.int64)
    for row in range(len(rows)):
        run = rows[row, : _size(rows[row], day.nodes.shape[1] - 1)]
        under_way = day.vans[UNDER_WAY, vans[row]]
        for one in range(load.shape[2]):
            _loads_of_run(
                run,
                day.nodes[LOADS],
                day.amounts[:, :, one],
                day.aboard[:, vans[row], one],
                under_way,
                load[row, :, one],
            )
    return load


@within
def _loads_of_run(run: Ints, loads: Ints, amounts: Ints, aboard: Ints, under_way: int, load: Ints) -> None:
    """Write the load of a dimension."""
    left = 0
    for at in range(len(run) - 1, -1, -1):
        load[at] = left
        left = 0 if loads[run[at]] else left + amounts[DELIVER, run[at]]
    moving, kept = aboard[CARRIED], aboard[LOAD] - load[0] if under_way else 0
    for at in range(len(run)):
        moving += amounts[CHANGE, run[at]]
        kept = 0 if at and loads[run[at]] else kept + amounts[COLLECT, run[at]]
        load[at] += moving + kept
    load[len(run) - 1] = 0
