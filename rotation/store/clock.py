"""The network's clock as every process sees it: one row."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.clock import Clock, wall_clock
from rotation.store.tables import clock

HELD_AHEAD_S = 0.5  # wall seconds: readers look at the clock several times a second


def read_clock(connection: Connection) -> Clock:
    """Return the network's clock; the wall clock where none was set."""
    row = connection.execute(select(clock.c.network_at, clock.c.wall_at, clock.c.speed)).first()
    return Clock(*row) if row else wall_clock()


def clock_by(cursor: Cursor[Any]) -> Clock:
    """Return the network's clock as `read_clock` does, for those who speak psycopg."""
    row = cursor.execute("SELECT network_at, wall_at, speed FROM clock").fetchone()
    return Clock(*row) if row else wall_clock()


def set_clock(connection: Connection, new: Clock) -> None:
    """Set the network's clock for every process; inside the caller's transaction."""
    values = {"id": 1, "network_at": new.network_at, "wall_at": new.wall_at, "speed": new.speed}
    connection.execute(insert(clock).values(values).on_conflict_do_update(index_elements=["id"], set_=values))


def pause(connection: Connection) -> None:
    """Let a running clock stand still a little ahead: what others tell who have not seen it yet must not be the future."""
    now = datetime.now(UTC)
    set_clock(connection, Clock(read_clock(connection).now(now + timedelta(seconds=HELD_AHEAD_S)), now, 0.0))


def resume(connection: Connection, speed: float) -> None:
    """Let the clock go on from where it stands."""
    now = datetime.now(UTC)
    set_clock(connection, Clock(read_clock(connection).now(now), now, speed))
