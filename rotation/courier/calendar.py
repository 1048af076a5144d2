"""When a van can call at a place, and when a hub sorts and sends, by the network's hours.

A call is possible where the receiving window, the shift of some van of the hub, and the drive there and back overlap.
Pure; asked thousands of times a plan, so each place and day is worked out once.
"""

from collections.abc import Iterable, Set
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np

from rotation.network import Network, Place, Span, Van
from solver.problem import Roads, Travel
from solver.travel import straight_lines

SERVICE_S = 300  # to park, find someone and be signed for; with crates near the 10 min a stop of a courier study
SERVICE_PER_CRATE_S = 45  # a trolley of four takes three minutes to the door and back
LOADING_S = 600  # at the hub before a trip: about the crates of a third of a van, staged at the gate
UNLOADING_S = 300  # after it: only what was collected

_ROADS = Roads()

Visits = Set[tuple[str, date]]  # places and days


class ServiceHours(NamedTuple):
    """When service at a place may begin on a day: spans in seconds after local midnight, both ends included."""

    spans: tuple[Span, ...]

    @property
    def earliest_s(self) -> int:
        """The first possible beginning."""
        return self.spans[0].begin_s


class Calendar:
    """The days of a network; with `announced`, places by appointment are visited on those days only.

    Driving times are those of `travel`, the matrix of all located places, or else of straight lines stretched to roads.
    """

    def __init__(self, network: Network, announced: Visits | None = None, travel: Travel | None = None) -> None:
        self.network, self.announced, self.travel = network, announced, travel
        self._row = {place: row for row, place in enumerate(travel.places)} if travel else {}
        self.vans = {hub.id: [van for van in network.vans if van.hub == hub.id] for hub in network.hubs}
        self.call = cache(self._call)
        self.hub = cache(network.hub_of)

    def _call(self, place_id: str, day: date) -> ServiceHours | None:
        """Return when a van of the hub can begin service at a place on a day; None: not on that day."""
        place, hub_id = self.network.place[place_id], self.hub(place_id)
        if hub_id is None or not place.located or not self.network.place[hub_id].located:
            return None
        if not self._may_call(place, day):
            return None
        away_s = self.drive_s(hub_id, place_id)
        spans = tuple(
            span
            for window in place.receiving_spans(day)
            if (span := _within_a_shift(window, self.vans[hub_id], away_s)) is not None
        )
        return ServiceHours(spans) if spans else None

    def _may_call(self, place: Place, day: date) -> bool:
        return not place.by_appointment or self.announced is None or (place.id, day) in self.announced

    def next_visit(self, place_id: str, wanted: date, days: int) -> date | None:
        """Return the first day from `wanted` on, within `days`, on which a van can call."""
        ahead = (wanted + timedelta(days=n) for n in range(days))
        return next((day for day in ahead if self.call(place_id, day)), None)

    def makes_cutoff(self, place_id: str, day: date) -> bool:
        """Whether copies collected there that day can be at the hub before its cut-off."""
        call, hub_id = self.call(place_id, day), self.hub(place_id)
        if call is None or hub_id is None:
            return False
        hub = self.network.place[hub_id]
        back_s = call.earliest_s + SERVICE_S + self.drive_s(place_id, hub_id) + UNLOADING_S
        return hub.hub is not None and back_s <= hub.hub.cutoff_s

    def next_sorting(self, hub_id: str, since: datetime) -> date:
        """Return the day of a hub's first sorting of copies that stand there `since` then."""
        hub = self.network.place[hub_id].hub
        return self._day_of_next(since, hub.cutoff_s if hub else 0)

    def next_trunk(self, hub_id: str, now: datetime) -> date:
        """Return the day in whose evening the next trunk leaves a hub."""
        hub = self.network.place[hub_id].hub
        return self._day_of_next(now, hub.trunk_departs_s if hub else 0)

    def drive_s(self, a: str, b: str) -> int:
        """Return the driving time between two located places, as the solver reckons."""
        if self.travel:
            return int(self.travel.seconds[self._row[a], self._row[b]])
        _, seconds = straight_lines([_point(self.network.place[a]), _point(self.network.place[b])], _ROADS)
        return int(seconds[0, 1])

    def travel_between(self, places: Iterable[str]) -> Travel | None:
        """Return the matrix of some places; None where it is straight lines, which the solver reckons for itself."""
        if self.travel is None:
            return None
        names = list(dict.fromkeys(places))
        rows = np.ix_(*[[self._row[name] for name in names]] * 2)
        return Travel(places=names, metres=self.travel.metres[rows], seconds=self.travel.seconds[rows])

    def _day_of_next(self, instant: datetime, second_of_day: int) -> date:
        local = instant.astimezone(self.network.timezone)
        missed = instant > self.network.instant(local.date(), second_of_day)
        return local.date() + timedelta(days=missed)


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
