#!/usr/bin/env bash
# python-tsp 0.5.0: simulated annealing of a day with one stop ends a list of days early, without an error.
#
# Guess: a depot and one stop have one tour, 0-1, which each solver of the package finds; the others do.
# Seen: `solve_tsp_simulated_annealing` raises StopIteration, which is Python's sign for "no more": under `map` the day with one stop and
#   all days after it are missing from the result and nothing is raised.
# Mend: answer tours of one and two places by hand; `zip(days, tours, strict=True)` finds the loss.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check python-tsp==0.5.0 numpy==2.3.5
"$folder/env/bin/python" - <<'PYTHON'
import numpy
from python_tsp.exact import solve_tsp_dynamic_programming
from python_tsp.heuristics import solve_tsp_simulated_annealing

week = [numpy.ones((places, places)) - numpy.eye(places) for places in (5, 4, 2, 6, 5)]
exact = list(map(solve_tsp_dynamic_programming, week))
annealed = list(map(solve_tsp_simulated_annealing, week))
print(f"{len(week)} days in, {len(exact)} tours by dynamic programming, {len(annealed)} by annealing")
assert (len(exact), len(annealed)) == (5, 2)
try:
    solve_tsp_simulated_annealing(week[2])
except StopIteration as stop:
    print("the day with one stop:", repr(stop))
else:
    raise AssertionError("solved")
PYTHON
