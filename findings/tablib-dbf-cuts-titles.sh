#!/usr/bin/env bash
# tablib 3.10.0, export to DBF: a title ends after 80 bytes, without an error.
#
# Guess: a text that is longer than its field is refused, or the field is made as wide as the longest text (254 at most).
# Seen: each text column has 80 bytes. What is longer is cut, while a column name over ten letters or a number
#   over ten places is refused.
# Mend: no option helps; the package dbf makes a table with widths of your own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tablib==3.10.0 dbfread==2.0.7
"$folder/env/bin/python" - <<'PYTHON'
import tempfile
from pathlib import Path

import dbfread
import tablib

table = tablib.Dataset(headers=["barcode", "title", "branch"])
table.append(["0012345", "A title of ninety letters: " + "x" * 63, "B1"])
path = Path(tempfile.mkdtemp()) / "items.dbf"
path.write_bytes(table.export("dbf"))
(row,) = dbfread.DBF(path)
print({name: len(value) for name, value in row.items()}, dict(row))
assert len(table[0][1]) == 90 and len(row["TITLE"]) == 80
PYTHON
