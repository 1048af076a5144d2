"""Which work some van could do, were it the only work of the day.

The idea: an item that no van can ever serve is kept from the engines, so that it does not cost the others their plan.
"""

from collections.abc import Sequence

import numpy as np

from solver.breaks import with_breaks
from solver.instance import Instance
from solver.rules import keeps_all
from solver.schedule import drive, table
from solver.timing_kernels import Bools


def servable(instance: Instance, kinds: Sequence[int]) -> Bools:
    """Return which items some van could serve alone, by item; `kinds` has a number for each van that alike vans share."""
    vans = sorted(set(kinds))
    rows = [(van, with_breaks(instance, van, nodes)) for nodes in instance.item_nodes for van in vans]
    if not rows:
        return np.zeros(0, dtype=bool)
    fine = keeps_all(drive(instance, *table(instance, rows)))
    return np.asarray(fine.reshape(len(instance.items), len(vans)).any(axis=1))
