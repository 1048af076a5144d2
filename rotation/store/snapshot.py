"""The night's world out of the database: copies, their stays on shelves, and who waits, as the arrays of `rebalancing.snapshot`.

Ids stop here: rows are numbered in the order of the ids, and `World` keeps the names. A column comes as one array, in the order
of the movements' primary key, so that a stay and what ended it are neighbours and no window is computed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.movements import State
from rotation.network import Network, Place, Tier, distance_m
from rotation.rebalancing import snapshot as arrays
from rotation.store.reading import STATES, Fields, Names, Read, Rows, fetched, read
from rotation.store.stays import WEEK_S, Stays, arrived_weeks, exposure, idle_weeks, stays_of

SORT_MEMORY_MB = 256  # sorts a million movements without a file
HANDLING_LOANS = 0.04  # a copy's handling at one end, in loans: some 20 s of the staff time that a loan is worth
PER_KM_LOANS = 0.005  # a copy's share of a kilometre between its place and the hub, in loans

PLANNED_AS = {
    State.ON_SHELF: arrays.State.ON_SHELF,
    State.ON_LOAN: arrays.State.ON_LOAN,
    State.ON_HOLD_SHELF: arrays.State.RESERVED,
    State.PICKED: arrays.State.RESERVED,
    State.IN_TRANSIT: arrays.State.IN_TRANSIT,
    State.DAMAGED: arrays.State.ABSENT,
    State.MISSING: arrays.State.ABSENT,
    State.WITHDRAWN: arrays.State.ABSENT,
}


@dataclass(frozen=True)
class World:
    """A night's arrays with their names, and the network's time they stand for."""

    snapshot: arrays.Snapshot
    names: Names
    at: datetime
    read: Read

    def counted_at(self, copy_id: str, *, otherwise: int) -> int:
        """Return the row of the place whose shelf a copy counts on."""
        row = self.names.copy_row.get(copy_id)
        return otherwise if row is None else int(self.snapshot.copies.place[row])


def world(
    connection: Connection[Any],
    network: Network,
    at: datetime,
    *,
    history_weeks: int,
    visited: Collection[str],
    last: World | None = None,
) -> World:
    """Read the world as it is at the network's time `at`; moves are possible between the places that are `visited`.

    With `last`, an earlier world of the same database and network, only copies touched since are read; the result is the same.
    """
    now_s = at.timestamp()
    since_s = round(now_s - history_weeks * WEEK_S, 6)  # PostgreSQL's times are whole microseconds
    with connection.transaction():
        _freshen_statistics(connection)
        connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY_MB}MB'")
        names, found = read(connection, network, since_s, (last.names, last.read) if last else None)
        classes = fetched(connection, _TITLES, _TITLE_ROW)["class"]
        rows = _promised(connection, names, _listed(found.copies, classes))
        stays = stays_of(found.moves, since_s, now_s)
        snapshot = arrays.Snapshot(
            titles=arrays.Titles.of(np.maximum(classes, 0)),
            copies=_copies(rows, stays, _moved(connection, names), now_s),
            places=_places(network, names, visited),
            exposure=exposure(rows, stays, now_s),
            holds=_holds(connection),
        )
    return World(snapshot, names, at, found)


# What has grown by a fifth since PostgreSQL looked: after a flood of history its plans would take hours.
_OUTGROWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relname IN ('movements', 'copies', 'titles', 'holds', 'transfers', 'crates')
      AND n_mod_since_analyze > 0.2 * n_live_tup"""


def _freshen_statistics(connection: Connection[Any]) -> None:
    for (table,) in connection.execute(_OUTGROWN).fetchall():
        connection.execute(f"ANALYZE {table}")


# --- Rows as arrays ---------------------------------------------------------------------------------------------------------

_TITLES = "SELECT coalesce(c.row, -1) FROM rows_titles r LEFT JOIN rows_classes c ON c.id = r.class ORDER BY r.row"
_TITLE_ROW: Fields = [("class", "<i4")]

_PROMISED = """
    SELECT DISTINCT ON (t.copy_id) t.copy_id, coalesce(p.row, -1)
    FROM transfers t LEFT JOIN rows_places p ON p.id = t.to_place_id
    WHERE t.status IN ('proposed', 'approved', 'ordered') ORDER BY t.copy_id, t.created_at DESC"""
_PROMISED_ROW: Fields = [("copy", "<i4"), ("to", "<i4")]

_MOVED = """
    SELECT DISTINCT ON (t.copy_id) t.copy_id, coalesce(p.row, -1), date_part('epoch', t.changed_at)
    FROM transfers t LEFT JOIN rows_places p ON p.id = t.from_place_id
    WHERE t.status = 'received' AND t.kind IN ('pick', 'placement')
    ORDER BY t.copy_id, t.changed_at DESC"""
_MOVED_ROW: Fields = [("copy", "<i4"), ("from", "<i4"), ("at_s", "<f8")]

_HOLDS = """
    SELECT t.row, p.row, count(*)::int4
    FROM holds h JOIN rows_titles t ON t.id = h.title_id JOIN rows_places p ON p.id = h.place_id
    WHERE h.type = 'hold.placed' GROUP BY t.row, p.row ORDER BY t.row, p.row"""
_PAIR_ROW: Fields = [("title", "<i4"), ("place", "<i4"), ("number", "<i4")]


def _listed(rows: Rows, classes: NDArray[np.int32]) -> Rows:
    """Return the copies with those of titles whose class the network no longer has as unlisted: shown, and not planned with."""
    listed = rows.copy()
    gone = np.append(classes < 0, True)[rows["title"]]
    listed["title"][gone] = -1
    return listed


def _of_copies(connection: Connection[Any], names: Names, query: str, row: Fields) -> Rows:
    """Return a query's rows, whose first column is a copy's id, of the copies that are known."""
    found = connection.execute(query).fetchall()
    known = [(names.copy_row[copy], *rest) for copy, *rest in found if copy in names.copy_row]
    return np.array(known, row)


def _promised(connection: Connection[Any], names: Names, rows: Rows) -> Rows:
    """Return the copies with those on a shelf that are ordered elsewhere as if they were on their way: they count there."""
    promised = _of_copies(connection, names, _PROMISED, _PROMISED_ROW)
    going = promised[rows["state"][promised["copy"]] == STATES.index(State.ON_SHELF)]
    rows["place"][going["copy"]], rows["state"][going["copy"]] = going["to"], STATES.index(State.IN_TRANSIT)
    return rows


def _moved(connection: Connection[Any], names: Names) -> Rows:
    """Return whence and when rotation last moved copies."""
    return _of_copies(connection, names, _MOVED, _MOVED_ROW)


def _copies(rows: Rows, stays: Stays, moved: Rows, now_s: float) -> arrays.Copies:
    size = len(rows)
    planned = np.array([PLANNED_AS[state] for state in STATES], np.int8)
    moved_weeks, came_from = np.full(size, arrays.NEVER_WEEKS), np.full(size, -1)
    moved_weeks[moved["copy"]] = (now_s - moved["at_s"]) / WEEK_S
    came_from[moved["copy"]] = moved["from"]
    return arrays.Copies.of(
        rows["title"], rows["place"], planned[rows["state"]], owner=rows["owner"], fixed=rows["fixed"] != 0,
        moved_weeks=moved_weeks, came_from=came_from, arrived_weeks=arrived_weeks(rows, stays, now_s),
        idle_weeks=idle_weeks(stays, size),
    )  # fmt: skip


# --- Places and holds -------------------------------------------------------------------------------------------------------


def _holds(connection: Connection[Any]) -> arrays.Pairs:
    waiting = fetched(connection, _HOLDS, _PAIR_ROW)
    return arrays.Pairs.of(waiting["title"], waiting["place"], waiting["number"])


def _places(network: Network, names: Names, visited: Collection[str]) -> arrays.Places:
    places = [network.place[name] for name in names.places]
    open_that_day = np.array([place.id in visited for place in places])
    room = np.array([[place.shelf.get(c, -1 if not place.shelf else 0) for c in names.classes] for place in places])
    trip = np.array([_trip_loans(network, place) for place in places])
    daily = np.where(open_that_day, np.array([DAILY_COPIES[place.tier] for place in places]), 0)
    return arrays.Places.of(
        [list(Tier).index(place.tier) for place in places], [place.population for place in places],
        classes=len(names.classes), room=room.reshape(len(places), -1), in_copies=daily, out_copies=daily,
        in_cost=trip, out_cost=trip, fresh_quota=0,
    )  # fmt: skip


DAILY_COPIES = {
    Tier.CENTRAL: 400,
    Tier.DISTRICT: 200,
    Tier.SUBDISTRICT: 80,
    Tier.ROOM: 40,
}  # what a place's staff can pick or shelve


def _trip_loans(network: Network, place: Place) -> float:
    hub = network.hub_of(place.id)
    if hub is None or not place.located or not network.place[hub].located:
        return HANDLING_LOANS
    return HANDLING_LOANS + PER_KM_LOANS * distance_m(place, network.place[hub]) / 1000
