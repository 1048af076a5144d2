"""Nights that once broke a promise: minimum lots, and plans worth less than doing nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.rebalancing.plan import Plan, plan
from rotation.rebalancing.snapshot import (
    Copies,
    Exposure,
    Places,
    PlanningSettings,
    Snapshot,
    StockState,
    Titles,
)
from tests.unit.planning.test_plan import EXACT, ROUNDED, city


def handled(decided: Plan, snapshot: Snapshot) -> np.ndarray:
    ends = [m.destination for m in decided.moves]
    ends += [m.origin for m in decided.moves if snapshot.copies.state[m.copy] != StockState.HOMELESS]
    return np.bincount(ends, minlength=len(snapshot.places))


def assert_whole_lots(decided: Plan, snapshot: Snapshot) -> None:
    copies, least = handled(decided, snapshot), snapshot.places.least_lot
    assert ((copies == 0) | (copies >= least)).all(), (copies, least)


def crowded(seed: int) -> Snapshot:
    """Draw a small night with lots, volumes, owners and homeless copies."""
    draw = np.random.default_rng(seed)
    snapshot = city(seed, titles=8, copies=24, least_lot=draw.integers(0, 7, 4), owner=draw.integers(0, 3, 4))
    homeless = draw.random(24) < 0.2
    copies = replace(
        snapshot.copies,
        owner=draw.integers(0, 3, 24).astype(np.int32),
        state=np.where(homeless, StockState.HOMELESS, StockState.ON_SHELF).astype(np.int8),
    )
    titles = Titles.of(snapshot.titles.cls, volume_of=draw.integers(-1, 3, 8))
    consent = draw.random((3, 3)) < 0.6
    places = replace(snapshot.places, in_copies=draw.integers(0, 12, 4).astype(np.int32))
    return replace(snapshot, copies=copies, titles=titles, consent=consent, places=places)


@given(st.integers(0, 100_000), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=40, deadline=None)
def test_a_lot_is_large_enough_or_none_after_owners_volumes_and_held_back_moves(seed: int, share: float):
    snapshot = crowded(seed)
    decided = plan(snapshot, replace(EXACT, held_back_share=share), seed=seed)
    assert_whole_lots(decided, snapshot)
    assert -ROUNDED <= decided.value <= decided.bound + ROUNDED


def test_moves_are_held_back_as_far_as_the_lot_allows():
    snapshot = city(3, titles=20, copies=50)
    free = plan(snapshot, EXACT)
    exact = replace(snapshot.places, least_lot=handled(free, snapshot).astype(np.int32))
    assert not plan(replace(snapshot, places=exact), replace(EXACT, held_back_share=0.5)).held_back
    less = replace(snapshot.places, least_lot=(handled(free, snapshot) // 2).astype(np.int32))
    back = plan(replace(snapshot, places=less), replace(EXACT, held_back_share=0.5)).held_back
    assert 0 < len(back) < len(free.moves)


@given(st.integers(0, 100_000), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_with_volumes_and_floors_no_night_is_worth_less_than_doing_nothing(seed: int, most: int):
    draw = np.random.default_rng(seed)
    one = city(
        seed,
        titles=7,
        copies=9,
        class_floor=draw.integers(0, 5, (4, 2)),
        out_copies=draw.integers(0, 4, 4),
        room_total=draw.integers(0, 11, 4),
        in_copies=most,
        fresh_quota=draw.integers(0, 3, 4),
    )
    volumes = Titles.of(one.titles.cls, volume_of=draw.integers(-1, 2, 7))
    assert plan(replace(one, titles=volumes), replace(EXACT, move_price=0.7)).value >= -ROUNDED


def fewer_copies_than_the_lot_once_held_back() -> tuple[Snapshot, PlanningSettings]:
    snapshot = Snapshot(
        titles=Titles(
            cls=np.array([1, 1, 0], np.int32),
            float_group=np.array([-1, -1, -1], np.int32),
            worth=np.array([2.0, 0.5, 1.0], np.float32),
            volume_of=np.array([-1, -1, -1], np.int32),
        ),
        places=Places(
            tier=np.array([3, 1, 0, 2, 3], np.int32),
            population=np.array([5411.0, 207.0, 0.0, 3126.0, 1476.0], np.float64),
            room=np.array([[-1, -1], [-1, -1], [-1, -1], [-1, -1], [-1, -1]], np.int32),
            room_total=np.array([-1, -1, -1, -1, -1], np.int32),
            in_copies=np.array([1000000, 1000000, 1000000, 1000000, 1000000], np.int32),
            out_copies=np.array([1000000, 1000000, 1000000, 1000000, 1000000], np.int32),
            in_cost=np.array([0.1, 0.1, 0.1, 0.1, 0.1], np.float32),
            out_cost=np.array([0.1, 0.1, 0.1, 0.1, 0.1], np.float32),
            owner=np.array([0, 0, 0, 0, 0], np.int32),
            groups=np.zeros((0, 5), np.bool),
            fresh_quota=np.array([0, 0, 0, 0, 0], np.int32),
            class_floor=np.array([[0, 0], [0, 0], [0, 0], [0, 0], [0, 0]], np.int32),
            least_lot=np.array([2, 3, 1, 0, 1], np.int32),
            visit_price=np.array([0.0, 0.0, 0.0, 0.0, 0.0], np.float32),
            out_minutes=np.array([2.5, 2.5, 2.5, 2.5, 2.5], np.float32),
            in_minutes=np.array([0.5, 0.5, 0.5, 0.5, 0.5], np.float32),
            van_minutes=np.array([0.3, 0.3, 0.3, 0.3, 0.3], np.float32),
        ),
        copies=Copies(
            title=np.array([0, 0, 1], np.int32),
            place=np.array([2, 2, 4], np.int32),
            state=np.array([0, 0, 0], np.int8),
            owner=np.array([0, 0, 0], np.int32),
            fixed=np.array([False, False, False], np.bool),
            moved_weeks=np.array([9999.0, 9999.0, 9999.0], np.float32),
            came_from=np.array([1, 4, 4], np.int32),
            arrived_weeks=np.array([58.3793, 91.7644, 45.7495], np.float32),
            idle_weeks=np.array([9.6332, 15.8316, 53.9676], np.float32),
        ),
        exposure=Exposure.of(
            title=np.array([0, 1], np.int32),
            place=np.array([4, 3], np.int32),
            loans=np.array([14.0, 11.0], np.float32),
            shelf_weeks=np.array([4.3583, 59.0865], np.float32),
        ),
    )
    return snapshot, PlanningSettings(move_price=0.1, held_back_share=0.1, gap=0.0, rounds=30)


def fewer_copies_than_the_lot_once_owners_are_asked() -> tuple[Snapshot, PlanningSettings]:
    snapshot = Snapshot(
        titles=Titles(
            cls=np.array([1, 0], np.int32),
            float_group=np.array([-1, -1], np.int32),
            worth=np.array([0.5, 1.0], np.float32),
            volume_of=np.array([-1, -1], np.int32),
        ),
        places=Places(
            tier=np.array([0, 2, 3], np.int32),
            population=np.array([0.0, 0.0, 0.0], np.float64),
            room=np.array([[-1, -1, -1], [-1, -1, -1], [-1, -1, -1]], np.int32),
            room_total=np.array([-1, -1, -1], np.int32),
            in_copies=np.array([1000000, 1000000, 1000000], np.int32),
            out_copies=np.array([1000000, 1000000, 1000000], np.int32),
            in_cost=np.array([0.1, 0.1, 0.1], np.float32),
            out_cost=np.array([0.1, 0.1, 0.1], np.float32),
            owner=np.array([1, 0, 2], np.int32),
            groups=np.zeros((0, 3), np.bool),
            fresh_quota=np.array([0, 0, 0], np.int32),
            class_floor=np.array([[4, 3, 3], [0, 4, 0], [2, 2, 2]], np.int32),
            least_lot=np.array([4, 1, 2], np.int32),
            visit_price=np.array([0.0, 0.0, 0.0], np.float32),
            out_minutes=np.array([2.5, 2.5, 2.5], np.float32),
            in_minutes=np.array([0.5, 0.5, 0.5], np.float32),
            van_minutes=np.array([0.3, 0.3, 0.3], np.float32),
        ),
        copies=Copies(
            title=np.array([1, 0, 0, 1, 0], np.int32),
            place=np.array([0, 2, 2, 1, 2], np.int32),
            state=np.array([0, 0, 0, 0, 0], np.int8),
            owner=np.array([2, 2, 2, 0, 0], np.int32),
            fixed=np.array([False, False, False, False, False], np.bool),
            moved_weeks=np.array([9999.0, 9999.0, 9999.0, 9999.0, 13.0643], np.float32),
            came_from=np.array([2, 0, 1, 1, 1], np.int32),
            arrived_weeks=np.array([100.7364, 88.0143, 107.8402, 111.038, 7.5504], np.float32),
            idle_weeks=np.array([10.9658, 58.6777, 6.5677, 59.8619, 12.8408], np.float32),
        ),
        exposure=Exposure.of(
            title=np.zeros((0,), np.int32),
            place=np.zeros((0,), np.int32),
            loans=np.zeros((0,), np.float32),
            shelf_weeks=np.zeros((0,), np.float32),
        ),
        consent=np.array([[True, False, False], [True, True, True], [True, False, True]], np.bool),
    )
    return snapshot, PlanningSettings(equity=1.0, gap=0.0, rounds=30)


def fewer_copies_than_the_lot_once_volumes_go_together() -> tuple[Snapshot, PlanningSettings]:
    snapshot = Snapshot(
        titles=Titles(
            cls=np.array([2, 2, 1, 2, 1, 1, 1, 2], np.int32),
            float_group=np.array([-1, -1, -1, -1, -1, -1, -1, -1], np.int32),
            worth=np.array([1.0, 1.0, 1.0, 0.5, 1.0, 2.0, 2.0, 0.5], np.float32),
            volume_of=np.array([0, 0, -1, 0, -1, 1, 1, 0], np.int32),
        ),
        places=Places(
            tier=np.array([2, 1, 1, 0, 2], np.int32),
            population=np.array([7072.0, 3206.0, 4840.0, 6297.0, 0.0], np.float64),
            room=np.array([[-1, -1, -1], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1]], np.int32),
            room_total=np.array([-1, -1, -1, -1, -1], np.int32),
            in_copies=np.array([0, 1, 3, 5, 2], np.int32),
            out_copies=np.array([1000000, 1000000, 1000000, 1000000, 1000000], np.int32),
            in_cost=np.array([0.0826, 0.0135, 0.135, 0.0143, 0.1818], np.float32),
            out_cost=np.array([0.0799, 0.0548, 0.0755, 0.1832, 0.1866], np.float32),
            owner=np.array([0, 0, 0, 0, 0], np.int32),
            groups=np.zeros((0, 5), np.bool),
            fresh_quota=np.array([0, 0, 0, 0, 0], np.int32),
            class_floor=np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.int32),
            least_lot=np.array([3, 1, 3, 0, 4], np.int32),
            visit_price=np.array([0.0, 0.0, 0.0, 0.0, 0.0], np.float32),
            out_minutes=np.array([2.5, 2.5, 2.5, 2.5, 2.5], np.float32),
            in_minutes=np.array([0.5, 0.5, 0.5, 0.5, 0.5], np.float32),
            van_minutes=np.array([0.3, 0.3, 0.3, 0.3, 0.3], np.float32),
        ),
        copies=Copies(
            title=np.array([5, 4, 6, 5], np.int32),
            place=np.array([2, 2, 2, 3], np.int32),
            state=np.array([0, 0, 0, 0], np.int8),
            owner=np.array([0, 0, 0, 0], np.int32),
            fixed=np.array([False, False, False, False], np.bool),
            moved_weeks=np.array([9999.0, 9999.0, 9999.0, 9999.0], np.float32),
            came_from=np.array([-1, 0, 2, 0], np.int32),
            arrived_weeks=np.array([101.8229, 23.853, 22.145, 112.7581], np.float32),
            idle_weeks=np.array([37.7507, 0.0416, 21.8011, 47.8324], np.float32),
        ),
        exposure=Exposure.of(
            title=np.zeros((0,), np.int32),
            place=np.zeros((0,), np.int32),
            loans=np.zeros((0,), np.float32),
            shelf_weeks=np.zeros((0,), np.float32),
        ),
    )
    return snapshot, PlanningSettings(move_price=0.1, equity=1.0, gap=0.0, rounds=30)


def volumes_whose_others_find_no_room() -> tuple[Snapshot, PlanningSettings]:
    snapshot = Snapshot(
        titles=Titles(
            cls=np.array([0, 1, 0, 0, 0, 0, 1], np.int32),
            float_group=np.array([-1, -1, -1, -1, -1, -1, -1], np.int32),
            worth=np.array([2.0, 1.0, 2.0, 0.5, 0.5, 1.0, 1.0], np.float32),
            volume_of=np.array([-1, -1, 1, 1, -1, -1, -1], np.int32),
        ),
        places=Places(
            tier=np.array([0, 2, 1, 3, 2], np.int32),
            population=np.array([3049.0, 4349.0, 7401.0, 1445.0, 6714.0], np.float64),
            room=np.array([[-1, -1], [-1, -1], [-1, -1], [-1, -1], [-1, -1]], np.int32),
            room_total=np.array([9, 0, 10, 6, 0], np.int32),
            in_copies=np.array([1000000, 1000000, 1000000, 1000000, 1000000], np.int32),
            out_copies=np.array([3, 1, 2, 0, 0], np.int32),
            in_cost=np.array([0.1, 0.1, 0.1, 0.1, 0.1], np.float32),
            out_cost=np.array([0.1, 0.1, 0.1, 0.1, 0.1], np.float32),
            owner=np.array([0, 0, 0, 0, 0], np.int32),
            groups=np.zeros((0, 5), np.bool),
            fresh_quota=np.array([0, 1, 2, 0, 0], np.int32),
            class_floor=np.array([[0, 0], [2, 2], [2, 0], [1, 4], [4, 3]], np.int32),
            least_lot=np.array([0, 0, 0, 0, 0], np.int32),
            visit_price=np.array([0.0, 0.0, 0.0, 0.0, 0.0], np.float32),
            out_minutes=np.array([2.5, 2.5, 2.5, 2.5, 2.5], np.float32),
            in_minutes=np.array([0.5, 0.5, 0.5, 0.5, 0.5], np.float32),
            van_minutes=np.array([0.3, 0.3, 0.3, 0.3, 0.3], np.float32),
        ),
        copies=Copies(
            title=np.array([5, 3, 2, 3, 2, 3], np.int32),
            place=np.array([1, 3, 2, 2, 2, 2], np.int32),
            state=np.array([0, 0, 0, 0, 0, 0], np.int8),
            owner=np.array([0, 0, 0, 0, 0, 0], np.int32),
            fixed=np.array([False, False, False, False, False, False], np.bool),
            moved_weeks=np.array([9999.0, 9999.0, 9999.0, 9999.0, 9999.0, 9999.0], np.float32),
            came_from=np.array([0, 3, 1, 1, 3, 1], np.int32),
            arrived_weeks=np.array([22.5943, 96.6016, 106.6838, 101.2179, 40.4466, 57.6719], np.float32),
            idle_weeks=np.array([19.6252, 25.2441, 27.8031, 49.9772, 46.2786, 23.06], np.float32),
        ),
        exposure=Exposure.of(
            title=np.array([6], np.int32),
            place=np.array([3], np.int32),
            loans=np.array([8.0], np.float32),
            shelf_weeks=np.array([39.7354], np.float32),
        ),
    )
    return snapshot, PlanningSettings(gap=0.0, rounds=30)


@pytest.mark.parametrize(
    "night",
    [
        fewer_copies_than_the_lot_once_held_back,
        fewer_copies_than_the_lot_once_owners_are_asked,
        fewer_copies_than_the_lot_once_volumes_go_together,
        volumes_whose_others_find_no_room,
    ],
)
def test_a_night_that_broke_a_promise_keeps_it(night):
    snapshot, chosen = night()
    decided = plan(snapshot, chosen)
    assert_whole_lots(decided, snapshot)
    assert 0 <= decided.value <= decided.bound
