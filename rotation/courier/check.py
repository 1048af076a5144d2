"""Whether a schedule keeps the promises of its itineraries: each copy that could be carried is, when and where it may be.

Judged from the runs as people see them, not from the problems that they were solved from. Each rule is a function and a
sentence; a schedule that breaks none is complete.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from rotation.courier.calendar import Calendar
from rotation.courier.crates import Crate, crate_of, in_runs
from rotation.courier.legs import Itinerary
from rotation.courier.omissions import Omission
from rotation.courier.runs import HubDay, PlannedRun, PlannedStop
from rotation.facts.lifecycle import LegKind


@dataclass(frozen=True)
class ScheduledDays:
    """Some consecutive days as planned."""

    calendar: Calendar
    first_day: date
    last_day: date
    itineraries: Sequence[Itinerary]
    crates: Sequence[Crate]
    hub_days: Sequence[HubDay]
    omissions: Sequence[Omission] = ()

    @property
    def stops(self) -> Iterator[tuple[HubDay, PlannedRun, PlannedStop]]:
        """Every stop, with its run and hub."""
        for hub_day in self.hub_days:
            for run in hub_day.runs:
                for stop in run.stops:
                    yield hub_day, run, stop

    @cached_property
    def collected(self) -> dict[str, tuple[HubDay, PlannedRun, PlannedStop]]:
        """The stop at which each crate is taken."""
        return {crate: where for where in self.stops for crate in where[2].collect}

    @cached_property
    def delivered(self) -> dict[str, tuple[HubDay, PlannedRun, PlannedStop]]:
        """The stop at which each crate is handed over."""
        return {crate: where for where in self.stops for crate in where[2].deliver}


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """A broken promise: the rule's name, its subject, and how many copies are left behind."""

    rule: str
    subject: str
    day: date
    copies: int = 0


Rule = Callable[[ScheduledDays], Iterator[BrokenPromise]]


def every_crate_is_on_a_run(schedule: ScheduledDays) -> Iterator[BrokenPromise]:
    """Every crate of these days is taken and handed over by a run: no copy that can be served is left out."""
    for crate in schedule.crates:
        if not in_runs(crate) or not schedule.first_day <= crate.day <= schedule.last_day:
            continue
        taken = crate.kind is LegKind.DELIVER or crate.id in schedule.collected
        handed_over = crate.kind is LegKind.COLLECT or crate.id in schedule.delivered
        if not (taken and handed_over):
            yield BrokenPromise("left_out", crate.id, crate.day, len(crate.transfers))


def every_leg_has_its_crate(schedule: ScheduledDays) -> Iterator[BrokenPromise]:
    """Every leg on the road of these days has a crate that goes the same way on the same day."""
    crate_on = crate_of(schedule.crates)
    for itinerary in schedule.itineraries:
        for leg in itinerary.legs:
            crate = crate_on.get((itinerary.transfer.transfer_id, leg.kind, leg.day))
            if leg.kind is LegKind.SORT or leg.day > schedule.last_day:
                continue
            if crate is None or (crate.from_place, crate.to_place) != (leg.from_place, leg.to_place):
                yield BrokenPromise("no_crate", itinerary.transfer.transfer_id, leg.day, 1)


def someone_receives(schedule: ScheduledDays) -> Iterator[BrokenPromise]:
    """Every stop begins, and ends unless the window is shorter than the service, while the place receives."""
    for hub_day, run, stop in schedule.stops:
        spans = schedule.calendar.network.place[stop.place].receiving_spans(hub_day.day)
        begin_s, end_s = (_second(schedule, hub_day.day, at) for at in (stop.begins_at, stop.departs_at))
        length_s = end_s - begin_s
        if not any(a <= begin_s and (end_s <= b or (begin_s == a and length_s > b - a)) for a, b in spans):
            yield BrokenPromise("outside_window", f"{run.id} {stop.place}", hub_day.day)


def what_is_collected_makes_the_cutoff(schedule: ScheduledDays) -> Iterator[BrokenPromise]:
    """A run is back before the hub sorts, if it carries copies that their itinerary has sorted that day."""
    sorted_on = {
        (itinerary.transfer.transfer_id, leg.day)
        for itinerary in schedule.itineraries
        for leg in itinerary.legs
        if leg.kind is LegKind.SORT
    }
    transfers = {crate.id: crate.transfers for crate in schedule.crates if crate.kind is LegKind.COLLECT}
    for crate, (hub_day, run, _) in schedule.collected.items():
        hub = schedule.calendar.network.place[hub_day.hub].hub
        in_time = hub is not None and _second(schedule, hub_day.day, run.returns_at) <= hub.cutoff_s
        late = [one for one in transfers.get(crate, ()) if (one, hub_day.day) in sorted_on]
        if late and not in_time:
            yield BrokenPromise("after_cutoff", crate, hub_day.day, len(late))


def no_van_is_overloaded(schedule: ScheduledDays) -> Iterator[BrokenPromise]:
    """At no stop does a van carry more crates than it has room for."""
    room = {van.id: van.crates for van in schedule.calendar.network.vans}
    for hub_day, run, stop in schedule.stops:
        if stop.load_after_crates > room[run.van]:
            yield BrokenPromise("overloaded", f"{run.id} {stop.place}", hub_day.day)


RULES: tuple[Rule, ...] = (
    every_crate_is_on_a_run,
    every_leg_has_its_crate,
    someone_receives,
    what_is_collected_makes_the_cutoff,
    no_van_is_overloaded,
)


def faults(schedule: ScheduledDays) -> list[BrokenPromise]:
    """Return all that is wrong with a schedule, in the order of RULES."""
    return [fault for rule in RULES for fault in rule(schedule)]


def _second(schedule: ScheduledDays, day: date, at: datetime) -> int:
    """Return the second of a day's wall clock that an instant is."""
    local = at.astimezone(schedule.calendar.network.timezone)
    return (local.date() - day).days * 86_400 + local.hour * 3600 + local.minute * 60 + local.second
