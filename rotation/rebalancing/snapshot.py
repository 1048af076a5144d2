"""The complete input of a night's decision, as arrays: titles, places, copies, evidence, holds, and the settings.

Nothing here has a name: titles, places and classes are row numbers, and the caller keeps the names. All costs, prices and gains
have the same unit, the expected loan over the horizon. `-1` means "none" or "no limit".
"""

from dataclasses import dataclass, field, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

# "Long ago or never" in every column of weeks.
NEVER_WEEKS = 9999.0


class StockState(IntEnum):
    """A copy's state as far as the plan needs it; every state in `rotation.facts.movements` maps to one of these."""

    ON_SHELF = 0
    ON_LOAN = 1
    IN_TRANSIT = 2
    RESERVED = 3  # on the hold shelf, or picked: it stands at its place and must not be moved
    ABSENT = 4  # missing, damaged, withdrawn: it counts nowhere
    HOMELESS = 5  # new, or back without a home: stands at `place` (a desk, the processing room), belongs nowhere


def column(size: int, value: object, kind: type) -> NDArray[np.generic]:
    """Return `value` as an array of `size` and `kind`: one number is repeated, an array is checked and converted.

    Raises
    ------
    ValueError
        When an array has another length.
    """
    array: NDArray[np.generic] = np.asarray(value, dtype=kind)
    if array.ndim == 0:
        return np.full(size, array)
    if len(array) != size:
        raise ValueError(f"a column has {len(array)} rows where {size} were expected")
    return np.ascontiguousarray(array)


@dataclass(frozen=True, slots=True, eq=False)
class Titles:
    """One row a title."""

    cls: Ints  # class of the title, 0..K-1
    float_group: Ints  # row of Places.groups the title may move within; -1: everywhere
    worth: Floats  # weight of a loan of it; 1 unless a city sets it
    volume_of: Ints  # its work of several volumes; -1: it stands alone

    @classmethod
    def of(cls, classes: object, float_group: object = -1, worth: object = 1.0, volume_of: object = -1) -> "Titles":
        """Make columns from lists, arrays or single numbers."""
        c = np.ascontiguousarray(classes, dtype=np.int32)
        return cls(c, _ints(len(c), float_group), _floats(len(c), worth), _ints(len(c), volume_of))

    def __len__(self) -> int:
        return len(self.cls)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """One row for each copy. `place` is the shelf it counts on: in transit its destination, on loan where it is expected back."""

    title: Ints  # -1 or beyond the titles: an unlisted copy, shown but left out of the plan
    place: Ints  # -1: nowhere known
    state: NDArray[np.int8]
    owner: Ints  # 0 where there is one owner
    fixed: Flags  # reference, fixed home, display, trapped: may not be moved
    moved_weeks: Floats  # weeks since rotation last moved it
    came_from: Ints  # place that move took it from; -1: none
    arrived_weeks: Floats  # weeks since its title came to this place; NEVER_WEEKS: before the records
    idle_weeks: Floats  # weeks on the shelf since its last loan, or since it came

    @classmethod
    def of(
        cls,
        title: object,
        place: object,
        state: object = StockState.ON_SHELF,
        *,
        owner: object = 0,
        fixed: object = False,
        moved_weeks: object = NEVER_WEEKS,
        came_from: object = -1,
        arrived_weeks: object = NEVER_WEEKS,
        idle_weeks: object = 0.0,
    ) -> "Copies":
        """Make columns from lists, arrays or single numbers."""
        t = np.ascontiguousarray(title, dtype=np.int32)
        n = len(t)
        return cls(
            t,
            _ints(n, place),
            column(n, state, np.int8),  # type: ignore[arg-type]
            _ints(n, owner),
            column(n, fixed, np.bool_),  # type: ignore[arg-type]
            _floats(n, moved_weeks),
            _ints(n, came_from),
            _floats(n, arrived_weeks),
            _floats(n, idle_weeks),
        )

    def __len__(self) -> int:
        return len(self.title)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """One row for each place; `room` and `class_floor` have a column for each class (P x K)."""

    tier: Ints  # 0 central, 1 district, 2 subdistrict, 3 room
    population: NDArray[np.float64]  # residents counted at it; 0: no weight is computed, it stays 1
    room: Ints  # P x K: most copies that stand there, by class; -1: no limit
    room_total: Ints  # most copies in all; -1: no limit
    in_copies: Ints  # copies it can receive today beside the library system's own shipments; 0: not served today
    out_copies: Ints  # copies it can send today, likewise
    in_cost: Floats  # handling and transport of a copy that comes, in loans
    out_cost: Floats  # handling and transport of a copy that leaves, in loans; raised where picks are often not found
    owner: Ints  # who owns the place; consent is asked between a copy's owner and this
    groups: Flags  # G x P: which places belong to a float group
    fresh_quota: Ints  # fresh copies it should get today (a floor)
    class_floor: Ints  # P x K copies of a class that should stand there (special-group shelves)
    least_lot: Ints  # least copies handled on a visit, unless none are (rooms that a keeper opens for it)
    visit_price: (
        Floats  # price of a visit in loans: its moves are worth that much beyond the waiting copies, or there are none
    )
    out_minutes: Floats  # of staff, to pick and send a copy
    in_minutes: Floats  # of staff, to receive and shelve a copy
    van_minutes: Floats  # a copy's share of a van's time between here and the hub

    @classmethod
    def of(
        cls,
        tier: object,
        population: object,
        *,
        classes: int,
        room: object = -1,
        room_total: object = -1,
        in_copies: object = 10**6,
        out_copies: object = 10**6,
        in_cost: object = 0.09,
        out_cost: object = 0.11,
        owner: object = 0,
        groups: object = None,
        fresh_quota: object = 0,
        class_floor: object = 0,
        least_lot: object = 0,
        visit_price: object = 0.0,
        out_minutes: object = 2.5,
        in_minutes: object = 0.5,
        van_minutes: object = 0.3,
    ) -> "Places":
        """Make columns from lists, arrays or single numbers; costs default to the prototype's mean of handling and transport.

        Minutes default to the twin city's, and to an hour's round of a van that carries 20 crates of 10 copies.
        """
        t = np.ascontiguousarray(tier, dtype=np.int32)
        n = len(t)
        return cls(
            t,
            np.asarray(column(n, population, np.float64), dtype=np.float64),
            _grid(n, classes, room),
            _ints(n, room_total),
            _ints(n, in_copies),
            _ints(n, out_copies),
            _floats(n, in_cost),
            _floats(n, out_cost),
            _ints(n, owner),
            np.zeros((0, n), np.bool_) if groups is None else np.ascontiguousarray(groups, dtype=np.bool_),
            _ints(n, fresh_quota),
            _grid(n, classes, class_floor),
            _ints(n, least_lot),
            _floats(n, visit_price),
            _floats(n, out_minutes),
            _floats(n, in_minutes),
            _floats(n, van_minutes),
        )

    def __len__(self) -> int:
        return len(self.tier)


# Ends of the bands of age, in weeks since a title came to a place. In the first it is new to the readers; the planner's horizon
# is as long. After a year it is old, as is stock that stood there before the records begin.
AGE_BANDS_WEEKS = (8.0, 16.0, 26.0, 52.0)
OLD = len(AGE_BANDS_WEEKS)
# A title that was away for so long is new again at a place: readers have changed, or have forgotten it.
FORGOTTEN_WEEKS = 26.0


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """Observed loans, and weeks with at least one copy on the shelf: rows of title, place and band of age.

    All are discounted by age alike (`demand.observed` makes them from spells); several rows of a pair and band add up.
    """

    title: Ints
    place: Ints
    loans: Floats  # from the shelf
    shelf_weeks: Floats
    band: Ints  # of AGE_BANDS_WEEKS; OLD: older, or since before the records
    holds: Floats  # loans to readers there who reserved the title; their exposure is `Snapshot.reservable`

    @classmethod
    def of(
        cls,
        title: object,
        place: object,
        loans: object,
        shelf_weeks: object,
        *,
        band: object = OLD,
        holds: object = 0.0,
    ) -> "Exposure":
        """Make columns from lists, arrays or single numbers."""
        t = np.ascontiguousarray(title, dtype=np.int32)
        n = len(t)
        return cls(t, _ints(n, place), _floats(n, loans), _floats(n, shelf_weeks), _ints(n, band), _floats(n, holds))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Numbers for a title at a place: readers waiting, weeks since the title left, copies requested."""

    title: Ints
    place: Ints
    number: Floats

    @classmethod
    def of(cls, title: object = (), place: object = (), number: object = 1.0) -> "Pairs":
        """Make columns from lists, arrays or single numbers."""
        t = np.ascontiguousarray(title, dtype=np.int32)
        return cls(t, _ints(len(t), place), _floats(len(t), number))


# Up to here sums and products of loans stay exact in single precision; no city's figure comes near it.
LARGEST = 1e6
# From 0 to 1.
SHARES = ("equity_least", "desk_chance", "held_back_share", "gap")
# Divisors and counts: more than 0.
POSITIVE = (
    "horizon_weeks",
    "loan_weeks",
    "equity_most",
    "rounds",
    "threads",
)


@dataclass(frozen=True, slots=True)
class PlanningSettings:
    """A city's settings of the planner, each with its default and the reason for it.

    Raises
    ------
    ValueError
        When a setting is out of its range: SHARES lie from 0 to 1, POSITIVE are above 0, all others are 0 or more, none is
        above LARGEST; `equity_least` is at most `equity_most`.
    """

    horizon_weeks: float = 8.0  # a moved copy is judged on two loan periods and a little more; gain is loans over it
    loan_weeks: float = 3.0  # how long a loan keeps a copy away: the usual period of four weeks, returns before its end
    budget_moves: int | None = None  # picks a day that staff and vans can do, met by the price; None: no limit
    budget_staff_minutes: float | None = None  # of all places' staff for picks, met by a price of the minute
    budget_van_hours: float | None = None  # for picks alone, met by a price of the hour
    move_price: float = 0.7  # loans a move must bring beyond its costs at least; best in the prototype's city
    fresh_bonus: float = 0.3  # loans that one missing fresh copy of a place's quota is worth, soft as all floors
    floor_bonus: float = 1.0  # loans that one missing copy of a special-group shelf is worth
    hold_worth: float = 3.0  # a waiting reader is a certain loan, and waiting is worse than browsing in vain
    request_worth: float = 2.0  # a copy requested by a set (exhibition, school) comes before ordinary gains
    equity: float = 0.5  # alpha of alpha-fair weights over access per head; 0: none, 1: proportional fairness
    equity_least: float = 0.7  # bounds on the weights, so that fairness never costs more than these factors
    equity_most: float = 1.6
    cool_down_weeks: float = 12.0  # a moved copy stays for a loan cycle or three before it may be moved again
    ping_pong_weeks: float = 8.0  # not back within these weeks to the place it was moved from
    fresh_after_weeks: float = 104.0  # a title not held for 24 months is fresh at a place
    stale_after_weeks: float = 26.0  # on the shelf without a loan: the reason of a move then says so
    shrink_loans: float = (
        3.0  # loans of a class at a place that weigh as much as the rate of its tier and the place's bustle
    )
    title_loans: float = 2.0  # loans of a title that weigh as much as its class
    season: float = 1.0  # the coming weeks as a factor on the mean week (`demand.season_of_week`)
    desk_chance: float = 1.0  # copies likelier than this to come to a desk within the horizon are left to it; 1: none
    held_back_share: float = 0.0  # share of proposed moves left undone at random, to measure what moves bring
    purchase_list: int = 200  # titles on the purchase and copies on the weeding list
    weed_idle_weeks: float = 104.0  # no loan in two years on the shelf and worth nothing anywhere: weeded
    gap: float = 0.0004  # the certified gap at which the search for columns ends
    rounds: int = 8  # rounds of column generation at most
    threads: int = 1  # of the questions to titles; the answer is the same for any number

    def __post_init__(self) -> None:
        """Reject the first setting that is out of its range, by name."""
        for name in field_names(self):
            value = getattr(self, name)
            if value is not None and not _in_range(name, value):
                raise ValueError(f"planning setting '{name}' is {value}; expected {_range(name)}")
        if self.equity_least > self.equity_most:
            raise ValueError(
                f"planning setting 'equity_least' is {self.equity_least}; expected at most equity_most, {self.equity_most}"
            )


def _in_range(name: str, value: float) -> bool:
    most = 1 if name in SHARES else LARGEST
    return 0 <= value <= most and (value > 0 or name not in POSITIVE)  # NaN is in no range


def _range(name: str) -> str:
    if name in SHARES:
        return "a share from 0 to 1"
    return f"more than 0, at most {LARGEST:,.0f}" if name in POSITIVE else f"0 to {LARGEST:,.0f}"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The input of one night."""

    titles: Titles
    places: Places
    copies: Copies
    exposure: Exposure
    holds: Pairs = field(default_factory=Pairs.of)  # readers waiting for the title at the place
    local: Pairs = field(default_factory=Pairs.of)  # of them, readers to be served only from their own district so far
    left: Pairs = field(default_factory=Pairs.of)  # weeks since the title's last copy left the place
    requests: Pairs = field(default_factory=Pairs.of)  # copies of the title requested by a set at the place
    reservable: Floats | None = None  # T: weeks in which readers could reserve it, discounted as loans; None: unknown
    guard: Floats | None = None  # P: weight of a loan there, beside equity's (`night.loans_guard`); None: 1 everywhere
    asked: Ints | None = None  # P x K: copies of a class requested by sets, of titles fresh at the place
    consent: Flags | None = None  # copy owner x place owner: may stand there without asking; None: everything may
    lane_cost: Floats | None = None  # P x P: transport of a copy in loans; None: out_cost + in_cost is all
    goes_with: Ints | None = None  # C: the copy of its set that a copy follows; -1: none (made by `volumes.together`)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.places.room.shape[1])


def _ints(size: int, value: object) -> Ints:
    return np.asarray(column(size, value, np.int32), dtype=np.int32)


def _floats(size: int, value: object) -> Floats:
    return np.asarray(column(size, value, np.float32), dtype=np.float32)


def _grid(places: int, classes: int, value: object) -> Ints:
    grid = np.asarray(value, dtype=np.int32)
    if grid.ndim == 2 and grid.shape != (places, classes):
        raise ValueError(f"expected {places} places x {classes} classes, got {grid.shape[0]} x {grid.shape[1]}")
    return np.ascontiguousarray(np.broadcast_to(grid.reshape(-1, 1) if grid.ndim == 1 else grid, (places, classes)))


def field_names(table: object) -> list[str]:
    """Return the names of a table's columns."""
    return [f.name for f in fields(table)]  # type: ignore[arg-type]
