"""Copies that wait and are not carried on a day: for each day and hub, the place that decides, the copies, and the next day.

The idea: an itinerary keeps the reason for each delay with the day that was wanted and the next possible day; on every day
between the two it is not served, and on the day itself the page says so.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from rotation.courier.calendar import Calendar
from rotation.courier.legs import Itinerary, LegReason, LegReasonCode


@dataclass(frozen=True, slots=True)
class Omission:
    """Copies that wait at or for a place on a day; `next_day` None: no day is known on which they can go."""

    day: date
    hub: str
    code: LegReasonCode
    place: str
    copies: int
    next_day: date | None


class _Waits(NamedTuple):
    """The key by which waiting copies are counted."""

    day: date
    hub: str
    reason: LegReason


def omissions(itineraries: Iterable[Itinerary], calendar: Calendar, days: Sequence[date]) -> tuple[Omission, ...]:
    """Return the copies that wait on each of `days`, in order of day, hub and place.

    A copy whose way has no hub at all is listed at the network's first hub, so that every copy is in someone's list.
    """
    waits = Counter(one for itinerary in itineraries for one in _waits(itinerary, calendar, days))
    found = Counter[tuple[date, str, str, LegReasonCode, date | None]]()
    for one, copies in waits.items():
        found[one.day, one.hub, one.reason.place, one.reason.code, one.reason.next_day] += copies
    rows = [Omission(day, hub, code, place, copies, then) for (day, hub, place, code, then), copies in found.items()]
    return tuple(sorted(rows, key=lambda row: (row.day, row.hub, row.place, row.code, row.next_day or date.max)))


def _waits(itinerary: Itinerary, calendar: Calendar, days: Sequence[date]) -> Iterator[_Waits]:
    for reason in itinerary.reasons:
        if reason.code is not LegReasonCode.ALREADY_THERE:
            hub = _hub(itinerary, reason, calendar)
            yield from (_Waits(day, hub, reason) for day in days if _is_kept(reason, day))


def _is_kept(reason: LegReason, day: date) -> bool:
    return (reason.wanted or day) <= day and (reason.next_day is None or day < reason.next_day)


def _hub(itinerary: Itinerary, reason: LegReason, calendar: Calendar) -> str:
    """Return the hub whose people will ask: of the place that decides, else of an end of the way."""
    known = (reason.place, itinerary.transfer.at, itinerary.transfer.to_place)
    hubs = (calendar.hub(place) for place in known if place in calendar.network.place)
    return next((hub for hub in hubs if hub), calendar.network.hubs[0].id)
