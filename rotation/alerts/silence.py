"""Rules about silence: of places, and of the feeds of library systems."""

from collections.abc import Iterator

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.facts.lifecycle import AlertKind

OURS = "rotation/"  # how the source of an event begins that Rotation wrote itself


def silent_places(count: Count) -> Iterator[AlertFinding]:
    """A place that was heard of before has been open for long without a word."""
    rows = count.cursor.execute(
        "SELECT place_id, last_event_at FROM places_heard WHERE %(places)s::text[] IS NULL OR place_id = ANY(%(places)s)",
        {"places": count.places},
    ).fetchall()
    for place_id, last in rows:
        place = count.network.place.get(place_id)
        if place and place.hours:
            hours = levels.open_hours(count.network, [place], last, count.now)
            allowed = count.threshold(AlertKind.SILENT, place_id)
            numbers = {"open_hours": round(hours, 1), "allowed_hours": allowed, "last": last.isoformat()}
            yield AlertFinding(AlertKind.SILENT, place_id, "", levels.silent(hours, allowed), numbers)


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
