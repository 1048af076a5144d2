"""`python -m solver`: files in, JSON out, and an exit code that says the rest."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

import solver
from solver import timing_kernels, worker
from solver.__main__ import main
from solver.benchmark_lines import SCALE
from solver.check import read
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.formats import convert
from solver.instance import compiled
from solver.problem import Depot, Problem, Stop, Van
from solver.solution import Cause, Solution
from solver.solve import solve
from solver.worker import Job, WorkerError, plans
from tests.unit.solver.days import day, stop

ROOT = Path(__file__).parents[3]
TOWN = {
    "depots": [{"id": "hub", "lat": 51.2, "lon": -2.65}],
    "vans": [{"id": "v", "capacity": 5}],
    "stops": [
        {"id": "a", "lat": 51.3, "lon": -2.6, "deliver": 3},
        {"id": "b", "lat": 51.25, "lon": -2.7, "deliver": 2},
    ],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.json").write_text(json.dumps(TOWN), encoding="utf-8")
    (tmp_path / "plan.json").write_text('{"runs": [{"van": "v", "visits": ["a", "b"]}]}', encoding="utf-8")
    (tmp_path / "half.json").write_text('{"runs": [{"van": "v", "visits": ["a"]}]}', encoding="utf-8")
    return tmp_path


def test_a_newcomers_day_is_solved_from_the_command_line(folder):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "solver",
            "solve",
            str(folder / "day.json"),
            "--time-s",
            "1",
            "--engine",
            "ortools",
            "-o",
            "out.json",
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    out = Path(__file__).parents[3] / "out.json"
    plan = Solution.model_validate_json(out.read_text(encoding="utf-8"))
    out.unlink()
    assert (done.returncode, sorted(plan.runs[0].visits)) == (0, ["a", "b"])
    assert "cost" in done.stderr


def test_the_first_day_of_the_documentation_is_a_problem():
    text = (Path(__file__).parents[3] / "docs" / "solver-format.md").read_text(encoding="utf-8")
    problem = read(json.loads(text.split("```json\n")[1].split("```")[0]))
    plan = Solution.model_validate({"runs": [{"van": "van-1", "visits": ["street", "frome"]}]})
    assert evaluate(problem, plan).feasible


def test_every_cause_and_command_stands_in_the_documentation():
    text = (Path(__file__).parents[3] / "docs" / "solver-format.md").read_text(encoding="utf-8")
    fields = [name for model in (Problem, Van, Stop, Depot) for name in model.model_fields]
    said = [*(f"`{cause}`" for cause in Cause), *fields]
    assert [one for one in said if one not in text and one not in ("name", "tier")] == []


def test_evaluate_says_what_it_costs(folder, capsys):
    assert main(["evaluate", "day.json", "plan.json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["feasible"] is True
    assert shown["totals"]["served"] == 2


def test_violations_have_a_sentence_and_an_exit_code(folder, capsys):
    assert main(["evaluate", "day.json", "half.json", "--language", "zh"]) == 1
    assert json.loads(capsys.readouterr().out)["violations"][0]["sentence"] == "b 必须服务，但未安排"


def test_explain_and_compare_write_json(folder, capsys):
    assert main(["explain", "day.json", "half.json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "worth_it"
    assert main(["compare", "day.json", "half.json", "plan.json"]) == 0
    assert json.loads(capsys.readouterr().out)["moved"][0]["visit"] == "b"


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"depots": 3}', "1 2 3\nx", "[" * 5000, '{"vans": NaN}'])
def test_bad_input_is_told_and_exits_2(folder, capsys, text):
    (folder / "bad.json").write_text(text, encoding="utf-8")
    assert main(["evaluate", "bad.json", "plan.json"]) == 2
    assert capsys.readouterr().err


def test_a_missing_file_and_a_plan_that_is_none_are_told(folder, capsys):
    assert main(["evaluate", "none.json", "plan.json"]) == 2
    (folder / "bad.json").write_text('{"runs": [{"visits": []}]}', encoding="utf-8")
    assert main(["evaluate", "day.json", "bad.json"]) == 2
    assert "bad.json:1: runs[0].van" in capsys.readouterr().err


def test_a_complaint_names_file_line_and_stop(folder, capsys):
    text = """{
 "depots": [{"id": "hub", "lat": 1, "lon": 1}],
 "vans": [{"id": "v"}],
 "stops": [
  {"id": "left, \\"right\\"", "lat": 1, "lon": 1},
  {"id": "mill",
   "lat": 1, "lon": 1,
   "sizes": {"height_cm": -1}}
 ]
}"""
    (folder / "bad.json").write_text(text, encoding="utf-8")
    assert main(["evaluate", "bad.json", "plan.json"]) == 2
    assert capsys.readouterr().err.startswith("bad.json:8: stops[1].sizes.height_cm of mill: at least 0 expected")


def test_a_key_that_stands_twice_is_refused_with_both_lines(folder, capsys):
    text = (folder / "day.json").read_text(encoding="utf-8").rstrip().removesuffix(
        "}"
    ) + ',\n"name": "one",\n"name": "two"}'
    (folder / "bad.json").write_text(text, encoding="utf-8")
    first = text.count("\n")
    assert main(["evaluate", "bad.json", "plan.json"]) == 2
    assert (
        f"bad.json:{first + 1}: name: each key once expected; it stands on line {first} already"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "option", ["--time-s=-1", "--time-s=nan", "--threads=0", "--iterations=-5", "--seed=x", "-o=no/such/plan.json"]
)
def test_an_option_out_of_range_is_told_before_any_search(folder, capsys, option):
    with pytest.raises(SystemExit) as ended:
        main(["solve", "day.json", option])
    assert ended.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_a_van_that_is_not_in_the_problem_is_told_by_its_name(folder, capsys):
    (folder / "plan.json").write_text('{"runs": [{"van": "w", "visits": ["a"]}]}', encoding="utf-8")
    assert main(["evaluate", "day.json", "plan.json"]) == 1
    assert json.loads(capsys.readouterr().out)["violations"][0]["sentence"] == "there is no van w"


def test_more_places_than_memory_holds_are_told(folder, capsys, monkeypatch):
    def too_large(problem):
        raise MemoryError("Unable to allocate 74.5 GiB")

    monkeypatch.setattr("solver.__main__.compiled", too_large)
    assert main(["evaluate", "day.json", "plan.json"]) == 2
    assert "max_stops" in capsys.readouterr().err


# ---- benchmark files

SOLOMON = """T1

VEHICLE
NUMBER     CAPACITY
  2         10

CUSTOMER
CUST NO.  XCOORD.  YCOORD.  DEMAND  READY TIME  DUE DATE  SERVICE TIME

    0      0         0          0          0        230          0
    1      3         4          7          0        204         10
    2      0        10          5         50         60         10
"""
LI_LIM = "1\t10\t1\n0\t0\t0\t0\t0\t1000\t0\t0\t0\n1\t3\t4\t6\t0\t900\t10\t0\t2\n2\t0\t10\t-6\t0\t900\t10\t1\t0\n"
SPD = """NAME : T2
CAPACITY : 9
VEHICLES : 2
NODE_COORD_SECTION
1 0 0
2 3 4
3 0 10
DELIVERY_SECTION
1 0
2 5
3 4
PICKUP_SECTION
1 0
2 2
3 6
EOF
"""


@pytest.mark.parametrize("text", [SOLOMON, LI_LIM, SPD])
def test_benchmark_files_are_recognised_and_survive_json(text):
    problem = convert(text, None)
    assert Problem.model_validate_json(problem.model_dump_json()).model_dump_json() == problem.model_dump_json()
    assert compiled(problem).metres[0, 1] == 5 * SCALE


def test_solomons_vans_windows_and_demands_are_read():
    problem = convert(SOLOMON, "solomon")
    assert [van.capacity for van in problem.vans] == [10, 10]
    assert (problem.stops[1].deliver, problem.stops[1].windows[0].from_s) == (5, 50 * SCALE)


def test_li_and_lims_pairs_become_shipments():
    (pair,) = convert(LI_LIM, None).shipments
    assert (pair.collect.place, pair.deliver.place, pair.amount) == ("c1", "c2", 6)


def test_vrpspd_stops_deliver_and_collect():
    problem = convert(SPD, None)
    assert [(one.deliver, one.collect) for one in problem.stops] == [(5, 2), (4, 6)]
    plan = Solution.model_validate({"runs": [{"van": "van1", "visits": ["c2", "c1"]}]})
    assert [(one.unit, one.amount) for one in evaluate(problem, plan).violations] == [("crates", 2)]


@pytest.mark.parametrize("text", ["hello", SOLOMON.replace("204", "x"), LI_LIM[:40], SPD.replace("CAPACITY : 9\n", "")])
def test_files_that_are_broken_are_told(text):
    with pytest.raises(ValueError, match=r".+"):
        convert(text, None)


@pytest.mark.parametrize(
    ("text", "form", "place"),
    [(SOLOMON.replace("204", "x"), None, ":11"), (SPD.replace("3 4", "3 b"), None, ":6"), ("hello", "solomon", "")],
)
def test_a_broken_file_is_told_with_its_name_and_line(folder, capsys, text, form, place):
    (folder / "set.txt").write_text(text, encoding="utf-8")
    assert main(["convert", "set.txt", *(["--format", form] if form else [])]) == 2
    assert capsys.readouterr().err.startswith(f"set.txt{place}: ")


# ---- the search's process


def test_a_search_can_be_stopped_by_who_hears_of_its_plans():
    begun = time.monotonic()
    solve(day(stop(1), stop(2)), Limits(time_s=60), lambda *_: False, engine="ortools")
    assert time.monotonic() - begun < 30


def test_a_search_can_be_cancelled_from_outside():
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    begun = time.monotonic()
    solution = solve(day(stop(1), stop(2)), Limits(time_s=60), engine="ortools", cancel=cancel)
    assert time.monotonic() - begun < 30
    assert solution.runs


def test_a_process_that_dies_is_told_and_the_next_search_has_a_new_one(monkeypatch):
    instance = compiled(day(stop(1)))
    worker.end_idle()
    start = worker.Worker.start

    def die(self, job):
        start(self, job)
        self.process.kill()

    monkeypatch.setattr(worker.Worker, "start", die)
    with pytest.raises(WorkerError, match="died"):
        list(plans(Job("ortools", instance, Limits(1), None), 60))
    monkeypatch.undo()
    assert list(plans(Job("ortools", instance, Limits(0.2), None), 60))


def test_what_an_engine_raises_is_told():
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        list(plans(Job("none", compiled(day(stop(1))), Limits(1), None), 60))


def test_every_solution_records_how_it_was_found():
    solution = solve(day(stop(1)), Limits(time_s=0.3, seed=7), engine="ortools")
    assert solution.engine in ("ortools", "construct")
    assert solution.seed == 7
    assert "rotation" in solution.versions


def test_set_up_compiles_what_a_first_day_needs():
    """Every loop of the judge, for days with and without rush hours, is compiled before anybody waits for it."""
    assert main(["warm"]) == 0
    for loop in (timing_kernels.columns, timing_kernels.loads, timing_kernels.through_slots, timing_kernels.timed):
        assert list(Path(loop.stats.cache_path).glob(f"timing_kernels.{loop.__name__}-*.nbi"))


# ---- as a library


def test_the_ten_lines_of_the_documentation_run(capsys):
    (lines,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "solver-format.md").read_text(encoding="utf-8"), re.S
    )
    exec(compile(lines, "docs/solver-format.md", "exec"), {})
    assert "van-1" in capsys.readouterr().out


def test_the_solver_alone_is_built_of_the_same_version_and_needs(tmp_path):
    alone, whole = (
        tomllib.loads(file.read_text()) for file in (ROOT / "solver" / "pyproject.toml", ROOT / "pyproject.toml")
    )
    assert alone["project"]["version"] == whole["project"]["version"] == solver.VERSION
    assert set(alone["project"]["dependencies"]) <= set(whole["project"]["dependencies"])
    source = shutil.copytree(ROOT / "solver", tmp_path / "solver", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('..')"]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        packed = {name for name in files.namelist() if name.endswith(".py")}
    assert packed == {f"solver/{file.relative_to(ROOT / 'solver')}" for file in (ROOT / "solver").rglob("*.py")}
