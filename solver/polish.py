"""Ruin and recreate by the judge's own clock: for rules that engines do not know, or apply more strictly than the judge.

The idea: some neighbours are taken out of a plan and put back in turn where the judge finds it cheapest; the plan is
kept if it ranks no worse. Slow beside an engine, but rush hours, trips from several depots, crates that are ready
late and the order that people know all count as they will be judged.
"""

from collections.abc import Iterator
from time import monotonic

import numpy as np

from solver.breaks import with_breaks
from solver.construct import completed
from solver.engines import Plan
from solver.insertion import may_come, to_do, without_idle_reloads
from solver.instance import MANDATORY, Instance, NodeKind
from solver.rank import rank
from solver.timing_kernels import Ints

# Items at a time: more take longer to put back than they bring.
MOST_TAKEN = 12
# Share of all items at most.
TAKEN_SHARE = 0.3
# Chance that a neighbour stays where it is, so that no two tries are alike.
SKIPPED = 0.3


def polished(instance: Instance, plan: Plan, until: float, seed: int) -> Plan:
    """Return the best plan found from this plan until the instant of `time.monotonic`; the same plan where none is better."""
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


def promoted(instance: Instance, plan: Plan, until: float) -> Iterator[Plan]:
    """Yield plans where left-out mandatory work comes before all work of lower priority on a van, highest first.

    The rest is put back as far as it fits. Engines weigh priorities too, but rarely exchange many for a single item.
    """
    items, served = _movable(instance), {int(instance.item[node]) for _, run in plan for node in run}
    missing = [item for item in items if instance.prize_cents[item] == MANDATORY and item not in served]
    for item in sorted(missing, key=lambda item: -instance.priority[item]):
        lower = set(items[instance.priority[items] < instance.priority[item]].tolist())
        for van, run in plan:
            taken = lower & {int(instance.item[node]) for node in run}
            if taken and monotonic() < until and may_come(instance, van, instance.item_nodes[item]):
                ruined = _without(instance, plan, taken)
                yield [(at, _rested(instance, at, nodes)) for at, nodes in completed(instance, ruined, until)]


def _movable(instance: Instance) -> Ints:
    """Items on which no work has been done, and which some van may serve."""
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
    """Return the plan without these items, useless reloads, and runs that serve nothing."""
    left = [(van, [node for node in run if instance.item[node] not in taken]) for van, run in plan]
    runs, tasks = [(van, without_idle_reloads(instance, run)) for van, run in left], instance.tasks
    return [(van, run) for van, run in runs if instance.under_way[van] or any(node < tasks for node in run)]


def _rested(instance: Instance, van: int, run: list[int]) -> list[int]:
    """Return the run with its driver's breaks where they do least harm now."""
    return with_breaks(instance, van, [node for node in run if instance.kind[node] != NodeKind.BREAK])
