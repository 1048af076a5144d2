"""Self-service machines: the last report of each, and the visits that a night planned for them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from rotation.facts.lifecycle import AlertKind
from rotation.store.tables import machine_visits


class MachineReport(NamedTuple):
    """A self-service machine's last report."""

    place_id: str
    at: datetime
    bin_copies: int
    free_slots: int
    fault: str | None


class MachineVisit(NamedTuple):
    """The reason for a van's call at a machine, the machine's figures, and the copies in its bin (0: it need not be emptied)."""

    place_id: str
    why: AlertKind
    numbers: Mapping[str, Any]
    bin_copies: int = 0
    crates: tuple[str, ...] = ()


def visits_of(connection: Connection, day: date) -> list[MachineVisit]:
    """Return a day's visits by place, with the numbers of their crates."""
    rows = connection.execute(
        select(machine_visits).where(machine_visits.c.day == day).order_by(machine_visits.c.place_id)
    )
    return [MachineVisit(row.place_id, AlertKind(row.why), row.numbers, 0, tuple(row.crates)) for row in rows]
