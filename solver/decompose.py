"""A large day in parts: whole runs go to this part or that, so that parts can be solved at the same time.

The idea: the layout of places is derived from the driving times (classical scaling), so that it works without coordinates and
rivers count. A cut turns by the golden angle each time and alternates between a fan of sectors and a stack of slabs, so no two
neighbouring runs stay on different sides for long.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from solver.engines import Plan
from solver.engines.pyvrp import SubProblem, alike
from solver.instance import Instance

# The angle whose multiples are spread most evenly.
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
MOST_LANDMARKS = 200  # enough for a plane; the time grows with their cube

Split = list[tuple[SubProblem, Plan]]


def positions(instance: Instance) -> np.ndarray:
    """Return where each place lies on a plane, (places, 2), so that straight lines are about as long as drives.

    Landmarks are laid out by classical scaling, then every place by its drives to them (de Silva and Tenenbaum 2004).
    """
    seconds = instance.seconds[:-1, :-1].astype(float)
    landmarks = np.unique(np.linspace(0, len(seconds) - 1, MOST_LANDMARKS).astype(int))
    squares = (seconds + seconds.T)[:, landmarks] ** 2 / 4
    means = squares[landmarks].mean(axis=0)
    centred = -(squares[landmarks] - means - means[:, None] + means.mean()) / 2
    values, vectors = np.linalg.eigh(centred)
    axes = vectors[:, -2:] / np.sqrt(np.maximum(values[-2:], 1.0))
    return np.asarray(-(squares - means) @ axes / 2)


def split(instance: Instance, where: np.ndarray, plan: Plan, parts: int, turn: int) -> Split:
    """Return the plan's runs in `parts` of about as many items, idle vans shared out, unserved items with the nearest."""
    centres = np.array([where[_places(instance, nodes)].mean(axis=0) for _, nodes in plan])
    keys = _keys(centres, where[_hubs(instance)].mean(axis=0), turn)
    group_of = _groups(keys, np.array([len(nodes) for _, nodes in plan]), parts)
    runs = [[plan[run] for run in np.flatnonzero(group_of == group)] for group in range(parts)]
    items = [[_items(instance, nodes) for _, nodes in group] for group in runs]
    served = [sorted({item for one in group for item in one}) for group in items]
    for item in _rest(instance, served):
        at = where[_places(instance, instance.item_nodes[item])].mean(axis=0)
        served[int(group_of[np.linalg.norm(centres - at, axis=1).argmin()])].append(item)
    vans = _share_out(instance, [[van for van, _ in group] for group in runs], served)
    return [(SubProblem(tuple(served[g]), tuple(vans[g])), runs[g]) for g in range(parts)]


def sectors(instance: Instance, where: np.ndarray, parts: int) -> Split:
    """Return a day without a plan in sectors around the hub, each with its share of the vans."""
    items = [item for item, nodes in enumerate(instance.item_nodes) if instance.free[nodes].all()]
    middles = np.array([where[_places(instance, instance.item_nodes[item])].mean(axis=0) for item in items])
    keys = _keys(middles, where[_hubs(instance)].mean(axis=0), turn=0)
    group_of = _groups(keys, np.ones(len(items)), parts)
    chosen = [[items[at] for at in np.flatnonzero(group_of == group)] for group in range(parts)]
    vans = _share_out(instance, [[] for _ in range(parts)], chosen)
    return [(SubProblem(tuple(one), tuple(vans[group])), []) for group, one in enumerate(chosen)]


def joined(plans: Iterable[Plan]) -> Plan:
    """Return the plan of all parts."""
    return sorted(run for plan in plans for run in plan)


def _keys(points: np.ndarray, hub: np.ndarray, turn: int) -> np.ndarray:
    """Return the sort keys: bearing from the hub on even turns, the position along an axis on odd turns."""
    angle = turn * GOLDEN_ANGLE
    x, y = (points - hub).T
    if turn % 2:
        return np.asarray(x * np.cos(angle) + y * np.sin(angle))
    return np.asarray((np.arctan2(y, x) - angle) % (2 * np.pi))


def _groups(keys: np.ndarray, weights: np.ndarray, parts: int) -> np.ndarray:
    """Return the group of each key: neighbours together, groups of about equal weight."""
    order = np.argsort(keys, kind="stable")
    before = np.concatenate([[0.0], weights[order].cumsum()[:-1]]) + weights[order] / 2
    groups = np.empty(len(keys), dtype=int)
    groups[order] = np.minimum(parts - 1, (before * parts / weights.sum()).astype(int))
    return groups


def _share_out(instance: Instance, busy: Sequence[list[int]], items: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return each group's vans: those it uses, and idle vans of each kind in proportion to its items' needs."""
    used, kinds = {van for vans in busy for van in vans}, alike(instance)
    idle = defaultdict[int, list[int]](list)
    for van, kind in enumerate(kinds):
        idle[kind] += [van] if van not in used else []
    vans = [list(group) for group in busy]
    able = ~instance.out_of_reach[np.ix_(np.array(list(idle)), instance.first_half)]
    calls = able / np.maximum(1, able.sum(axis=0))  # demand of each item for vans of each kind, 1 in all
    for mine, call in zip(idle.values(), calls, strict=True):
        wanted = np.array([1 + call[list(group)].sum() for group in items])
        for van, group in zip(mine, _dealt(len(mine), wanted / wanted.sum()), strict=True):
            vans[group].append(van)
    return [sorted(group) for group in vans]


def _dealt(count: int, shares: np.ndarray) -> list[int]:
    """Return the receiver of each card, so that everyone has about a fair share at any time."""
    given, groups = np.zeros(len(shares)), list[int]()
    for number in range(count):
        groups.append(int((shares * (number + 1) - given).argmax()))
        given[groups[-1]] += 1
    return groups


def _rest(instance: Instance, served: Sequence[Sequence[int]]) -> list[int]:
    made = {item for group in served for item in group}
    return [item for item, nodes in enumerate(instance.item_nodes) if item not in made and instance.free[nodes].all()]


def _items(instance: Instance, nodes: Sequence[int]) -> list[int]:
    return [int(instance.item[node]) for node in nodes if instance.item[node] >= 0]


def _places(instance: Instance, nodes: Sequence[int]) -> list[int]:
    return [int(instance.place[node]) for node in nodes if instance.item[node] >= 0]


def _hubs(instance: Instance) -> list[int]:
    places = instance.place[instance.start]
    return sorted({int(place) for place in places if place < len(instance.places)}) or [0]
