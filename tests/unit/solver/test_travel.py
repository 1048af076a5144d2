"""Ways and times: straight lines, and routing services at a local server that answers as they were recorded to."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from solver import road_table
from solver.__main__ import main
from solver.check import read
from solver.evaluate import evaluate
from solver.problem import Roads
from solver.road_table import roads_between, with_travel
from solver.routing_service import Osrm, StraightLines, TravelError, TravelSource, Valhalla
from solver.travel import straight_lines
from tests.unit.routing_service import Service, serving
from tests.unit.solver.days import plan

WELLS, STREET, FROME = (51.207, -2.648), (51.127, -2.738), (51.230, -2.320)
POINTS = [WELLS, STREET, FROME]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(monkeypatch) as address:
        yield address


def ways(source: TravelSource) -> tuple[np.ndarray, np.ndarray]:
    table = road_table.road_table(source, POINTS)
    return np.ceil(table.metres), table.seconds


def expected() -> np.ndarray:
    return np.ceil(np.abs(np.array(POINTS)[:, None] - np.array(POINTS)[None]).sum(axis=2) * 100_000 - 1e-6)


def test_straight_lines_are_stretched_to_roads_and_slower_near():
    metres, seconds = straight_lines(POINTS, Roads(road_factor=1.0, speed_kmh=36, far_speed_kmh=72, far_m=5000))
    assert metres[0, 2] == pytest.approx(22_980, abs=60)  # Wells to Frome as the crow flies
    assert seconds[0, 2] == pytest.approx(500 + (metres[0, 2] - 5000) / 20, abs=1)
    assert (np.diag(metres) == 0).all()
    assert (metres == metres.T).all()


@pytest.mark.parametrize("source", [Osrm, Valhalla])
@pytest.mark.parametrize("block", [1, 2, 50])
def test_a_service_is_asked_block_by_block(service, source, block, monkeypatch):
    monkeypatch.setattr(road_table, "LARGEST_BLOCK", block)
    metres, seconds = ways(source(service))
    assert np.abs(metres - expected()).max() <= 1
    assert (seconds >= metres * 0.09 - 1).all()
    assert len(Service.asked) == math.ceil(len(POINTS) / block) ** 2


@pytest.mark.parametrize("source", [Osrm, Valhalla])
def test_what_passes_by_itself_is_tried_again(service, source):
    Service.trouble = ["busy", "busy"]
    assert ways(source(service))[0].shape == (3, 3)


def test_a_service_that_stays_silent_is_told_with_its_reason(service):
    Service.trouble = ["silent"] * 3
    with pytest.raises(TravelError, match=r"osrm: ReadTimeout.*3 tries"):
        ways(Osrm(service, timeout_s=0.2))


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("no json", "no JSON"), ("no table", "NoTable too large"), ("list", "None")],
)
def test_an_answer_that_is_no_table_is_told(service, trouble, said):
    Service.trouble = [trouble]
    with pytest.raises(TravelError, match=said):
        ways(Osrm(service))


def test_nobody_there_is_told():
    with pytest.raises(TravelError, match="valhalla: ConnectError"):
        ways(Valhalla("http://127.0.0.1:9", timeout_s=0.2))


def town() -> Any:
    data = {
        "depots": [{"id": "wells", "lat": WELLS[0], "lon": WELLS[1]}],
        "vans": [{"id": "v"}],
        "stops": [{"id": "street", "lat": STREET[0], "lon": STREET[1]}],
    }
    return read(data)


def test_straight_lines_stand_in_only_where_they_may():
    gone = Osrm("http://127.0.0.1:9", timeout_s=0.2)
    with pytest.raises(TravelError):
        with_travel(town(), gone)
    problem, report = with_travel(town(), gone, fall_back=True)
    assert report.name == "straight lines"
    assert evaluate(problem, plan("street")).cost_cents == evaluate(town(), plan("street")).cost_cents


def test_a_problem_with_a_services_matrix_is_judged_by_it(service):
    problem, report = with_travel(town(), Osrm(service))
    assert report.name == "osrm"
    assert evaluate(problem, plan("street")).totals.metres == pytest.approx(2 * 17_000, abs=2)


def test_of_a_networks_kept_matrix_only_a_new_places_rows_and_columns_are_asked_for(service, tmp_path):
    file, places = tmp_path / "ways.npz", dict(zip("wsf", POINTS, strict=True))
    roads_between({"w": WELLS, "s": STREET}, Osrm(service), kept=file)
    assert [cells(path) for path in Service.asked] == [(2, 2)]
    whole, _ = roads_between(places, Osrm(service), kept=file)
    assert [cells(path) for path in Service.asked[1:]] == [(1, 3), (2, 1)]
    number = len(Service.asked)
    part, _ = roads_between({"f": FROME, "w": WELLS}, Osrm(service), kept=file)
    assert (len(Service.asked), part.metres[0, 1]) == (number, whole.metres[2, 0])
    roads_between({"f": FROME}, Osrm(service, profile="truck"), kept=file)
    assert len(Service.asked) == number + 1


def cells(path: str) -> tuple[int, int]:
    query = parse_qs(urlsplit(path).query)
    return len(query["sources"][0].split(";")), len(query["destinations"][0].split(";"))


def test_a_broken_file_of_kept_ways_is_written_anew(tmp_path):
    file, places = tmp_path / "ways.npz", dict(zip("wsf", POINTS, strict=True))
    file.write_bytes(b"no zip")
    first, _ = roads_between(places, StraightLines(), kept=file)
    again, _ = roads_between(places, StraightLines(), kept=file)
    assert (first.metres == again.metres).all()


def test_a_place_moved_to_a_road_is_named_and_one_too_far_is_refused(service):
    Service.moved = {STREET: 450.0}
    _, report = with_travel(town(), Osrm(service))
    assert list(report.lines()) == ["street: the nearest road is 450 m away; are its coordinates right?"]
    Service.moved = {STREET: 2_300_000.0}
    with pytest.raises(TravelError, match="street: the nearest road is 2300 km away"):
        with_travel(town(), Osrm(service))
    problem, report = with_travel(town(), Osrm(service), fall_back=True)
    assert report.refused == {"street": "the nearest road is 2300 km away"}
    assert evaluate(problem, plan("street")).totals.metres == evaluate(town(), plan("street")).totals.metres


def test_the_command_puts_a_services_ways_into_a_problem(service, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("day.json").write_text(town().model_dump_json(exclude_defaults=True), encoding="utf-8")
    assert main(["travel", "day.json", "--osrm", service, "--kept", "ways.npz", "-o", "roads.json"]) == 0
    roads = read(json.loads(Path("roads.json").read_text(encoding="utf-8")))
    assert evaluate(roads, plan("street")).totals.metres == pytest.approx(2 * 17_000, abs=2)
    gone = ["travel", "day.json", "--valhalla", "http://127.0.0.1:9"]
    assert main(gone) == 2
    assert "valhalla: ConnectError" in capsys.readouterr().err
    assert main([*gone, "--or-straight-lines"]) == 0
    assert "straight lines" in capsys.readouterr().err


def test_a_kind_of_vehicle_has_its_own_table_beside_the_common_one():
    stops = [{"id": "street", "lat": STREET[0], "lon": STREET[1]}, {"id": "frome", "lat": FROME[0], "lon": FROME[1]}]
    day = read({"depots": [{"id": "wells", "lat": WELLS[0], "lon": WELLS[1]}], "vans": [{"id": "v"}], "stops": stops})
    van, bike = StraightLines(), StraightLines(Roads(speed_kmh=12, far_speed_kmh=12))
    with pytest.raises(TravelError, match="common matrix"):
        with_travel(day, bike, kind="bike")
    both = with_travel(with_travel(day, van)[0], bike, kind="bike")[0]
    again = with_travel(both, van)[0].travel
    assert again is not None
    assert (again.seconds == with_travel(day, van)[0].travel.seconds).all()
    assert (again.kinds["bike"].seconds == with_travel(day, bike)[0].travel.seconds).all()
