"""The policies of the twin city: common practice of libraries, and rotation's own night and desk, called and not copied."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from city.arrays_driver import DAYS_A_WEEK, NO_MOVES, Moves
from city.model import Ints, Records
from rotation.rebalancing import demand
from rotation.rebalancing import plan as planning
from rotation.rebalancing.outcome import Prices
from rotation.rebalancing.placement import Placer
from rotation.rebalancing.snapshot import Exposure, PlanningSettings, Snapshot, StockState
from rotation.rebalancing.world import tables

# As the planner's: every policy leaves a moved copy alone for this time.
COOL_DOWN_WEEKS = 12.0


@dataclass
class Nobody:
    """Every copy goes home, or with `floating` stays where it came back."""

    floating: bool = False

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Move nothing."""
        return NO_MOVES

    def place(self, returned: Records) -> Ints | None:
        """Leave it to the rule."""
        return None

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Need not know."""


@dataclass
class Rota(Nobody):
    """Fixed rotation: sets of copies go on to the next place every half year, whoever reads."""

    moves_a_week: int = 300
    stay_weeks: int = 26

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Send on the copies that have stood longest."""
        ready = np.flatnonzero(_movable(seen) & (seen.copies.moved_weeks >= self.stay_weeks))
        copies = np.random.default_rng(week).permutation(ready)[: 4 * self.moves_a_week].astype(np.int32)
        to = (seen.copies.place[copies] + 1 + copies % 7) % len(seen.places)
        return _with_room(seen, copies, to, self.moves_a_week)


@dataclass
class Proportional(Nobody):
    """Stock in proportion to loans: from places with more than their share to those with less."""

    moves_a_week: int = 300

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Even out the shares, with any copies of the surplus."""
        have = np.bincount(seen.copies.place[seen.copies.state != StockState.ABSENT], minlength=len(seen.places))
        loans = np.bincount(seen.exposure.place, seen.exposure.loans, len(seen.places)) + 1.0
        return _even_out(seen, have - loans / loans.sum() * have.sum(), self.moves_a_week, week)


@dataclass
class MinMax(Nobody):
    """Floating with thresholds, as in today's systems: from shelves above a maximum to those below a minimum."""

    floating: bool = True
    moves_a_week: int = 300
    low: float = 0.72  # of the class's shelf room
    high: float = 0.92

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Move copies over their shelf's maximum to shelves of the class below their minimum."""
        cls, draw = seen.titles.cls[seen.copies.title], np.random.default_rng(week)
        have = _levels(seen)
        over = np.maximum(have - self.high * seen.places.room, 0).astype(int)
        under = np.maximum(self.low * seen.places.room - have, 0).astype(int)
        copies = draw.permutation(np.flatnonzero(_movable(seen)))
        shelf = seen.copies.place[copies] * have.shape[1] + cls[copies]
        copies = copies[_rank_within(shelf) < over.ravel()[shelf]]
        pairs = [
            (copy, place)
            for k in range(have.shape[1])
            for copy, place in zip(
                copies[cls[copies] == k], draw.permutation(np.repeat(np.arange(len(have)), under[:, k])), strict=False
            )
        ]
        moves = draw.permutation(np.array(pairs, np.int32).reshape(-1, 2))
        return _with_room(seen, moves[:, 0], moves[:, 1], self.moves_a_week)


@dataclass
class Greedy(Nobody):
    """Best move first by another copy's worth there less its worth here and `way` times its way; one move a title and week."""

    moves_a_week: int = 300
    settings: PlanningSettings = field(default_factory=PlanningSettings)
    way: float = 0.0

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Take each title's best move, and of those the best that fit."""
        more, less = marginal(seen, demand.rates(seen, self.settings), self.settings)
        copies = np.flatnonzero(_movable(seen))
        title, origin = seen.copies.title[copies], seen.copies.place[copies]
        more = np.where((seen.places.room > _levels(seen)).T[seen.titles.cls], more, -1.0)
        to = more.argmax(1)[title]
        gain = more[title, to] - less[title, origin] - self.way * _ways(seen)[origin, to]
        order = np.argsort(-gain, kind="stable")[: int((gain > 0).sum())]
        _, first = np.unique(title[order], return_index=True)
        chosen = order[np.sort(first)]
        return _with_room(seen, copies[chosen].astype(np.int32), to[chosen].astype(np.int32), self.moves_a_week)


@dataclass
class GreedyDesk(Nobody):
    """The strongest rival: our demand and our worth of a copy, each return and pick greedily, without any price of a place."""

    moves_a_week: int = 300
    way: float = 1.0  # weight of the way
    equity: float = 0.0  # of weights over access per head

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Pick greedily, and let the desk know."""
        self._week, chosen = week, PlanningSettings(equity=self.equity)
        moves = Greedy(moves_a_week=self.moves_a_week, settings=chosen, way=self.way).night(seen, week)
        self._placer = Placer(_with_way(seen, self.way), demand.rates(seen, chosen), _free(seen), chosen)
        for copy, to in zip(moves.copies.tolist(), moves.to.tolist(), strict=True):
            self._placer.moved(int(seen.copies.title[copy]), int(seen.copies.place[copy]), to)
        return moves

    def place(self, returned: Records) -> Ints | None:
        """Ask the desk for each copy in turn."""
        came_from = _moved_lately(returned, self._week, PlanningSettings().ping_pong_weeks)
        answers = self._placer.places(returned["title"], returned["back"], returned["home"], came_from)
        return answers.astype(np.int32)

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Tell the desk where shelves have room again."""
        self._placer.lent(titles, places)


@dataclass
class ShortageDesk(Nobody):
    """Expected shortage reduction (ESR), after van der Heide and Roodbergen, EJOR 228 (2013), from its description.

    A returned copy goes where it reduces the expected shortage most, less the way: demand over the horizon is Poisson, and a
    copy beyond k saves a shortage with the chance that more than k are asked for. With greedy picks, for equal staff.
    """

    moves_a_week: int = 300
    settings: PlanningSettings = field(default_factory=PlanningSettings)

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Pick greedily, and remember demand and stock."""
        self._week, self._cls, self._room = week, seen.titles.cls, seen.places.room
        self._demand = expected(seen, demand.rates(seen, self.settings), self.settings) * self.settings.horizon_weeks
        self._have, self._levels, self._way = _stock(seen), _levels(seen), _ways(seen)
        moves = Greedy(moves_a_week=self.moves_a_week, settings=self.settings, way=1.0).night(seen, week)
        for copy, to in zip(moves.copies.tolist(), moves.to.tolist(), strict=True):
            self._count(int(seen.copies.title[copy]), int(seen.copies.place[copy]), to)
        return moves

    def _count(self, title: int, origin: int, to: int) -> None:
        for place, change in ((origin, -1), (to, 1)):
            self._have[title, place] += change
            self._levels[place, self._cls[title]] += change

    def place(self, returned: Records) -> Ints | None:
        """Answer for each copy in turn."""
        came_from = _moved_lately(returned, self._week, self.settings.ping_pong_weeks)
        answers = np.empty(len(returned), np.int32)
        columns = (returned[name].tolist() for name in ("title", "back", "home"))
        for i, (title, at, home, came) in enumerate(zip(*columns, came_from.tolist(), strict=True)):
            have = self._have[title] - (np.arange(len(self._room)) == home)
            saved = gammainc(np.maximum(have, 0) + 1, self._demand[title]) - self._way[at]
            full = self._levels[:, self._cls[title]] >= self._room[:, self._cls[title]]
            full[home] = False
            saved[full] = -np.inf
            if came >= 0 and came != at:
                saved[came] = -np.inf
            answers[i] = saved.argmax()
            self._count(title, home, int(answers[i]))
        return answers


@dataclass
class Rotation(Nobody):
    """Rotation itself: the night's plan, its picks if `picks`, the desk's placement if `desk`."""

    picks: bool = True
    desk: bool = True
    settings: PlanningSettings = field(default_factory=PlanningSettings)
    knows: NDArray[np.float32] | None = None  # T x P: an oracle's rates, instead of observations
    way: float = 1.0  # weight of the way: a city's `loans_per_km` as a multiple of the default

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Plan, and remember prices and rates for the desk."""
        self._week = week
        if self.knows is not None:
            seen = replace(seen, exposure=_told(self.knows))
        seen = _with_way(seen, self.way)
        tonight = planning.plan(seen, self.settings, seed=week)
        if self.desk:
            self._placer = Placer(seen, tonight.rates, tonight.prices, self.settings)
        if not self.picks:
            return NO_MOVES
        for move in tonight.moves if self.desk else ():
            self._placer.moved(move.title, move.origin, move.destination)
        return _as_moves(np.array([(move.copy, move.destination) for move in tonight.moves], np.int32).reshape(-1, 2))

    def place(self, returned: Records) -> Ints | None:
        """Ask the desk for each copy in turn."""
        if not self.desk:
            return None
        came_from = _moved_lately(returned, self._week, self.settings.ping_pong_weeks)
        answers = self._placer.places(returned["title"], returned["back"], returned["home"], came_from)
        return answers.astype(np.int32)

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Tell the desk where shelves have room again."""
        if self.desk:
            self._placer.lent(titles, places)


# Of shelf: so much evidence that nothing is uncertain.
ORACLE_WEEKS = 500.0


def _told(rates: NDArray[np.float32]) -> Exposure:
    title, place = np.nonzero(rates > 0)
    return Exposure.of(title, place, rates[title, place] * ORACLE_WEEKS, ORACLE_WEEKS)


# --- Shared by the others --------------------------------------------------------------------------------------------------


def _movable(seen: Snapshot) -> NDArray[np.bool_]:
    copies = seen.copies
    return np.asarray((copies.state == StockState.ON_SHELF) & ~copies.fixed & (copies.moved_weeks > COOL_DOWN_WEEKS))


def _moved_lately(returned: Records, week: int, within_weeks: float) -> NDArray[np.int64]:
    """Return whence rotation moved copies so lately that they must not go back; -1 for the others."""
    recently = week * DAYS_A_WEEK - returned["moved"] < within_weeks * DAYS_A_WEEK
    return np.where(recently, returned["came_from"], -1)


def _with_way(seen: Snapshot, times: float) -> Snapshot:
    """Return the snapshot with `times` the price of the way, handling included."""
    if times == 1.0 or seen.lane_cost is None:
        return seen
    ends = {name: (getattr(seen.places, name) * times).astype(np.float32) for name in ("in_cost", "out_cost")}
    return replace(seen, places=replace(seen.places, **ends), lane_cost=seen.lane_cost * np.float32(times))


def _ways(seen: Snapshot) -> NDArray[np.float64]:
    """Return P x P: the price of a copy's way in loans, 0 where it stays."""
    trunk = 0.0 if seen.lane_cost is None else seen.lane_cost
    way = seen.places.out_cost[:, None].astype(np.float64) + seen.places.in_cost + trunk
    np.fill_diagonal(way, 0.0)
    return np.asarray(way)


def _free(seen: Snapshot) -> Prices:
    """Return prices of a world where nothing is scarce."""
    places, shelf = np.zeros(len(seen.places), np.float32), np.zeros((len(seen.places), seen.classes), np.float32)
    titles = np.zeros(len(seen.titles), np.float32)
    return Prices(0.0, shelf, places, places, places, shelf, titles, places + 1)


def expected(seen: Snapshot, rates: demand.Rates, settings: PlanningSettings) -> NDArray[np.float64]:
    """Return T x P: loans a week with a copy always there, as the planner believes them."""
    world = tables(seen, rates, settings).world
    factor = np.full((len(seen.titles), len(seen.places)), world.novelty)
    factor[np.repeat(np.arange(len(factor)), np.diff(world.ptr)), world.place] = world.mult
    return np.asarray(factor * rates.of_title[:, None] * rates.of_class[seen.titles.cls])


def _stock(seen: Snapshot) -> NDArray[np.int64]:
    """Return T x P: copies that count there."""
    have = np.zeros((len(seen.titles), len(seen.places)), np.int64)
    there = seen.copies.state != StockState.ABSENT
    np.add.at(have, (seen.copies.title[there], seen.copies.place[there]), 1)
    return have


def marginal(
    seen: Snapshot, rates: demand.Rates, settings: PlanningSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T x P: expected loans gained by another copy there, and lost by removing a copy."""
    rate, have = expected(seen, rates, settings), _stock(seen)
    load, blocked = rate * settings.loan_weeks, np.ones_like(rate)
    lost = {-1: blocked.copy(), 0: blocked.copy(), 1: blocked.copy()}
    for k in range(1, int(have.max()) + 2):
        blocked = load * blocked / (k + load * blocked)
        for more, chance in lost.items():
            np.copyto(chance, blocked, where=have + more == k)
    worth = rate * settings.horizon_weeks
    return np.asarray(worth * (lost[0] - lost[1])), np.asarray(worth * (lost[-1] - lost[0]) * (have > 0))


def _with_room(seen: Snapshot, copies: Ints, to: Ints, most: int) -> Moves:
    """Keep moves, in their order, to shelves that have room and where the title does not come twice."""
    cls = seen.titles.cls[seen.copies.title]
    have = _levels(seen)
    kept: list[tuple[int, int]] = []
    coming: set[tuple[int, int]] = set()
    for copy, place in zip(copies.tolist(), to.tolist(), strict=True):
        pair, k = (int(seen.copies.title[copy]), place), cls[copy]
        if (
            len(kept) < most
            and have[place, k] < seen.places.room[place, k]
            and pair not in coming
            and place != seen.copies.place[copy]
        ):
            kept.append((copy, place))
            coming.add(pair)
            have[place, k] += 1
            have[seen.copies.place[copy], k] -= 1
    return _as_moves(np.array(kept, np.int32).reshape(-1, 2))


def _even_out(seen: Snapshot, surplus: NDArray[np.float64], most: int, week: int) -> Moves:
    """Move any copies from places with a surplus to those with a lack that have room for their class."""
    draw, cls = np.random.default_rng(week), seen.titles.cls
    over, lack = np.maximum(surplus, 0).astype(int), np.maximum(-surplus, 0)
    free = seen.places.room - _levels(seen)
    copies = draw.permutation(np.flatnonzero(_movable(seen)))
    copies = copies[_rank_within(seen.copies.place[copies]) < over[seen.copies.place[copies]]]
    moves: list[tuple[int, int]] = []
    for copy in copies.tolist():
        k = cls[seen.copies.title[copy]]
        wish = lack * (free[:, k] > 0)
        if len(moves) == most or not lack.any():
            break
        if wish.any():
            to = int(wish.argmax())
            lack[to], free[to, k] = max(0.0, lack[to] - 1), free[to, k] - 1
            moves.append((copy, to))
    return _with_room(seen, *_as_moves(np.array(moves, np.int32).reshape(-1, 2)), most)


def _levels(seen: Snapshot) -> NDArray[np.int64]:
    """Return P x K: copies that count on each shelf."""
    have = np.zeros((len(seen.places), seen.classes), np.int64)
    there = seen.copies.state != StockState.ABSENT
    np.add.at(have, (seen.copies.place[there], seen.titles.cls[seen.copies.title[there]]), 1)
    return have


def _rank_within(groups: Ints) -> NDArray[np.int64]:
    """Return each row's number among the rows of its group, in order."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], groups[order])
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank


def _as_moves(pairs: NDArray[np.int32]) -> Moves:
    return Moves(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))
