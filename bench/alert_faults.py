"""The faults of bench.alerts: those that only time shows, those that an event shows, and those written as rows."""

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bench.alert_city import WatchedDays
from rotation.alerts import levels, silence
from rotation.facts.events import Fact, MachineReported
from rotation.facts.lifecycle import AlertKind as Kind
from rotation.network import PlaceKind
from rotation.store import conservation
from rotation.store.engine import driver

OF_CHECK_IN = (Kind.SLOW, Kind.LEG_LATE, Kind.OVERDUE)
OF_A_VAN = (Kind.LATE, Kind.MISSED, Kind.NOT_LEFT, Kind.LEG_LATE)
OF_ROWS = (Kind.DRAINED, Kind.LOST, Kind.UNFOUND, Kind.COUNTS_DIFFER)
# A copy is overdue by its lane after a week at least, and the first is sent days after the fault began.
ASTRAY_DAYS = 16


class Fault(NamedTuple):
    """A fault that was made: its name, whose alerts of which kinds find it, and since when."""

    name: str
    kinds: tuple[Kind, ...]
    subjects: frozenset[str]
    since: datetime


# --- Faults that time shows -------------------------------------------------------------------------------------------------


def rooms_of(days: WatchedDays, kinds: Iterable[Kind]) -> list[str]:
    """Return the rooms that open and have no alert of these kinds: a fault there would open none."""
    sql = "SELECT place_id FROM alerts WHERE closed_at IS NULL AND kind = ANY(:kinds)"
    known = {place for (place,) in days.do(sql, kinds=list(kinds))}
    rooms = [
        place.id for place in days.network.places if not place.hub and place.hours and place.kind is PlaceKind.ROOM
    ]
    return [room for room in rooms if room not in known]


def judged_rooms(days: WatchedDays, rooms: Iterable[str]) -> list[str]:
    """Return the rooms of so many loans that half of the days astray without an event are no chance."""
    with days.engine.begin() as connection:
        loans = silence.loans_a_year(driver(connection).cursor())
    now, places = days.now(), [days.network.place[room] for room in rooms]
    begin = now - timedelta(days=ASTRAY_DAYS / 2)
    return [
        place.id
        for place in places
        if silence.quiet_hours(days.network, place, loans, now) < levels.open_hours(days.network, [place], begin, now)
    ]


def astray(days: WatchedDays, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Three rooms check nothing in, two vans stay where they are, a hub sorts nothing, three rooms fall silent; for days."""
    rooms = rooms_of(days, [Kind.SILENT])
    judged = judged_rooms(days, rooms)
    yield {"figure": "rooms whose silence is no chance within days", "rooms": len(rooms), "judged": len(judged)}
    silent = frozenset(draw.sample(judged, min(3, len(judged))))
    unreceived = frozenset(draw.sample([room for room in rooms_of(days, OF_CHECK_IN) if room not in silent], 3))
    vans, hub = frozenset(draw.sample([van.id for van in days.network.vans], 2)), draw.choice(days.network.hubs).id
    begun, made = days.now(), dict[str, Fault]()

    def event_is_lost(event: Mapping[str, Any]) -> bool:
        place = event["data"].get("place", "")
        if place in silent:
            made.setdefault(f"silent {place}", Fault("silent place", (Kind.SILENT,), frozenset({place}), begun))
            return True
        lost = place in unreceived and event["type"] == "transfer.received"
        if lost:
            fault = Fault(
                "copies not checked in", OF_CHECK_IN, frozenset({place}), datetime.fromisoformat(event["time"])
            )
            made.setdefault(f"unreceived {place}", fault)
        return lost

    def order_is_lost(order: Mapping[str, Any]) -> bool:
        if order.get("type") == "order.run" and order["van"] in vans:
            places = frozenset({order["hub"], *(stop["place"] for stop in order["stops"])})
            at = datetime.fromisoformat(order["departs_at"])
            made.setdefault(f"van {order['van']}", Fault("van does not leave", OF_A_VAN, places, at))
            return True
        lost = order.get("type") == "order.sort" and order["hub"] == hub
        if lost:
            at = datetime.fromisoformat(order["at"])
            made.setdefault(f"hub {hub}", Fault("hub's backlog", (Kind.UNSORTED, Kind.UNSENT), frozenset({hub}), at))
        return lost

    days.event_is_lost, days.order_is_lost = event_is_lost, order_is_lost
    for _ in range(ASTRAY_DAYS):
        days.day()
    days.event_is_lost, days.order_is_lost = WatchedDays.event_is_lost, WatchedDays.order_is_lost
    yield from _found(days, made.values())


def _found(days: WatchedDays, faults: Iterable[Fault]) -> Iterator[dict[str, Any]]:
    by_name: dict[str, list[float | None]] = {}
    for fault in faults:
        alerts = days.opened(fault.since, fault.kinds)
        first = next((at for _, subject, at in alerts if subject in fault.subjects), None)
        by_name.setdefault(fault.name, []).append(first and (first - fault.since) / timedelta(hours=1))
    for name, hours in by_name.items():
        seen = [one for one in hours if one is not None]
        yield {
            "figure": f"fault: {name}",
            "made": len(hours),
            "found": len(seen),
            "hours_to_alert": sorted(round(one, 1) for one in seen),
            "by": "sweep",
        }


def a_feed_falls_silent(days: WatchedDays) -> Iterator[dict[str, Any]]:
    """No event comes any more, for two days."""
    days.event_is_lost = lambda event: True
    fault = Fault("feed falls silent", (Kind.FEED,), frozenset({days.city.teller.source}), days.now())
    for _ in range(2):
        days.day()
    yield from _found(days, [fault])


# --- Faults that an event shows ---------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A fault's facts, and the alert that finds it."""

    kind: Kind
    place: str
    cls: str
    facts: list[Fact]
    mended: list[Fact]


def by_events(days: WatchedDays, rounds: int) -> Iterator[dict[str, Any]]:
    """Tell faults again and again and mend them; measure from the first event to the alert's commit."""
    delays: dict[Kind, list[float | None]] = {}
    for _ in range(rounds):
        for fault in _machines(days):
            begin = time.perf_counter()
            days.tell(fault.facts)
            seconds = time.perf_counter() - begin
            delays.setdefault(fault.kind, []).append(seconds if _is_open(days, fault) else None)
            days.tell(fault.mended)
    everything = sorted(one for some in delays.values() for one in some if one is not None)
    for kind, some in delays.items():
        found = sorted(one for one in some if one is not None)
        yield {
            "figure": f"fault: {kind}",
            "made": len(some),
            "found": len(found),
            **_spread(found),
            "by": "event",
        }
    yield {"figure": "event to alert, all kinds", "made": len(everything), **_spread(everything)}


def _spread(found: list[float]) -> dict[str, float]:
    if not found:
        return {}
    return {f"p{n}_ms": round(1000 * found[min(int(len(found) * n / 100), len(found) - 1)], 1) for n in (50, 99)}


def _machines(days: WatchedDays) -> Iterator[Told]:
    for place in days.network.places:
        if place.kind is PlaceKind.MACHINE and place.room and place.bin:
            well = [MachineReported(place=place.id, bin_copies=0, free_slots=0)]
            for kind, bin_copies, free, fault in (
                (Kind.BIN_FULL, place.bin, 0, None),
                (Kind.NEARLY_EMPTY, 0, place.room, None),
                (Kind.OUT_OF_ORDER, 0, 0, "door_jam"),
            ):
                report = MachineReported(place=place.id, bin_copies=bin_copies, free_slots=free, fault=fault)
                yield Told(kind, place.id, "", [report], well)


def _is_open(days: WatchedDays, fault: Told) -> bool:
    sql = "SELECT FROM alerts WHERE closed_at IS NULL AND kind = :kind AND place_id = :place AND class = :cls"
    return bool(days.do(sql, kind=fault.kind, place=fault.place, cls=fault.cls))


# --- Faults written as rows -------------------------------------------------------------------------------------------------


class RowFault(NamedTuple):
    """What would be there after a fault, as statements, and the alert that finds it."""

    kind: Kind
    subject: str
    statements: tuple[str, ...]


# Transfers of yesterday, `many` of them, from `here` to `there`.
MOVED = """
INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)
SELECT '{name}' || n, 'bench-' || n, '{here}', '{there}', 'pick', '{status}', jsonb_build_object(), :then, :then
FROM generate_series(1, {many}) n"""
# Twice the copies, and a hundred more, at the first night of the month.
HELD_MORE = """
UPDATE daily_figures SET base = 2 * base + 100 WHERE figure = 'turnover' AND by = 'place' AND subject = '{here}'
AND day = (SELECT min(day) FROM daily_figures WHERE day > (SELECT max(day) - 28 FROM daily_figures))"""
NOT_FOUND = """
INSERT INTO transfer_facts (transfer_id, occurred_at, sequence, source, event_id, type, copy_id, place_id, reason)
SELECT transfer_id, :then, 0, 's', transfer_id, 'transfer.declined', copy_id, from_place_id, 'not_found'
FROM transfers WHERE transfer_id LIKE 'u%'"""
DIFFER = """
INSERT INTO scans (scan_id, work, place_id, run_id, code, who, at, received_at, answer)
VALUES ('b', 'hand_over', '{here}', 'r', '', 'b', :then, :then, jsonb_build_object('code', 'counts_differ', 'values',
    jsonb_build_object('van', jsonb_build_object('handed', 2), 'room', jsonb_build_object('handed', 1))))"""
BREAKS = """
UPDATE day_plans SET evaluation = jsonb_build_object('violations', jsonb_build_array('late'))
WHERE hub_id = '{hub}'"""
REFUSED = """
INSERT INTO write_backs (system, kind, copy_id, place_id, cause, at, refused_at)
VALUES ('koha', 'check_in', 'bench-1', '{here}', 'b', :then, now())"""
STANDS = """
INSERT INTO heartbeats (part, name, member, beat_at, deed, deed_at)
VALUES ('relay', '', 'bench', now() - interval '1 hour', 'waits', now() - interval '1 hour')"""
MISSING = "DELETE FROM movements WHERE (copy_id, occurred_at) IN (SELECT copy_id, occurred_at FROM copies LIMIT 3)"


def row_faults(rooms: list[str], hub: str) -> list[RowFault]:
    """Return a fault of each kind, each at a room of its own."""
    drained, lost, unfound, differing = rooms[:4]
    many = {"hub": hub, "many": 400}
    return [
        RowFault(Kind.DRAINED, drained, (HELD_MORE.format(here=drained),)),
        RowFault(Kind.LOST, lost, (MOVED.format(name="l", here=hub, there=lost, status="lost", **many),)),
        RowFault(
            Kind.UNFOUND,
            unfound,
            (MOVED.format(name="u", here=unfound, there=hub, status="declined", **many), NOT_FOUND),
        ),
        RowFault(Kind.COUNTS_DIFFER, differing, (DIFFER.format(here=differing),)),
        RowFault(Kind.INFEASIBLE, hub, (BREAKS.format(hub=hub),)),
        RowFault(Kind.UNWRITTEN, "koha", (REFUSED.format(here=lost),)),
        RowFault(Kind.STANDSTILL, "relay", (STANDS,)),
        RowFault(Kind.CONSERVATION, "copies", (MISSING,)),
    ]


def by_rows(days: WatchedDays, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Write what would be there after each fault; the sweep has to find it. The city has no hand in these faults."""
    days.night()
    days.sweep()
    now, then = days.now(), days.now() - timedelta(hours=1)
    ((hub,),) = days.do("SELECT hub_id FROM day_plans ORDER BY day DESC, hub_id LIMIT 1")
    faults = row_faults(draw.sample(rooms_of(days, OF_ROWS), 4), hub)
    for statement in [statement for fault in faults for statement in fault.statements]:
        days.do(statement, **({"then": then} if ":then" in statement else {}))
    seconds = check_s(days)
    days.sweep()
    for fault in faults:
        found = any(subject == fault.subject for _, subject, _ in days.opened(now, [fault.kind]))
        yield {"figure": f"fault: {fault.kind}", "made": 1, "found": int(found), "by": "rows"}
    days.do("DELETE FROM heartbeats")
    yield {"figure": "the night's check of conservation", "seconds": round(seconds, 2)}


def check_s(days: WatchedDays) -> float:
    """Return how long the night's check of conservation takes."""
    begin = time.perf_counter()
    with days.engine.begin() as connection:
        conservation.check(driver(connection).cursor(), days.now())
    return time.perf_counter() - begin
