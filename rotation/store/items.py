"""The items of library systems: which copy each is, by the number that never changes; and the open holds."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from rotation.facts.movements import CopyState
from rotation.store.engine import driver
from rotation.store.tables import copies, item_copies, told_holds

# By item number: its present barcode, None without one.
Barcodes = Mapping[int, str | None]


def copies_of(connection: Connection, source: str, barcodes: Barcodes) -> dict[int, str]:
    """Return the copy of each item; a new item is the copy of its barcode, or of its number where another item has that copy.

    A barcode that changes is noted and changes no copy.
    """
    cursor = driver(connection).cursor()
    known = {
        item: (copy, barcode) for item, copy, barcode in cursor.execute(_KNOWN, (source, list(barcodes)), prepare=False)
    }
    new = {item: barcode for item, barcode in barcodes.items() if item not in known}
    changed = {item for item, barcode in barcodes.items() if barcode and item in known and known[item][1] != barcode}
    found = _given(cursor, source, new) | {item: copy for item, (copy, _) in known.items()}
    if written := sorted({*new, *changed}):
        rows = written, [found[item] for item in written], [barcodes[item] for item in written]
        cursor.execute(_WRITE, (source, *rows))
    return found


def items_after(connection: Connection, source: str, after: int, limit: int) -> dict[int, str]:
    """Return the copies of at most `limit` items with numbers above `after` that are not withdrawn, in their order."""
    rows = (
        select(item_copies.c.item, item_copies.c.copy_id)
        .join(copies, copies.c.copy_id == item_copies.c.copy_id)
        .where(item_copies.c.source == source, item_copies.c.item > after, copies.c.state != CopyState.WITHDRAWN)
        .order_by(item_copies.c.item)
        .limit(limit)
    )
    return {row.item: row.copy_id for row in connection.execute(rows)}


# Arrays: thousands of parameters would be a statement of their own each time. Not prepared: a plan kept from the first page, when
# the table was empty, would scan it whole for the last.
_KNOWN = "SELECT item, copy_id, barcode FROM item_copies WHERE source = %s AND item = ANY(%s)"
_TAKEN = "SELECT copy_id FROM item_copies WHERE source = %s AND copy_id = ANY(%s)"
_WRITE = """
INSERT INTO item_copies (source, item, copy_id, barcode)
SELECT %s, new.* FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (item, copy_id, barcode)
ON CONFLICT (source, item) DO UPDATE SET barcode = excluded.barcode
"""


def _given(cursor: Cursor[Any], source: str, new: Barcodes) -> dict[int, str]:
    wanted = {item: barcode or numbered(item) for item, barcode in new.items()}
    if not wanted:
        return {}
    taken = {copy for (copy,) in cursor.execute(_TAKEN, (source, list(wanted.values())), prepare=False)}
    given = dict[int, str]()
    for item, copy in sorted(wanted.items()):
        given[item] = numbered(item) if copy in taken else copy
        taken.add(given[item])
    return given


def numbered(item: int) -> str:
    """Return the copy of an item that has no barcode of its own."""
    return f"koha-{item}"


class ToldHold(NamedTuple):
    """The last event of an open hold, and its time."""

    stand: list[Any]
    at: datetime


def holds_told(connection: Connection, source: str) -> dict[int, ToldHold]:
    """Return the open holds as last published, by their numbers."""
    rows = connection.execute(select(told_holds).where(told_holds.c.source == source))
    return {row.hold: ToldHold(row.told, row.told_at) for row in rows}


def keep_holds_told(
    connection: Connection, source: str, told: Mapping[int, ToldHold], ended: Iterable[int] = ()
) -> None:
    """Keep the holds as sent now, and forget those that ended."""
    if told:
        rows_in = insert(told_holds)
        replaced = {"told": rows_in.excluded.told, "told_at": rows_in.excluded.told_at}
        connection.execute(
            rows_in.on_conflict_do_update(index_elements=["source", "hold"], set_=replaced),
            [
                {"source": source, "hold": hold, "told": list(one.stand), "told_at": one.at}
                for hold, one in sorted(told.items())
            ],
        )
    if gone := list(ended):
        connection.execute(delete(told_holds).where(told_holds.c.source == source, told_holds.c.hold.in_(gone)))
