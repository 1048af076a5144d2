"""The night's decision as one story: rates, tables, circulation, pairs, prices, reasons, lists."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import demand, effort, lists, lots, pairing, volumes, world
from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Floor, Move, Plan, Prices, Reason, ReasonCode, Suggestion, gap
from rotation.rebalancing.pairing import Paired
from rotation.rebalancing.search import CertifiedPlan, search
from rotation.rebalancing.snapshot import (
    Copies,
    Exposure,
    Flags,
    Ints,
    Pairs,
    PlanningSettings,
    Snapshot,
    StockState,
    Titles,
)
from rotation.rebalancing.why import moves, why_not_there
from rotation.rebalancing.world import Tables

# Nights planned again without the copies that owners held back: a third try gained 0.6 % in the demonstration.
OWNER_TRIES = 2

__all__ = ["Floor", "KeptNight", "Move", "Plan", "Prices", "Reason", "ReasonCode", "Suggestion", "plan", "why_not"]


def plan(snapshot: Snapshot, settings: PlanningSettings | None = None, seed: int = 0) -> Plan:
    """Decide which copies move, within `settings`; the same snapshot and seed give the same plan, byte for byte.

    Raises
    ------
    ValueError
        With one sentence when the snapshot contradicts itself (a negative capacity, columns that point nowhere).
    """
    chosen = settings or PlanningSettings()
    return effort.within(snapshot, chosen, lambda dearer: _decide(dearer, chosen, seed))


def _decide(snapshot: Snapshot, chosen: PlanningSettings, seed: int) -> Plan:
    seconds = dict[str, float]()
    world.check(snapshot)
    first = volumes.first_volumes(snapshot)
    seen = volumes.together(snapshot, first)
    with _timed(seconds, "rates"):
        rates = volumes.of_first(demand.rates(seen, chosen), first)
    with _timed(seconds, "tables"):
        tables = world.tables(seen, rates, chosen)
    with _timed(seconds, "circulation"):
        free = search(tables, chosen)
    with _timed(seconds, "pairs"):
        tables, certified, paired, value, in_lots = _best_for_owners(seen, tables, free, chosen)
    with _timed(seconds, "reasons"):
        prices = volumes.priced(lists.prices(tables, certified, chosen), first)
        proposed = volumes.under_own_titles(
            moves(seen, tables, rates, certified, paired, prices, chosen), snapshot, seen
        )
    done, held_back = _held_back(proposed, seen, chosen.held_back_share, seed)
    with _timed(seconds, "lists"):
        floors = lists.floors(seen, tables, certified, paired, chosen)
        purchases, weeding = lists.suggestions(seen, tables, prices, chosen)
    return Plan(
        done,
        prices,
        value,
        max(free.bound, value),
        gap(value, free.bound),
        floors,
        purchases,
        weeding,
        paired.unplaced.astype(np.int32),
        tables.refused,
        max(in_lots - value, 0.0),
        max(free.value - in_lots, 0.0),
        held_back,
        rates,
        seconds,
        certified.rounds,
    )


class _Realised(NamedTuple):
    """A night in its executable form: lots worth a visit, copies chosen."""

    tables: Tables
    certified: CertifiedPlan
    paired: Paired
    value: float
    in_lots: float  # its worth before owners were asked


def _best_for_owners(snapshot: Snapshot, tables: Tables, free: CertifiedPlan, chosen: PlanningSettings) -> _Realised:
    """Pair copies with places; where owners forbid much of the value, keep those copies home and find others instead."""
    first = best = step = _realised(snapshot, tables, free, chosen)
    for _ in range(OWNER_TRIES):
        if step.paired.lost <= chosen.gap * free.bound or not len(step.paired.stuck):
            break
        others = world.staying(step.tables, snapshot, step.paired.stuck)
        step = _realised(snapshot, others, search(others, chosen), chosen)
        best = max(best, step, key=lambda one: one.value)
    if best.value < 0:  # what the flow counted on was dropped: volumes that found no room, copies that owners keep
        best = best._replace(paired=pairing.without_moves(best.paired), value=0.0)
    return best._replace(in_lots=first.in_lots)


def _realised(snapshot: Snapshot, tables: Tables, free: CertifiedPlan, chosen: PlanningSettings) -> _Realised:
    def paired(tables: Tables, certified: CertifiedPlan) -> Paired:
        return pairing.pair(snapshot, tables, certified, chosen)

    night = lots.in_lots(snapshot.places, tables, free, paired, chosen)
    return _Realised(*night, lists.value(*night, chosen), night.certified.value)


def why_not(
    snapshot: Snapshot, plan: "Plan | KeptNight", title: int, place: int, settings: PlanningSettings | None = None
) -> Reason:
    """Return the reason why no copy of `title` goes to `place` in `plan` (or that one does)."""
    if not (0 <= title < len(snapshot.titles) and 0 <= place < len(snapshot.places)):
        return Reason(ReasonCode.UNKNOWN, {"title": title, "place": place})
    planned = [move for move in plan.moves if move.title == title and move.destination == place]
    if planned:
        return Reason(ReasonCode.PLANNED, planned[0].reason.numbers)
    first = volumes.first_volumes(snapshot)
    only, title = _of_one_title(volumes.together(snapshot, first), int(first[title])), int(first[title])
    return why_not_there(only, plan.rates, plan.prices, title, place, settings or PlanningSettings())


class KeptNight(NamedTuple):
    """The part of a night that the day keeps after the plan itself is gone."""

    rates: Rates
    prices: Prices
    moves: tuple[Move, ...] = ()


def _of_one_title(snapshot: Snapshot, title: int) -> Snapshot:
    """Return the part of the snapshot about one title, which becomes its title 0."""
    titles, copies = snapshot.titles, snapshot.copies
    mine = copies.title == title

    def pairs(all_: Pairs) -> Pairs:
        rows = all_.title == title
        return Pairs.of(np.zeros(int(rows.sum())), all_.place[rows], all_.number[rows])

    columns = {name: getattr(copies, name)[mine] for name in Copies.__slots__}
    seen = snapshot.exposure.title == title
    evidence = {name: getattr(snapshot.exposure, name)[seen] for name in Exposure.__slots__}
    return replace(
        snapshot,
        titles=Titles(*(getattr(titles, name)[[title]] for name in Titles.__slots__)),
        copies=Copies(**columns | {"title": np.zeros(int(mine.sum()), np.int32)}),
        exposure=Exposure(**evidence | {"title": np.zeros(int(seen.sum()), np.int32)}),
        reservable=None if snapshot.reservable is None else snapshot.reservable[[title]],
        holds=pairs(snapshot.holds),
        local=pairs(snapshot.local),
        left=pairs(snapshot.left),
        requests=pairs(snapshot.requests),
        goes_with=_renumbered(snapshot.goes_with, mine),
    )


def _renumbered(goes_with: Ints | None, mine: Flags) -> Ints | None:
    if goes_with is None:
        return None
    row = np.append(np.cumsum(mine) - 1, -1).astype(np.int32)  # the last for a copy that follows none
    return row[goes_with[mine]]


def _held_back(
    proposed: list[Move], seen: Snapshot, share: float, seed: int
) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    """Draw moves to leave undone; a set's moves all or none, and no more than the lots allow."""
    chance = np.random.default_rng(seed).random(len(proposed))
    sets = np.arange(len(proposed))
    if seen.goes_with is not None:
        row = {move.copy: i for i, move in enumerate(proposed)}
        sets = np.array([row.get(int(seen.goes_with[move.copy]), row[move.copy]) for move in proposed], np.int64)
        chance = chance[sets]
    back = lots.kept_whole(seen.places, _ends(proposed, seen), chance, share)
    pairs = list(zip(proposed, back.tolist(), strict=True))
    return tuple(m for m, b in pairs if not b), tuple(m for m, b in pairs if b)


def _ends(moves: list[Move], snapshot: Snapshot) -> NDArray[np.int64]:
    """Return the places that handle each move, moves x 2: a copy without a home leaves none (-1)."""
    homeless = snapshot.copies.state == StockState.HOMELESS
    ends = [(move.destination, -1 if homeless[move.copy] else move.origin) for move in moves]
    return np.array(ends, np.int64).reshape(-1, 2)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - begin
