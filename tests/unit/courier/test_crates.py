"""Crates: mixed from places, for one destination from hubs, direct where a lane fills one; no copy twice, none forgotten."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.courier.crates import crates, direct
from rotation.courier.legs import Itinerary, OpenTransfer, Where, itineraries
from rotation.facts.lifecycle import LegKind
from rotation.network import Network
from tests.unit.courier.town import MONDAY, TUESDAY, calendar, morning_of, waiting

CALENDAR = calendar()
TOWN = CALENDAR.network  # four copies a crate, no bags


def planned(*transfers: OpenTransfer) -> list[Itinerary]:
    return list(itineraries(transfers, CALENDAR, morning_of(MONDAY)))


def lane(from_place: str, to_place: str, copies: int) -> list[OpenTransfer]:
    return [waiting(from_place, to_place, number) for number in range(copies)]


def test_a_place_packs_all_it_has_for_its_hub_together():
    made = crates(planned(*lane("mill", "quay", 3), *lane("mill", "hill", 2)), TOWN)
    assert [len(crate.transfers) for crate in made if crate.kind is LegKind.COLLECT] == [4, 1]


def test_only_the_hub_makes_crates_for_one_destination_and_merges_what_comes_from_many_places():
    made = crates(planned(*lane("quay", "mill", 1), *lane("hill", "mill", 1), *lane("east", "mill", 1)), TOWN)
    assert [(c.id, c.from_place, len(c.transfers)) for c in made if c.kind is LegKind.DELIVER] == [
        ("d-20260303-mill-1", "east", 3)
    ]


def test_a_trunk_carries_crates_from_hub_to_hub_on_the_night_of_collection():
    trunk = next(crate for crate in crates(planned(*lane("mill", "hill", 2)), TOWN) if crate.kind is LegKind.TRUNK)
    assert (trunk.from_place, trunk.to_place, trunk.day) == ("east", "west", MONDAY)


def test_a_lane_goes_direct_with_whole_crates_and_with_the_rest_only_above_the_fill():
    def copies_direct(number: int) -> int:
        found = direct(planned(*lane("mill", "quay", number)), CALENDAR, fill_copies=3)
        return sum(itinerary.legs[0].kind is LegKind.DIRECT for itinerary in found)

    assert [copies_direct(number) for number in (2, 3, 4, 6, 7)] == [0, 3, 4, 4, 7]


def test_a_lane_to_another_hub_or_to_a_place_closed_that_day_does_not_go_direct():
    found = direct(planned(*lane("mill", "hill", 8)), CALENDAR, 3)
    shut = direct(list(itineraries(lane("mill", "quay", 8), CALENDAR, morning_of(TUESDAY))), CALENDAR, 3)
    assert not any(leg.kind is LegKind.DIRECT for itinerary in [*found, *shut] for leg in itinerary.legs)


def standing(crate: str, copies: int) -> list[OpenTransfer]:
    """Copies in a crate that stands closed at the hub for the mill."""
    names = [f"{crate}-{number}" for number in range(copies)]
    return [OpenTransfer(name, name, "mill", Where.SORTED, "east", None, "home", crate) for name in names]


def for_the_mill(*transfers: OpenTransfer, network: Network = TOWN) -> list[tuple[str, int]]:
    return [
        (crate.id, len(crate.transfers)) for crate in crates(planned(*transfers), network) if crate.to_place == "mill"
    ]


def test_a_crate_that_stands_closed_for_its_destination_keeps_its_number_and_is_filled_up():
    """On Monday: what stands at the hub leaves then, what its desk has is sorted in the evening first."""
    fresh = [replace(one, transfer_id=f"loose-{one.transfer_id}", crate=None) for one in standing("x", 2)]
    assert for_the_mill(*standing("label-7", 3), *fresh) == [("label-7", 4), ("d-20260302-mill-1", 1)]


def test_small_crates_for_one_place_are_emptied_into_the_fullest():
    assert for_the_mill(*standing("a", 1), *standing("b", 2), *standing("c", 1)) == [("b", 4)]


def test_a_full_crate_stays_as_it_is():
    assert for_the_mill(*standing("a", 1), *standing("full", 4)) == [("full", 4), ("a", 1)]


def test_a_desks_crate_keeps_its_number_and_takes_what_is_picked_while_it_is_open():
    waits = [replace(one, crate="mill-9", filling=True) for one in lane("mill", "quay", 2)]
    picked = [replace(one, transfer_id=f"pick-{one.transfer_id}") for one in lane("mill", "quay", 3)]
    of_mill = [(c.id, len(c.transfers)) for c in crates(planned(*waits, *picked), TOWN) if c.kind is LegKind.COLLECT]
    closed = [replace(one, filling=False) for one in waits]
    beside = [(c.id, len(c.transfers)) for c in crates(planned(*closed, *picked), TOWN) if c.kind is LegKind.COLLECT]
    assert of_mill == [("mill-9", 4), ("c-20260302-mill-1", 1)]
    assert beside == [("mill-9", 2), ("c-20260302-mill-1", 3)]


def test_little_for_one_place_takes_the_room_of_a_bag():
    with_bags = TOWN.model_copy(update={"network": TOWN.network.model_copy(update={"bags_per_crate": 2})})
    made = crates(planned(*standing("a", 2), *lane("hill", "east", 1)), with_bags)
    assert {(crate.kind, crate.room_bags) for crate in made} == {
        (LegKind.DELIVER, 1),
        (LegKind.COLLECT, 2),
        (LegKind.TRUNK, 2),
    }
    (whole,) = crates(planned(*standing("a", 3)), with_bags)
    assert whole.room_bags == 2


def test_copies_for_one_place_take_as_many_bags_as_they_need_and_never_more_than_a_crate():
    about = TOWN.network.model_copy(update={"copies_per_crate": 25, "bags_per_crate": 3})
    town = TOWN.model_copy(update={"network": about})
    assert [town.room_bags(copies) for copies in (1, 8, 9, 16, 17, 25)] == [1, 1, 2, 2, 3, 3]
    assert [town.copies_in(bags) for bags in (1, 2, 3)] == [8, 16, 25]


transfers = st.lists(
    st.builds(
        OpenTransfer,
        st.integers(0, 999).map(str),
        st.just("c"),
        st.sampled_from(["east", "west", "mill", "quay", "late", "hill"]),
        st.just(Where.PLACE),
        st.sampled_from(["east", "west", "mill", "quay", "late", "hill"]),
    ),
    unique_by=lambda transfer: transfer.transfer_id,
    max_size=12,
)


@settings(max_examples=40)
@given(transfers, st.integers(1, 5), st.randoms())
def test_crates_conserve_copies_whatever_the_order_of_input(found: list[OpenTransfer], size: int, random):  # type: ignore[no-untyped-def]
    way = direct(planned(*found), CALENDAR, size)
    network = TOWN.model_copy(update={"network": TOWN.network.model_copy(update={"copies_per_crate": size})})
    made = crates(way, network)
    on_legs = Counter(leg.kind for itinerary in way for leg in itinerary.legs if leg.kind is not LegKind.SORT)
    in_crates = Counter(crate.kind for crate in made for _ in crate.transfers)
    assert in_crates == on_legs
    assert len({crate.id for crate in made}) == len(made)
    assert all(len(crate.transfers) <= size for crate in made)
    random.shuffle(way)
    assert crates(way, network) == made
