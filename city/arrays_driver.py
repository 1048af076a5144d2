"""The city without topics: years in seconds, for policies that are compared on the same readers.

A policy sees what a library sees, as `rotation.rebalancing.Snapshot`, once a week, and each day the copies that come back.
The facts are those of the other driver; here they stay numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from city import day as steps
from city.model import DAY_S, Ints, Records, World
from rotation.demand import YEARLY_DISCOUNT
from rotation.rebalancing.snapshot import NEVER_WEEKS, Copies, Exposure, Pairs, Places, Snapshot, State, Titles

DAYS_A_WEEK = 7
WEEKLY_DISCOUNT = YEARLY_DISCOUNT ** (1 / 52)
LOANS_A_KM = 0.03  # carrying a copy a kilometre, in loans: on seed 0, .01 drove 43 % more than none, .03 14 % less
MOVES_AT_S = 7 * 3600  # picks leave before readers come

STATES = np.array(
    [
        State.ON_SHELF,
        State.ON_LOAN,
        State.IN_TRANSIT,
        State.RESERVED,
        State.RESERVED,
        State.ABSENT,
        State.ABSENT,
        State.ABSENT,
    ],
    np.int8,
)  # by the state in `city.day`


class Moves(NamedTuple):
    """Copies to pick this week, and where they go."""

    copies: Ints
    to: Ints


NO_MOVES = Moves(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Policy(Protocol):
    """What decides. `floating`: copies stay where they come back, unless `place` says otherwise."""

    floating: bool

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Return the week's picks, and remember what placement needs."""

    def place(self, returned: Records) -> Ints | None:
        """Return where copies that come back go (-1: by the rule), or None; rows are in order of time."""

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Hear of the day's loans."""


class Feed(NamedTuple):
    """What of the truth reaches the library."""

    lost: float = 0.0  # share of loans that are never told
    late: float = 0.0  # share of copies whose present is known as of last week


class Week(NamedTuple):
    """What a week brought: cumulative counters, for whoever measures."""

    counts: NDArray[np.int64]
    loans: NDArray[np.int64]  # by place
    km: float


def run(
    world: World,
    state: steps.State,
    tape: Sequence[Records],
    policy: Policy,
    places: Places,
    feed: Feed = Feed(),
    idle_weeks: int = 8,
) -> list[Week]:
    """Play the tape under a policy, which decides nothing in the first `idle_weeks`; return what each week brought."""
    seen, weeks = Seen(world, state, places, feed), []
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


def _answer(state: steps.State, policy: Policy, day: int) -> None:
    copies = steps.returning(state, day)
    answers = policy.place(state.copies[copies])
    if answers is not None:
        state.copies["answer"][copies] = answers


class Seen:
    """What the library knows of the city: its own copies and what they did, never what readers looked for in vain."""

    def __init__(self, world: World, state: steps.State, places: Places, feed: Feed) -> None:
        self._lanes = np.asarray(world.km * LOANS_A_KM, dtype=np.float32)
        self._world, self._state, self._places, self._feed = world, state, places, feed
        self._titles = Titles.of(world.cls)
        self._before: Records | None = None
        self._draw = np.random.default_rng(len(world.title))

    def snapshot(self, day: int) -> Snapshot:
        """Return the night's world."""
        return Snapshot(
            self._titles,
            self._places,
            self._copies(day),
            self._exposure(day),
            holds=self._holds(),
            left=self._left(day),
            lane_cost=self._lanes,
        )

    def discount(self) -> None:
        """Let what was seen grow a week older."""
        for name in ("loans", "shelf_days"):
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
            rows["title"], rows["home"], STATES[rows["state"]], moved_weeks=moved, came_from=rows["came_from"],
            arrived_weeks=(day - arrived) / DAYS_A_WEEK, idle_weeks=np.where(rows["state"] == steps.SHELF, idle, 0) / DAYS_A_WEEK,
        )  # fmt: skip

    def _exposure(self, day: int) -> Exposure:
        pairs = self._state.pairs
        standing = np.where(pairs["head"] >= 0, day - pairs["since"], 0.0)
        shelf_weeks = (pairs["shelf_days"] + standing) / DAYS_A_WEEK
        title, place = np.nonzero((shelf_weeks > 0) | (pairs["loans"] > 0))
        loans = pairs["loans"][title, place]
        if self._feed.lost:
            loans = loans * (1 - self._feed.lost)
        return Exposure.of(title, place, loans, shelf_weeks[title, place])

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
