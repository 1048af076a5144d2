"""Where the database is: a URL, for SQLAlchemy (`engine`) and for psycopg alone (`conninfo`), which bulk writes use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from psycopg import Cursor
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url

Psycopg = psycopg.Connection[Any]
POOL_SIZE = 5  # a process does a few things at once; PostgreSQL's default of 100 connections serves twenty processes
CONNECT_TIMEOUT_S = 10
IDLE_IN_TRANSACTION = "5s"  # a process frozen inside a transaction holds its rows no longer than this


def engine(url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """Return a synchronous engine for `url`, such as `postgresql://user@host/name`, or with `?host=/socket/folder`.

    Sessions speak UTC. A connection that died while it rested in the pool is replaced before it is used.
    """
    at = make_url(url).set(drivername="postgresql+psycopg")
    arguments = {"options": "-c timezone=UTC", "connect_timeout": CONNECT_TIMEOUT_S}
    return create_engine(at, pool_pre_ping=True, pool_size=pool_size, max_overflow=pool_size, connect_args=arguments)


def conninfo(url: str) -> str:
    """Return `url` as libpq reads it, with any SQLAlchemy driver and any spaces in it."""
    at = make_url(url)
    options = {name: ",".join(values) for name, values in at.normalized_query.items()}
    return make_conninfo(**options, **at.translate_connect_args(username="user", database="dbname"))


def driver(connection: Connection) -> Psycopg:
    """Return the psycopg connection under SQLAlchemy's, for COPY."""
    return cast("Psycopg", connection.connection.driver_connection)


def connect(url: str, *, autocommit: bool = False, **settings: str) -> Psycopg:
    """Open a psycopg connection in UTC, with further `settings` of its session (`idle_in_transaction_session_timeout="5s"`)."""
    options = " ".join(f"-c {name}={value}" for name, value in {"timezone": "UTC", **settings}.items())
    return psycopg.connect(conninfo(url), autocommit=autocommit, options=options, connect_timeout=CONNECT_TIMEOUT_S)


class Reconnecting:
    """A connection, opened when it is needed and again after it was lost."""

    def __init__(self, url: str, prepare: Callable[[Cursor[Any]], None] | None = None) -> None:
        """Remember how to connect; `prepare` makes the session ready."""
        self._url, self._prepare = url, prepare
        self._connection: Psycopg | None = None

    @contextmanager
    def cursor(self) -> Iterator[Cursor[Any]]:
        """Yield a cursor in a transaction of its own; an exception inside rolls back."""
        connection = self._open()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                yield cursor
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if open."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _open(self) -> Psycopg:
        if self._connection is None or self._connection.closed:
            connection = connect(self._url, autocommit=True, idle_in_transaction_session_timeout=IDLE_IN_TRANSACTION)
            if self._prepare:
                with connection.cursor() as cursor:
                    self._prepare(cursor)
            self._connection = connection
        return self._connection
