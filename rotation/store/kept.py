"""Values kept between runs by name that are no facts: checkpoints, cursors of adapters, the last day planned."""

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import settings

# Before a source's name: what its feed cannot reach, and since when.
OUTAGE = "outage."


def keep(connection: Connection, name: str, value: Any) -> None:
    """Keep a JSON value under a name, in place of the old value; inside the caller's transaction."""
    row = insert(settings).values(name=name, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def kept(connection: Connection, name: str) -> Any:
    """Return the value kept under a name, or None."""
    return connection.scalar(select(settings.c.value).where(settings.c.name == name))
