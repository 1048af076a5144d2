"""A self-service machine, which the driver alone serves: its bin is emptied, its slots filled, ordered copies taken out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, text

from rotation.dispatch.scans import go_on
from rotation.facts.events import CrateCollected, Fact, MachineReported, TransferReceived
from rotation.facts.lifecycle import StopState, TransferState
from rotation.facts.movements import CopyState
from rotation.hands import driving, picking, receiving
from rotation.hands.copies import copy_of
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.hands.driving import StopWork
from rotation.hands.pick_list import PickLine, PickProgress, pick_list
from rotation.hands.picking import Branch
from rotation.network import Network, PlaceKind
from rotation.store.engine import driver
from rotation.store.machines import MachineReport, MachineVisit, visits_of
from rotation.store.tables import crates, machines
from rotation.store.transitions import move


class MachineCounts(NamedTuple):
    """A driver's counts at a machine: copies out of the bin and into slots, slots free at the end, whether it is at fault."""

    from_bin: int
    into_slots: int
    free_slots: int
    at_fault: bool


@dataclass(frozen=True, slots=True)
class MachineWork:
    """A machine as a driver finds it: its room, its last report, why the van calls, copies to take out, and copies to put in."""

    slots: int
    bin_holds: int | None
    report: MachineReport | None
    visit: MachineVisit | None
    take_out: tuple[PickLine, ...]
    put_in: int

    @property
    def too_many(self) -> int:
        """How many of the copies to put in find no free slot."""
        free = self.report.free_slots if self.report else self.slots
        return max(self.put_in - free - len(self.take_out), 0)


def is_machine(network: Network, place: str) -> bool:
    """Whether a place is a self-service machine."""
    return place in network.place and network.place[place].kind is PlaceKind.MACHINE


def machine_work(branch: Branch, place_id: str, day: date, now: datetime, work: StopWork) -> MachineWork | None:
    """Return the work at a machine beside its crates; None where a place is no machine."""
    connection, network = branch.connection, branch.network
    if not is_machine(network, place_id):
        return None
    place = network.place[place_id]
    lines = pick_list(connection, network, place_id, now, branch.trace_days).lines
    return MachineWork(
        slots=place.room,
        bin_holds=place.bin,
        report=_report(connection, place_id),
        visit=next((one for one in visits_of(connection, day) if one.place_id == place_id), None),
        take_out=tuple(line for line in lines if line.progress is PickProgress.OPEN and not line.looked),
        put_in=len(_inside(connection, place_id, work.hand_over)),
    )


def _report(connection: Connection, place_id: str) -> MachineReport | None:
    columns = (
        machines.c.place_id,
        machines.c.occurred_at,
        machines.c.bin_copies,
        machines.c.free_slots,
        machines.c.fault,
    )
    row = connection.execute(select(*columns).where(machines.c.place_id == place_id)).first()
    return MachineReport(*row) if row else None


# Copies on their way to a place in some crates, each with its transfer if that is ours.
_INSIDE = text(f"""
    SELECT c.copy_id, (
        SELECT t.transfer_id FROM transfers t WHERE t.copy_id = c.copy_id AND t.status = '{TransferState.SENT}'
        AND t.transfer_id NOT LIKE '{receiving.OWN}%' ORDER BY t.changed_at DESC, t.transfer_id LIMIT 1) AS transfer_id
    FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id)
    JOIN copies c ON c.copy_id = inside.copy_id AND c.state = '{CopyState.IN_TRANSIT}' AND c.to_place_id = :place
    WHERE r.crate_id = ANY(:crates) AND jsonb_typeof(r.copies) = 'array' ORDER BY c.copy_id""")


def _inside(connection: Connection, place: str, numbers: Sequence[str]) -> list[tuple[str, str | None]]:
    rows = connection.execute(_INSIDE, {"place": place, "crates": list(numbers)})
    return [(row.copy_id, row.transfer_id) for row in rows]


def scan_there(branch: Branch, scan: HandScan) -> HandAnswer:
    """Follow a scan at a machine: a copy is taken out of its slot or put into it, a crate handed over or taken.

    Copies taken out since the last crate lie in the crate that is taken.
    """
    work = driving.stop_work(branch.connection, scan.run_id or "", scan.place_id)
    is_label = scan.code in {*work.hand_over, *work.take, *work.done} or _is_crate(branch.connection, scan.code)
    if not is_label and (copy := _copy(branch, scan)):
        return copy
    answer = driving.crate(branch.connection, branch.network, scan)
    if not any(isinstance(fact, CrateCollected) for fact in answer.facts):
        return answer
    closed, packed = _closed(branch, scan)
    return replace(answer, facts=[*closed, *answer.facts], values={**answer.values, "transfers": packed})


def _is_crate(connection: Connection, code: str) -> bool:
    return connection.scalar(select(crates.c.crate_id).where(crates.c.crate_id == code)) is not None


def _copy(branch: Branch, scan: HandScan) -> HandAnswer | None:
    """Answer a copy; None where the code names none, so that it is a crate's label."""
    try:
        copy = copy_of(branch.connection, scan.code)
    except Refused as refused:
        if refused.answer.code == "unknown_code":
            return None
        raise
    if copy.state == CopyState.IN_TRANSIT:
        return receiving.receive(branch.connection, branch.network, scan, None)
    return picking.found(branch, scan)


def _closed(branch: Branch, scan: HandScan) -> tuple[list[Fact], list[str]]:
    """Return the facts of a crate closed with all that was taken out, and its transfers; none where nothing was."""
    packed = picking.to_pack(branch.connection, scan.place_id, scan.at)
    to = branch.network.hub_of(scan.place_id) or scan.place_id
    return picking.closing(scan, to, packed) if packed else [], [one.transfer_id for one in packed]


def serve(branch: Branch, scan: HandScan, counts: MachineCounts) -> HandAnswer:
    """Note a machine as its driver leaves it: the bin's copies in the crate `scan.code`, the crates' copies in slots.

    The copies of the crates handed over are received where as many were put into slots; else each has to be scanned.
    """
    connection, place = branch.connection, branch.network.place.get(scan.place_id)
    if place is None or place.kind is not PlaceKind.MACHINE:
        raise Refused("not_a_machine", to=scan.place_id)
    work = driving.stop_work(connection, driving.checked(connection, scan), scan.place_id)
    if counts.free_slots > place.room:
        raise Refused("more_free_than_slots", Tone.WARN, slots=place.room)
    taken = _bin(branch, scan, counts)
    inside = _inside(connection, scan.place_id, [one for one in work.hand_over if one in work.done])
    fits = counts.into_slots == len(inside)
    last = _report(connection, scan.place_id)
    facts: list[Fact] = [
        *taken.facts,
        *(TransferReceived(copy=copy, place=scan.place_id, transfer=ours) for copy, ours in inside if fits),
        MachineReported(
            place=scan.place_id,
            bin_copies=0,
            free_slots=counts.free_slots,
            fault=((last.fault if last else None) or "seen_by_driver") if counts.at_fault else None,
        ),
    ]
    if work.left == 0 and not taken.facts:
        _call_is_done(connection, scan)
    values = {**taken.values, **counts._asdict(), "to": scan.place_id, "expected": len(inside)}
    code, tone = ("machine_served", Tone.GOOD) if fits else ("slots_differ", Tone.WARN)
    return HandAnswer(code, tone, values, facts, scan.code or scan.place_id)


def _bin(branch: Branch, scan: HandScan, counts: MachineCounts) -> HandAnswer:
    """Return the facts of the crate with the bin's copies and those taken out of slots; none without either."""
    packed = picking.to_pack(branch.connection, scan.place_id, scan.at)
    if not scan.code:
        if counts.from_bin:
            raise Refused("bin_wants_a_crate", Tone.WARN, from_bin=counts.from_bin)
        return HandAnswer("", Tone.GOOD)
    if at := picking.in_use(branch.connection, scan):
        raise Refused("crate_in_use", crate=scan.code, at=at)
    to = branch.network.hub_of(scan.place_id) or scan.place_id
    facts = [*picking.closing(scan, to, packed), CrateCollected(crate=scan.code, place=scan.place_id, run=scan.run_id)]
    values = {"crate": scan.code, "crates": [scan.code], "transfers": [one.transfer_id for one in packed]}
    return HandAnswer("", Tone.GOOD, values, facts)


def _call_is_done(connection: Connection, scan: HandScan) -> None:
    """Close a stop at which there was nothing to hand over or take."""
    mine = "own.run_id = %(run)s AND own.place_id = %(place)s"
    move(connection, StopState.DONE, mine, values="done_at = %(at)s", run=scan.run_id, place=scan.place_id, at=scan.at)
    go_on(driver(connection).cursor(), [scan.run_id or ""])
