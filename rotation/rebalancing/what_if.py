"""A what-if: the night as it is beside the same night under another budget, price, weight, floor or capacity.

A change touches only settings and the places' limits. So both plans see the same copies and the same rates, and every difference
between them is due to the change. Loans are counted without equity weights, as the change may concern the weights.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import kernels
from rotation.rebalancing.outcome import Move, Plan, ReasonCode
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Places, PlanningSettings, Snapshot

Lanes = Mapping[tuple[int, int], int]
# The places whose arrivals change most.
SHOWN_PLACES = 5

TEMPLATES = (
    "调运{moves:+d}册（共{total:d}册），{weeks:.0f}周内预计借阅{loans:+.1f}次，在等的读者多得到{waiting:+d}册，"
    "定额欠缺{missing:+d}册，处理和运送折合{cost:+.1f}次借阅；每册须在成本之外至少带来{price:.2f}次。",
    "{moves:+d} moves ({total:d} in all), {loans:+.1f} expected loans over {weeks:.0f} weeks, {waiting:+d} copies for readers "
    "who wait, {missing:+d} copies missing to floors, {cost:+.1f} loans' worth of handling and transport; "
    "each move must bring {price:.2f} loans beyond its costs.",
)  # Chinese, English


@dataclass(frozen=True, slots=True)
class Change:
    """The changes; None and empty leave things as they are. Places are row numbers."""

    budget_moves: int | None = None
    move_price: float | None = None
    equity: float | None = None
    fresh_bonus: float | None = None
    floor_bonus: float | None = None
    capacity: Mapping[int, float] = field(default_factory=dict)  # factor on the copies a place can receive and send
    closed: Collection[int] = ()  # places without any arrivals or departures


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two plans in a few numbers."""

    moves: int
    loans: float  # expected over the horizon beyond those without any move, unweighted
    waiting: int  # moves to readers who wait
    missing: int  # copies missing to floors and quotas
    cost: float  # of handling and transport, in loans
    move_price: float  # the least that each move brings beyond its costs, floors and waiting readers counted in loans
    gap: float


@dataclass(frozen=True, slots=True)
class NightComparison:
    """The night as it is and as it would be."""

    as_is: Side
    changed: Side
    arrivals: Mapping[int, int]  # copies more (or fewer) a day, for the places where that differs most
    horizon_weeks: float
    lanes: tuple[Lanes, Lanes]  # copies by origin and destination, in the rows of each night


def compare(
    snapshot: Snapshot,
    change: Change,
    settings: PlanningSettings | None = None,
    seed: int = 0,
    *,
    other: Snapshot | None = None,
    rows: Sequence[int] | None = None,
) -> NightComparison:
    """Plan the night as it is and with `change`.

    With `other`, the changed night has other places: `rows` gives for each place of `snapshot` its row there,
    and the change names those rows.

    Raises
    ------
    ValueError
        When a change names an unknown place, or a number below 0.
    """
    chosen, would_be = settings or PlanningSettings(), other or snapshot
    size = len(would_be.places)
    _check(change, size)
    there = replace(would_be, places=_places(would_be.places, change))
    before, after = plan(snapshot, chosen, seed), plan(there, _settings(chosen, change), seed)
    return NightComparison(
        _side(before, chosen),
        _side(after, chosen),
        _arrivals(before, after, np.arange(size) if rows is None else np.asarray(rows), size),
        chosen.horizon_weeks,
        (_lanes(before), _lanes(after)),
    )


def sentences(comparison: NightComparison) -> tuple[str, str]:
    """State the effect of the change, in Chinese and English."""
    before, after = comparison.as_is, comparison.changed
    names = ("moves", "loans", "waiting", "missing", "cost")
    differences = {name: getattr(after, name) - getattr(before, name) for name in names}
    numbers = differences | {"total": after.moves, "weeks": comparison.horizon_weeks, "price": after.move_price}
    chinese, english = (template.format_map(numbers) for template in TEMPLATES)
    return chinese, english


def _check(change: Change, places: int) -> None:
    for b in (*change.capacity, *change.closed):
        if not 0 <= b < places:
            raise ValueError(f"place {b} is not one of the {places} places of the night")
    for name, value in _of_settings(change).items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}; it must not be negative")
    for b, times in change.capacity.items():
        if not 0 <= times < np.inf:
            raise ValueError(f"the capacity of place {b} times {times}: expected a number from 0 up")


def _settings(settings: PlanningSettings, change: Change) -> PlanningSettings:
    changes: dict[str, Any] = _of_settings(change)
    return replace(settings, **changes)


def _of_settings(change: Change) -> dict[str, float]:
    """Return the changed settings."""
    names = ("budget_moves", "move_price", "equity", "fresh_bonus", "floor_bonus")
    return {name: value for name in names if (value := getattr(change, name)) is not None}


def _places(places: Places, change: Change) -> Places:
    times = np.ones(len(places))
    for b, factor in change.capacity.items():
        times[b] = factor
    times[list(change.closed)] = 0
    into, out = (np.floor(copies * times).astype(np.int32) for copies in (places.in_copies, places.out_copies))
    return replace(places, in_copies=into, out_copies=out)


def _side(decided: Plan, settings: PlanningSettings) -> Side:
    moves = decided.moves
    return Side(
        moves=len(moves),
        loans=_loans(moves, settings),
        waiting=sum(move.reason.code is ReasonCode.READERS_WAIT for move in moves),
        missing=sum(shortfall.missing for shortfall in decided.shortfalls),
        cost=sum(move.reason.numbers["cost"] for move in moves),
        move_price=decided.prices.move,
        gap=decided.gap,
    )


def _loans(moves: Collection[Move], settings: PlanningSettings) -> float:
    """Return the moves' effect on expected loans: each copy's last loans at its destination, less those lost at its origin."""

    def last(rate: str, copies: str, beside: int) -> float:
        rates = np.array([move.reason.numbers[rate] for move in moves], np.float64)
        others = np.array([move.reason.numbers[copies] for move in moves], np.int64) - beside
        more = np.zeros(len(rates))
        kernels.marginals(rates, np.maximum(others, 0), settings.horizon_weeks, settings.loan_weeks, more)
        return float(more.sum())

    return last("rate_there", "copies_there", 0) - last("rate_here", "copies_here", 1)


def _lanes(decided: Plan) -> Lanes:
    return Counter((move.origin, move.destination) for move in decided.moves)


def _arrivals(before: Plan, after: Plan, rows: NDArray[np.integer[Any]], places: int) -> dict[int, int]:
    came, will_come = ([move.destination for move in decided.moves] for decided in (before, after))
    more = np.bincount(will_come, minlength=places) - np.bincount(rows[np.array(came, np.int64)], minlength=places)
    most = np.argsort(-np.abs(more), kind="stable")[:SHOWN_PLACES]
    return {int(b): int(more[b]) for b in most if more[b]}
