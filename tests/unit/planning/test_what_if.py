"""What if: two plans of the same night, and their differences."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Pairs, Places, PlanningSettings, Snapshot
from rotation.rebalancing.what_if import Change, compare, sentences
from tests.unit.planning.test_plan import city, loans

TIGHT = PlanningSettings(budget_moves=3, move_price=0.1)


def night(seed: int = 3) -> Snapshot:
    return city(seed, titles=30, places=6, copies=90, fresh_quota=2)


def test_without_a_change_nothing_differs():
    same = compare(night(), Change(), TIGHT)
    assert (same.as_is, same.arrivals) == (same.changed, {})


def test_a_larger_budget_brings_more_loans_by_more_moves_each_worth_less():
    steps = [compare(night(), Change(budget_moves=moves), TIGHT).changed for moves in (3, 6, 12)]
    assert [step.moves for step in steps] == [3, 6, 12]
    for less, more in pairwise(steps):
        assert more.loans > less.loans
        assert more.move_price < less.move_price


def busiest(snapshot: Snapshot, chosen: PlanningSettings) -> tuple[int, int]:
    came = np.bincount([move.destination for move in plan(snapshot, chosen).moves])
    return int(came.argmax()), int(came.max())


def test_nothing_comes_to_a_place_that_is_closed():
    free = PlanningSettings(move_price=0.1)
    place, came = busiest(night(), free)
    assert compare(night(), Change(closed={place}), free).arrivals[place] == -came
    shut = compare(night(), Change(closed=range(6)), free).changed
    assert (shut.moves, shut.loans) == (0, 0)


def test_a_place_that_takes_in_half_as_much_gets_half_as_much():
    snapshot, free = city(3, titles=30, places=6, copies=90, in_copies=4), PlanningSettings(move_price=0.1)
    place, came = busiest(snapshot, free)
    assert came == 4
    assert compare(snapshot, Change(capacity={place: 0.5}), free).arrivals[place] == -2


def test_where_the_other_night_has_its_places_in_other_rows_arrivals_are_told_by_those():
    snapshot, free = night(), PlanningSettings(move_price=0.1)
    rows = np.arange(6)[::-1].copy()
    places = Places(
        *(
            getattr(snapshot.places, name)[..., rows] if name == "groups" else getattr(snapshot.places, name)[rows]
            for name in Places.__slots__
        )
    )
    turned = replace(
        snapshot,
        places=places,
        copies=replace(snapshot.copies, place=rows[snapshot.copies.place].astype(np.int32)),
        exposure=replace(snapshot.exposure, place=rows[snapshot.exposure.place].astype(np.int32)),
    )
    assert compare(snapshot, Change(), free, other=turned, rows=rows).arrivals == {}
    place, came = busiest(turned, free)
    assert compare(snapshot, Change(closed={place}), free, other=turned, rows=rows).arrivals[place] == -came


def test_loans_are_those_of_the_shelves_after_less_those_before():
    snapshot, chosen = night(), PlanningSettings(move_price=0.1)
    decided = plan(snapshot, chosen)
    total = 0.0
    for move in decided.moves:
        n = move.reason.numbers
        there = [loans(n["rate_there"], int(n["copies_there"]) + more, chosen) for more in (0, 1)]
        here = [loans(n["rate_here"], int(n["copies_here"]) - less, chosen) for less in (0, 1)]
        total += there[1] - there[0] - here[0] + here[1]
    assert decided.moves
    assert np.isclose(compare(snapshot, Change(), chosen).as_is.loans, total, rtol=1e-4)


def test_equity_costs_loans_and_both_plans_are_counted_without_it():
    fair = compare(night(), Change(equity=3.0), PlanningSettings(budget_moves=3, move_price=0.1, equity=0.0))
    assert fair.arrivals
    assert fair.changed.loans < fair.as_is.loans


def test_readers_who_wait_and_floors_are_counted():
    snapshot = night()
    copies, title = snapshot.copies, int(snapshot.copies.title[0])
    elsewhere = next(b for b in range(6) if not ((copies.title == title) & (copies.place == b)).any())
    waits = replace(snapshot, holds=Pairs.of([title], [elsewhere], [1]))
    side = compare(waits, Change(), TIGHT).as_is
    assert side.waiting == 1
    assert side.missing == sum(one.missing for one in plan(waits, TIGHT).shortfalls) > 0


def test_it_is_said_in_both_languages_with_its_numbers():
    found = compare(night(), Change(budget_moves=6), TIGHT)
    zh, en = sentences(found)
    assert "调运+3册（共6册）" in zh
    assert "+3 moves (6 in all)" in en
    assert all(f"{found.changed.loans - found.as_is.loans:+.1f}" in said for said in (zh, en))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (Change(closed=[6]), "place 6 is not one of the 6 places"),
        (Change(capacity={0: -1.0}), "expected a number from 0 up"),
        (Change(capacity={0: float("nan")}), "expected a number from 0 up"),
        (Change(move_price=-0.1), "must not be negative"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_a_sentence(change, part):
    with pytest.raises(ValueError, match=part):
        compare(night(), change)
