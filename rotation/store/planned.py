"""The last day that was planned to its end: where a night stopped half-way, it is planned again.

An import marks its database: its days stand still, and no night comes by itself. A clock that merely stands (a demonstration
held while it plans, or stopped) is not meant.
"""

from datetime import date

from sqlalchemy import Connection

from rotation.store.clock import read_clock
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


def mark_standing(connection: Connection, source: str) -> None:
    """Note that the clock stands at days of the past, which `source` describes; inside the caller's transaction."""
    keep(connection, STANDING, source)


def stands_still(connection: Connection) -> bool:
    """Whether the network's days are of the past, so that no night will come."""
    return kept(connection, STANDING) is not None and read_clock(connection).speed == 0
