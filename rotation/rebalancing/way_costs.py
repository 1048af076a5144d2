"""The way's price: the cost of carrying a copy, in loans, the same for the night's picks, the desk's answers and the twin city.

A copy travels from its place to the hub that serves it, by the trunk to the other place's hub, and on. Each place's own part is
charged at that end, since a pick leaves one place and reaches another at prices of their own; the trunk depends on both ends.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

HANDLING_LOANS = 0.04  # a copy's handling at one end, in loans: some 20 s of the staff time that a loan is worth


class WayCosts(NamedTuple):
    """Loans: of a copy at each end, P, handling included, and between the hubs of two places, P x P."""

    end: NDArray[np.float64]
    trunk: NDArray[np.float32]


def way_costs(to_hub_km: Sequence[float], trunk_km: ArrayLike, loans_per_km: float) -> WayCosts:
    """Return the costs of kilometres from each place to its hub (P) and between the hubs of two places (P x P)."""
    end = HANDLING_LOANS + loans_per_km * np.asarray(to_hub_km, dtype=np.float64)
    return WayCosts(end, np.asarray(loans_per_km * np.asarray(trunk_km), dtype=np.float32))
