"""Who decides in the twin city: what libraries do today, and rotation's own night and desk, called and not copied."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from city.arrays_driver import DAYS_A_WEEK, NO_MOVES, Moves
from city.model import Ints, Records
from rotation import demand
from rotation.placement import Placer
from rotation.rebalancing import plan as planning
from rotation.rebalancing.snapshot import Exposure, Settings, Snapshot, State

COOL_DOWN_WEEKS = 12.0  # as the planner's: every policy leaves a moved copy alone so long


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
    """Stock in proportion to loans: from places that have more than their share to those that have less."""

    moves_a_week: int = 300

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Even out the shares, any copies of the surplus."""
        have = np.bincount(seen.copies.place[seen.copies.state != State.ABSENT], minlength=len(seen.places))
        loans = np.bincount(seen.exposure.place, seen.exposure.loans, len(seen.places)) + 1.0
        return _even_out(seen, have - loans / loans.sum() * have.sum(), self.moves_a_week, week)


@dataclass
class MinMax(Nobody):
    """Floating with thresholds, as the systems of today have: from shelves above a maximum to those below a minimum."""

    floating: bool = True
    moves_a_week: int = 300
    low: float = 0.72  # of the class's shelf room
    high: float = 0.92

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Move what is over the maximum of its shelf to shelves of the class below their minimum."""
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
    """Best move first by what one more copy is worth there less what it is worth here; one move a title and week."""

    moves_a_week: int = 300
    settings: Settings = field(default_factory=Settings)

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Take each title's best move, and of those the best that have room."""
        more, less = marginal(seen, demand.rates(seen, self.settings), self.settings)
        copies = np.flatnonzero(_movable(seen))
        title = seen.copies.title[copies]
        more = np.where((seen.places.room > _levels(seen)).T[seen.titles.cls], more, -1.0)
        to = more.argmax(1)[title]
        gain = more[title, to] - less[title, seen.copies.place[copies]]
        order = np.argsort(-gain, kind="stable")[: int((gain > 0).sum())]
        _, first = np.unique(title[order], return_index=True)
        chosen = order[np.sort(first)]
        return _with_room(seen, copies[chosen].astype(np.int32), to[chosen].astype(np.int32), self.moves_a_week)


@dataclass
class Rotation(Nobody):
    """Rotation itself: the night's plan, its picks if `picks`, the desk's placement if `desk`."""

    picks: bool = True
    desk: bool = True
    settings: Settings = field(default_factory=Settings)
    knows: NDArray[np.float32] | None = None  # T x P: an oracle's rates, in place of what was seen

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Plan, and remember prices and rates for the desk."""
        self._week = week
        if self.knows is not None:
            seen = replace(seen, exposure=_told(self.knows))
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
        recently = self._week * DAYS_A_WEEK - returned["moved"] < self.settings.ping_pong_weeks * DAYS_A_WEEK
        came_from = np.where(recently, returned["came_from"], -1)
        answers = self._placer.places(returned["title"], returned["back"], returned["home"], came_from)
        return answers.astype(np.int32)

    def lent(self, titles: Ints, places: NDArray[np.int64]) -> None:
        """Tell the desk where shelves have room again."""
        if self.desk:
            self._placer.lent(titles, places)


ORACLE_WEEKS = 500.0  # of shelf: so much evidence that nothing is left to guess


def _told(rates: NDArray[np.float32]) -> Exposure:
    title, place = np.nonzero(rates > 0)
    return Exposure.of(title, place, rates[title, place] * ORACLE_WEEKS, ORACLE_WEEKS)


# --- What the others share --------------------------------------------------------------------------------------------------


def _movable(seen: Snapshot) -> NDArray[np.bool_]:
    copies = seen.copies
    return np.asarray((copies.state == State.ON_SHELF) & ~copies.fixed & (copies.moved_weeks > COOL_DOWN_WEEKS))


def marginal(
    seen: Snapshot, rates: demand.Rates, settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T x P: expected loans that one more copy brings there, and that one copy less costs."""
    cls = seen.titles.cls
    rate = rates.of_title[:, None] * rates.of_class[cls]
    have = np.zeros(rate.shape, np.int64)
    there = seen.copies.state != State.ABSENT
    np.add.at(have, (seen.copies.title[there], seen.copies.place[there]), 1)
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
    there = seen.copies.state != State.ABSENT
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
