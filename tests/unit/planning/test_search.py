"""The search for the night's best flow: its guesses before the first solution, and its questions to titles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.rebalancing import circulation, demand, search, world
from rotation.rebalancing.snapshot import Copies, Exposure, Places, PlanningSettings, Snapshot, Titles
from tests.unit.planning.test_plan import city

FLOOR_HERE, WANTED = 0, 1  # one place asks for fresh copies and a shelf; the other is merely wanted by all


def two_places() -> tuple[world.Tables, circulation.Duals]:
    places = Places.of(
        [2, 2], [900, 900], classes=1, in_copies=[9, 1], fresh_quota=[1, 0], class_floor=np.array([[2], [0]])
    )
    snapshot = Snapshot(Titles.of([0, 0, 0]), places, Copies.of([0, 1, 2], [0, 0, 0]), Exposure.of([], [], [], []))
    chosen = PlanningSettings()
    tables = world.tables(snapshot, demand.rates(snapshot, chosen), chosen)
    return tables, circulation.opening_duals(circulation.network(tables.limits, chosen), chosen)


def test_a_place_without_a_floor_is_guessed_as_dear_as_the_first_left_out_would_pay():
    tables, duals = two_places()
    title, place = np.arange(3, dtype=np.int32), np.full(3, WANTED, np.int32)
    asked = search.TitleChoices(2.4, title, place, np.array([0.9, 0.8, 0.7], np.float32))
    guessed = search._dearer(tables, duals, asked, PlanningSettings())
    assert np.isclose(guessed.in_copies[WANTED], 0.8)
    assert guessed.in_copies[FLOOR_HERE] == 0


@given(st.lists(st.integers(-5, 5)))
def test_distinct_keys_are_what_numpy_calls_unique(keys):
    assert world.distinct(np.array(keys, np.int64)).tolist() == sorted(set(keys))


def test_where_too_many_want_a_place_the_end_of_its_queue_waits_and_others_lose_nothing():
    limits = two_places()[0].limits
    most = search.QUEUE * 1 + search.QUEUE_MORE
    score = np.r_[np.linspace(0, 1, most + 80), 0.01].astype(np.float32)
    place = np.r_[np.full(most + 80, WANTED), FLOOR_HERE].astype(np.int32)
    asked = search.TitleChoices(0.0, np.arange(len(place), dtype=np.int32), place, score)
    few = limits._replace(in_copies=np.array([0, 1]))  # so that all queues together are shorter than what was asked
    title, where = search._foremost(asked, few)
    assert title.tolist() == [*range(80, most + 80), most + 80]
    assert where[-1] == FLOOR_HERE
    assert len(search._foremost(asked, limits._replace(in_copies=np.array([900, 900])))[0]) == len(place)


def test_a_misleading_guess_of_prices_keeps_nothing_out_of_reach_for_good():
    snapshot, chosen = city(3, titles=40, places=6, copies=120, in_copies=5), PlanningSettings(move_price=0.1)
    tables = world.tables(snapshot, demand.rates(snapshot, chosen), chosen)
    net, out = circulation.network(tables.limits, chosen), circulation.releases(tables.world)
    title, place = (grid.ravel().astype(np.int32) for grid in np.indices((40, 6)))
    ruinous = circulation.opening_duals(net, chosen)._replace(in_copies=np.full(6, 5.0))
    known = search._Start(circulation.columns(tables.world, title, place), 0.1, ruinous, 0.1, 0.0)
    step = search._round(tables, net, out, known, chosen)
    assert (step.certified.value, step.news) == (0.0, True)
    for _ in range(5):
        step = search._round(tables, net, out, step, chosen)
    assert step.certified.value == pytest.approx(search.search(tables, chosen).value, rel=1e-3)
