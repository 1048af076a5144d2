#!/usr/bin/env bash
# dbf 0.99.11: items that the old system deleted are read as if they were there, and barcodes never equal themselves.
#
# Guess: records marked as deleted are left out, as dbfread leaves them out, and texts come without the padding of their field.
# Seen: iteration and `len` have the deleted ones too (DBF only marks them until the table is packed), and "0012345" comes with the blanks up
#   to the field's width, so that comparing or joining by barcode finds nothing. dbfread gives neither.
# Mend: `if not dbf.is_deleted(record)`, and strip; or dbfread, which reads only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check dbf==0.99.11 dbfread==2.0.7
"$folder/env/bin/python" - <<'PYTHON'
import tempfile
from pathlib import Path

import dbf
import dbfread

path = str(Path(tempfile.mkdtemp()) / "items.dbf")
table = dbf.Table(path, "barcode C(14)")
table.open(mode=dbf.READ_WRITE)
table.append(("0012345",))
table.append(("0012346",))
dbf.delete(table[1])
table.close()

with dbf.Table(path) as items:
    read = [record.barcode for record in items]
    kept = [record.barcode.strip() for record in items if not dbf.is_deleted(record)]
    print("dbf:", len(items), read, "| mended:", kept)
other = [record["BARCODE"] for record in dbfread.DBF(path)]
print("dbfread:", other)
assert read == ["0012345       ", "0012346       "] and kept == other == ["0012345"]
PYTHON
