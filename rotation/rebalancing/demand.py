"""How often a title would be borrowed at a place if a copy stood there: Gamma-Poisson rates over weeks on the shelf.

A week without the copy on the shelf is no evidence of a lack of interest. So exposure counts shelf-weeks only, not weeks on
loan or elsewhere. A rate is a title's factor times its class's rate at the place, and each level borrows from the level above;
a title at a place has a posterior of its own on top (`of_pairs`). Readers who reserve a title are its demand too, and are
exposed to it while it is *not* on the shelf: few of those who do not find it place a hold, and the records tell how few.
How display and time change a rate is fitted from titles that came to a place, against those that stayed (`_aged`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rotation.rebalancing.snapshot import AGE_BANDS_WEEKS, OLD, Exposure, Floats, PlanningSettings, Snapshot

# Weight of evidence a year older: taste drifts, and so does a library's stock.
YEARLY_DISCOUNT = 0.7
WEEKS_A_YEAR = 52.18
# Loans a shelf-week without any observation: one a year, as in ordinary open stacks.
UNKNOWN_RATE = 0.02
# Titles, classes and ages are fitted in turn: after four rounds nothing changes beyond the third digit, unless titles fade.
ROUNDS, ROUNDS_MOST = 4, 12
FADING_SETTLED = 0.01  # change of the factors by age in a round
SHELF_ROUNDS = 2  # of them, before holds count
# Loans in a week of the year that weigh as much as "no season".
SEASON_PRIOR_LOANS = 200.0

# Bounds on the weight of a title's rate at a place: fewer loans would be chance, more leave nothing of its own.
PAIR_LOANS_LEAST, PAIR_LOANS_MOST = 0.5, 1e6
SURE = 1.96  # standard deviations on either side of 95 %

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Loans a week of a title at a place where it is old: `of_title[t] * of_class[cls[t], place]`, before its own posterior."""

    of_title: Floats  # T
    of_class: Floats  # K x P
    title_spread: Floats  # T: relative standard deviation of the title's factor
    class_spread: Floats  # K x P
    of_age: (
        Floats  # bands of age: factor on the rate of a title that came so lately, as far as evidence shows it; last: 1
    )
    aged: Floats  # 3 x bands: the fitted factor, and the ends of its 95 % interval
    pair_loans: float  # loans of a title at a place that weigh as much as its class's rate there
    hold_share: float  # of readers who do not find a title: those who reserve it


def rates(snapshot: Snapshot, settings: PlanningSettings | None = None) -> Rates:
    """Estimate rates from the snapshot's exposure; a waiting reader counts as a hold."""
    chosen = settings or PlanningSettings()
    seen = _evidence(snapshot)
    title_factor, aged, hold_share = np.ones(len(snapshot.titles)), np.ones((3, OLD + 1)), 0.0
    for turn in range(ROUNDS_MOST):
        of_age, before = _sure(aged), aged
        exposed = _exposed(snapshot, seen, of_age, hold_share) if turn >= SHELF_ROUNDS else _shelves(seen, of_age)
        class_rate, class_loans = _class_rates(snapshot, exposed, title_factor, chosen)
        title_factor, title_loans = _title_factors(snapshot, exposed, class_rate, chosen)
        rate = title_factor[seen.title] * class_rate[seen.cls, seen.place]
        if turn < SHELF_ROUNDS:
            hold_share = _hold_share(snapshot, seen, title_factor, class_rate)
        pair_loans = _pair_loans(snapshot, seen, rate * of_age[seen.band])
        aged = _aged(snapshot, seen, rate, of_age, pair_loans)
        if turn + 1 >= ROUNDS and np.abs(_sure(aged) - _sure(before)).max() < FADING_SETTLED:
            break
    return Rates(
        title_factor.astype(np.float32),
        (class_rate * chosen.season).astype(np.float32),
        _spread(chosen.title_loans + title_loans),
        _spread(chosen.shrink_loans + class_loans),
        _shown(aged).astype(np.float32),
        aged.astype(np.float32),
        pair_loans,
        hold_share,
    )


def of_pairs(snapshot: Snapshot, rates: Rates, season: float) -> tuple[NDArray[np.int64], Matrix]:
    """Return the titles at places with evidence (key = title x places + place, ascending), and each one's factor on its rate."""
    seen = _evidence(snapshot)
    rate = rates.of_title[seen.title].astype(np.float64) * rates.of_class[seen.cls, seen.place] / season
    first, loans, told = _by_pair(snapshot, seen, rate * rates.of_age[seen.band])
    holds = np.add.reduceat(seen.holds, first) if len(first) else loans
    weeks = np.add.reduceat(seen.weeks, first) if len(first) else loans
    absent = np.maximum(_reservable(snapshot)[seen.title[first]] - weeks, 0.0)
    told = told + rates.hold_share * rate[first] * absent
    key = seen.title[first] * len(snapshot.places) + seen.place[first]
    return key, (rates.pair_loans + loans + holds) / (rates.pair_loans + told)


def fading(arrived_weeks: ArrayLike, rates: Rates, horizon_weeks: float) -> Matrix:
    """Return the mean factor, over the horizon, on the rate of a title that came to its place `arrived_weeks` ago."""
    begin = np.asarray(arrived_weeks, np.float64)[..., None]
    lows, highs = np.r_[0.0, AGE_BANDS_WEEKS], np.r_[AGE_BANDS_WEEKS, np.inf]
    inside = np.clip(np.minimum(begin + horizon_weeks, highs) - np.maximum(begin, lows), 0.0, None)
    return np.asarray((inside * rates.of_age.astype(np.float64)).sum(-1) / horizon_weeks)


def observed(
    title: ArrayLike,
    place: ArrayLike,
    begin_week: ArrayLike,
    end_week: ArrayLike,
    lent: ArrayLike,
    now_week: float,
    band: ArrayLike = OLD,
    yearly: float = YEARLY_DISCOUNT,
) -> Exposure:
    """Turn shelf spells (one row for each) into exposure: discounted loans, and weeks with at least one copy on the shelf.

    `lent` tells whether the spell ended in a loan, `band` its band of age. Overlapping spells of a title's copies count once;
    an open spell ends now. Weeks are numbers on any common scale; `yearly` is the weight of evidence a year old.
    """
    t, p = np.asarray(title, np.int64), np.asarray(place, np.int64)
    begin, end = np.asarray(begin_week, np.float64), np.minimum(np.asarray(end_week, np.float64), now_week)
    age = np.broadcast_to(np.asarray(band, np.int64), t.shape)
    order = np.lexsort((end, begin, age, p, t))
    t, p, age, begin, end = t[order], p[order], age[order], begin[order], end[order]
    same = (t[1:] == t[:-1]) & (p[1:] == p[:-1]) & (age[1:] == age[:-1])
    new = np.r_[True, ~same] if len(t) else np.zeros(0, bool)
    weight = discounted_weeks(_uncovered_from(begin, end, new), end, now_week, yearly)
    loans = np.where(np.asarray(lent, bool)[order], yearly ** ((now_week - end) / WEEKS_A_YEAR), 0.0)
    first = np.flatnonzero(new)
    counted = (np.add.reduceat(x, first) if len(t) else x for x in (loans, weight))
    return Exposure.of(t[first], p[first], *counted, band=age[first])


def season_of_week(loans: ArrayLike, week_of_year: ArrayLike, ahead: ArrayLike) -> float:
    """Return the weeks `ahead` (numbers of the year, 1..53) as a factor on the mean week, from past weeks' `loans`."""
    counts, weeks = np.asarray(loans, np.float64), np.asarray(week_of_year, np.int64)
    mean = counts.mean() if len(counts) else 0.0
    if mean <= 0:
        return 1.0
    total, seen = np.bincount(weeks, counts, minlength=54), np.bincount(weeks, minlength=54) * mean
    factor = (total + SEASON_PRIOR_LOANS) / (seen + SEASON_PRIOR_LOANS)
    return float(factor[np.asarray(ahead, np.int64)].mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """Rows of title, place and band, ascending."""

    title: NDArray[np.int64]
    cls: NDArray[np.int64]
    place: NDArray[np.int64]
    band: NDArray[np.int64]
    loans: Matrix
    weeks: Matrix
    holds: Matrix


def _evidence(snapshot: Snapshot) -> _Evidence:
    """Gather loans, shelf-weeks and holds in a canonical order, so that no order of input changes a sum's last digit."""
    seen, waiting = snapshot.exposure, snapshot.holds
    none = np.zeros(len(waiting.title))
    title = np.concatenate([seen.title, waiting.title]).astype(np.int64)
    place = np.concatenate([seen.place, waiting.place]).astype(np.int64)
    band = np.concatenate([seen.band, np.full(len(none), OLD)]).astype(np.int64)
    loans = np.concatenate([seen.loans, none]).astype(np.float64)
    weeks = np.concatenate([seen.shelf_weeks, none]).astype(np.float64)
    holds = np.concatenate([seen.holds, waiting.number]).astype(np.float64)
    good = (title >= 0) & (title < len(snapshot.titles)) & (place >= 0) & (place < len(snapshot.places))
    good &= (loans >= 0) & (weeks >= 0) & (holds >= 0) & (band >= 0) & (band <= OLD)
    title, place, band = title[good], place[good], band[good]
    loans, weeks, holds = loans[good], weeks[good], holds[good]
    key = (title * len(snapshot.places) + place) * (OLD + 1) + band
    if not _ascending(key):
        order = _sorted(key, loans, weeks, holds)
        title, place, band = title[order], place[order], band[order]
        loans, weeks, holds = loans[order], weeks[order], holds[order]
    return _Evidence(title, snapshot.titles.cls[title].astype(np.int64), place, band, loans, weeks, holds)


def _sorted(key: NDArray[np.int64], *numbers: Matrix) -> NDArray[np.int64]:
    """Return the order by key, then by the numbers; fast where keys are nearly sorted and few occur twice."""
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    twice = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
    rows = order[twice]
    order[twice] = rows[np.lexsort((*(x[rows] for x in reversed(numbers)), key[rows]))]
    return order


def _ascending(keys: NDArray[np.int64]) -> bool:
    return bool(np.all(keys[1:] > keys[:-1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Exposed:
    """Loans and holds of each row, and the weeks at full interest that would have brought them."""

    seen: _Evidence
    loans: Matrix
    weeks: Matrix
    title_weeks: Matrix  # T: for holds, of a title everywhere; what it stood is taken off its rows


def _shelves(seen: _Evidence, of_age: Matrix) -> _Exposed:
    """Leave holds out: shelves alone tell how many readers want a title, and so how few of them reserve it."""
    return _Exposed(seen, seen.loans, seen.weeks * of_age[seen.band], np.zeros(1))


def _exposed(snapshot: Snapshot, seen: _Evidence, of_age: Matrix, hold_share: float) -> _Exposed:
    known = _reservable(snapshot)
    absent = np.where(known[seen.title] > 0, hold_share * seen.weeks, 0.0)
    return _Exposed(seen, seen.loans + seen.holds, seen.weeks * of_age[seen.band] - absent, hold_share * known)


def _reservable(snapshot: Snapshot) -> Matrix:
    known = np.zeros(len(snapshot.titles)) if snapshot.reservable is None else snapshot.reservable
    return np.asarray(known, np.float64)


def _class_rates(
    snapshot: Snapshot, exposed: _Exposed, factor: Matrix, settings: PlanningSettings
) -> tuple[Matrix, Matrix]:
    """Return K x P rates, each shrunk towards its class's rate in the tier times how busy the place is; and K x P loans."""
    shape, seen = (snapshot.classes, len(snapshot.places)), exposed.seen
    cell = seen.cls * shape[1] + seen.place
    loans: Matrix = np.bincount(cell, exposed.loans, shape[0] * shape[1]).reshape(shape).astype(np.float64)
    weeks: Matrix = (
        np.bincount(cell, exposed.weeks * factor[seen.title], shape[0] * shape[1]).reshape(shape).astype(np.float64)
    )
    weeks += np.bincount(snapshot.titles.cls, exposed.title_weeks * factor, shape[0])[:, None]  # as if at every place
    weeks = np.maximum(weeks, 0.0)
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
    snapshot: Snapshot, exposed: _Exposed, class_rate: Matrix, settings: PlanningSettings
) -> tuple[Matrix, Matrix]:
    size, seen = len(snapshot.titles), exposed.seen
    loans: Matrix = np.bincount(seen.title, exposed.loans, size).astype(np.float64)
    expected = np.bincount(seen.title, exposed.weeks * class_rate[seen.cls, seen.place], size)
    expected = np.maximum(expected + exposed.title_weeks * class_rate.sum(1)[snapshot.titles.cls], 0.0)
    return (settings.title_loans + loans) / (settings.title_loans + expected), loans


def _hold_share(snapshot: Snapshot, seen: _Evidence, factor: Matrix, class_rate: Matrix) -> float:
    """Return the holds for each reader who would have borrowed the title, had it stood there; 0 where no exposure is known."""
    known = _reservable(snapshot)
    rate = factor[seen.title] * class_rate[seen.cls, seen.place]
    everywhere = (known * factor * class_rate.sum(1)[snapshot.titles.cls]).sum()
    missed = everywhere - (rate * seen.weeks)[known[seen.title] > 0].sum()
    return float(min(seen.holds.sum() / missed, 1.0)) if missed > 0 and known.any() else 0.0


def _by_pair(snapshot: Snapshot, seen: _Evidence, rate: Matrix) -> tuple[NDArray[np.int64], Matrix, Matrix]:
    """Return the first row of each title at a place, its loans from the shelf and those that `rate` predicted."""
    key = seen.title * len(snapshot.places) + seen.place
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
    loans, told = (np.add.reduceat(x, first) if len(first) else np.zeros(0) for x in (seen.loans, rate * seen.weeks))
    return first, loans, told


def _pair_loans(snapshot: Snapshot, seen: _Evidence, rate: Matrix) -> float:
    """Return the weight of a title's rate at a place in loans, from how far pairs' loans scatter beyond chance (moments)."""
    _, loans, told = _by_pair(snapshot, seen, rate)
    scatter, squares = ((loans - told) ** 2 - told).sum(), (told**2).sum()
    return (
        float(np.clip(squares / max(scatter, 1e-9), PAIR_LOANS_LEAST, PAIR_LOANS_MOST)) if squares else PAIR_LOANS_MOST
    )


def _aged(snapshot: Snapshot, seen: _Evidence, rate: Matrix, of_age: Matrix, pair_loans: float) -> Matrix:
    """Return how many loans titles brought in each band of age for each that their rate predicted (3 x bands: and its interval).

    Only titles count that also stood somewhere unmoved: their old stock, and their class's at the place, tell the rate. A pair's
    earlier bands correct its rate for the later ones. So neither which pairs were chosen, nor that some left early, changes the
    ratio; the first band alone gives the worth of display to the pairs that were chosen.
    """
    told = rate * seen.weeks
    stayed = np.bincount(seen.title, told * (seen.band == OLD), len(snapshot.titles)) > 0
    key = seen.title * len(snapshot.places) + seen.place
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
    before = [_before(x, first) for x in (seen.loans, told * of_age[seen.band])]
    expected = told * (pair_loans + before[0]) / (pair_loans + before[1])
    expected = np.where(stayed[seen.title], expected, 0.0)
    loans = np.where(stayed[seen.title], seen.loans, 0.0)
    total, due = (np.bincount(seen.band, x, OLD + 1) for x in (loans, expected))
    ratio = np.where(due > 0, total / np.maximum(due, 1e-9), 1.0)
    level = ratio[OLD] if total[OLD] > 0 else 1.0
    wide = _deviation(seen, loans - ratio[seen.band] * expected, len(snapshot.titles)) / np.maximum(due, 1e-9) / level
    factor = np.where(due > 0, ratio / level, 1.0)
    half = np.where(due > 0, SURE * np.hypot(wide, factor * wide[OLD]), np.inf)
    factor[OLD], half[OLD] = 1.0, 0.0
    return np.stack([factor, np.maximum(factor - half, 0.0), factor + half])


def _before(values: Matrix, first: NDArray[np.int64]) -> Matrix:
    """Return the sum of a group's earlier rows; groups begin at `first`."""
    total = np.cumsum(values) - values
    sizes = np.diff(np.r_[first, len(values)])
    return np.asarray(total - np.repeat(total[first], sizes)) if len(first) else total


def _deviation(seen: _Evidence, rest: Matrix, titles: int) -> Matrix:
    """Return each band's standard deviation of the sum of `rest`, titles being independent of each other."""
    by_title = np.bincount(seen.band * titles + seen.title, rest, (OLD + 1) * titles).reshape(OLD + 1, titles)
    return np.asarray(np.sqrt((by_title**2).sum(1)))


def _sure(aged: Matrix) -> Matrix:
    """Return the fitted factors by age, and 1 where their interval contains it: the rates of old stock are fitted beside them."""
    return np.asarray(np.where((aged[1] > 1) | (aged[2] < 1), aged[0], 1.0))


def _shown(aged: Matrix) -> Matrix:
    """Return the factors by age that evidence shows: the end of each interval nearest to 1, which is 1 where it contains 1."""
    return np.asarray(np.clip(1.0, aged[1], aged[2]))


def _shrunk(loans: Matrix, weeks: Matrix, prior: Matrix, m: float) -> Matrix:
    """Return the mean of a Gamma posterior whose prior has mean `prior` and weighs as much as `m` loans."""
    return np.asarray((m + loans) / (m / np.maximum(prior, 1e-9) + weeks))


def _spread(loans: Matrix) -> Floats:
    return np.asarray(1 / np.sqrt(np.maximum(loans, 1e-9)), dtype=np.float32)


def _uncovered_from(begin: Matrix, end: Matrix, new: NDArray[np.bool_]) -> Matrix:
    """Return the week from which a spell adds time that no earlier spell of its title and place has covered."""
    if not len(begin):
        return begin
    low, span = begin.min(), max(end.max(), begin.max()) - begin.min() + 1
    floor = np.cumsum(new) * span  # each group lies above the last, so that a single running maximum serves them all
    reached = np.maximum.accumulate(end - low + floor)
    before = np.r_[-math.inf, reached[:-1]] - floor + low
    return np.where(new, begin, np.maximum(begin, before))


def discounted_weeks(begin: Matrix, end: Matrix, now: float | Matrix, yearly: float = YEARLY_DISCOUNT) -> Matrix:
    """Return the weeks from `begin` to `end`, each weighing less the older it is."""
    if yearly == 1.0:
        return np.asarray(np.maximum(end - begin, 0.0))
    decay = -math.log(yearly) / WEEKS_A_YEAR
    weight = (np.exp(-decay * (now - end)) - np.exp(-decay * (now - np.minimum(begin, end)))) / decay
    return np.asarray(np.maximum(weight, 0.0))
