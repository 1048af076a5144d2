"""When a van under way will be at its next stops, from its scans and the clock (pure)."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from rotation.facts.lifecycle import StopState

# Drivers' timetables allow this much for traffic; a longer delay is worth a call to the place.
LATE_AFTER = timedelta(minutes=15)


class StopTimes(Protocol):
    """A stop as it is planned (instants) and as it goes."""

    @property
    def arrives_at(self) -> datetime: ...
    @property
    def begins_at(self) -> datetime: ...
    @property
    def status(self) -> str: ...
    @property
    def done_at(self) -> datetime | None: ...


class Arrival(NamedTuple):
    """When service at a stop began or is expected to begin, and whether that is late; None: the van passed it by."""

    at: datetime | None
    late: bool


def arrivals(stops: Sequence[StopTimes], now: datetime) -> Iterator[Arrival]:
    """Yield the arrival at each stop of a run, in order; `now` is the network's time.

    A delay seen at a stop is carried to the next, less the wait that was planned there. Nobody arrives before now.
    """
    delay = timedelta(0)
    for stop in stops:
        if stop.status == StopState.MISSED:
            yield Arrival(None, late=False)
            continue
        begins_at = stop.done_at or max(stop.begins_at, stop.arrives_at + delay, now)
        delay = max(begins_at - stop.begins_at, timedelta(0))
        yield Arrival(begins_at, late=delay > LATE_AFTER)
