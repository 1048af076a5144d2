#!/usr/bin/env bash
# elkai 2.0.1 (LKH for Python): distances in kilometres are rounded to whole ones before the tour is sought.
#
# Guess: `DistanceMatrix` takes floats, so a tour by floats is as good as the same tour by metres.
# Seen: no error and no warning; in a district two kilometres wide the tour of twelve branches by kilometres is longer than the
#   tour of the same matrix times 1,000.
# Mend: whole metres or seconds in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check elkai==2.0.1
"$folder/env/bin/python" - <<'PYTHON'
import math
import random

import elkai

draw = random.Random(7)
branches = [(draw.uniform(0, 2), draw.uniform(0, 2)) for _ in range(12)]
kilometres = [[math.dist(here, there) for there in branches] for here in branches]
metres = [[1000 * one for one in row] for row in kilometres]


def tour_km(matrix):
    tour = elkai.DistanceMatrix(matrix).solve_tsp()
    return sum(kilometres[here][there] for here, there in zip(tour, tour[1:]))


by_kilometres, by_metres = tour_km(kilometres), tour_km(metres)
print(f"tour by kilometres {by_kilometres:.2f} km, by metres {by_metres:.2f} km")
assert by_kilometres > 1.05 * by_metres
PYTHON
