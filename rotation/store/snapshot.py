"""The night's world out of the database: copies, their stays on shelves, and who waits, as the arrays of `rebalancing.snapshot`.

Ids stop here: rows are numbered in the order of the ids, and `World` keeps the names. A column comes as one array, in the order
of the movements' primary key, so that a stay and what ended it are neighbours and no window is computed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.demand import observed
from rotation.movements import State
from rotation.network import Network, Place, Tier, distance_m
from rotation.rebalancing import snapshot as arrays

WEEK_S = 7 * 86_400
ARRAY_HEADER_BYTES = 20  # dimensions, nulls, type, length and lower bound of PostgreSQL's binary arrays
SORT_MEMORY_MB = 256  # sorts a million movements without a file
STATES = tuple(State)
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
class Names:
    """What the rows of the arrays are called; each sorted by id, so that the same world has the same rows."""

    titles: Sequence[str]
    places: Sequence[str]
    classes: Sequence[str]
    copies: Sequence[str]
    owners: Sequence[str]

    @cached_property
    def title_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.titles)}

    @cached_property
    def place_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.places)}


@dataclass(frozen=True)
class World:
    """A night's arrays with their names, and the network's time they stand for."""

    snapshot: arrays.Snapshot
    names: Names
    at: datetime

    def counted_at(self, copy_id: str, *, otherwise: int) -> int:
        """Return the row of the place whose shelf a copy counts on."""
        row = self._copy_row.get(copy_id)
        return otherwise if row is None else int(self.snapshot.copies.place[row])

    @cached_property
    def _copy_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names.copies)}


def world(
    connection: Connection[Any], network: Network, at: datetime, *, history_weeks: int, visited: Collection[str]
) -> World:
    """Read the world as it is at the network's time `at`; moves are possible between the places that are `visited`."""
    with connection.transaction():
        _freshen_statistics(connection)
        connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY_MB}MB'")
        names = _names(connection, network)
        _number_the_ids(connection, names)
        now_s = at.timestamp()
        classes = _rows(connection, _TITLES, _TITLE_ROW)["class"]
        rows = _listed(_rows(connection, _COPIES, _COPY_ROW), classes)
        since_s = now_s - history_weeks * WEEK_S
        stays = _stays(_rows(connection, _MOVEMENTS, _MOVEMENT_ROW, since_s), since_s, now_s)
        moved = _rows(connection, _MOVED, _MOVED_ROW)
        snapshot = arrays.Snapshot(
            titles=arrays.Titles.of(np.maximum(classes, 0)),
            copies=_copies(rows, stays, moved, now_s),
            places=_places(network, names, visited),
            exposure=_exposure(rows, stays, now_s),
            holds=_holds(connection),
        )
    return World(snapshot, names, at)


# What has grown by a fifth since PostgreSQL looked: after a flood of history its plans would take hours.
_OUTGROWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relname IN ('movements', 'copies', 'titles', 'holds', 'transfers', 'crates')
      AND n_mod_since_analyze > 0.2 * n_live_tup"""


def _freshen_statistics(connection: Connection[Any]) -> None:
    for (table,) in connection.execute(_OUTGROWN).fetchall():
        connection.execute(f"ANALYZE {table}")


# --- Rows as arrays ---------------------------------------------------------------------------------------------------------

Fields = list[tuple[str, str]]
Rows = NDArray[np.void]

_TITLES = """
    SELECT coalesce(c.row, -1) FROM titles t JOIN rows_titles r ON r.id = t.title_id
    LEFT JOIN rows_classes c ON c.id = t.class ORDER BY r.row"""
_TITLE_ROW: Fields = [("class", "<i4")]

# A copy on a shelf that is ordered elsewhere counts there, as if it were on its way.
_COPIES = """
    WITH promised AS (
        SELECT DISTINCT ON (copy_id) copy_id, to_place_id FROM transfers
        WHERE status IN ('proposed', 'approved', 'ordered') ORDER BY copy_id, created_at DESC)
    SELECT coalesce(t.row, -1), coalesce(p.row, -1), s.row, coalesce(o.row, 0), c.fixed::int4,
           extract(epoch FROM c.occurred_at)::float8
    FROM copies c JOIN rows_copies r ON r.id = c.copy_id
    LEFT JOIN promised m ON m.copy_id = c.copy_id AND c.state = 'on_shelf'
    JOIN rows_states s ON s.id = CASE WHEN m.copy_id IS NOT NULL THEN 'in_transit' ELSE c.state END
    LEFT JOIN rows_titles t ON t.id = c.title_id LEFT JOIN rows_owners o ON o.id = c.owner_id
    LEFT JOIN rows_places p ON p.id = coalesce(m.to_place_id,
        CASE WHEN c.state IN ('in_transit', 'picked') THEN coalesce(c.to_place_id, c.place_id) ELSE c.place_id END)
    ORDER BY r.row"""
_COPY_ROW: Fields = [
    ("title", "<i4"),
    ("place", "<i4"),
    ("state", "<i4"),
    ("owner", "<i4"),
    ("fixed", "<i4"),
    ("at_s", "<f8"),
]

_MOVEMENTS = """
    SELECT r.row, extract(epoch FROM m.occurred_at)::float8, s.row, coalesce(p.row, -1)
    FROM movements m JOIN rows_copies r ON r.id = m.copy_id JOIN rows_states s ON s.id = m.state
    JOIN copies c ON c.copy_id = m.copy_id LEFT JOIN rows_places p ON p.id = m.place_id
    WHERE m.occurred_at >= to_timestamp(%s) OR (m.occurred_at, m.sequence, m.source, m.event_id)
                                             = (c.occurred_at, c.sequence, c.source, c.event_id)
    ORDER BY r.row, m.occurred_at, m.sequence, m.source, m.event_id"""
_MOVEMENT_ROW: Fields = [("copy", "<i4"), ("at_s", "<f8"), ("state", "<i4"), ("place", "<i4")]

_MOVED = """
    SELECT DISTINCT ON (r.row) r.row, coalesce(p.row, -1), extract(epoch FROM t.changed_at)::float8
    FROM transfers t JOIN rows_copies r ON r.id = t.copy_id LEFT JOIN rows_places p ON p.id = t.from_place_id
    WHERE t.status = 'received' AND t.kind IN ('pick', 'placement')
    ORDER BY r.row, t.changed_at DESC"""
_MOVED_ROW: Fields = [("copy", "<i4"), ("from", "<i4"), ("at_s", "<f8")]

_HOLDS = """
    SELECT t.row, p.row, count(*)::int4
    FROM holds h JOIN rows_titles t ON t.id = h.title_id JOIN rows_places p ON p.id = h.place_id
    WHERE h.type = 'hold.placed' GROUP BY t.row, p.row ORDER BY t.row, p.row"""
_PAIR_ROW: Fields = [("title", "<i4"), ("place", "<i4"), ("number", "<i4")]


def _rows(connection: Connection[Any], query: str, row: Fields, *parameters: float) -> Rows:
    """Return a query's rows as one structured array; every column must be NOT NULL and as wide as `row` says.

    A message a row, as COPY sends them, took four times as long.
    """
    names = [f"c{column}" for column in range(len(row))]
    gathered = ", ".join(f"array_agg({name})" for name in names)
    with connection.cursor(binary=True) as cursor:
        cursor.execute(f"SELECT {gathered} FROM ({query}) rows ({', '.join(names)})", parameters or None)
        found = cursor.pgresult
        assert found
        columns = [_column(found.get_value(0, number), kind) for number, (_, kind) in enumerate(row)]
    rows = np.empty(len(columns[0]), row)
    for (name, _), column in zip(row, columns, strict=True):
        rows[name] = column
    return rows


def _column(array: bytes | None, kind: str) -> NDArray[Any]:
    """Return the elements of one of PostgreSQL's binary arrays: each comes after its length. None: there are none."""
    elements = np.dtype([("bytes", ">i4"), ("value", kind.replace("<", ">"))])
    return np.frombuffer(array or bytes(ARRAY_HEADER_BYTES), elements, offset=ARRAY_HEADER_BYTES)["value"]


def _listed(rows: Rows, classes: NDArray[np.int32]) -> Rows:
    """Return the copies with those of titles whose class the network no longer has as unlisted: shown, and not planned with."""
    listed = rows.copy()
    gone = np.append(classes < 0, True)[rows["title"]]
    listed["title"][gone] = -1
    return listed


def _names(connection: Connection[Any], network: Network) -> Names:
    def ids(query: str) -> list[str]:
        return [row[0] for row in connection.execute(query)]

    return Names(
        titles=ids('SELECT title_id FROM titles ORDER BY title_id COLLATE "C"'),
        places=sorted(network.place),
        classes=[c.id for c in network.classes],
        copies=ids('SELECT copy_id FROM copies ORDER BY copy_id COLLATE "C"'),
        owners=[owner.id for owner in network.owners],
    )


def _number_the_ids(connection: Connection[Any], names: Names) -> None:
    """Give each id its row, in temporary tables that go with the transaction."""
    tables = {
        "titles": names.titles, "places": names.places, "classes": names.classes, "copies": names.copies,
        "owners": names.owners, "states": STATES,
    }  # fmt: skip
    for name, ids in tables.items():
        connection.execute(f"CREATE TEMP TABLE rows_{name} (id text PRIMARY KEY, row int4 NOT NULL) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy(f"COPY rows_{name} FROM STDIN") as copy:
            for row, one in enumerate(ids):
                copy.write_row((one, row))
        connection.execute(f"ANALYZE rows_{name}")


# --- Stays: from one movement of a copy to its next -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stays:
    """One row a movement: how long it held, and whether a loan ended it. Seconds since 1970."""

    copy: NDArray[np.int32]
    place: NDArray[np.int32]
    since_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    on_shelf: NDArray[np.bool_]
    lent: NDArray[np.bool_]


def _stays(moves: Rows, since_s: float, now_s: float) -> _Stays:
    """Pair movements with the next; a copy that has not moved since `since_s` comes with its present stay, cut off there."""
    copy, at_s, state = (np.ascontiguousarray(moves[name]) for name in ("copy", "at_s", "state"))
    last = np.append(copy[1:] != copy[:-1], True) if len(copy) else np.zeros(0, np.bool_)
    until_s = np.where(last, now_s, np.roll(at_s, -1))
    following = np.where(last, -1, np.roll(state, -1))
    return _Stays(
        copy.astype(np.int32), moves["place"].astype(np.int32), np.maximum(at_s, since_s), until_s.astype(np.float64),
        state == STATES.index(State.ON_SHELF), following == STATES.index(State.ON_LOAN),
    )  # fmt: skip


def _exposure(rows: Rows, stays: _Stays, now_s: float) -> arrays.Exposure:
    """Return loans and shelf-weeks by title and place, of the copies whose title and place are known."""
    title = rows["title"].astype(np.int32)[stays.copy]
    told = stays.on_shelf & (title >= 0) & (stays.place >= 0)
    weeks = (stays.since_s[told] / WEEK_S, stays.until_s[told] / WEEK_S)
    return observed(title[told], stays.place[told], *weeks, stays.lent[told], now_s / WEEK_S)


def _copies(rows: Rows, stays: _Stays, moved: Rows, now_s: float) -> arrays.Copies:
    size = len(rows)
    planned = np.array([PLANNED_AS[state] for state in STATES], np.int8)
    moved_weeks, came_from = np.full(size, arrays.NEVER_WEEKS), np.full(size, -1)
    moved_weeks[moved["copy"]] = (now_s - moved["at_s"]) / WEEK_S
    came_from[moved["copy"]] = moved["from"]
    return arrays.Copies.of(
        rows["title"], rows["place"], planned[rows["state"]], owner=rows["owner"], fixed=rows["fixed"] != 0,
        moved_weeks=moved_weeks, came_from=came_from, arrived_weeks=_arrived_weeks(rows, stays, now_s),
        idle_weeks=_idle_weeks(stays, size),
    )  # fmt: skip


def _arrived_weeks(rows: Rows, stays: _Stays, now_s: float) -> NDArray[np.float64]:
    """Return the weeks since each copy came to its present place: the first stay after its last one elsewhere."""
    here = stays.place == rows["place"].astype(np.int32)[stays.copy]
    starts = np.append(True, (stays.copy[1:] != stays.copy[:-1]) | ~here[:-1])[: len(here)] & here
    since = np.where(np.isin(np.arange(len(rows)), stays.copy), now_s, rows["at_s"].astype(np.float64))
    since[stays.copy[starts]] = stays.since_s[starts]  # in order of time, so the last start stands
    weeks: NDArray[np.float64] = (now_s - since) / WEEK_S
    return weeks


def _idle_weeks(stays: _Stays, size: int) -> NDArray[np.float64]:
    """Return each copy's weeks on shelves since its last loan ended."""
    weeks = np.where(stays.on_shelf, stays.until_s - stays.since_s, 0.0) / WEEK_S
    total = np.cumsum(weeks)
    until_last_loan = np.zeros(size)
    first = np.append(True, stays.copy[1:] != stays.copy[:-1])[: len(weeks)]
    until_last_loan[stays.copy[first]] = (total - weeks)[first]
    until_last_loan[stays.copy[stays.lent]] = total[stays.lent]
    end = np.zeros(size)
    end[stays.copy] = total
    return np.maximum(end - until_last_loan, 0.0)


# --- Places and holds -------------------------------------------------------------------------------------------------------


def _holds(connection: Connection[Any]) -> arrays.Pairs:
    waiting = _rows(connection, _HOLDS, _PAIR_ROW)
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
