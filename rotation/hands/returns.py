"""The returns desk: where the copy in somebody's hand goes, and why; staff may say otherwise, with a reason that counts."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, text

from rotation import dispatch
from rotation.dispatch import write_back
from rotation.dispatch.write_back import WriteBackCause
from rotation.facts.events import CopyFound, Fact
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import MAY_BE_CANCELLED, TransferKind, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.hands import receiving
from rotation.hands.copies import about, copy_of
from rotation.hands.desk import Desk
from rotation.hands.directions import Direction
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.network import Network
from rotation.store.engine import driver
from rotation.store.tables import transfers

WHYS = ("reader_asked", "event_here", "damaged_copy", "shelf_full", "other")  # reasons to overrule
OVERRULED = "overruled"  # code of the reason
COUNTED_DAYS = 28


def answer(connection: Connection, network: Network, desk: Desk, scan: HandScan) -> HandAnswer:
    """Say where a returned copy goes; one that was on its way here is received."""
    copy = copy_of(connection, scan.code)
    arrives = copy.state == CopyState.IN_TRANSIT and copy.to_place_id and network.place[scan.place_id].hub is None
    if arrives:
        return receiving.receive(connection, network, scan, None)
    if kept := _overruled(connection, scan, copy.copy_id):
        return HandAnswer("keep", Tone.GOOD, _values(copy, scan.place_id, kept), subject=copy.copy_id)
    facts: tuple[Fact, ...] = ()
    if copy.state == CopyState.MISSING:
        facts = (CopyFound(copy=copy.copy_id, place=scan.place_id),)
    elif (
        copy.state == CopyState.ON_LOAN or copy.place_id != scan.place_id
    ):  # the library system has not heard of its return
        cause = WriteBackCause(scan.scan_id, copy.copy_id, scan.place_id, None, scan.at)
        write_back.ask(driver(connection).cursor(), write_back.CHECKS_IN, [cause])
    return _said(copy, scan, desk.place(copy.copy_id, scan.place_id, connection, scan.received_at), facts)


def _said(copy: Row[Any], scan: HandScan, direction: Direction, facts: tuple[Fact, ...]) -> HandAnswer:
    values = _values(copy, direction.to, direction.reason)
    if direction.to != scan.place_id:
        return HandAnswer("send", Tone.INFO, values, facts, direction.transfer or copy.copy_id)
    if "hold" in direction.reason:
        return HandAnswer("hold", Tone.WARN, values, facts, copy.copy_id)
    return HandAnswer("keep", Tone.GOOD, values, facts, copy.copy_id)


def _values(copy: Row[Any], to: str, reason: Any) -> dict[str, Any]:
    return {**about(copy), "copy": copy.copy_id, "to": to, "reason": dict(reason)}


_KEPT = text(f"""
    SELECT answer -> 'values' -> 'reason' FROM scans WHERE subject = :copy AND place_id = :place
    AND work = '{HandWork.OVERRULE}' AND answer ->> 'code' = 'keep' AND at > :since ORDER BY at DESC LIMIT 1""")
KEPT_WITHIN = timedelta(hours=12)  # what was decided at the desk this morning holds when the copy is scanned again


def _overruled(connection: Connection, scan: HandScan, copy: str) -> Any:
    """Return the reason for which somebody decided of late that a copy stays here."""
    asked = {"copy": copy, "place": scan.place_id, "since": scan.at - KEPT_WITHIN}
    return connection.scalar(_KEPT, asked)


_OPEN = text(
    f"SELECT transfer_id, to_place_id FROM transfers WHERE copy_id = :copy AND status IN ({listed(MAY_BE_CANCELLED)})"
)


def overrule(connection: Connection, network: Network, scan: HandScan, to: str, why: str) -> HandAnswer:
    """Send a copy elsewhere than was answered, or keep it: its open transfers are called off, and the reason is counted."""
    if to not in network.place or why not in WHYS:
        raise Refused("not_understood")
    copy = copy_of(connection, scan.code)
    before = connection.execute(_OPEN, {"copy": copy.copy_id}).all()
    dispatch.orders.cancel(connection, [row.transfer_id for row in before], scan.at)
    reason = {"code": OVERRULED, "why": why, "by": scan.who, "was": before[0].to_place_id if before else scan.place_id}
    values = _values(copy, to, reason) | {"why": why}
    if to == scan.place_id:
        return HandAnswer("keep", Tone.GOOD, values, subject=copy.copy_id)
    transfer = f"desk-{scan.scan_id}"
    row = {
        "transfer_id": transfer,
        "copy_id": copy.copy_id,
        "title_id": copy.title_id,
        "from_place_id": scan.place_id,
        "to_place_id": to,
        "kind": TransferKind.PLACEMENT,
        "status": TransferState.ORDERED,
        "day": network.day_of(scan.at),
        "reason": reason,
        "created_at": scan.at,
        "changed_at": scan.at,
    }
    connection.execute(insert(transfers), row)
    return HandAnswer("send", Tone.INFO, values, subject=transfer)


_WHYS = text(f"""
    SELECT answer -> 'values' ->> 'why', count(*) FROM scans
    WHERE place_id = :place AND work = '{HandWork.OVERRULE}' AND answer -> 'values' ? 'why' AND at > :since GROUP BY 1""")


def overruled(connection: Connection, place: str, now: datetime) -> Counter[str]:
    """Count a desk's reasons to overrule, over four weeks."""
    rows = connection.execute(_WHYS, {"place": place, "since": now - timedelta(days=COUNTED_DAYS)})
    return Counter({row[0]: row[1] for row in rows})
