"""Copies and their movements as arrays, read by what was touched: the first time every copy, later those written to since.

PostgreSQL tells by itself what was: each row bears the number of the transaction that wrote it (`xmin`). What is read of touched
copies takes the place of what was known of them, so that the whole is the same as if all had been read.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.movements import State
from rotation.network import Network

ARRAY_HEADER_BYTES = 20  # dimensions, nulls, type, length and lower bound of PostgreSQL's binary arrays
STATES = tuple(State)

Fields = list[tuple[str, str]]
Rows = NDArray[np.void]


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

    @cached_property
    def copy_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.copies)}


@dataclass(frozen=True)
class Read:
    """Copies and movements as they were read, by rows of the names: what the next reading need not read again.

    Transactions from `begin` on (PostgreSQL's number of the oldest that ran) may have written since. Movements before `since_s`
    are there only where they are their copy's last.
    """

    begin: int
    since_s: float
    copies: Rows
    moves: Rows


def read(
    connection: Connection[Any], network: Network, since_s: float, last: tuple[Names, Read] | None
) -> tuple[Names, Read]:
    """Read the copies that were touched since `last`, and number all ids in tables that go with the transaction.

    Movements before `since_s`, in seconds since 1970, are read only where they are their copy's last.
    """
    begin = _number(connection, "pg_snapshot_xmin(pg_current_snapshot())")
    _number_the_network(connection, network)
    if last and last[1].begin <= begin and last[1].since_s <= since_s:
        connection.execute(_NUMBER_COPIES + _TOUCHED.format(begin=f"'{last[1].begin % _XID_ROUND}'::xid"))
        names, found = _merged(connection, network, begin, since_s, *last)
        if len(names.copies) <= _number(connection, "(SELECT count(*) FROM copies)"):
            return names, found
        connection.execute("DROP TABLE rows_copies")  # some copies are gone, which none ever should
    connection.execute(_NUMBER_COPIES)
    return _merged(connection, network, begin, since_s, _NO_NAMES, _NOTHING)


# --- Rows as arrays ---------------------------------------------------------------------------------------------------------

_COPIES = """
    SELECT coalesce(t.row, -1), coalesce(p.row, -1), s.row, coalesce(o.row, -1), c.fixed::int4,
           (c.occurred_at IS NOT DISTINCT FROM c.added_at)::int4, date_part('epoch', c.occurred_at)
    FROM rows_copies r JOIN copies c ON c.copy_id = r.id JOIN rows_states s ON s.id = c.state
    LEFT JOIN rows_titles t ON t.id = c.title_id LEFT JOIN rows_owners o ON o.id = c.owner_id
    LEFT JOIN rows_places p ON p.id =
        CASE WHEN c.state IN ('in_transit', 'picked') THEN coalesce(c.to_place_id, c.place_id) ELSE c.place_id END
    ORDER BY r.row"""
_COPY_ROW: Fields = [
    ("title", "<i4"),
    ("place", "<i4"),
    ("state", "<i4"),
    ("owner", "<i4"),
    ("fixed", "<i4"),
    ("unmoved", "<i4"),
    ("at_s", "<f8"),
]

# Where a copy's last movement lies before the history, the copy's own row tells it.
_MOVEMENTS = """
    SELECT r.row, date_part('epoch', m.occurred_at), s.row, coalesce(p.row, -1)
    FROM rows_copies r JOIN (
        SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id FROM movements
        WHERE occurred_at >= to_timestamp(%s)
        UNION ALL SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id FROM copies
        WHERE occurred_at < to_timestamp(%s)) m ON m.copy_id = r.id
    JOIN rows_states s ON s.id = m.state LEFT JOIN rows_places p ON p.id = m.place_id
    ORDER BY r.row, m.occurred_at, m.sequence, m.source, m.event_id"""
_MOVEMENT_ROW: Fields = [("copy", "<i4"), ("at_s", "<f8"), ("state", "<i4"), ("place", "<i4")]


def fetched(connection: Connection[Any], query: str, row: Fields, *parameters: float) -> Rows:
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


# --- Ids and their rows -----------------------------------------------------------------------------------------------------

_NUMBER_TITLES = """
    CREATE TEMP TABLE rows_titles ON COMMIT DROP AS
    SELECT title_id AS id, class, (row_number() OVER (ORDER BY title_id COLLATE "C") - 1)::int4 AS row FROM titles"""
_NUMBER_COPIES = """
    CREATE TEMP TABLE rows_copies ON COMMIT DROP AS
    SELECT copy_id AS id, (row_number() OVER (ORDER BY copy_id) - 1)::int4 AS row FROM copies c"""
_TOUCHED = """
    WHERE age(c.xmin) <= age({begin}) OR copy_id IN (SELECT copy_id FROM movements m WHERE age(m.xmin) <= age({begin}))"""
_XID_ROUND = (
    2**32
)  # of 64 bits a row's xmin keeps 32: a very old row may be taken for new and read again, never the reverse


def _number_the_network(connection: Connection[Any], network: Network) -> None:
    for name, ids in {**_ids_of(network), "states": STATES}.items():
        connection.execute(f"CREATE TEMP TABLE rows_{name} (id text PRIMARY KEY, row int4 NOT NULL) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy(f"COPY rows_{name} FROM STDIN") as copy:
            for row, one in enumerate(ids):
                copy.write_row((one, row))
        connection.execute(f"ANALYZE rows_{name}")
    connection.execute(_NUMBER_TITLES)
    connection.execute("ANALYZE rows_titles")


def _ids_of(network: Network) -> dict[str, list[str]]:
    return {
        "places": sorted(network.place),
        "classes": [one.id for one in network.classes],
        "owners": [owner.id for owner in network.owners],
    }


def _numbered(connection: Connection[Any], name: str) -> list[str]:
    return [row[0] for row in connection.execute(f"SELECT id FROM rows_{name} ORDER BY row")]


def _number(connection: Connection[Any], expression: str) -> int:
    (found,) = connection.execute(f"SELECT {expression}::text::int8").fetchone() or (0,)
    return int(found)


# --- What was read into what was known --------------------------------------------------------------------------------------


def _merged(
    connection: Connection[Any], network: Network, begin: int, since_s: float, old_names: Names, old: Read
) -> tuple[Names, Read]:
    """Read the copies of rows_copies and put them in their places among the old ones."""
    connection.execute("ANALYZE rows_copies")
    ids, old_at, at = _in_one_order(old_names, _numbered(connection, "copies"))
    names = Names(titles=_numbered(connection, "titles"), copies=ids, **_ids_of(network))
    copies = np.empty(len(ids), _COPY_ROW)
    copies[old_at], copies[at] = _retitled(old.copies, old_names, names), fetched(connection, _COPIES, _COPY_ROW)
    moves = fetched(connection, _MOVEMENTS, _MOVEMENT_ROW, since_s, since_s)
    moves["copy"] = at[moves["copy"]]
    return names, Read(begin, since_s, copies, _spliced(old.moves, old_at, moves, at, since_s))


def _in_one_order(old: Names, some: Sequence[str]) -> tuple[Sequence[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return all copies' ids in order, and the rows in it of the old ones and of the touched ones."""
    new = [one for one in some if one not in old.copy_row]
    before = np.array([bisect(old.copies, one) for one in new], np.int64)  # how many old ones stand before each new one
    old_at = np.arange(len(old.copies)) + np.searchsorted(before, np.arange(len(old.copies)), side="right")
    new_row = dict(zip(new, (before + np.arange(len(new))).tolist(), strict=True))
    at = [new_row[one] if one in new_row else old_at[old.copy_row[one]] for one in some]
    return sorted([*old.copies, *new]) if new else old.copies, old_at, np.array(at, np.int64)


def _retitled(copies: Rows, old: Names, names: Names) -> Rows:
    """Return copies with their titles' rows as they are now: new titles came between."""
    if old.titles == names.titles:
        return copies
    row_now = np.array([*(names.title_row.get(title, -1) for title in old.titles), -1], np.int32)  # the last: unlisted
    found = copies.copy()
    found["title"] = row_now[copies["title"]]
    return found


def _spliced(old: Rows, old_at: NDArray[np.int64], moves: Rows, at: NDArray[np.int64], since_s: float) -> Rows:
    """Put the movements of touched copies in the place of what was known of them, and leave out what has grown too old."""
    touched = np.zeros(len(old_at) + len(at), np.bool_)  # there are no more copies than that
    touched[at] = True
    known = old.copy()
    known["copy"] = old_at[old["copy"]]
    both: Rows = np.concatenate([known[~touched[known["copy"]]], moves])
    both = both[np.argsort(both["copy"], kind="stable")]
    last = np.append(both["copy"][1:] != both["copy"][:-1], True)[: len(both)]
    kept: Rows = both[last | (both["at_s"] >= since_s)]
    return kept


_NO_NAMES = Names((), (), (), (), ())
_NOTHING = Read(0, 0.0, np.empty(0, _COPY_ROW), np.empty(0, _MOVEMENT_ROW))
