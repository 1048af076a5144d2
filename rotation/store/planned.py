"""The last day that was planned to its end: where a night stopped half-way, it is planned again."""

from datetime import date

from sqlalchemy import Connection

from rotation.store.kept import keep, kept

NAME = "planned_day"
STANDING = "standing_days"  # an import's mark on its database


def note_planned(connection: Connection, day: date) -> None:
    """Keep that a day is planned; inside the caller's transaction."""
    keep(connection, NAME, day.isoformat())


def is_planned(connection: Connection, day: date) -> bool:
    """Whether a day, or a later day, was planned."""
    last = kept(connection, NAME)
    return bool(last and last >= day.isoformat())
