"""Rules about self-service machines: nearly empty, return bin full, out of order."""

from collections.abc import Iterator

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.facts.lifecycle import AlertKind
from rotation.store.machines import MachineReport

REPORTS = """
SELECT place_id, occurred_at, bin_copies, free_slots, fault FROM machines
WHERE %(places)s::text[] IS NULL OR place_id = ANY(%(places)s)"""


def reported(count: Count) -> Iterator[AlertFinding]:
    """A self-service machine is nearly empty, its return bin is full, or it is out of order; places left out have no machine."""
    for row in count.cursor.execute(REPORTS, {"places": count.places}).fetchall():
        report = MachineReport(*row)
        if place := count.network.place.get(report.place_id):
            yield from machine_findings(report, place.room, place.bin)


def machine_findings(report: MachineReport, slots: int, bin_holds: int | None) -> Iterator[AlertFinding]:
    """Judge a machine's report; `bin_holds` None: the network does not say how much fits into its bin."""
    at, reported = report.place_id, {"reported": report.at.isoformat()}
    if slots:
        filled = max(slots - report.free_slots, 0)
        verdict = levels.nearly_empty(filled, slots)
        numbers = {"filled": filled, "free": report.free_slots, "slots": slots, **reported}
        yield AlertFinding(AlertKind.NEARLY_EMPTY, at, "", verdict, numbers)
    if bin_holds:
        numbers = {"copies": report.bin_copies, "holds": bin_holds, **reported}
        yield AlertFinding(AlertKind.BIN_FULL, at, "", levels.bin_full(report.bin_copies, bin_holds), numbers)
    numbers = {"fault": report.fault or "", **reported}
    yield AlertFinding(AlertKind.OUT_OF_ORDER, at, "", levels.out_of_order(report.fault), numbers)
