"""Where the database is: one URL, for SQLAlchemy (`engine`) and for psycopg alone (`conninfo`), which bulk writes use."""

from typing import cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url

POOL_SIZE = 5  # a process does a few things at once; PostgreSQL's default of 100 connections serves twenty processes
CONNECT_TIMEOUT_S = 10


def engine(url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """Return a synchronous engine for `url`, such as `postgresql://user@host/name` or one with `?host=/socket/folder`.

    Sessions speak UTC. A connection that died while it rested in the pool is replaced before it is used.
    """
    at = make_url(url).set(drivername="postgresql+psycopg")
    arguments = {"options": "-c timezone=UTC", "connect_timeout": CONNECT_TIMEOUT_S}
    return create_engine(at, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, connect_args=arguments)


def conninfo(url: str) -> str:
    """Return `url` as libpq reads it, whatever SQLAlchemy driver it names."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """Return the psycopg connection under SQLAlchemy's, for COPY."""
    return cast("psycopg.Connection[tuple[object, ...]]", connection.connection.driver_connection)


def connect(url: str, *, autocommit: bool = False, **settings: str) -> psycopg.Connection[tuple[object, ...]]:
    """Open one psycopg connection in UTC, with further `settings` of its session (`idle_in_transaction_session_timeout="5s"`)."""
    options = " ".join(f"-c {name}={value}" for name, value in {"timezone": "UTC", **settings}.items())
    return psycopg.connect(conninfo(url), autocommit=autocommit, options=options, connect_timeout=CONNECT_TIMEOUT_S)
