"""Plan and vans in rounds: moves that no van carries return to the plan, and the best round counts."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from rotation.courier.day import plan_day, solve_alone
from rotation.night import rounds
from rotation.night.rounds import Closed, PickEnd, Round, best, judged, together, unvisited, without, worth
from rotation.rebalancing.snapshot import Copies, Exposure, Places, Snapshot, Titles
from solver.solution import Solution
from tests.unit.courier.town import MONDAY, morning_of, town, waiting

PICK, PROMISE = waiting("mill", "quay"), waiting("hill", "mill")
MILL_GIVES_NOTHING = Closed({(PickEnd.LEAVES, "mill")})


def routed(cents: int) -> Any:
    return plan_day(
        town(),
        MONDAY,
        [PICK, PROMISE],
        morning_of(MONDAY).at,
        search=partial(solve_alone, time_s=0.5, seed=1),
        worth={PICK.transfer_id: cents},
    )


def plan_worth(loans: float) -> Any:
    return SimpleNamespace(value=loans)


def test_only_what_is_made_for_loans_alone_may_wait():
    picks = [("a", "borrowed_more", 1.5), ("b", "floor", 0.2), ("c", "stale_here", -0.1), ("d", "readers_wait", 3.0)]
    assert worth(picks, 200) == {"a": 300, "c": 0}


def test_a_visit_that_is_not_worth_its_way_is_told_back_and_costs_the_round_its_picks():
    left, made = routed(200), routed(40_000)
    others = {"quay", "late", "shut", "nowhere"}  # that no van calls at, so that picks would only move on to them
    closed = Closed({(PickEnd.LEAVES, place) for place in others | {"mill"}})
    assert unvisited(left, {PICK.transfer_id: 200}, town()) == closed
    assert unvisited(made, {PICK.transfer_id: 40_000}, town()) == Closed()
    cost = sum(run.cost_cents for hub_day in left.hubs for run in hub_day.runs)
    assert judged(plan_worth(10), left, {PICK.transfer_id: 200}, 200).remains_cents == 2_000 - 200 - cost


def test_where_a_promise_has_to_wait_nothing_more_is_sent():
    nothing_goes = plan_day(
        town(), MONDAY, [PROMISE], morning_of(MONDAY).at, search=lambda problem: Solution(runs=[], engine="idle")
    )
    closed = unvisited(nothing_goes, {}, town())
    assert {place for end, place in closed if end is PickEnd.ARRIVES} == {"hill"}
    assert {place for end, place in closed if end is PickEnd.LEAVES} == set(town().place) - {"east", "west"}


def test_rounds_end_when_nothing_new_comes_back_and_the_best_stands():
    tried: list[Closed] = []

    def attempt(closed: Closed) -> Round:
        tried.append(closed)
        return Round(plan_worth(1), routed(0), 500)

    found = together(Round(plan_worth(2), routed(0), 700), lambda one: MILL_GIVES_NOTHING, attempt)
    assert tried == [MILL_GIVES_NOTHING]
    assert best(found) is found[0]


def test_no_more_than_two_rounds_follow_the_first():
    names = iter("abcdefgh")
    first = Round(plan_worth(1), routed(0), 0)
    found = together(first, lambda one: Closed({(PickEnd.LEAVES, next(names))}), lambda closed: first)
    assert len(found) == 1 + rounds.FURTHER_ROUNDS


def test_what_is_closed_neither_gives_nor_takes():
    night = Snapshot(
        Titles.of([0]), Places.of([0, 1], 1000, classes=1), Copies.of([0], [0]), Exposure.of([], [], [], [])
    )
    shut = without(night, Closed({(PickEnd.LEAVES, "a"), (PickEnd.ARRIVES, "b")}), {"a": 0, "b": 1}).places
    assert (shut.out_copies[0], shut.in_copies[1]) == (0, 0)
    assert (shut.out_copies[1], shut.in_copies[0]) == pytest.approx((10**6, 10**6))
