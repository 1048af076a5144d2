"""The search for the night's best flow: what it guesses before anything is solved, and how it asks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rotation import demand
from rotation.rebalancing import circulation, search, world
from rotation.rebalancing.snapshot import Copies, Exposure, Places, Settings, Snapshot, Titles

FLOOR_HERE, WANTED = 0, 1  # one place asks for fresh copies and a shelf; the other is merely wanted by all


def two_places() -> tuple[world.Tables, circulation.Duals]:
    places = Places.of(
        [2, 2], [900, 900], classes=1, in_copies=[9, 1], fresh_quota=[1, 0], class_floor=np.array([[2], [0]])
    )
    snapshot = Snapshot(Titles.of([0, 0, 0]), places, Copies.of([0, 1, 2], [0, 0, 0]), Exposure.of([], [], [], []))
    chosen = Settings()
    tables = world.tables(snapshot, demand.rates(snapshot, chosen), chosen)
    return tables, circulation.opening_duals(circulation.network(tables.limits, chosen), chosen)


def test_a_place_without_a_floor_is_guessed_as_dear_as_the_first_left_out_would_pay():
    tables, duals = two_places()
    title, place = np.arange(3, dtype=np.int32), np.full(3, WANTED, np.int32)
    asked = search.Asked(2.4, title, place, np.array([0.9, 0.8, 0.7], np.float32))
    guessed = search._dearer(tables, duals, asked, Settings())
    assert np.isclose(guessed.in_copies[WANTED], 0.8)
    assert guessed.in_copies[FLOOR_HERE] == 0


@given(st.lists(st.integers(-5, 5)))
def test_distinct_keys_are_what_numpy_calls_unique(keys):
    assert world.distinct(np.array(keys, np.int64)).tolist() == sorted(set(keys))
