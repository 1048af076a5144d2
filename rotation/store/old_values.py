"""What a copy's row was before its change: PostgreSQL 18 returns it (RETURNING old), for older servers the rows are locked first.

Locked in their order, read as they then are, and changed by the same statement: nobody comes between. It costs a second write of
each row, so that servers which can do without are asked in their own way.
"""

from typing import Any

from psycopg import Cursor

KNOWN_FROM = 180000
_KEPT = ("place_id", "to_place_id", "class")


def statement_for(cursor: Cursor[Any], statement: str, older: str) -> str:
    """Return the statement, or the `older` form of it for a server before 18."""
    return statement if cursor.connection.info.server_version >= KNOWN_FROM else older


def locked_first(statement: str, staged: str, where: str = "") -> str:
    """Return an UPDATE of copies FROM `staged` b that returns columns of `old`, in the form for a server before 18.

    `where` is the condition of the staged rows, inside a subquery or empty.
    """
    source = f"(SELECT * FROM {staged} {where} ORDER BY copy_id) b" if where else f"{staged} b"
    if statement.count(source) != 1:
        raise ValueError(f"no single {source!r} in the statement")
    locked = (
        f"(SELECT n.*, {', '.join(f'o.{name} AS old_{name}' for name in _KEPT)} FROM {staged} n"
        f" JOIN copies o USING (copy_id) {where} ORDER BY n.copy_id FOR UPDATE OF o) b"
    )
    return statement.replace(source, locked).replace(" old.", " b.old_")
