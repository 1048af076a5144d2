"""The night's decision as one story: rates, tables, circulation, pairs, prices, reasons, lists."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rotation import demand
from rotation.rebalancing import lists, pairing, world
from rotation.rebalancing.outcome import Code, Move, Plan, Prices, Reason, Shortfall, Suggestion
from rotation.rebalancing.search import search
from rotation.rebalancing.snapshot import Copies, Pairs, Settings, Snapshot, Titles
from rotation.rebalancing.why import moves, why_not_there

__all__ = ["Code", "Move", "Plan", "Prices", "Reason", "Shortfall", "Suggestion", "plan", "why_not"]


def plan(snapshot: Snapshot, settings: Settings | None = None, seed: int = 0) -> Plan:
    """Decide which copies move, within `settings`; the same snapshot and seed give the same plan to the byte.

    Raises
    ------
    ValueError
        With one sentence when the snapshot contradicts itself (a negative capacity, columns that point nowhere).
    """
    chosen, seconds = settings or Settings(), dict[str, float]()
    world.check(snapshot)
    with _timed(seconds, "rates"):
        rates = demand.rates(snapshot, chosen)
    with _timed(seconds, "tables"):
        tables = world.tables(snapshot, rates, chosen)
    with _timed(seconds, "circulation"):
        found = search(tables, chosen)
    with _timed(seconds, "pairs"):
        paired = pairing.pair(snapshot, tables, found, chosen)
        value = lists.value(tables, found, paired, chosen)
    with _timed(seconds, "reasons"):
        prices = lists.prices(tables, found, chosen)
        proposed = moves(snapshot, tables, rates, found, paired, prices, chosen)
    done, held_back = _held_back(proposed, chosen.held_back_share, seed)
    with _timed(seconds, "lists"):
        shortfalls = lists.shortfalls(snapshot, tables, found, paired, chosen)
        purchases, weeding = lists.suggestions(snapshot, tables, prices, chosen)
    return Plan(
        done, prices, value, max(found.bound, value), _gap(value, found.bound), shortfalls, purchases, weeding,
        paired.unplaced.astype(np.int32), tables.refused, paired.lost, held_back, rates, seconds, found.rounds,
    )  # fmt: skip


def why_not(snapshot: Snapshot, plan: Plan, title: int, place: int, settings: Settings | None = None) -> Reason:
    """Say why no copy of `title` goes to `place` in `plan` (or that one does)."""
    if not (0 <= title < len(snapshot.titles) and 0 <= place < len(snapshot.places)):
        return Reason(Code.UNKNOWN, {"title": title, "place": place})
    planned = [move for move in plan.moves if move.title == title and move.destination == place]
    if planned:
        return Reason(Code.PLANNED, planned[0].reason.numbers)
    return why_not_there(_of_one_title(snapshot, title), plan, title, place, settings or Settings())


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
        titles=Titles(titles.cls[[title]], titles.float_group[[title]], titles.worth[[title]]),
        copies=Copies(**columns | {"title": np.zeros(int(mine.sum()), np.int32)}),
        holds=pairs(snapshot.holds), left=pairs(snapshot.left), requests=pairs(snapshot.requests),
    )  # fmt: skip


def _gap(value: float, bound: float) -> float:
    return max(bound - value, 0.0) / bound if bound > 0 else 0.0


def _held_back(proposed: list[Move], share: float, seed: int) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    back: NDArray[np.bool_] = np.random.default_rng(seed).random(len(proposed)) < share
    pairs = list(zip(proposed, back.tolist(), strict=True))
    return tuple(m for m, b in pairs if not b), tuple(m for m, b in pairs if b)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - begin
