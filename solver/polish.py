"""Ruin and recreate by the judge's own clock: for what engines are not told, or are told stricter than it is judged.

The idea: some neighbours are taken out of a plan and put back one by one where the judge finds it cheapest; the plan is
kept where it ranks no worse. Slow beside an engine, but rush hours, trips from several depots, crates that are ready
late and the order that people know are all as they will be judged.
"""

from time import monotonic

import numpy as np

from solver.breaks import with_breaks
from solver.clock import Ints
from solver.construct import completed
from solver.engines import Plan
from solver.insertion import to_do, without_idle_reloads
from solver.instance import Instance, Kind
from solver.rank import rank

MOST_TAKEN = 12  # items at a time: more take longer to put back than they bring
TAKEN_SHARE = 0.3  # of all items at most
SKIPPED = 0.3  # chance that a neighbour stays where it is, so that no two tries are alike


def polished(instance: Instance, plan: Plan, until: float, seed: int) -> Plan:
    """Return the best plan found from this one until the instant of `time.monotonic`; itself where none is better."""
    random, items = np.random.default_rng(seed), _movable(instance)
    best = now = plan
    best_rank = now_rank = rank(instance, plan)
    while len(items) and monotonic() < until:
        ruined = _without(instance, now, _neighbours(instance, items, random))
        tried = [(van, _rested(instance, van, run)) for van, run in completed(instance, ruined, until, random)]
        found = rank(instance, tried)
        if found <= now_rank:
            now, now_rank = tried, found
        if found < best_rank:
            best, best_rank = tried, found
    return best


def _movable(instance: Instance) -> Ints:
    """Items of which nothing has been done, that some van may serve."""
    free = [item for item, nodes in enumerate(instance.item_nodes) if len(to_do(instance, item)) == len(nodes)]
    able = [item for item in free if not instance.forbidden[:, instance.item_nodes[item]].any(axis=1).all()]
    return np.array(able, dtype=np.int64)


def _neighbours(instance: Instance, items: Ints, random: np.random.Generator) -> set[int]:
    """Return an item and most of those whose first places are nearest to its own."""
    places = instance.place[instance.first_half[items]]
    centre = places[random.integers(len(items))]
    away_s = instance.seconds[centre, places] + instance.seconds[places, centre]
    count = int(random.integers(1, 1 + max(1, min(MOST_TAKEN, int(TAKEN_SHARE * len(items))))))
    nearest = items[np.argsort(away_s, kind="stable")]
    return set(nearest[random.random(len(items)) >= SKIPPED][:count].tolist())


def _without(instance: Instance, plan: Plan, taken: set[int]) -> Plan:
    """Return the plan without these items, nor reloads of which nothing comes, nor runs that serve nothing."""
    left = [(van, [node for node in run if instance.item[node] not in taken]) for van, run in plan]
    runs, tasks = [(van, without_idle_reloads(instance, run)) for van, run in left], instance.tasks
    return [(van, run) for van, run in runs if instance.under_way[van] or any(node < tasks for node in run)]


def _rested(instance: Instance, van: int, run: list[int]) -> list[int]:
    """Return the run with its driver's breaks where they do least harm now."""
    return with_breaks(instance, van, [node for node in run if instance.kind[node] != Kind.BREAK])
