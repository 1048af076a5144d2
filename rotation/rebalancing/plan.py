"""The night's decision as one story: rates, tables, circulation, pairs, prices, reasons, lists."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation import demand
from rotation.demand import Rates
from rotation.rebalancing import effort, lists, lots, pairing, volumes, world
from rotation.rebalancing.outcome import Code, Floor, Move, Plan, Prices, Reason, Suggestion, gap
from rotation.rebalancing.pairing import Paired
from rotation.rebalancing.search import Found, search
from rotation.rebalancing.snapshot import Copies, Flags, Ints, Pairs, Settings, Snapshot, Titles
from rotation.rebalancing.why import moves, why_not_there
from rotation.rebalancing.world import Tables

OWNER_TRIES = 2  # nights planned anew without the copies that owners kept: a third gained 0.6 % in the demonstration

__all__ = ["Code", "Floor", "Known", "Move", "Plan", "Prices", "Reason", "Suggestion", "plan", "why_not"]


def plan(snapshot: Snapshot, settings: Settings | None = None, seed: int = 0) -> Plan:
    """Decide which copies move, within `settings`; the same snapshot and seed give the same plan to the byte.

    Raises
    ------
    ValueError
        With one sentence when the snapshot contradicts itself (a negative capacity, columns that point nowhere).
    """
    chosen = settings or Settings()
    return effort.within(snapshot, chosen, lambda dearer: _decide(dearer, chosen, seed))


def _decide(snapshot: Snapshot, chosen: Settings, seed: int) -> Plan:
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
        tables, found, paired, value, in_lots = _best_for_owners(seen, tables, free, chosen)
    with _timed(seconds, "reasons"):
        prices = volumes.priced(lists.prices(tables, found, chosen), first)
        proposed = volumes.told(moves(seen, tables, rates, found, paired, prices, chosen), snapshot, seen)
    done, held_back = _held_back(proposed, seen, chosen.held_back_share, seed)
    with _timed(seconds, "lists"):
        floors = lists.floors(seen, tables, found, paired, chosen)
        purchases, weeding = lists.suggestions(seen, tables, prices, chosen)
    return Plan(
        done, prices, value, max(free.bound, value), gap(value, free.bound), floors, purchases, weeding,
        paired.unplaced.astype(np.int32), tables.refused, max(in_lots - value, 0.0), max(free.value - in_lots, 0.0), held_back,
        rates, seconds, found.rounds,
    )  # fmt: skip


class _Realised(NamedTuple):
    """A night as it can be done: in lots that are worth a visit, copy by copy."""

    tables: Tables
    found: Found
    paired: Paired
    value: float
    in_lots: float  # what it was worth before owners were asked


def _best_for_owners(snapshot: Snapshot, tables: Tables, free: Found, chosen: Settings) -> _Realised:
    """Pair copies with places; where owners forbid too much of it, let those copies stay and find others in their stead."""
    first = best = step = _realised(snapshot, tables, free, chosen)
    for _ in range(OWNER_TRIES):
        if step.paired.lost <= chosen.gap * free.bound or not len(step.paired.stuck):
            break
        others = world.staying(step.tables, snapshot, step.paired.stuck)
        step = _realised(snapshot, others, search(others, chosen), chosen)
        best = max(best, step, key=lambda one: one.value)
    return best._replace(in_lots=first.in_lots)


def _realised(snapshot: Snapshot, tables: Tables, free: Found, chosen: Settings) -> _Realised:
    tables, found = lots.in_lots(snapshot.places, tables, free, chosen)
    paired = pairing.pair(snapshot, tables, found, chosen)
    return _Realised(tables, found, paired, lists.value(tables, found, paired, chosen), found.value)


def why_not(
    snapshot: Snapshot, plan: "Plan | Known", title: int, place: int, settings: Settings | None = None
) -> Reason:
    """Say why no copy of `title` goes to `place` in `plan` (or that one does)."""
    if not (0 <= title < len(snapshot.titles) and 0 <= place < len(snapshot.places)):
        return Reason(Code.UNKNOWN, {"title": title, "place": place})
    planned = [move for move in plan.moves if move.title == title and move.destination == place]
    if planned:
        return Reason(Code.PLANNED, planned[0].reason.numbers)
    first = volumes.first_volumes(snapshot)
    only, title = _of_one_title(volumes.together(snapshot, first), int(first[title])), int(first[title])
    return why_not_there(only, plan.rates, plan.prices, title, place, settings or Settings())


class Known(NamedTuple):
    """What the day still knows of its night, where the plan itself is gone."""

    rates: Rates
    prices: Prices
    moves: tuple[Move, ...] = ()


def _of_one_title(snapshot: Snapshot, title: int) -> Snapshot:
    """Return the part of the snapshot that tells of a title, which is its title 0."""
    titles, copies = snapshot.titles, snapshot.copies
    mine = copies.title == title

    def pairs(all_: Pairs) -> Pairs:
        rows = all_.title == title
        return Pairs.of(np.zeros(int(rows.sum())), all_.place[rows], all_.number[rows])

    columns = {name: getattr(copies, name)[mine] for name in Copies.__slots__}
    return replace(
        snapshot,
        titles=Titles(*(getattr(titles, name)[[title]] for name in Titles.__slots__)),
        copies=Copies(**columns | {"title": np.zeros(int(mine.sum()), np.int32)}),
        holds=pairs(snapshot.holds), local=pairs(snapshot.local), left=pairs(snapshot.left), requests=pairs(snapshot.requests),
        goes_with=_renumbered(snapshot.goes_with, mine),
    )  # fmt: skip


def _renumbered(goes_with: Ints | None, mine: Flags) -> Ints | None:
    if goes_with is None:
        return None
    row = np.append(np.cumsum(mine) - 1, -1).astype(np.int32)  # the last for who follows none
    return row[goes_with[mine]]


def _held_back(
    proposed: list[Move], seen: Snapshot, share: float, seed: int
) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    """Draw moves to be left undone; a set's all or none."""
    back: NDArray[np.bool_] = np.random.default_rng(seed).random(len(proposed)) < share
    if seen.goes_with is not None:
        row = {move.copy: i for i, move in enumerate(proposed)}
        back = back[[row.get(int(seen.goes_with[move.copy]), row[move.copy]) for move in proposed]]
    pairs = list(zip(proposed, back.tolist(), strict=True))
    return tuple(m for m, b in pairs if not b), tuple(m for m, b in pairs if b)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - begin
