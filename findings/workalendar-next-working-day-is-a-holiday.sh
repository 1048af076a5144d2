#!/usr/bin/env bash
# workalendar 17.0.0: `find_following_working_day` of a holiday is that holiday.
#
# Guess: the first day from the given one on for which `is_working_day` is true.
# Seen: only weekends are looked at, as its documentation warns and its name does not. 3 October (Germany's national day, a Thursday
#   in 2024) is its own following working day, while `is_working_day` says False of it: a hold moved on with it is promised for
#   a day on which no van drives.
# Mend: `add_working_days(day - timedelta(1), 1)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check workalendar==17.0.0
"$folder/env/bin/python" - <<'PYTHON'
from datetime import date, timedelta

from workalendar.europe import Germany

calendar = Germany()
for day in (date(2024, 10, 3), date(2024, 12, 25), date(2024, 10, 5)):
    found = calendar.find_following_working_day(day)
    mended = calendar.add_working_days(day - timedelta(1), 1)
    print(day, "following working day:", found, calendar.is_working_day(found), "| mended:", mended)
    assert calendar.is_working_day(found) is (day == date(2024, 10, 5))
    assert calendar.is_working_day(mended)
PYTHON
