"""A network file: what a good one says, and every fault of a bad one with file, line and field."""

from datetime import date
from pathlib import Path

import pytest

from rotation.network import NetworkError, PlaceKind, Span, Tier, distance_m, from_tables, read

DEMO = Path(__file__).parents[2] / "config" / "networks" / "demo.toml"
GOOD = """\
[network]
id = "small"
name = { zh = "小城", en = "Small town" }

[[class]]
id = "fiction"
name = { zh = "小说", en = "Fiction" }

[[owner]]
id = "town"
name = "Town"

[[place]]
id = "central"
name = "Central"
tier = "central"
owner = "town"
lat = 31.0
lon = 112.0
hours = { mon-fri = ["09:00-12:00", "13:30-18:00"] }
shelf = { fiction = 900 }
hub = { cutoff = "18:00" }

[[place]]
id = "east"
name = "East"
tier = "subdistrict"
parent = "central"
lat = 31.1
lon = 112.1
hours = { tue-sun = "09:00-17:00" }
receiving = { tue-sat = "06:00-08:00" }
service_days = ["tue", "fri"]
closed = [2026-10-02]

[[place]]
id = "west"
name = "West"
tier = "room"
parent = "east"
lat = 31.1
lon = 111.9

[[van]]
id = "van-1"
hub = "central"
crates = 20
shift = "08:00-16:00"

[[unit]]
id = "riverside"
name = "Riverside"
population = 900
place = "east"
"""


@pytest.fixture
def network(tmp_path):
    return read(write(tmp_path, GOOD))


def write(folder: Path, text: str) -> Path:
    path = folder / "town.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """Return the faults of the good file after `changes`."""
    text = GOOD
    for before, after in changes:
        assert before in text, f"{before!r} is not in the good file"
        text = text.replace(before, after, 1)
    with pytest.raises(NetworkError) as told:
        read(write(folder, text))
    return [str(fault) for fault in told.value.faults]


def line_of(text: str, change: tuple[str, str] = ("", "")) -> int:
    """Return the line on which `text` stands first in the good file, after `change`."""
    whole = GOOD.replace(*change, 1) if change[0] else GOOD
    return whole[: whole.index(text)].count("\n") + 1


def test_the_demonstration_city_has_its_four_tiers():
    demo = read(DEMO)
    assert [sum(p.tier is tier for p in demo.places) for tier in Tier] == [1, 4, 20, 60]


def test_the_demonstration_city_has_points_of_every_kind_and_room_for_its_copies():
    demo = read(DEMO)
    assert {p.kind for p in demo.places} == set(PlaceKind) - {PlaceKind.STORE}
    assert 65_000 < sum(sum(p.shelf.values()) for p in demo.places) < 80_000


def test_a_van_can_come_to_every_place_of_the_demonstration_city_within_a_week():
    demo, week = read(DEMO), [date(2026, 9, day) for day in range(7, 14)]
    assert [p.id for p in demo.places if not any(p.receiving_spans(day) for day in week)] == []


def test_the_demonstration_city_says_which_units_it_does_not_serve():
    demo = read(DEMO)
    assert 0 < sum(unit.place is None for unit in demo.units) < len(demo.units)


def test_one_name_stands_for_both_languages(network):
    assert (network.place["east"].name.zh, network.place["east"].name.en) == ("East", "East")


def test_a_lunch_closure_makes_two_spans(network):
    assert network.place["central"].open_spans(date(2026, 9, 7)) == (Span(32_400, 43_200), Span(48_600, 64_800))


def test_a_van_comes_in_the_opening_hours_where_no_receiving_window_is_set(network):
    central = network.place["central"]
    assert central.receiving_spans(date(2026, 9, 7)) == central.open_spans(date(2026, 9, 7))


def test_a_van_comes_in_the_receiving_window_and_on_service_days_only(network):
    east = network.place["east"]
    visits = [day for day in range(7, 14) if east.receiving_spans(date(2026, 9, day))]
    assert visits == [8, 11]  # a Tuesday and a Friday


def test_nobody_comes_on_a_closed_day(network):
    east = network.place["east"]
    assert (east.open_spans(date(2026, 10, 2)), east.receiving_spans(date(2026, 10, 2))) == ((), ())


def test_the_hub_of_a_room_is_its_nearest_ancestor_that_sorts(network):
    assert network.hub_of("west") == network.hub_of("central") == "central"


def test_a_degree_of_latitude_is_111_km(network):
    one = network.place["central"]
    assert distance_m(one, one.model_copy(update={"lat": 32.0})) == pytest.approx(111_195, abs=5)


def test_a_local_time_becomes_an_instant_of_the_networks_zone(network):
    assert network.instant(date(2026, 9, 7), 9 * 3600).isoformat() == "2026-09-07T09:00:00+08:00"


FAULTS = {
    "a place twice": (('id = "west"', 'id = "east"'), "place.2.id: the id 'east' stands 2 times"),
    "a van twice": (
        ("[[unit]]", '[[van]]\nid = "van-1"\nhub = "central"\ncrates = 9\n\n[[unit]]'),
        "van.1.id: the id 'van-1' stands 2 times",
    ),
    "an unknown parent": (('parent = "east"', 'parent = "north"'), "place.2.parent: 'north' is no known place"),
    "an unknown owner": (('owner = "town"', 'owner = "moon"'), "place.0.owner: 'moon' is no known owner"),
    "an unknown class": (("shelf = { fiction", "shelf = { maps"), "place.0.shelf: 'maps' is no known class"),
    "a van of no hub": (('hub = "central"', 'hub = "east"'), "van.0.hub: 'east' is no known hub"),
    "a unit of no place": (('place = "east"', 'place = "moon"'), "unit.0.place: 'moon' is no known place"),
    "a cycle": (
        ('tier = "subdistrict"\nparent = "central"', 'tier = "subdistrict"\nparent = "west"'),
        "place.1.parent: 'east' is its own ancestor",
    ),
    "a tier upside down": (('tier = "central"', 'tier = "central"\nparent = "east"'), "place.0.parent"),
    "coordinates swapped": (
        ("lat = 31.1\nlon = 111.9", "lat = 31.1\nlon = -111.9"),
        "are latitude and longitude swapped?",
    ),
    "latitude beyond the pole": (("lat = 31.1\nlon = 111.9", "lat = 111.9\nlon = 31.1"), "place.2.lat"),
    "half a coordinate": (("lat = 31.1\nlon = 111.9", "lat = 31.1"), "lat and lon go together"),
    "hours that end before they begin": (('"09:00-12:00"', '"12:00-09:00"'), "12:00-09:00 ends before it begins"),
    "hours that overlap": (('"13:30-18:00"', '"11:30-18:00"'), "two spans overlap"),
    "a clock that no clock shows": (('"09:00-12:00"', '"09:00-25:00"'), "expected a time such as 09:30, got '25:00'"),
    "a day that no week has": (("tue-sun", "tue-fun"), "expected a weekday such as mon or mon-fri"),
    "days backwards": (("tue-sun", "sun-tue"), "sun-tue ends before it begins"),
    "no van": (('[[van]]\nid = "van-1"\nhub = "central"\ncrates = 20\nshift = "08:00-16:00"\n', ""), "no van at all"),
    "a hub without a van": (('place]]\nid = "east"', 'place]]\nhub = {}\nid = "east"'), "no van starts at 'east'"),
    "a van too small for one crate": (("crates = 20", "crates = 0"), "van.0.crates: Input should be greater than 0"),
    "a shift that ends before it begins": (("08:00-16:00", "16:00-08:00"), "16:00-08:00 ends before it begins"),
    "no hub": (('hub = { cutoff = "18:00" }\n', ""), "no place has a hub table"),
    "a negative shelf": (("fiction = 900", "fiction = -1"), "place.0.shelf.fiction"),
    "an unknown zone": (
        ('id = "small"', 'id = "small"\ntimezone = "Asia/Atlantis"'),
        "unknown time zone 'Asia/Atlantis'",
    ),
    "a field that nobody knows": (("population = 900", "population = 900\nmayor = 1"), "unit.0.mayor"),
    "a group that no class serves": (
        ('tier = "room"', 'tier = "room"\nspecial = { elderly = 1.5 }'),
        "place.2.special.elderly: Input should be less than or equal to 1",
    ),
}


@pytest.mark.parametrize(("change", "told"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_file_and_field(tmp_path, change, told):
    faults = faults_of(tmp_path, change)
    assert any(fault.startswith("town.toml:") and told in fault for fault in faults), faults


def test_a_fault_is_told_with_the_line_of_its_key(tmp_path):
    change = ("lat = 31.1\nlon = 111.9", "lat = 31.1\nlon = -111.9")
    faults = faults_of(tmp_path, change)
    assert faults[0].startswith(f"town.toml:{line_of('lon = -111.9', change) - 1}: place.2.lat")


def test_hours_of_the_second_place_are_told_with_its_own_line(tmp_path):
    change = ('"09:00-17:00"', '"17:00-09:00"')
    assert faults_of(tmp_path, change)[0].startswith(f"town.toml:{line_of('17:00-09:00', change)}: place.1.hours")


def test_all_faults_are_told_at_once(tmp_path):
    faults = faults_of(
        tmp_path, ('owner = "town"', 'owner = "moon"'), ('place = "east"', 'place = "moon"'), ('"town"', '"sea"')
    )
    assert len(faults) == 2


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path):
    with pytest.raises(NetworkError) as told:
        read(write(tmp_path, '[network]\nid = "a"\nname = \n'))
    assert told.value.faults[0].line == 3


def test_an_empty_file_is_told_and_does_not_crash(tmp_path):
    with pytest.raises(NetworkError) as told:
        read(write(tmp_path, ""))
    assert "network" in str(told.value)


def test_a_place_without_a_parent_belongs_to_the_only_hub_there_is():
    network = from_tables(MINIMAL, "t.toml")
    assert {network.hub_of(place) for place in network.place} == {"main"}
    two = MINIMAL | {
        "place": [*MINIMAL["place"], {"id": "other", "name": "other", "tier": "district", "hub": {}}],
        "van": [*MINIMAL["van"], {"id": "v2", "hub": "other", "crates": 5}],
    }
    with pytest.raises(NetworkError, match="no hub above 'north', and there are 2"):
        from_tables(two, "t.toml")


MINIMAL: dict[str, list[dict[str, object]] | dict[str, object]] = {
    "network": {"id": "t", "name": "t"},
    "place": [
        {"id": "main", "name": "main", "tier": "central", "hub": {}},
        {"id": "north", "name": "north", "tier": "room", "lat": 30.0, "lon": 120.0},
    ],
    "van": [{"id": "v1", "hub": "main", "crates": 20}],
}
