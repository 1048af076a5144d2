#!/usr/bin/env bash
# python-calamine 0.9.1: in a column of instants, the one at midnight is a date.
#
# Guess: cells of one format (yyyy-mm-dd hh:mm:ss) come as one type, datetime.
# Seen: what falls on midnight comes as datetime.date, the rest as datetime.datetime; comparing or sorting the column raises
#   TypeError on the one day in which a loan was written at 00:00:00. The cell's format is not looked at. openpyxl gives
#   datetime for both.
# Mend: `datetime.combine(value, time())` where a date comes in a column of instants.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from datetime import datetime

import openpyxl
from python_calamine import CalamineWorkbook

book = openpyxl.Workbook()
for row, at in enumerate((datetime(2026, 3, 1, 9, 30), datetime(2026, 3, 2)), 1):
    cell = book.active.cell(row, 1, at)
    cell.number_format = "yyyy-mm-dd hh:mm:ss"
book.save("loans.xlsx")
column = [row[0] for row in CalamineWorkbook.from_path("loans.xlsx").get_sheet_by_index(0).to_python()]
print([f"{type(value).__name__} {value}" for value in column])
assert [type(value).__name__ for value in column] == ["datetime", "date"]
try:
    sorted(column)
except TypeError as error:
    print("sorted():", error)
else:
    raise SystemExit("the column can be sorted now")
assert all(isinstance(row[0], datetime) for row in openpyxl.load_workbook("loans.xlsx").active.iter_rows(values_only=True))
PYTHON
