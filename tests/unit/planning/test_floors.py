"""Floors: a quarter's promise at an even pace, special shelves, and figures that nobody knows."""

from datetime import date

import pytest

from config.figures import figures
from rotation.network import Network, NetworkError, from_tables
from rotation.night.floors import Unset, fresh_due, quarter_began, quarter_share, special_shelves, unset

FILE = {
    "network": {"id": "small", "name": "Small"},
    "class": [{"id": "braille", "name": "Braille", "special_group": "blind"}, {"id": "fiction", "name": "Fiction"}],
    "place": [
        {"id": "centre", "name": "Centre", "tier": "central", "population": 9000, "hub": {}, "shelf": {"braille": 10}},
        {
            "id": "room",
            "name": "Room",
            "tier": "room",
            "parent": "centre",
            "population": 2000,
            "shelf": {"braille": 5, "fiction": 50},
        },
    ],
    "van": [{"id": "v", "hub": "centre", "crates": 9}],
}


def city(**floors: object) -> Network:
    return from_tables({**FILE, "floors": floors}, "small.toml")


def test_a_quarter_ends_with_its_last_day():
    assert quarter_began(date(2026, 6, 30)) == date(2026, 4, 1)
    assert quarter_share(date(2026, 6, 30)) == quarter_share(date(2026, 12, 31)) == 1.0
    assert quarter_share(date(2026, 4, 1)) == pytest.approx(1 / 91)


def test_fresh_copies_are_due_by_residents_and_by_place_at_an_even_pace():
    promised = city(fresh_per_1000_quarter={"room": 15}, fresh_per_quarter={"room": 61})
    assert fresh_due(promised, {}, date(2026, 6, 30)) == {"room": 91}  # 15 x 2 + 61
    assert fresh_due(promised, {}, date(2026, 4, 1)) == {"room": 1}
    assert fresh_due(promised, {}, date(2026, 5, 1)) == {"room": 31}


def test_only_the_shelves_of_special_groups_have_a_floor():
    assert special_shelves(city(special_shelf_share=0.5), {}) == {("centre", "braille"): 5, ("room", "braille"): 2}


def test_a_figure_that_is_not_known_sets_no_floor_and_is_named():
    named = city(fresh_per_quarter={"room": "a-standard"}, special_shelf_share="another")
    assert fresh_due(named, {"a-standard": 60.0}, date(2026, 6, 30)) == {"room": 60}
    assert fresh_due(named, {"a-standard": None}, date(2026, 6, 30)) == {}
    assert unset(named, {"a-standard": None}) == [
        Unset("fresh_per_quarter.room", "a-standard"),
        Unset("special_shelf_share", "another"),
    ]
    assert unset(named, {"a-standard": 60.0, "another": 0.5}) == []


def test_each_figure_that_comes_with_rotation_has_source_and_date_and_none_is_guessed():
    known = figures()
    assert known["huaining-township-quarter"].value == 500
    assert all(one.source and one.date for one in known.values())
    assert known["gb-t-28220-fresh-per-1000"].value is None


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ({"owner": [{"id": "a", "name": "A", "asks": ["b"]}]}, "owner.0.asks: 'b' is no known owner"),
        ({"float_group": [{"id": "g", "classes": ["maps"], "places": ["room"]}]}, "'maps' is no known classes"),
        (
            {"float_group": [{"id": n, "classes": ["fiction"], "places": ["room"]} for n in "gh"]},
            "'fiction' floats in 'g' already",
        ),
        ({"floors": {"special_shelf_share": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_a_network_cannot_mean_is_told(part, fault):
    with pytest.raises(NetworkError, match=fault):
        from_tables({**FILE, **part}, "small.toml")
