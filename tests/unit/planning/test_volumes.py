"""Works of several volumes: a set moves whole or stays, even if the flow would move single copies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.rebalancing.placement import Placer
from rotation.rebalancing.plan import ReasonCode, plan, why_not
from rotation.rebalancing.reasons import sentence
from rotation.rebalancing.snapshot import Copies, Exposure, Pairs, Places, Snapshot, StockState, Titles
from rotation.rebalancing.volumes import first_volumes, together
from tests.unit.planning.test_plan import EXACT, ROUNDED, certified, city

IDLE, WANTED, QUIET = range(3)  # the places


def work(places: list[int], **columns: object) -> Snapshot:
    """Titles 0, 1 are the volumes of a work, title 2 stands alone; copies of volumes 0, 1, 0, 1 … stand at `places`."""
    seen = Exposure.of([0, 1, 2] * 3, [0] * 3 + [1] * 3 + [2] * 3, [0, 0, 0, 90, 70, 80, 1, 1, 1], [99] * 9)
    stock = Copies.of([0, 1] * (len(places) // 2), places, **columns)
    return Snapshot(Titles.of([0, 0, 0], volume_of=[7, 7, -1]), Places.of([0, 0, 0], 0, classes=1), stock, seen)


def ends(decided) -> list[tuple[int, int]]:
    return [(move.title, move.destination) for move in decided.moves]


def test_a_set_goes_whole_and_says_so():
    decided = plan(work([IDLE, IDLE]), EXACT)
    assert ends(decided) == [(0, WANTED), (1, WANTED)]
    assert {move.reason.numbers["volumes"] for move in decided.moves} == {2}
    assert "2 volumes" in sentence(decided.moves[0].reason, "en")
    assert "2卷" in sentence(decided.moves[1].reason, "zh")


@pytest.mark.parametrize(
    "column",
    [
        {"state": [StockState.ON_SHELF, StockState.ON_LOAN]},
        {"state": [StockState.ON_SHELF, StockState.RESERVED]},
        {"fixed": [True, False]},
        {"moved_weeks": [99, 1]},
        {"owner": [0, 1]},
    ],
)
def test_what_keeps_one_volume_keeps_the_other(column):
    assert not plan(work([IDLE, IDLE], **column), EXACT).moves


def test_a_part_of_a_set_is_not_picked_and_a_second_set_is():
    assert not plan(work([IDLE, QUIET]), EXACT).moves
    alone = replace(work([IDLE, QUIET]), titles=Titles.of([0, 0, 0]))
    assert plan(alone, EXACT).moves
    decided = plan(work([IDLE, IDLE, IDLE, QUIET]), EXACT)  # the other copy of volume 0 is left over
    assert ends(decided) == [(0, WANTED), (1, WANTED)]


def test_a_set_takes_the_room_of_all_its_volumes():
    snapshot = work([IDLE, IDLE])
    for limit in ({"in_copies": 1}, {"out_copies": 1}, {"room_total": 1}, {"room": 1}):
        places = Places.of([0, 0, 0], 0, classes=1, **limit)
        assert not plan(replace(snapshot, places=places), EXACT).moves
    assert not plan(snapshot, replace(EXACT, budget_moves=1)).moves
    assert len(plan(snapshot, replace(EXACT, budget_moves=2)).moves) == 2


def test_every_volume_counts_for_a_lot_and_for_a_visit():
    snapshot = work([IDLE, IDLE])
    for lot, price, moves in ((2, 0.0, 2), (3, 0.0, 0), (0, 0.99, 2), (0, 1.01, 0)):
        worth = plan(snapshot, EXACT).value
        places = Places.of([0, 0, 0], 0, classes=1, least_lot=[0, lot, 0], visit_price=[0, price * worth, 0])
        assert len(plan(replace(snapshot, places=places), EXACT).moves) == moves


def test_a_set_stays_where_a_reader_waits_for_one_volume_and_is_not_fetched_for_one():
    assert not plan(replace(work([IDLE, IDLE]), holds=Pairs.of([1], [IDLE])), EXACT).moves
    away = replace(EXACT, move_price=9.0)
    assert not plan(replace(work([WANTED, WANTED]), holds=Pairs.of([1], [QUIET])), away).moves


def test_a_volume_without_a_home_goes_to_the_set_that_lacks_it():
    stock = Copies.of([0, 1], [QUIET, IDLE], [StockState.ON_SHELF, StockState.HOMELESS])
    assert ends(plan(replace(work([]), copies=stock), EXACT)) == [(1, QUIET)]
    new = Copies.of([0, 1], [IDLE, IDLE], StockState.HOMELESS)
    assert ends(plan(replace(work([]), copies=new), EXACT)) == [(0, WANTED), (1, WANTED)]


@pytest.mark.parametrize("seed", range(5))
def test_a_set_is_held_back_whole(seed):
    decided = plan(work([IDLE, IDLE]), replace(EXACT, held_back_share=0.5), seed=seed)
    assert sorted((len(decided.moves), len(decided.held_back))) == [0, 2]


def test_why_not_speaks_of_the_set():
    lent = work([IDLE, IDLE], state=[StockState.ON_SHELF, StockState.ON_LOAN])
    assert why_not(lent, plan(lent, EXACT), 0, WANTED, EXACT).code is ReasonCode.NO_COPY_FREE


@pytest.mark.parametrize(
    "copies",
    [
        Copies.of([], []),
        Copies.of([0, 1], [IDLE, IDLE], StockState.ON_LOAN),
        Copies.of([0, 1], [IDLE, IDLE], StockState.ABSENT),
        Copies.of([0, 9, -1], [IDLE, IDLE, IDLE]),
        Copies.of([0, 1], [IDLE, 9]),
    ],
    ids=["no copies", "all on loan", "all gone", "unknown titles", "unknown place"],
)
def test_a_work_of_which_nothing_can_move_gives_an_empty_plan(copies):
    dear = replace(EXACT, move_price=5.0)
    assert not plan(replace(work([]), copies=copies), dear).moves
    empty = Snapshot(
        Titles.of([], volume_of=[]), Places.of([], [], classes=1), Copies.of([], []), Exposure.of([], [], [], [])
    )
    assert not plan(empty, dear).moves


def test_a_work_with_twenty_thousand_sets_gets_a_plan():
    many = Copies.of(np.tile([0, 1], 20_000), np.repeat(IDLE, 40_000))
    assert {(0, WANTED), (1, WANTED)} <= set(ends(plan(replace(work([]), copies=many), EXACT)))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9), st.integers(3, 14))
@settings(max_examples=40, deadline=None)
def test_sets_move_whole_within_every_limit_and_below_the_bound(seed, capacity, budget, room):
    draw = np.random.default_rng(seed)
    one = city(seed, titles=12, copies=70, in_copies=capacity, out_copies=capacity, room_total=room)
    snapshot = replace(one, titles=Titles.of(one.titles.cls, volume_of=draw.integers(-1, 4, 12)))
    decided = plan(snapshot, replace(EXACT, budget_moves=budget))
    stand = np.bincount(snapshot.copies.place, minlength=4)
    came, left = (
        np.bincount([getattr(m, end) for m in decided.moves], minlength=4) for end in ("destination", "origin")
    )
    assert (came <= capacity).all()
    assert (left <= capacity).all()
    assert (came - left <= np.maximum(room - stand, 0)).all()
    assert len({move.copy for move in decided.moves}) == len(decided.moves) <= budget
    assert decided.value <= decided.bound + ROUNDED
    for move in decided.moves:
        same = (snapshot.titles.volume_of == snapshot.titles.volume_of[move.title]) & (
            snapshot.titles.cls == snapshot.titles.cls[move.title]
        )
        volumes = (
            set(np.flatnonzero(same & np.isin(np.arange(12), snapshot.copies.title)))
            if snapshot.titles.volume_of[move.title] >= 0
            else {move.title}
        )
        together = {m.title for m in decided.moves if (m.origin, m.destination) == (move.origin, move.destination)}
        assert volumes <= together


def test_value_and_bound_count_every_volume():
    snapshot = work([IDLE, IDLE])
    decided = plan(snapshot, EXACT)
    assert decided.value == pytest.approx(sum(move.gain - EXACT.move_price for move in decided.moves), abs=1e-5)
    found = certified(together(snapshot, first_volumes(snapshot)), EXACT)
    assert found.bound == pytest.approx(decided.value, rel=1e-3)


def desk(snapshot: Snapshot) -> Placer:
    decided = plan(snapshot, EXACT)
    return Placer(snapshot, decided.rates, decided.prices, EXACT)


def test_a_returned_volume_goes_to_its_set_and_not_where_it_would_be_lent_most():
    answer = desk(work([QUIET, QUIET])).place(1, IDLE, home=QUIET)
    assert (answer.place, answer.reason.code) == (QUIET, ReasonCode.ITS_VOLUMES)
    moved_by_a_reader = desk(work([QUIET, IDLE])).place(1, IDLE, home=IDLE)
    assert moved_by_a_reader.place == QUIET


def test_a_volume_to_spare_goes_where_it_is_worth_most():
    assert desk(work([QUIET, QUIET, IDLE, QUIET])).place(0, IDLE, home=IDLE).place != IDLE
    spare = desk(replace(work([]), copies=Copies.of([0, 1, 1], [QUIET, QUIET, IDLE]))).place(1, IDLE, home=IDLE)
    assert spare.place == WANTED


def test_a_reader_who_waits_for_a_volume_comes_before_its_set():
    snapshot = replace(work([QUIET, QUIET]), holds=Pairs.of([1], [IDLE]))
    assert desk(snapshot).place(1, IDLE, home=QUIET).reason.code is ReasonCode.READERS_WAIT
