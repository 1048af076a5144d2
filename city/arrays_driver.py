"""The city without topics: years in seconds, for policies that are compared on the same readers.

A policy sees the library's view, a `rotation.rebalancing.Snapshot`, once a week, and the returned copies each day.
The facts are those of the other driver; here they stay numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from city import day as steps
from city.model import DAY_S, DrawnCity, Ints, Records
from config import load
from rotation.rebalancing.demand import YEARLY_DISCOUNT, discounted_weeks
from rotation.rebalancing.snapshot import (
    AGE_BANDS_WEEKS,
    NEVER_WEEKS,
    OLD,
    Copies,
    Exposure,
    Pairs,
    Places,
    Snapshot,
    StockState,
    Titles,
)

DAYS_A_WEEK = 7
WEEKLY_DISCOUNT = YEARLY_DISCOUNT ** (1 / 52)
LOANS_PER_KM = load().loans_per_km  # the city's own: the twin pays for the way as the night and the desk do
MOVES_AT_S = 7 * 3600  # picks leave before readers come

STATES = np.array(
    [
        StockState.ON_SHELF,
        StockState.ON_LOAN,
        StockState.IN_TRANSIT,
        StockState.RESERVED,
        StockState.RESERVED,
        StockState.ABSENT,
        StockState.ABSENT,
        StockState.ABSENT,
    ],
    np.int8,
)  # by the state in `city.day`


class Moves(NamedTuple):
    """Copies to pick this week, and where they go."""

    copies: Ints
    to: Ints


NO_MOVES = Moves(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Policy(Protocol):
    """Decides moves and placements. `floating`: copies stay where they come back, unless `place` decides otherwise."""

    floating: bool

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Return the week's picks, and remember the data that placement needs."""

    def place(self, returned: Records) -> Ints | None:
        """Return destinations of returned copies (-1: by the rule), or None; rows are in order of time."""

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Observe the day's loans."""


class FeedLosses(NamedTuple):
    """Losses and delays between the truth and the library's records."""

    lost: float = 0.0  # share of loans that the library never receives
    late: float = 0.0  # share of copies whose present is known as of last week


class Week(NamedTuple):
    """A week's results: cumulative counters, for measurements."""

    counts: NDArray[np.int64]
    loans: NDArray[np.int64]  # by place
    km: float


def run(
    world: DrawnCity,
    state: steps.CityState,
    tape: Sequence[Records],
    policy: Policy,
    places: Places,
    feed: FeedLosses = FeedLosses(),
    idle_weeks: int = 8,
    listed: Ints | None = None,
) -> list[Week]:
    """Play the tape under a policy, which decides nothing in the first `idle_weeks`; return each week's results.

    `listed`: the titles' classes as the library lists them, where they differ from the truth.
    """
    seen, weeks = LibraryView(world, state, places, feed, listed), []
    for day, visits in enumerate(tape):
        week = day // DAYS_A_WEEK
        decides = week >= idle_weeks
        state.mode["floating"] = policy.floating and decides
        if day % DAYS_A_WEEK == 0 and decides:
            moves = policy.night(seen.snapshot(day), week)
            steps.move(world.land, state, moves.copies, moves.to, day * DAY_S + MOVES_AT_S)
        if decides:
            _answer(state, policy, day)
        facts = steps.play(world.land, state, visits, day)
        if decides:
            loans = facts[facts[:, steps.KIND] == steps.LOANED]
            policy.lent(world.title[loans[:, steps.COPY]], loans[:, steps.PLACE])
        if day % DAYS_A_WEEK == DAYS_A_WEEK - 1:
            seen.discount()
            weeks.append(Week(state.counts.copy(), state.places["loans"].copy(), float(state.mode["km"][0])))
    return weeks


def _answer(state: steps.CityState, policy: Policy, day: int) -> None:
    copies = steps.returning(state, day)
    answers = policy.place(state.copies[copies])
    if answers is not None:
        state.copies["answer"][copies] = answers


class LibraryView:
    """The library's knowledge of the city: its own copies and their history, never readers' fruitless searches."""

    def __init__(
        self, world: DrawnCity, state: steps.CityState, places: Places, feed: FeedLosses, listed: Ints | None = None
    ) -> None:
        hub = world.land.hub
        self._trunks = np.asarray(world.km[np.ix_(hub, hub)] * LOANS_PER_KM, dtype=np.float32)
        self._world, self._state, self._places, self._feed = world, state, places, feed
        self._titles = Titles.of(world.cls if listed is None else listed)
        self._before: Records | None = None
        self._draw = np.random.default_rng(len(world.title))

    def snapshot(self, day: int) -> Snapshot:
        """Return the input of the night."""
        return Snapshot(
            self._titles,
            self._places,
            self._copies(day),
            self._exposure(day),
            holds=self._holds(),
            left=self._left(day),
            reservable=self._reservable(day).astype(np.float32),
            lane_cost=self._trunks,
        )

    def discount(self) -> None:
        """Age the observations by a week."""
        for name in ("loans", "shelf_days", "holds"):
            self._state.pairs[name] *= WEEKLY_DISCOUNT

    def _copies(self, day: int) -> Copies:
        rows = self._state.copies
        if self._before is not None and self._feed.late:
            rows = np.where(self._draw.random(len(rows)) < self._feed.late, self._before, rows)
        self._before = self._state.copies.copy() if self._feed.late else None
        arrived = self._state.pairs["arrived"][rows["title"], rows["home"]]
        idle = day - np.maximum(rows["shelved"], rows["lent"])
        moved = np.where(rows["moved"] == steps.LONG_AGO, NEVER_WEEKS, (day - rows["moved"]) / DAYS_A_WEEK)
        return Copies.of(
            rows["title"],
            rows["home"],
            STATES[rows["state"]],
            moved_weeks=moved,
            came_from=rows["came_from"],
            arrived_weeks=np.where(arrived < 0, NEVER_WEEKS, (day - arrived) / DAYS_A_WEEK),
            idle_weeks=np.where(rows["state"] == steps.SHELF, idle, 0) / DAYS_A_WEEK,
        )

    def _exposure(self, day: int) -> Exposure:
        pairs = self._state.pairs
        days = pairs["shelf_days"].copy()
        at = np.nonzero(pairs["head"] >= 0)
        days[at] += _in_bands(pairs["since"][at], day, pairs["arrived"][at])
        title, place, band = np.nonzero((days > 0) | (pairs["loans"] > 0))
        loans = pairs["loans"][title, place, band] * (1 - self._feed.lost)
        reserved = np.nonzero(pairs["holds"])
        none = np.zeros(len(reserved[0]))
        return Exposure.of(
            np.concatenate([title, reserved[0]]),
            np.concatenate([place, reserved[1]]),
            np.concatenate([loans, none]),
            np.concatenate([days[title, place, band] / DAYS_A_WEEK, none]),
            band=np.concatenate([band, np.full(len(none), OLD)]),
            holds=np.concatenate([np.zeros(len(title)), pairs["holds"][reserved] * (1 - self._feed.lost)]),
        )

    def _reservable(self, day: int) -> NDArray[np.float64]:
        """Return each title's weeks in the city, discounted as its loans are."""
        weeks = np.maximum(day - self._world.title_born, 0) / DAYS_A_WEEK
        return np.asarray(discounted_weeks(np.zeros(len(weeks)), weeks, weeks))

    def _holds(self) -> Pairs:
        waiting = []
        for title in np.flatnonzero(self._state.titles["queue"] >= 0):
            hold = int(self._state.titles["queue"][title])
            while hold >= 0:
                waiting.append((int(title), int(self._state.holds["place"][hold])))
                hold = int(self._state.holds["next"][hold])
        return Pairs.of([t for t, _ in waiting], [p for _, p in waiting], 1.0) if waiting else Pairs.of()

    def _left(self, day: int) -> Pairs:
        left = self._state.pairs["left"]
        title, place = np.nonzero((left > steps.LONG_AGO) & (self._state.pairs["own"] == 0))
        return Pairs.of(title, place, (day - left[title, place]) / DAYS_A_WEEK)


def _in_bands(since: NDArray[np.float32], day: int, arrived: Ints) -> NDArray[np.float64]:
    """Return the days of stays that go on, by band of age (stays x bands)."""
    lows, highs = np.r_[0.0, AGE_BANDS_WEEKS] * DAYS_A_WEEK, np.r_[AGE_BANDS_WEEKS, np.inf] * DAYS_A_WEEK
    came = np.where(arrived < 0, -np.float64(highs[-2]), arrived)[:, None]  # from before the records: old
    return np.asarray(np.maximum(np.minimum(day, came + highs) - np.maximum(since[:, None], came + lows), 0.0))
