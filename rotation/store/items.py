"""The items of library systems: which copy each is, by the number that never changes; and the open holds."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import item_copies, told_holds

# By item number: its present barcode, None without one.
Barcodes = Mapping[int, str | None]


def copies_of(connection: Connection, source: str, barcodes: Barcodes) -> dict[int, str]:
    """Return the copy of each item; a new item is the copy of its barcode, or of its number where another item has that copy.

    A barcode that changes is noted and changes no copy.
    """
    mine = item_copies.c.source == source
    rows = connection.execute(select(item_copies).where(mine, item_copies.c.item.in_(barcodes))).all()
    known = {row.item: row for row in rows}
    new = {item: barcode for item, barcode in barcodes.items() if item not in known}
    changed = {
        item for item, barcode in barcodes.items() if barcode and item in known and known[item].barcode != barcode
    }
    copies = _given(connection, source, new) | {item: row.copy_id for item, row in known.items()}
    written = [
        {"source": source, "item": item, "copy_id": copies[item], "barcode": barcodes[item]}
        for item in sorted({*new, *changed})
    ]
    if written:
        rows_in = insert(item_copies)
        connection.execute(
            rows_in.on_conflict_do_update(
                index_elements=["source", "item"], set_={"barcode": rows_in.excluded.barcode}
            ),
            written,
        )
    return copies


def _given(connection: Connection, source: str, new: Barcodes) -> dict[int, str]:
    wanted = {item: barcode or numbered(item) for item, barcode in new.items()}
    query = select(item_copies.c.copy_id).where(
        item_copies.c.source == source, item_copies.c.copy_id.in_(wanted.values())
    )
    taken, given = set(connection.scalars(query)), dict[int, str]()
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
