"""VROOM's JSON: its problems are read whole or refused by name, and its answers and ours agree on the same plan."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vroom

from solver.__main__ import main
from solver.check import ProblemError
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.messages import say_complaint
from solver.solve import solve
from solver.vroom_json import read_vroom

UNIX_MIDNIGHT = 1_772_409_600  # 2026-03-02


def problem(seed: int, jobs: int = 8, begin_s: int = 0) -> dict[str, Any]:
    """Two vehicles, jobs in windows, one shipment, a matrix of one's own."""
    random = np.random.default_rng(seed)
    points = random.integers(0, 3000, (jobs + 3, 2))
    seconds = np.abs(points[:, None] - points[None]).sum(axis=2)
    job = lambda at: {  # noqa: E731
        "id": at,
        "location_index": at,
        "service": 120,
        "delivery": [1, 20],
        "time_windows": [[begin_s + 3600 * (at % 3), begin_s + 3600 * (at % 3 + 4)]],
        "skills": [at % 2],
    }
    halves = {
        "pickup": {"id": 1, "location_index": jobs + 1, "service": 60},
        "delivery": {"id": 2, "location_index": jobs + 2, "service": 60},
    }
    vehicle = {"start_index": 0, "end_index": 0, "capacity": [6, 200], "time_window": [begin_s, begin_s + 36_000]}
    return {
        "vehicles": [vehicle | {"id": 1, "skills": [0, 1]}, vehicle | {"id": 2, "skills": [1], "speed_factor": 1.25}],
        "jobs": [job(at) for at in range(1, jobs + 1)],
        "shipments": [{"amount": [1, 5], **halves}],
        "matrices": {"car": {"durations": seconds.tolist(), "distances": (seconds * 9).tolist()}},
    }


def by_vroom(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "vroom.json").write_text(json.dumps(data), encoding="utf-8")
    answer = vroom.Input.from_json(folder / "vroom.json").solve(exploration_level=5, nb_threads=1).to_dict()
    assert answer["code"] == 0
    return answer


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("begin_s", [0, UNIX_MIDNIGHT])
def test_vroom_and_the_judge_agree_on_vrooms_plan(seed: int, begin_s: int, tmp_path: Path):
    _agree(problem(seed, begin_s=begin_s), tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_a_setup_counts_once_where_the_vehicle_stays(seed: int, tmp_path: Path):
    data = problem(seed)
    for job in data["jobs"]:
        job |= {"setup": 60 + job["id"], "location_index": (job["id"] + 1) // 2, "skills": []}
        del job["time_windows"]
    data["shipments"][0]["pickup"]["setup"] = 45
    answer = _agree(data, tmp_path)
    assert 4 * 60 < answer["summary"]["setup"] < 6 * 60


@pytest.mark.parametrize("seed", range(3))
def test_each_profile_has_its_matrices(seed: int, tmp_path: Path):
    data = problem(seed)
    car = data["matrices"]["car"]["durations"]
    data["matrices"]["bike"] = {"durations": [[way * 3 // 2 for way in row] for row in car], "distances": car}
    data["vehicles"][1] |= {"profile": "bike", "speed_factor": 1.0}
    assert _agree(data, tmp_path)["summary"]["routes"] == 2


def _agree(data: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    theirs = by_vroom(data, tmp_path)
    steps = {route["vehicle"]: route["steps"] for route in theirs["routes"]}
    data["vehicles"] = [one | {"steps": steps.get(one["id"], [])} for one in data["vehicles"]]
    translation = read_vroom(data)
    judged = evaluate(translation.problem, translation.plan())
    ours = translation.answer(judged)
    assert judged.feasible == (not theirs["unassigned"])
    assert len(ours["unassigned"]) == len(theirs["unassigned"])
    slowest = max(1, len(theirs["routes"])) * (
        len(data["jobs"]) + 4
    )  # each leg of a faster vehicle is rounded up by a second
    assert 0 <= ours["summary"]["duration"] - theirs["summary"]["duration"] <= slowest
    for name in ("service", "setup"):
        assert ours["summary"][name] == theirs["summary"][name]
    for route, known in zip(ours["routes"], theirs["routes"], strict=True):
        assert [(one["type"], one.get("id"), one["load"]) for one in route["steps"]] == [
            (one["type"], one.get("id"), one["load"]) for one in known["steps"]
        ]
    return ours


@pytest.mark.parametrize("seed", range(3))
def test_our_answer_is_read_back_as_a_plan_and_serves_what_vroom_serves(seed: int, tmp_path: Path):
    data = problem(seed)
    translation = read_vroom(data)
    found = solve(translation.problem, Limits(iterations=500, seed=seed))  # a busy machine may take seconds to begin
    answer = translation.answer(evaluate(translation.problem, found))
    assert len(answer["unassigned"]) <= len(by_vroom(data, tmp_path)["unassigned"])
    steps = {route["vehicle"]: route["steps"] for route in answer["routes"]}
    data["vehicles"] = [one | {"steps": steps.get(one["id"], [])} for one in data["vehicles"]]
    again = read_vroom(data)
    assert again.answer(evaluate(again.problem, again.plan())) == answer


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda data: data["jobs"][0].update(setup_per_type={"car": 60}), "jobs[0].setup_per_type"),
        (lambda data: data["vehicles"][0].update(max_travel_time=3), "vehicles[0].max_travel_time"),
        (lambda data: data["vehicles"][1].update(profile="truck"), "vehicles[1].profile"),
        (lambda data: data["matrices"]["car"].update(costs=[[0]]), "matrices.car.costs"),
        (lambda data: data["jobs"][2].update(location_index=99), "jobs[2].place"),
        (lambda data: data["jobs"][2].update(id=1), "jobs[2].id"),
        (lambda data: data.update(geometry=True), "geometry"),
    ],
)
def test_what_cannot_be_said_the_same_way_is_refused_by_name(change, place: str):
    data = problem(1)
    change(data)
    with pytest.raises(ProblemError) as error:
        read_vroom(data)
    assert place in {one.at for one in error.value.complaints}


def test_the_most_tasks_of_a_vehicle_are_its_most_visits(tmp_path: Path):
    data = problem(1)
    for vehicle in data["vehicles"]:
        vehicle["max_tasks"] = 4
    theirs, translation = by_vroom(data, tmp_path), read_vroom(data)
    found = evaluate(translation.problem, solve(translation.problem, Limits(iterations=500), engine="ortools"))
    assert found.totals.vans == len(theirs["routes"]) == 2
    assert len(translation.answer(found)["unassigned"]) == len(theirs["unassigned"]) == 10 - 2 * 4


def test_a_misspelt_field_of_vrooms_is_answered_with_vrooms_field():
    data = problem(1)
    data["jobs"][0]["time_window"] = [[0, 1]]
    with pytest.raises(ProblemError) as error:
        read_vroom(data)
    assert "time_windows is: meant?" in say_complaint(error.value.complaints[0])


def test_the_command_answers_vrooms_file_in_vrooms_form_and_every_form_names_each_visit(tmp_path: Path, capsys):
    file, data = tmp_path / "day.json", problem(2)
    file.write_text(json.dumps(data), encoding="utf-8")
    assert main(["solve", str(file), "--time-s", "0.5", "--quiet"]) == 0
    answer = json.loads(capsys.readouterr().out)
    jobs = {str(step["id"]) for route in answer["routes"] for step in route["steps"] if step["type"] == "job"}
    assert jobs == {str(one["id"]) for one in data["jobs"]}
    assert main(["solve", str(file), "--time-s", "0.5", "--quiet", "--form", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["visit"] for row in rows} >= jobs | {"collect:1-2", "deliver:1-2"}
    assert all(row["begin"][:2] == f"{int(row['begin_s']) // 3600:02}" for row in rows)
    assert main(["solve", str(file), "--time-s", "0.5", "--quiet", "--form", "table"]) == 0
    table = capsys.readouterr().out
    assert all(f"\n  {job} " in table for job in jobs)


def test_geojson_draws_each_run_and_visit(tmp_path: Path, capsys):
    data = {
        "vehicles": [{"id": 1, "start": [2.35, 48.86], "end": [2.35, 48.86]}],
        "jobs": [{"id": 1, "location": [2.4, 48.8]}, {"id": 2, "location": [2.3, 48.9]}],
    }
    (tmp_path / "day.json").write_text(json.dumps(data), encoding="utf-8")
    assert main(["solve", str(tmp_path / "day.json"), "--time-s", "0.5", "--quiet", "--form", "geojson"]) == 0
    features = json.loads(capsys.readouterr().out)["features"]
    lines = [one for one in features if one["geometry"]["type"] == "LineString"]
    points = {tuple(one["geometry"]["coordinates"]) for one in features if one["geometry"]["type"] == "Point"}
    assert len(lines) == 1
    assert points == {(2.35, 48.86), (2.4, 48.8), (2.3, 48.9)}
