#!/usr/bin/env bash
# APScheduler 3.11.3: the crontab line "0 9 * * 0" (Sundays at nine) runs on Mondays.
#
# Guess: `CronTrigger.from_crontab` reads a crontab line as cron does: 0 and 7 are Sunday, 1-5 Monday to Friday.
# Seen: numbers of weekdays count from Monday = 0, so 1-5 is Tuesday to Saturday: the plan of Monday is not made.
# Mend: names of days, `mon-fri`, which mean the same to both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check apscheduler==3.11.3
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC, datetime

from apscheduler.triggers.cron import CronTrigger


def days(line):
    trigger, found, last = CronTrigger.from_crontab(line, timezone="UTC"), [], None
    now = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
    while (last := trigger.get_next_fire_time(last, now)) < datetime(2026, 3, 9, tzinfo=UTC):
        found.append(last.strftime("%a"))
        now = last
    return found


for line, seen in (
    ("0 9 * * 0", ["Mon"]),
    ("0 9 * * 1-5", ["Tue", "Wed", "Thu", "Fri", "Sat"]),
    ("0 9 * * mon-fri", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
):
    print(line, "->", days(line))
    assert days(line) == seen
PYTHON
