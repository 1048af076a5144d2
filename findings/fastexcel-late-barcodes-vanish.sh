#!/usr/bin/env bash
# fastexcel 0.21.0 (and Polars' read_excel over it): a barcode with a letter below 1,000 numeric ones is null.
#
# Guess: a column that holds numbers and texts is read as text, or is refused.
# Seen: the type is decided by the first 1,000 rows; what does not fit it further down becomes null, without error or warning.
#   An export of a library's items whose newer barcodes begin with a letter loses just these.
# Mend: `dtypes={"barcode": "string"}` for each column that names something (then a whole number is "1" and not "1.0"), or
#   `schema_sample_rows=None`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check fastexcel==0.21.0 polars==2.1.0 openpyxl==3.1.5
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import fastexcel
import openpyxl
import polars

book = openpyxl.Workbook()
book.active.append(["barcode", "title"])
for number in range(1, 1201):
    book.active.append([number, "old"])
book.active.append(["A0001", "new"])
book.save("items.xlsx")

items = fastexcel.read_excel("items.xlsx")
guessed = items.load_sheet(0).to_polars()
whole = items.load_sheet(0, schema_sample_rows=None).to_polars()
named = items.load_sheet(0, dtypes={"barcode": "string"}).to_polars()
by_polars = polars.read_excel("items.xlsx")
for name, table in (("default", guessed), ("all rows sampled", whole), ("named text", named), ("Polars", by_polars)):
    print(f"{name}: first {table['barcode'][0]!r}, last {table['barcode'][-1]!r}")
assert guessed["barcode"][-1] is None
assert by_polars["barcode"][-1] is None
assert named["barcode"][-1] == "A0001"
assert named["barcode"][0] == "1"
assert whole["barcode"][-1] == "A0001"
PYTHON
