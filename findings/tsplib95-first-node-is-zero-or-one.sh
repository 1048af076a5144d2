#!/usr/bin/env bash
# tsplib95 0.7.1: the first node is 0 where the file has a matrix, and 1 where it has coordinates.
#
# Guess: nodes are numbered from 1 in every problem, as the format numbers them in tours and fixed edges.
# Seen: a TSP with EDGE_WEIGHT_TYPE EXPLICIT and no coordinates has nodes 0 to n-1, so that the nodes 1 and 2 of its own tour
#   file are the second and third of the matrix: `get_weight(1, 2)` is another pair's distance, and the published best tour
#   ends in an IndexError. The same matrix as a CVRP with demands has nodes 1 to n.
# Mend: add `min(problem.get_nodes()) - 1` to each node of a tour.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tsplib95==0.7.1
"$folder/env/bin/python" - <<'PYTHON'
import tsplib95

MATRIX = "EDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: FULL_MATRIX\nEDGE_WEIGHT_SECTION\n0 10 20\n10 0 30\n20 30 0\n"
POINTS = "EDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 10 0\n3 40 0\n"
DEMANDS = "DEMAND_SECTION\n1 0\n2 7\n3 5\nDEPOT_SECTION\n1\n-1\n"
TOUR = "NAME: best\nTYPE: TOUR\nDIMENSION: 3\nTOUR_SECTION\n1\n3\n2\n-1\nEOF\n"


def problem(kind, *sections):
    return tsplib95.parse(f"NAME: town\nTYPE: {kind}\nDIMENSION: 3\n" + "".join(sections) + "EOF\n")


tsp, by_points, cvrp = problem("TSP", MATRIX), problem("TSP", POINTS), problem("CVRP", "CAPACITY: 20\n", MATRIX, DEMANDS)
for name, one in (("TSP by matrix", tsp), ("TSP by coordinates", by_points), ("CVRP by matrix", cvrp)):
    print(name, "nodes", list(one.get_nodes()), "from 1 to 2:", one.get_weight(1, 2))
assert (list(tsp.get_nodes()), tsp.get_weight(1, 2)) == ([0, 1, 2], 30)
assert (list(by_points.get_nodes()), by_points.get_weight(1, 2)) == ([1, 2, 3], 10)
assert (list(cvrp.get_nodes()), cvrp.get_weight(1, 2)) == ([1, 2, 3], 10)
try:
    tsp.trace_tours(tsplib95.parse(TOUR).tours)
except IndexError as error:
    print("the tour 1 3 2:", error)
else:
    raise AssertionError("the tour was traced")
PYTHON
