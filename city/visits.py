"""The tape: who looks for which title where, drawn before any decision, so that every policy meets the same readers.

Each day is drawn from the seed and its own number, so a tape can be begun anywhere and has no end.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from city.model import BACK_WHERE_LENT, DAY_S, DrawnCity, Ints, Records

WEEKDAY_BUSTLE = np.array([0.85, 0.9, 0.95, 0.95, 1.05, 1.35, 1.3])  # Monday first: readers come at weekends
YEAR_SWING = 0.12  # holidays in winter and summer bring more, around the mean
LOAN_DAYS_SHAPE, LOAN_DAYS_SCALE = 2.3, 7.2  # gamma: a mean of two and a half weeks
LOAN_DAYS_LEAST, LOAN_DAYS_MOST = 2, 56
NEW_TITLE_FADES_DAYS = 150.0  # interest in a new book falls by e in this, down to NEW_TITLE_FLOOR
NEW_TITLE_FLOOR = 0.35
# Opening hours are seldom filled evenly: the mean of this many draws.
BUSY_HOURS = 3


VISIT = np.dtype(
    [
        ("at_s", "i8"),  # since the city's midnight
        ("title", "i4"),
        ("place", "i4"),
        ("take", "f4"),  # chances of what the reader does, drawn beforehand
        ("hold", "f4"),
        ("browse", "f4"),
        ("which", "f4"),
        ("worn", "f4"),
        ("back", "i4"),  # where the loan would come back,
        ("back_day", "i4"),  # how many days after,
        ("back_when", "f4"),  # and when in that day's hours
    ]
)
CHANCES = ("take", "hold", "browse", "which", "worn", "back_when")


class Interest(NamedTuple):
    """Readers' interests from a day on: cumulative visits a week over places and titles (place-major)."""

    from_day: int
    cumulative: NDArray[np.float64]  # P*T
    by_place: NDArray[np.float64]  # P: visits a week


def interest(world: DrawnCity, from_day: int = 0, factor: NDArray[np.float32] | None = None) -> Interest:
    """Prepare the world's interest, times `factor` (T x P) if given, for drawing."""
    rates = world.interest if factor is None else world.interest * factor
    by_place = rates.sum(0, dtype=np.float64)
    return Interest(from_day, np.cumsum(rates.T.ravel(), dtype=np.float64), by_place)


def tape(
    world: DrawnCity, seed: int, days: Iterable[int], interests: tuple[Interest, ...] | None = None
) -> list[Records]:
    """Draw the visits of `days`, each in order of time; `interests` in order of their first day."""
    phases = interests or (interest(world),)
    return [of_day(world, seed, day, [p for p in phases if p.from_day <= day][-1]) for day in days]


def of_day(world: DrawnCity, seed: int, day: int, wanted: Interest) -> Records:
    """Draw one day's visits."""
    draw = np.random.default_rng([seed, 2, day])
    number = draw.poisson(wanted.by_place * _bustle(world, day))
    place = np.repeat(np.arange(len(number)), number)
    visits = np.zeros(len(place), VISIT)
    visits["place"], visits["title"] = place, _titles(world, draw, wanted, place)
    for name in CHANCES:
        visits[name] = draw.random(len(place), dtype=np.float32)
    visits["back"] = _back(world, draw, place)
    days = draw.gamma(LOAN_DAYS_SHAPE, LOAN_DAYS_SCALE, len(place)).round()
    visits["back_day"] = np.clip(days, LOAN_DAYS_LEAST, LOAN_DAYS_MOST)
    visits["at_s"] = day * DAY_S + moments(world, place, day, draw.random((len(place), BUSY_HOURS)).mean(1))
    visits = visits[_still_wanted(world, visits["title"], day, draw.random(len(place)))]
    return visits[np.argsort(visits["at_s"], kind="stable")]


def _bustle(world: DrawnCity, day: int) -> NDArray[np.float64]:
    """Return each place's share of a week that falls on the day: none where it is closed."""
    weekday = (world.weekday + day) % 7
    usual = (world.land.hours["end_s"][:, :, 0] > 0) * WEEKDAY_BUSTLE
    week = np.maximum(usual.sum(1), 1e-9)
    season = 1.0 + YEAR_SWING * np.cos((day + 31) * 4 * np.pi / 365)  # two tops a year, in the school holidays
    return np.asarray(world.land.days["opens"][:, day] * usual[:, weekday] / week * season)


def _titles(world: DrawnCity, draw: np.random.Generator, wanted: Interest, place: NDArray[np.int64]) -> Ints:
    titles = len(world.cls)
    ends = np.cumsum(wanted.by_place)
    point = (ends - wanted.by_place)[place] + draw.random(len(place)) * wanted.by_place[place]
    found = np.searchsorted(wanted.cumulative, point) - place * titles
    return np.asarray(np.clip(found, 0, titles - 1), dtype=np.int32)


def _back(world: DrawnCity, draw: np.random.Generator, place: NDArray[np.int64]) -> Ints:
    elsewhere = draw.random(len(place)) > BACK_WHERE_LENT
    point = draw.random(len(place))
    found = (world.back[place] < point[:, None]).sum(1)
    return np.asarray(np.where(elsewhere, np.minimum(found, len(world.back) - 1), place), dtype=np.int32)


def _still_wanted(world: DrawnCity, title: Ints, day: int, chance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A title is not looked for before it is there; new ones fade."""
    age = day - world.title_born[title]
    fading = NEW_TITLE_FLOOR + (1 - NEW_TITLE_FLOOR) * np.exp(-age / NEW_TITLE_FADES_DAYS)
    return np.asarray((age >= 0) & ((world.title_born[title] == 0) | (chance < fading)))


def moments(world: DrawnCity, place: NDArray[np.int64], day: int, share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the second of the day at which `share` of the place's opening hours has passed."""
    weekday = (world.weekday + day) % 7
    hours = world.land.hours[place, weekday]
    begin, end = hours["begin_s"], hours["end_s"]
    left = share * (end - begin).sum(1)
    at = begin[:, 0].astype(np.float64)
    for j in range(begin.shape[1]):
        length = (end[:, j] - begin[:, j]).astype(np.float64)
        inside = (left >= 0) & (length > 0)
        at = np.where(inside, begin[:, j] + np.minimum(left, length - 1), at)
        left = np.where(left < length, -1.0, left - length)
    return np.asarray(at.astype(np.int64))
