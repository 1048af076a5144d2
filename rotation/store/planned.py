"""The last day that was planned to its end: where a night stopped half-way, it is planned again."""

from datetime import date

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.store.tables import settings as kept

NAME = "planned_day"


def note_planned(connection: Connection, day: date) -> None:
    """Keep that a day is planned; inside the caller's transaction."""
    values = {"name": NAME, "value": day.isoformat()}
    connection.execute(insert(kept).values(values).on_conflict_do_update(index_elements=["name"], set_=values))


def is_planned(connection: Connection, day: date) -> bool:
    """Whether a day, or a later one, was planned."""
    last = connection.execute(select(kept.c.value).where(kept.c.name == NAME)).scalar()
    return bool(last and last >= day.isoformat())
