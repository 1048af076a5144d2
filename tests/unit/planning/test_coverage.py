"""Coverage: whom a network reaches on foot, as it is and with places more, elsewhere or closed."""

import pytest

from rotation.network import Network, from_tables
from rotation.night.coverage import POINTS, Added, changed, reach

FAR = 0.05  # degrees: some five kilometres, far beyond a walk


def city(*rooms: tuple[float, float, int]) -> Network:
    """A centre without residents, and rooms by latitude, longitude and residents."""
    rows = [
        {
            "id": f"room-{n}",
            "name": f"Room {n}",
            "tier": "room",
            "parent": "centre",
            "lat": lat,
            "lon": lon,
            "population": people,
            "shelf": {"fiction": 50},
        }
        for n, (lat, lon, people) in enumerate(rooms)
    ]
    centre = {"id": "centre", "name": "Centre", "tier": "central", "lat": 30.2, "lon": 120.2, "hub": {}}
    return from_tables(
        {
            "network": {"id": "c", "name": "C"},
            "class": [{"id": "fiction", "name": "Fiction"}],
            "place": [centre, *rows],
            "van": [{"id": "v", "hub": "centre", "crates": 9}],
            "unit": [
                {"id": "u", "name": "U", "population": 9, "place": "room-0"},
                {"id": "w", "name": "W", "population": 9},
            ],
        },
        "city.toml",
    )


DENSE = city((30.0, 120.0, 6100), (30.006, 120.0, 6100))  # 670 m apart: all live within a walk of one of them
SPREAD = city((30.0, 120.0, 6100), (30.0 + FAR, 120.0, 6100))  # they live up to 2.8 km out


def test_who_lives_among_rooms_close_together_is_reached_and_who_lives_far_out_is_not():
    assert reach(DENSE).within_15_minutes == reach(DENSE).residents == 12_200
    assert 0.25 < reach(SPREAD).within_15_minutes / 12_200 < 0.4  # 870 m of 2,780 m


def test_closing_a_room_loses_those_who_had_only_it():
    assert reach(SPREAD, ["room-1"]).within_15_minutes == pytest.approx(reach(SPREAD).within_15_minutes / 2, abs=1)
    assert reach(SPREAD, ["room-0"]).units_served == 0
    assert (reach(SPREAD).units, reach(SPREAD).units_served) == (2, 1)


def test_a_room_more_reaches_more_and_counts_those_who_live_nearest_nobody_twice():
    more = changed(SPREAD, [Added("new", 30.0 + FAR / 4, 120.0)], {})
    assert reach(more, lived_in=SPREAD).within_15_minutes > reach(SPREAD).within_15_minutes + 100
    people = {place.id: place.population for place in more.places}
    assert sum(people.values()) == pytest.approx(12_200, abs=3)
    assert people["new"] >= 6100 // POINTS * 5
    assert people["room-0"] < 6100
    assert (more.place["new"].parent, more.place["new"].shelf) == ("centre", {"fiction": 50})


def test_homes_stay_where_they_are_when_a_room_moves_away_from_them():
    away = changed(SPREAD, [], {"room-1": (30.0 + 4 * FAR, 120.0)})
    assert away.place["room-1"].lat == 30.0 + 4 * FAR
    assert away.place["room-0"].population == 12_200
    assert reach(away, lived_in=SPREAD).within_15_minutes == reach(SPREAD, ["room-1"]).within_15_minutes


@pytest.mark.parametrize(
    ("added", "moved", "part"),
    [
        ([Added("room-0", 30, 120)], {}, "there is a place 'room-0' already"),
        ([], {"moon": (30.0, 120.0)}, "no place 'moon'"),
        ([Added("new", 30, 120, SPREAD.places[0].tier)], {}, "no place of the tier"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(added, moved, part):
    with pytest.raises(ValueError, match=part):
        changed(SPREAD, added, moved)
