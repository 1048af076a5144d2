"""A threshold's effect last month: how many alerts it would have opened, counted on kept figures and movements.

Shelves are judged by their levels of each day, as they were counted after the night: copies on their way are not among them.
Transit and silence are judged by the movements. The present thresholds are judged in the same way, to compare.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from math import ceil
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from rotation.alerts import levels, silence
from rotation.alerts.levels import AlertVerdict
from rotation.alerts.thresholds import AlertThresholds, ThresholdKey
from rotation.facts.lifecycle import AlertKind
from rotation.facts.movements import CopyState
from rotation.network import Network, Place
from rotation.store.engine import driver

MONTH_DAYS = 30
YEAR_DAYS = 365


class AlertSpan(NamedTuple):
    """From which day to which an alert would have been open; None: it still is."""

    begin: date
    end: date | None


class ThresholdCount(NamedTuple):
    """The alerts that thresholds would have opened, and how many would have been open on each day."""

    opened: int
    open_on: list[tuple[date, int]]


class ThresholdPreview(NamedTuple):
    """A proposed threshold beside those in force, over the days that can be judged, and the alerts that did open."""

    proposed: ThresholdCount
    present: ThresholdCount
    did_open: int


class Past(NamedTuple):
    """The month before `now`, the network's time, at the places and classes that a threshold is for."""

    connection: Connection
    network: Network
    now: datetime
    key: ThresholdKey

    @property
    def since(self) -> datetime:
        """Return the month's begin."""
        return self.now - timedelta(days=MONTH_DAYS)

    def place(self, place_id: str) -> Place | None:
        """Return a place that the threshold is for, else None."""
        place = self.network.place.get(place_id)
        return place if place and self.key.tier in ("", place.tier) else None

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return the rows of a statement."""
        return list(self.connection.execute(text(statement), values).all())


def preview(
    connection: Connection, network: Network, now: datetime, present: AlertThresholds, key: ThresholdKey, value: int
) -> ThresholdPreview:
    """Count last month's alerts with a threshold set, beside those with the present ones."""
    past = Past(connection, network, now, key)
    spans = SPANS[key.kind](past)
    days = [network.day_of(past.since) + timedelta(days=n) for n in range(MONTH_DAYS + 1)]
    proposed = present.also(key, value)
    return ThresholdPreview(_count(spans(proposed), days), _count(spans(present), days), _did_open(past))


def _count(spans: Iterable[AlertSpan], days: list[date]) -> ThresholdCount:
    """Count those that begin after the first day: those open then had opened before."""
    some = [span for span in spans if span.end is None or span.end >= days[0]]
    open_on = [(day, sum(span.begin <= day and (span.end is None or day < span.end) for span in some)) for day in days]
    return ThresholdCount(sum(span.begin > days[0] for span in some), open_on)


def _did_open(past: Past) -> int:
    rows = past.rows(
        "SELECT place_id FROM alerts WHERE kind = :kind AND opened_at > :since AND opened_at <= :now"
        " AND (:cls = '' OR class = :cls)",
        kind=past.key.kind,
        since=past.since,
        now=past.now,
        cls=past.key.cls,
    )
    return sum(past.place(place) is not None for (place,) in rows)


# --- Shelves, by the levels and shares of each day ----------------------------------------------------------------------

Judged = Callable[[int], AlertVerdict]  # by a threshold
Spans = Callable[[AlertThresholds], Iterator[AlertSpan]]
KEPT_LEVELS = """
    SELECT f.subject, f.class, f.day, f.amount, t.low, t.high
    FROM daily_figures f JOIN targets t ON t.place_id = f.subject AND t.class = f.class
    WHERE f.figure = 'level' AND f.by = 'place' AND f.day >= :first AND (:cls = '' OR f.class = :cls)"""
KEPT_STALE = """
    SELECT subject, '', day, amount, base FROM daily_figures
    WHERE figure = 'stale_stock' AND by = 'place' AND day >= :first"""
COUNTED_DAYS = "SELECT DISTINCT day FROM daily_figures WHERE figure = 'stale_stock' AND day >= :first ORDER BY 1"


def _shelves(past: Past, statement: str, judged: Callable[..., Judged]) -> Spans:
    """Judge each shelf on each day that was counted; days without a row found it in balance."""
    first = past.network.day_of(past.since)
    days = [day for (day,) in past.rows(COUNTED_DAYS, first=first)]
    courses: dict[tuple[str, str], dict[date, Judged]] = defaultdict(dict)
    values = {"cls": past.key.cls} if ":cls" in statement else {}
    for place, cls, day, *numbers in past.rows(statement, first=first, **values):
        if past.place(place):
            courses[place, cls][day] = judged(*numbers)
    return partial(_of_courses, past, days, courses)


def _of_courses(
    past: Past, days: list[date], courses: Mapping[tuple[str, str], Mapping[date, Judged]], thresholds: AlertThresholds
) -> Iterator[AlertSpan]:
    for (place, cls), course in courses.items():
        threshold = thresholds.of(past.key.kind, past.network.place[place].tier, cls)
        begin = None
        for day in days:
            verdict = course[day](threshold) if day in course else AlertVerdict.CLOSE
            if verdict is AlertVerdict.OPEN and begin is None:
                begin = date.min if day == days[0] else day  # nobody counted before: it had opened earlier
            elif verdict is AlertVerdict.CLOSE and begin is not None:
                yield AlertSpan(begin, day)
                begin = None
        if begin is not None:
            yield AlertSpan(begin, None)


def _short(beyond: float, low: int, high: int) -> Judged:
    return lambda percent: levels.shortage(low + min(round(beyond), 0), 0, low, high, percent)


def _over(beyond: float, low: int, high: int) -> Judged:
    return lambda percent: levels.surplus(high + max(round(beyond), 0), low, high, percent)


def _stale(idle: float, on_shelf: float) -> Judged:
    return lambda percent: levels.stale(round(idle), round(on_shelf), percent)


# --- Transit and silence, by the movements ------------------------------------------------------------------------------

# Journeys of a year that took longer than some days, or still last: from, to, when they began, and when they ended.
LONG_JOURNEYS = f"""
SELECT m.place_id, m.to_place_id, m.occurred_at, n.occurred_at FROM movements m LEFT JOIN LATERAL (
    SELECT occurred_at FROM movements n WHERE n.copy_id = m.copy_id
    AND (n.occurred_at, n.sequence, n.source, n.event_id) > (m.occurred_at, m.sequence, m.source, m.event_id)
    ORDER BY n.occurred_at, n.sequence, n.source, n.event_id LIMIT 1) n ON true
WHERE m.state = '{CopyState.IN_TRANSIT}' AND m.to_place_id IS NOT NULL AND m.occurred_at > :year
AND coalesce(n.occurred_at, :now) >= :since"""
LANES = "SELECT from_place_id, to_place_id, nine_in_ten_s FROM lanes WHERE journeys >= :enough"


def _overdue(past: Past) -> Spans:
    """Judge each place by the copies that were on their way to it."""
    own_days = {
        (here, there): max(levels.OVERDUE_LEAST_DAYS, ceil(levels.OVERDUE_TIMES * seconds / 86_400))
        for here, there, seconds in past.rows(LANES, enough=levels.LANE_LEAST_JOURNEYS)
    }
    year = past.now - timedelta(days=YEAR_DAYS)
    journeys = past.rows(LONG_JOURNEYS, year=year, now=past.now, since=past.since)
    return partial(_of_journeys, past, own_days, [row for row in journeys if past.place(row[1])])


def _of_journeys(
    past: Past, own_days: Mapping[tuple[str, str], int], journeys: list[Any], thresholds: AlertThresholds
) -> Iterator[AlertSpan]:
    spans: dict[str, list[AlertSpan]] = defaultdict(list)
    today = past.network.day_of(past.now)
    for here, there, sent, ended in journeys:
        chosen = thresholds.chosen(past.key.kind, past.network.place[there].tier)
        allowed = own_days.get((here, there), thresholds.usual.overdue_days) if chosen is None else chosen
        begin, end = past.network.day_of(sent) + timedelta(days=allowed + 1), ended and past.network.day_of(ended)
        if begin <= (end or today):
            spans[there].append(AlertSpan(begin, end))
    for of_place in spans.values():
        yield from _merged(sorted(of_place, key=lambda span: span.begin))


def _merged(spans: Iterable[AlertSpan]) -> Iterator[AlertSpan]:
    """Unite spans that meet: a place has one alert for all its copies."""
    last: AlertSpan | None = None
    for span in spans:
        if last and (last.end is None or span.begin <= last.end):
            last = last._replace(end=None if last.end is None or span.end is None else max(last.end, span.end))
        else:
            if last:
                yield last
            last = span
    if last:
        yield last


# By place and hour in which anything moved there: the first and last movement.
HOURS_HEARD = """
SELECT place_id, min(occurred_at), max(occurred_at) FROM movements WHERE occurred_at > :since AND occurred_at <= :now
GROUP BY place_id, date_trunc('hour', occurred_at) ORDER BY 1, 2"""


def _silent(past: Past) -> Spans:
    """Judge each place by the gaps between its movements."""
    gaps: list[tuple[Place, datetime, datetime | None]] = []
    last: tuple[str, datetime] | None = None
    since = past.since - timedelta(days=levels.LOOK_BACK_DAYS)
    heard = past.rows(HOURS_HEARD, since=since, now=past.now)
    for (place_id, first, newest), following in zip(heard, [*heard[1:], None], strict=True):
        place = past.place(place_id)
        if place and place.hours:
            if last and last[0] == place_id:
                gaps.append((place, last[1], first))
            if following is None or following[0] != place_id:
                gaps.append((place, newest, None))
        last = place_id, newest
    with driver(past.connection).cursor() as cursor:
        loans = silence.loans_a_year(cursor)
    return partial(_of_gaps, past, gaps, loans)


def _of_gaps(
    past: Past,
    gaps: list[tuple[Place, datetime, datetime | None]],
    loans: Mapping[str, float],
    thresholds: AlertThresholds,
) -> Iterator[AlertSpan]:
    for place, since, until in gaps:
        allowed, end = float(thresholds.of(past.key.kind, place.tier)), until or past.now
        if end - since > timedelta(hours=allowed) and thresholds.chosen(past.key.kind, place.tier) is None:
            allowed = max(allowed, silence.quiet_hours(past.network, place, loans, since))
        if end - since > timedelta(hours=allowed) and levels.open_hours(past.network, [place], since, end) > allowed:
            yield AlertSpan(
                _silent_from(past.network, place, since, end, allowed), until and past.network.day_of(until)
            )


def _silent_from(network: Network, place: Place, since: datetime, until: datetime, allowed: float) -> date:
    """Return the day on which the open hours since then exceed the allowed."""
    day = network.day_of(since)
    while day < network.day_of(until):
        midnight = network.instant(day + timedelta(days=1), 0)
        if levels.open_hours(network, [place], since, midnight) > allowed:
            break
        day += timedelta(days=1)
    return day


SPANS: Mapping[AlertKind, Callable[[Past], Spans]] = {
    AlertKind.SHORTAGE: lambda past: _shelves(past, KEPT_LEVELS, _short),
    AlertKind.SURPLUS: lambda past: _shelves(past, KEPT_LEVELS, _over),
    AlertKind.STALE: lambda past: _shelves(past, KEPT_STALE, _stale),
    AlertKind.OVERDUE: _overdue,
    AlertKind.SILENT: _silent,
}
