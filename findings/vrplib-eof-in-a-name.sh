#!/usr/bin/env bash
# vrplib 2.2.0: a line that has the letters EOF anywhere ends the file.
#
# Guess: the line EOF ends a VRPLIB file; NAME and COMMENT are free text.
# Seen: "NAME : GEOFORD-n3" is taken for the end. All after it is passed over, and the instance comes back empty without an error; in
#   a COMMENT after other lines, all sections are lost. The next thing that fails is whoever asks for a field.
# Mend: only a line whose first word is EOF ends the file; solver/vrplib.py reads so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check vrplib==2.2.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from pathlib import Path

import vrplib

REST = "TYPE : CVRP\nDIMENSION : 2\nCAPACITY : 10\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 4\nEOF\n"
found = {}
for name in ("BATH-n2", "GEOFORD-n2"):
    Path("town.vrp").write_text(f"NAME : {name}\n{REST}")
    found[name] = sorted(vrplib.read_instance("town.vrp"))
print(found)
assert "node_coord" in found["BATH-n2"]
assert found["GEOFORD-n2"] == []
PYTHON
