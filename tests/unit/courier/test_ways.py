"""The network's ways by a routing service: in driving times and problems, kept, and what happens when it is away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config import Settings, load
from rotation.courier.calendar import Calendar
from rotation.courier.crates import crates
from rotation.courier.legs import itineraries
from rotation.courier.problems import hub_problem
from rotation.courier.ways import ways
from solver.routing_service import TravelError
from tests.unit.courier.town import MONDAY, morning_of, town, waiting
from tests.unit.routing_service import Service, serving

TOWN = town()
EAST_TO_MILL_S = 181  # .01 degrees north and as much east, at 9,000.5 s a degree, rounded up
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(monkeypatch) as address:
        yield address


def chosen(folder: Path, roads: str, url: str, **more: Any) -> Settings:
    return load(data_dir=folder, roads=roads, roads_url=url, **more)


def test_straight_lines_are_the_default(tmp_path: Path):
    assert ways(TOWN, load(data_dir=tmp_path)) is None


@pytest.mark.parametrize("roads", ["osrm", "valhalla"])
def test_driving_times_and_problems_are_the_services(service: str, tmp_path: Path, roads: str):
    calendar = Calendar(TOWN, travel=ways(TOWN, chosen(tmp_path, roads, service)))
    assert calendar.drive_s("east", "mill") == EAST_TO_MILL_S
    found = list(itineraries([waiting("mill", "quay")], calendar, morning_of(MONDAY)))
    travel = hub_problem(calendar, TOWN.place["east"], MONDAY, crates(found, TOWN)).travel
    assert travel is not None
    assert travel.places == ["east", "mill"]
    assert travel.metres.tolist() == [[0, 2_001], [2_001, 0]]  # rounded up
    assert travel.seconds[0, 1] == EAST_TO_MILL_S


def test_the_matrix_is_asked_once(service: str, tmp_path: Path):
    first, again = (ways(TOWN, chosen(tmp_path, "osrm", service)) for _ in range(2))
    assert first is not None
    assert again is not None
    assert (first.seconds == again.seconds).all()
    assert len(Service.asked) == 1


def test_a_service_that_is_away_is_told_and_straight_lines_stand_in_only_where_they_may(tmp_path: Path):
    with pytest.raises(TravelError, match="osrm"):
        ways(TOWN, chosen(tmp_path, "osrm", NOBODY))
    assert ways(TOWN, chosen(tmp_path, "osrm", NOBODY, roads_fall_back=True)) is None


def test_a_service_without_an_address_is_refused():
    with pytest.raises(ValidationError, match="roads_url is missing"):
        load(roads="osrm")
