"""The demand that a night believes, scored on weeks that it has not seen, beside methods for demand that comes seldom.

Every method tells the loans of each title at each place for the shelf-weeks that really stood in the held-out weeks. The score is
the mean Poisson deviance a title at a place: less is better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import demand
from rotation.rebalancing.snapshot import AGE_BANDS_WEEKS, Exposure, PlanningSettings, Snapshot

SMOOTHING = 0.1  # of Croston's and TSB's averages, the usual choice for slow items
# Fewest loans predicted: a prediction of zero against an observed loan would be infinitely wrong.
LEAST = 1e-4
CHUNK_PAIRS = 100_000  # whose weeks are in memory at once
YEAR_WEEKS = 52
AGES = ("0-8 weeks", "8-16 weeks", "16-26 weeks", "26-52 weeks", "older")

Reals = NDArray[np.float64]
Rows = NDArray[np.int64]


class Lent(NamedTuple):
    """A row for each loan from a shelf in the history, and for each pair the week in which it first stood there."""

    key: Rows  # of the pair: title x places + place
    week: Rows  # since the history began
    pair: Rows  # ascending
    first: Rows  # week
    weeks: int  # of the history


@dataclass(frozen=True, slots=True)
class Scored:
    """Loans predicted and observed of some shelf-weeks; `low` and `high` bound observed over predicted (95 %, chance alone)."""

    group: str
    name: str
    shelf_weeks: float
    told: float
    loans: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MethodScore:
    """A method's mean deviance a title at a place, and the loans that it predicted in all."""

    method: str
    deviance: float
    told: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """The outcome: methods, the best first, and our own prediction beside the loans that came, by group."""

    pairs: int
    shelf_weeks: float
    loans: float
    methods: Sequence[MethodScore]
    groups: Sequence[Scored]
    fading: Sequence[Mapping[str, float | str]]
    pair_loans: float
    hold_share: float


def scored(
    past: Snapshot,
    stood: Exposure,
    lent: Lent,
    settings: PlanningSettings,
    tiers: Sequence[str],
    classes: Sequence[str],
) -> Backtest:
    """Fit on `past`, predict the loans of the shelves that `stood` later; `tiers` and `classes` are names by number."""
    rates = demand.rates(past, settings)
    width = len(past.places)
    key = stood.title.astype(np.int64) * width + stood.place
    weeks, loans = stood.shelf_weeks.astype(np.float64), stood.loans.astype(np.float64)
    own = _ours(past, rates, settings, stood, key) * weeks
    pair, row = np.unique(key, return_inverse=True)

    def by_pair(values: Reals) -> Reals:
        return np.bincount(row, values, len(pair)).astype(np.float64)

    told = {"ours": by_pair(own)} | {
        name: rate * by_pair(weeks) for name, rate in _others(past, lent, pair, width).items()
    }
    observed = by_pair(loans)
    methods = [MethodScore(name, _deviance(of, observed), round(float(of.sum()), 1)) for name, of in told.items()]
    return Backtest(
        len(pair),
        round(float(weeks.sum()), 1),
        round(float(loans.sum()), 1),
        sorted(methods, key=lambda method: method.deviance),
        list(_groups(past, stood, key, own, tiers, classes)),
        list(_fading(rates)),
        round(rates.pair_loans, 2),
        round(rates.hold_share, 4),
    )


def _ours(past: Snapshot, rates: demand.Rates, settings: PlanningSettings, stood: Exposure, key: Rows) -> Reals:
    """Return loans a week of each row: the night's rates, with the pair's own posterior and the factor of its age."""
    known, factor = demand.of_pairs(past, rates, settings.season)
    at = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
    own = np.where(known[at] == key, factor[at], 1.0) if len(known) else np.ones(len(key))
    plain = rates.of_title[stood.title] * rates.of_class[past.titles.cls[stood.title], stood.place]
    return np.asarray(plain * own * rates.of_age[stood.band], np.float64)


def _others(past: Snapshot, lent: Lent, pair: Rows, width: int) -> dict[str, Reals]:
    """Return each other method's loans a week of each pair."""
    cls = past.titles.cls[pair // width]
    seen = past.exposure
    loans, weeks = (np.bincount(past.titles.cls[seen.title], x, past.classes) for x in (seen.loans, seen.shelf_weeks))
    found = {
        "last year": _last_year(lent, pair),
        "plain rate of the class": (loans / np.maximum(weeks, 1e-9))[cls],
    }
    for name, method in (("croston", croston), ("tsb", tsb)):
        found[name] = np.concatenate([np.zeros(0), *(_smoothed(method, lent, some) for some in _chunks(pair))])
    return found


def _chunks(pair: Rows) -> list[Rows]:
    return [pair[lo : lo + CHUNK_PAIRS] for lo in range(0, len(pair), CHUNK_PAIRS)]


def _last_year(lent: Lent, pair: Rows) -> Reals:
    key = np.sort(lent.key[lent.week >= lent.weeks - YEAR_WEEKS])
    number = np.searchsorted(key, pair, "right") - np.searchsorted(key, pair)
    return np.asarray(number / min(YEAR_WEEKS, lent.weeks), np.float64)


def _smoothed(method: Callable[[Reals, Rows], Reals], lent: Lent, pair: Rows) -> Reals:
    at = np.searchsorted(pair, lent.key)
    mine = (at < len(pair)) & (pair[np.minimum(at, len(pair) - 1)] == lent.key)
    history = np.zeros((len(pair), lent.weeks))
    np.add.at(history, (at[mine], lent.week[mine]), 1.0)
    stood = np.searchsorted(lent.pair, pair)
    known = (stood < len(lent.pair)) & (lent.pair[np.minimum(stood, max(len(lent.pair) - 1, 0))] == pair)
    first = np.where(known, lent.first[np.minimum(stood, max(len(lent.pair) - 1, 0))], lent.weeks)
    return method(history, first)


def croston(history: Reals, first: Rows) -> Reals:
    """Croston with Syntetos and Boylan's correction, series x weeks: smoothed size over smoothed interval.

    A series begins in its week `first`, when the title came to the place: weeks before are no interval without demand.
    """
    size, interval, since = np.zeros(len(history)), np.ones(len(history)), np.zeros(len(history))
    for number, week in enumerate(history.T):
        since = since + (number >= first)
        hit = week > 0
        new = hit & (size == 0)
        size = np.where(new, week, np.where(hit, size + SMOOTHING * (week - size), size))
        interval = np.where(
            new, np.maximum(since, 1), np.where(hit, interval + SMOOTHING * (since - interval), interval)
        )
        since = np.where(hit, 0, since)
    return np.asarray((1 - SMOOTHING / 2) * size / interval)


def tsb(history: Reals, first: Rows) -> Reals:
    """Teunter, Syntetos and Babai, series x weeks: smoothed size times smoothed chance, which fades without demand."""
    size, chance = np.zeros(len(history)), np.zeros(len(history))
    for number, week in enumerate(history.T):
        hit = week > 0
        size = np.where(hit, np.where(size == 0, week, size + SMOOTHING * (week - size)), size)
        chance = np.where(number >= first, chance + SMOOTHING * (hit - chance), chance)
    return size * chance


def _deviance(told: Reals, loans: Reals) -> float:
    if not len(told):
        return 0.0
    least = np.maximum(told, LEAST)
    each = 2 * (np.where(loans > 0, loans * np.log(np.maximum(loans, 1) / least), 0) - (loans - least))
    return round(float(each.mean()), 5)


def _groups(
    past: Snapshot, stood: Exposure, key: Rows, told: Reals, tiers: Sequence[str], classes: Sequence[str]
) -> list[Scored]:
    seen = past.exposure
    reserved = np.isin(
        key, np.unique(seen.title[seen.holds > 0].astype(np.int64) * len(past.places) + seen.place[seen.holds > 0])
    )
    groups: tuple[tuple[str, NDArray[np.int64], Sequence[str]], ...] = (
        ("age", stood.band.astype(np.int64), AGES),
        ("tier", past.places.tier[stood.place].astype(np.int64), tiers),
        ("class", past.titles.cls[stood.title].astype(np.int64), classes),
        ("holds", reserved.astype(np.int64), ("never reserved there", "reserved there before")),
    )
    return [
        found
        for group, number, names in groups
        for i, name in enumerate(names)
        if (found := _of_group(group, name, number == i, stood, told)).shelf_weeks > 0
    ]


def _of_group(group: str, name: str, here: NDArray[np.bool_], stood: Exposure, told: Reals) -> Scored:
    weeks, loans, due = (float(x[here].sum()) for x in (stood.shelf_weeks, stood.loans, told))
    half = demand.SURE * max(loans, 1.0) ** 0.5
    low, high = (max(loans + sign * half, 0.0) / max(due, LEAST) for sign in (-1, 1))
    return Scored(group, name, round(weeks, 1), round(due, 1), round(loans, 1), round(low, 3), round(high, 3))


def _fading(rates: demand.Rates) -> list[Mapping[str, float | str]]:
    """Return the fitted factor of each age with its interval (-1: no end), and the factor that the night believes."""
    rows: list[Mapping[str, float | str]] = []
    for band in range(len(AGE_BANDS_WEEKS)):
        factor, low, high = (round(float(x), 3) if np.isfinite(x) else -1.0 for x in rates.aged[:, band])
        believed = round(float(rates.of_age[band]), 3)
        rows.append({"age": AGES[band], "factor": factor, "low": low, "high": high, "believed": believed})
    return rows
