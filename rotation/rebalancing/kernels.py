"""The inner loops: Erlang values of copies, and each title's best answer to a set of prices. Compiled, and free of the GIL.

Given the places' prices, titles are independent of each other. A title's best answer matches its best releases
with its best receipts, pair by pair while their sum is positive. The sum over titles plus the worth of the capacities
bounds every plan from above, and the receipts that a title would choose are the columns that the circulation lacks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Array = NDArray[Any]
# Sums in any order, and no NaN: so the compiler handles eight places at a time.
LOOSE = {"contract", "arcp", "nsz", "reassoc", "nnan"}
# The value of a forbidden move.
NEVER = np.float32(-1e9)


class Released(NamedTuple):
    """Releases by title: one row for each copy that may leave."""

    start: Array  # T + 1, int64: rows start[t] to start[t + 1] - 1 are title t's
    place: Array  # int32: the row of the place it leaves
    value: Array  # float32: worth of leaving in loans, cost included


class MovePrices(NamedTuple):
    """Prices of moving in loans, float32: S x P (section, place), but S for `ceiling`."""

    leaving: Array
    fresh: Array  # price of arriving for a fresh copy, costs included
    arriving: Array  # price of arriving for any other copy, costs included
    # Minus the section's lowest price of arriving. With `peak` it bounds a title's best receipt, so that many titles are skipped.
    ceiling: Array


class Chosen(NamedTuple):
    """Columns that titles choose: one row for each title and place, up to the arrays' length."""

    title: Array  # int32
    place: Array  # int32
    score: Array  # float32: worth of the move in loans at these prices


class Suitors(NamedTuple):
    """Titles that would gain by going to each floor (a section at a place): one row for each floor."""

    row: Array  # S x P, int64: the floor's row, or -1
    room: Array  # rows, int64: how many titles the floor keeps
    score: Array  # rows x max(room), float32: a heap with the least on top
    title: Array  # rows x max(room), int32: -1 where the row has fewer titles


class Shelves(NamedTuple):
    """A desk's knowledge of places during the day: P places, K classes."""

    standing: Array  # P x K, int64: copies that stand there now
    room: Array  # P x K, int32: copies at most; -1: no limit
    room_total: Array  # P, int32: copies at most in all; -1: no limit
    intake: Array  # P, int64: copies that may still be brought there today
    lanes: Array  # P x P, float32: transport by origin and destination in loans, or empty
    room_price: Array  # P x K, float64, loans
    floor: Array  # P x K, float64: loans paid to a copy below the floor
    lacking: Array  # P x K, int64: copies that lack to the floor now; 0 or less: it is met
    fresh_price: Array  # P, float64: loans paid to a fresh copy
    crowded_from: float  # share of a shelf's room from which a copy costs up to `crowded_loans`
    crowded_loans: float


class Queue(NamedTuple):
    """Copies in hand at desks, int64, in the order of the answers."""

    title: Array
    row: Array  # the copy's row of `since`
    at: Array  # the place of the desk
    home: Array  # where the copy still counts; -1: nowhere
    came_from: Array  # the place it was moved from lately and may not return to; -1: none


def compiled(function: F) -> F:
    """Compile and cache on disk, without the GIL. No divisor is ever 0, so divisions are not checked."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)(function))


def inlined(function: F) -> F:
    """Compile into the callers: passing the world to a call costs more than a title's own loops."""
    return cast(F, numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=LOOSE)(function))


@compiled
def loans(rate: float, copies: int, horizon: float, loan: float) -> float:
    """Return expected loans over `horizon` weeks of `copies` copies at `rate` loans a week: rate x horizon x (1 - Erlang B)."""
    load = rate * loan
    blocked = 1.0
    for k in range(1, copies + 1):
        blocked = load * blocked / (k + load * blocked)
    return rate * horizon * (1.0 - blocked)


@compiled
def one_more(rate: float, copies: int, horizon: float, loan: float) -> float:
    """Return the loans that one copy beyond `copies` adds."""
    load = rate * loan
    blocked = 1.0
    for k in range(1, copies + 1):
        blocked = load * blocked / (k + load * blocked)
    following = load * blocked / (copies + 1 + load * blocked)
    return rate * horizon * (blocked - following)


@compiled
def marginals(rate: Array, copies: Array, horizon: float, loan: float, out: Array) -> None:
    """Write the loans that one copy beyond `copies` adds, row by row."""
    for i in range(len(rate)):
        out[i] = one_more(rate[i], copies[i], horizon, loan)


@compiled
def each_last(rate: float, copies: int, take: int, horizon: float, loan: float, out: Array) -> None:
    """Write to `out[j]` the loans of copy number `copies - j`, for j in 0..take-1: the losses when copies leave in turn."""
    load = rate * loan
    blocked = 1.0
    for k in range(1, copies + 1):
        following = load * blocked / (k + load * blocked)
        if k > copies - take:
            out[copies - k] = rate * horizon * (blocked - following)
        blocked = following


@compiled
def access(w: Any, out: Array) -> None:
    """Write the expected loans of each cell (a title at a place) to `out`."""
    for t in range(len(w.factor)):
        rate = w.of_class[w.cls[t]]
        for i in range(w.ptr[t], w.ptr[t + 1]):
            out[i] = loans(w.factor[t] * rate[w.place[i]] * w.mult[i], w.copies[i], w.horizon, w.loan)


@compiled
def releases(w: Any, most: int, start: Array, cell: Array, value: Array) -> None:
    """Write a release for each free copy (at most `most` a cell: no more can arrive anywhere in a day), by title.

    `start` is T + 1; `value` is the worth of leaving: minus the loans lost, minus the cost of leaving.
    """
    lost = np.empty(most, np.float64)
    n = 0
    for t in range(len(w.factor)):
        start[t] = n
        for i in range(w.ptr[t], w.ptr[t + 1]):
            take = min(w.free[i], most)
            if take <= 0:
                continue
            b = w.place[i]
            each_last(w.factor[t] * w.of_class[w.cls[t], b] * w.mult[i], w.copies[i], take, w.horizon, w.loan, lost)
            for j in range(take):
                cell[n] = i
                value[n] = -w.weight[b] * w.worth[t] * lost[j] - w.out_cost[b]
                n += 1
    start[len(w.factor)] = n


@compiled
def cell_receipts(w: Any, out: Array) -> None:
    """Write the worth of another copy of the title in each cell, before the costs and prices of arriving."""
    for t in range(len(w.factor)):
        rate = w.of_class[w.cls[t]]
        for i in range(w.ptr[t], w.ptr[t + 1]):
            b = w.place[i]
            more = one_more(w.factor[t] * rate[b] * w.mult[i], w.copies[i], w.horizon, w.loan)
            out[i] = w.weight[b] * w.worth[t] * more + w.bonus[i]


@inlined
def receipts(w: Any, t: int, fresh_price: Array, price: Array, gain: Array) -> None:
    """Write to `gain` the worth of another copy of title `t` at each place at these prices; NEVER where it is forbidden.

    Places that never held the title lie outside the cells: there it is fresh.
    """
    rate, weight = w.of_class[w.cls[t]], w.weight
    scale, speed = np.float32(w.factor[t] * w.novelty), np.float32(w.loan)
    total = np.float32(w.horizon * w.worth[t])
    for b in range(len(gain)):
        lam = scale * rate[b]
        gain[b] = weight[b] * total * lam / (np.float32(1) + lam * speed) - fresh_price[b]
    for i in range(w.ptr[t], w.ptr[t + 1]):
        b = w.place[i]
        gain[b] = w.one_more[i] - (fresh_price[b] if w.fresh[i] else price[b])
    allowed, trunk = w.masks[w.mask_row[t]], w.trunk[t]
    for b in range(len(gain)):
        # A choice, not a branch: eight places are computed at a time.
        gain[b] = gain[b] - trunk[w.hub[b]] if allowed[b] else NEVER


@inlined
def _most_worth(w: Any, t: int, ceiling: float) -> float:
    """Return an upper bound on the title's receipts."""
    most: float = w.horizon * w.worth[t] * w.factor[t] * w.fastest[t] * w.peak[w.cls[t]] + ceiling + w.most_bonus[t]
    return most


@inlined
def _highest(gain: Array) -> float:
    """Return the highest value; computed eight at a time, unlike `max`."""
    top = NEVER
    for b in range(len(gain)):
        top = gain[b] if gain[b] > top else top
    return float(top)


@compiled
def column_values(w: Any, title: Array, place: Array, value: Array, fresh: Array) -> None:
    """Write each column's worth (a copy of `title` arriving at `place`) after the cost of arriving, and whether it is fresh."""
    for j in range(len(title)):
        t, b = title[j], place[j]
        i = w.ptr[t] + np.searchsorted(w.place[w.ptr[t] : w.ptr[t + 1]], b)
        if i < w.ptr[t + 1] and w.place[i] == b:
            value[j] = w.one_more[i] - w.in_cost[b] - w.trunk[t, w.hub[b]]
            fresh[j] = w.fresh[i]
        else:
            lam = w.factor[t] * w.novelty * w.of_class[w.cls[t], b]
            value[j] = (
                w.weight[b] * w.worth[t] * one_more(lam, 0, w.horizon, w.loan) - w.in_cost[b] - w.trunk[t, w.hub[b]]
            )
            fresh[j] = 1


@inlined
def _offered(w: Any, t: int, least: float, ceiling: float, fresh_price: Array, price: Array, gain: Array) -> bool:
    """Write the title's receipts to `gain` and return whether any exceeds `least`; often the bound decides without them."""
    if _most_worth(w, t, ceiling) <= least:
        return False
    receipts(w, t, fresh_price, price, gain)
    return _highest(gain) > least


@compiled
def answers(
    w: Any,
    lo: int,
    hi: int,
    most: int,
    margin: float,
    spread: float,
    move: float,
    out: Released,
    prices: MovePrices,
    total: Array,
    chosen: Chosen,
) -> int:
    """Answer the prices for titles lo..hi-1: write each title's best total, and the receipts it would choose as columns.

    A title chooses at most `most` columns; beyond its matching only those that fall short by less than `margin`. With a
    `spread` (loans) random noise up to that size is added to each title's gains, so that similar titles do not all compete for
    the same places; the totals are meaningful only without it. `move` is the price of a move.
    Returns the number of columns; those that do not fit are counted, not written.
    """
    gain = np.empty(len(w.weight), np.float32)
    taste = np.empty(len(w.weight), np.float32)
    best = np.empty(len(w.weight) + 1, np.float32)
    n = 0
    for t in range(lo, hi):
        total[t - lo] = 0.0
        s = w.section[w.cls[t]]
        supply = out.start[t + 1] - out.start[t] + w.homeless[t]
        if supply == 0 or len(gain) == 0:
            continue
        have = _best_releases(w, t, min(supply, len(gain)), move, prices.leaving[s], out, best)
        if not _offered(w, t, -margin - best[0], prices.ceiling[s], prices.fresh[s], prices.arriving[s], gain):
            continue
        _disturb(t, spread, gain, taste)
        for j in range(max(have, most)):
            b = np.argmax(taste)
            got = gain[b] + best[min(j, have - 1)]
            matched = j < have and got > 0
            if gain[b] <= NEVER or not (matched or (j < most and got > -margin)):
                break
            if matched:
                total[t - lo] += got
            if n < len(chosen.title):
                chosen.title[n], chosen.place[n], chosen.score[n] = t, b, got
            n += 1
            gain[b] = taste[b] = NEVER
    return n


@inlined
def _disturb(t: int, spread: float, gain: Array, taste: Array) -> None:
    """Write to `taste` the gains, each with up to `spread` added by a hash of title and place."""
    taste[:] = gain
    if spread > 0:
        for b in range(len(gain)):
            taste[b] += np.float32(spread * _chance(t, b))


@inlined
def _chance(t: int, b: int) -> float:
    """Return a number in [0, 1) fixed by title and place: splitmix64 of both."""
    mixed = (np.uint64(t + 1) * np.uint64(0x9E3779B97F4A7C15)) ^ (np.uint64(b + 1) * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return float((mixed >> np.uint64(40)) / 16777216.0)


@compiled
def suitors(w: Any, spread: float, move: float, out: Released, prices: MovePrices, floors: Suitors) -> None:
    """Collect for each floor the titles that would gain there; `spread` adds noise so that floors see different titles."""
    gain = np.empty(len(w.weight), np.float32)
    best = np.empty(2, np.float32)
    for t in range(len(w.factor)):
        s = w.section[w.cls[t]]
        if out.start[t + 1] - out.start[t] + w.homeless[t] == 0 or floors.row[s].max() < 0:
            continue
        _best_releases(w, t, 1, move, prices.leaving[s], out, best)
        if _most_worth(w, t, prices.ceiling[s]) + best[0] <= 0:
            continue
        receipts(w, t, prices.fresh[s], prices.arriving[s], gain)
        for b in range(len(gain)):
            row = floors.row[s, b]
            if row >= 0 and gain[b] + best[0] > 0:
                _keep(
                    floors.score[row],
                    floors.title[row],
                    floors.room[row],
                    gain[b] + best[0] + spread * _chance(t, b),
                    t,
                )


@inlined
def _keep(score: Array, title: Array, room: int, value: float, item: int) -> None:
    """Insert an item into a heap of the `room` highest items, whose lowest is at index 0."""
    if value <= score[0]:
        return
    i = 0
    while True:
        child = 2 * i + 1
        if child >= room:
            break
        if child + 1 < room and score[child + 1] < score[child]:
            child += 1
        if score[child] >= value:
            break
        score[i], title[i] = score[child], title[child]
        i = child
    score[i], title[i] = value, item


@inlined
def _best_releases(w: Any, t: int, room: int, move: float, out_price: Array, out: Released, best: Array) -> int:
    """Put the `room` best releases of the title at these prices into `best`, best first. Homeless copies leave at no cost."""
    n: int = min(w.homeless[t], room)
    best[:n] = 0.0
    for r in range(out.start[t], out.start[t + 1]):
        v = out.value[r] - move - out_price[out.place[r]]
        if n == room and v <= best[n - 1]:
            continue
        j = n if n < room else n - 1
        while j > 0 and best[j - 1] < v:
            best[j] = best[j - 1]
            j -= 1
        best[j] = v
        n = min(n + 1, room)
    return n


@compiled
def one_more_anywhere(w: Any, lo: int, hi: int, prices: MovePrices, least: float, worth: Array) -> None:
    """Write the worth of another copy of each title lo..hi-1 at its best place; 0 below `least`."""
    gain = np.empty(len(w.weight), np.float32)
    for t in range(lo, hi):
        worth[t - lo] = 0.0
        s = w.section[w.cls[t]]
        if _most_worth(w, t, prices.ceiling[s]) < least or len(gain) == 0:
            continue
        receipts(w, t, prices.fresh[s], prices.arriving[s], gain)
        top = _highest(gain)
        worth[t - lo] = top if top >= least else 0.0


@compiled
def potentials(price: Array, tail: Array, head: Array, capacity: Array, cost: Array, flow: Array, sweeps: int) -> int:
    """Lower `price` until no residual arc has a negative reduced cost (Bellman-Ford); return the number of sweeps."""
    for sweep in range(sweeps):
        changed = False
        for a in range(len(tail)):
            u, v = tail[a], head[a]
            if flow[a] < capacity[a] and price[u] + cost[a] < price[v]:
                price[v] = price[u] + cost[a]
                changed = True
            if flow[a] > 0 and price[v] - cost[a] < price[u]:
                price[u] = price[v] - cost[a]
                changed = True
        if not changed:
            return sweep + 1
    return sweeps


WORTH, WAY, ROOM, RATE, COPIES, AWAITED, BONUS, NET = range(8)  # rows of `offers`
OFFERS = 8


@compiled
def offers(w: Any, t: int, at: int, home: int, since: Array, shelves: Shelves, may: Array, out: Array) -> None:
    """Write to `out` (OFFERS x P) each place's offer for another copy of title `t`; NET is NEVER where it must not go.

    `since`: rows of a place and the copies it gained since `w` was made. `home`: where the copy in hand still counts (-1:
    nowhere). `may`: P, the allowed places.
    """
    k, size = w.cls[t], len(w.weight)
    standing, room, room_total = shelves.standing, shelves.room, shelves.room_total
    crowded_from, crowded_loans = shelves.crowded_from, shelves.crowded_loans
    copies, mult, fresh = np.zeros(size, np.int64), np.full(size, np.float64(w.novelty)), np.ones(size, np.bool_)
    requested = np.zeros(size, np.int64)
    out[AWAITED] = 0.0
    for i in range(w.ptr[t], w.ptr[t + 1]):
        b = w.place[i]
        copies[b], mult[b], fresh[b] = w.copies[i], w.mult[i], w.fresh[i] == 1
        out[AWAITED, b], requested[b] = w.awaited[i], w.requested[i]
    for i in range(len(since)):
        b = since[i, 0]
        copies[b] += since[i, 1]
        if since[i, 1] > 0:
            out[AWAITED, b], fresh[b] = 0.0, False
    if home >= 0:
        copies[home] -= 1
    # Then it goes to a reader who waits, or stays with its set.
    of_a_set = home >= 0 and requested[home] > max(copies[home], 0)
    for b in range(size):
        held = max(copies[b], 0)
        rate = w.factor[t] * w.of_class[k, b] * mult[b]
        out[BONUS, b] = out[AWAITED, b] + (w.request_worth if requested[b] > held else 0.0)
        below = shelves.lacking[b, k] + (1 if b == home else 0) > 0
        paid = out[BONUS, b] + (shelves.floor[b, k] if below else 0.0)
        paid += shelves.fresh_price[b] if fresh[b] and copies[b] <= 0 else 0.0
        out[WORTH, b] = one_more(rate, held, w.horizon, w.loan) * w.weight[b] * w.worth[t] + paid
        over = (standing[b, k] / max(room[b, k], 1) - crowded_from) / (1.0 - crowded_from)
        out[ROOM, b] = shelves.room_price[b, k] + (0.0 if room[b, k] < 0 else min(max(over, 0.0), 1.0) * crowded_loans)
        lane = shelves.lanes[at, b] if len(shelves.lanes) else np.float32(0.0)
        out[WAY, b] = 0.0 if b == at else np.float64(w.out_cost[at]) + w.in_cost[b] + lane
        out[RATE, b], out[COPIES, b] = rate, held
        fits = room[b, k] < 0 or standing[b, k] < room[b, k]
        fits = fits and (room_total[b] < 0 or standing[b].sum() < room_total[b])
        fits = fits and (b == at or shelves.intake[b] > 0)
        fits = fits and (b == home or out[AWAITED, b] > 0 or not of_a_set)
        out[NET, b] = out[WORTH, b] - out[WAY, b] - out[ROOM, b] if fits and may[b] else NEVER


@inlined
def _receive(shelves: Shelves, place: Any, cls: int, home: int, brought: bool) -> None:
    """Count a copy that counted at `home` and will stand at `place`; `brought`: it takes of the day's intake."""
    if home >= 0:
        shelves.lacking[home, cls] += 1
    shelves.standing[place, cls] += 1
    shelves.lacking[place, cls] -= 1
    if brought:
        shelves.intake[place] -= 1


@compiled
def places(w: Any, queue: Queue, since: Array, shelves: Shelves, answers: Array) -> None:
    """Write to `answers` the place of the best offer for each copy of the queue, counting each copy there before the next.

    Updates `since` (titles of the day x P) and the shelves' `standing`, `lacking` and `intake`.
    """
    size = len(w.weight)
    out, may, more = np.empty((OFFERS, size)), np.ones(size, np.bool_), np.empty((size, 2), np.int64)
    for i in range(len(queue.title)):
        t, at, home, came_from = queue.title[i], queue.at[i], queue.home[i], queue.came_from[i]
        n, known = 0, since[queue.row[i]]
        for b in range(size):
            if known[b] != 0:
                more[n, 0], more[n, 1] = b, known[b]
                n += 1
        not_back = came_from >= 0 and came_from != at
        if not_back:
            may[came_from] = False
        offers(w, t, at, home, more[:n], shelves, may, out)
        if not_back:
            may[came_from] = True
        best = np.argmax(out[NET])
        if out[NET, best] <= NEVER:
            best = home if home >= 0 else at
        if home >= 0:
            known[home] -= 1
        known[best] += 1
        _receive(shelves, best, w.cls[t], home, brought=best != at)
        answers[i] = best
