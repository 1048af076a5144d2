"""Self-service machines in the night: which of them want a visit, and which of the day's copies that concerns.

A full bin is a call of the routing's own (`rotation.courier.machines`). Since a van calls anyway, or should, copies for such a
machine need not pay for the visit; nothing leaves a nearly empty machine, and copies brought to it have to go. No machine gets
more than it has slots free, and one that is out of order gets nothing.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, select

from rotation.alerts.levels import AlertVerdict
from rotation.alerts.machines import machine_findings
from rotation.facts.lifecycle import WANTS_VISIT, AlertKind
from rotation.network import Network
from rotation.night.world.world import NightWorld
from rotation.store.machines import MachineReport, MachineVisit
from rotation.store.tables import machines


def reports(connection: Connection, network: Network) -> list[MachineReport]:
    """Return the last report of each machine of the network, by place."""
    columns = (
        machines.c.place_id,
        machines.c.occurred_at,
        machines.c.bin_copies,
        machines.c.free_slots,
        machines.c.fault,
    )
    rows = connection.execute(select(*columns).order_by(machines.c.place_id))
    return [MachineReport(*row) for row in rows if row.place_id in network.place]


def due(connection: Connection, network: Network) -> list[MachineVisit]:
    """Return the machines that want a visit, by place; where the bin is full and the slots are empty, the bin is the reason."""
    return [visit for report in reports(connection, network) for visit in _wanted(network, report)]


def _wanted(network: Network, report: MachineReport) -> Iterator[MachineVisit]:
    place = network.place[report.place_id]
    findings = {one.kind: one for one in machine_findings(report, place.room, place.bin)}
    wants = [kind for kind in WANTS_VISIT if kind in findings and findings[kind].verdict is AlertVerdict.OPEN]
    if wants:
        in_bin = report.bin_copies if AlertKind.BIN_FULL in wants else 0
        yield MachineVisit(place.id, wants[0], findings[wants[0]].numbers, in_bin)


def heeded(connection: Connection, network: Network, found: NightWorld) -> NightWorld:
    """Return the night's world as machines' reports want it."""
    known = [one for one in reports(connection, network) if one.place_id in found.names.place_row]
    if not known:
        return found
    names = ("in_copies", "out_copies", "visit_price")
    places = replace(found.snapshot.places, **{name: getattr(found.snapshot.places, name).copy() for name in names})
    for report in known:
        row, wants = found.names.place_row[report.place_id], [one.why for one in _wanted(network, report)]
        places.in_copies[row] = 0 if report.fault else min(places.in_copies[row], report.free_slots)
        places.visit_price[row] *= not wants
        places.out_copies[row] *= AlertKind.NEARLY_EMPTY not in wants
    return replace(found, snapshot=replace(found.snapshot, places=places))
