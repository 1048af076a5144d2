"""Where a returned copy goes next. It is already in someone's hand, so any place is one trip away.

The net worth of a place: value of one more copy there - transport and handling from here - the night's price of shelf room there.
Staying and going home are places like any other, and the best place wins. Levels follow the answers already given, so that many
copies of a title that come back together spread out.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rotation.rebalancing import kernels, volumes, world
from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Prices, Reason, ReasonCode
from rotation.rebalancing.snapshot import PlanningSettings, Snapshot
from rotation.rebalancing.world import Tables

# Share of a shelf's room: beyond it each copy makes finding and shelving harder.
CROWDED_FROM = 0.9
# Cost of a copy on a full shelf, in loans; as in the prototype's city.
CROWDED_LOANS = 0.25
# Next best places returned with an answer.
ALTERNATIVES = 3
UNFIT = float(kernels.NEVER)  # value of a forbidden place
# Titles for which counting starts at a time: a day touches a few thousand.
MORE_ROWS = 1024
# Numbers stated about the best place, in the order of the rows of `kernels.offers`.
STATED = ("value_there", "cost", "room_price", "rate_there", "copies_there")

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Choice:
    """A considered place and its net worth in expected loans over the horizon."""

    place: int
    value: float


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the copy goes, why, and the next best places."""

    place: int
    value: float
    reason: Reason
    alternatives: tuple[Choice, ...]


class Placer:
    """Answers for one day; build a new one for a new night's plan."""

    def __init__(
        self,
        snapshot: Snapshot,
        rates: Rates | None,
        prices: Prices | None,
        settings: PlanningSettings | None = None,
        *,
        plain: Literal["home", "stay"] = "home",
    ) -> None:
        """Take the night's world; without rates or prices every copy goes by `plain`: "home" or "stay".

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
        self._since = np.zeros((0, len(snapshot.places)), np.int32)  # copies at each place beyond the snapshot's
        self._used = 0  # rows of it that belong to a title
        self._standing = world.standing(snapshot, world.STANDING)
        self._lacking = snapshot.places.class_floor.astype(np.int64) - world.standing(snapshot, world.COUNTED)
        self._intake = snapshot.places.in_copies.astype(np.int64)  # P: copies that may still be brought today
        self._lanes = np.zeros((0, 0), np.float32) if snapshot.lane_cost is None else snapshot.lane_cost
        if rates is not None and prices is not None:
            self._tables = world.tables(snapshot, rates, settings or PlanningSettings())

    def place(self, title: int, at_place: int, *, home: int = -1, owner: int = 0, came_from: int = -1) -> Placement:
        """Answer for a copy of `title` returned at `at_place` and count it there. `home`: the shelf it counted on until now.

        Raises
        ------
        ValueError
            When `at_place` is not in the snapshot.
        """
        if not 0 <= at_place < len(self._snapshot.places):
            raise ValueError(f"place {at_place} is not one of the {len(self._snapshot.places)} places of the night")
        home = home if 0 <= home < len(self._snapshot.places) else -1
        if self._tables is None or self._prices is None or not 0 <= title < len(self._snapshot.titles):
            answer = self._without_prices(at_place, home)
        else:
            answer = self._best(self._tables, self._prices, title, at_place, home, owner, came_from)
        self._intake[answer.place] -= answer.place != at_place
        if 0 <= title < len(self._snapshot.titles):
            self._count(title, home, answer.place)
            self._standing[answer.place, self._snapshot.titles.cls[title]] += 1
            self._belongs(title, home, answer.place)
        return answer

    def places(
        self, titles: ArrayLike, at_places: ArrayLike, homes: ArrayLike, came_from: ArrayLike
    ) -> NDArray[np.int64]:
        """Return where `place` would send copies in turn; fast where no owners, groups or volumes constrain them."""
        tables, prices, snapshot = self._tables, self._prices, self._snapshot
        t, at, home, came = (np.asarray(column, np.int64) for column in (titles, at_places, homes, came_from))
        bound = len(snapshot.places.groups) or snapshot.consent is not None or (snapshot.titles.volume_of >= 0).any()
        if tables is None or prices is None or bound:
            rows = zip(*(column.tolist() for column in (t, at, home, came)), strict=True)
            return np.array(
                [self.place(t, at, home=home, came_from=came).place for t, at, home, came in rows], np.int64
            )
        answers, row = np.empty(len(t), np.int64), self._rows(t)
        kernels.places(tables.world, kernels.Queue(t, row, at, home, came), self._since, self._shelves(prices), answers)
        return answers

    def _shelves(self, prices: Prices) -> kernels.Shelves:
        places = self._snapshot.places
        return kernels.Shelves(
            self._standing,
            places.room,
            places.room_total,
            self._intake,
            self._lanes,
            prices.room,
            prices.floor,
            self._lacking,
            prices.fresh,
            CROWDED_FROM,
            CROWDED_LOANS,
        )

    def lent(self, titles: ArrayLike, places: ArrayLike) -> None:
        """Free shelf room where copies were lent: they left the shelf, but still count at their places."""
        shelf = np.asarray(places), self._snapshot.titles.cls[np.asarray(titles)]
        np.subtract.at(self._standing, shelf, 1)

    def moved(self, title: int, origin: int, destination: int) -> None:
        """Count a copy that another process moved from shelf to shelf (-1: from or to nowhere)."""
        self._count(title, origin, destination)
        self._belongs(title, origin, destination)
        cls = self._snapshot.titles.cls[title]
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                self._standing[place, cls] += change
        if destination >= 0:
            self._intake[destination] -= 1

    def _belongs(self, title: int, origin: int, destination: int) -> None:
        """Count a copy towards its new place's floor, and no longer towards the old one's."""
        cls = self._snapshot.titles.cls[title]
        for place, change in ((origin, 1), (destination, -1)):
            if place >= 0:
                self._lacking[place, cls] += change

    def _count(self, title: int, origin: int, destination: int) -> None:
        [row] = self._rows(np.array([title]))
        for place, change in ((origin, -1), (destination, 1)):
            if place >= 0:
                self._since[row, place] += change

    def _rows(self, titles: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the row of `_since` of each title, adding rows for titles without one."""
        new = np.unique(titles[self._row[titles] < 0])
        self._row[new] = np.arange(self._used, self._used + len(new))
        self._used += len(new)
        if self._used > len(self._since):
            more = np.zeros((max(len(new), MORE_ROWS), self._since.shape[1]), np.int32)
            self._since = np.concatenate([self._since, more])
        return self._row[titles]

    def _changes(self, title: int) -> NDArray[np.int32]:
        """Return P: how many copies of the title each place gained since the snapshot; this adds no row."""
        row = self._row[title]
        return np.asarray(self._since[row]) if row >= 0 else np.zeros(self._since.shape[1], np.int32)

    def _without_prices(self, at_place: int, home: int) -> Placement:
        place = home if self._plain == "home" and home >= 0 else at_place
        return Placement(place, 0.0, Reason(ReasonCode.NO_PRICES, {}), ())

    def _best(
        self, tables: Tables, prices: Prices, title: int, at: int, home: int, owner: int, came_from: int
    ) -> Placement:
        offers = self._offers(tables, prices, title, at, home, self._may(title, at, owner, came_from))
        net, lack_it = offers[kernels.NET], self._sets_that_lack_it(tables, title, home)
        if lack_it.any():
            net[~lack_it & (offers[kernels.BONUS] <= 0)] = UNFIT
        order = np.argsort(-net, kind="stable")[: ALTERNATIVES + 1]
        if net[order[0]] <= UNFIT:
            order = np.array([home if home >= 0 else at])  # no place has room: it goes home, or stays
        best = int(order[0])
        stated: dict[str, float] = dict(zip(STATED, offers[:, best].tolist(), strict=False))
        numbers = stated | {
            "value_here": float(net[at]),
            "value_home": float(net[home]) if home >= 0 else 0.0,
            "loss_here": float(offers[kernels.WORTH, at]),
        }
        if offers[kernels.AWAITED, best] > 0:
            holds = self._snapshot.holds
            waiting = holds.number[(holds.title == title) & (holds.place == best)].sum()
            numbers |= {"waiting": float(waiting), "copies_here": float(offers[kernels.COPIES, at]) + 1}
        code = _code(best, at, home, offers[:, best], with_its_volumes=bool(lack_it[best]))
        others = tuple(
            Choice(b, value)
            for b, value in zip(order[1:].tolist(), net[order[1:]].tolist(), strict=True)
            if value > UNFIT
        )
        return Placement(
            best, stated["value_there"] - stated["cost"] - stated["room_price"], Reason(code, numbers), others
        )

    def _offers(self, tables: Tables, prices: Prices, title: int, at: int, home: int, may: Flags) -> Reals:
        """Return every place's offer for the copy, in rows as in `kernels.offers`."""
        places = self._snapshot.places
        changes = self._changes(title)
        changed = np.flatnonzero(changes)
        more = np.stack([changed, changes[changed]], axis=1).astype(np.int64)
        offers = np.empty((kernels.OFFERS, len(places)))
        kernels.offers(tables.world, title, at, home, more, self._shelves(prices), may, offers)
        return offers

    def _sets_that_lack_it(self, tables: Tables, title: int, home: int) -> Flags:
        """Return where most of the other volumes of its work stand without it."""
        others = volumes.volumes_of(self._snapshot, title)
        if len(others) < 2:
            return np.zeros(len(self._snapshot.places), bool)
        counts = [self._copies(tables, int(t), home if t == title else -1) for t in others]
        return volumes.where_lacking(np.array(counts), int(np.searchsorted(others, title)))

    def _copies(self, tables: Tables, title: int, home: int) -> NDArray[np.int64]:
        """Return how many copies of a title each place has now, without a copy in hand that counts at `home`."""
        w = tables.world
        cells = slice(w.ptr[title], w.ptr[title + 1])
        copies = np.zeros(len(w.weight), np.int64)
        copies[w.place[cells]] = w.copies[cells]
        copies += self._changes(title)
        if home >= 0:
            copies[home] -= 1
        return np.maximum(copies, 0)

    def _may(self, title: int, at: int, owner: int, came_from: int) -> Flags:
        """Return where the copy may go, regardless of room: float group, owner's consent, not straight back."""
        snapshot, places = self._snapshot, self._snapshot.places
        may = np.ones(len(places), bool)
        if (group := int(snapshot.titles.float_group[title])) >= 0:
            may &= places.groups[group]
        if snapshot.consent is not None:
            may &= snapshot.consent[owner][places.owner]
        if 0 <= came_from < len(places) and came_from != at:
            may[came_from] = False
        return may


def _code(best: int, at: int, home: int, offer: Reals, *, with_its_volumes: bool) -> ReasonCode:
    if offer[kernels.AWAITED] > 0:
        return ReasonCode.READERS_WAIT
    if offer[kernels.BONUS] > 0:
        return ReasonCode.REQUESTED
    if with_its_volumes:
        return ReasonCode.ITS_VOLUMES
    if best == at:
        return ReasonCode.STAYS
    return ReasonCode.GOES_HOME if best == home else ReasonCode.BORROWED_MORE
