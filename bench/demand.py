"""Demand scored on weeks it has not seen: a JSON line for each method, and one for its calibration by decile.

    python -m bench.demand [--seed 1] [--titles 3000] [--places 40]

Two years of stays on shelves are drawn from known rates with seasons, a copy on loan being away, titles and places as unequal
as in a library; the 13 weeks after them are held out. A method tells the loans of each title at each place for the weeks that
a copy really stood there then. Score: mean Poisson deviance a pair (less is better); calibration: told over observed in each
tenth of the pairs by what was told.
"""

import argparse
import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.snapshots import tiers
from rotation.rebalancing.backtest import LEAST, croston, tsb
from rotation.rebalancing.demand import observed, of_pairs, rates
from rotation.rebalancing.snapshot import Copies, Places, Snapshot, Titles

WEEKS, HELD_OUT, LOAN_WEEKS, CLASSES = 104, 13, 3.0, 12

Reals = NDArray[np.float64]
Rows = NDArray[np.int64]


class Tape(NamedTuple):
    """Stays of copies on shelves, with their titles and places."""

    title: Rows
    place: Rows
    begin: Reals
    end: Reals
    lent: NDArray[np.bool_]


def tape(draw: np.random.Generator, rate: Reals, weeks: int) -> Tape:
    """Let every copy stand until someone borrows it, and come back to its place; rates swing with the season."""
    title, place = np.divmod(np.flatnonzero(draw.random(rate.size) < 0.3), rate.shape[1])
    now, rows = draw.uniform(0, LOAN_WEEKS, len(title)), []
    while (now < weeks).any():
        on = now < weeks
        t, p, begin = title[on], place[on], now[on]
        season = 1 + 0.2 * np.sin(begin / 52 * 2 * np.pi)
        until = begin + draw.exponential(1 / (rate[t, p] * season))
        rows.append((t, p, begin, np.minimum(until, weeks), until < weeks))
        now[on] = until + draw.exponential(LOAN_WEEKS, len(t))
    return Tape(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def truth(draw: np.random.Generator, titles: int, places: int) -> tuple[Reals, NDArray[np.int32], NDArray[np.int32]]:
    """Draw loans a week of each title at each place, and the titles' classes and places' tiers."""
    tier = tiers(places)
    cls = draw.integers(0, CLASSES, titles).astype(np.int32)
    activity = np.array([0.12, 0.05, 0.02, 0.007])[tier] * draw.lognormal(0, 0.35, places)
    taste = draw.lognormal(0, 0.6, (CLASSES, places)) * activity
    return (
        draw.gamma(0.45, 1 / 0.45, (titles, 1)) * taste[cls] * draw.lognormal(-0.125, 0.5, (titles, places)) + 1e-5,
        cls,
        tier,
    )


def grid(title: Rows, place: Rows, weight: Reals, shape: tuple[int, int]) -> Reals:
    """Add up by title and place."""
    return np.bincount(title * shape[1] + place, weight, shape[0] * shape[1]).reshape(shape).astype(np.float64)


def weekly(stays: Tape, shape: tuple[int, int]) -> Reals:
    """Return loans of each pair in each week, pairs x weeks."""
    lent = stays.lent
    key = (stays.title[lent] * shape[1] + stays.place[lent]) * WEEKS + stays.end[lent].astype(int)
    return np.bincount(key, minlength=shape[0] * shape[1] * WEEKS).reshape(-1, WEEKS).astype(np.float64)


def methods(stays: Tape, cls: NDArray[np.int32], tier: NDArray[np.int32], shape: tuple[int, int]) -> dict[str, Reals]:
    """Return each method's loans a week on the shelf (or a week of the calendar, for methods that ignore shelves), T x P."""
    seen = observed(*stays[:4], stays.lent, WEEKS)
    snapshot = Snapshot(Titles.of(cls), Places.of(tier, 1000, classes=CLASSES), Copies.of([], []), seen)
    ours = rates(snapshot)
    plain = ours.of_title[:, None].astype(np.float64) * ours.of_class[cls]
    pair, factor = of_pairs(snapshot, ours, 1.0)
    own = np.ones(plain.size)
    own[pair] = factor
    begun = np.zeros(plain.size, np.int64)  # every copy stands there from the first weeks on
    history = weekly(stays, shape)
    last = stays.lent & (stays.end > WEEKS - 52)
    weeks = grid(stays.title, stays.place, stays.end - stays.begin, shape)
    of_class = np.zeros((CLASSES, shape[1]))
    np.add.at(of_class, cls, history.sum(1).reshape(shape))
    class_weeks = np.zeros((CLASSES, shape[1]))
    np.add.at(class_weeks, cls, weeks)
    return {
        "gamma-poisson": plain,
        "gamma-poisson, each pair": (plain.ravel() * own).reshape(shape),
        "last year's average": grid(stays.title[last], stays.place[last], np.ones(int(last.sum())), shape) / 52,
        "croston": croston(history, begun).reshape(shape),
        "tsb": tsb(history, begun).reshape(shape),
        "class mean": (of_class / np.maximum(class_weeks, 1))[cls],
    }


def main() -> None:
    """Score the methods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--titles", type=int, default=3000)
    parser.add_argument("--places", type=int, default=40)
    asked = parser.parse_args()
    draw = np.random.default_rng(asked.seed)
    rate, cls, tier = truth(draw, asked.titles, asked.places)
    all_ = tape(draw, rate, WEEKS + HELD_OUT)
    past = Tape(*(column[all_.begin < WEEKS] for column in all_))
    past = past._replace(lent=past.lent & (past.end < WEEKS), end=np.minimum(past.end, WEEKS))
    begin, end = np.maximum(all_.begin, WEEKS), all_.end
    future = np.maximum(end - begin, 0)
    shelf = grid(all_.title, all_.place, future, rate.shape)
    loans = grid(all_.title, all_.place, (all_.lent & (all_.end >= WEEKS)).astype(float), rate.shape)
    stood = shelf > 0
    for name, told in methods(past, cls, tier, rate.shape).items():
        score(name, (told * shelf)[stood], loans[stood], asked)


def score(name: str, told: Reals, loans: Reals, asked: argparse.Namespace) -> None:
    """Print a method's line."""
    told = np.maximum(told, LEAST)
    deviance = 2 * (np.where(loans > 0, loans * np.log(np.maximum(loans, 1) / told), 0) - (loans - told))
    parts = np.array_split(np.argsort(told, kind="stable"), 10)
    line = {
        "figure": "demand",
        "method": name,
        "seed": asked.seed,
        "titles": asked.titles,
        "places": asked.places,
        "pairs": len(told),
        "loans": int(loans.sum()),
        "told": round(float(told.sum())),
        "deviance": round(float(deviance.mean()), 4),
        "told_over_observed_by_decile": [round(float(told[p].sum() / max(loans[p].sum(), 1)), 2) for p in parts],
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
