#!/usr/bin/env bash
# python-calamine 0.9.1: the row and column of a cell depend on which method reads the sheet.
#
# Guess: row 5 of the sheet is the fifth row of what is read, so that an error can name it.
# Seen: a sheet whose table begins at B4 comes from `to_python()` without its three empty rows and its empty column (row 4 is
#   the first), from `iter_rows()` with the rows but without the column, and only `to_python(skip_empty_area=False)` gives
#   each cell where it stands. A message that names a row of `to_python()` sends its reader three rows too far up.
# Mend: `skip_empty_area=False`, or add `sheet.start`, which tells the first cell that is not empty.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import openpyxl
from python_calamine import CalamineWorkbook

book = openpyxl.Workbook()
book.active["B4"], book.active["C4"] = "barcode", "title"
book.active["B5"], book.active["C5"] = "B0001", "Tide tables"
book.save("items.xlsx")
sheet = CalamineWorkbook.from_path("items.xlsx").get_sheet_by_index(0)


def stands(rows):
    return next((row, column) for row, cells in enumerate(rows, 1) for column, cell in enumerate(cells, 1) if cell == "B0001")


whole, cut, iterated = sheet.to_python(skip_empty_area=False), sheet.to_python(), list(sheet.iter_rows())
print("B0001 is cell B5: row 5, column 2;", "start", sheet.start)
print("skip_empty_area=False:", stands(whole), "| to_python():", stands(cut), "| iter_rows():", stands(iterated))
assert (stands(whole), stands(cut), stands(iterated)) == ((5, 2), (2, 1), (5, 1))
assert sheet.start == (3, 1)
PYTHON
