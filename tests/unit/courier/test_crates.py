"""Crates: mixed from places, for one destination from hubs, direct where a lane fills one; no copy twice, none forgotten."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.courier.crates import crates, direct
from rotation.courier.legs import Itinerary, Kind, OpenTransfer, Where, itineraries
from tests.unit.courier.town import MONDAY, TUESDAY, calendar, morning_of, waiting

CALENDAR = calendar()
A_CRATE = 4


def planned(*transfers: OpenTransfer) -> list[Itinerary]:
    return list(itineraries(transfers, CALENDAR, morning_of(MONDAY)))


def lane(from_place: str, to_place: str, copies: int) -> list[OpenTransfer]:
    return [waiting(from_place, to_place, number) for number in range(copies)]


def test_a_place_packs_all_it_has_for_its_hub_together():
    made = crates(planned(*lane("mill", "quay", 3), *lane("mill", "hill", 2)), A_CRATE)
    assert [len(crate.transfers) for crate in made if crate.kind is Kind.COLLECT] == [4, 1]


def test_only_the_hub_makes_crates_for_one_destination_and_merges_what_comes_from_many_places():
    made = crates(planned(*lane("quay", "mill", 1), *lane("hill", "mill", 1), *lane("east", "mill", 1)), A_CRATE)
    assert [(c.id, c.from_place, len(c.transfers)) for c in made if c.kind is Kind.DELIVER] == [
        ("d-20260303-mill-1", "east", 3)
    ]


def test_a_trunk_carries_crates_from_hub_to_hub_on_the_night_of_collection():
    trunk = next(crate for crate in crates(planned(*lane("mill", "hill", 2)), A_CRATE) if crate.kind is Kind.TRUNK)
    assert (trunk.from_place, trunk.to_place, trunk.day) == ("east", "west", MONDAY)


def test_a_lane_goes_direct_with_whole_crates_and_with_the_rest_only_above_the_fill():
    def copies_direct(number: int) -> int:
        found = direct(planned(*lane("mill", "quay", number)), CALENDAR, fill_copies=3)
        return sum(itinerary.legs[0].kind is Kind.DIRECT for itinerary in found)

    assert [copies_direct(number) for number in (2, 3, 4, 6, 7)] == [0, 3, 4, 4, 7]


def test_a_lane_to_another_hub_or_to_a_place_closed_that_day_does_not_go_direct():
    found = direct(planned(*lane("mill", "hill", 8)), CALENDAR, 3)
    shut = direct(list(itineraries(lane("mill", "quay", 8), CALENDAR, morning_of(TUESDAY))), CALENDAR, 3)
    assert not any(leg.kind is Kind.DIRECT for itinerary in [*found, *shut] for leg in itinerary.legs)


def test_a_crate_that_stands_closed_for_its_destination_keeps_its_name():
    closed = OpenTransfer("t", "c", "mill", Where.SORTED, "east", None, "home", "label-7")
    made = crates(planned(closed, *lane("east", "mill", 1)), A_CRATE)
    assert [crate.id for crate in made] == ["label-7", "d-20260303-mill-1"]


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
    made = crates(way, size)
    on_legs = Counter(leg.kind for itinerary in way for leg in itinerary.legs if leg.kind is not Kind.SORT)
    in_crates = Counter(crate.kind for crate in made for _ in crate.transfers)
    assert in_crates == on_legs
    assert len({crate.id for crate in made}) == len(made)
    assert all(len(crate.transfers) <= size for crate in made)
    random.shuffle(way)
    assert crates(way, size) == made
