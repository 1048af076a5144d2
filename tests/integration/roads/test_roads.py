"""Ways by OSRM and Valhalla as they are, over a small town: places that are wrong, and pairs without a way."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from solver.check import read
from solver.problem import Roads
from solver.road_table import driven, road_table, roads_between, with_travel
from solver.routing_service import Osrm, TravelError, TravelSource, Valhalla
from tests.road_services import ISLAND, RESIDENTS, crossing, osrm, valhalla
from tests.unit.solver.days import plan

HERE, THERE, CORNER = crossing(1, 1), crossing(8, 9), crossing(3, 6)
FAR = (40.0, 10.0)
TOWN = {"here": HERE, "there": THERE, "corner": CORNER}


@pytest.fixture(scope="module")
def osrm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with osrm(tmp_path_factory.mktemp("osrm")) as address:
        yield address


@pytest.fixture(scope="module")
def valhalla_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valhalla(tmp_path_factory.mktemp("valhalla")) as address:
        yield address


@pytest.fixture(params=["osrm", "valhalla"])
def source(request: pytest.FixtureRequest) -> TravelSource:
    made = Osrm if request.param == "osrm" else Valhalla
    return made(request.getfixturevalue(f"{request.param}_url"))


def test_both_services_tell_ways_alike(osrm_url: str, valhalla_url: str) -> None:
    (first, _), (second, _) = (roads_between(TOWN, one) for one in (Osrm(osrm_url), Valhalla(valhalla_url)))
    assert np.abs(first.metres - second.metres).max() < 0.01 * first.metres.max()
    assert (first.metres[~np.eye(3, dtype=bool)] > 0).all()


def test_a_place_beyond_all_roads_is_named_and_costs_the_others_nothing(source: TravelSource) -> None:
    alone, _ = roads_between(TOWN, source)
    with pytest.raises(TravelError, match="far: "):
        roads_between(TOWN | {"far": FAR}, source)
    travel, report = roads_between(TOWN | {"far": FAR}, source, fall_back=Roads())
    assert list(report.refused) == ["far"]
    assert (travel.metres[:3, :3] == alone.metres).all()


def test_a_place_that_no_road_joins_is_named_and_costs_the_others_nothing(source: TravelSource) -> None:
    alone, _ = roads_between(TOWN, source)
    travel, report = roads_between(TOWN | {"island": ISLAND}, source, fall_back=Roads())
    assert report.refused == {"island": "no way to it or from it"}
    assert (travel.metres[:3, :3] == alone.metres).all()


def test_a_place_off_the_street_is_named_with_its_distance(source: TravelSource) -> None:
    beside = (crossing(0, 0)[0] - 0.005, crossing(0, 0)[1])
    _, report = roads_between(TOWN | {"beside": beside}, source)
    assert 450 < report.moved["beside"] < 650


def test_a_street_for_residents_is_driven_to(source: TravelSource) -> None:
    travel, report = roads_between(TOWN | {"school": RESIDENTS}, source)
    assert not report.refused
    assert (travel.metres[3, :3] > 0).all()


def test_a_block_that_the_service_does_not_take_is_asked_for_in_parts(tmp_path: Path) -> None:
    points = [crossing(row, column) for row in range(5) for column in range(5)]
    with osrm(tmp_path, "--max-table-size", "20") as address:
        small = road_table(Osrm(address), points)
    assert not np.isnan(small.metres).any()


def test_a_plan_is_told_by_its_matrix_and_as_it_is_driven(osrm_url: str) -> None:
    data = {
        "depots": [{"id": "hub", "lat": HERE[0], "lon": HERE[1]}],
        "vans": [{"id": "v"}],
        "stops": [{"id": name, "lat": at[0], "lon": at[1]} for name, at in TOWN.items() if name != "here"],
    }
    problem, _ = with_travel(read(data), Osrm(osrm_url))
    (run,) = driven(Osrm(osrm_url), problem, plan("there", "corner"))
    assert run.van == "v"
    assert run.table_s <= run.route_s < 2 * run.table_s
