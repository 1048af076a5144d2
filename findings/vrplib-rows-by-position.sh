#!/usr/bin/env bash
# vrplib 2.2.0 (and PyVRP 0.14.1, which reads by it): rows of a section belong to nodes by their position, not by their number.
#
# Guess: in a VRPLIB file each row begins with its node's number, so sections may list nodes in any order.
# Seen: the number is dropped. A DEMAND_SECTION in another order than NODE_COORD_SECTION gives each customer another's demand, the
#   depot one too, without a word; PyVRP plans with them.
# Mend: read the rows by their number; solver/vrplib.py does, and refuses a number that comes twice or that no node has.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check vrplib==2.2.0 pyvrp==0.14.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from pathlib import Path

import pyvrp
import vrplib

HEAD = "NAME : town\nTYPE : CVRP\nDIMENSION : 3\nCAPACITY : 10\nEDGE_WEIGHT_TYPE : EUC_2D\n"
PLACES = "NODE_COORD_SECTION\n1 0 0\n2 3 4\n3 6 8\n"
Path("town.vrp").write_text(HEAD + PLACES + "DEMAND_SECTION\n3 7\n2 5\n1 0\nDEPOT_SECTION\n1\n-1\nEOF\n")
demand = vrplib.read_instance("town.vrp")["demand"].tolist()
clients = [client.delivery for client in pyvrp.read("town.vrp", round_func="round").clients()]
print("by number: depot 0, node 2 5, node 3 7; vrplib:", demand, "PyVRP's customers:", clients)
assert demand == [7, 5, 0]
assert clients == [[5], [0]]
PYTHON
