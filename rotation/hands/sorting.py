"""A hub: which crate a copy goes into, whether it went into the right one, crates closed for their vans, and the backlog."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select, text

from rotation.facts.events import CopyReturned, CrateAtHub, CrateClosed, TransferReceived, TransferSent
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import STANDING, LegKind, LegState, StopState, listed
from rotation.facts.movements import CopyState
from rotation.hands import bags
from rotation.hands.copies import about, copy_of
from rotation.hands.desk import Desk
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.network import Network, PlaceKind
from rotation.store.tables import crates

INTO = "into"  # code of the answer that names a crate
CONFIRMED_WITHIN = timedelta(
    minutes=5
)  # a crate's label scanned after a copy says where the copy was put; later it does not
SORTED_WITHIN = timedelta(days=2)  # what was put into a crate longer ago has left with it
PACE_MINUTES = 15  # over which the pace is counted


def sort(connection: Connection, network: Network, desk: Desk, scan: HandScan) -> HandAnswer:
    """Answer a copy with its crate, and a crate's label with whether the last copy belongs there, or with the crate's arrival."""
    scan = replace(scan, code=bags.crate_of(connection, scan.code))
    crate = connection.execute(select(crates).where(crates.c.crate_id == scan.code)).first()
    last = _unconfirmed(connection, scan)
    if last is not None and (crate is not None or _is_open(connection, scan)):
        return _put(scan, last)
    if crate is not None:
        return _arrives(crate, scan)
    return _copy(connection, network, desk, scan)


def _put(scan: HandScan, last: Row[Any]) -> HandAnswer:
    """Compare the crate that a copy was put into with the crate that it belongs into."""
    values = {"title": last.title, "to": last.to, "crate": last.crate, "other": scan.code}
    if scan.code == last.crate:
        return HandAnswer("sorted", Tone.GOOD, values, subject=scan.code)
    return HandAnswer("mis_sort", Tone.BAD, values, subject=last.crate)


def _arrives(crate: Row[Any], scan: HandScan) -> HandAnswer:
    """Note that a crate was set down at the hub."""
    values = {"crate": scan.code, "to": crate.to_place_id or scan.place_id, "copies": len(crate.copies or ())}
    if crate.type in STANDING and crate.place_id == scan.place_id:
        return HandAnswer("stands_here", Tone.INFO, values, subject=scan.code)
    return HandAnswer("set_down", Tone.GOOD, values, (CrateAtHub(crate=scan.code, place=scan.place_id),), scan.code)


def _copy(connection: Connection, network: Network, desk: Desk, scan: HandScan) -> HandAnswer:
    copy = copy_of(connection, scan.code)
    from_bin = _lay_in_a_bin(network, copy)
    if copy.state != CopyState.IN_TRANSIT and not from_bin:
        raise Refused("not_travelling", Tone.WARN, **about(copy), state=copy.state, at=copy.place_id)
    direction = desk.place(copy.copy_id, scan.place_id, connection, scan.received_at)
    if direction.to == scan.place_id:
        ours = direction.transfer if direction.transfer and not direction.transfer.startswith("own:") else None
        received = TransferReceived(copy=copy.copy_id, place=scan.place_id, transfer=ours)
        fact = CopyReturned(copy=copy.copy_id, place=scan.place_id) if from_bin else received
        return HandAnswer("for_the_hub", Tone.GOOD, about(copy), (fact,), copy.copy_id)
    to = _next_place(network, scan.place_id, direction.to)
    crate = _crate_for(connection, network, scan, to, direction.transfer)
    values = {**about(copy), "copy": copy.copy_id, "to": to, "goes_to": direction.to, "crate": crate}
    sent = TransferSent(copy=copy.copy_id, place=scan.place_id, to=direction.to, transfer=direction.transfer)
    return HandAnswer(INTO, Tone.INFO, values, (sent,) if from_bin else (), subject=crate)


def _lay_in_a_bin(network: Network, copy: Row[Any]) -> bool:
    """Whether a copy at a hub was returned at a machine, whose bin has no orders: the hub decides where it goes."""
    at = network.place.get(copy.place_id)
    return copy.state == CopyState.ON_SHELF and at is not None and at.kind is PlaceKind.MACHINE


def _next_place(network: Network, hub: str, to: str) -> str:
    """Return where the copy's crate goes: its place, or the hub that serves it."""
    other = network.hub_of(to)
    return to if other in (hub, None) else str(other)


_PLANNED = text(f"""
    SELECT crate_id FROM legs WHERE from_place_id = :hub AND to_place_id = :to AND crate_id IS NOT NULL
    AND kind IN ('{LegKind.DELIVER}', '{LegKind.TRUNK}') AND status = '{LegState.PLANNED}' AND day >= :day
    ORDER BY transfer_id = :transfer DESC, day, crate_id LIMIT 1""")


def _crate_for(connection: Connection, network: Network, scan: HandScan, to: str, transfer: str | None) -> str:
    """Return the number of the crate for a place: the plan's, or where it has none the first of the day."""
    day = network.day_of(scan.at)
    asked = {"hub": scan.place_id, "to": to, "day": day, "transfer": transfer or ""}
    return connection.scalar(_PLANNED, asked) or f"d-{day:%Y%m%d}-{to}-1"


# The last copy that this person was told a crate for, if no crate's label was scanned since.
_UNCONFIRMED = text(f"""
    SELECT answer ->> 'code' AS code, answer -> 'values' ->> 'crate' AS crate, answer -> 'values' ->> 'to' AS to,
        answer -> 'values' ->> 'title' AS title FROM scans
    WHERE place_id = :hub AND who = :who AND work = '{HandWork.SORT}' AND at > :since AND scan_id <> :own
    ORDER BY received_at DESC LIMIT 1""")
_OPEN = text(f"""
    SELECT 1 FROM scans WHERE place_id = :hub AND work = '{HandWork.SORT}' AND at > :since AND subject = :crate
    AND answer ->> 'code' = '{INTO}' LIMIT 1""")


def _unconfirmed(connection: Connection, scan: HandScan) -> Row[Any] | None:
    asked = {"hub": scan.place_id, "who": scan.who, "since": scan.at - CONFIRMED_WITHIN, "own": scan.scan_id}
    row = connection.execute(_UNCONFIRMED, asked).first()
    return row if row is not None and row.code == INTO else None


def _is_open(connection: Connection, scan: HandScan) -> bool:
    asked = {"hub": scan.place_id, "since": scan.at - SORTED_WITHIN, "crate": scan.code}
    return connection.execute(_OPEN, asked).first() is not None


# --- Crates being filled ----------------------------------------------------------------------------------------------


class FillingCrate(NamedTuple):
    """A crate that is being filled: where it goes, the copies in it, and the stop of its run (None: no run, or a trunk)."""

    crate_id: str
    to_place_id: str
    copies: list[str]
    run_id: str | None
    van_id: str | None
    position: int | None


_FILLING = text(f"""
    SELECT x.crate, x.to, x.copies, s.run_id, s.van_id, s.position FROM (
        SELECT s.subject AS crate, min(s.answer -> 'values' ->> 'to') AS to,
            array_agg(DISTINCT s.answer -> 'values' ->> 'copy') AS copies
        FROM scans s WHERE s.place_id = :hub AND s.work = '{HandWork.SORT}' AND s.at > :since
        AND s.answer ->> 'code' = '{INTO}' AND NOT EXISTS (
            SELECT FROM scans c WHERE c.place_id = s.place_id AND c.work = '{HandWork.CLOSE_CRATE}' AND c.subject = s.subject
            AND c.received_at >= s.received_at AND c.answer -> 'values' -> 'inside' ? (s.answer -> 'values' ->> 'copy'))
        GROUP BY 1) x
    LEFT JOIN LATERAL (
        SELECT s.run_id, r.van_id, s.position FROM stops s JOIN runs r USING (run_id)
        WHERE r.hub_id = :hub AND r.day >= :day AND s.place_id = x.to AND s.status = '{StopState.PLANNED}'
        ORDER BY r.departs_at LIMIT 1) s ON true
    ORDER BY s.van_id NULLS LAST, s.position DESC NULLS LAST, x.to, x.crate""")


def filling(connection: Connection, network: Network, hub: str, now: datetime) -> list[FillingCrate]:
    """Return the crates being filled at a hub, in the order in which they are loaded: by van, its last stop first."""
    asked = {"hub": hub, "since": now - SORTED_WITHIN, "day": network.day_of(now)}
    return [FillingCrate(*row) for row in connection.execute(_FILLING, asked)]


def close(connection: Connection, network: Network, scan: HandScan) -> HandAnswer:
    """Close a crate with the copies sorted into it; its van's crates for later stops are loaded before it."""
    open_now = filling(connection, network, scan.place_id, scan.at)
    mine = next((one for one in open_now if one.crate_id == scan.code), None)
    if mine is None:
        raise Refused("nothing_inside", Tone.INFO, crate=scan.code)
    before = _to_load_first(open_now, mine)
    fact = CrateClosed(crate=mine.crate_id, place=scan.place_id, to=mine.to_place_id, copies=tuple(mine.copies))
    values = {"crate": mine.crate_id, "to": mine.to_place_id, "copies": len(mine.copies), "inside": mine.copies}
    if before:
        first = {"first": [one.crate_id for one in before]}
        return HandAnswer("closed_too_early", Tone.WARN, {**values, **first}, (fact,), mine.crate_id)
    return HandAnswer("hub_crate_closed", Tone.GOOD, values, (fact,), mine.crate_id)


def _to_load_first(open_now: Sequence[FillingCrate], mine: FillingCrate) -> list[FillingCrate]:
    """Return the crates of the same run for later stops that are still open."""
    return [
        one
        for one in open_now
        if mine.run_id and one.run_id == mine.run_id and (one.position or 0) > (mine.position or 0)
    ]


# --- The backlog ------------------------------------------------------------------------------------------------------


class Backlog(NamedTuple):
    """A hub's work left: copies to sort, how many were sorted today and in the last quarter of an hour, and when it ends."""

    copies: int
    done_today: int
    pace_per_h: int
    cutoff_at: datetime
    ends_at: datetime | None

    @property
    def in_time(self) -> bool:
        """Whether it ends before the cut-off at the present pace."""
        return self.copies == 0 or (self.ends_at is not None and self.ends_at <= self.cutoff_at)


# Copies in the crates that stand at the hub to be opened, less those sorted out of them.
_LEFT = text(f"""
    SELECT count(*) FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) i(copy_id)
    JOIN copies c ON c.copy_id = i.copy_id AND c.state = '{CopyState.IN_TRANSIT}' AND c.occurred_at <= r.occurred_at
    WHERE r.place_id = :hub AND r.to_place_id = :hub AND r.type IN ({listed(STANDING)}) AND jsonb_typeof(r.copies) = 'array'
    AND r.occurred_at > :since AND NOT EXISTS (
        SELECT FROM scans s WHERE s.place_id = :hub AND s.work = '{HandWork.SORT}' AND s.at >= r.occurred_at
        AND s.answer -> 'values' ->> 'copy' = c.copy_id)""")
_DONE = text(f"""
    SELECT count(*), count(*) FILTER (WHERE at > :lately) FROM scans
    WHERE place_id = :hub AND work = '{HandWork.SORT}' AND at >= :today AND answer ->> 'code' IN ('{INTO}', 'for_the_hub')""")
LOOKED_BACK = timedelta(days=14)  # crates that stood unopened longer are alerts, and nobody's pace


def backlog(connection: Connection, network: Network, hub: str, now: datetime) -> Backlog:
    """Return a hub's backlog against its cut-off today."""
    day, place = network.day_of(now), network.place[hub]
    left = connection.scalar(_LEFT, {"hub": hub, "since": now - LOOKED_BACK}) or 0
    lately = now - timedelta(minutes=PACE_MINUTES)
    done, pace = connection.execute(_DONE, {"hub": hub, "today": network.instant(day, 0), "lately": lately}).one()
    per_h = pace * 60 // PACE_MINUTES
    ends = now + timedelta(hours=left / per_h) if per_h else None
    return Backlog(left, done, per_h, network.instant(day, place.hub.cutoff_s if place.hub else 0), ends)
