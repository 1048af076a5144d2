"""Budgets of staff-minutes and van-hours: each is a price, found so that the night's moves just keep within it.

A minute or an hour is charged at both ends of a move like handling, so the night itself need not know of budgets, and what it
certifies at any prices, with the budgets paid at them, bounds every plan within the budgets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rotation.rebalancing.outcome import Move, Plan, gap
from rotation.rebalancing.snapshot import Flags, Floats, Settings, Snapshot, State

FIRST_PRICE = 0.02  # loans a minute of staff: some 35 minutes of work are worth one move's least gain
STEPS = 12  # nights planned at most while the price of one budget is looked for
CLOSE = 0.98  # of a budget used: near enough
SWEEPS = 2  # each budget's price is found again after the other's

Decide = Callable[[Snapshot], Plan]
PerUnit = Mapping[str, float]  # loans, by budget


@dataclass(frozen=True, slots=True)
class Budget:
    """So much of something in all, and what a copy takes of it where it leaves and where it arrives (P each)."""

    name: str
    most: float
    out: Floats
    into: Floats
    homeless: Flags  # C: in someone's hand already, so it takes nothing where it leaves

    def used(self, moves: tuple[Move, ...]) -> float:
        """Return what the moves take."""
        return float(sum(self.of(move) for move in moves))

    def of(self, move: Move) -> float:
        """Return what one move takes."""
        leaving = 0.0 if self.homeless[move.copy] else float(self.out[move.origin])
        return leaving + float(self.into[move.destination])


def budgets(snapshot: Snapshot, settings: Settings) -> tuple[Budget, ...]:
    """Return the budgets that are set."""
    places, homeless = snapshot.places, np.asarray(snapshot.copies.state == State.HOMELESS)
    van = places.van_minutes / np.float32(60)
    rows = (
        ("staff_minute", settings.budget_staff_minutes, places.out_minutes, places.in_minutes),
        ("van_hour", settings.budget_van_hours, van, van),
    )
    return tuple(Budget(name, most, out, into, homeless) for name, most, out, into in rows if most is not None)


def within(snapshot: Snapshot, settings: Settings, decide: Decide) -> Plan:
    """Return the best night found within the budgets, told in what its moves really cost."""
    limits = budgets(snapshot, settings)
    nights = _Nights(snapshot, limits, decide)
    prices: PerUnit = {budget.name: 0.0 for budget in limits}
    found = nights.at(prices)
    for _ in range(SWEEPS):
        for budget in limits:
            if budget.used(found.moves) > budget.most:
                prices, found = _priced(nights, budget, prices, found)
    return nights.told(found, prices) if limits else found


class _Nights:
    """The same night at different prices of the budgets, and the tightest bound that any of them gave."""

    def __init__(self, snapshot: Snapshot, limits: tuple[Budget, ...], decide: Decide) -> None:
        self.snapshot, self.limits, self.decide, self.bound = snapshot, limits, decide, np.inf

    def at(self, prices: PerUnit) -> Plan:
        """Plan it."""
        places = self.snapshot.places
        out, into = places.out_cost.copy(), places.in_cost.copy()
        for budget in self.limits:
            out += np.float32(prices[budget.name]) * budget.out
            into += np.float32(prices[budget.name]) * budget.into
        dearer = (
            replace(self.snapshot, places=replace(places, out_cost=out, in_cost=into)) if self.limits else self.snapshot
        )
        found = self.decide(dearer)
        self.bound = min(self.bound, found.bound + sum(prices[one.name] * one.most for one in self.limits))
        return found

    def told(self, found: Plan, prices: PerUnit) -> Plan:
        """Return a night without the charges for budgets in its values and reasons; its prices tell them."""
        value = found.value + sum(prices[one.name] * one.used(found.moves) for one in self.limits)
        bound = max(self.bound, value)
        moves, back = (tuple(self._told(move, prices) for move in some) for some in (found.moves, found.held_back))
        return replace(
            found, moves=moves, held_back=back, value=value, bound=bound, gap=gap(value, bound),
            prices=replace(found.prices, **dict[str, Any](prices)),
        )  # fmt: skip

    def _told(self, move: Move, prices: PerUnit) -> Move:
        charge = sum(prices[one.name] * one.of(move) for one in self.limits)
        numbers = {**move.reason.numbers, "cost": move.reason.numbers["cost"] - charge}
        gains = {name: getattr(move, name) + charge for name in ("gain", "gain_low", "gain_high")}
        return replace(move, **gains, reason=replace(move.reason, numbers=numbers))


def _priced(nights: _Nights, budget: Budget, prices: PerUnit, over: Plan) -> tuple[PerUnit, Plan]:
    """Raise the price of one budget until it is kept, and lower it again while that wastes more than a little."""
    low, high = prices[budget.name], np.inf
    price, kept = max(low * 2, FIRST_PRICE), over
    for _ in range(STEPS):
        found = nights.at({**prices, budget.name: price})
        used = budget.used(found.moves)
        if used > budget.most:
            low = price
        else:
            high, kept = price, found
            if used >= CLOSE * budget.most:
                break
        price = (low + high) / 2 if np.isfinite(high) else price * 3
    return {**prices, budget.name: high if np.isfinite(high) else price}, kept
