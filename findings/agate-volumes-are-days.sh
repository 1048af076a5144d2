#!/usr/bin/env bash
# agate 1.14.2: volumes 10-11 are the 11th of October 2001, copies 0 and 1 are False and True, opening at 09:15 is 9 minutes.
#
# Guess: a column is text or number, as other readers of tables guess, or a date where it is written as one with a year.
# Seen: a column of "10-11" and "1/2" (double volumes) becomes dates of the year 2001, "Monday" the 8th of January of the year 1, "09:15"
#   nine minutes and fifteen seconds, and 0 and 1 become flags, so that their sum is refused. With one value that does not
#   fit, the whole column is right again, so a small sample and the full table differ.
# Mend: `TypeTester(force={...})` for each column, or Text alone and the casts by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check agate==1.14.2
"$folder/env/bin/python" - <<'PYTHON'
import datetime

import agate

columns = {
    "volumes": (["10-11", "1/2"], [datetime.date(2001, 10, 11), datetime.date(2001, 1, 2)]),
    "closed on": (["Monday", "Friday"], [datetime.date(1, 1, 8), datetime.date(1, 1, 5)]),
    "opens": (["09:15", "12:30"], [datetime.timedelta(minutes=9, seconds=15), datetime.timedelta(minutes=12, seconds=30)]),
    "copies": (["1", "0"], [True, False]),
}
for name, (written, seen) in columns.items():
    column = agate.Table([[text] for text in written], [name]).columns[0]
    print(name, written, "->", type(column.data_type).__name__, [str(value) for value in column.values()])
    assert list(column.values()) == seen
    mixed = agate.Table([[text] for text in [*written, "see desk"]], [name]).columns[0]
    assert list(mixed.values()) == [*written, "see desk"]
PYTHON
