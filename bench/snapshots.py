"""Synthetic nights of any size for the planner's benchmark: a four-tier city whose stock was placed by a stale view of demand.

The truth (`lam` = title x class-at-place) is drawn first; what the library has seen is drawn from it, so that the planner
works with estimates as it would in the field.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.snapshot import Copies, Exposure, Pairs, Places, Snapshot, StockState, Titles

CLASSES = 24
SPECIAL = (20, 21, 22, 23)  # large print, minority languages, audio, braille: shelves with floors at small places
LOANS_A_COPY_YEAR = 2.6  # as the prototype's cities: about 3 a year of which some find no copy
TIER_SHARES = (0.01, 0.09, 0.30, 0.60)
ACTIVITY = np.array([12.0, 5.0, 2.0, 0.7])  # how busy a place of each tier is
IN_COPIES = np.array([600, 200, 80, 40])  # a few crates for a room, a pallet for the central library
ROOM_LEFT = np.array([200, 60, 20, 8])  # free shelf room as things stand
FRESH_QUOTA = np.array([0, 0, 4, 10])
FLOOR_SHARE = 0.3  # of small places have a special-group shelf that should be larger


@dataclass(frozen=True)
class SnapshotSize:
    """A row of the benchmark's table."""

    name: str
    copies: int
    titles: int
    places: int


def tiers(places: int) -> NDArray[np.int32]:
    """Return the tier of each place, at least one of each."""
    counts = np.maximum(1, np.round(np.array(TIER_SHARES) * places).astype(int))
    counts[3] = max(places - counts[:3].sum(), 1)
    return np.repeat(np.arange(4), counts)[:places].astype(np.int32)


def night(size: SnapshotSize, seed: int) -> Snapshot:
    """Draw a night."""
    draw = np.random.default_rng(seed)
    tier = tiers(size.places)
    activity = ACTIVITY[tier] * draw.lognormal(0, 0.35, size.places)
    cls = draw.integers(0, CLASSES, size.titles).astype(np.int32)
    taste = draw.lognormal(0, 0.6, (CLASSES, size.places)) * activity
    factor = draw.gamma(0.45, 1.0, size.titles) + 0.02
    title, place = _stock(draw, size, cls, taste, factor)
    rate = factor[title] * taste[cls[title], place]
    scale = LOANS_A_COPY_YEAR / 52 / rate.mean()
    copies = _copies(draw, title, place)
    exposure = _exposure(draw, size, title, place, rate * scale)
    left = size.titles // 2
    history = Pairs.of(
        draw.integers(0, size.titles, left), draw.integers(0, size.places, left), draw.uniform(0, 120, left)
    )
    waiting = Pairs.of(
        draw.integers(0, size.titles, size.titles // 100), draw.integers(0, size.places, size.titles // 100), 1.0
    )
    return Snapshot(
        Titles.of(cls),
        _places(draw, size, tier, activity, title, place, cls, copies),
        copies,
        exposure,
        waiting,
        history,
    )


def _stock(
    draw: np.random.Generator,
    size: SnapshotSize,
    cls: NDArray[np.int32],
    taste: NDArray[np.float64],
    factor: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    number = draw.multinomial(size.copies - size.titles, factor**0.8 / (factor**0.8).sum()) + 1
    title = np.repeat(np.arange(size.titles, dtype=np.int32), number)
    stale_view = (taste * draw.lognormal(0, 0.9, taste.shape)) ** 0.8
    chance = np.cumsum(stale_view / stale_view.sum(1, keepdims=True), axis=1)
    place = np.empty(size.copies, np.int32)
    for c in range(CLASSES):
        mine = np.flatnonzero(cls[title] == c)
        place[mine] = np.searchsorted(chance[c], draw.random(len(mine))).clip(0, size.places - 1)
    return title, place


def _copies(draw: np.random.Generator, title: NDArray[np.int32], place: NDArray[np.int32]) -> Copies:
    n = len(title)
    state = draw.choice(
        [StockState.ON_SHELF, StockState.ON_LOAN, StockState.IN_TRANSIT, StockState.RESERVED],
        n,
        p=[0.78, 0.18, 0.03, 0.01],
    )
    return Copies.of(
        title,
        place,
        state,
        fixed=draw.random(n) < 0.05,
        moved_weeks=np.where(draw.random(n) < 0.25, draw.uniform(0, 24, n), 9999),
        arrived_weeks=draw.exponential(30, n),
        idle_weeks=draw.exponential(15, n),
    )


def _exposure(
    draw: np.random.Generator,
    size: SnapshotSize,
    title: NDArray[np.int32],
    place: NDArray[np.int32],
    rate: NDArray[np.float64],
) -> Exposure:
    key, first = np.unique(title.astype(np.int64) * size.places + place, return_index=True)
    weeks = draw.uniform(5, 60, len(key))
    return Exposure.of(key // size.places, key % size.places, draw.poisson(rate[first] * weeks), weeks)


def _places(
    draw: np.random.Generator,
    size: SnapshotSize,
    tier: NDArray[np.int32],
    activity: NDArray[np.float64],
    title: NDArray[np.int32],
    place: NDArray[np.int32],
    cls: NDArray[np.int32],
    copies: Copies,
) -> Places:
    stands = copies.state != StockState.ON_LOAN
    here = np.bincount(place[stands], minlength=size.places)
    of_class = np.zeros((size.places, CLASSES), np.int64)
    np.add.at(of_class, (place, cls[title]), 1)
    floor = np.zeros((size.places, CLASSES), np.int64)
    small = (tier >= 2) & (draw.random(size.places) < FLOOR_SHARE)
    for c in SPECIAL:
        floor[:, c] = np.where(small, of_class[:, c] + 5, 0)
    transport = draw.uniform(0.02, 0.10, size.places)
    return Places.of(
        tier,
        activity * draw.lognormal(0, 0.45, size.places) * 6000,
        classes=CLASSES,
        room_total=here + ROOM_LEFT[tier],
        in_copies=IN_COPIES[tier],
        out_copies=IN_COPIES[tier],
        in_cost=0.04 + transport,
        out_cost=0.05 + transport,
        fresh_quota=FRESH_QUOTA[tier],
        class_floor=floor,
    )


SIZES = (
    SnapshotSize("66k", 66_000, 8_000, 85),
    SnapshotSize("250k", 250_000, 60_000, 200),
    SnapshotSize("1M", 1_000_000, 300_000, 500),
    SnapshotSize("3M", 3_000_000, 800_000, 800),
    SnapshotSize("10M", 10_000_000, 2_000_000, 1_200),
)
MIDDLE = SnapshotSize("250k", 250_000, 60_000, 200)
GROWTH = {  # the middle size with one of its three numbers a quarter and four times as large
    "copies": (SnapshotSize("copies/4", 62_500, 60_000, 200), MIDDLE, SnapshotSize("copiesx4", 1_000_000, 60_000, 200)),
    "titles": (SnapshotSize("titles/4", 250_000, 15_000, 200), MIDDLE, SnapshotSize("titlesx4", 250_000, 240_000, 200)),
    "places": (SnapshotSize("places/4", 250_000, 60_000, 50), MIDDLE, SnapshotSize("placesx4", 250_000, 60_000, 800)),
}
