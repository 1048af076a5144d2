"""A stop or shipment more in a run: all its possible positions, for the judge to try.

The idea: only vans that may never come are excluded beforehand; where a van may load again, that is tried too.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement

from solver.instance import Instance, NodeKind


def to_do(instance: Instance, item: int) -> list[int]:
    """Return the remaining nodes of an item: of a shipment on board only the delivery."""
    return [node for node in instance.item_nodes[item] if instance.free[node]]


def may_come(instance: Instance, van: int, nodes: Sequence[int]) -> bool:
    """Whether the van may make these visits without loading first: their crates are of its depot or on board."""
    if instance.forbidden[van, nodes].any():
        return False
    return bool(instance.reloads[van]) or not instance.out_of_reach[van, nodes].any()


def insertions(
    instance: Instance, van: int, run: Sequence[int], nodes: Sequence[int], *, apart: bool = True
) -> list[list[int]]:
    """Return the run with a node at every position, or two nodes at every pair of positions in order (or side by side).

    Where the van may load once more, each of these also with a reload just before the first or just after the last.
    """
    places = [(at, at) for at in range(len(run) + 1)]
    if apart and len(nodes) == 2:
        places = list(combinations_with_replacement(range(len(run) + 1), 2))
    plain = [[*run[:first], *nodes[:1], *run[first:last], *nodes[1:], *run[last:]] for first, last in places]
    loaded = sum(node in instance.reloads[van] for node in run)
    reloads = instance.reloads[van] if loaded < instance.problem.vans[van].max_reloads else []
    before = [_beside(row, nodes[0], reload, 0) for reload in reloads for row in plain]
    after = [_beside(row, nodes[-1], reload, 1) for reload in reloads for row in plain]
    return plain + before + after


def _beside(row: list[int], node: int, inserted: int, after: int) -> list[int]:
    at = row.index(node) + after
    return [*row[:at], inserted, *row[at:]]


def without_idle_reloads(instance: Instance, run: Sequence[int]) -> list[int]:
    """Return the run without reloads after which nothing is visited before the next, or the end."""
    kept = list[int]()
    ahead = None
    for node in reversed(run):
        reload = instance.kind[node] == NodeKind.RELOAD
        if not reload or ahead not in (None, NodeKind.RELOAD):
            kept.append(node)
            ahead = ahead if instance.kind[node] == NodeKind.BREAK else instance.kind[node]
    return kept[::-1]
