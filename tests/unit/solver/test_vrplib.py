"""VRPLIB files: each form of distances, each section beside PyVRP's reading, and a refusal by name of all else."""

import json

import numpy as np
import pytest
import pyvrp

from solver.__main__ import main
from solver.benchmark_lines import SCALE
from solver.check import ProblemError
from solver.evaluate import evaluate
from solver.formats import convert
from solver.instance import compiled
from solver.solution import Solution

MATRIX = np.array([[0, 3, 4, 9], [3, 0, 5, 2], [4, 5, 0, 7], [9, 2, 7, 0]])
TRIANGLES = {
    "UPPER_ROW": MATRIX[np.triu_indices(4, 1)],
    "LOWER_ROW": MATRIX[np.tril_indices(4, -1)],
    "UPPER_DIAG_ROW": MATRIX[np.triu_indices(4)],
    "LOWER_DIAG_ROW": MATRIX[np.tril_indices(4)],
    "UPPER_COL": [3, 4, 5, 9, 2, 7],
    "LOWER_COL": [3, 4, 9, 5, 2, 7],
    "UPPER_DIAG_COL": [0, 3, 0, 4, 5, 0, 9, 2, 7, 0],
    "LOWER_DIAG_COL": [0, 3, 4, 9, 0, 5, 2, 0, 7, 0],
    "FULL_MATRIX": MATRIX.ravel(),
}
RICH = """NAME : rich: a town
COMMENT : hubs 1 and 2, made up
TYPE : MDVRPTW
DIMENSION : 6
VEHICLES : 3
EDGE_WEIGHT_TYPE : EXPLICIT
EDGE_WEIGHT_FORMAT : FULL_MATRIX
SERVICE_TIME : 6
EDGE_WEIGHT_SECTION
0 9 4 5 8 7
8 0 6 3 5 4
4 6 0 2 9 9
6 3 2 0 7 6
8 5 9 7 0 3
7 4 9 6 4 0
CAPACITY_SECTION
1 20
2 15
3 12
DEPOT_SECTION
1
2
-1
DEMAND_SECTION
1 0
2 0
3 5
4 6
5 7
6 2
BACKHAUL_SECTION
1 0
2 0
3 1
4 0
5 3
6 0
TIME_WINDOW_SECTION
1 0 200
2 10 180
3 20 60
4 0 90
5 30 120
6 0 100
RELEASE_TIME_SECTION
1 0
2 0
3 0
4 15
5 0
6 0
PRIZE_SECTION
1 0
2 0
3 0
4 0
5 40
6 0
VEHICLES_DEPOT_SECTION
1 1
2 1
3 2
VEHICLES_MAX_DURATION_SECTION
1 150
2 150
3 90
VEHICLES_MAX_DISTANCE_SECTION
1 60
2 70
3 80
VEHICLES_FIXED_COST_SECTION
1 5
2 6
3 7
VEHICLES_UNIT_DISTANCE_COST_SECTION
1 2
2 1
3 3
VEHICLES_ALLOWED_CLIENTS_SECTION
1 3 4 5 6
2 3 4
3 3 4 5 6
EOF
"""


def explicit(form: str, per_line: int = 3) -> str:
    numbers = [str(number) for number in TRIANGLES[form]]
    rows = [" ".join(numbers[at : at + per_line]) for at in range(0, len(numbers), per_line)]
    return f"""NAME: m\nTYPE: CVRP\nDIMENSION: 4\nCAPACITY: 10\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: {form}
EDGE_WEIGHT_SECTION\n{chr(10).join(rows)}\nDEMAND_SECTION\n1 0\n2 3\n3 4\n4 5\nDEPOT_SECTION\n1\n-1\nEOF"""


@pytest.mark.parametrize("form", TRIANGLES)
def test_a_matrix_is_read_in_each_form_however_its_numbers_are_wrapped(form):
    for per_line in (1, 3, 7):
        assert (compiled(convert(explicit(form, per_line), None)).metres[:4, :4] == MATRIX * SCALE).all()


@pytest.mark.parametrize(
    ("kind", "between"),
    [("EUC_2D", 3605.551), ("FLOOR_2D", 3000), ("CEIL_2D", 4000), ("MAN_2D", 5000), ("MAX_2D", 3000), ("ATT", 2000)],
)
def test_distances_are_as_the_type_says(kind, between):
    text = f"DIMENSION: 2\nCAPACITY: 1\nEDGE_WEIGHT_TYPE: {kind}\nNODE_COORD_SECTION\n1 1 1\n2 3 4\nEOF"
    assert compiled(convert(text, None)).metres[0, 1] == round(between)


def test_geo_is_degrees_and_minutes_on_tsplibs_earth():
    """ulysses16 of TSPLIB: its first two towns are 509 apart by the formula of its description."""
    text = "DIMENSION: 2\nCAPACITY: 1\nEDGE_WEIGHT_TYPE: GEO\nNODE_COORD_SECTION\n1 38.24 20.42\n2 39.57 26.15\nEOF"
    assert compiled(convert(text, None)).metres[0, 1] == 509 * SCALE


def test_all_that_pyvrp_reads_is_read_alike(tmp_path):
    (tmp_path / "rich.vrp").write_text(RICH, encoding="utf-8")
    theirs, ours = pyvrp.read(tmp_path / "rich.vrp", round_func="exact"), convert(RICH, None)
    assert (np.array(theirs.distance_matrix(0)) == ours.travel.metres).all()
    assert [(depot.id, depot.place) for depot in ours.depots] == [("depot1", "c0"), ("depot2", "c1")]
    for client, stop in zip(theirs.clients(), ours.stops, strict=True):
        (window,) = stop.windows
        assert (client.delivery, client.pickup) == ([stop.deliver * SCALE], [stop.collect * SCALE])
        assert (client.tw_early, client.tw_late, client.service_duration) == (
            window.from_s,
            window.until_s,
            stop.service_s,
        )
        assert (client.release_time, client.prize) == (stop.ready_s, stop.prize_cents or 0)
        assert client.required == (stop.prize_cents is None)
    for kind in theirs.vehicle_types():
        van = ours.vans[int(kind.name)]
        assert (kind.capacity, kind.shift_duration) == ([van.capacity * SCALE], van.max_duration_s)
        assert (kind.tw_early, kind.tw_late) == (van.shift.from_s, van.shift.until_s)
        assert (kind.max_distance, kind.fixed_cost) == (van.max_metres, van.fixed_cents)
        assert kind.unit_distance_cost * SCALE == van.km_cents
        assert ours.depots[kind.start_depot].id == van.start
    assert {stop.id: stop.vans for stop in ours.stops if stop.vans} == {"c4": ["van1", "van3"], "c5": ["van1", "van3"]}


def test_vans_load_again_at_the_depots_given():
    text = RICH.replace(
        "EOF", "VEHICLES_RELOAD_DEPOT_SECTION\n1 1 2\n2 1\n3 2\nVEHICLES_MAX_RELOADS_SECTION\n1 2\n2 1\n3 1\nEOF"
    )
    assert [(van.reload_depots, van.max_reloads) for van in convert(text, None).vans] == [
        (["depot1", "depot2"], 2),
        (["depot1"], 1),
        (["depot2"], 1),
    ]


def test_pairs_become_shipments():
    text = """DIMENSION: 5\nVEHICLES: 1\nCAPACITY: 9\nEDGE_WEIGHT_TYPE: EUC_2D
NODE_COORD_SECTION\n1 0 0\n2 3 4\n3 6 8\n4 0 5\n5 0 9
PICKUP_AND_DELIVERY_SECTION\n1 0 0 500 0 0 0\n2 4 10 90 2 0 4\n3 6 0 200 1 0 5\n4 -4 20 95 3 2 0\n5 -6 0 300 2 3 0\nEOF"""
    problem = convert(text, None)
    first, second = problem.shipments
    assert (first.collect.place, first.deliver.place, first.amount) == ("c1", "c3", 4)
    assert (first.deliver.windows[0].until_s, second.deliver.service_s) == (95 * SCALE, 2 * SCALE)
    assert (problem.vans[0].shift.until_s, problem.stops) == (500 * SCALE, [])


def test_a_length_of_a_round_trip_counts_the_service():
    text = """DIMENSION: 3\nVEHICLES: 1\nCAPACITY: 9\nDISTANCE: 22\nSERVICE_TIME: 2
NODE_COORD_SECTION\n1 0 0\n2 3 4\n3 6 8\nDEMAND_SECTION\n1 0\n2 1\n3 1\nEOF"""
    plan = Solution.model_validate({"runs": [{"van": "van1", "visits": ["c1", "c2"]}]})
    assert [(one.cause, one.amount) for one in evaluate(convert(text, None), plan).violations] == [
        ("duration", 2 * SCALE)
    ]


def test_loads_of_several_dimensions_are_kept_apart():
    text = """DIMENSION: 2\nVEHICLES: 1\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 4
CAPACITY_SECTION\n1 5 70\nDEMAND_SECTION\n1 0 0\n2 2 71\nEOF"""
    plan = Solution.model_validate({"runs": [{"van": "van1", "visits": ["c1"]}]})
    assert [(one.unit, one.amount) for one in evaluate(convert(text, None), plan).violations] == [("load2", 1)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("EOF", "STANDTIME_SECTION\n1 0\nEOF"), "STANDTIME_SECTION"),
        (("EOF", "MUTUALLY_EXCLUSIVE_GROUP_SECTION\n1 3 4\nEOF"), "MUTUALLY_EXCLUSIVE_GROUP_SECTION"),
        (("TYPE : MDVRPTW", "TYPE : VRPB"), "TYPE VRPB"),
        (("VEHICLES : 3", "VEHICLES : 3\nTRUCK_SPEED : 9"), "TRUCK_SPEED"),
        (("EXPLICIT", "EUC_3D"), "EUC_3D"),
        (("DIMENSION : 6", "DIMENSION : 7"), "49"),
        (("6 0 100", "9 0 100"), "9"),
        (("2 10 180", "2 10 x"), ":40"),
        (("3 20 60", "3 60 20"), "window"),
        (("2 15\n", ""), "van 2"),
        (("3 2\nVEHICLES_MAX_DUR", "3 4\nVEHICLES_MAX_DUR"), "van 3"),
    ],
)
def test_whatever_is_not_read_is_refused_by_its_name(tmp_path, capsys, change, named):
    (tmp_path / "rich.vrp").write_text(RICH.replace(*change), encoding="utf-8")
    assert main(["convert", str(tmp_path / "rich.vrp")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert named in said


def test_such_a_file_is_solved_and_judged_as_it_is(tmp_path, capsys):
    file, plan = tmp_path / "rich.vrp", tmp_path / "plan.json"
    file.write_text(RICH, encoding="utf-8")
    assert main(["solve", str(file), "--iterations", "200", "--quiet", "-o", str(plan)]) == 0
    assert main(["evaluate", str(file), str(plan)]) == 0
    assert json.loads(capsys.readouterr().out)["unserved"] == []


def test_a_table_of_another_is_no_matrix():
    with pytest.raises(ProblemError, match="6 numbers"):
        convert(explicit("UPPER_ROW").replace("EDGE_WEIGHT_SECTION\n3", "EDGE_WEIGHT_SECTION\n1 3"), None)
