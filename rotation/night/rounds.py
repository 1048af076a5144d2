"""With the vans, not before them: the night's plan and the day's routes take turns for two or three rounds.

A pick is worth the loans it brings. The routing leaves out a visit that only picks ask for and that costs more than they are
worth; the plan is then made again without the moves that no van will do, and the round with the highest value after the
vans' cost wins.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from rotation.courier.day import CourierPlan as Routed
from rotation.courier.problems import Worth
from rotation.network import Network
from rotation.rebalancing.outcome import Plan, ReasonCode
from rotation.rebalancing.snapshot import Snapshot

FURTHER_ROUNDS = 2  # after the first; on the days of bench.rounds one was enough
MAY_WAIT = (
    ReasonCode.BORROWED_MORE,
    ReasonCode.STALE_HERE,
)  # made for loans alone; floors, sets and readers who wait are promises


class PickEnd(StrEnum):
    """Of a pick's way."""

    LEAVES = "leaves"
    ARRIVES = "arrives"


Closed = frozenset[tuple[PickEnd, str]]  # places that no pick leaves, or comes to, today


class Round(NamedTuple):
    """A plan with its routes, and its value after the vans' cost, in cents."""

    decided: Plan
    routed: Routed
    remains_cents: int


def worth(picks: Iterable[tuple[str, str, float]], loan_cents: int) -> dict[str, int]:
    """Return the worth in cents of the picks (transfer, code of its reason, gain in loans) that are made for loans alone."""
    return {one: max(round(loan_cents * gain), 0) for one, code, gain in picks if code in MAY_WAIT}


def judged(decided: Plan, routed: Routed, carried: Worth, loan_cents: int) -> Round:
    """Return a round with its remaining value: the plan's value minus the picks left behind and the runs' cost."""
    left = sum(carried.get(transfer, 0) for _, transfers in left_out(routed) for transfer in transfers)
    cost = sum(run.cost_cents for hub_day in routed.hubs for run in hub_day.runs)
    return Round(decided, routed, round(loan_cents * decided.value) - left - cost)


def together(first: Round, not_served: Callable[[Round], Closed], attempt: Callable[[Closed], Round]) -> list[Round]:
    """Plan and route again while the routing leaves out places that the plan does not know of yet, at most twice."""
    rounds, closed = [first], Closed()
    while len(rounds) <= FURTHER_ROUNDS and (news := not_served(rounds[-1]) - closed):
        closed |= news
        rounds.append(attempt(closed))
    return rounds


def best(rounds: Iterable[Round]) -> Round:
    """Return the round with the highest remaining value; of equals the choice that leaves least behind, then the first."""
    return max(rounds, key=lambda one: (one.remains_cents, -sum(len(left) for _, left in left_out(one.routed))))


def unvisited(routed: Routed, carried: Worth, network: Network) -> Closed:
    """Return the places to close if a van has left something out: places without a call today give nothing.

    That closes more than the stops left out: picks would only move on to the next place that no van is worth sending to.
    Places by appointment are decided on for another day. Where a promise had to wait, nothing comes either.
    """
    left = list(left_out(routed))
    called = {stop.place for hub_day in routed.hubs for run in hub_day.runs for stop in run.stops}
    called |= {hub.id for hub in network.hubs} - {place for place, _ in left}
    waits = {place for place, transfers in left if not transfers <= carried.keys()}
    today = {place.id for place in network.places if not place.by_appointment}
    gives_nothing = (today - called | {place for place, _ in left}) if left else set()
    return Closed({(PickEnd.LEAVES, place) for place in gives_nothing} | {(PickEnd.ARRIVES, place) for place in waits})


def left_out(routed: Routed) -> Iterator[tuple[str, set[str]]]:
    """Yield each stop that no van serves: its place and the transfers that wait."""
    within = {crate.id: crate.transfers for crate in routed.crates}
    for hub_day in routed.hubs:
        for stop in hub_day.unserved:
            yield stop.place, {transfer for crate in stop.crates for transfer in within[crate]}


def without(snapshot: Snapshot, closed: Closed, row: Mapping[str, int]) -> Snapshot:
    """Return the night with closed places, which nothing leaves or enters; `row` numbers the places."""
    into, out = snapshot.places.in_copies.copy(), snapshot.places.out_copies.copy()
    for end, place in closed:
        (out if end is PickEnd.LEAVES else into)[row[place]] = 0
    return replace(snapshot, places=replace(snapshot.places, in_copies=into, out_copies=out))
