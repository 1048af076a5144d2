"""Titles that a set asks for: they stay where they stand, at night and at the desk, and the desk names the set as the reason."""

from dataclasses import replace

import numpy as np
import pytest

from rotation.rebalancing.placement import Placer
from rotation.rebalancing.plan import ReasonCode, plan
from rotation.rebalancing.snapshot import (
    Copies,
    Exposure,
    Pairs,
    Places,
    PlanningSettings,
    Snapshot,
    StockState,
    Titles,
)


def wanted_elsewhere(copies: Copies, **pairs: Pairs) -> Snapshot:
    """Title 0 stands at place 0 and is borrowed far more at place 1."""
    seen = Exposure.of([0, 1, 1, 0], [0, 0, 1, 1], [1.0, 1.0, 90.0, 40.0], 40.0)
    return Snapshot(Titles.of([0, 1, 2]), Places.of([2, 0], 900, classes=3), copies, seen, **pairs)


def leave(snapshot: Snapshot) -> list[int]:
    return [move.copy for move in plan(snapshot).moves if move.origin == 0]


@pytest.mark.parametrize("left", [Pairs.of(), Pairs.of([0], [1], 40.0)])
def test_a_set_keeps_its_own_title_and_only_as_many_copies_as_it_asks_for(left: Pairs):
    asks = {"requests": Pairs.of([0], [0]), "left": left}
    assert leave(wanted_elsewhere(Copies.of([0], [0]), left=left)) == [0]
    assert not leave(wanted_elsewhere(Copies.of([0], [0]), **asks))
    assert len(leave(wanted_elsewhere(Copies.of([0, 0], [0, 0]), **asks))) == 1
    on_loan = Copies.of([0, 0], [0, 0], [StockState.ON_LOAN, StockState.ON_SHELF])
    assert not leave(wanted_elsewhere(on_loan, **asks))
    fixed = Copies.of([0, 0], [0, 0], fixed=[True, False])
    assert leave(wanted_elsewhere(fixed, **asks)) == [1]
    assert not leave(wanted_elsewhere(fixed, holds=Pairs.of([0], [0]), **asks))


def desk(snapshot: Snapshot) -> Placer:
    decided = plan(snapshot)
    return Placer(snapshot, decided.rates, decided.prices)


def test_the_desk_leaves_a_set_its_title_and_takes_a_second_copy():
    asks = {"requests": Pairs.of([0], [0])}
    assert desk(wanted_elsewhere(Copies.of([0], [0], StockState.ON_LOAN))).place(0, 0, home=0).place == 1
    own = desk(wanted_elsewhere(Copies.of([0], [0], StockState.ON_LOAN), **asks)).place(0, 0, home=0)
    assert (own.place, own.reason.code) == (0, ReasonCode.REQUESTED)
    two = Copies.of([0, 0], [0, 0], [StockState.ON_LOAN, StockState.ON_SHELF])
    assert desk(wanted_elsewhere(two, **asks)).place(0, 0, home=0).place == 1


@pytest.mark.parametrize(("hold_worth", "request_worth"), [(3.0, 2.0), (1.0, 5.0)])
def test_the_desk_says_that_readers_wait_only_when_they_do(hold_worth: float, request_worth: float):
    chosen = PlanningSettings(hold_worth=hold_worth, request_worth=request_worth, move_price=9.0)
    stock = Copies.of([0], [1], StockState.ON_LOAN)
    set_asks, reader_waits = {"requests": Pairs.of([0], [0])}, {"holds": Pairs.of([0], [0], 2.0)}
    for pairs, code in (
        (set_asks, ReasonCode.REQUESTED),
        (reader_waits, ReasonCode.READERS_WAIT),
        (set_asks | reader_waits, ReasonCode.READERS_WAIT),
        (set_asks | reader_waits | {"local": Pairs.of([0], [0], 2.0)}, ReasonCode.REQUESTED),
    ):
        snapshot = replace(wanted_elsewhere(stock, **pairs), exposure=Exposure.of([0], [0], 1.0, 10.0))
        decided = plan(snapshot, chosen)
        answer = Placer(snapshot, decided.rates, decided.prices, chosen).place(0, 1, home=1)
        assert (answer.place, answer.reason.code) == (0, code)
        assert answer.reason.numbers.get("waiting") == (2.0 if code is ReasonCode.READERS_WAIT else None)


def test_a_set_that_asks_for_two_copies_gets_two_from_the_desk():
    stock = Copies.of([0, 0, 0], [1, 1, 1], StockState.ON_LOAN)
    answers = desk(
        replace(wanted_elsewhere(stock, requests=Pairs.of([0], [0], 2.0)), exposure=Exposure.of([], [], [], []))
    )
    codes = [answers.place(0, 1, home=1).reason.code for _ in range(3)]
    assert codes[:2] == [ReasonCode.REQUESTED] * 2
    assert codes[2] is not ReasonCode.REQUESTED


def test_a_set_of_a_class_is_gathered_where_nobody_else_would_bring_a_copy():
    """The set's own price makes its last copy worth as much as it costs: a visit that costs nothing need not pay more."""
    quiet = Exposure.of(range(9), [2] + [0] * 8, [8.0] + [0.0] * 8, [16.0] + [38.0] * 8)
    places = Places.of([0, 2, 3], [5000, 3000, 2000], classes=2, room=[[40, 40], [20, 20], [10, 10]])
    stock = Copies.of(range(9), [2] + [0] * 8, [StockState.ON_LOAN] + [StockState.ON_SHELF] * 8)
    asked = np.array([[0, 0], [3, 0], [0, 0]], np.int32)
    decided = plan(
        Snapshot(Titles.of([0] * 9), places, stock, quiet, asked=asked),
        PlanningSettings(move_price=1.0, request_worth=5.0, desk_chance=0.5),
    )
    assert [move.destination for move in decided.moves] == [1, 1, 1]
    assert decided.gap < 1e-3
