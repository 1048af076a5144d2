"""When a figure is an alert, when it no longer is, and when it is neither: pure rules with their thresholds.

Between the threshold that opens an alert and the one that closes it lies a band where what is so stays so, so that a level that
swings about its limit is one alert, not one for every event.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from statistics import median

from rotation.network import Network, Place

BAND_SHARE = (
    0.1  # of the span between low and high that a level must come back by; a day's swing of a branch is about that
)
BAND_LEAST_COPIES = 2  # in small rooms one reader carries more than a tenth
STALE_AFTER_DAYS = 180  # half a year on the shelf without a loan: the usual bound for moving stock on
STALE_SHARE, STALE_OVER_SHARE = 0.5, 0.4  # of a shelf; collections with half their books unmoved lose readers
STALE_LEAST_COPIES = 50  # below it a share says nothing
UNFAIR_SHARE, UNFAIR_OVER_SHARE = 0.5, 0.6  # of the median copies per head in the same tier
UNFAIR_LEAST_PLACES = 4  # a median of fewer says nothing
LOOK_BACK_DAYS = 60  # open hours are counted no further back; by then a place is silent for certain


class Verdict(Enum):
    """What a figure says of an alert."""

    OPEN = "open"
    KEEP = "keep"  # in the band: an open alert stays open, a closed one closed
    CLOSE = "close"


def shortage(level: int, low: int, high: int) -> Verdict:
    """Judge the copies on a shelf against the least that should stand there."""
    if level < low:
        return Verdict.OPEN
    return Verdict.KEEP if level < low + _band(low, high) else Verdict.CLOSE


def surplus(level: int, low: int, high: int) -> Verdict:
    """Judge the copies on a shelf against the most that should stand there."""
    if level > high:
        return Verdict.OPEN
    return Verdict.KEEP if level > high - _band(low, high) else Verdict.CLOSE


def stale(idle: int, on_shelf: int) -> Verdict:
    """Judge how many of a shelf's copies nobody has borrowed for STALE_AFTER_DAYS."""
    if on_shelf < STALE_LEAST_COPIES:
        return Verdict.CLOSE
    return _share(idle / on_shelf, STALE_SHARE, STALE_OVER_SHARE)


def unfair(copies_per_head: float, peers: Sequence[float]) -> Verdict:
    """Judge a place's copies on the shelf per resident against the median of its tier."""
    if len(peers) < UNFAIR_LEAST_PLACES or not (middle := median(peers)):
        return Verdict.CLOSE
    share = copies_per_head / middle
    if share < UNFAIR_SHARE:
        return Verdict.OPEN
    return Verdict.KEEP if share < UNFAIR_OVER_SHARE else Verdict.CLOSE


def overdue(count: int) -> Verdict:
    """Any copy in transit for too long is an alert of its destination; it closes with the last of them."""
    return Verdict.OPEN if count else Verdict.CLOSE


def silent(open_hours: float, allowed_hours: float) -> Verdict:
    """Judge the open hours that went by without an event; the next event closes the alert."""
    return Verdict.OPEN if open_hours > allowed_hours else Verdict.CLOSE


def open_hours(network: Network, places: Sequence[Place], since: datetime, until: datetime) -> float:
    """Return how long at least one of `places` was open between two instants, counted back LOOK_BACK_DAYS at most.

    Several places open on one day count for the one that was open longest.
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


def _share(share: float, opens: float, closes: float) -> Verdict:
    if share > opens:
        return Verdict.OPEN
    return Verdict.KEEP if share > closes else Verdict.CLOSE
