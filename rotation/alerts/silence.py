"""Rules about silence: of places, and of the feeds of library systems."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg import Cursor

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.facts.lifecycle import AlertKind
from rotation.network import Network, Place

OURS = "rotation/"  # how the source of an event begins that Rotation wrote itself
YEAR_DAYS = 365
EVENTS_A_LOAN = 2  # the loan and its return
TYPICAL_DAYS = 14  # of opening hours: weeks alternate at most
# Loans a year at each place, as the last night counted them.
LOANS_A_YEAR = """
SELECT subject, amount FROM daily_figures WHERE figure = 'turnover' AND by = 'place'
AND day = (SELECT max(day) FROM daily_figures WHERE figure = 'turnover')"""


def silent_places(count: Count) -> Iterator[AlertFinding]:
    """A place that was heard of before has been open without a word for longer than is set, or than chance explains."""
    rows = count.cursor.execute(
        "SELECT place_id, last_event_at FROM places_heard WHERE %(places)s::text[] IS NULL OR place_id = ANY(%(places)s)",
        {"places": count.places},
    ).fetchall()
    loans = loans_a_year(count.cursor)
    for place_id, last in rows:
        place = count.network.place.get(place_id)
        if place and place.hours:
            hours = levels.open_hours(count.network, [place], last, count.now)
            allowed = float(count.threshold(AlertKind.SILENT, place_id))
            if hours > allowed and count.thresholds.chosen(AlertKind.SILENT, place.tier) is None:
                allowed = max(allowed, quiet_hours(count.network, place, loans, last))
            numbers = {"open_hours": round(hours, 1), "allowed_hours": round(allowed, 1), "last": last.isoformat()}
            yield AlertFinding(AlertKind.SILENT, place_id, "", levels.silent(hours, allowed), numbers)


def loans_a_year(cursor: Cursor[Any]) -> dict[str, float]:
    """Return the loans a year at each place that was counted."""
    return dict(cursor.execute(LOANS_A_YEAR).fetchall())


def quiet_hours(network: Network, place: Place, loans: Mapping[str, float], until: datetime) -> float:
    """Return how many open hours a place with so few loans may be silent by chance; 0 where its loans were never counted."""
    if place.id not in loans:
        return 0.0
    begin = until - timedelta(days=TYPICAL_DAYS)
    hours_a_day = levels.open_hours(network, [place], begin, until) / TYPICAL_DAYS
    return min(
        levels.usual_silence(EVENTS_A_LOAN * loans[place.id] / YEAR_DAYS, hours_a_day),
        hours_a_day * levels.LOOK_BACK_DAYS / 2,  # a month of opening: then somebody looks, however few the loans
    )


def heard_again(count: Count) -> Iterator[AlertFinding]:
    """Silence ends with the next event; only places whose alert is open are looked at."""
    rows = count.cursor.execute(
        f"SELECT place_id FROM alerts WHERE closed_at IS NULL AND kind = '{AlertKind.SILENT}' AND place_id = ANY(%s)",
        (count.places,),
    ).fetchall()
    if rows:
        yield from silent_places(count._replace(places=[place for (place,) in rows]))


def silent_feeds(count: Count) -> Iterator[AlertFinding]:
    """A library system has sent nothing while libraries were open; Rotation's own sources do not count."""
    rows = count.cursor.execute("SELECT source, last_event_at FROM feeds WHERE source NOT LIKE %s", (f"{OURS}%",))
    allowed = count.thresholds.usual.silent_hours
    for source, last in rows.fetchall():
        hours = levels.open_hours(count.network, count.network.places, last, count.now)
        numbers = {"open_hours": round(hours, 1), "allowed_hours": allowed, "last": last.isoformat()}
        yield AlertFinding(AlertKind.FEED, source, "", levels.silent(hours, allowed), numbers)
