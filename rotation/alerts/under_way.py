"""Rules about copies under way: overdue, waiting past their promise, lost."""

from collections.abc import Iterator
from datetime import timedelta

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.facts.lifecycle import AlertKind, TransferState
from rotation.facts.movements import CopyState
from rotation.store.waiting import waiting

YEAR_DAYS = 365


# Copies awaited, by place: those overdue, those for more than a year, and since when the oldest. Days that people set for a place
# count first, then its lane's own time; a lane of few journeys has none, and the usual number of days counts.
LONG_UNDER_WAY = f"""
SELECT to_place_id, count(*) FILTER (WHERE days > allowed), count(*) FILTER (WHERE days > %(year)s), min(occurred_at) FROM (
    SELECT c.to_place_id, c.occurred_at,
        (%(now)s AT TIME ZONE %(zone)s)::date - (c.occurred_at AT TIME ZONE %(zone)s)::date AS days,
        CASE WHEN chosen.days IS NOT NULL THEN chosen.days WHEN l.journeys IS NULL THEN %(limit)s
            ELSE greatest(%(least)s, ceil(%(times)s * l.nine_in_ten_s / 86400)) END AS allowed
    FROM copies c LEFT JOIN lanes l ON l.from_place_id = c.place_id AND l.to_place_id = c.to_place_id AND l.journeys >= %(enough)s
    LEFT JOIN unnest(%(chosen)s::text[], %(chosen_days)s::int[]) chosen(place_id, days) ON chosen.place_id = c.to_place_id
    WHERE c.state = '{CopyState.IN_TRANSIT}' AND c.to_place_id IS NOT NULL
    AND (%(places)s::text[] IS NULL OR c.to_place_id = ANY(%(places)s))) travelling GROUP BY 1"""


def overdue(count: Count) -> Iterator[AlertFinding]:
    """Copies on their way to a place for much longer than their lane takes; days are those of the network's calendar."""
    chosen = {place.id: count.thresholds.chosen(AlertKind.OVERDUE, place.tier) for place in count.network.places}
    chosen_days = {place: days for place, days in chosen.items() if days is not None}
    rows = count.cursor.execute(
        LONG_UNDER_WAY,
        {
            "chosen": list(chosen_days),
            "chosen_days": list(chosen_days.values()),
            "limit": count.thresholds.usual.overdue_days,
            "times": levels.OVERDUE_TIMES,
            "least": levels.OVERDUE_LEAST_DAYS,
            "enough": levels.LANE_LEAST_JOURNEYS,
            "year": YEAR_DAYS,
            "now": count.now,
            "zone": count.network.network.timezone,
            "places": count.places,
        },
    ).fetchall()
    found = {place: rest for place, *rest in rows}
    for place in count.places if count.places is not None else found:
        over, over_year, oldest = found.get(place, (0, 0, None))
        numbers = {
            "count": over,
            "days": count.threshold(AlertKind.OVERDUE, place),
            "count_over_365_days": over_year,
            "oldest": oldest.isoformat() if oldest else None,
        }
        yield AlertFinding(AlertKind.OVERDUE, place, "", levels.overdue(over), numbers)


def touched_overdue(count: Count) -> Iterator[AlertFinding]:
    """The same where copies began or ceased to be awaited; where they only grew older, the sweep finds them."""
    awaiting = [place for place, one in count.touched.items() if one.awaited]
    if awaiting:
        yield from overdue(count._replace(places=awaiting))


def waits(count: Count) -> Iterator[AlertFinding]:
    """Copies that wait past their promise: unsorted, not sent on, left by their van, with a leg not done, slower than usual."""
    zone = count.network.network.timezone
    for one in waiting(count.cursor, count.now, count.network.day_of(count.now), zone):
        numbers = {"count": one.copies, "oldest": one.oldest.isoformat()}
        yield AlertFinding(one.kind, one.place_id, "", levels.overdue(one.copies), numbers)


GIVEN_UP = f"""
SELECT to_place_id, count(*) FROM transfers WHERE status = '{TransferState.LOST}' AND changed_at > %s GROUP BY 1"""


def lost(count: Count) -> Iterator[AlertFinding]:
    """Copies never arrived and are searched for no longer."""
    since = count.now - timedelta(days=levels.LOST_DAYS)
    for place, copies in count.cursor.execute(GIVEN_UP, (since,)).fetchall():
        numbers = {"count": copies, "days": levels.LOST_DAYS}
        yield AlertFinding(AlertKind.LOST, place, "", levels.overdue(copies), numbers)
