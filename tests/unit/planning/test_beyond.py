"""What a night does not charge: crates that are not full, and lanes between hubs."""

import pytest

from rotation.network import distance_m
from rotation.night.uncharged_costs import beyond
from tests.unit.courier.town import town

TOWN = town()  # four copies a crate
A_KM = 0.01


def km(one: str, other: str) -> float:
    return distance_m(TOWN.place[one], TOWN.place[other]) / 1000


def test_a_full_crate_within_one_hub_costs_no_more():
    assert beyond(TOWN, [("mill", "quay")] * 4, A_KM) == (0.0, 0.0)


def test_what_room_is_left_in_a_crate_is_carried_at_both_ends():
    found = beyond(TOWN, [("mill", "quay")] * 5, A_KM)
    assert found.crates == pytest.approx(A_KM * 3 * (km("mill", "east") + km("quay", "east")))


def test_each_copy_pays_the_way_between_two_hubs():
    found = beyond(TOWN, [("mill", "hill"), ("mill", "nowhere")], A_KM)
    assert found.lanes == pytest.approx(A_KM * 2 * km("east", "west"))
