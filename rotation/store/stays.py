"""Stays: from one movement of a copy to its next, all at once, and what they say of demand (pure, arrays)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotation.demand import observed
from rotation.movements import State
from rotation.rebalancing import snapshot as arrays
from rotation.store.reading import STATES, Rows

WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Stays:
    """One row a movement: how long it held, and whether a loan ended it. Seconds since 1970."""

    copy: NDArray[np.int32]
    place: NDArray[np.int32]
    since_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    on_shelf: NDArray[np.bool_]
    lent: NDArray[np.bool_]
    on_the_way: NDArray[np.bool_]


def stays_of(moves: Rows, since_s: float, now_s: float) -> Stays:
    """Pair movements with the next; a copy that has not moved since `since_s` comes with its present stay, cut off there."""
    copy, at_s, state = (np.ascontiguousarray(moves[name]) for name in ("copy", "at_s", "state"))
    last = np.append(copy[1:] != copy[:-1], True) if len(copy) else np.zeros(0, np.bool_)
    until_s = np.where(last, now_s, np.roll(at_s, -1))
    following = np.where(last, -1, np.roll(state, -1))
    return Stays(
        copy.astype(np.int32), moves["place"].astype(np.int32), np.maximum(at_s, since_s), until_s.astype(np.float64),
        state == STATES.index(State.ON_SHELF), following == STATES.index(State.ON_LOAN),
        state == STATES.index(State.IN_TRANSIT),
    )  # fmt: skip


def exposure(rows: Rows, stays: Stays, now_s: float) -> arrays.Exposure:
    """Return loans and shelf-weeks by title and place, of the copies whose title and place are known."""
    title = rows["title"].astype(np.int32)[stays.copy]
    told = stays.on_shelf & (title >= 0) & (stays.place >= 0)
    weeks = (stays.since_s[told] / WEEK_S, stays.until_s[told] / WEEK_S)
    return observed(title[told], stays.place[told], *weeks, stays.lent[told], now_s / WEEK_S)


def arrived_weeks(rows: Rows, stays: Stays, now_s: float) -> NDArray[np.float64]:
    """Return the weeks since each copy came to its present place: the first stay after its last one elsewhere."""
    here = stays.place == rows["place"].astype(np.int32)[stays.copy]
    starts = np.append(True, (stays.copy[1:] != stays.copy[:-1]) | ~here[:-1])[: len(here)] & here
    since = np.where(np.isin(np.arange(len(rows)), stays.copy), now_s, rows["at_s"].astype(np.float64))
    since[stays.copy[starts]] = stays.since_s[starts]  # in order of time, so the last start stands
    weeks: NDArray[np.float64] = (now_s - since) / WEEK_S
    return weeks


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
