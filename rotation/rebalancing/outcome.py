"""The outcome of a night: the moves with their reasons, the prices behind them, and a bound on how far they are from the best."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.demand import Rates
from rotation.rebalancing.snapshot import Floats, Ints


class ReasonCode(StrEnum):
    """The main reason why a copy moves, stays or cannot come. `reasons` states it in both languages."""

    READERS_WAIT = "readers_wait"
    REQUESTED = "requested"
    FLOOR = "floor"
    FRESH_QUOTA = "fresh_quota"
    STALE_HERE = "stale_here"
    BORROWED_MORE = "borrowed_more"
    NEW_STOCK = "new_stock"
    STAYS = "stays"
    GOES_HOME = "goes_home"
    ITS_VOLUMES = "its_volumes"
    NO_PRICES = "no_prices"
    # why not
    NO_COPY_FREE = "no_copy_free"
    NOT_IN_GROUP = "not_in_group"
    NO_CONSENT = "no_consent"
    ALREADY_THERE = "already_there"
    NOT_SERVED = "not_served"
    NO_ROOM = "no_room"
    WORTH_LESS = "worth_less"
    BETTER_ELSEWHERE = "better_elsewhere"
    PLANNED = "planned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """A code and the numbers its sentence is rendered from; each can be recomputed from the snapshot."""

    code: ReasonCode
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Move:
    """One copy from one place to another. Gains are expected loans over the horizon, after every cost but the move price."""

    copy: int
    title: int
    origin: int
    destination: int
    gain: float
    gain_low: float  # 10 % and 90 % of the gain, by the demand's posterior
    gain_high: float
    reason: Reason


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """The worth of one more unit of each scarce thing, in expected loans."""

    move: float  # one more move in the budget
    room: Floats  # P x K: shelf room for one copy of the class
    in_copies: Floats  # P: receiving one more copy today
    out_copies: Floats  # P: sending one more copy today
    fresh: Floats  # P: cost of a fresh copy of the quota in expected loans
    floor: Floats  # P x K: cost of a copy on a special-group shelf
    title: Floats  # T: another copy of the title at its best place; 0 where the plan has none of it
    weight: Floats  # P: the equity weight on gains
    staff_minute: float = 0.0  # one more minute of the staff's budget
    van_hour: float = 0.0  # one more hour of the vans' budget


@dataclass(frozen=True, slots=True)
class Floor:
    """Copies that a place should get or have, how many the plan leaves missing and why, and their price."""

    kind: str  # fresh: the place's quota; shelf: a special group's; set: requested by a date
    place: int
    cls: int  # -1: of any class
    asked: int
    missing: int
    limit: str  # stock, room, in_copies, worth; empty where nothing is missing
    price: float  # loans that the last of its copies would bring elsewhere, or the full worth of a copy where some are missing


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A line of the purchase list (`copy` -1) or of the weeding list."""

    title: int
    copy: int
    place: int
    worth: float


def gap(value: float, bound: float) -> float:
    """Return the share of the bound by which the value may fall short of the best."""
    return max(bound - value, 0.0) / bound if bound > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The night's answer. `value` <= the best possible <= `bound`."""

    moves: tuple[Move, ...]
    prices: Prices
    value: float
    bound: float
    gap: float  # (bound - value) / bound
    floors: tuple[Floor, ...]
    purchases: tuple[Suggestion, ...]
    weeding: tuple[Suggestion, ...]
    unplaced: Ints  # homeless copies that no place can take
    refused: Mapping[str, NDArray[np.int64]]  # rows of the snapshot left out of the plan, by reason
    lost_to_owners: float  # value that the circulation found, but owners or the ping-pong rule forbid
    lost_to_lots: float  # value of moves to and from places whose lots would have been too small
    held_back: tuple[Move, ...]  # moves left undone at random, for comparison with those done
    rates: Rates
    seconds: Mapping[str, float]
    rounds: int

    @property
    def shortfalls(self) -> tuple[Floor, ...]:
        """The floors that are not met."""
        return tuple(floor for floor in self.floors if floor.missing)
