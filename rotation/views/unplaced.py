"""Copies that nobody can place: they left a place and were scanned nowhere since. No plan uses them; someone should look."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from rotation.facts.movements import CopyState
from rotation.store.tables import copies, titles

# Rows of the list on a page; commands and the API reach more.
ROWS = 200


@dataclass(frozen=True, slots=True)
class UnplacedCopy:
    """A copy, and where and when it was last known."""

    copy_id: str
    title_id: str | None
    title_name: str | None
    title_class: str | None
    place_id: str
    since: datetime
    source: str


def unplaced_copies(connection: Connection, limit: int | None = ROWS, offset: int = 0) -> list[UnplacedCopy]:
    """Return copies in the state unknown, by the place that last had them, the longest unknown first."""
    columns = (copies.c.copy_id, copies.c.title_id, titles.c.name, copies.c["class"], copies.c.place_id)
    query = (
        select(*columns, copies.c.occurred_at, copies.c.source)
        .select_from(copies.outerjoin(titles, titles.c.title_id == copies.c.title_id))
        .where(copies.c.state == CopyState.UNKNOWN)
        .order_by(copies.c.place_id, copies.c.occurred_at, copies.c.copy_id)
    )
    return [UnplacedCopy(*row) for row in connection.execute(query.limit(limit).offset(offset))]


def count_unplaced(connection: Connection) -> int:
    """Return how many copies nobody can place."""
    query = select(func.count()).select_from(copies).where(copies.c.state == CopyState.UNKNOWN)
    return int(connection.scalar(query) or 0)
