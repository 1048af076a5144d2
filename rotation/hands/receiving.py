"""Receiving: a whole crate whose copies were counted, or copy by copy; a copy at the wrong place is sent on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select, text

from rotation.dispatch import receipts
from rotation.facts.events import CopyFound, Fact, TransferMisrouted, TransferReceived
from rotation.facts.lifecycle import TransferState
from rotation.facts.movements import CopyState
from rotation.hands import bags
from rotation.hands.copies import about, copy_of
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.network import Network
from rotation.store.engine import driver
from rotation.store.tables import crates

OWN = "own:"  # before the copy's id: a shipment of the library system that bears no id of its own


def receive(connection: Connection, network: Network, scan: HandScan, counted: int | None) -> HandAnswer:
    """Receive the crate or copy that a code names: a crate once its copies were `counted` (None: only say how many to expect)."""
    scan = replace(scan, code=bags.crate_of(connection, scan.code))
    if connection.scalar(select(crates.c.crate_id).where(crates.c.crate_id == scan.code)):
        return _crate(connection, network, scan, counted)
    return _copy(connection, scan)


def _crate(connection: Connection, network: Network, scan: HandScan, counted: int | None) -> HandAnswer:
    try:
        arrived = receipts.arrived(driver(connection), network, scan.code, scan.at, scan.place_id)
    except receipts.NotReceived as wrong:
        raise Refused(f"crate_{wrong.obstacle}", crate=scan.code, at=wrong.at, to=wrong.to) from wrong
    words = {"crate": scan.code, "copies": arrived.copies, "counted": counted}
    if not arrived.copies:
        return HandAnswer("crate_received_before", Tone.INFO, words, subject=scan.code)
    if counted is None:
        return HandAnswer("crate_to_count", Tone.INFO, words, subject=scan.code)
    if counted != arrived.copies:
        return HandAnswer(
            "count_differs", Tone.WARN, {**words, "differs": abs(arrived.copies - counted)}, subject=scan.code
        )
    receipts.receive(driver(connection), network, scan.code, who=scan.who, at=scan.at, place=scan.place_id)
    return HandAnswer("crate_received", Tone.GOOD, words, subject=scan.code)


# The last transfer of a copy that is on its way, with the hold that it is for, and where the copy will stand.
_SENT = text(f"""
    SELECT t.transfer_id, t.reason ->> 'hold' AS hold FROM transfers t
    WHERE t.copy_id = :copy AND t.status = '{TransferState.SENT}' ORDER BY t.changed_at DESC, t.transfer_id LIMIT 1""")
_STANDS = text("SELECT room, shelf FROM shelvings WHERE copy_id = :copy")


def _copy(connection: Connection, scan: HandScan) -> HandAnswer:
    copy = copy_of(connection, scan.code)
    words = {**about(copy), "at": copy.place_id, "to": copy.to_place_id or "", "state": copy.state}
    if copy.state == CopyState.IN_TRANSIT and copy.to_place_id:
        return _travelled(connection, scan, copy, words)
    if copy.state == CopyState.MISSING:
        found = CopyFound(copy=copy.copy_id, place=scan.place_id)
        return HandAnswer("found_again", Tone.GOOD, words, (found,), copy.copy_id)
    if copy.place_id == scan.place_id:
        return HandAnswer("received_before", Tone.INFO, words, subject=copy.copy_id)
    raise Refused("not_awaited", Tone.WARN, **words)


def _travelled(connection: Connection, scan: HandScan, copy: Row[Any], words: dict[str, Any]) -> HandAnswer:
    """Receive a copy that was on its way: here, or on its way still, since it is for another place."""
    sent = connection.execute(_SENT, {"copy": copy.copy_id}).first()
    ours = sent.transfer_id if sent and not sent.transfer_id.startswith(OWN) else None
    if copy.to_place_id != scan.place_id:
        astray = TransferMisrouted(copy=copy.copy_id, place=scan.place_id, to=copy.to_place_id, transfer=ours)
        return HandAnswer("misrouted", Tone.WARN, words, (astray,), copy.copy_id)
    facts: Sequence[Fact] = (TransferReceived(copy=copy.copy_id, place=scan.place_id, transfer=ours),)
    if sent and sent.hold:
        return HandAnswer("received_hold", Tone.WARN, words, facts, copy.copy_id)
    stands = connection.execute(_STANDS, {"copy": copy.copy_id}).first()
    where = " ".join(filter(None, stands)) if stands else ""
    return HandAnswer("received_here", Tone.GOOD, {**words, "stands": where}, facts, copy.copy_id)
