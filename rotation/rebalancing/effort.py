"""Budgets of staff-minutes and van-hours: each becomes a price, chosen so that the night's moves just stay within the budget.

A minute or an hour is charged at both ends of a move like handling, so the night itself needs no knowledge of budgets. The bound
it certifies at any prices, plus the budgets at those prices, holds for every plan within the budgets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rotation.rebalancing.outcome import Move, Plan, gap
from rotation.rebalancing.snapshot import Flags, Floats, PlanningSettings, Snapshot, StockState

# Loans a minute of staff: 35 minutes of work are worth a move's smallest gain.
FIRST_PRICE = 0.02
# Nights planned at most while the price of one budget is searched.
STEPS = 12
# Share of a budget that counts as fully used.
CLOSE = 0.98
# Each budget's price is searched again after the other's.
SWEEPS = 2

Decide = Callable[[Snapshot], Plan]
PerUnit = Mapping[str, float]  # loans, by budget


@dataclass(frozen=True, slots=True)
class Budget:
    """A total amount of a resource, and how much a copy takes of it where it leaves and where it arrives (P each)."""

    name: str
    most: float
    out: Floats
    into: Floats
    homeless: Flags  # C: already in someone's hand, so it takes nothing where it leaves

    def used(self, moves: tuple[Move, ...]) -> float:
        """Return the amount that the moves take."""
        return float(sum(self.of(move) for move in moves))

    def of(self, move: Move) -> float:
        """Return the amount that one move takes."""
        leaving = 0.0 if self.homeless[move.copy] else float(self.out[move.origin])
        return leaving + float(self.into[move.destination])


def budgets(snapshot: Snapshot, settings: PlanningSettings) -> tuple[Budget, ...]:
    """Return the budgets that are set."""
    places, homeless = snapshot.places, np.asarray(snapshot.copies.state == StockState.HOMELESS)
    van = places.van_minutes / np.float32(60)
    rows = (
        ("staff_minute", settings.budget_staff_minutes, places.out_minutes, places.in_minutes),
        ("van_hour", settings.budget_van_hours, van, van),
    )
    return tuple(Budget(name, most, out, into, homeless) for name, most, out, into in rows if most is not None)


def within(snapshot: Snapshot, settings: PlanningSettings, decide: Decide) -> Plan:
    """Return the best night found within the budgets, stated in the real costs of its moves."""
    limits = budgets(snapshot, settings)
    nights = _Nights(snapshot, limits, decide)
    prices: PerUnit = {budget.name: 0.0 for budget in limits}
    night = nights.at(prices)
    for _ in range(SWEEPS):
        for budget in limits:
            if budget.used(night.moves) > budget.most:
                prices, night = _priced(nights, budget, prices, night)
    return nights.in_real_costs(night, prices) if limits else night


class _Nights:
    """The same night at different prices of the budgets, and the tightest bound among them."""

    def __init__(self, snapshot: Snapshot, limits: tuple[Budget, ...], decide: Decide) -> None:
        self.snapshot, self.limits, self.decide, self.bound = snapshot, limits, decide, np.inf

    def at(self, prices: PerUnit) -> Plan:
        """Plan the night."""
        places = self.snapshot.places
        out, into = places.out_cost.copy(), places.in_cost.copy()
        for budget in self.limits:
            out += np.float32(prices[budget.name]) * budget.out
            into += np.float32(prices[budget.name]) * budget.into
        dearer = (
            replace(self.snapshot, places=replace(places, out_cost=out, in_cost=into)) if self.limits else self.snapshot
        )
        night = self.decide(dearer)
        self.bound = min(self.bound, night.bound + sum(prices[budget.name] * budget.most for budget in self.limits))
        return night

    def in_real_costs(self, night: Plan, prices: PerUnit) -> Plan:
        """Return a night whose values and reasons exclude the budgets' charges; its prices state them."""
        value = night.value + sum(prices[budget.name] * budget.used(night.moves) for budget in self.limits)
        bound = max(self.bound, value)
        moves, back = (
            tuple(self._in_real_costs(move, prices) for move in some) for some in (night.moves, night.held_back)
        )
        return replace(
            night,
            moves=moves,
            held_back=back,
            value=value,
            bound=bound,
            gap=gap(value, bound),
            prices=replace(night.prices, **dict[str, Any](prices)),
        )

    def _in_real_costs(self, move: Move, prices: PerUnit) -> Move:
        charge = sum(prices[budget.name] * budget.of(move) for budget in self.limits)
        numbers = {**move.reason.numbers, "cost": move.reason.numbers["cost"] - charge}
        gains = {name: getattr(move, name) + charge for name in ("gain", "gain_low", "gain_high")}
        return replace(move, **gains, reason=replace(move.reason, numbers=numbers))


def _priced(nights: _Nights, budget: Budget, prices: PerUnit, over: Plan) -> tuple[PerUnit, Plan]:
    """Raise the price of one budget until the night stays within it, then lower it while much of the budget is unused."""
    low, high = prices[budget.name], np.inf
    price, kept = max(low * 2, FIRST_PRICE), over
    for _ in range(STEPS):
        night = nights.at({**prices, budget.name: price})
        used = budget.used(night.moves)
        if used > budget.most:
            low = price
        else:
            high, kept = price, night
            if used >= CLOSE * budget.most:
                break
        price = (low + high) / 2 if np.isfinite(high) else price * 3
    return {**prices, budget.name: high if np.isfinite(high) else price}, kept
