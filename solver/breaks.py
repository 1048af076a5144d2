"""Where the driver rests: engines choose the visits, and each break goes where it does least harm.

The idea: try every position in a table, and keep the position with the fewest broken rules and the earliest end.
"""

import numpy as np

from solver.instance import Instance, has_rested
from solver.rules import broken
from solver.schedule import drive, table


def with_breaks(instance: Instance, van: int, nodes: list[int]) -> list[int]:
    """Return the run with each of its driver's breaks where it does least harm, or without a break that it can spare."""
    for rest in instance.breaks[van]:
        if rest not in nodes and not has_rested(instance, van, rest):
            nodes = _with_break(instance, van, nodes, rest)
    return nodes


def _with_break(instance: Instance, van: int, nodes: list[int], rest: int) -> list[int]:
    rows = [nodes, *([*nodes[:at], rest, *nodes[at:]] for at in range(len(nodes) + 1))]
    runs = drive(instance, *table(instance, [(van, row) for row in rows]))
    wrong = sum(broken(runs).values(), np.zeros(len(rows), dtype=np.int64))
    return rows[int(np.lexsort((runs.work_s, wrong))[0])]
