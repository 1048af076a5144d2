"""What comes before and beside the loans: sets that were asked for, lots worth a visit, budgets of minutes and hours."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.rebalancing.plan import ReasonCode, plan
from rotation.rebalancing.snapshot import Pairs, PlanningSettings, Snapshot
from tests.unit.planning.test_plan import EXACT, ROUNDED, by_hand, certified, city, ends

DEAR = replace(EXACT, move_price=3.0)  # a price that nothing pays but what was asked for


def asking(snapshot: Snapshot, place: int, cls: int, number: int) -> Snapshot:
    asked = np.zeros(snapshot.places.class_floor.shape, np.int32)
    asked[place, cls] = number
    return replace(snapshot, asked=asked)


def came(decided, snapshot: Snapshot, place: int, cls: int) -> list:
    return [m for m in decided.moves if m.destination == place and snapshot.titles.cls[m.title] == cls]


def stock(seed: int = 1) -> Snapshot:
    return city(seed, titles=40, copies=80)


def test_a_set_of_a_class_brings_as_many_titles_as_asked_all_new_to_the_place():
    snapshot, worth = stock(), replace(DEAR, request_worth=9.0)
    assert not plan(snapshot, worth).moves
    decided = plan(asking(snapshot, 2, 1, 5), worth)
    moves = came(decided, snapshot, 2, 1)
    held = set(snapshot.copies.title[snapshot.copies.place == 2].tolist())
    assert [m.reason.code for m in moves] == [ReasonCode.REQUESTED] * 5
    assert len({m.title for m in moves} - held) == len(decided.moves) == 5
    assert [(f.kind, f.place, f.cls, f.asked, f.missing) for f in decided.floors] == [("set", 2, 1, 5, 0)]


def test_a_set_larger_than_the_stock_comes_as_far_as_it_goes_and_says_what_stops_it():
    snapshot = stock()
    decided = plan(asking(snapshot, 2, 1, 500), replace(DEAR, request_worth=9.0))
    (floor,) = decided.floors
    assert floor.missing == 500 - len(came(decided, snapshot, 2, 1)) > 0
    assert floor.limit == "worth"
    assert floor.price == 9.0


def test_a_set_of_titles_brings_those_titles():
    snapshot = stock()
    held = set(snapshot.copies.title[snapshot.copies.place == 2].tolist())
    stands = set(snapshot.copies.title.tolist()) - held
    titles = sorted(stands)[:3]
    decided = plan(replace(snapshot, requests=Pairs.of(titles, [2] * 3)), replace(DEAR, request_worth=9.0))
    assert sorted((m.title, m.destination, m.reason.code) for m in decided.moves) == [
        (title, 2, ReasonCode.REQUESTED) for title in titles
    ]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_with_sets_and_quotas_the_certificate_is_never_below_the_value_and_closes(seed, number, quota):
    snapshot = asking(city(seed, titles=20, copies=50, fresh_quota=quota), 1, 0, number)
    found = certified(snapshot, EXACT)
    assert found.value <= found.bound + ROUNDED
    assert found.bound - found.value < 2e-3 * found.bound + ROUNDED


def test_a_plan_that_owes_nothing_to_sets_is_the_same_with_them_filled():
    snapshot = stock()
    assert plan(asking(snapshot, 2, 1, 0), EXACT).moves == plan(snapshot, EXACT).moves


def test_what_sets_ask_for_must_have_the_shape_of_places_and_classes():
    with pytest.raises(ValueError, match="sets ask for"):
        plan(replace(stock(), asked=np.zeros((2, 2), np.int32)))


# --- Lots ---------------------------------------------------------------------------------------------------------------------


def handled(decided) -> np.ndarray:
    return np.bincount([end for m in decided.moves for end in (m.origin, m.destination)], minlength=4)


@pytest.mark.parametrize("seed", range(8))
def test_a_place_with_a_minimum_lot_gets_that_much_or_nothing(seed):
    snapshot = city(seed, titles=20, copies=50)
    free = plan(snapshot, EXACT)
    least = np.zeros(4, np.int32)
    small = int(handled(free).argmin())
    least[small] = handled(free)[small] + 1
    in_lots = plan(replace(snapshot, places=replace(snapshot.places, least_lot=least)), EXACT)
    assert handled(in_lots)[small] in {0, *range(int(least[small]), 99)}
    assert in_lots.value <= free.value + 1e-6
    assert in_lots.lost_to_lots == pytest.approx(free.value - in_lots.value, abs=1e-6)
    assert in_lots.bound == pytest.approx(free.bound)


def test_where_no_lot_can_be_large_enough_nothing_moves():
    snapshot = stock()
    decided = plan(replace(snapshot, places=replace(snapshot.places, least_lot=np.full(4, 999, np.int32))), EXACT)
    assert not decided.moves
    assert decided.lost_to_lots > 0


def test_a_place_is_visited_when_what_moves_there_is_worth_the_way():
    snapshot = stock()
    free = plan(snapshot, EXACT)
    place = int(handled(free).argmin())
    worth = sum(m.gain - EXACT.move_price for m in free.moves if place in (m.origin, m.destination))

    def at(price: float) -> np.ndarray:
        prices = np.where(np.arange(4) == place, price, 0).astype(np.float32)
        return handled(plan(replace(snapshot, places=replace(snapshot.places, visit_price=prices)), EXACT))

    assert at(0.5 * worth)[place] == handled(free)[place] > 0
    assert at(2 * worth)[place] == 0
    assert at(2 * worth).sum() > 0


# --- Budgets ------------------------------------------------------------------------------------------------------------------


def minutes(snapshot: Snapshot, decided) -> float:
    places = snapshot.places
    return sum(float(places.out_minutes[m.origin] + places.in_minutes[m.destination]) for m in decided.moves)


def unequal(seed: int) -> Snapshot:
    snapshot = city(seed, titles=40, copies=120)
    cheap_and_dear = np.array([1, 2, 6, 3], np.float32)
    return replace(snapshot, places=replace(snapshot.places, out_minutes=cheap_and_dear, van_minutes=cheap_and_dear))


@pytest.mark.parametrize("seed", range(4))
def test_a_budget_of_staff_minutes_is_kept_nearly_used_and_priced(seed):
    snapshot = unequal(seed)
    free = plan(snapshot, EXACT)
    most = minutes(snapshot, free) / 2
    kept = plan(snapshot, replace(EXACT, budget_staff_minutes=most))
    assert 0.8 * most <= minutes(snapshot, kept) <= most
    assert kept.prices.staff_minute > 0
    assert kept.prices.van_hour == 0
    assert kept.value <= kept.bound <= free.bound + 1e-6
    assert kept.gap < 0.06


def test_minutes_are_spent_where_they_bring_most():
    """As many moves as minutes allow, chosen by a budget of moves instead, are worth less."""
    snapshot = unequal(1)
    by_minutes = plan(snapshot, replace(EXACT, budget_staff_minutes=60.0))
    number = 1
    while minutes(snapshot, following := plan(snapshot, replace(EXACT, budget_moves=number))) <= 60.0:
        by_moves, number = following, number + 1
    assert by_minutes.value > by_moves.value


def test_values_and_reasons_of_a_budgeted_night_tell_what_moves_really_cost():
    snapshot = unequal(1)
    decided = plan(snapshot, replace(EXACT, budget_van_hours=1.0, equity=0.0))
    assert decided.prices.van_hour > 0
    assert decided.value == pytest.approx(by_hand(snapshot, decided, ends(decided), EXACT), abs=1e-3)
    for move in decided.moves:
        n, places = move.reason.numbers, snapshot.places
        assert n["cost"] == pytest.approx(places.out_cost[move.origin] + places.in_cost[move.destination], abs=1e-5)
        assert move.gain == pytest.approx(n["value_there"] - n["loss_here"] - n["cost"], abs=1e-5)


def test_both_budgets_are_kept_together_and_a_budget_of_nothing_moves_nothing():
    snapshot = unequal(2)
    both = plan(snapshot, replace(EXACT, budget_staff_minutes=60.0, budget_van_hours=1.0))
    assert minutes(snapshot, both) <= 60.0
    van = snapshot.places.van_minutes
    assert sum(float(van[m.origin] + van[m.destination]) for m in both.moves) <= 60.0
    assert not plan(snapshot, PlanningSettings(budget_staff_minutes=0.0)).moves
