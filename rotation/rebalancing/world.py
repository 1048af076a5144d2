"""A snapshot prepared for the circulation: the data of each title at each place, and each place's limits.

Only cells that differ from "holds nothing of it and never did" are kept; all others follow from the rates. So a city of
150 million title-place pairs is a table of a few million cells.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import kernels
from rotation.rebalancing.demand import Rates, fading, of_pairs
from rotation.rebalancing.snapshot import (
    FORGOTTEN_WEEKS,
    NEVER_WEEKS,
    Copies,
    Flags,
    Floats,
    Ints,
    PlanningSettings,
    Snapshot,
    StockState,
)

# Copies: more than any city owns, small enough that sums and costs stay far inside 64 bits.
NO_LIMIT = 10**7
# Owners are bits of a 64-bit word.
MOST_OWNERS = 62
COUNTED = (StockState.ON_SHELF, StockState.ON_LOAN, StockState.IN_TRANSIT, StockState.RESERVED)
NOT_NEGATIVE = (
    "in_copies",
    "out_copies",
    "fresh_quota",
    "class_floor",
    "least_lot",
    "population",
    "in_cost",
    "out_cost",
    "out_minutes",
    "in_minutes",
    "van_minutes",
    "visit_price",
)
STANDING = (
    StockState.ON_SHELF,
    StockState.IN_TRANSIT,
    StockState.RESERVED,
)  # takes shelf room, now or on arrival


class World(NamedTuple):
    """Arrays for the compiled loops. Cells are sorted by title, then place; `ptr[t]:ptr[t + 1]` are those of title t."""

    ptr: NDArray[np.int64]
    place: Ints
    copies: Ints  # counted there, on loan included
    free: Ints  # of them, those that may leave today
    mult: Floats  # factor on the rate: the pair's own posterior, and the age of its display
    bonus: Floats  # worth of an arrival beyond loans: waiting readers, a request by a set
    awaited: Floats  # of it, what waiting readers are worth
    requested: Ints  # copies requested by sets
    fresh: NDArray[np.int8]
    one_more: Floats  # worth of another copy there, bonus included, before the costs and prices of arriving
    most_bonus: Floats  # T: the title's highest bonus
    fastest: Floats  # T: the title's highest factor on its rate
    factor: Floats  # T
    worth: Floats  # T
    cls: Ints  # T
    homeless: Ints  # T: copies without a home
    mask_row: Ints  # T: row of `masks`
    masks: Flags  # M x P: where the title's copies may arrive today
    of_class: Floats  # K x P
    weight: Floats  # P: equity
    in_cost: Floats  # P
    out_cost: Floats  # P
    hub: Ints  # P: column of `trunk`
    trunk: (
        Floats  # T x hubs: the shortest way there from any copy that may leave, in loans; pairing charges the real one
    )
    section: Ints  # K: shelf section of the class
    peak: Floats  # K: no place has a higher weight x rate of the class
    horizon: float
    loan: float
    novelty: float  # factor on the rate of a title that comes where it never was
    request_worth: float


class PlaceLimits(NamedTuple):
    """Limits of places in copies, S x P unless stated."""

    room: NDArray[np.int64]  # net increase at most
    room_total: NDArray[np.int64]  # P
    in_copies: NDArray[np.int64]  # P
    out_copies: NDArray[np.int64]  # P
    fresh: NDArray[np.int64]  # the quota, shared among sections in proportion to their loans there
    short: NDArray[np.int64]  # missing to the section's floor
    above: NDArray[np.int64]  # may leave before the floor is hurt; NO_LIMIT where there is none
    asked: NDArray[np.int64]  # fresh copies requested by sets, beyond the quota


class Tables(NamedTuple):
    """All inputs of the night."""

    world: World
    limits: PlaceLimits
    free_copy: Flags  # C: may leave today
    usable: Flags  # C: its title and place are known, and it does not follow another copy
    refused: Mapping[str, NDArray[np.int64]]
    volumes: Ints | None = None  # T: copies that move together; None: each alone


def tables(snapshot: Snapshot, rates: Rates, settings: PlanningSettings) -> Tables:
    """Make the tables.

    Raises
    ------
    ValueError
        With one sentence when the snapshot contradicts itself.
    """
    check(snapshot)
    known, refused = _usable(snapshot)
    usable, free = _leading(snapshot, known, _free(snapshot, known, settings))
    section = _sections(snapshot)
    world = _world(snapshot, rates, settings, usable, free, section)
    if settings.desk_chance < 1:
        world = _left_to_placement(world, settings)
    return Tables(world, _limits(snapshot, world, known), free, usable, refused, _volumes(snapshot))


def staying(tables: Tables, snapshot: Snapshot, copies: NDArray[np.int64]) -> Tables:
    """Return the tables with some copies that may not leave after all."""
    world, free_copy = tables.world, tables.free_copy.copy()
    free_copy[copies] = False
    width = max(len(world.weight), 1)
    keys = np.repeat(np.arange(len(world.factor)), np.diff(world.ptr)) * width + world.place
    cell = np.searchsorted(keys, snapshot.copies.title[copies].astype(np.int64) * width + snapshot.copies.place[copies])
    free = np.maximum(world.free - np.bincount(cell, minlength=len(world.free)), 0).astype(np.int32)
    return tables._replace(world=world._replace(free=free), free_copy=free_copy)


def check(snapshot: Snapshot) -> None:
    """Reject input from which no plan can be made.

    Raises
    ------
    ValueError
        Naming the first wrong row and column, and the expected value.
    """
    places, titles = snapshot.places, snapshot.titles
    for name in NOT_NEGATIVE:
        _refuse_below(getattr(places, name), 0, f"place {{}} has {name} {{}}; it must not be negative")
    for name in ("room", "room_total"):
        _refuse_below(getattr(places, name), -1, f"place {{}} has {name} {{}}; expected copies, or -1 for no limit")
    _refuse_below(titles.worth, 0, "title {} has worth {}; it must not be negative")
    if len(titles) and not ((titles.cls >= 0) & (titles.cls < snapshot.classes)).all():
        raise ValueError(
            f"titles have classes {titles.cls.min()} to {titles.cls.max()}, but there are {snapshot.classes}"
        )
    if len(titles) and titles.float_group.max() >= len(places.groups):
        raise ValueError(f"a title has float group {titles.float_group.max()}, but there are {len(places.groups)}")
    _check_owners(snapshot)
    if snapshot.asked is not None and snapshot.asked.shape != (len(places), snapshot.classes):
        raise ValueError(
            f"sets ask for {snapshot.asked.shape}; expected {len(places)} places x {snapshot.classes} classes"
        )
    if snapshot.lane_cost is not None and snapshot.lane_cost.shape != (len(places), len(places)):
        raise ValueError(f"lane costs are {snapshot.lane_cost.shape}; expected a square of {len(places)} places")
    if snapshot.guard is not None and not (len(snapshot.guard) == len(places) and (snapshot.guard >= 0).all()):
        raise ValueError(f"guards are weights of 0 or more, one for each of {len(places)} places")


def _refuse_below(values: NDArray[np.generic], least: float, sentence: str) -> None:
    numbers = np.asarray(values, np.float64)
    wrong = ~(numbers >= least)  # catches NaN too
    if wrong.any():
        row = np.argwhere(np.atleast_1d(wrong))[0]
        raise ValueError(sentence.format(int(row[0]), numbers[tuple(row)]))


def _check_owners(snapshot: Snapshot) -> None:
    if snapshot.consent is None:
        return
    rows, columns = snapshot.consent.shape
    if rows > MOST_OWNERS:
        raise ValueError(f"there are {rows} owners; at most {MOST_OWNERS} can be told apart")
    highest = int(snapshot.copies.owner.max(initial=0)), int(snapshot.places.owner.max(initial=0))
    if highest[0] >= rows or highest[1] >= columns:
        raise ValueError(
            f"consent is {rows} x {columns} owners, but copies go up to owner {highest[0]}, places to {highest[1]}"
        )


def _usable(snapshot: Snapshot) -> tuple[Flags, dict[str, NDArray[np.int64]]]:
    copies = snapshot.copies
    title_known = (copies.title >= 0) & (copies.title < len(snapshot.titles))
    place_known = (copies.place >= 0) & (copies.place < len(snapshot.places))
    refused = {
        "unknown_title": np.flatnonzero(~title_known),
        "unknown_place": np.flatnonzero(title_known & ~place_known & (copies.state != StockState.ABSENT)),
    }
    return title_known & place_known, {reason: rows for reason, rows in refused.items() if len(rows)}


def _free(snapshot: Snapshot, usable: Flags, settings: PlanningSettings) -> Flags:
    """Return the copies that may leave today: on the shelf, rested, not fixed, and at a place that is served."""
    copies = snapshot.copies
    free = (
        usable
        & (copies.state == StockState.ON_SHELF)
        & ~copies.fixed
        & (copies.moved_weeks >= settings.cool_down_weeks)
    )
    if len(snapshot.places):
        free &= snapshot.places.out_copies[np.where(usable, copies.place, 0)] > 0
    return np.asarray(free)


def _leading(snapshot: Snapshot, known: Flags, free: Flags) -> tuple[Flags, Flags]:
    """Return the known and the free copies without followers; a leader is free only if all its followers are."""
    if snapshot.goes_with is None:
        return known, free
    alone = snapshot.goes_with < 0
    np.logical_and.at(free, snapshot.goes_with[~alone], free[~alone])
    return known & alone, free & alone


def _volumes(snapshot: Snapshot) -> Ints | None:
    if snapshot.goes_with is None:
        return None
    volumes, leads = np.ones(len(snapshot.titles), np.int32), snapshot.goes_with[snapshot.goes_with >= 0]
    np.maximum.at(volumes, snapshot.copies.title[leads], 1 + np.bincount(leads, minlength=1)[leads].astype(np.int32))
    return volumes


def _sections(snapshot: Snapshot) -> Ints:
    """Return the section of each class: classes with a limit, a floor or a set anywhere have their own, the others share one."""
    own = ((snapshot.places.room >= 0) | (snapshot.places.class_floor > 0) | (_asked(snapshot) > 0)).any(axis=0)
    rank = np.where(own, np.arange(1, snapshot.classes + 1), 0)
    return np.asarray(np.unique(rank, return_inverse=True)[1], dtype=np.int32)


def _asked(snapshot: Snapshot) -> Ints:
    return np.zeros_like(snapshot.places.class_floor) if snapshot.asked is None else snapshot.asked


def distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct keys, ascending: `np.unique` would hash them first, which takes forty times as long."""
    ordered = np.sort(keys)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


def by_section(values: NDArray[np.int64], section: Ints) -> NDArray[np.int64]:
    """Add up P x K numbers to S x P."""
    total = np.zeros((int(section.max(initial=-1)) + 1, len(values)), np.int64)
    np.add.at(total, section, values.T)
    return total


def standing(snapshot: Snapshot, states: tuple[StockState, ...], usable: Flags | None = None) -> NDArray[np.int64]:
    """Count copies in `states` by place and class, P x K."""
    copies = snapshot.copies
    chosen = np.isin(copies.state, states) & (_usable(snapshot)[0] if usable is None else usable)
    shape = len(snapshot.places), snapshot.classes
    cell = copies.place[chosen].astype(np.int64) * shape[1] + snapshot.titles.cls[copies.title[chosen]]
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def _limits(snapshot: Snapshot, world: World, usable: Flags) -> PlaceLimits:
    places, section = snapshot.places, world.section
    here = standing(snapshot, STANDING, usable)
    stock = by_section(standing(snapshot, COUNTED, usable), section)
    floor = by_section(places.class_floor.astype(np.int64), section)
    open_ended = by_section((places.room < 0).astype(np.int64), section) > 0
    room = by_section(places.room.astype(np.int64), section) - by_section(here, section)
    total = np.where(places.room_total < 0, NO_LIMIT, places.room_total - here.sum(1))
    return PlaceLimits(
        np.where(open_ended, NO_LIMIT, np.maximum(room, 0)),
        np.maximum(total, 0),
        places.in_copies.astype(np.int64),
        places.out_copies.astype(np.int64),
        _quota_by_section(world, places.fresh_quota.astype(np.int64)),
        np.maximum(floor - stock, 0),
        np.where(floor > 0, np.maximum(stock - floor, 0), NO_LIMIT),
        by_section(_asked(snapshot).astype(np.int64), section),
    )


def _quota_by_section(world: World, quota: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share each place's quota among its sections in proportion to the rates of their classes, largest remainders up."""
    rate = np.zeros((int(world.section.max(initial=-1)) + 1, len(quota)))
    titles = np.bincount(world.cls, world.factor, len(world.section))
    np.add.at(rate, world.section, world.of_class * titles[:, None] + 1e-9)
    exact = quota * rate / np.maximum(rate.sum(0), 1e-9)
    share = np.floor(exact).astype(np.int64)
    rank = np.argsort(np.argsort(share - exact, axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray(share + (rank < quota - share.sum(0)), np.int64)


class _Cells(NamedTuple):
    """Rows of the table of cells, by key = title x places + place, ascending."""

    key: NDArray[np.int64]
    copies: Ints
    free: Ints
    mult: Floats
    bonus: Floats
    awaited: Floats
    requested: Ints
    fresh: NDArray[np.int8]


def _greatest(size: int, title: NDArray[np.int64], values: Floats, least: float) -> Floats:
    """Return each title's greatest value (T), at least `least`."""
    greatest = np.full(size, least, np.float32)
    np.maximum.at(greatest, title, values)
    return greatest


def _world(
    snapshot: Snapshot, rates: Rates, settings: PlanningSettings, usable: Flags, free: Flags, section: Ints
) -> World:
    cells = _cells(snapshot, rates, settings, usable, free)
    size, width = len(snapshot.titles), max(len(snapshot.places), 1)
    title, place = cells.key // width, (cells.key % width).astype(np.int32)
    novelty = float(fading(0.0, rates, settings.horizon_weeks))
    leaving = free | _is_homeless(snapshot, usable)
    mask_row, masks = _masks(snapshot, leaving)
    world = World(
        np.searchsorted(title, np.arange(size + 1)),
        place,
        cells.copies,
        cells.free,
        cells.mult,
        cells.bonus,
        cells.awaited,
        cells.requested,
        cells.fresh,
        np.zeros(len(place), np.float32),
        _greatest(size, title, cells.bonus, 0.0),
        _greatest(size, title, cells.mult, novelty),
        rates.of_title,
        snapshot.titles.worth,
        snapshot.titles.cls,
        _homeless(snapshot, usable),
        mask_row,
        masks,
        rates.of_class,
        np.ones(len(snapshot.places), np.float32),
        snapshot.places.in_cost,
        snapshot.places.out_cost,
        *_trunks(snapshot, leaving),
        section,
        np.zeros(snapshot.classes, np.float32),
        settings.horizon_weeks,
        settings.loan_weeks,
        novelty,
        settings.request_worth,
    )
    equity = _equity(world, snapshot.places.population, settings)
    return weighed(world, equity if snapshot.guard is None else equity * snapshot.guard)


def weighed(world: World, weight: Floats) -> World:
    """Return the world with these equity weights, and each cell valued by them."""
    peak = (world.of_class * weight).max(1, initial=0).astype(np.float32)
    valued = world._replace(weight=weight, peak=peak, one_more=np.zeros(len(world.place), np.float32))
    kernels.cell_receipts(valued, valued.one_more)
    return valued


def _cells(snapshot: Snapshot, rates: Rates, settings: PlanningSettings, usable: Flags, free: Flags) -> _Cells:
    copies, width = snapshot.copies, max(len(snapshot.places), 1)
    counted = usable & np.isin(copies.state, COUNTED)
    key = copies.title.astype(np.int64) * width + copies.place
    held, which = np.unique(key[counted], return_inverse=True)
    number = np.bincount(which, minlength=len(held))
    rested = np.bincount(which, free[counted], len(held)).astype(np.int32)
    age = np.zeros(len(held), np.float32)
    np.maximum.at(age, which, copies.arrived_weeks[counted])
    standing_now = np.bincount(which, copies.state[counted] != StockState.ON_LOAN, len(held))
    pairs = snapshot.left, snapshot.holds, snapshot.requests, snapshot.local
    left, holds, requests, local = (_summed(p, snapshot) for p in pairs)
    own = of_pairs(snapshot, rates, settings.season)
    keys = distinct(np.concatenate([held, left[0], holds[0], requests[0], local[0], own[0]]))
    at = np.searchsorted(keys, held)
    there, free_here, present = (np.zeros(len(keys)) for _ in range(3))
    there[at], present[at], free_here[at] = number, standing_now, rested
    mult, fresh = _absent_mult(keys, left, rates, settings)
    mult[at], fresh[at] = fading(age, rates, settings.horizon_weeks), 0
    mult[np.searchsorted(keys, own[0])] *= own[1].astype(np.float32)
    waiting, asked = _onto(keys, holds), _onto(keys, requests)
    from_afar = waiting - _onto(keys, local)
    awaited = settings.hold_worth * (from_afar > present)
    bonus = awaited + settings.request_worth * (asked > there)
    kept = waiting + np.maximum(asked - (present - free_here), 0)  # for readers who wait here, and for sets
    leaving = np.clip(free_here - kept, 0, None).astype(np.int32)
    worth = bonus.astype(np.float32), awaited.astype(np.float32)
    return _Cells(keys, there.astype(np.int32), leaving, mult, *worth, asked.astype(np.int32), fresh)


Summed = tuple[NDArray[np.int64], NDArray[np.float64]]


def _summed(pairs: object, snapshot: Snapshot) -> Summed:
    """Return unique keys of pairs within the snapshot, ascending, and their numbers added up."""
    title, place, number = pairs.title, pairs.place, pairs.number  # type: ignore[attr-defined]
    good = (title >= 0) & (title < len(snapshot.titles)) & (place >= 0) & (place < len(snapshot.places))
    key = title[good].astype(np.int64) * max(len(snapshot.places), 1) + place[good]
    unique, which = np.unique(key, return_inverse=True)
    return unique, np.bincount(which, np.asarray(number[good], np.float64), len(unique)).astype(np.float64)


def _onto(keys: NDArray[np.int64], summed: Summed) -> NDArray[np.float64]:
    spread = np.zeros(len(keys))
    spread[np.searchsorted(keys, summed[0])] = summed[1]
    return spread


def _absent_mult(
    keys: NDArray[np.int64], left: Summed, rates: Rates, settings: PlanningSettings
) -> tuple[Floats, NDArray[np.int8]]:
    """Return the factor of age and the freshness of titles that are not held: readers know those that left lately."""
    weeks = np.full(len(keys), np.inf)
    weeks[np.searchsorted(keys, left[0])] = left[1]
    fresh = weeks >= settings.fresh_after_weeks
    age = np.where(weeks < FORGOTTEN_WEEKS, NEVER_WEEKS, 0.0)
    return fading(age, rates, settings.horizon_weeks).astype(np.float32), fresh.astype(np.int8)


def _trunks(snapshot: Snapshot, movable: Flags) -> tuple[Ints, Floats]:
    """Return each place's hub, and for each title the least cost between the hubs from where a copy may leave."""
    if snapshot.lane_cost is None:
        return np.zeros(len(snapshot.places), np.int32), np.zeros((len(snapshot.titles), 1), np.float32)
    to_hub, hub = np.unique(snapshot.lane_cost, axis=1, return_inverse=True)
    least = np.full((len(snapshot.titles), to_hub.shape[1]), np.inf, np.float32)
    rows = np.flatnonzero(movable)
    np.minimum.at(least, snapshot.copies.title[rows], to_hub[snapshot.copies.place[rows]])
    return hub.reshape(-1).astype(np.int32), np.where(np.isinf(least), np.float32(0.0), least)


def _is_homeless(snapshot: Snapshot, usable: Flags) -> Flags:
    return np.asarray(usable & (snapshot.copies.state == StockState.HOMELESS))


def _homeless(snapshot: Snapshot, usable: Flags) -> Ints:
    rows = snapshot.copies.title[_is_homeless(snapshot, usable)]
    return np.bincount(rows, minlength=len(snapshot.titles)).astype(np.int32)


def _masks(snapshot: Snapshot, movable: Flags) -> tuple[Ints, Flags]:
    """Return each title's row in a table of allowed destinations: served, in its group, with consent."""
    places, group = snapshot.places, snapshot.titles.float_group.astype(np.int64)
    owners = _owner_bits(snapshot.copies, movable, len(group))
    pairs, row = np.unique(np.stack([group, owners]), axis=1, return_inverse=True)
    allowed = np.broadcast_to(places.in_copies > 0, (pairs.shape[1], len(places))).copy()
    for i, (number, bits) in enumerate(pairs.T):
        if number >= 0:
            allowed[i] &= places.groups[number]
        if snapshot.consent is not None:
            mine = [o for o in range(snapshot.consent.shape[0]) if bits >> o & 1]
            allowed[i] &= snapshot.consent[mine][:, places.owner].any(axis=0)
    return row.reshape(-1).astype(np.int32), allowed


def _owner_bits(copies: Copies, movable: Flags, titles: int) -> NDArray[np.int64]:
    bits = np.zeros(titles, np.int64)
    if (copies.owner > 0).any():
        np.bitwise_or.at(bits, copies.title[movable], np.int64(1) << copies.owner[movable].astype(np.int64))
    else:
        bits[:] = 1
    return bits


def expected_loans(world: World) -> NDArray[np.float64]:
    """Return the expected loans of each cell over the horizon, with the copies it has."""
    out = np.zeros(len(world.place))
    kernels.access(world, out)
    return out


def _equity(world: World, population: NDArray[np.float64], settings: PlanningSettings) -> Floats:
    """Return alpha-fair weights on access per head, within bounds; a place without its own residents keeps 1."""
    per_head = np.bincount(world.place, expected_loans(world), len(population)) / np.maximum(population, 1)
    known = (population > 0) & (per_head > 0)
    if not settings.equity or not known.any():
        return np.ones(len(population), np.float32)
    ratio = np.where(known, per_head, 1) / np.median(per_head[known])
    weight = np.clip(ratio**-settings.equity, settings.equity_least, settings.equity_most)
    unserved = (population > 0) & (per_head == 0)
    return np.where(known, weight, np.where(unserved, settings.equity_most, 1.0)).astype(np.float32)


def _left_to_placement(world: World, settings: PlanningSettings) -> World:
    """Keep in place every copy that readers will probably bring to a desk within the horizon anyway."""
    each = expected_loans(world) / np.maximum(world.copies, 1)
    return world._replace(free=np.where(-np.expm1(-each) > settings.desk_chance, 0, world.free).astype(np.int32))
