"""Alerts, recounted: levels are counted from `copies`, judged by `levels`, and compared with the open alerts.

Nothing is added up from event to event, so nothing can drift: the next count or the sweep mends a missed notice. A
lock lets recounts decide in turn; a unique index allows a single open alert of a kind for a place and class.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

import orjson
from psycopg import Cursor

from config import Settings
from rotation.alerts import levels
from rotation.alerts.levels import AlertVerdict
from rotation.facts.arrivals import arrivals
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import (
    ANSWERED,
    NOT_DRIVEN,
    OUT,
    PASSED,
    AlertKind,
    AlertState,
    StopState,
    TransferKind,
    TransferState,
    listed,
)
from rotation.facts.movements import ON_ITS_WAY, CopyState
from rotation.kafka.topics import STOCK_ALERTS
from rotation.network import Network, Tier
from rotation.store import outbox
from rotation.store.clock import clock_by
from rotation.store.locks import AdvisoryLock
from rotation.store.standstill import standing_still
from rotation.store.traces import NOT_FOUND
from rotation.store.waiting import waiting

# Kinds whose numbers are kept up to date at every count; the others' at the sweep, once a minute.
ALWAYS_CURRENT = (AlertKind.OVERDUE,)
YEAR_DAYS = 365
OURS = "rotation/"  # how the source of an event begins that Rotation wrote itself
# Places are called at once a week or oftener; after this long a missed stop is history, and its copies are overdue.
MISSED_DAYS = 14
PLACES_A_NOTICE = 1_000  # with fifty classes each some 700 kB: a topic takes 1 MB


class Thresholds(NamedTuple):
    """Thresholds that a city may set."""

    overdue_days: int = 21  # PINES searches for a copy after three weeks
    silent_hours: int = 16  # two days of opening
    plan_at: str = "04:00"
    lost_days: tuple[int, int] = (21, 60)

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """Return the thresholds in the settings."""
        return cls(settings.overdue_days, settings.silent_hours, settings.plan_at, settings.lost_days)


class AlertFinding(NamedTuple):
    """The judgement on a possible alert, with the numbers that decided it."""

    kind: AlertKind
    place_id: str
    cls: str
    verdict: AlertVerdict
    numbers: dict[str, Any]


class Changes(NamedTuple):
    """The alerts that a recount opened and closed."""

    opened: int
    closed: int


class Touched(NamedTuple):
    """Possible changes at a place: in the levels of these classes (None: of all), and whether in the copies awaited there."""

    classes: frozenset[str] | None = None
    awaited: bool = True

    def and_also(self, other: "Touched") -> "Touched":
        """Return both."""
        any_class = self.classes is None or other.classes is None
        classes = None if any_class else (self.classes or frozenset()) | (other.classes or frozenset())
        return Touched(classes, self.awaited or other.awaited)


def notices(touched: Mapping[str, Touched]) -> list[list[dict[str, Any]]]:
    """Return the values of stock.touched messages: all places of a batch in a single message, or in few.

    With a message for each place, alerts waited too long.
    """
    said = [
        {"place": place, "classes": None if one.classes is None else sorted(one.classes), "awaited": one.awaited}
        for place, one in sorted(touched.items())
    ]
    return [said[begin : begin + PLACES_A_NOTICE] for begin in range(0, len(said), PLACES_A_NOTICE)]


class Count(NamedTuple):
    """A recount at these places (None: everywhere) as of `now`, the network's time."""

    cursor: Cursor[Any]
    network: Network
    thresholds: Thresholds
    now: datetime
    places: list[str] | None
    touched: Mapping[str, Touched]


class OnShelf(NamedTuple):
    """Copies on the shelf and on their way to it, by place and class; by place those on the shelf, and those long idle."""

    of_class: Counter[tuple[str, str]]
    coming: Counter[tuple[str, str]]
    copies: Counter[str]
    idle: Counter[str]


def recount(cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched]) -> Changes:
    """Recount the changes at some places, open and close their alerts and publish them, in the caller's transaction."""
    count = _begin(cursor, network, thresholds, touched)
    return _settle(
        count,
        [*_levels_of_some(count), *_overdue_of_some(count), *_heard_again(count), *_machines(count)],
        complete=False,
    )


def sweep(cursor: Cursor[Any], network: Network, thresholds: Thresholds) -> Changes:
    """Recount everything, with the rules that time alone can trigger; alerts whose subject is gone are closed."""
    count = _begin(cursor, network, thresholds, None)
    return _settle(count, list(_everything(count)), complete=True)


def _begin(
    cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched] | None
) -> Count:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (AdvisoryLock.ALERTS,))
    places = None if touched is None else sorted(touched)
    return Count(cursor, network, thresholds, clock_by(cursor).now(), places, touched or {})


COMING = f"""
    SELECT to_place_id, class, count(*) FROM copies
    WHERE to_place_id IS NOT NULL AND state IN ({listed(ON_ITS_WAY)}) AND class IS NOT NULL GROUP BY 1, 2"""

# --- The rules --------------------------------------------------------------------------------------------------------------


def _count_shelves(count: Count) -> OnShelf:
    """Count the copies on all shelves, in the only pass over the copies that a sweep makes."""
    shelves = OnShelf(Counter(), Counter(), Counter(), Counter())
    for place, cls, copies, idle in count.cursor.execute(
        "SELECT place_id, class, count(*), count(*) FILTER (WHERE occurred_at < %s - make_interval(days => %s)) FROM copies"
        f" WHERE state = '{CopyState.ON_SHELF}' GROUP BY 1, 2",
        (count.now, levels.STALE_AFTER_DAYS),
    ):
        shelves.of_class[place, cls] = copies
        shelves.copies[place] += copies
        shelves.idle[place] += idle
    shelves.coming.update({(place, cls): copies for place, cls, copies in count.cursor.execute(COMING)})
    return shelves


def _levels(count: Count, shelves: OnShelf) -> Iterator[AlertFinding]:
    """The shelf holds fewer or more copies of a class than its targets say."""
    targets = count.cursor.execute("SELECT place_id, class, low, high FROM targets").fetchall()
    yield from _judged(
        (place, cls, low, high, shelves.of_class[place, cls], shelves.coming[place, cls])
        for place, cls, low, high in targets
    )


def _levels_of_some(count: Count) -> Iterator[AlertFinding]:
    """The same of the shelves that were touched, each counted by an index of its own."""
    shelves = [(place, cls) for place, one in count.touched.items() for cls in one.classes or ()]
    yield from _judged(
        count.cursor.execute(
            "SELECT t.place_id, t.class, t.low, t.high, (SELECT count(*) FROM copies c"
            f" WHERE c.place_id = t.place_id AND c.class = t.class AND c.state = '{CopyState.ON_SHELF}'),"
            " (SELECT count(*) FROM copies c"
            f" WHERE c.to_place_id = t.place_id AND c.class = t.class AND c.state IN ({listed(ON_ITS_WAY)})) FROM targets t"
            " WHERE (t.place_id, t.class) IN (SELECT * FROM unnest(%s::text[], %s::text[])) OR t.place_id = ANY(%s)",
            (
                [place for place, _ in shelves],
                [cls for _, cls in shelves],
                [place for place, one in count.touched.items() if one.classes is None],
            ),
        ).fetchall()
    )


def _judged(rows: Iterable[tuple[str, str, int, int, int, int]]) -> Iterator[AlertFinding]:
    for place, cls, low, high, level, coming in rows:
        numbers = {"level": level, "coming": coming, "low": low, "high": high}
        yield AlertFinding(AlertKind.SHORTAGE, place, cls, levels.shortage(level, coming, low, high), numbers)
        yield AlertFinding(AlertKind.SURPLUS, place, cls, levels.surplus(level, low, high), numbers)


# Copies awaited, by place: those overdue, those for more than a year, and since when the oldest. A lane of few journeys has no
# time of its own: there the set number of days counts.
LONG_UNDER_WAY = f"""
SELECT to_place_id, count(*) FILTER (WHERE days > allowed), count(*) FILTER (WHERE days > %(year)s), min(occurred_at) FROM (
    SELECT c.to_place_id, c.occurred_at,
        (%(now)s AT TIME ZONE %(zone)s)::date - (c.occurred_at AT TIME ZONE %(zone)s)::date AS days,
        CASE WHEN l.journeys IS NULL THEN %(limit)s
            ELSE greatest(%(least)s, ceil(%(times)s * l.nine_in_ten_s / 86400)) END AS allowed
    FROM copies c LEFT JOIN lanes l ON l.from_place_id = c.place_id AND l.to_place_id = c.to_place_id AND l.journeys >= %(enough)s
    WHERE c.state = '{CopyState.IN_TRANSIT}' AND c.to_place_id IS NOT NULL
    AND (%(places)s::text[] IS NULL OR c.to_place_id = ANY(%(places)s))) travelling GROUP BY 1"""


def _overdue(count: Count) -> Iterator[AlertFinding]:
    """Copies on their way to a place for much longer than their lane takes; days are those of the network's calendar."""
    rows = count.cursor.execute(
        LONG_UNDER_WAY,
        {
            "limit": count.thresholds.overdue_days,
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
            "days": count.thresholds.overdue_days,
            "count_over_365_days": over_year,
            "oldest": oldest.isoformat() if oldest else None,
        }
        yield AlertFinding(AlertKind.OVERDUE, place, "", levels.overdue(over), numbers)


def _overdue_of_some(count: Count) -> Iterator[AlertFinding]:
    """The same where copies began or ceased to be awaited; where they only grew older, the sweep finds them."""
    awaiting = [place for place, one in count.touched.items() if one.awaited]
    if awaiting:
        yield from _overdue(count._replace(places=awaiting))


def _stale(shelves: OnShelf) -> Iterator[AlertFinding]:
    """Most of a shelf has stood there unread."""
    for place, copies in shelves.copies.items():
        idle = shelves.idle[place]
        numbers = {"idle": idle, "on_shelf": copies, "days": levels.STALE_AFTER_DAYS}
        yield AlertFinding(AlertKind.STALE, place, "", levels.stale(idle, copies), numbers)


def _unfair(count: Count, shelves: OnShelf) -> Iterator[AlertFinding]:
    """A place's residents have far fewer copies within reach than others of its tier."""
    inhabited = [place for place in count.network.places if place.population] if shelves.copies else []
    per_head = {place.id: shelves.copies[place.id] / place.population for place in inhabited}
    peers = {tier: [per_head[place.id] for place in inhabited if place.tier == tier] for tier in Tier}
    for place in inhabited:
        middle, mine = median(peers[place.tier]), per_head[place.id]
        numbers = {"per_1000": round(1000 * mine, 1), "median_per_1000": round(1000 * middle, 1)}
        yield AlertFinding(AlertKind.UNFAIR, place.id, "", levels.unfair(mine, peers[place.tier]), numbers)


def _silent(count: Count) -> Iterator[AlertFinding]:
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
            yield AlertFinding(
                AlertKind.SILENT, place_id, "", levels.silent(hours, count.thresholds.silent_hours), numbers
            )


def _heard_again(count: Count) -> Iterator[AlertFinding]:
    """Silence ends with the next event; only places whose alert is open are looked at."""
    rows = count.cursor.execute(
        f"SELECT place_id FROM alerts WHERE closed_at IS NULL AND kind = '{AlertKind.SILENT}' AND place_id = ANY(%s)",
        (count.places,),
    ).fetchall()
    if rows:
        yield from _silent(count._replace(places=[place for (place,) in rows]))


def _feeds(count: Count) -> Iterator[AlertFinding]:
    """A library system has sent nothing while libraries were open; Rotation's own sources do not count."""
    rows = count.cursor.execute("SELECT source, last_event_at FROM feeds WHERE source NOT LIKE %s", (f"{OURS}%",))
    for source, last in rows.fetchall():
        hours = levels.open_hours(count.network, count.network.places, last, count.now)
        numbers = {
            "open_hours": round(hours, 1),
            "allowed_hours": count.thresholds.silent_hours,
            "last": last.isoformat(),
        }
        yield AlertFinding(AlertKind.FEED, source, "", levels.silent(hours, count.thresholds.silent_hours), numbers)


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


def _late(count: Count) -> Iterator[AlertFinding]:
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


def _missed(count: Count) -> Iterator[AlertFinding]:
    """A van has passed a place by; the alert lasts until a van calls there."""
    since = count.network.day_of(count.now) - timedelta(days=MISSED_DAYS)
    for place, run, van, planned in count.cursor.execute(LAST_MISSED, (since,)).fetchall():
        numbers = {"run": run, "van": van, "planned": planned.isoformat()}
        yield AlertFinding(AlertKind.MISSED, place, "", AlertVerdict.OPEN, numbers)


# Of the picks that each place answered since: how many it did not find, and all.
ANSWERED_PICKS = f"""
SELECT t.from_place_id, count(*) FILTER (WHERE t.status = '{TransferState.DECLINED}' AND EXISTS (
    SELECT FROM transfer_facts f WHERE f.transfer_id = t.transfer_id AND f.reason = '{NOT_FOUND}')), count(*)
FROM transfers t WHERE t.kind = '{TransferKind.PICK}' AND t.status IN ({listed(ANSWERED)}) AND t.changed_at > %s GROUP BY 1"""


def _not_found(count: Count) -> Iterator[AlertFinding]:
    """A place does not find many of the copies asked for: its records are wrong."""
    since = count.now - timedelta(days=levels.FINDS_DAYS)
    for place, not_found, asked in count.cursor.execute(ANSWERED_PICKS, (since,)).fetchall():
        numbers = {"not_found": not_found, "picks": asked, "days": levels.FINDS_DAYS}
        yield AlertFinding(AlertKind.UNFOUND, place, "", levels.not_found(not_found, asked), numbers)


# The last count of each handover since, where van and place did not agree in it; of a place the newest.
DIFFERING_COUNTS = f"""
SELECT DISTINCT ON (place_id) place_id, run_id, answer -> 'values' FROM (
    SELECT DISTINCT ON (run_id, place_id) run_id, place_id, answer, at FROM scans
    WHERE work = '{HandWork.HAND_OVER}' AND at > %s ORDER BY run_id, place_id, received_at DESC) last
WHERE answer ->> 'code' = 'counts_differ' ORDER BY place_id, at DESC"""


def _counts_differ(count: Count) -> Iterator[AlertFinding]:
    """Van and place counted differently at a handover; the alert lasts until they agree, or nobody can count any more."""
    since = count.now - timedelta(days=levels.COUNTS_DAYS)
    for place, run, values in count.cursor.execute(DIFFERING_COUNTS, (since,)).fetchall():
        sides = {f"{side}_{what}": number for side in ("van", "room") for what, number in values[side].items()}
        yield AlertFinding(AlertKind.COUNTS_DIFFER, place, "", AlertVerdict.OPEN, {"run": run, **sides})


# By library system: write-backs that were refused, or wait for longer than they may, by the wall clock.
NOT_WRITTEN = """
SELECT system, count(*) FILTER (WHERE refused_at IS NULL), count(*) FILTER (WHERE refused_at IS NOT NULL), min(asked_at)
FROM write_backs WHERE done_at IS NULL GROUP BY 1
HAVING bool_or(refused_at IS NOT NULL) OR min(asked_at) < now() - make_interval(secs => %s)"""


def _not_written(count: Count) -> Iterator[AlertFinding]:
    """A library system has not taken orders or scans of ours."""
    for system, waits, refused, oldest in count.cursor.execute(NOT_WRITTEN, (levels.WRITE_BACK_S,)).fetchall():
        numbers = {"waiting": waits, "refused": refused, "oldest": oldest.isoformat()}
        yield AlertFinding(AlertKind.UNWRITTEN, system, "", AlertVerdict.OPEN, numbers)


REPORTS = """
SELECT place_id, occurred_at, bin_copies, free_slots, fault FROM machines
WHERE %(places)s::text[] IS NULL OR place_id = ANY(%(places)s)"""


class MachineReport(NamedTuple):
    """A self-service machine's last report."""

    place_id: str
    at: datetime
    bin_copies: int
    free_slots: int
    fault: str | None


def _machines(count: Count) -> Iterator[AlertFinding]:
    """A self-service machine is nearly empty, its return bin is full, or it is out of order; places left out have no machine."""
    for row in count.cursor.execute(REPORTS, {"places": count.places}).fetchall():
        report = MachineReport(*row)
        if place := count.network.place.get(report.place_id):
            yield from machine_findings(report, place.room, place.bin)


def machine_findings(report: MachineReport, slots: int, bin_holds: int | None) -> Iterator[AlertFinding]:
    """Judge a machine's report; `bin_holds` None: the network does not say how much fits into its bin."""
    at, reported = report.place_id, {"reported": report.at.isoformat()}
    if slots:
        filled = max(slots - report.free_slots, 0)
        verdict = levels.nearly_empty(filled, slots)
        numbers = {"filled": filled, "free": report.free_slots, "slots": slots, **reported}
        yield AlertFinding(AlertKind.NEARLY_EMPTY, at, "", verdict, numbers)
    if bin_holds:
        numbers = {"copies": report.bin_copies, "holds": bin_holds, **reported}
        yield AlertFinding(AlertKind.BIN_FULL, at, "", levels.bin_full(report.bin_copies, bin_holds), numbers)
    numbers = {"fault": report.fault or "", **reported}
    yield AlertFinding(AlertKind.OUT_OF_ORDER, at, "", levels.out_of_order(report.fault), numbers)


def _waiting(count: Count) -> Iterator[AlertFinding]:
    """Copies that wait past their promise: unsorted, not sent on, left by their van, with a leg not done, slower than usual."""
    zone = count.network.network.timezone
    for one in waiting(count.cursor, count.now, count.network.day_of(count.now), zone):
        numbers = {"count": one.copies, "oldest": one.oldest.isoformat()}
        yield AlertFinding(one.kind, one.place_id, "", levels.overdue(one.copies), numbers)


def _standstill(count: Count) -> Iterator[AlertFinding]:
    """A part of Rotation, the outbox or the plan stands still; where the workers do, page and status alone can say so."""
    for one in standing_still(count.cursor, count.network.timezone, count.thresholds.plan_at):
        yield AlertFinding(AlertKind.STANDSTILL, one.subject, "", AlertVerdict.OPEN, one.words())


# Copies that each place gave to and got from others since, and holds.
GIVEN = f"""
WITH moved AS (SELECT from_place_id, to_place_id FROM transfers
    WHERE status = '{TransferState.RECEIVED}' AND changed_at > %s AND from_place_id <> to_place_id)
SELECT place_id, coalesce(gave, 0), coalesce(got, 0), held FROM
    (SELECT place_id, count(*) AS held FROM copies WHERE state = '{CopyState.ON_SHELF}' GROUP BY 1) stock
    LEFT JOIN (SELECT from_place_id AS place_id, count(*) AS gave FROM moved GROUP BY 1) gave USING (place_id)
    LEFT JOIN (SELECT to_place_id AS place_id, count(*) AS got FROM moved GROUP BY 1) got USING (place_id)
WHERE gave > coalesce(got, 0)"""


def _drained(count: Count) -> Iterator[AlertFinding]:
    """A place gave others many more copies than it got: rotation takes from it what its readers have."""
    since = count.now - timedelta(days=levels.DRAINED_DAYS)
    for place, gave, got, held in count.cursor.execute(GIVEN, (since,)).fetchall():
        if place in count.network.place:
            numbers = {"gave": gave, "got": got, "held": held, "days": levels.DRAINED_DAYS}
            yield AlertFinding(AlertKind.DRAINED, place, "", levels.drained(gave, got, held), numbers)


# Plans from today on that break limits, however they were made; those sent back drive nowhere.
BROKEN_PLANS = f"""
SELECT DISTINCT ON (hub_id) hub_id, day, jsonb_array_length(evaluation -> 'violations'), jsonb_array_length(unserved)
FROM day_plans WHERE day >= %s AND status NOT IN ({listed(NOT_DRIVEN)}) AND jsonb_typeof(evaluation -> 'violations') = 'array'
ORDER BY hub_id, day"""


def _infeasible(count: Count) -> Iterator[AlertFinding]:
    """A hub's next plan breaks limits: vans would come too late, or hold more than they can."""
    for hub, day, broken, unserved in count.cursor.execute(BROKEN_PLANS, (count.network.day_of(count.now),)).fetchall():
        numbers = {"day": day.isoformat(), "violations": broken, "unserved": unserved}
        yield AlertFinding(AlertKind.INFEASIBLE, hub, "", levels.overdue(broken), numbers)


GIVEN_UP = f"""
SELECT to_place_id, count(*) FROM transfers WHERE status = '{TransferState.LOST}' AND changed_at > %s GROUP BY 1"""


def _lost(count: Count) -> Iterator[AlertFinding]:
    """Copies never arrived and are searched for no longer."""
    since = count.now - timedelta(days=levels.LOST_DAYS)
    for place, copies in count.cursor.execute(GIVEN_UP, (since,)).fetchall():
        numbers = {"count": copies, "days": levels.LOST_DAYS}
        yield AlertFinding(AlertKind.LOST, place, "", levels.overdue(copies), numbers)


def _everything(count: Count) -> Iterator[AlertFinding]:
    """Yield the findings of all rules at all places."""
    shelves = _count_shelves(count)
    yield from _levels(count, shelves)
    yield from _overdue(count)
    yield from _stale(shelves)
    yield from _unfair(count, shelves)
    yield from _silent(count)
    yield from _feeds(count)
    yield from _late(count)
    yield from _missed(count)
    yield from _waiting(count)
    yield from _standstill(count)
    yield from _not_found(count)
    yield from _counts_differ(count)
    yield from _drained(count)
    yield from _infeasible(count)
    yield from _lost(count)
    yield from _not_written(count)
    yield from _machines(count)


# --- Open alerts, and how findings change them ---------------------------------------------------------------


class OpenAlert(NamedTuple):
    """An alert that is open."""

    alert_id: int
    kind: str
    place_id: str
    cls: str
    numbers: dict[str, Any]


def _settle(count: Count, findings: list[AlertFinding], *, complete: bool) -> Changes:
    """Open, close and update alerts as the findings say; `complete` findings close every alert that they do not mention."""
    found = {finding[:3]: finding for finding in findings}
    rows = count.cursor.execute(
        "SELECT alert_id, kind, place_id, class, numbers FROM alerts WHERE closed_at IS NULL"
        " AND (%(places)s::text[] IS NULL OR place_id = ANY(%(places)s))",
        {"places": count.places},
    ).fetchall()
    known = {row[1:4]: OpenAlert(*row) for row in rows}
    opening = [f for key, f in found.items() if f.verdict is AlertVerdict.OPEN and key not in known]
    closing = [alert for key, alert in known.items() if _ends(found.get(key), complete)]
    _update(count, [f for key, f in found.items() if key in known and f.numbers != known[key].numbers], complete)
    opened = _open(count, opening)
    closed = _close(count, closing, found)
    _tell(count, opened, closed)
    return Changes(len(opened), len(closed))


def _ends(finding: AlertFinding | None, complete: bool) -> bool:
    return complete if finding is None else finding.verdict is AlertVerdict.CLOSE


def _update(count: Count, findings: Iterable[AlertFinding], complete: bool) -> None:
    rows = [(f.kind, f.place_id, f.cls, _json(f.numbers)) for f in findings if complete or f.kind in ALWAYS_CURRENT]
    if rows:
        count.cursor.execute(
            "UPDATE alerts a SET numbers = v.numbers::jsonb, changed_at = %s"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) v(kind, place_id, class, numbers)"
            " WHERE a.closed_at IS NULL AND a.kind = v.kind AND a.place_id = v.place_id AND a.class = v.class",
            (count.now, *map(list, zip(*rows, strict=True))),
        )


def _open(count: Count, findings: list[AlertFinding]) -> list[dict[str, Any]]:
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
    return [_told(OpenAlert(*row), AlertState.OPENED, count.now) for row in new]


def _close(count: Count, alerts: list[OpenAlert], found: dict[Any, AlertFinding]) -> list[dict[str, Any]]:
    if not alerts:
        return []
    last = {alert.alert_id: found[alert[1:4]].numbers if alert[1:4] in found else alert.numbers for alert in alerts}
    count.cursor.execute(
        "UPDATE alerts a SET closed_at = %(now)s, changed_at = %(now)s, numbers = v.numbers::jsonb"
        " FROM unnest(%(ids)s::bigint[], %(numbers)s::text[]) v(alert_id, numbers) WHERE a.alert_id = v.alert_id",
        {"now": count.now, "ids": list(last), "numbers": [_json(numbers) for numbers in last.values()]},
    )
    return [_told(alert._replace(numbers=last[alert.alert_id]), AlertState.CLOSED, count.now) for alert in alerts]


def _tell(count: Count, opened: list[dict[str, Any]], closed: list[dict[str, Any]]) -> None:
    changed = opened + closed
    if changed:
        outbox.put(count.cursor, STOCK_ALERTS.name, ((f"{a['place']}/{a['kind']}/{a['class']}", a) for a in changed))
        ids = [str(alert["alert"]) for alert in changed]
        outbox.notify(count.cursor, "alert", ids, opened=len(opened), closed=len(closed))


def _told(alert: OpenAlert, what: AlertState, now: datetime) -> dict[str, Any]:
    return {
        "alert": alert.alert_id,
        "what": what,
        "kind": alert.kind,
        "place": alert.place_id,
        "class": alert.cls,
        "at": now.isoformat(),
        "numbers": alert.numbers,
    }


def _json(numbers: dict[str, Any]) -> str:
    return orjson.dumps(numbers).decode()
