"""From where a copy is now to where it should be, as dated legs: collect, sort, trunk, sort, deliver.

The idea: a place is visited on the first day that a van of its hub can meet its receiving window, a hub sorts once a
day at its cut-off, and trunks run each night; so the legs follow from a walk along the calendar, and a day that had
to be skipped is the reason for the delay.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from rotation.courier.calendar import Calendar
from rotation.facts.lifecycle import LegKind, TransferKind

LOOK_AHEAD_DAYS = 28  # what cannot be visited within four weeks is closed for good, as far as a plan is concerned


class Where(StrEnum):
    """The kind of place where a copy stands now; only crate scans distinguish these."""

    PLACE = "place"  # waiting at a desk
    VAN = "van"  # collected, on its way to a hub's sorting
    HUB = "hub"  # set down at a hub, for the next sorting
    SORTED = "sorted"  # in a crate for its destination, or come by trunk, at the hub that delivers it


class LegReasonCode(StrEnum):
    """Why a copy has no legs, or later ones: a closed list, each with its sentence in both languages."""

    CLOSED = "closed"  # numbers: place, from day, next possible day
    NOT_ANNOUNCED = "not_announced"  # numbers: place by appointment, from day
    AFTER_CUTOFF = "after_cutoff"  # numbers: place, day of collection, day of the next sorting
    NO_COORDINATES = "no_coordinates"
    NO_HUB = "no_hub"
    UNKNOWN_PLACE = "unknown_place"
    ALREADY_THERE = "already_there"


@dataclass(frozen=True, slots=True)
class OpenTransfer:
    """A copy on its way or waiting to go. `at` is a place or a hub, as `where` says; `since`: its last scan."""

    transfer_id: str
    copy_id: str
    to_place: str
    where: Where
    at: str
    since: datetime | None = None
    kind: str = TransferKind.SHIPMENT
    crate: str | None = None  # its crate: where it is sorted, closed for its next way; at a place, the desk's
    filling: bool = False  # whether that crate is still open, so that more may come into it


@dataclass(frozen=True, slots=True)
class Leg:
    """A step on a day; a trunk departs in the evening of its day, and the sorting after it is on the next."""

    kind: LegKind
    from_place: str
    to_place: str
    day: date


@dataclass(frozen=True, slots=True)
class LegReason:
    """Why a copy waits or cannot go: the place that decides, the day it was wanted there, and the next possible day."""

    code: LegReasonCode
    place: str
    wanted: date | None = None
    next_day: date | None = None


@dataclass(frozen=True, slots=True)
class Itinerary:
    """A transfer's legs with their delays or, without legs, the reason that there are none."""

    transfer: OpenTransfer
    legs: tuple[Leg, ...]
    reasons: tuple[LegReason, ...] = ()

    @property
    def arrives(self) -> date | None:
        """The day of its last leg."""
        return self.legs[-1].day if self.legs else None

    def within(self, last_day: date) -> bool:
        """Whether it is delivered by then."""
        return bool(self.legs) and self.legs[-1].day <= last_day


@dataclass(frozen=True, slots=True)
class Now:
    """The time that can still be planned: runs from `first_day` on; `at` decides whether a sorting or trunk is past."""

    first_day: date
    at: datetime


class _Blocked(Exception):
    """A walk that cannot go on, with its reason."""

    def __init__(self, reason: LegReason) -> None:
        super().__init__(reason.code)
        self.reason = reason


def itineraries(transfers: Iterable[OpenTransfer], calendar: Calendar, now: Now) -> Iterator[Itinerary]:
    """Yield each transfer's itinerary, in the order given."""
    for transfer in transfers:
        yield itinerary(transfer, calendar, now)


def itinerary(transfer: OpenTransfer, calendar: Calendar, now: Now) -> Itinerary:
    """Return the earliest legs that take a copy from where it is to where it goes."""
    walk = _Walk(calendar, now)
    try:
        walk.go(transfer)
        if not walk.legs:
            raise _Blocked(LegReason(LegReasonCode.ALREADY_THERE, transfer.at))
    except _Blocked as blocked:
        return Itinerary(transfer, (), (blocked.reason,))
    return Itinerary(transfer, tuple(walk.legs), tuple(walk.delays))


class _Walk:
    """A copy's way along the calendar: each step appends its leg and says from which day the next can be."""

    def __init__(self, calendar: Calendar, now: Now) -> None:
        self.calendar, self.now = calendar, now
        self.legs: list[Leg] = []
        self.delays: list[LegReason] = []

    def go(self, transfer: OpenTransfer) -> None:
        """Walk from where the copy is."""
        to_hub = self._hub(transfer.to_place)
        hub = self._hub(transfer.at)
        if transfer.where is Where.PLACE and transfer.at == transfer.to_place:
            return None
        if transfer.where is Where.SORTED and hub == to_hub:
            return self._hand_over(to_hub, transfer.to_place, self.now.first_day)
        day = self._sorted_on(transfer, hub)
        if hub != to_hub:
            day = self._trunk(hub, to_hub, day)
        return self._hand_over(to_hub, transfer.to_place, day + timedelta(days=1) if hub == to_hub else day)

    def _hub(self, place: str) -> str:
        """Return the hub of a place that a van can be sent to."""
        if place not in self.calendar.network.place:
            raise _Blocked(LegReason(LegReasonCode.UNKNOWN_PLACE, place))
        if not self.calendar.network.place[place].located:
            raise _Blocked(LegReason(LegReasonCode.NO_COORDINATES, place))
        hub = self.calendar.network.hub_of(place)
        if hub is None:
            raise _Blocked(LegReason(LegReasonCode.NO_HUB, place))
        return hub

    def _sorted_on(self, transfer: OpenTransfer, hub: str) -> date:
        """Bring the copy to the sorting of `hub`, and return its day."""
        if transfer.where is Where.PLACE and transfer.at != hub:
            day = self._visit(LegKind.COLLECT, transfer.at, hub, transfer.at, self.now.first_day)
            day = self._sorting_after(transfer.at, day)
        elif transfer.where is Where.SORTED:
            return self.calendar.next_trunk(hub, self.now.at)
        else:
            day = self.calendar.next_sorting(hub, transfer.since or self.now.at)
            day = max(day, self.now.first_day) if transfer.where is Where.PLACE else day
        self.legs.append(Leg(LegKind.SORT, hub, hub, day))
        return day

    def _sorting_after(self, place: str, day: date) -> date:
        """Return the day on which copies collected at a place are sorted."""
        if self.calendar.makes_cutoff(place, day):
            return day
        self.delays.append(LegReason(LegReasonCode.AFTER_CUTOFF, place, day, day + timedelta(days=1)))
        return day + timedelta(days=1)

    def _trunk(self, hub: str, to_hub: str, sorted_on: date) -> date:
        """Carry overnight; return the morning of its sorting at the other hub."""
        night = max(sorted_on, self.calendar.next_trunk(hub, self.now.at))
        morning = night + timedelta(days=1)
        self.legs += [Leg(LegKind.TRUNK, hub, to_hub, night), Leg(LegKind.SORT, to_hub, to_hub, morning)]
        return morning

    def _hand_over(self, hub: str, place: str, earliest: date) -> None:
        """Deliver on the first possible day; copies for the hub itself have arrived with its sorting."""
        if place != hub:
            self._visit(LegKind.DELIVER, hub, place, place, max(earliest, self.now.first_day))

    def _visit(self, kind: LegKind, from_place: str, to_place: str, place: str, wanted: date) -> date:
        day = self.calendar.next_visit(place, wanted, LOOK_AHEAD_DAYS)
        if day is None:
            by_appointment = self.calendar.network.place[place].by_appointment
            raise _Blocked(
                LegReason(LegReasonCode.NOT_ANNOUNCED if by_appointment else LegReasonCode.CLOSED, place, wanted)
            )
        if day != wanted:
            self.delays.append(LegReason(LegReasonCode.CLOSED, place, wanted, day))
        self.legs.append(Leg(kind, from_place, to_place, day))
        return day
