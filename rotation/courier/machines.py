"""Visits at self-service machines beside the copies that are carried: full bins are emptied, empty machines filled.

A bin's copies have no transfer yet, so that its crates hold none; a van calls for them all the same. The hub sorts them.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.postgresql import insert

from rotation.courier.calendar import Calendar
from rotation.courier.crates import Crate
from rotation.facts.lifecycle import LegKind
from rotation.network import Network
from rotation.store.machines import MachineVisit, visits_of
from rotation.store.tables import machine_visits


def bin_crates(due: Iterable[MachineVisit], made: Sequence[Crate], calendar: Calendar, day: date) -> list[Crate]:
    """Return the crates that the bins of machines fill where a van can call that day, numbered after those `made` already."""
    size = calendar.network.network.copies_per_crate
    return [
        crate
        for visit in due
        if visit.bin_copies and calendar.call(visit.place_id, day)
        for crate in _crates(calendar.network, visit.place_id, day, -(-visit.bin_copies // size), made)
    ]


def _crates(network: Network, place: str, day: date, number: int, made: Iterable[Crate]) -> list[Crate]:
    first = 1 + sum(one.kind is LegKind.COLLECT and (one.from_place, one.day) == (place, day) for one in made)
    return [_bin_crate(network, place, day, f"c-{day:%Y%m%d}-{place}-{n}") for n in range(first, first + number)]


def _bin_crate(network: Network, place: str, day: date, crate: str) -> Crate:
    return Crate(crate, LegKind.COLLECT, place, network.hub_of(place) or place, day, (), network.network.bags_per_crate)


def keep(connection: Connection, day: date, due: Collection[MachineVisit], made: Iterable[Crate]) -> None:
    """Keep a day's visits, each with the numbers of its bin's crates, in place of those that were planned before."""
    planned = [one for one in made if one.day == day and not one.transfers]
    mine = machine_visits.c.day == day
    connection.execute(
        delete(machine_visits).where(mine, machine_visits.c.place_id.not_in([one.place_id for one in due]))
    )
    for visit in due:
        numbers = [one.id for one in planned if one.from_place == visit.place_id]
        values = {"why": visit.why, "numbers": dict(visit.numbers), "crates": numbers}
        row = insert(machine_visits).values(day=day, place_id=visit.place_id, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["day", "place_id"], set_=values))


def crates_of(connection: Connection, network: Network, day: date, hub: str) -> list[Crate]:
    """Return the crates of bins that a hub's vans fetch on a planned day."""
    mine = [one for one in visits_of(connection, day) if network.hub_of(one.place_id) == hub]
    return [_bin_crate(network, one.place_id, day, crate) for one in mine for crate in one.crates]
