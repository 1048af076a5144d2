"""Copies and their movements as arrays, read by change: the first time every copy, later those written to since.

PostgreSQL itself records which rows were touched: each row bears the number of the transaction that wrote it (`xmin`). Rows
read of touched copies replace the rows known of them, so that the whole is the same as if all had been read.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.facts.lifecycle import listed
from rotation.facts.movements import ON_ITS_WAY, CopyState
from rotation.network import Network

ARRAY_HEADER_BYTES = 20  # dimensions, nulls, type, length and lower bound of PostgreSQL's binary arrays
STATES = tuple(CopyState)

Fields = list[tuple[str, str]]
Rows = NDArray[np.void]


@dataclass(frozen=True)
class Names:
    """The names of the arrays' rows; each sorted by id, so that the same world has the same rows."""

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
    """Copies and movements as they were read, by rows of the names: the next reading need not read them again.

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
    """Read the copies that were touched since `last`, and number the network's and the titles' ids in tables that go with
    the transaction.

    Movements before `since_s`, in seconds since 1970, are read only where they are their copy's last.
    """
    begin = _number(connection, "pg_snapshot_xmin(pg_current_snapshot())")
    _number_the_network(connection, network)
    if last and last[1].begin <= begin and last[1].since_s <= since_s:
        connection.execute(_TOUCH.format(begin=f"'{last[1].begin % _XID_ROUND}'::xid"))
        names, found = _merged(connection, network, begin, since_s, _TOUCHED, *last)
        if len(names.copies) <= _number(connection, "(SELECT count(*) FROM copies)"):
            return names, found  # else some copies are gone, which none ever should
    return _merged(connection, network, begin, since_s, _ALL, _NO_NAMES, _NOTHING)


# --- Rows as arrays ---------------------------------------------------------------------------------------------------------

# What is on its way counts where it goes.
_COPIES = f"""
    SELECT {{copy}}, {{title}}, {{place}}, {{state}}, {{owner}}, fixed::int4, (occurred_at IS NOT DISTINCT FROM added_at)::int4,
           date_part('epoch', occurred_at)
    FROM (SELECT copy_id, title_id, state, owner_id, fixed, occurred_at, added_at,
          CASE WHEN state IN ({listed(ON_ITS_WAY)}) THEN coalesce(to_place_id, place_id) ELSE place_id END AS place_id
          FROM copies) c
    WHERE {{some}}"""
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
    SELECT {copy}, date_part('epoch', occurred_at), {state}, {place} FROM (
        SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id FROM movements
        WHERE occurred_at >= to_timestamp(%s)
        UNION ALL SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id FROM copies
        WHERE occurred_at < to_timestamp(%s)) m
    WHERE {some}"""
_IN_ORDER = "copy_id = ANY(%s) ORDER BY copy_id, occurred_at, sequence, source, event_id"
_MOVEMENT_ROW: Fields = [("copy", "<i4"), ("at_s", "<f8"), ("state", "<i4"), ("place", "<i4")]


def fetched(connection: Connection[Any], query: str, row: Fields, *parameters: Any) -> Rows:
    """Return a query's rows as a structured array; every column must be NOT NULL and as wide as `row` says.

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
    """Return the elements of PostgreSQL's binary array: each comes after its length. None for an empty array."""
    elements = np.dtype([("bytes", ">i4"), ("value", kind.replace("<", ">"))])
    return np.frombuffer(array or bytes(ARRAY_HEADER_BYTES), elements, offset=ARRAY_HEADER_BYTES)["value"]


# --- Ids and their rows -----------------------------------------------------------------------------------------------------

_NUMBER_TITLES = """
    CREATE TEMP TABLE rows_titles ON COMMIT DROP AS
    SELECT title_id AS id, class, (row_number() OVER (ORDER BY title_id COLLATE "C") - 1)::int4 AS row FROM titles"""
_ALL = "true"
_TOUCHED = "copy_id IN (SELECT copy_id FROM rows_touched)"
_TOUCH = """
    CREATE TEMP TABLE rows_touched ON COMMIT DROP AS SELECT copy_id FROM copies c
    WHERE age(c.xmin) <= age({begin}) OR copy_id IN (SELECT copy_id FROM movements m WHERE age(m.xmin) <= age({begin}));
    ANALYZE rows_touched"""
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


@dataclass(frozen=True)
class _Ids:
    """Ids in the order of their rows, and their hashes, by which PostgreSQL names them: joins by text took most of the time."""

    names: list[str]
    hashes: NDArray[np.int64]  # ascending
    row: NDArray[np.int64]  # of each hash
    seed: int  # of the hashes, which are all different

    def hashed(self, column: str) -> str:
        """Return SQL for a column's hash; 0: it is null."""
        return f"coalesce(hashtextextended({column}, {self.seed}), 0)"

    def rows(self, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each hash; -1: it is none of these ids'."""
        if not len(self.row):
            return np.full(len(hashes), -1)
        at = np.searchsorted(self.hashes, hashes).clip(max=len(self.row) - 1)
        return np.where(self.hashes[at] == hashes, self.row[at], -1)


def _ids(connection: Connection[Any], ids: str, seed: int = 0) -> _Ids:
    """Return the ids that a query yields in order; of hashes that are alike another seed makes different ones."""
    with connection.cursor(binary=True) as cursor:
        columns = f"array_agg(char_length(id)), array_agg(hashtextextended(id, {seed})), string_agg(id, '')"
        cursor.execute(f"SELECT {columns} FROM ({ids}) ids (id)")
        found = cursor.pgresult
        assert found
        lengths, told = _column(found.get_value(0, 0), "<i4"), _column(found.get_value(0, 1), "<i8")
        text = (found.get_value(0, 2) or b"").decode()
    row = np.argsort(told, kind="stable")
    hashes = told[row].astype(np.int64)
    if (hashes[1:] == hashes[:-1]).any():
        return _ids(connection, ids, seed + 1)
    ends = np.cumsum(lengths).tolist()
    return _Ids([text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)], hashes, row, seed)


def _numbered(connection: Connection[Any], name: str) -> _Ids:
    return _ids(connection, f"SELECT id FROM rows_{name} ORDER BY row")


def _number(connection: Connection[Any], expression: str) -> int:
    (found,) = connection.execute(f"SELECT {expression}::text::int8").fetchone() or (0,)
    return int(found)


# --- What was read into what was known --------------------------------------------------------------------------------------


def _merged(
    connection: Connection[Any],
    network: Network,
    begin: int,
    since_s: float,
    some: str,
    old_names: Names,
    old: Read,
) -> tuple[Names, Read]:
    """Read some of the copies, by an SQL condition, and put them in their places among the old ones."""
    reader = _Reader(connection, some)
    ids, old_at, at = _in_one_order(old_names, reader.copies.names)
    names = Names(titles=reader.ids["title"].names, copies=ids, **_ids_of(network))
    copies = np.empty(len(ids), _COPY_ROW)
    copies[old_at], copies[at] = _retitled(old.copies, old_names, names), reader.listed()
    moves = reader.moved(since_s)
    moves["copy"] = at[moves["copy"]]
    return names, Read(begin, since_s, copies, _spliced(old.moves, old_at, moves, at, since_s))


_COLUMNS = {"copy": "copy_id", "title": "title_id", "place": "place_id", "state": "state", "owner": "owner_id"}


class _Reader:
    """Some copies and their movements, with rows for ids."""

    def __init__(self, connection: Connection[Any], some: str) -> None:
        self.connection, self.some = connection, some
        self.copies = _ids(connection, f"SELECT copy_id FROM copies WHERE {some} ORDER BY copy_id")
        self.ids = {"copy": self.copies} | {
            name: _numbered(connection, f"{name}s") for name in _COLUMNS if name != "copy"
        }
        self.hashed = {name: ids.hashed(_COLUMNS[name]) for name, ids in self.ids.items()}

    def listed(self) -> Rows:
        """Return the copies in the order of their ids."""
        rows = self._rows(_COPIES, [("copy", "<i4"), *_COPY_ROW], self.some)
        return rows[np.argsort(rows["copy"])][[name for name, _ in _COPY_ROW]]

    def moved(self, since_s: float) -> Rows:
        """Return the movements of each copy in their order; PostgreSQL orders movements of the same instant."""
        rows = self._rows(_MOVEMENTS, _MOVEMENT_ROW, self.some, since_s, since_s)
        rows = rows[np.lexsort((rows["at_s"], rows["copy"]))]
        same = (rows["copy"][1:] == rows["copy"][:-1]) & (rows["at_s"][1:] == rows["at_s"][:-1])
        tied = np.unique(rows["copy"][1:][same])
        if len(tied):
            names = [self.copies.names[copy] for copy in tied]
            ordered = self._rows(_MOVEMENTS, _MOVEMENT_ROW, _IN_ORDER, since_s, since_s, names)
            rows = np.concatenate([rows[~np.isin(rows["copy"], tied)], ordered])
            rows = rows[np.argsort(rows["copy"], kind="stable")]
        return rows

    def _rows(self, query: str, row: Fields, some: str, *parameters: Any) -> Rows:
        """Return a query's rows with rows of ids in place of their hashes."""
        hashes: Fields = [(name, "<i8" if name in self.ids else kind) for name, kind in row]
        told = fetched(self.connection, query.format(**self.hashed, some=some), hashes, *parameters)
        rows = np.empty(len(told), row)
        for name, _ in row:
            rows[name] = self.ids[name].rows(told[name]) if name in self.ids else told[name]
        return rows[rows["copy"] >= 0]  # of those that came since their ids were read, none


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
    """Replace the known movements of touched copies, and leave out movements that have grown too old."""
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
