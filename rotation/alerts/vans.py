"""Rules about vans and plans: late, missed, a plan that breaks limits."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.alerts.levels import AlertVerdict
from rotation.facts.arrivals import arrivals
from rotation.facts.lifecycle import NOT_DRIVEN, OUT, PASSED, AlertKind, StopState, listed

# Places are called at once a week or oftener; after this long a missed stop is history, and its copies are overdue.
MISSED_DAYS = 14


STOPS_UNDER_WAY = f"""
SELECT r.run_id, r.van_id, s.place_id, s.arrives_at, s.begins_at, s.status, s.done_at
FROM runs r JOIN stops s USING (run_id) WHERE r.status IN ({listed(OUT)}) AND r.day = %s
ORDER BY r.run_id, s.position"""


class StopUnderWay(NamedTuple):
    """A stop of a run that was ordered for today."""

    run_id: str
    van_id: str
    place_id: str
    arrives_at: datetime
    begins_at: datetime
    status: str
    done_at: datetime | None


def late(count: Count) -> Iterator[AlertFinding]:
    """A van will come later than planned."""
    rows = count.cursor.execute(STOPS_UNDER_WAY, (count.network.day_of(count.now),)).fetchall()
    for _, run in groupby((StopUnderWay(*row) for row in rows), key=attrgetter("run_id")):
        its_stops = list(run)
        for stop, arrival in zip(its_stops, arrivals(its_stops, count.now), strict=True):
            if arrival.at and arrival.late and stop.status == StopState.PLANNED:
                numbers = {
                    "run": stop.run_id,
                    "van": stop.van_id,
                    "planned": stop.begins_at.isoformat(),
                    "minutes": round((arrival.at - stop.begins_at).total_seconds() / 60),
                }
                yield AlertFinding(AlertKind.LATE, stop.place_id, "", AlertVerdict.OPEN, numbers)


# The last stop at a place, where it was missed and nothing has called there since.
LAST_MISSED = f"""
SELECT place_id, run_id, van_id, begins_at FROM (
    SELECT DISTINCT ON (s.place_id) s.place_id, s.run_id, r.van_id, s.begins_at, s.status
    FROM stops s JOIN runs r USING (run_id) WHERE r.day >= %s AND s.status IN ({listed(PASSED)})
    ORDER BY s.place_id, s.begins_at DESC) last
WHERE status = '{StopState.MISSED}'"""


def missed(count: Count) -> Iterator[AlertFinding]:
    """A van has passed a place by; the alert lasts until a van calls there."""
    since = count.network.day_of(count.now) - timedelta(days=MISSED_DAYS)
    for place, run, van, planned in count.cursor.execute(LAST_MISSED, (since,)).fetchall():
        numbers = {"run": run, "van": van, "planned": planned.isoformat()}
        yield AlertFinding(AlertKind.MISSED, place, "", AlertVerdict.OPEN, numbers)


# Plans from today on that break limits, however they were made; those sent back drive nowhere.
BROKEN_PLANS = f"""
SELECT DISTINCT ON (hub_id) hub_id, day, jsonb_array_length(evaluation -> 'violations'), jsonb_array_length(unserved)
FROM day_plans WHERE day >= %s AND status NOT IN ({listed(NOT_DRIVEN)}) AND jsonb_typeof(evaluation -> 'violations') = 'array'
ORDER BY hub_id, day"""


def infeasible(count: Count) -> Iterator[AlertFinding]:
    """A hub's next plan breaks limits: vans would come too late, or hold more than they can."""
    for hub, day, broken, unserved in count.cursor.execute(BROKEN_PLANS, (count.network.day_of(count.now),)).fetchall():
        numbers = {"day": day.isoformat(), "violations": broken, "unserved": unserved}
        yield AlertFinding(AlertKind.INFEASIBLE, hub, "", levels.overdue(broken), numbers)
