"""When a figure is an alert, when it no longer is, and when it is neither: pure rules with their thresholds.

A band lies between the threshold that opens an alert and the threshold that closes it. Inside the band nothing changes, so that a
level that swings about its limit is a single alert and not a new alert at every event.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from math import ceil, floor, inf
from statistics import median

from rotation.network import Network, Place

BAND_SHARE = (
    0.1  # of the span between low and high that a level must come back by; a day's swing of a branch is about that
)
BAND_LEAST_COPIES = 2  # in small rooms one reader carries more than a tenth
STALE_AFTER_DAYS = 180  # half a year on the shelf without a loan: the usual bound for moving stock on
STALE_PERCENT = 50  # of a shelf; collections with half their books unmoved lose readers
STALE_OVER = 0.8  # of the share that opens it
STALE_LEAST_COPIES = 50  # below it a share says nothing
UNFAIR_SHARE, UNFAIR_OVER_SHARE = 0.5, 0.6  # of the median copies per head in the same tier
UNFAIR_LEAST_PLACES = 4  # a median of fewer says nothing
# Of a place's picks over four weeks: one in twenty is usual (the night's own prior), one in five says that the records are wrong.
FINDS_DAYS = 28
NOT_FOUND_SHARE, NOT_FOUND_OVER_SHARE = 0.2, 0.1
# Below it a share says nothing: two of seven is bad luck.
NOT_FOUND_LEAST_PICKS = 10
# Twice the time of nine in ten journeys: their visit was missed, and the next one too. A week at least: a visit a week is usual.
OVERDUE_TIMES, OVERDUE_LEAST_DAYS = 2, 7
LANE_LEAST_JOURNEYS = 20  # with fewer, one late copy would be the lane's time
# What a place lost in four weeks, of its copies: with a seventh gone, readers see the gaps.
DRAINED_DAYS = 28
DRAINED_SHARE, DRAINED_OVER_SHARE = 0.15, 0.10
DRAINED_LEAST_COPIES = 50  # below it a share says nothing
LOST_DAYS = 14  # a copy that was given up is news for so long
# Two weeks after a handover nobody remembers what stood there; its crates are late by then.
WRITE_BACK_S = 900  # a library system restarts in minutes; after a quarter of an hour somebody must look
COUNTS_DAYS = 14
# Shares of a machine's slots that hold a copy: a reader finds little on a quarter; filled again, more than half do.
NEARLY_EMPTY_SHARE, FILLED_SHARE = 0.25, 0.5
# Of its return bin: at 80 % a busy day's returns still fit until the van comes; emptied, it holds next to nothing.
BIN_FULL_SHARE, BIN_EMPTIED_SHARE = 0.8, 0.5
# With so many events expected in a silence, one in 1,100 silences of a working place is as long: under one a month anywhere.
QUIET_EVENTS = 7
LOOK_BACK_DAYS = 60  # open hours are counted no further back; by then a place is silent for certain


class AlertVerdict(Enum):
    """The effect of a figure on an alert."""

    OPEN = "open"
    KEEP = "keep"  # in the band: nothing changes
    CLOSE = "close"


def shortage(level: int, coming: int, low: int, high: int, percent: int = 100) -> AlertVerdict:
    """Judge the copies on a shelf, with those on their way to it, against so many percent of the least wanted there."""
    expected, low = level + coming, ceil(low * percent / 100)
    if expected < low:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if expected < low + _band(low, high) else AlertVerdict.CLOSE


def surplus(level: int, low: int, high: int, percent: int = 100) -> AlertVerdict:
    """Judge the copies on a shelf against so many percent of the most wanted there."""
    high = floor(high * percent / 100)
    if level > high:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if level > high - _band(low, high) else AlertVerdict.CLOSE


def stale(idle: int, on_shelf: int, percent: int = STALE_PERCENT) -> AlertVerdict:
    """Judge whether nobody has borrowed more than so many percent of a shelf's copies for STALE_AFTER_DAYS."""
    if on_shelf < STALE_LEAST_COPIES:
        return AlertVerdict.CLOSE
    return _share(idle / on_shelf, percent / 100, percent / 100 * STALE_OVER)


def unfair(copies_per_head: float, peers: Sequence[float]) -> AlertVerdict:
    """Judge a place's copies on the shelf per resident against the median of its tier."""
    if len(peers) < UNFAIR_LEAST_PLACES or not (middle := median(peers)):
        return AlertVerdict.CLOSE
    share = copies_per_head / middle
    if share < UNFAIR_SHARE:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if share < UNFAIR_OVER_SHARE else AlertVerdict.CLOSE


def overdue(count: int) -> AlertVerdict:
    """Any copy in transit for too long is an alert of its destination; it closes with the last of them."""
    return AlertVerdict.OPEN if count else AlertVerdict.CLOSE


def not_found(copies: int, picks: int) -> AlertVerdict:
    """Judge how many of the copies that a place was asked for it did not find."""
    if picks < NOT_FOUND_LEAST_PICKS:
        return AlertVerdict.CLOSE
    return _share(copies / picks, NOT_FOUND_SHARE, NOT_FOUND_OVER_SHARE)


def drained(before: int, held: int) -> AlertVerdict:
    """Judge the copies that a place holds against those that it held some weeks ago."""
    if before < DRAINED_LEAST_COPIES:
        return AlertVerdict.CLOSE
    return _share((before - held) / before, DRAINED_SHARE, DRAINED_OVER_SHARE)


def nearly_empty(filled: int, slots: int) -> AlertVerdict:
    """Judge how many of a self-service machine's slots hold a copy."""
    share = filled / slots
    if share < NEARLY_EMPTY_SHARE:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if share < FILLED_SHARE else AlertVerdict.CLOSE


def bin_full(copies: int, holds: int) -> AlertVerdict:
    """Judge the copies in a self-service machine's return bin."""
    if copies >= BIN_FULL_SHARE * holds:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if copies > BIN_EMPTIED_SHARE * holds else AlertVerdict.CLOSE


def out_of_order(fault: str | None) -> AlertVerdict:
    """A machine that names a fault is out of order until it reports without."""
    return AlertVerdict.OPEN if fault else AlertVerdict.CLOSE


def silent(open_hours: float, allowed_hours: float) -> AlertVerdict:
    """Judge the open hours that went by without an event; the next event closes the alert."""
    return AlertVerdict.OPEN if open_hours > allowed_hours else AlertVerdict.CLOSE


def usual_silence(events_a_day: float, hours_a_day: float) -> float:
    """Return after how many open hours silence is no longer chance where so many events come a day; inf for none."""
    return QUIET_EVENTS * hours_a_day / events_a_day if events_a_day else inf


def open_hours(network: Network, places: Sequence[Place], since: datetime, until: datetime) -> float:
    """Return how long any of `places` was open between two instants, counted back LOOK_BACK_DAYS at most.

    Of several places that are open on a day, only the place with the longest hours counts.
    """
    begin = max(since, until - timedelta(days=LOOK_BACK_DAYS)).astimezone(network.timezone)
    end = until.astimezone(network.timezone)
    days = (end.date() - begin.date()).days + 1
    return sum(
        max((_open_on(network, place, begin, end, number) for place in places), default=0.0) for number in range(days)
    )


def _open_on(network: Network, place: Place, begin: datetime, end: datetime, number: int) -> float:
    day = begin.date() + timedelta(days=number)
    spans = [(network.instant(day, span.begin_s), network.instant(day, span.end_s)) for span in place.open_spans(day)]
    return sum(max((min(last, end) - max(first, begin)).total_seconds(), 0.0) for first, last in spans) / 3600


def _band(low: int, high: int) -> int:
    return min(max(round(BAND_SHARE * (high - low)), BAND_LEAST_COPIES), max((high - low) // 2, 0))


def _share(share: float, opens: float, closes: float) -> AlertVerdict:
    if share > opens:
        return AlertVerdict.OPEN
    return AlertVerdict.KEEP if share > closes else AlertVerdict.CLOSE
