#!/usr/bin/env bash
# pyexcel 0.7.6, CSV: the barcode 00123 stays a text, 12E4 becomes 120000.0 and -0012 becomes -12, in one column.
#
# Guess: it keeps leading zeros, so it keeps what is written in a column of barcodes.
# Seen: only an unsigned whole number with a leading zero is kept; each other cell that Python reads as a number is one, by itself,
#   whatever its column holds. A copy with the barcode 12E4 has another's number, and nothing is raised.
# Mend: `auto_detect_int=False, auto_detect_float=False, auto_detect_datetime=False`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyexcel==0.7.6 pyexcel-io==0.6.8
"$folder/env/bin/python" - <<'PYTHON'
import pyexcel

written = ["00123", "12E4", "-0012", "1.10", "I247"]
text = "barcode,note\n" + "".join(f"{barcode},x\n" for barcode in written)
read = [row[0] for row in pyexcel.get_array(file_type="csv", file_content=text)][1:]
plain = {f"auto_detect_{kind}": False for kind in ("int", "float", "datetime")}
mended = [row[0] for row in pyexcel.get_array(file_type="csv", file_content=text, **plain)][1:]
print(written, "->", read, "| mended:", mended)
assert read == ["00123", 120000.0, -12, 1.1, "I247"]
assert mended == written
PYTHON
