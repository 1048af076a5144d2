"""How often a title would be borrowed at a place if it stood there: Gamma-Poisson rates over weeks on the shelf.

A week without the copy on the shelf is no evidence of no interest, so shelf-weeks are the exposure, and what is on loan or
elsewhere adds none. Rates are a title's factor times its class's rate at the place; each borrows from the level above it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rotation.rebalancing.snapshot import Exposure, Floats, Settings, Snapshot

YEARLY_DISCOUNT = 0.7  # what evidence a year older weighs: taste drifts, and a library's stock with it
WEEKS_A_YEAR = 52.18
UNKNOWN_RATE = 0.02  # loans a shelf-week where nothing was observed: one a year, as in ordinary open stacks
ROUNDS = 4  # titles and classes are fitted in turn; after four rounds nothing moves beyond the third digit
SEASON_PRIOR_LOANS = 200.0  # loans of a week of the year that weigh as much as "no season"

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Loans a week of a title at a place: `of_title[t] * of_class[cls[t], place]`, before freshness."""

    of_title: Floats  # T
    of_class: Floats  # K x P
    title_spread: Floats  # T: relative standard deviation of the title's factor
    class_spread: Floats  # K x P


def rates(snapshot: Snapshot, settings: Settings | None = None) -> Rates:
    """Estimate rates from the snapshot's exposure; a reader who waits counts as a loan that would have been."""
    chosen = settings or Settings()
    seen = _evidence(snapshot)
    title_factor = np.ones(len(snapshot.titles))
    for _ in range(ROUNDS):
        class_rate, class_loans = _class_rates(snapshot, seen, title_factor, chosen)
        title_factor, title_loans = _title_factors(snapshot, seen, class_rate, chosen)
    return Rates(
        title_factor.astype(np.float32),
        (class_rate * chosen.season).astype(np.float32),
        _spread(chosen.title_loans + title_loans),
        _spread(chosen.shrink_loans + class_loans),
    )


def observed(
    title: ArrayLike, place: ArrayLike, begin_week: ArrayLike, end_week: ArrayLike, lent: ArrayLike, now_week: float
) -> Exposure:
    """Make exposure of shelf spells (one row a copy's stay on a shelf): discounted loans, and weeks with at least one copy there.

    `lent` says whether the spell ended in a loan; spells of several copies of a title that overlap count once; an open spell
    ends now. Weeks are numbers on any common scale.
    """
    t, p = np.asarray(title, np.int64), np.asarray(place, np.int64)
    begin, end = np.asarray(begin_week, np.float64), np.minimum(np.asarray(end_week, np.float64), now_week)
    order = np.lexsort((end, begin, p, t))
    t, p, begin, end = t[order], p[order], begin[order], end[order]
    new = np.r_[True, (t[1:] != t[:-1]) | (p[1:] != p[:-1])] if len(t) else np.zeros(0, bool)
    weight = _weeks_weighed(_uncovered_from(begin, end, new), end, now_week)
    loans = np.where(np.asarray(lent, bool)[order], YEARLY_DISCOUNT ** ((now_week - end) / WEEKS_A_YEAR), 0.0)
    first = np.flatnonzero(new)
    return Exposure.of(t[first], p[first], *(np.add.reduceat(x, first) if len(t) else x for x in (loans, weight)))


def season_of_week(loans: ArrayLike, week_of_year: ArrayLike, ahead: ArrayLike) -> float:
    """Return how the weeks `ahead` (numbers of the year, 1..53) compare with the mean week, from past weeks' `loans`."""
    counts, weeks = np.asarray(loans, np.float64), np.asarray(week_of_year, np.int64)
    mean = counts.mean() if len(counts) else 0.0
    if mean <= 0:
        return 1.0
    total, seen = np.bincount(weeks, counts, minlength=54), np.bincount(weeks, minlength=54) * mean
    factor = (total + SEASON_PRIOR_LOANS) / (seen + SEASON_PRIOR_LOANS)
    return float(factor[np.asarray(ahead, np.int64)].mean())


def fading(arrived_weeks: ArrayLike, settings: Settings) -> Matrix:
    """Return the factor on the rate of a title that came `arrived_weeks` ago: it fades as those who wanted it have seen it."""

    def left(weeks: ArrayLike) -> Matrix:
        share = np.exp(-np.asarray(weeks, np.float64) / settings.stale_weeks)
        return np.asarray(settings.stale_floor + (1 - settings.stale_floor) * share)

    middle = np.asarray(arrived_weeks, np.float64) + settings.horizon_weeks / 2
    return np.asarray(left(middle) / left(settings.observed_at_weeks))


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    title: NDArray[np.int64]
    cls: NDArray[np.int64]
    place: NDArray[np.int64]
    loans: Matrix
    weeks: Matrix


def _evidence(snapshot: Snapshot) -> _Evidence:
    """Gather loans, shelf-weeks and holds in a canonical order, so that no order of input changes a sum's last digit."""
    seen, holds = snapshot.exposure, snapshot.holds
    title = np.concatenate([seen.title, holds.title]).astype(np.int64)
    place = np.concatenate([seen.place, holds.place]).astype(np.int64)
    loans = np.concatenate([seen.loans, holds.number]).astype(np.float64)
    weeks = np.concatenate([seen.shelf_weeks, np.zeros(len(holds.title))]).astype(np.float64)
    good = (title >= 0) & (title < len(snapshot.titles)) & (place >= 0) & (place < len(snapshot.places))
    good &= (loans >= 0) & (weeks >= 0)
    title, place, loans, weeks = title[good], place[good], loans[good], weeks[good]
    key = title * len(snapshot.places) + place
    if not _ascending(key):
        order = _sorted(key, loans, weeks)
        title, place, loans, weeks = title[order], place[order], loans[order], weeks[order]
    return _Evidence(title, snapshot.titles.cls[title].astype(np.int64), place, loans, weeks)


def _sorted(key: NDArray[np.int64], loans: Matrix, weeks: Matrix) -> NDArray[np.int64]:
    """Return the order by key, loans and weeks; quick where keys are nearly sorted and few of them occur twice."""
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    twice = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
    rows = order[twice]
    order[twice] = rows[np.lexsort((weeks[rows], loans[rows], key[rows]))]
    return order


def _ascending(keys: NDArray[np.int64]) -> bool:
    return bool(np.all(keys[1:] > keys[:-1]))


def _class_rates(snapshot: Snapshot, seen: _Evidence, factor: Matrix, settings: Settings) -> tuple[Matrix, Matrix]:
    """Return K x P rates, each shrunk towards what its class does in its tier times how busy its place is; and K x P loans."""
    shape = (snapshot.classes, len(snapshot.places))
    cell = seen.cls * shape[1] + seen.place
    loans: Matrix = np.bincount(cell, seen.loans, shape[0] * shape[1]).reshape(shape).astype(np.float64)
    weeks: Matrix = (
        np.bincount(cell, seen.weeks * factor[seen.title], shape[0] * shape[1]).reshape(shape).astype(np.float64)
    )
    m = settings.shrink_loans
    overall = loans.sum() / weeks.sum() if weeks.sum() > 0 and loans.sum() > 0 else UNKNOWN_RATE
    of_class = _shrunk(loans.sum(1), weeks.sum(1), np.full(shape[0], overall), m)
    suggested = _by_tier(loans, weeks, of_class, snapshot.places.tier, m)
    bustle = (m + loans.sum(0)) / (m + (suggested * weeks).sum(0))
    return _shrunk(loans, weeks, suggested * bustle, m), loans


def _by_tier(loans: Matrix, weeks: Matrix, of_class: Matrix, tier: NDArray[np.int32], m: float) -> Matrix:
    suggested = np.empty_like(loans)
    for level in np.unique(tier):
        here = tier == level
        rate = _shrunk(loans[:, here].sum(1), weeks[:, here].sum(1), of_class, m)
        suggested[:, here] = rate[:, None]
    return suggested


def _title_factors(
    snapshot: Snapshot, seen: _Evidence, class_rate: Matrix, settings: Settings
) -> tuple[Matrix, Matrix]:
    size = len(snapshot.titles)
    loans: Matrix = np.bincount(seen.title, seen.loans, size).astype(np.float64)
    expected = np.bincount(seen.title, seen.weeks * class_rate[seen.cls, seen.place], size)
    return (settings.title_loans + loans) / (settings.title_loans + expected), loans


def _shrunk(loans: Matrix, weeks: Matrix, prior: Matrix, m: float) -> Matrix:
    """Return the mean of a Gamma posterior whose prior has mean `prior` and weighs as much as `m` loans."""
    return np.asarray((m + loans) / (m / np.maximum(prior, 1e-9) + weeks))


def _spread(loans: Matrix) -> Floats:
    return np.asarray(1 / np.sqrt(np.maximum(loans, 1e-9)), dtype=np.float32)


def _uncovered_from(begin: Matrix, end: Matrix, new: NDArray[np.bool_]) -> Matrix:
    """Return from when on a spell adds weeks that no earlier one of its title and place has covered."""
    if not len(begin):
        return begin
    low, span = begin.min(), max(end.max(), begin.max()) - begin.min() + 1
    floor = np.cumsum(new) * span  # each group lies above the last, so that one running maximum serves them all
    reached = np.maximum.accumulate(end - low + floor)
    before = np.r_[-math.inf, reached[:-1]] - floor + low
    return np.where(new, begin, np.maximum(begin, before))


def _weeks_weighed(begin: Matrix, end: Matrix, now: float) -> Matrix:
    """Return the weeks from `begin` to `end`, each weighed by its age."""
    decay = -math.log(YEARLY_DISCOUNT) / WEEKS_A_YEAR
    weight = (np.exp(-decay * (now - end)) - np.exp(-decay * (now - np.minimum(begin, end)))) / decay
    return np.asarray(np.maximum(weight, 0.0))
