"""Spells: from each movement of a copy to its next, all at once, and the demand that they show (pure, arrays)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotation.facts.movements import CopyState
from rotation.night.world.touched_rows import STATES, Rows
from rotation.rebalancing import snapshot as arrays
from rotation.rebalancing.demand import WEEKS_A_YEAR, YEARLY_DISCOUNT, discounted_weeks, observed

WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Stays:
    """A row for each movement: how long it held, and whether a loan ended it. Seconds since 1970."""

    copy: NDArray[np.int32]
    place: NDArray[np.int32]
    since_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    on_shelf: NDArray[np.bool_]
    lent: NDArray[np.bool_]
    on_the_way: NDArray[np.bool_]
    on_hold_shelf: NDArray[np.bool_]


def stays_of(moves: Rows, since_s: float, now_s: float) -> Stays:
    """Pair movements with the next; a copy that has not moved since `since_s` comes with its present stay, cut off there."""
    copy, at_s, state = (np.ascontiguousarray(moves[name]) for name in ("copy", "at_s", "state"))
    last = np.append(copy[1:] != copy[:-1], True) if len(copy) else np.zeros(0, np.bool_)
    until_s = np.where(last, now_s, np.roll(at_s, -1))
    following = np.where(last, -1, np.roll(state, -1))
    return Stays(
        copy.astype(np.int32),
        moves["place"].astype(np.int32),
        np.maximum(at_s, since_s),
        until_s.astype(np.float64),
        state == STATES.index(CopyState.ON_SHELF),
        following == STATES.index(CopyState.ON_LOAN),
        state == STATES.index(CopyState.IN_TRANSIT),
        state == STATES.index(CopyState.ON_HOLD_SHELF),
    )


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When titles came to places, by the records: a row for each stay of a known title at a known place, not on the way.

    A title came if no copy of it had been there for FORGOTTEN_WEEKS and the records reach back so far; -inf: before.
    """

    stay: NDArray[np.int64]  # row of the stays; by pair, then in order of time
    key: NDArray[np.int64]  # pair: title x places + place
    since_s: NDArray[np.float64]
    began_s: float  # since when the records tell of copies
    places: int


def arrivals(rows: Rows, stays: Stays, places: int, since_s: float) -> Arrivals:
    """Find when each title came to each place; the records begin at `since_s`, or with the first movement."""
    title = rows["title"].astype(np.int64)[stays.copy]
    known = np.flatnonzero((title >= 0) & (stays.place >= 0) & ~stays.on_the_way)
    key = title[known] * places + stays.place[known]
    order = np.lexsort((stays.since_s[known], key))
    stay, key = known[order], key[order]
    began_s = max(since_s, float(stays.since_s.min(initial=np.inf)))
    begin, end = stays.since_s[stay], stays.until_s[stay]
    new = np.r_[True, key[1:] != key[:-1]] if len(key) else np.zeros(0, np.bool_)
    group = np.cumsum(new)
    span = float(np.ptp(np.r_[begin, end])) + 1.0 if len(key) else 1.0
    reached = np.maximum.accumulate(end - began_s + group * span) - group * span + began_s if len(key) else end
    gap = begin - np.where(new, began_s, np.r_[began_s, reached[:-1]][: len(key)])
    came = gap >= arrays.FORGOTTEN_WEEKS * WEEK_S
    # The last arrival of the pair stands for its later stays; a running maximum over groups that lie above each other.
    at = np.maximum.accumulate(np.where(came | new, np.arange(len(key)), 0)) if len(key) else np.zeros(0, np.int64)
    return Arrivals(stay, key, np.where(came[at], begin[at], -np.inf), began_s, places)


def until(stays: Stays, cut_s: float) -> Stays:
    """Return the stays as they were known at `cut_s`."""
    known = stays.since_s < cut_s
    return Stays(
        stays.copy[known],
        stays.place[known],
        stays.since_s[known],
        np.minimum(stays.until_s[known], cut_s),
        stays.on_shelf[known],
        stays.lent[known] & (stays.until_s[known] <= cut_s),
        stays.on_the_way[known],
        stays.on_hold_shelf[known],
    )


def exposure(
    rows: Rows,
    stays: Stays,
    came: Arrivals,
    now_s: float,
    *,
    since_s: float = -np.inf,
    yearly: float = YEARLY_DISCOUNT,
) -> arrays.Exposure:
    """Return loans and shelf-weeks by title, place and band of age, and loans by holds, from `since_s` on.

    A loan to a reader who reserved the title counts where the copy waited for the reader. `yearly`: the weight of a year ago.
    """
    lately = stays.until_s[came.stay] > since_s
    shelf = stays.on_shelf[came.stay] & lately
    stay, arrived_s = came.stay[shelf], came.since_s[shelf]
    title, place = np.divmod(came.key[shelf], max(came.places, 1))
    week, end = np.maximum(stays.since_s[stay], since_s) / WEEK_S, stays.until_s[stay] / WEEK_S
    row, begin, ends, band = _in_bands(week, end, arrived_s / WEEK_S)
    lent = stays.lent[stay[row]] & (ends >= end[row])
    seen = observed(title[row], place[row], begin, ends, lent, now_s / WEEK_S, band, yearly)
    by_hold = came.stay[stays.on_hold_shelf[came.stay] & stays.lent[came.stay] & lately]
    reserved = rows["title"].astype(np.int32)[stays.copy[by_hold]]
    weight = yearly ** ((now_s - stays.until_s[by_hold]) / WEEK_S / WEEKS_A_YEAR)
    columns = {name: np.concatenate([getattr(seen, name), np.zeros(len(by_hold))]) for name in ("loans", "shelf_weeks")}
    return arrays.Exposure.of(
        np.concatenate([seen.title, reserved]),
        np.concatenate([seen.place, stays.place[by_hold]]),
        *columns.values(),
        band=np.concatenate([seen.band, np.full(len(by_hold), arrays.OLD)]),
        holds=np.concatenate([seen.holds, weight]),
    )


def _in_bands(
    begin: NDArray[np.float64], end: NDArray[np.float64], came: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Cut stays where their title passes from one band of age to the next: the row, begin, end and band of each piece."""
    lows, highs = np.r_[0.0, arrays.AGE_BANDS_WEEKS], np.r_[arrays.AGE_BANDS_WEEKS, np.inf]
    young = np.flatnonzero(begin < came + lows[-1])
    old = np.setdiff1d(np.arange(len(begin)), young, assume_unique=True)
    first = np.maximum(begin[young, None], came[young, None] + lows)
    last = np.minimum(end[young, None], came[young, None] + highs)
    piece, band = np.nonzero((last > first) | ((last == first) & (end[young, None] == begin[young, None])))
    return (
        np.concatenate([old, young[piece]]),
        np.concatenate([begin[old], first[piece, band]]),
        np.concatenate([end[old], last[piece, band]]),
        np.concatenate([np.full(len(old), arrays.OLD), band]),
    )


def reservable(rows: Rows, stays: Stays, came: Arrivals, titles: int, now_s: float) -> NDArray[np.float64]:
    """Return the weeks in which readers could reserve each title, discounted: since the records know a copy of it."""
    known = rows["title"][stays.copy] >= 0
    first = np.full(titles, now_s)
    np.minimum.at(first, rows["title"][stays.copy[known]], stays.since_s[known])
    end = np.full(titles, now_s / WEEK_S)
    return discounted_weeks(np.maximum(first, came.began_s) / WEEK_S, end, now_s / WEEK_S)


def arrived_weeks(rows: Rows, stays: Stays, came: Arrivals, now_s: float) -> NDArray[np.float64]:
    """Return the weeks since each copy's title came to its present place; NEVER_WEEKS: before the records, 0: it is coming."""
    last = np.flatnonzero(np.r_[came.key[1:] != came.key[:-1], True]) if len(came.key) else np.zeros(0, np.int64)
    reached = np.maximum.reduceat(stays.until_s[came.stay], np.r_[0, last[:-1] + 1]) if len(last) else np.zeros(0)
    forgotten = reached < now_s - arrays.FORGOTTEN_WEEKS * WEEK_S
    since = np.where(forgotten, now_s, came.since_s[last])
    key = rows["title"].astype(np.int64) * came.places + rows["place"]
    at = np.minimum(np.searchsorted(came.key[last], key), max(len(last) - 1, 0))
    found = came.key[last][at] == key if len(last) else np.zeros(len(key), np.bool_)
    weeks = np.where(found, (now_s - (since[at] if len(last) else now_s)) / WEEK_S, 0.0)
    return np.minimum(np.where(rows["place"] >= 0, weeks, arrays.NEVER_WEEKS), arrays.NEVER_WEEKS)


def idle_weeks(stays: Stays, size: int) -> NDArray[np.float64]:
    """Return each copy's weeks on shelves since its last loan ended."""
    weeks = np.where(stays.on_shelf, stays.until_s - stays.since_s, 0.0) / WEEK_S
    total = np.cumsum(weeks)
    until_last_loan = np.zeros(size)
    first = np.append(True, stays.copy[1:] != stays.copy[:-1])[: len(weeks)]
    until_last_loan[stays.copy[first]] = (total - weeks)[first]
    until_last_loan[stays.copy[stays.lent]] = total[stays.lent]
    end = np.zeros(size)
    end[stays.copy] = total
    return np.maximum(end - until_last_loan, 0.0)
