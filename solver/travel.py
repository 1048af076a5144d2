"""How far and how long between places.

The idea: the answer is always a pair of integer matrices over named places, metres and seconds; the
rest of the solver never asks where they came from.
"""

import math
from collections.abc import Sequence

import numpy as np

from solver.earth import EARTH_RADIUS_M
from solver.problem import Roads

Point = tuple[float, float]  # latitude, longitude, degrees


def straight_lines(points: Sequence[Point], roads: Roads) -> tuple[np.ndarray, np.ndarray]:
    """Return metres and seconds between all points: great circles, stretched to roads, at the speed of their length."""
    lat, lon = np.radians(np.array(points, dtype=float).reshape(-1, 2)).T
    haversine = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    metres = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(haversine)) * roads.road_factor
    near_m = np.minimum(metres, roads.far_m)
    seconds = near_m / (roads.speed_kmh / 3.6) + (metres - near_m) / (roads.far_speed_kmh / 3.6)
    return np.rint(metres).astype(np.int64), np.ceil(seconds - math.ulp(1.0)).astype(np.int64)
