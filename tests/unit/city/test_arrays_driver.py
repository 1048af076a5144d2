"""The other driver: the same facts, nothing lost, and policies that see only the library's view."""

from collections import Counter, defaultdict
from functools import partial

import numpy as np
import orjson
import pytest

from city import arrays_driver, history, laboratory, policies, scenarios, visits
from city import day as steps
from city.live import LiveCity
from city.model import DAY_S, CitySize, Truth
from rotation.rebalancing.snapshot import StockState
from tests.unit.city.conftest import NETWORK, SMALL, WEEKS, lived

TINY = CitySize(titles=120, copies=900, visits_a_week=1_500)
FEW_WEEKS = 5
NARROW = partial(policies.MinMax, low=0.5, high=0.5)  # every shelf is above or below


def scenario(name: str) -> scenarios.Scenario:
    return next(s for s in scenarios.SCENARIOS if s.name == name)


@pytest.fixture(scope="module")
def lab():
    return laboratory.Laboratory(NETWORK, scenarios.SCENARIOS[0], 3, TINY, FEW_WEEKS)


def played(lab, policy, idle_weeks=1):
    state = steps.begin(lab.world, lab.seed)
    weeks = arrays_driver.run(lab.world, state, lab.tape, policy, lab.places, idle_weeks=idle_weeks)
    return state, weeks


def told_by_arrays(city: history.City, days: range) -> list[str]:
    rows = [steps.play(city.world.land, city.state, history.visits_of(city, day), day).tolist() for day in days]
    return [event for some in rows for event in city.teller.events(some)]


def test_both_drivers_tell_the_same_facts():
    """The living city steps through its days one event after the other; the arrays play them whole."""
    days = range(WEEKS * 7, WEEKS * 7 + 10)
    stepping = LiveCity(NETWORK, lived(7), days.start * DAY_S)
    stepping.city.state.mode["carried"] = False
    stepping.carriers.put = lambda copy, place, at: None  # the library system's own courier has no crates
    stepping.carriers.memory.agenda.clear()  # and its machines say nothing by themselves
    one, other = stepping.advance(days.stop * DAY_S), told_by_arrays(lived(7), days)
    assert [orjson.loads(event) for event in one] == [orjson.loads(event) for event in other]


def test_every_copy_is_somewhere_whatever_the_policy(lab):
    for policy in (policies.Nobody(), policies.Nobody(floating=True), policies.Rota(moves_a_week=20)):
        state, _ = played(lab, policy)
        on_shelf = Counter(np.flatnonzero(state.copies["state"] == steps.SHELF).tolist())
        assert Counter(shelved(state)) == on_shelf


def shelved(state: steps.CityState) -> list[int]:
    found = []
    for head in state.pairs["head"].ravel():
        while head >= 0:
            found.append(int(head))
            head = state.copies["next"][head]
    return found


def test_copies_that_belong_to_a_shelf_are_counted_there(lab):
    state, _ = played(lab, policies.Nobody(floating=True))
    there = (state.copies["state"] != steps.GONE) & (state.copies["state"] != steps.UNBORN)
    own = np.zeros(state.pairs.shape, int)
    np.add.at(own, (state.copies["title"][there], state.copies["home"][there]), 1)
    assert np.array_equal(own, state.pairs["own"])


def test_every_policy_meets_the_same_readers(lab):
    one, other = (played(lab, policies.Nobody())[1][-1] for _ in range(2))
    asked = [sum(w.counts[name] for name in (steps.LOANS, steps.UNMET, steps.HOLDS)) for w in (one, other)]
    assert np.array_equal(one.counts, other.counts)
    floating = played(lab, policies.Nobody(floating=True))[1][-1].counts
    visits_met = sum(map(len, lab.tape))
    fetched = floating[steps.HOLDS_FILLED]
    assert visits_met - fetched <= asked[0] <= visits_met + one.counts[steps.HOLDS_FILLED]


def test_what_the_library_saw_is_what_happened_on_its_shelves(monkeypatch):
    monkeypatch.setattr(arrays_driver, "WEEKLY_DISCOUNT", 1.0)
    simple = scenarios.Scenario("simple", Truth(hold_chance=0.0, damaged=0.0, withdrawn=0.0))
    lab = laboratory.Laboratory(NETWORK, simple, 3, TINY, FEW_WEEKS)
    state, facts = steps.begin(lab.world, lab.seed), []
    for day, today in enumerate(lab.tape):
        facts += steps.play(lab.world.land, state, today, day).tolist()
    exposure = (
        arrays_driver.LibraryView(lab.world, state, lab.places, arrays_driver.FeedLosses())
        .snapshot(len(lab.tape))
        .exposure
    )
    found = {(t, p): (n, w) for t, p, n, w in zip(*vars_of(exposure), strict=True) if w > 1e-3}
    stays = stays_on_shelves(facts, lab.world.title, len(lab.tape) * DAY_S)
    expected = {pair: (lent(some), weeks(some)) for pair, some in stays.items() if weeks(some) > 1e-3}
    assert found.keys() == expected.keys()
    assert all(found[pair] == pytest.approx(expected[pair], abs=2e-3) for pair in expected)


def vars_of(exposure) -> list[np.ndarray]:
    return [exposure.title, exposure.place, exposure.loans, exposure.shelf_weeks]


def stays_on_shelves(
    facts: list[list[int]], titles: np.ndarray, end: int
) -> dict[tuple[int, int], list[tuple[int, int, bool]]]:
    """Return each title's stays at each place: from, until, and whether a loan ended it."""
    stays: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    standing: dict[int, tuple[int, int]] = {}
    for kind, at, copy, place, _, _ in facts:
        if copy in standing:
            where, since = standing.pop(copy)
            stays[titles[copy], where].append((since, at, kind == steps.LOANED))
        if kind in (steps.ADDED, steps.RETURNED, steps.RECEIVED):
            standing[copy] = (place, at)
    for copy, (where, since) in standing.items():
        stays[titles[copy], where].append((since, end, False))
    return stays


def lent(stays: list[tuple[int, int, bool]]) -> int:
    return sum(ended_in_loan for _, _, ended_in_loan in stays)


def weeks(stays: list[tuple[int, int, bool]]) -> float:
    """Return the weeks with at least one copy there."""
    total, until = 0, 0
    for begin, end, _ in sorted(stays):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total / DAY_S / 7


def test_a_move_takes_only_what_stands_on_a_shelf(lab):
    state, _ = played(lab, policies.Nobody())
    lent = np.flatnonzero(state.copies["state"] == steps.LOAN)[:3].astype(np.int32)
    before = state.copies[lent].copy()
    assert steps.move(lab.world.land, state, lent, np.zeros(3, np.int32), len(lab.tape) * DAY_S) == 0
    assert np.array_equal(state.copies[lent], before)


@pytest.mark.parametrize("make", [policies.Rota, policies.Proportional, NARROW, policies.Greedy])
def test_a_policy_keeps_to_its_budget_and_to_shelf_room(lab, make):
    state, _ = played(lab, policies.Nobody())
    seen = arrays_driver.LibraryView(lab.world, state, lab.places, arrays_driver.FeedLosses()).snapshot(FEW_WEEKS * 7)
    moves = make(moves_a_week=15).night(seen, FEW_WEEKS)
    assert 0 < len(moves.copies) <= 15
    assert (seen.copies.state[moves.copies] == StockState.ON_SHELF).all()
    assert (seen.copies.place[moves.copies] != moves.to).all()
    cls = lab.world.cls[lab.world.title[moves.copies]]
    assert (lab.places.room[moves.to, cls] > 0).all()


def test_rotation_places_what_comes_back_and_picks_from_shelves(lab):
    _, weeks = played(lab, laboratory.POLICIES["both"](lab, 20), idle_weeks=2)
    counts = weeks[-1].counts
    assert counts[steps.DIVERTED] > 0
    assert counts[steps.PICKS] <= 20 * (FEW_WEEKS - 2)


def test_stock_placed_well_serves_more_readers():
    found, well = (
        laboratory.Laboratory(NETWORK, s, 3, TINY, FEW_WEEKS) for s in (scenarios.SCENARIOS[0], scenario("well_placed"))
    )
    loans = [played(lab, policies.Nobody())[1][-1].counts[steps.LOANS] for lab in (found, well)]
    assert loans[1] > 1.2 * loans[0]


def test_scenarios_change_what_they_say():
    lab = laboratory.Laboratory(NETWORK, scenario("shifted"), 3, TINY, scenarios.CHANGE_WEEK + 4)
    children = np.isin(lab.world.cls, [k for k, c in enumerate(NETWORK.classes) if c.special_group == "children"])
    district = np.array([p.owner == "xinbu" for p in NETWORK.places])

    def share(week: int) -> float:
        rows = np.concatenate(lab.tape[week * 7 : week * 7 + 28])
        return float((children[rows["title"]] & district[rows["place"]]).mean())

    assert share(scenarios.CHANGE_WEEK) > 1.6 * share(scenarios.CHANGE_WEEK - 4)


def test_equal_access_has_no_gini_and_one_place_for_all_has_much():
    people = np.full(10, 100.0)
    assert laboratory.gini(np.ones(10), people) == pytest.approx(0.0, abs=1e-12)
    assert laboratory.gini(np.array([1.0] + [0.0] * 9), people) == pytest.approx(0.9)


def test_the_oracle_is_told_the_truth_and_nobody_else_is(lab):
    assert laboratory.POLICIES["oracle"](lab, 5).knows is lab.world.interest
    assert laboratory.POLICIES["both"](lab, 5).knows is None


def test_a_tape_may_begin_anywhere(lab):
    wanted = visits.interest(lab.world)
    assert np.array_equal(visits.of_day(lab.world, lab.seed, 20, wanted), lab.tape[20])
    assert SMALL.copies > TINY.copies
