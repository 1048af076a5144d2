#!/usr/bin/env bash
# icalendar 7.3.2: an event of one hour (DURATION:PT1H) lasts two where clocks go back, and PT24H is 23 hours where they go forward.
#
# Guess: `event.end` is the start and the exact duration: RFC 5545 (3.3.6) tells hours, which are exact, from days, which follow the clock.
# Seen: the duration is added to the clock on the wall, for hours as for days. A delivery window or an opening of an hour given by
#   DURATION ends an hour late, and nothing is raised. Cities without summer time see none of it.
# Mend: start in UTC plus the duration where it has hours, minutes or seconds; the day part on the wall clock.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check icalendar==7.3.2
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC

from icalendar import Event

for start, duration, hours in (
    ("20261025T023000", "PT1H", 2),
    ("20260329T000000", "PT24H", 23),
    ("20260329T000000", "P1D", 23),
    ("20260601T000000", "PT24H", 24),
):
    text = f"BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:{start}\r\nDURATION:{duration}\r\nEND:VEVENT\r\n"
    event = Event.from_ical(text)
    lasts = (event.end.astimezone(UTC) - event.start.astimezone(UTC)).total_seconds() / 3600
    print(start, duration, "lasts", lasts, "h")
    assert lasts == hours
PYTHON
