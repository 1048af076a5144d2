"""Whether the database's address leads to a server that we can work with: new enough, and with sessions of our own.

Advisory locks, temporary tables, LISTEN and prepared statements belong to a session. Where transactions of several clients share
a session (PgBouncer by transaction), they are another's: locks do not lock, tables get mixed up. A server older than those on
which worker and planner are tested would fail in the middle of a statement. Both are refused before anything is written.
"""

from contextlib import suppress

import psycopg

from rotation.store.engine import CONNECT_TIMEOUT_S, Psycopg, conninfo

OLDEST = 15  # the oldest that tests/integration/infra/test_versions.py starts
PARAMETER = "startup parameter"  # PgBouncer's words for what it does not pass on
BACKEND = "SELECT pg_backend_pid()"
WHAT_TO_DO = (
    "Name PostgreSQL's own address in DATABASE_URL"
    " / 数据库地址经过共享会话的连接池：请在 DATABASE_URL 中直接填写 PostgreSQL 的地址"
)


class UnfitDatabase(ValueError):
    """The address leads to a server that we cannot work with."""


class OldPostgres(UnfitDatabase):
    """The server is older than `OLDEST`."""

    def __init__(self, found: int) -> None:
        """Say which version was found, as libpq numbers it (140009), and which is needed."""
        version = f"{found // 10_000}.{found % 10_000}"
        super().__init__(
            f"the database is PostgreSQL {version}, which is too old: upgrade it to PostgreSQL {OLDEST} or newer,"
            f" or name such a server in DATABASE_URL"
            f" / 数据库是 PostgreSQL {version}，版本过旧：请升级到 PostgreSQL {OLDEST} 或更新版本，"
            "或在 DATABASE_URL 中填写这样的服务器"
        )


class PooledAddress(UnfitDatabase):
    """The address leads through a pool that shares sessions, or does not pass on the options of ours."""

    def __init__(self, why: str) -> None:
        """Say the finding, and the remedy."""
        super().__init__(f"the database's address leads through a pool of connections: {why}. {WHAT_TO_DO}")


def refuse_unfit(url: str) -> None:
    """Do nothing where the address leads to a server that is new enough, and to sessions of our own.

    Raises
    ------
    OldPostgres, PooledAddress
        When it does not.
    psycopg.OperationalError
        When nobody answers.
    """
    with _open(url) as one, _open(url) as other:
        if one.info.server_version < OLDEST * 10_000:
            raise OldPostgres(one.info.server_version)
        mine = _backend(one)
        with other.transaction():
            if mine == _backend(other):
                raise PooledAddress("two connections have one session")
            one.execute("SELECT 1")
        if mine != _backend(one):
            raise PooledAddress("one connection has several sessions")
    _passes_on(url)


def refuse_unfit_if_there(url: str) -> None:
    """Do as `refuse_unfit` does, for a part that waits for a database that is away."""
    with suppress(psycopg.OperationalError):
        refuse_unfit(url)


def _open(url: str) -> Psycopg:
    return psycopg.connect(conninfo(url), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, prepare_threshold=None)


def _backend(connection: Psycopg) -> int:
    (pid,) = connection.execute(BACKEND).fetchone() or (0,)
    return int(pid)


def _passes_on(url: str) -> None:
    """Raise PooledAddress where the settings with which a session of ours begins do not come through."""
    try:
        with psycopg.connect(conninfo(url), options="-c rotation.ours=yes", connect_timeout=CONNECT_TIMEOUT_S) as one:
            found = one.execute("SELECT current_setting('rotation.ours', true)").fetchone()
    except psycopg.OperationalError as error:
        if PARAMETER in str(error):
            raise PooledAddress("it does not pass on a session's settings (options)") from error
        raise
    if found != ("yes",):
        raise PooledAddress("it drops a session's settings (options)")
