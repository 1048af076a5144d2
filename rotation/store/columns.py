"""Query results as numpy arrays, and the names of their rows: what the night's readers of the database share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.movements import State

WEEK_S = 7 * 86_400
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


def rows_of(connection: Connection[Any], query: str, row: Fields, *parameters: float) -> Rows:
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
