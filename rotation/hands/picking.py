"""Picking: a copy of the list is found or not, a copy that fits a set is taken, and taken copies are closed into a crate."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, text

from rotation.facts.events import (
    CopyFound,
    CopyMissing,
    CrateClosed,
    Fact,
    TransferDeclined,
    TransferPicked,
    TransferSent,
)
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import COMING, CrateState, TransferKind, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.hands.copies import about, copy_of
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.hands.pick_list import PickLine, PickProgress, pick_list
from rotation.network import Network
from rotation.night.requested_sets import OpenSet, still_open
from rotation.store.engine import driver
from rotation.store.tables import crates, sets, transfers
from rotation.store.traces import NOT_FOUND, Trace, traces_of


class Branch(NamedTuple):
    """A place at work: its database transaction, its network, and after how many days it looks again for copies not found."""

    connection: Connection
    network: Network
    trace_days: Sequence[int]


def found(branch: Branch, scan: HandScan) -> HandAnswer:
    """Take a copy of today's list: scanned, or confirmed by the button beside it."""
    line = _line(branch, scan)
    if line.progress is PickProgress.FOUND:
        return HandAnswer("picked_before", Tone.INFO, _words(line), subject=line.transfer_id)
    if line.looked:
        return _found_again(line, scan)
    fact = TransferPicked(copy=line.copy_id, place=scan.place_id, transfer=line.transfer_id, crate=line.crate_id)
    return HandAnswer("taken", Tone.GOOD, _words(line), (fact,), line.transfer_id)


def _found_again(line: PickLine, scan: HandScan) -> HandAnswer:
    """Say that a copy has turned up that was looked for before: its old order is over, and the night plans with it again."""
    fact = CopyFound(copy=line.copy_id, place=scan.place_id)
    return HandAnswer("found_again", Tone.GOOD, _words(line), (fact,), line.transfer_id)


def not_found(branch: Branch, scan: HandScan) -> HandAnswer:
    """Note that a copy of the list was not found; after the last time that it was looked for it is missing."""
    line = _line(branch, scan)
    if line.progress is not PickProgress.OPEN:
        return HandAnswer("answered_before", Tone.INFO, _words(line), subject=line.transfer_id)
    looked = line.looked + 1
    declined = TransferDeclined(copy=line.copy_id, place=scan.place_id, transfer=line.transfer_id, reason=NOT_FOUND)
    values = {**_words(line), "times": looked, "days": list(branch.trace_days[looked - 1 :])}
    if looked > len(branch.trace_days):
        missing = CopyMissing(copy=line.copy_id, place=scan.place_id)
        return HandAnswer("given_up", Tone.BAD, values, (declined, missing), line.transfer_id)
    return HandAnswer("not_found", Tone.WARN, values, (declined,), line.transfer_id)


def _line(branch: Branch, scan: HandScan) -> PickLine:
    """Return the line of today's list that a transfer's id or a barcode names."""
    lines = pick_list(branch.connection, branch.network, scan.place_id, scan.at, branch.trace_days).lines
    if named := next((line for line in lines if line.transfer_id == scan.code), None):
        return named
    copy = copy_of(branch.connection, scan.code)
    mine = next((line for line in lines if line.copy_id == copy.copy_id), None)
    return mine or _traced(branch, scan, copy)


def _traced(branch: Branch, scan: HandScan, copy: Row[Any]) -> PickLine:
    """Return the line of a copy that is looked for though not today; any other is not on the list."""
    mine = [t for t in traces_of(driver(branch.connection).cursor(), scan.place_id) if t.copy_id == copy.copy_id]
    if not mine:
        raise Refused("not_on_list", Tone.WARN, **about(copy))
    return _line_of(copy, mine[0])


def _line_of(copy: Row[Any], trace: Trace) -> PickLine:
    return PickLine(
        transfer_id=trace.transfer_id,
        copy_id=trace.copy_id,
        barcode="",
        title=copy.title,
        call_number=copy.call_number,
        room="",
        collection="",
        shelf="",
        to_place_id=trace.place_id,
        reason={},
        set_note="",
        crate_id=None,
        progress=PickProgress.OPEN,
        looked=trace.times,
    )


def _words(line: PickLine) -> dict[str, Any]:
    return {"title": line.title, "call_number": line.call_number, "to": line.to_place_id, "crate": line.crate_id or ""}


# --- Any copy that fits ------------------------------------------------------------------------------------------------

STOOD_THERE = timedelta(days=365)  # a copy that stood at the place within a year is nothing new there

_TWICE = text(f"""
    SELECT 1 FROM copies WHERE title_id = :title AND (place_id = :to OR to_place_id = :to)
    UNION ALL SELECT 1 FROM transfers WHERE title_id = :title AND to_place_id = :to AND status IN ({listed(COMING)}) LIMIT 1""")
_GOING = text(f"SELECT to_place_id FROM transfers WHERE copy_id = :copy AND status IN ({listed(COMING)}) LIMIT 1")
_STOOD = text("""
    SELECT max(occurred_at) FROM movements WHERE copy_id = :copy AND place_id = :to AND occurred_at > :since""")


def class_sets(connection: Connection, place: str, now: datetime, network: Network) -> list[OpenSet]:
    """Return the sets that ask for copies of a class and are gathered now; those for the place itself left out."""
    found = still_open(driver(connection), network.day_of(now))
    return [one for one in found if one.titles is None and one.place_id != place]


def any_fit(branch: Branch, scan: HandScan, set_id: str) -> HandAnswer:
    """Judge a copy taken from the shelf for a set that asks for a class only: yes, no and why, or enough."""
    copy = copy_of(branch.connection, scan.code)
    # Of two who scan its last copy at once, the second finds it complete.
    branch.connection.execute(select(sets.c.set_id).where(sets.c.set_id == set_id).with_for_update())
    gathered = class_sets(branch.connection, scan.place_id, scan.at, branch.network)
    wanted = next((one for one in gathered if one.set_id == set_id), None)
    if wanted is None:
        raise Refused("enough", Tone.INFO, **about(copy))
    if why := _does_not_fit(branch, scan, wanted, copy):
        raise Refused(why[0], Tone.BAD, **{**about(copy), "to": wanted.place_id, **why[1]})
    return _taken(branch.connection, scan, wanted, copy)


def _does_not_fit(branch: Branch, scan: HandScan, wanted: OpenSet, copy: Row[Any]) -> tuple[str, dict[str, Any]] | None:
    """Return why a copy does not fit, with the words' values; None where it does."""
    at = {"title": copy.title_id, "copy": copy.copy_id, "to": wanted.place_id, "since": scan.at - STOOD_THERE}
    if (copy.state, copy.place_id) != (CopyState.ON_SHELF, scan.place_id):
        return "not_in_stock_here", {"at": copy.place_id, "state": copy.state}
    if copy.title_class != wanted.title_class:
        return "other_class", {"wanted": wanted.title_class, "title_class": copy.title_class or ""}
    if copy.fixed or not _may_leave(branch.network, copy.owner_id, wanted.place_id):
        return "stays_here", {}
    if branch.connection.execute(_TWICE, at).first():
        return "twice", {}
    if going := branch.connection.scalar(_GOING, at):
        return "going_already", {"to": going}
    stood = branch.connection.scalar(_STOOD, at)
    return ("stood_there", {"when": stood.isoformat()}) if stood else None


def _may_leave(network: Network, owner_id: str | None, to: str) -> bool:
    """Whether a copy's owner lends it there without being asked."""
    owner = next((one for one in network.owners if one.id == owner_id), None)
    other = network.place[to].owner if to in network.place else None
    return owner is None or other is None or owner.lets(other)


def _taken(connection: Connection, scan: HandScan, wanted: OpenSet, copy: Row[Any]) -> HandAnswer:
    transfer = f"any-{scan.scan_id}"
    row = {
        "transfer_id": transfer,
        "copy_id": copy.copy_id,
        "title_id": copy.title_id,
        "from_place_id": scan.place_id,
        "to_place_id": wanted.place_id,
        "kind": TransferKind.PICK,
        "status": TransferState.ORDERED,
        "set_id": wanted.set_id,
        "reason": {"code": "requested"},
        "created_at": scan.at,
        "changed_at": scan.at,
    }
    connection.execute(insert(transfers), row)
    fact = TransferPicked(copy=copy.copy_id, place=scan.place_id, transfer=transfer)
    values = {**about(copy), "to": wanted.place_id, "left": wanted.missing - 1}
    return HandAnswer("fits", Tone.GOOD, values, (fact,), transfer)


# --- Into a crate ------------------------------------------------------------------------------------------------------

PACKED_WITHIN = timedelta(days=3)  # what was taken from the shelf longer ago has left by other ways

# Taken, or sent on by the desk, at a place, and in no crate that was closed there since.
_TO_PACK = text(f"""
    SELECT t.transfer_id, t.copy_id, t.to_place_id FROM scans s JOIN transfers t ON t.transfer_id = s.subject
    WHERE s.place_id = :place AND s.at > :since AND s.answer ->> 'code' IN ('taken', 'fits', 'send')
      AND t.status IN ('{TransferState.ORDERED}', '{TransferState.PICKED}') AND NOT EXISTS (
        SELECT FROM scans p WHERE p.place_id = s.place_id AND p.at >= s.at
        AND p.work IN ({listed((HandWork.CLOSE_CRATE, HandWork.CRATE, HandWork.SERVE_MACHINE))})
        AND p.answer -> 'values' -> 'transfers' ? t.transfer_id)
    GROUP BY t.transfer_id ORDER BY min(s.at)""")


class ToPack(NamedTuple):
    """A copy that waits for its crate."""

    transfer_id: str
    copy_id: str
    to_place_id: str


def to_pack(connection: Connection, place: str, now: datetime) -> list[ToPack]:
    """Return the copies that were taken at a place and lie in no closed crate yet, in the order in which they were taken."""
    return [ToPack(*row) for row in connection.execute(_TO_PACK, {"place": place, "since": now - PACKED_WITHIN})]


def close_crate(branch: Branch, scan: HandScan) -> HandAnswer:
    """Close the crate of a label with all that was taken since the last one, for the hub that sorts it."""
    packed, hub = to_pack(branch.connection, scan.place_id, scan.at), branch.network.hub_of(scan.place_id)
    if at := in_use(branch.connection, scan):
        twice = at == scan.place_id and not packed
        raise Refused(
            "closed_before" if twice else "crate_in_use", Tone.INFO if twice else Tone.BAD, crate=scan.code, at=at
        )
    if not packed:
        raise Refused("crate_empty", Tone.INFO, crate=scan.code)
    to = hub or scan.place_id
    facts = closing(scan, to, packed)
    values = {"crate": scan.code, "to": to, "copies": len(packed), "transfers": [one.transfer_id for one in packed]}
    return HandAnswer("crate_closed", Tone.GOOD, values, facts, scan.code)


def closing(scan: HandScan, to: str, packed: Sequence[ToPack]) -> list[Fact]:
    """Return the facts of a scanned crate that is closed for a hub with these copies."""
    sent = [
        TransferSent(
            copy=one.copy_id, place=scan.place_id, to=one.to_place_id, transfer=one.transfer_id, crate=scan.code
        )
        for one in packed
    ]
    closed = CrateClosed(crate=scan.code, place=scan.place_id, to=to, copies=tuple(one.copy_id for one in packed))
    return [*sent, closed]


# Closed by a page, and its fact has not come round through Kafka yet.
_CLOSED = text(f"""
    SELECT s.place_id FROM scans s WHERE s.work = '{HandWork.CLOSE_CRATE}' AND s.subject = :crate AND s.at > :since
    AND s.answer ->> 'code' = 'crate_closed' LIMIT 1""")


def in_use(connection: Connection, scan: HandScan) -> str | None:
    """Return where a crate stands closed, or was last on its way; None where it is free, here or new."""
    last = connection.execute(select(crates).where(crates.c.crate_id == scan.code)).first()
    since = max(last.occurred_at, scan.at - PACKED_WITHIN) if last else scan.at - PACKED_WITHIN
    closed: str | None = connection.scalar(_CLOSED, {"crate": scan.code, "since": since})
    if closed or last is None:
        return closed
    free = last.type == CrateState.DELIVERED and last.place_id == scan.place_id
    return None if free else str(last.place_id)
