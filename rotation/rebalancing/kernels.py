"""The inner loops: Erlang values of copies, and each title's best answer to a set of prices. Compiled, and free of the GIL.

Prices of places make titles independent of each other. At given prices a title's best is a matching of its best releases
with its best receipts, one after the other while their sum is positive; the sum over titles plus what the capacities cost
bounds every plan from above, and the receipts that a title would choose are the columns that the circulation lacks.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Array = NDArray[Any]
LOOSE = {"contract", "arcp", "nsz", "reassoc", "nnan"}  # sums in any order, and no NaN: eight places at a time
NEVER = np.float32(-1e9)  # the value of what is not allowed


def compiled(function: F) -> F:
    """Compile, keeping the result on disk; the loops let other threads run. No divisor is ever 0, so none is asked about."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)(function))


def inlined(function: F) -> F:
    """Compile into the callers: handing the world to a call costs more than what a title's own loops do."""
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
    """Return what one copy beyond `copies` adds to `loans`."""
    load = rate * loan
    blocked = 1.0
    for k in range(1, copies + 1):
        blocked = load * blocked / (k + load * blocked)
    following = load * blocked / (copies + 1 + load * blocked)
    return rate * horizon * (blocked - following)


@compiled
def marginals(rate: Array, copies: Array, horizon: float, loan: float, out: Array) -> None:
    """Write what one copy beyond `copies` adds, row by row."""
    for i in range(len(rate)):
        out[i] = one_more(rate[i], copies[i], horizon, loan)


@compiled
def each_last(rate: float, copies: int, take: int, horizon: float, loan: float, out: Array) -> None:
    """Write to `out[j]` what the copy number `copies - j` adds, for j in 0..take-1: the losses when they leave one by one."""
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
    """Write one release a free copy (at most `most` a cell: no more can arrive anywhere in a day), titles in order.

    `start` is T + 1; `value` is what leaving is worth: minus the loans lost, minus the cost of leaving.
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
    """Write what one more copy of its title is worth in each cell, before the costs and prices of arriving."""
    for t in range(len(w.factor)):
        rate = w.of_class[w.cls[t]]
        for i in range(w.ptr[t], w.ptr[t + 1]):
            b = w.place[i]
            more = one_more(w.factor[t] * rate[b] * w.mult[i], w.copies[i], w.horizon, w.loan)
            out[i] = w.weight[b] * w.worth[t] * more + w.bonus[i]


@inlined
def receipts(w: Any, t: int, fresh_price: Array, price: Array, gain: Array) -> None:
    """Write to `gain` what one more copy of title `t` is worth at each place at these prices; NEVER where it may not stand.

    Places that hold nothing of the title and never did lie outside the cells: there it is fresh.
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
    allowed = w.masks[w.mask_row[t]]
    for b in range(len(gain)):
        gain[b] = gain[b] if allowed[b] else NEVER  # a choice, not a branch: eight places are computed at a time


@inlined
def _most_worth(w: Any, t: int, ceiling: float) -> float:
    """Return what no receipt of the title exceeds."""
    most: float = w.horizon * w.worth[t] * w.factor[t] * w.peak[w.cls[t]] + ceiling + w.most_bonus[t]
    return most


@inlined
def _highest(gain: Array) -> float:
    """Return the highest value, eight at a time, which `max` is not."""
    top = NEVER
    for b in range(len(gain)):
        top = gain[b] if gain[b] > top else top
    return float(top)


@compiled
def column_values(w: Any, title: Array, place: Array, value: Array, fresh: Array) -> None:
    """Write what each column (a copy of `title` arriving at `place`) is worth after the cost of arriving, and if it is fresh."""
    for j in range(len(title)):
        t, b = title[j], place[j]
        i = w.ptr[t] + np.searchsorted(w.place[w.ptr[t] : w.ptr[t + 1]], b)
        if i < w.ptr[t + 1] and w.place[i] == b:
            value[j] = w.one_more[i] - w.in_cost[b]
            fresh[j] = w.fresh[i]
        else:
            lam = w.factor[t] * w.novelty * w.of_class[w.cls[t], b]
            value[j] = w.weight[b] * w.worth[t] * one_more(lam, 0, w.horizon, w.loan) - w.in_cost[b]
            fresh[j] = 1


@inlined
def _offered(w: Any, t: int, least: float, ceiling: float, fresh_price: Array, price: Array, gain: Array) -> bool:
    """Write the title's receipts to `gain` and return whether any is worth more than `least`; often told without them."""
    if _most_worth(w, t, ceiling) <= least:
        return False
    receipts(w, t, fresh_price, price, gain)
    return _highest(gain) > least


@compiled
def answers(w: Any, lo: int, hi: int, most: int, margin: float, spread: float, move: float, leaving: Array,
            fresh_price: Array, price: Array, ceiling: Array, start: Array, rel_place: Array, rel_value: Array, total: Array,
            col_title: Array, col_place: Array, col_score: Array) -> int:  # fmt: skip
    """Answer the prices for titles lo..hi-1: each one's best total, and the receipts it would choose as columns.

    Prices are S x P (section, place): what leaving pays (`leaving`), what arriving pays, costs included, fresh and not.
    A title chooses at most `most` columns; those beyond its matching only while they miss by less than `margin`. With a
    `spread` (loans) each title's taste is disturbed so much, so that titles alike do not all court the same places; the
    totals mean something only without it. `ceiling[s]` is minus the section's lowest price of arriving: with `peak` it
    bounds a title's best receipt, so that many titles are passed over.
    Returns the number of columns; those that did not fit are counted, not written.
    """
    gain = np.empty(len(w.weight), np.float32)
    taste = np.empty(len(w.weight), np.float32)
    best = np.empty(len(w.weight) + 1, np.float32)
    n = 0
    for t in range(lo, hi):
        total[t - lo] = 0.0
        s = w.section[w.cls[t]]
        supply = start[t + 1] - start[t] + w.homeless[t]
        if supply == 0 or len(gain) == 0:
            continue
        have = _best_releases(w, t, min(supply, len(gain)), move, leaving[s], start, rel_place, rel_value, best)
        if not _offered(w, t, -margin - best[0], ceiling[s], fresh_price[s], price[s], gain):
            continue
        _disturb(t, spread, gain, taste)
        for j in range(max(have, most)):
            b = np.argmax(taste)
            got = gain[b] + best[min(j, have - 1)]
            chosen = j < have and got > 0
            if gain[b] <= NEVER or not (chosen or (j < most and got > -margin)):
                break
            if chosen:
                total[t - lo] += got
            if n < len(col_title):
                col_title[n], col_place[n], col_score[n] = t, b, got
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
    """Return a number in [0, 1) that title and place always share: splitmix64 of both."""
    mixed = (np.uint64(t + 1) * np.uint64(0x9E3779B97F4A7C15)) ^ (np.uint64(b + 1) * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return float((mixed >> np.uint64(40)) / 16777216.0)


@compiled
def suitors(w: Any, spread: float, move: float, leaving: Array, fresh_price: Array, price: Array, ceiling: Array, start: Array,
            rel_place: Array, rel_value: Array, row: Array, room: Array, score: Array, title: Array) -> None:  # fmt: skip
    """Gather for each floor titles that would gain by going there, disturbed by `spread` so that each floor sees others.

    `row[s, b]` is the floor's row or -1, `room[row]` how many titles it keeps; `score` and `title` are rows x max(room),
    each row's first `room` filled as a heap with the least on top, titles -1 where there were not so many.
    """
    gain = np.empty(len(w.weight), np.float32)
    best = np.empty(2, np.float32)
    for t in range(len(w.factor)):
        s = w.section[w.cls[t]]
        if start[t + 1] - start[t] + w.homeless[t] == 0 or row[s].max() < 0:
            continue
        _best_releases(w, t, 1, move, leaving[s], start, rel_place, rel_value, best)
        if _most_worth(w, t, ceiling[s]) + best[0] <= 0:
            continue
        receipts(w, t, fresh_price[s], price[s], gain)
        for b in range(len(gain)):
            if row[s, b] >= 0 and gain[b] + best[0] > 0:
                _keep(
                    score[row[s, b]], title[row[s, b]], room[row[s, b]], gain[b] + best[0] + spread * _chance(t, b), t
                )


@inlined
def _keep(score: Array, title: Array, room: int, value: float, item: int) -> None:
    """Put an item into a heap of the `room` highest, whose least is at 0."""
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
def _best_releases(w: Any, t: int, room: int, move: float, out_price: Array, start: Array, rel_place: Array,
                   rel_value: Array, best: Array) -> int:  # fmt: skip
    """Put the `room` best releases of the title at these prices into `best`, best first. Homeless copies leave for nothing."""
    n: int = min(w.homeless[t], room)
    best[:n] = 0.0
    for r in range(start[t], start[t + 1]):
        v = rel_value[r] - move - out_price[rel_place[r]]
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
def one_more_anywhere(w: Any, lo: int, hi: int, fresh_price: Array, price: Array, least: float, ceiling: Array,
                      worth: Array) -> None:  # fmt: skip
    """Write what one more copy of each title lo..hi-1 would be worth where it is best; 0 where less than `least`."""
    gain = np.empty(len(w.weight), np.float32)
    for t in range(lo, hi):
        worth[t - lo] = 0.0
        s = w.section[w.cls[t]]
        if _most_worth(w, t, ceiling[s]) < least or len(gain) == 0:
            continue
        receipts(w, t, fresh_price[s], price[s], gain)
        top = _highest(gain)
        worth[t - lo] = top if top >= least else 0.0


@compiled
def potentials(price: Array, tail: Array, head: Array, capacity: Array, cost: Array, flow: Array, sweeps: int) -> int:
    """Lower `price` until no residual arc has a negative reduced cost (Bellman-Ford); returns the sweeps used."""
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


WORTH, WAY, ROOM, RATE, COPIES, BONUS, NET = range(7)  # rows of `offers`
OFFERS = 7


@compiled
def offers(
    w: Any, t: int, at: int, home: int, since: Array, standing: Array, room: Array, room_total: Array, may: Array, lanes: Array,
    room_price: Array, floor: Array, fresh_price: Array, crowded_from: float, crowded_loans: float, out: Array,
) -> None:  # fmt: skip
    """Write to `out` (OFFERS x P) what each place offers for one more copy of title `t`; NET is NEVER where it may not go.

    `since`: rows of a place and how many copies more it has than `w` knows. `home`: where the copy in hand still counts (-1:
    nowhere). `lanes`: transport by origin and destination, or empty. `standing`: copies by place and class; a shelf filled from
    `crowded_from` on costs up to `crowded_loans`.
    """
    k, size = w.cls[t], len(w.weight)
    copies, mult, fresh = np.zeros(size, np.int64), np.full(size, np.float64(w.novelty)), np.ones(size, np.bool_)
    out[BONUS] = 0.0
    for i in range(w.ptr[t], w.ptr[t + 1]):
        b = w.place[i]
        copies[b], mult[b], fresh[b], out[BONUS, b] = w.copies[i], w.mult[i], w.fresh[i] == 1, w.bonus[i]
    for i in range(len(since)):
        b = since[i, 0]
        copies[b] += since[i, 1]
        if since[i, 1] > 0:
            out[BONUS, b], fresh[b] = 0.0, False
    if home >= 0:
        copies[home] -= 1
    for b in range(size):
        held = max(copies[b], 0)
        rate = w.factor[t] * w.of_class[k, b] * mult[b]
        paid = out[BONUS, b] + floor[b, k] + (fresh_price[b] if fresh[b] and copies[b] <= 0 else 0.0)
        out[WORTH, b] = one_more(rate, held, w.horizon, w.loan) * w.weight[b] * w.worth[t] + paid
        over = (standing[b, k] / max(room[b, k], 1) - crowded_from) / (1.0 - crowded_from)
        out[ROOM, b] = room_price[b, k] + (0.0 if room[b, k] < 0 else min(max(over, 0.0), 1.0) * crowded_loans)
        lane = lanes[at, b] if len(lanes) else np.float32(0.0)
        out[WAY, b] = 0.0 if b == at else np.float64(w.out_cost[at]) + w.in_cost[b] + lane
        out[RATE, b], out[COPIES, b] = rate, held
        fits = room[b, k] < 0 or standing[b, k] < room[b, k]
        fits = fits and (room_total[b] < 0 or standing[b].sum() < room_total[b])
        out[NET, b] = out[WORTH, b] - out[WAY, b] - out[ROOM, b] if fits and may[b] else NEVER


@compiled
def places(
    w: Any, titles: Array, row: Array, ats: Array, homes: Array, came_from: Array, since: Array, standing: Array, room: Array,
    room_total: Array, lanes: Array, room_price: Array, floor: Array, fresh_price: Array, crowded_from: float,
    crowded_loans: float, answers: Array,
) -> None:  # fmt: skip
    """Write to `answers` the place of the best offer for each copy, counting each there before the next.

    `row`: each copy's row of `since` (by title x P), which is counted on, as is `standing`.
    """
    size = len(w.weight)
    out, may, more = np.empty((OFFERS, size)), np.ones(size, np.bool_), np.empty((size, 2), np.int64)
    for i in range(len(titles)):
        n, known = 0, since[row[i]]
        for b in range(size):
            if known[b] != 0:
                more[n, 0], more[n, 1] = b, known[b]
                n += 1
        not_back = came_from[i] >= 0 and came_from[i] != ats[i]
        if not_back:
            may[came_from[i]] = False
        offers(
            w, titles[i], ats[i], homes[i], more[:n], standing, room, room_total, may, lanes, room_price, floor, fresh_price,
            crowded_from, crowded_loans, out,
        )  # fmt: skip
        if not_back:
            may[came_from[i]] = True
        best = np.argmax(out[NET])
        if out[NET, best] <= NEVER:
            best = homes[i] if homes[i] >= 0 else ats[i]
        if homes[i] >= 0:
            known[homes[i]] -= 1
        known[best] += 1
        standing[best, w.cls[titles[i]]] += 1
        answers[i] = best
