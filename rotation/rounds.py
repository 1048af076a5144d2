"""With the vans, not before them: the night's plan and the day's routes, told of each other for two or three rounds.

A pick is worth the loans it brings. The routing leaves out a visit that only picks ask for and that costs more than they are
worth; the plan is then made anew without what no van will do, and the round stands in which most remains after the vans.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from rotation.courier.day import Plan as Routed
from rotation.courier.problems import Worth
from rotation.network import Network
from rotation.rebalancing.outcome import Code, Plan
from rotation.rebalancing.snapshot import Snapshot

FURTHER_ROUNDS = 2  # after the first; on the days of bench.rounds one was enough
MAY_WAIT = (Code.BORROWED_MORE, Code.STALE_HERE)  # made for loans alone; floors, sets and readers who wait are promises


class End(StrEnum):
    """Of a pick's way."""

    LEAVES = "leaves"
    ARRIVES = "arrives"


Closed = frozenset[tuple[End, str]]  # places that no pick leaves, or comes to, today


class Round(NamedTuple):
    """A plan with its routes, and what remains of its worth after the vans' cost, in cents."""

    decided: Plan
    routed: Routed
    remains_cents: int


def worth(picks: Iterable[tuple[str, str, float]], loan_cents: int) -> dict[str, int]:
    """Return what picks (transfer, code of its reason, gain in loans) are worth that are made for loans alone."""
    return {one: max(round(loan_cents * gain), 0) for one, code, gain in picks if code in MAY_WAIT}


def judged(decided: Plan, routed: Routed, carried: Worth, loan_cents: int) -> Round:
    """Return a round with what remains of it: the plan's value, without the picks left behind and the runs' cost."""
    left = sum(carried.get(transfer, 0) for _, transfers in left_out(routed) for transfer in transfers)
    cost = sum(run.cost_cents for hub_day in routed.hubs for run in hub_day.runs)
    return Round(decided, routed, round(loan_cents * decided.value) - left - cost)


def together(first: Round, not_served: Callable[[Round], Closed], attempt: Callable[[Closed], Round]) -> list[Round]:
    """Plan and route anew while the routing leaves out what the plan does not know of yet, at most twice."""
    rounds, closed = [first], Closed()
    while len(rounds) <= FURTHER_ROUNDS and (news := not_served(rounds[-1]) - closed):
        closed |= news
        rounds.append(attempt(closed))
    return rounds


def best(rounds: Iterable[Round]) -> Round:
    """Return the round of which most remains; of equals the first."""
    return max(rounds, key=lambda one: one.remains_cents)


def unvisited(routed: Routed, carried: Worth, network: Network) -> Closed:
    """Return what no van does, where one has left something out: the places that none calls at today give nothing.

    That is more than what was left out: picks would only move on to the next place that no van is worth sending to. Places by
    appointment are decided on for another day. Where a promise had to wait, nothing comes either.
    """
    left = list(left_out(routed))
    called = {stop.place for hub_day in routed.hubs for run in hub_day.runs for stop in run.stops}
    called |= {hub.id for hub in network.hubs} - {place for place, _ in left}
    waits = {place for place, transfers in left if not transfers <= carried.keys()}
    today = {place.id for place in network.places if not place.by_appointment}
    gives_nothing = (today - called | {place for place, _ in left}) if left else set()
    return Closed({(End.LEAVES, place) for place in gives_nothing} | {(End.ARRIVES, place) for place in waits})


def left_out(routed: Routed) -> Iterator[tuple[str, set[str]]]:
    """Yield each stop that no van serves: its place and the transfers that wait."""
    within = {crate.id: crate.transfers for crate in routed.crates}
    for hub_day in routed.hubs:
        for stop in hub_day.unserved:
            yield stop.place, {transfer for crate in stop.crates for transfer in within[crate]}


def without(snapshot: Snapshot, closed: Closed, row: Mapping[str, int]) -> Snapshot:
    """Return the night in which nothing leaves, or comes to, what is closed; `row` numbers the places."""
    into, out = snapshot.places.in_copies.copy(), snapshot.places.out_copies.copy()
    for end, place in closed:
        (out if end is End.LEAVES else into)[row[place]] = 0
    return replace(snapshot, places=replace(snapshot.places, in_copies=into, out_copies=out))
