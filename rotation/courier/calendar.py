"""When a van can call at a place, and when a hub sorts and sends: what the network's hours leave of a day.

A call is possible where the receiving window, the shift of some van of the hub, and the drive there and back overlap.
Pure; asked thousands of times a plan, so each place and day is worked out once.
"""

from collections.abc import Set
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from rotation.network import Network, Place, Span, Van
from solver.problem import Roads
from solver.travel import straight_lines

SERVICE_S = 300  # to park, find someone and be signed for; with crates near the 10 min a stop of a courier study
SERVICE_PER_CRATE_S = 45  # a trolley of four takes three minutes to the door and back
LOADING_S = 600  # at the hub before a trip: about the crates of a third of a van, staged at the gate
UNLOADING_S = 300  # after it: only what was collected

_ROADS = Roads()

Visits = Set[tuple[str, date]]  # places and days


class Call(NamedTuple):
    """When service at a place may begin on a day: spans in seconds after local midnight, both ends included."""

    spans: tuple[Span, ...]

    @property
    def earliest_s(self) -> int:
        """The first possible beginning."""
        return self.spans[0].begin_s


class Calendar:
    """The days of a network; with `announced`, places by appointment are visited on those days only."""

    def __init__(self, network: Network, announced: Visits | None = None) -> None:
        self.network, self.announced = network, announced
        self.vans = {hub.id: [van for van in network.vans if van.hub == hub.id] for hub in network.hubs}
        self.call = cache(self._call)
        self.hub = cache(network.hub_of)

    def _call(self, place_id: str, day: date) -> Call | None:
        """Return when a van of the hub can begin service at a place on a day; None: not on that day."""
        place, hub_id = self.network.place[place_id], self.hub(place_id)
        if hub_id is None or not place.located or not self._may_call(place, day):
            return None
        away_s = drive_s(self.network.place[hub_id], place)
        spans = tuple(
            span
            for window in place.receiving_spans(day)
            if (span := _within_a_shift(window, self.vans[hub_id], away_s)) is not None
        )
        return Call(spans) if spans else None

    def _may_call(self, place: Place, day: date) -> bool:
        return not place.by_appointment or self.announced is None or (place.id, day) in self.announced

    def next_visit(self, place_id: str, wanted: date, days: int) -> date | None:
        """Return the first day from `wanted` on, within `days`, on which a van can call."""
        ahead = (wanted + timedelta(days=n) for n in range(days))
        return next((day for day in ahead if self.call(place_id, day)), None)

    def makes_cutoff(self, place_id: str, day: date) -> bool:
        """Whether what is collected there that day can be at the hub before its cut-off."""
        call, hub_id = self.call(place_id, day), self.hub(place_id)
        if call is None or hub_id is None:
            return False
        hub = self.network.place[hub_id]
        back_s = call.earliest_s + SERVICE_S + drive_s(self.network.place[place_id], hub) + UNLOADING_S
        return hub.hub is not None and back_s <= hub.hub.cutoff_s

    def next_sorting(self, hub_id: str, since: datetime) -> date:
        """Return the day of the first sorting at a hub that takes what stands there `since` then."""
        hub = self.network.place[hub_id].hub
        return self._day_of_next(since, hub.cutoff_s if hub else 0)

    def next_trunk(self, hub_id: str, now: datetime) -> date:
        """Return the day in whose evening the next trunk leaves a hub."""
        hub = self.network.place[hub_id].hub
        return self._day_of_next(now, hub.trunk_departs_s if hub else 0)

    def _day_of_next(self, instant: datetime, second_of_day: int) -> date:
        local = instant.astimezone(self.network.timezone)
        missed = instant > self.network.instant(local.date(), second_of_day)
        return local.date() + timedelta(days=missed)


def drive_s(a: Place, b: Place) -> int:
    """Return the driving time between two located places, as the solver reckons where no road network is at hand."""
    _, seconds = straight_lines([_point(a), _point(b)], _ROADS)
    return int(seconds[0, 1])


def _point(place: Place) -> tuple[float, float]:
    if place.lat is None or place.lon is None:
        raise ValueError(f"{place.id} has no coordinates")
    return place.lat, place.lon


def _within_a_shift(window: Span, vans: list[Van], away_s: int) -> Span | None:
    """Return the beginnings of service in a receiving window that some van can reach, and be back from in its shift."""
    begins = [max(window.begin_s, van.shift.begin_s + LOADING_S + away_s) for van in vans]
    ends = [min(window.end_s, van.shift.end_s - UNLOADING_S - away_s) - SERVICE_S for van in vans]
    possible = [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin <= end]
    if not possible:
        return None
    return Span(min(begin for begin, _ in possible), max(end for _, end in possible))
