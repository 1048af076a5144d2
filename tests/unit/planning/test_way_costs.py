"""The way's price: one function for the night, the desk and the twin."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from city.arrays_driver import LOANS_PER_KM, FeedLosses, LibraryView
from city.day import begin
from city.laboratory import Laboratory
from city.model import CitySize
from city.scenarios import SCENARIOS
from config import load
from rotation.network import Network, read
from rotation.night.world.places import ways
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Copies, Exposure, Places, PlanningSettings, Snapshot, Titles
from rotation.rebalancing.way_costs import HANDLING_LOANS, way_costs

DEMONSTRATION = read(Path(__file__).parents[3] / "config" / "networks" / "demo.toml")
SMALL = CitySize(titles=200, copies=2_000, visits_a_week=500)


def test_a_copy_pays_for_its_way_to_the_hub_for_the_trunk_and_for_the_way_on():
    found = way_costs([3.0, 7.0], [[0.0, 10.0], [10.0, 0.0]], 0.1)
    assert np.allclose(found.end, [HANDLING_LOANS + 0.3, HANDLING_LOANS + 0.7])
    whole = found.end[0] + found.trunk[0, 1] + found.end[1] - 2 * HANDLING_LOANS
    assert np.isclose(whole, 0.1 * (3 + 10 + 7))


def test_the_twin_pays_for_the_way_as_the_night_and_the_desk_do():
    lab = Laboratory(DEMONSTRATION, SCENARIOS[0], seed=1, size=SMALL, weeks=1)
    seen = LibraryView(lab.world, begin(lab.world, 1), lab.places, FeedLosses()).snapshot(0)
    ours = ways(lab.network, [place.id for place in lab.network.places], load().loans_per_km)
    assert load().loans_per_km == LOANS_PER_KM
    np.testing.assert_allclose(seen.lane_cost, ours.trunk, rtol=1e-5)
    np.testing.assert_allclose(seen.places.in_cost, ours.end, rtol=1e-6)
    np.testing.assert_allclose(seen.places.out_cost, ours.end, rtol=1e-6)


def test_a_trunk_that_costs_more_than_a_copy_brings_leaves_it_where_it_is():
    far = np.array([[0, 0, 9], [0, 0, 9], [9, 9, 0]], np.float32)
    seen = Exposure.of([0, 0, 0], [0, 1, 2], [1, 30, 60], 99)
    near_or_far = Snapshot(Titles.of([0]), Places.of([1, 2, 2], 900, classes=1), Copies.of([0, 0], [0, 0]), seen)
    chosen = PlanningSettings(equity=0.0)
    plain, charged = (plan(replace(near_or_far, lane_cost=lanes), chosen) for lanes in (None, far))
    assert {move.destination for move in plain.moves} == {1, 2}
    assert {move.destination for move in charged.moves} == {1}
    assert charged.gap < 0.01


def test_a_place_without_a_hub_pays_no_way():
    whole = DEMONSTRATION.model_dump(by_alias=True)
    alone = Network.model_validate(whole | {"place": [one | {"hub": None} for one in whole["place"]], "van": []})
    found = ways(alone, [place.id for place in alone.places], 1.0)
    assert set(found.end) == {HANDLING_LOANS}
    assert not found.trunk.any()
