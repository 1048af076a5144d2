"""The network's clock as every process sees it: a single row. To make a simulated clock wait, a process holds it for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from rotation.facts.clock import Clock, wall_clock
from rotation.store.locks import AdvisoryLock
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


def pause(connection: Connection) -> Clock:
    """Let a running clock stand still a little ahead: events of processes that have not seen it yet must not be in the future."""
    now = datetime.now(UTC)
    held = Clock(read_clock(connection).now(now + timedelta(seconds=HELD_AHEAD_S)), now, 0.0)
    set_clock(connection, held)
    return held


def resume(connection: Connection, speed: float) -> None:
    """Let the clock go on from where it stands."""
    now = datetime.now(UTC)
    set_clock(connection, Clock(read_clock(connection).now(now), now, speed))


@contextmanager
def clock_held(engine: Engine) -> Iterator[bool]:
    """Let a simulated clock stand meanwhile; yield whether it is ours, False where another holds it already.

    It goes on as fast as before, unless somebody else has set it since.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        ours: bool = connection.execute(select(func.pg_try_advisory_lock(AdvisoryLock.CLOCK))).scalar_one()
        was = read_clock(connection)
        held = pause(connection) if ours and was.simulated else None
        try:
            yield ours
        finally:
            if held:
                as_held = (clock.c.wall_at == held.wall_at) & (clock.c.speed == 0)
                connection.execute(update(clock).where(as_held).values(wall_at=datetime.now(UTC), speed=was.speed))
            if ours:
                connection.execute(select(func.pg_advisory_unlock(AdvisoryLock.CLOCK)))
