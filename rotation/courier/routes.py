"""Some days ahead for all open transfers: `rotation routes`. Which copies go when, which wait and why, and by which runs.

Nothing is ordered; the report says by figures of its own whether the schedule is complete.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, NamedTuple

from rotation.courier.calendar import Calendar
from rotation.courier.check import ScheduledDays, faults
from rotation.courier.crates import Crate
from rotation.courier.day import SIDE_BY_SIDE, CourierPlan, Solve, plan_days, solve_alone
from rotation.courier.legs import Itinerary, LegReason, LegReasonCode, Now, OpenTransfer
from rotation.courier.runs import HubDay, PlannedRun, PlannedStop
from rotation.facts.lifecycle import LegKind
from rotation.network import Network
from solver.problem import Travel

DIRECT_FILL_COPIES = 20  # of a crate of 25: emptier, the handling saved at the hub does not pay the place's own packing


SEARCH_S = 8.0  # for all hubs and days together: a person waits for it, and 15 s from question to answer are enough


class Trunk(NamedTuple):
    """A night's journey of crates between two hubs."""

    day: date
    from_hub: str
    to_hub: str
    crates: int
    copies: int
    drive_s: int


class Sorting(NamedTuple):
    """The copies that a hub sorts on a day, and how long that takes at its rate."""

    day: date
    hub: str
    copies: int
    hours: float


def schedule(
    network: Network,
    transfers: Iterable[OpenTransfer],
    first_day: date,
    days: int,
    *,
    time_s: float,
    seed: int,
    iterations: int | None = None,
    direct_fill_copies: int | None = DIRECT_FILL_COPIES,
) -> dict[str, Any]:
    """Return the report of a schedule of `days` from `first_day` on, ready for JSON; `time_s` bounds each hub's search.

    `complete` is true where every copy that can be served on these days is, and no rule of `rotation.courier.check` is
    broken; `not_scheduled` counts copies left out for other reasons.
    """
    search = partial(solve_alone, time_s=share_s(network, days, time_s), seed=seed, iterations=iterations)
    return report(planned(network, transfers, first_day, days, search, direct_fill_copies))


def share_s(network: Network, days: int, time_s: float) -> float:
    """Return the time for each hub's search, at most `time_s`, so that all of them end while a person waits."""
    return min(time_s, SEARCH_S * SIDE_BY_SIDE / max(1, len(network.hubs) * days))


def planned(
    network: Network,
    transfers: Iterable[OpenTransfer],
    first_day: date,
    days: int,
    solve: Solve,
    direct_fill_copies: int | None,
    travel: Travel | None = None,
) -> ScheduledDays:
    """Return the schedule itself; `travel` is the matrix of all located places, None: straight lines."""
    calendar, last_day = Calendar(network, travel=travel), first_day + timedelta(days=days - 1)
    now = Now(first_day, network.instant(first_day, 0))
    plan = plan_days(calendar, _days(first_day, last_day), transfers, now, solve, direct_fill_copies)
    return ScheduledDays(calendar, first_day, last_day, plan.itineraries, plan.crates, plan.hubs, plan.omissions)


def as_plan(schedule: ScheduledDays) -> CourierPlan:
    """Return a schedule as `rotation.courier.store` writes it."""
    days = _days(schedule.first_day, schedule.last_day)
    found, made, hubs = tuple(schedule.itineraries), tuple(schedule.crates), tuple(schedule.hub_days)
    return CourierPlan(tuple(days), found, made, hubs, tuple(schedule.omissions))


def _days(first_day: date, last_day: date) -> list[date]:
    return [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]


def report(plan: ScheduledDays) -> dict[str, Any]:
    """Return all that people ask of a schedule."""
    broken = faults(plan)
    late = [
        one
        for one in plan.itineraries
        if not one.reasons and _open_at_both_ends(plan, one) and not _in_two_days(plan, one)
    ]
    return {
        "from": plan.first_day.isoformat(),
        "days": (plan.last_day - plan.first_day).days + 1,
        "complete": not broken and not late,
        "not_scheduled": [
            {"rule": f.rule, "what": f.subject, "day": f.day.isoformat(), "copies": f.copies} for f in broken
        ],
        **_copies(plan),
        "served": _served(plan),
        "crates": _crates(plan),
        "default_hours": _default_hours(plan),
        "later": list(_later(plan)),
        "no_coordinates": list(_without(plan, LegReasonCode.NO_COORDINATES)),
        "runs": [_run(hub_day, run) for hub_day in plan.hub_days for run in hub_day.runs],
        "hubs": [_hub_day(hub_day) for hub_day in plan.hub_days],
        "trunks": [trunk._asdict() | {"day": trunk.day.isoformat()} for trunk in trunks(plan.calendar, plan.crates)],
        "sorting": [sorting._asdict() | {"day": sorting.day.isoformat()} for sorting in sortings(plan)],
    }


# --- Copies -----------------------------------------------------------------------------------------------------------


def _copies(plan: ScheduledDays) -> dict[str, Any]:
    """Return how many copies there are, on how many lanes, and the reasons that keep the others."""
    moving = [itinerary for itinerary in plan.itineraries if itinerary.legs]
    lanes = Counter((_from(itinerary), itinerary.transfer.to_place) for itinerary in moving)
    hub = plan.calendar.hub
    return {
        "copies": len(plan.itineraries),
        "scheduled_copies": len(moving),
        "lanes": len(lanes),
        "other_hub_share": round(sum(n for (a, b), n in lanes.items() if hub(a) != hub(b)) / max(1, len(moving)), 4),
        "reasons": dict(
            sorted(Counter(_why(itinerary) for itinerary in plan.itineraries if itinerary.reasons).items())
        ),
    }


def _from(itinerary: Itinerary) -> str:
    return itinerary.transfer.at


def _why(itinerary: Itinerary) -> str:
    return str(itinerary.reasons[0].code)


def _served(plan: ScheduledDays) -> dict[str, Any]:
    """Return the copies delivered by day; `within_two_days` counts from the first, `both_ends_open` who could be by then."""
    by_day = Counter(itinerary.arrives for itinerary in plan.itineraries if itinerary.within(plan.last_day))
    could = [itinerary for itinerary in plan.itineraries if _open_at_both_ends(plan, itinerary)]
    return {
        "by_day": {day.isoformat(): by_day[day] for day in _days(plan.first_day, plan.last_day)},
        "total": by_day.total(),
        "within_two_days": sum(_in_two_days(plan, itinerary) for itinerary in plan.itineraries),
        "both_ends_open": len(could),
        "both_ends_open_within_two_days": sum(_in_two_days(plan, itinerary) for itinerary in could),
        "later": sum(1 for itinerary in plan.itineraries if itinerary.legs and not itinerary.within(plan.last_day)),
    }


def _in_two_days(plan: ScheduledDays, itinerary: Itinerary) -> bool:
    return itinerary.within(plan.first_day + timedelta(days=1))


def _open_at_both_ends(plan: ScheduledDays, itinerary: Itinerary) -> bool:
    """Whether the sender receives on the first day and the destination on the second, by their own hours alone."""
    ends = ((_from(itinerary), plan.first_day), (itinerary.transfer.to_place, plan.first_day + timedelta(days=1)))
    return all(_receives(plan, place, day) for place, day in ends)


def _receives(plan: ScheduledDays, place_id: str, day: date) -> bool:
    place = plan.calendar.network.place.get(place_id)
    if place is None or not place.located or plan.calendar.hub(place_id) is None:
        return False
    return bool(place.hub or place.receiving_spans(day))


def _later(plan: ScheduledDays) -> Iterator[dict[str, Any]]:
    """Yield each lane's copies that arrive after the second day, with the date and the reasons."""
    groups: dict[tuple[str, str, date, tuple[LegReason, ...]], int] = Counter()
    for itinerary in plan.itineraries:
        if itinerary.arrives and not _in_two_days(plan, itinerary):
            groups[_from(itinerary), itinerary.transfer.to_place, itinerary.arrives, itinerary.reasons] += 1
    for (from_place, to_place, arrives, reasons), copies in sorted(groups.items(), key=lambda item: item[0][:3]):
        yield {
            "from": from_place,
            "to": to_place,
            "copies": copies,
            "arrives": arrives.isoformat(),
            "reasons": [_reason(reason) for reason in reasons],
        }


def _reason(reason: LegReason) -> dict[str, Any]:
    return {
        "code": reason.code.value,
        "place": reason.place,
        "wanted": reason.wanted.isoformat() if reason.wanted else None,
        "next_day": reason.next_day.isoformat() if reason.next_day else None,
    }


def _without(plan: ScheduledDays, code: LegReasonCode) -> Iterator[dict[str, Any]]:
    """Yield the copies that cannot go at all, for a given reason."""
    for itinerary in plan.itineraries:
        if not itinerary.legs and itinerary.reasons[0].code is code:
            transfer = itinerary.transfer
            yield {
                "copy": transfer.copy_id,
                "from": transfer.at,
                "to": transfer.to_place,
                "place": itinerary.reasons[0].place,
            }


# --- Crates, hubs, runs -----------------------------------------------------------------------------------------------


def _crates(plan: ScheduledDays) -> dict[str, int]:
    """Return how many crates the copies need: mixed crates (a hub's own desk packs some too) and, beside them, a crate a lane."""
    size = plan.calendar.network.network.copies_per_crate
    kinds = Counter(crate.kind for crate in plan.crates)
    through = [
        itinerary for itinerary in plan.itineraries if itinerary.legs and itinerary.legs[0].kind is not LegKind.DIRECT
    ]
    at_hubs = Counter(_from(itinerary) for itinerary in through if plan.calendar.network.place[_from(itinerary)].hub)
    lanes = Counter((_from(itinerary), itinerary.transfer.to_place) for itinerary in plan.itineraries if itinerary.legs)
    return {
        "mixed": kinds[LegKind.COLLECT] + _full(at_hubs, size),
        "mixed_by_van": kinds[LegKind.COLLECT],
        "direct": kinds[LegKind.DIRECT],
        "trunk": kinds[LegKind.TRUNK],
        "for_one_destination": kinds[LegKind.DELIVER],
        "one_a_lane": _full(lanes, size),
    }


def _full(copies: Counter[Any], size: int) -> int:
    return sum(-(-count // size) for count in copies.values())


def _default_hours(plan: ScheduledDays) -> dict[str, Any]:
    """Return the points whose hours are unknown, so that their tier's receiving window stands in; and which are called at."""
    flagged = {place.id for place in plan.calendar.network.places if place.default_hours}
    called_at = {stop.place for _, _, stop in plan.stops}
    return {"points": sorted(flagged), "count": len(flagged), "called_at": sorted(flagged & called_at)}


def _hub_day(hub_day: HubDay) -> dict[str, Any]:
    return {
        "day": hub_day.day.isoformat(),
        "hub": hub_day.hub,
        "vans": len(hub_day.runs),
        "stops": sum(len(run.stops) for run in hub_day.runs),
        "metres": sum(run.distance_m for run in hub_day.runs),
        "cost_cents": hub_day.evaluation.cost_cents,
        "engine": hub_day.solution.engine,
        "unserved": [{"place": left.place, "crates": list(left.crates)} for left in hub_day.unserved],
    }


def _run(hub_day: HubDay, run: PlannedRun) -> dict[str, Any]:
    return {
        "run": run.id,
        "day": hub_day.day.isoformat(),
        "hub": hub_day.hub,
        "van": run.van,
        "departs_at": run.departs_at.isoformat(),
        "returns_at": run.returns_at.isoformat(),
        "metres": run.distance_m,
        "largest_load_crates": run.largest_load_crates,
        "stops": [_stop(stop) for stop in run.stops],
    }


def _stop(stop: PlannedStop) -> dict[str, Any]:
    return {
        "position": stop.position,
        "place": stop.place,
        "arrives_at": stop.arrives_at.isoformat(),
        "begins_at": stop.begins_at.isoformat(),
        "departs_at": stop.departs_at.isoformat(),
        "deliver": list(stop.deliver),
        "collect_crates": len(stop.collect),
        "load_after_crates": stop.load_after_crates,
    }


def trunks(calendar: Calendar, made: Sequence[Crate]) -> list[Trunk]:
    """Return the nights' journeys between hubs that these crates need."""
    on_way: dict[tuple[date, str, str], list[Crate]] = defaultdict(list)
    for crate in made:
        if crate.kind is LegKind.TRUNK:
            on_way[crate.day, crate.from_place, crate.to_place].append(crate)
    return [
        Trunk(day, a, b, len(some), sum(len(crate.transfers) for crate in some), calendar.drive_s(a, b))
        for (day, a, b), some in sorted(on_way.items())
    ]


def sortings(plan: ScheduledDays) -> list[Sorting]:
    """Return the copies that each hub sorts each day, evening and morning together."""
    copies = Counter((leg.day, leg.from_place) for i in plan.itineraries for leg in i.legs if leg.kind is LegKind.SORT)
    place = plan.calendar.network.place
    return [
        Sorting(day, hub, count, round(count / hub_of.copies_per_hour, 2))
        for (day, hub), count in sorted(copies.items())
        if (hub_of := place[hub].hub)
    ]
