"""Alerts, recounted: what holds now is counted from `copies`, judged by `levels`, and compared with the alerts that are open.

Nothing is added up from event to event, so nothing can drift: a missed notice is mended by the next count or by the sweep. One
lock lets one recount at a time decide; a unique index allows one open alert of a kind for a place and class.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

import orjson
from psycopg import Cursor

from config import Settings
from rotation.alerts import levels
from rotation.alerts.levels import Verdict
from rotation.network import Network, Tier
from rotation.store import outbox
from rotation.store.clock import clock_by

ALERTS_TOPIC = "stock.alerts"
ONE_AT_A_TIME = 7_276_003  # key of the advisory lock
ALWAYS_TOLD = (
    "overdue",
)  # kinds whose numbers are kept up to date at every count; the others' at the sweep, once a minute
YEAR_DAYS = 365
PLACES_A_NOTICE = 1_000  # with fifty classes each some 700 kB: a topic takes 1 MB


class Thresholds(NamedTuple):
    """What a city may set."""

    overdue_days: int = 21  # PINES searches for a copy after three weeks
    silent_hours: int = 16  # two days of opening

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """Return what the city set."""
        return cls(overdue_days=settings.overdue_days, silent_hours=settings.silent_hours)


class Finding(NamedTuple):
    """What a count says of one possible alert, with the numbers that decided it."""

    kind: str
    place_id: str
    cls: str
    verdict: Verdict
    numbers: dict[str, Any]


class Changes(NamedTuple):
    """What a recount did."""

    opened: int
    closed: int


class Touched(NamedTuple):
    """What may have changed at a place: the levels of these classes (None: of any), and which copies are awaited there."""

    classes: frozenset[str] | None = None
    awaited: bool = True

    def and_also(self, other: "Touched") -> "Touched":
        """Return both."""
        any_class = self.classes is None or other.classes is None
        classes = None if any_class else (self.classes or frozenset()) | (other.classes or frozenset())
        return Touched(classes, self.awaited or other.awaited)


def notices(touched: Mapping[str, Touched]) -> list[list[dict[str, Any]]]:
    """Return what messages of stock.touched say of places: all of a batch in one, or few; a message a place held alerts up."""
    said = [
        {"place": place, "classes": None if one.classes is None else sorted(one.classes), "awaited": one.awaited}
        for place, one in sorted(touched.items())
    ]
    return [said[begin : begin + PLACES_A_NOTICE] for begin in range(0, len(said), PLACES_A_NOTICE)]


class Count(NamedTuple):
    """What is being counted: what is touched at these places (None: everything everywhere), as of `now`."""

    cursor: Cursor[Any]
    network: Network
    thresholds: Thresholds
    now: datetime
    places: list[str] | None
    touched: Mapping[str, Touched]


class OnShelf(NamedTuple):
    """Copies on the shelf, by place and class and by place, and by place those that nobody has borrowed for long."""

    of_class: Counter[tuple[str, str]]
    copies: Counter[str]
    idle: Counter[str]


def recount(cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched]) -> Changes:
    """Count again what changed at some places, open and close their alerts, tell of it; in the caller's transaction."""
    count = _begin(cursor, network, thresholds, touched)
    return _settle(count, [*_levels_of_some(count), *_overdue_of_some(count), *_heard_again(count)], complete=False)


def sweep(cursor: Cursor[Any], network: Network, thresholds: Thresholds) -> Changes:
    """Count everything again, with the rules that time alone can trigger; alerts of what exists no more are closed."""
    count = _begin(cursor, network, thresholds, None)
    return _settle(count, list(_everything(count)), complete=True)


def _begin(
    cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched] | None
) -> Count:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ONE_AT_A_TIME,))
    places = None if touched is None else sorted(touched)
    return Count(cursor, network, thresholds, clock_by(cursor).now(), places, touched or {})


# --- The rules --------------------------------------------------------------------------------------------------------------


def _count_shelves(count: Count) -> OnShelf:
    """Count what stands on all shelves, in the one pass over the copies that a sweep makes."""
    found = OnShelf(Counter(), Counter(), Counter())
    for place, cls, copies, idle in count.cursor.execute(
        "SELECT place_id, class, count(*), count(*) FILTER (WHERE occurred_at < %s - make_interval(days => %s)) FROM copies"
        " WHERE state = 'on_shelf' GROUP BY 1, 2",
        (count.now, levels.STALE_AFTER_DAYS),
    ):
        found.of_class[place, cls] = copies
        found.copies[place] += copies
        found.idle[place] += idle
    return found


def _levels(count: Count, shelves: OnShelf) -> Iterator[Finding]:
    """The shelf holds fewer or more copies of a class than its targets say."""
    targets = count.cursor.execute("SELECT place_id, class, low, high FROM targets").fetchall()
    yield from _judged((place, cls, low, high, shelves.of_class[place, cls]) for place, cls, low, high in targets)


def _levels_of_some(count: Count) -> Iterator[Finding]:
    """The same of the shelves that were touched, each counted by an index of its own."""
    shelves = [(place, cls) for place, one in count.touched.items() for cls in one.classes or ()]
    yield from _judged(count.cursor.execute(
        "SELECT t.place_id, t.class, t.low, t.high, (SELECT count(*) FROM copies c"
        " WHERE c.place_id = t.place_id AND c.class = t.class AND c.state = 'on_shelf') FROM targets t"
        " WHERE (t.place_id, t.class) IN (SELECT * FROM unnest(%s::text[], %s::text[])) OR t.place_id = ANY(%s)",
        ([place for place, _ in shelves], [cls for _, cls in shelves],
         [place for place, one in count.touched.items() if one.classes is None]),
    ).fetchall())  # fmt: skip


def _judged(rows: Iterable[tuple[str, str, int, int, int]]) -> Iterator[Finding]:
    for place, cls, low, high, level in rows:
        numbers = {"level": level, "low": low, "high": high}
        yield Finding("shortage", place, cls, levels.shortage(level, low, high), numbers)
        yield Finding("surplus", place, cls, levels.surplus(level, low, high), numbers)


def _overdue(count: Count) -> Iterator[Finding]:
    """Copies on their way to a place for more days than any van needs; days are those of the network's calendar."""
    rows = count.cursor.execute(
        "SELECT to_place_id, count(*) FILTER (WHERE days > %(limit)s), count(*) FILTER (WHERE days > %(year)s),"
        " min(occurred_at) FROM (SELECT to_place_id, occurred_at,"
        " (%(now)s AT TIME ZONE %(zone)s)::date - (occurred_at AT TIME ZONE %(zone)s)::date AS days FROM copies"
        " WHERE state = 'in_transit' AND to_place_id IS NOT NULL"
        " AND (%(places)s::text[] IS NULL OR to_place_id = ANY(%(places)s))) travelling GROUP BY 1",
        {"limit": count.thresholds.overdue_days, "year": YEAR_DAYS, "now": count.now,
         "zone": count.network.network.timezone, "places": count.places},
    ).fetchall()  # fmt: skip
    found = {place: rest for place, *rest in rows}
    for place in count.places if count.places is not None else found:
        over, over_year, oldest = found.get(place, (0, 0, None))
        numbers = {"count": over, "days": count.thresholds.overdue_days, "count_over_365_days": over_year,
                   "oldest": oldest.isoformat() if oldest else None}  # fmt: skip
        yield Finding("overdue", place, "", levels.overdue(over), numbers)


def _overdue_of_some(count: Count) -> Iterator[Finding]:
    """The same where copies began or ceased to be awaited; where they only grew older, the sweep finds them."""
    awaiting = [place for place, one in count.touched.items() if one.awaited]
    if awaiting:
        yield from _overdue(count._replace(places=awaiting))


def _stale(shelves: OnShelf) -> Iterator[Finding]:
    """Most of a shelf has stood there unread."""
    for place, copies in shelves.copies.items():
        idle = shelves.idle[place]
        numbers = {"idle": idle, "on_shelf": copies, "days": levels.STALE_AFTER_DAYS}
        yield Finding("stale", place, "", levels.stale(idle, copies), numbers)


def _unfair(count: Count, shelves: OnShelf) -> Iterator[Finding]:
    """A place's residents have far fewer copies within reach than others of its tier."""
    inhabited = [place for place in count.network.places if place.population] if shelves.copies else []
    per_head = {place.id: shelves.copies[place.id] / place.population for place in inhabited}
    peers = {tier: [per_head[place.id] for place in inhabited if place.tier == tier] for tier in Tier}
    for place in inhabited:
        middle, mine = median(peers[place.tier]), per_head[place.id]
        numbers = {"per_1000": round(1000 * mine, 1), "median_per_1000": round(1000 * middle, 1)}
        yield Finding("unfair", place.id, "", levels.unfair(mine, peers[place.tier]), numbers)


def _silent(count: Count) -> Iterator[Finding]:
    """A place that was heard of before has been open for long without a word."""
    rows = count.cursor.execute(
        "SELECT place_id, last_event_at FROM places_heard WHERE %(places)s::text[] IS NULL OR place_id = ANY(%(places)s)",
        {"places": count.places},
    ).fetchall()
    for place_id, last in rows:
        place = count.network.place.get(place_id)
        if place and place.hours:
            hours = levels.open_hours(count.network, [place], last, count.now)
            numbers = {
                "open_hours": round(hours, 1),
                "allowed_hours": count.thresholds.silent_hours,
                "last": last.isoformat(),
            }
            yield Finding("silent", place_id, "", levels.silent(hours, count.thresholds.silent_hours), numbers)


def _heard_again(count: Count) -> Iterator[Finding]:
    """Silence ends with the next event; only places whose alert is open are looked at."""
    rows = count.cursor.execute(
        "SELECT place_id FROM alerts WHERE closed_at IS NULL AND kind = 'silent' AND place_id = ANY(%s)",
        (count.places,),
    ).fetchall()
    if rows:
        yield from _silent(count._replace(places=[place for (place,) in rows]))


def _feeds(count: Count) -> Iterator[Finding]:
    """A library system has sent nothing while libraries were open."""
    for source, last in count.cursor.execute("SELECT source, last_event_at FROM feeds").fetchall():
        hours = levels.open_hours(count.network, count.network.places, last, count.now)
        numbers = {
            "open_hours": round(hours, 1),
            "allowed_hours": count.thresholds.silent_hours,
            "last": last.isoformat(),
        }
        yield Finding("feed", source, "", levels.silent(hours, count.thresholds.silent_hours), numbers)


def _everything(count: Count) -> Iterator[Finding]:
    """Return what all rules say of all places."""
    shelves = _count_shelves(count)
    yield from _levels(count, shelves)
    yield from _overdue(count)
    yield from _stale(shelves)
    yield from _unfair(count, shelves)
    yield from _silent(count)
    yield from _feeds(count)


# --- Alerts that are open, and what the findings make of them ---------------------------------------------------------------


class Open(NamedTuple):
    """An alert that is open."""

    alert_id: int
    kind: str
    place_id: str
    cls: str
    numbers: dict[str, Any]


def _settle(count: Count, findings: list[Finding], *, complete: bool) -> Changes:
    """Open, close and update alerts as the findings say; `complete` findings close every alert that they do not mention."""
    found = {finding[:3]: finding for finding in findings}
    rows = count.cursor.execute(
        "SELECT alert_id, kind, place_id, class, numbers FROM alerts WHERE closed_at IS NULL"
        " AND (%(places)s::text[] IS NULL OR place_id = ANY(%(places)s))",
        {"places": count.places},
    ).fetchall()
    known = {row[1:4]: Open(*row) for row in rows}
    opening = [f for key, f in found.items() if f.verdict is Verdict.OPEN and key not in known]
    closing = [alert for key, alert in known.items() if _ends(found.get(key), complete)]
    _update(count, [f for key, f in found.items() if key in known and f.numbers != known[key].numbers], complete)
    opened = _open(count, opening)
    closed = _close(count, closing, found)
    _tell(count, opened, closed)
    return Changes(len(opened), len(closed))


def _ends(finding: Finding | None, complete: bool) -> bool:
    return complete if finding is None else finding.verdict is Verdict.CLOSE


def _update(count: Count, findings: Iterable[Finding], complete: bool) -> None:
    rows = [(f.kind, f.place_id, f.cls, _json(f.numbers)) for f in findings if complete or f.kind in ALWAYS_TOLD]
    if rows:
        count.cursor.execute(
            "UPDATE alerts a SET numbers = v.numbers::jsonb, changed_at = %s"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) v(kind, place_id, class, numbers)"
            " WHERE a.closed_at IS NULL AND a.kind = v.kind AND a.place_id = v.place_id AND a.class = v.class",
            (count.now, *map(list, zip(*rows, strict=True))),
        )


def _open(count: Count, findings: list[Finding]) -> list[dict[str, Any]]:
    if not findings:
        return []
    rows = [(f.kind, f.place_id, f.cls, _json(f.numbers)) for f in findings]
    new = count.cursor.execute(
        "INSERT INTO alerts (kind, place_id, class, numbers, opened_at, changed_at)"
        " SELECT kind, place_id, class, numbers::jsonb, %(now)s, %(now)s"
        " FROM unnest(%(k)s::text[], %(p)s::text[], %(c)s::text[], %(n)s::text[]) v(kind, place_id, class, numbers)"
        " ON CONFLICT DO NOTHING RETURNING alert_id, kind, place_id, class, numbers",
        {"now": count.now, **dict(zip("kpcn", map(list, zip(*rows, strict=True)), strict=True))},
    ).fetchall()
    return [_told(Open(*row), "opened", count.now) for row in new]


def _close(count: Count, alerts: list[Open], found: dict[Any, Finding]) -> list[dict[str, Any]]:
    if not alerts:
        return []
    last = {alert.alert_id: found[alert[1:4]].numbers if alert[1:4] in found else alert.numbers for alert in alerts}
    count.cursor.execute(
        "UPDATE alerts a SET closed_at = %(now)s, changed_at = %(now)s, numbers = v.numbers::jsonb"
        " FROM unnest(%(ids)s::bigint[], %(numbers)s::text[]) v(alert_id, numbers) WHERE a.alert_id = v.alert_id",
        {"now": count.now, "ids": list(last), "numbers": [_json(numbers) for numbers in last.values()]},
    )
    return [_told(alert._replace(numbers=last[alert.alert_id]), "closed", count.now) for alert in alerts]


def _tell(count: Count, opened: list[dict[str, Any]], closed: list[dict[str, Any]]) -> None:
    changed = opened + closed
    if changed:
        outbox.put(count.cursor, ALERTS_TOPIC, ((f"{a['place']}/{a['kind']}/{a['class']}", a) for a in changed))
        ids = [str(alert["alert"]) for alert in changed]
        outbox.notify(count.cursor, "alert", ids, opened=len(opened), closed=len(closed))


def _told(alert: Open, what: str, now: datetime) -> dict[str, Any]:
    return {"alert": alert.alert_id, "what": what, "kind": alert.kind, "place": alert.place_id, "class": alert.cls,
            "at": now.isoformat(), "numbers": alert.numbers}  # fmt: skip


def _json(numbers: dict[str, Any]) -> str:
    return orjson.dumps(numbers).decode()
