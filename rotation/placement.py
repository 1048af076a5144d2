"""Where a returned copy goes next: it is in someone's hand already, so any place is one trip away.

Value of one more copy there - transport and handling from here - the night's price of shelf room there; staying and going home
are places like any other, and the best one wins. Levels follow the answers given, so that many copies of a title that come
back at once spread as they should.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rotation.demand import Rates
from rotation.rebalancing import kernels, volumes, world
from rotation.rebalancing.outcome import Code, Prices, Reason
from rotation.rebalancing.snapshot import Settings, Snapshot
from rotation.rebalancing.world import Tables

CROWDED_FROM = 0.9  # of a shelf's room: above it each copy makes finding and shelving harder
CROWDED_LOANS = 0.25  # what a copy costs on a shelf that is full to the last place; as in the prototype's city
ALTERNATIVES = 3  # next best places told with an answer
UNFIT = float(kernels.NEVER)  # value of a place where the copy may not go
MORE_ROWS = 1024  # titles for which counting begins at a time: a day touches a few thousand
TOLD = ("value_there", "cost", "room_price", "rate_there", "copies_there")  # what is said of the best place, by offer

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
        self._row = np.full(
            len(snapshot.titles), -1, np.int32
        )  # T: a title's row of `_since`; -1: nothing happened to it
        self._since = np.zeros((0, len(snapshot.places)), np.int32)  # copies at each place, more than the snapshot has
        self._used = 0  # rows of it that belong to a title
        self._standing = world.standing(snapshot, world.STANDING)
        self._lanes = np.zeros((0, 0), np.float32) if snapshot.lane_cost is None else snapshot.lane_cost
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

    def places(
        self, titles: ArrayLike, at_places: ArrayLike, homes: ArrayLike, came_from: ArrayLike
    ) -> NDArray[np.int64]:
        """Return where `place` would send copies one after the other; quick where no owners, groups or volumes bind them."""
        tables, prices, snapshot = self._tables, self._prices, self._snapshot
        t, at, home, came = (np.asarray(column, np.int64) for column in (titles, at_places, homes, came_from))
        bound = len(snapshot.places.groups) or snapshot.consent is not None or (snapshot.titles.volume_of >= 0).any()
        if tables is None or prices is None or bound:
            rows = zip(*(column.tolist() for column in (t, at, home, came)), strict=True)
            return np.array(
                [self.place(t, at, home=home, came_from=came).place for t, at, home, came in rows], np.int64
            )
        answers, row = np.empty(len(t), np.int64), self._rows(t)
        kernels.places(
            tables.world, t, row, at, home, came, self._since, self._standing, snapshot.places.room, snapshot.places.room_total,
            self._lanes, prices.room, prices.floor, prices.fresh, CROWDED_FROM, CROWDED_LOANS, answers,
        )  # fmt: skip
        return answers

    def lent(self, titles: ArrayLike, places: ArrayLike) -> None:
        """Make room where copies were lent: they left the shelf, and still count at their places."""
        shelf = np.asarray(places), self._snapshot.titles.cls[np.asarray(titles)]
        np.subtract.at(self._standing, shelf, 1)

    def moved(self, title: int, origin: int, destination: int) -> None:
        """Count a copy that something else moved from shelf to shelf (-1: from or to nowhere)."""
        self._count(title, origin, destination)
        cls = self._snapshot.titles.cls[title]
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                self._standing[place, cls] += change

    def _count(self, title: int, origin: int, destination: int) -> None:
        [row] = self._rows(np.array([title]))
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                self._since[row, place] += change

    def _rows(self, titles: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the row of `_since` of each title; those to which nothing happened yet get one."""
        new = np.unique(titles[self._row[titles] < 0])
        self._row[new] = np.arange(self._used, self._used + len(new))
        self._used += len(new)
        if self._used > len(self._since):
            more = np.zeros((max(len(new), MORE_ROWS), self._since.shape[1]), np.int32)
            self._since = np.concatenate([self._since, more])
        return self._row[titles]

    def _changes(self, title: int) -> NDArray[np.int32]:
        """Return P: copies of the title that each place has more than in the snapshot; asking keeps no row for it."""
        row = self._row[title]
        return np.asarray(self._since[row]) if row >= 0 else np.zeros(self._since.shape[1], np.int32)

    def _without_prices(self, at_place: int, home: int) -> Answer:
        place = home if self._plain == "home" and home >= 0 else at_place
        return Answer(place, 0.0, Reason(Code.NO_PRICES, {}), ())

    def _best(
        self, tables: Tables, prices: Prices, title: int, at: int, home: int, owner: int, came_from: int
    ) -> Answer:
        offers = self._offers(tables, prices, title, at, home, self._may(title, at, owner, came_from))
        net, lack_it = offers[kernels.NET], self._sets_that_lack_it(tables, title, home)
        if lack_it.any():
            net[~lack_it & (offers[kernels.BONUS] <= 0)] = UNFIT
        order = np.argsort(-net, kind="stable")[: ALTERNATIVES + 1]
        if net[order[0]] <= UNFIT:
            order = np.array([home if home >= 0 else at])  # nowhere is room: it goes home, or stays
        best = int(order[0])
        told: dict[str, float] = dict(zip(TOLD, offers[:, best].tolist(), strict=False))
        numbers = told | {
            "value_here": float(net[at]), "value_home": float(net[home]) if home >= 0 else 0.0,
            "loss_here": float(offers[kernels.WORTH, at]),
        }  # fmt: skip
        code = _code(best, at, home, float(offers[kernels.BONUS, best]), with_its_volumes=bool(lack_it[best]))
        others = tuple(
            Choice(b, value)
            for b, value in zip(order[1:].tolist(), net[order[1:]].tolist(), strict=True)
            if value > UNFIT
        )
        return Answer(best, told["value_there"] - told["cost"] - told["room_price"], Reason(code, numbers), others)

    def _offers(self, tables: Tables, prices: Prices, title: int, at: int, home: int, may: Flags) -> Reals:
        """Return what every place offers for the copy, a row each as in `kernels.offers`."""
        places = self._snapshot.places
        changes = self._changes(title)
        changed = np.flatnonzero(changes)
        more = np.stack([changed, changes[changed]], axis=1).astype(np.int64)
        offers = np.empty((kernels.OFFERS, len(places)))
        kernels.offers(
            tables.world, title, at, home, more, self._standing, places.room, places.room_total, may, self._lanes,
            prices.room, prices.floor, prices.fresh, CROWDED_FROM, CROWDED_LOANS, offers,
        )  # fmt: skip
        return offers

    def _sets_that_lack_it(self, tables: Tables, title: int, home: int) -> Flags:
        """Return where most of the other volumes of its work stand without it."""
        others = volumes.volumes_of(self._snapshot, title)
        if len(others) < 2:
            return np.zeros(len(self._snapshot.places), bool)
        counts = [self._copies(tables, int(t), home if t == title else -1) for t in others]
        return volumes.where_lacking(np.array(counts), int(np.searchsorted(others, title)))

    def _copies(self, tables: Tables, title: int, home: int) -> NDArray[np.int64]:
        """Return how many copies of a title each place has now, without one in hand that counts at `home`."""
        w = tables.world
        cells = slice(w.ptr[title], w.ptr[title + 1])
        copies = np.zeros(len(w.weight), np.int64)
        copies[w.place[cells]] = w.copies[cells]
        copies += self._changes(title)
        if home >= 0:
            copies[home] -= 1
        return np.maximum(copies, 0)

    def _may(self, title: int, at: int, owner: int, came_from: int) -> Flags:
        """Return where the copy may go, whatever room there is: float group, owner's consent, not back at once."""
        snapshot, places = self._snapshot, self._snapshot.places
        may = np.ones(len(places), bool)
        if (group := int(snapshot.titles.float_group[title])) >= 0:
            may &= places.groups[group]
        if snapshot.consent is not None:
            may &= snapshot.consent[owner][places.owner]
        if 0 <= came_from < len(places) and came_from != at:
            may[came_from] = False
        return may


def _code(best: int, at: int, home: int, bonus: float, *, with_its_volumes: bool) -> Code:
    if bonus > 0:
        return Code.READERS_WAIT
    if with_its_volumes:
        return Code.ITS_VOLUMES
    if best == at:
        return Code.STAYS
    return Code.GOES_HOME if best == home else Code.BORROWED_MORE
