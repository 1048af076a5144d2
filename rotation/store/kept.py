"""What is kept between runs by name and is no fact: checkpoints, cursors of adapters, the last day planned."""

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import settings


def keep(connection: Connection, name: str, value: Any) -> None:
    """Keep a JSON value under a name, in place of what was kept there; inside the caller's transaction."""
    row = insert(settings).values(name=name, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def kept(connection: Connection, name: str) -> Any:
    """Return what is kept under a name, None where nothing is."""
    return connection.scalar(select(settings.c.value).where(settings.c.name == name))
