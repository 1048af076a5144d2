"""Where a returned copy goes next: it is in someone's hand already, so any place is one trip away.

Value of one more copy there - transport and handling from here - the night's price of shelf room there; staying and going home
are places like any other, and the best one wins. Levels follow the answers given, so that many copies of a title that come
back at once spread as they should.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rotation.demand import Rates
from rotation.rebalancing import kernels, volumes, world
from rotation.rebalancing.outcome import Code, Prices, Reason
from rotation.rebalancing.snapshot import Settings, Snapshot
from rotation.rebalancing.world import Tables

CROWDED_FROM = 0.9  # of a shelf's room: above it each copy makes finding and shelving harder
CROWDED_LOANS = 0.25  # what a copy costs on a shelf that is full to the last place; as in the prototype's city
ALTERNATIVES = 3  # next best places told with an answer
UNFIT = -1e9  # value of a place where the copy may not go

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choice:
    """A place that was considered and its net worth in expected loans over the horizon."""

    place: int
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the copy goes, why, and the next best places."""

    place: int
    value: float
    reason: Reason
    alternatives: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Title:
    """What is known of one title at every place now."""

    copies: NDArray[np.int64]
    rate: Reals
    bonus: Reals
    fresh: NDArray[np.bool_]


class Placer:
    """Answers for one day; build a new one when a new night's plan is there."""

    def __init__(
        self,
        snapshot: Snapshot,
        rates: Rates | None,
        prices: Prices | None,
        settings: Settings | None = None,
        *,
        plain: Literal["home", "stay"] = "home",
    ) -> None:
        """Take the night's world; without rates or prices every copy goes `plain`: "home" or "stay".

        Raises
        ------
        ValueError
            When the snapshot contradicts itself.
        """
        self._snapshot, self._prices, self._plain = snapshot, prices, plain
        self._tables: Tables | None = None
        self._since: dict[int, dict[int, int]] = {}  # copies of a title at a place, more than the snapshot has
        self._standing = world.standing(snapshot, world.STANDING)
        if rates is not None and prices is not None:
            self._tables = world.tables(snapshot, rates, settings or Settings())

    def place(self, title: int, at_place: int, *, home: int = -1, owner: int = 0, came_from: int = -1) -> Answer:
        """Answer for a copy of `title` returned at `at_place` and count it there. `home`: the shelf it counted on until now.

        Raises
        ------
        ValueError
            When `at_place` is no place of the snapshot.
        """
        if not 0 <= at_place < len(self._snapshot.places):
            raise ValueError(f"place {at_place} is not one of the {len(self._snapshot.places)} places of the night")
        home = home if 0 <= home < len(self._snapshot.places) else -1
        if self._tables is None or self._prices is None or not 0 <= title < len(self._snapshot.titles):
            answer = self._without_prices(at_place, home)
        else:
            answer = self._best(self._tables, self._prices, title, at_place, home, owner, came_from)
        if 0 <= title < len(self._snapshot.titles):
            self._count(title, home, answer.place)
            self._standing[answer.place, self._snapshot.titles.cls[title]] += 1
        return answer

    def lent(self, title: int, place: int) -> None:
        """Make room where a copy was lent: it left the shelf, and still counts at its place."""
        self._standing[place, self._snapshot.titles.cls[title]] -= 1

    def moved(self, title: int, origin: int, destination: int) -> None:
        """Count a copy that something else moved from shelf to shelf (-1: from or to nowhere)."""
        self._count(title, origin, destination)
        cls = self._snapshot.titles.cls[title]
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                self._standing[place, cls] += change

    def _count(self, title: int, origin: int, destination: int) -> None:
        since = self._since.setdefault(title, {})
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                since[place] = since.get(place, 0) + change

    def _without_prices(self, at_place: int, home: int) -> Answer:
        place = home if self._plain == "home" and home >= 0 else at_place
        return Answer(place, 0.0, Reason(Code.NO_PRICES, {}), ())

    def _best(
        self, tables: Tables, prices: Prices, title: int, at: int, home: int, owner: int, came_from: int
    ) -> Answer:
        known = self._of_title(tables, title, home)
        w, cls = tables.world, int(tables.world.cls[title])
        more = np.empty(len(w.weight))
        kernels.marginals(known.rate, known.copies, w.horizon, w.loan, more)
        worth = more * w.weight * w.worth[title] + known.bonus + prices.floor[:, cls] + known.fresh * prices.fresh
        way, room = self._way(at), prices.room[:, cls] + self._crowding(cls)
        lack_it = self._sets_that_lack_it(tables, title, home)
        may = lack_it | (known.bonus > 0) if lack_it.any() else np.ones(len(lack_it), bool)
        net = np.where(self._fits(title, may, at, home, owner, came_from), worth - way - room, UNFIT)
        order = np.argsort(-net, kind="stable")[: ALTERNATIVES + 1]
        best = int(order[0])
        numbers = {
            "value_there": float(worth[best]), "rate_there": float(known.rate[best]), "copies_there": float(known.copies[best]),
            "cost": float(way[best]), "room_price": float(room[best]), "value_here": float(net[at]),
            "value_home": float(net[home]) if home >= 0 else 0.0, "loss_here": float(worth[at]),
        }  # fmt: skip
        code = _code(best, at, home, float(known.bonus[best]), with_its_volumes=bool(lack_it[best]))
        others = tuple(Choice(int(b), float(net[b])) for b in order[1:] if net[b] > UNFIT)
        return Answer(best, float(net[best]), Reason(code, numbers), others)

    def _of_title(self, tables: Tables, title: int, home: int) -> _Title:
        """Return the title's present everywhere, without the copy in hand."""
        w = tables.world
        cells = slice(w.ptr[title], w.ptr[title + 1])
        size, at = len(w.weight), w.place[cells]
        copies, bonus, mult = np.zeros(size, np.int64), np.zeros(size), np.full(size, w.novelty)
        fresh = np.ones(size, bool)
        copies[at], bonus[at], mult[at], fresh[at] = w.copies[cells], w.bonus[cells], w.mult[cells], w.fresh[cells] == 1
        for place, change in self._since.get(title, {}).items():
            copies[place] += change
            if change > 0:
                bonus[place], fresh[place] = 0.0, False
        if home >= 0:
            copies[home] -= 1
        rate = w.factor[title] * w.of_class[w.cls[title]] * mult
        return _Title(np.maximum(copies, 0), np.asarray(rate, np.float64), bonus, fresh & (copies <= 0))

    def _sets_that_lack_it(self, tables: Tables, title: int, home: int) -> NDArray[np.bool_]:
        """Return where most of the other volumes of its work stand without it."""
        others = volumes.volumes_of(self._snapshot, title)
        if len(others) < 2:
            return np.zeros(len(self._snapshot.places), bool)
        counts = [self._of_title(tables, int(t), home if t == title else -1).copies for t in others]
        return volumes.where_lacking(np.array(counts), int(np.searchsorted(others, title)))

    def _way(self, at: int) -> Reals:
        """Return handling and transport from here to every place; staying costs nothing."""
        places, lanes = self._snapshot.places, self._snapshot.lane_cost
        cost = places.out_cost[at] + places.in_cost.astype(np.float64) + (0.0 if lanes is None else lanes[at])
        cost[at] = 0.0
        return np.asarray(cost)

    def _crowding(self, cls: int) -> Reals:
        room = self._snapshot.places.room[:, cls]
        fill = self._standing[:, cls] / np.maximum(room, 1)
        over = np.clip((fill - CROWDED_FROM) / (1 - CROWDED_FROM), 0, 1) * CROWDED_LOANS
        return np.where(room < 0, 0.0, over)

    def _fits(
        self, title: int, may: NDArray[np.bool_], at: int, home: int, owner: int, came_from: int
    ) -> NDArray[np.bool_]:
        """Return where the copy `may` go: room, float group, owner's consent, not back at once; home and here if nowhere else."""
        snapshot, places, cls = self._snapshot, self._snapshot.places, self._snapshot.titles.cls[title]
        total = self._standing.sum(1)
        fits = ((places.room[:, cls] < 0) | (self._standing[:, cls] < places.room[:, cls])) & (
            (places.room_total < 0) | (total < places.room_total)
        )
        if (group := int(snapshot.titles.float_group[title])) >= 0:
            may = may & places.groups[group]
        if snapshot.consent is not None:
            may = may & snapshot.consent[owner][places.owner]
        if 0 <= came_from < len(places) and came_from != at:
            may = may & (np.arange(len(places)) != came_from)
        if (fits & may).any():
            return np.asarray(fits & may)
        last = np.zeros(len(places), bool)
        last[home if home >= 0 else at] = True
        return last


def _code(best: int, at: int, home: int, bonus: float, *, with_its_volumes: bool) -> Code:
    if bonus > 0:
        return Code.READERS_WAIT
    if with_its_volumes:
        return Code.ITS_VOLUMES
    if best == at:
        return Code.STAYS
    return Code.GOES_HOME if best == home else Code.BORROWED_MORE
