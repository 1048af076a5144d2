"""A database that we cannot work with, through a real PgBouncer or too old: refused in a sentence by commands and parts."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra.ports import HOST
from infra.postgres import DATABASE, SUPERUSER, Postgres, Tcp, embedded_postgres
from rotation.store import migrate, unfit
from rotation.store.heartbeats import Part, Pulse
from rotation.store.unfit import OldPostgres, PooledAddress, refuse_unfit
from tests.needs import program

ANSWERS_S = 20.0
PASSWORD = "of-the-pool"
NEWER_THAN_ANY = 99  # stands in for an old server: what is needed is newer than what is there
Pool = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL that lets in over TCP: over its socket it takes nobody but us, and PgBouncer is not us where we are root."""
    with embedded_postgres(tmp_path_factory.mktemp("postgres"), tcp=Tcp(PASSWORD)) as found:
        yield found


@pytest.fixture
def pool(server: Postgres, tmp_path: Path) -> Iterator[Pool]:
    """Starts PgBouncer before the server, and returns the address through it."""
    bouncer, started = program("pgbouncer", "/usr/sbin/pgbouncer"), []

    def start(mode: str, **more: object) -> str:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        settings = {
            "listen_addr": HOST,
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            **({"user": "nobody"} if os.geteuid() == 0 else {}),
            **more,
        }
        to = f"{DATABASE} = host={HOST} port={server.port} user={SUPERUSER} password={PASSWORD} dbname={DATABASE}"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        file = tmp_path / "pgbouncer.ini"
        file.write_text("\n".join(["[databases]", to, "[pgbouncer]", *lines, ""]))
        started.append(subprocess.Popen([bouncer, str(file)], stderr=(tmp_path / "pgbouncer.log").open("wb")))
        _until_it_listens(port)
        return f"postgresql://{SUPERUSER}@{HOST}:{port}/{DATABASE}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def _until_it_listens(port: int) -> None:
    end = time.monotonic() + ANSWERS_S
    while True:
        try:
            return socket.create_connection((HOST, port), 1).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_direct_address_is_taken(database: str) -> None:
    refuse_unfit(database)


@pytest.mark.parametrize(
    "more",
    [{}, {"ignore_startup_parameters": "options"}, {"ignore_startup_parameters": "options", "server_round_robin": 1}],
)
def test_a_pool_by_transaction_is_refused(pool: Pool, more: dict[str, object]) -> None:
    with pytest.raises(PooledAddress, match=r"two connections have one session|one connection has several sessions"):
        refuse_unfit(pool("transaction", **more))


def test_a_pool_by_session_that_drops_our_settings_is_refused_too(pool: Pool) -> None:
    with pytest.raises(PooledAddress, match="does not pass on a session's settings"):
        refuse_unfit(pool("session"))
    with pytest.raises(PooledAddress, match="drops a session's settings"):
        refuse_unfit(pool("session", ignore_startup_parameters="options"))


@pytest.mark.parametrize("module", [("rotation", "db", "upgrade"), ("streams.relay",), ("rotation", "planner")])
def test_commands_and_parts_say_so_in_a_sentence(
    pool: Pool, module: tuple[str, ...], kafka: str, tmp_path: Path
) -> None:
    address = pool("transaction", ignore_startup_parameters="options")
    own = {
        "DATABASE_URL": address,
        "KAFKA_BOOTSTRAP": kafka,
        "ROTATION_DATA_DIR": str(tmp_path),
        "ROTATION_NETWORK": "demo.toml",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *module], env=os.environ | own, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode in (1, 2)
    assert "leads through a pool of connections" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_away_is_not_taken_for_a_pool() -> None:
    with pytest.raises(psycopg.OperationalError):
        refuse_unfit("postgresql://u@127.0.0.1:9/nobody")


def test_a_postgresql_that_is_too_old_is_refused_in_both_languages_before_anything_is_written(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfit, "OLDEST", NEWER_THAN_ANY)
    with pytest.raises(OldPostgres, match=r"PostgreSQL 99 or newer.*升级到 PostgreSQL 99"):
        migrate.upgrade(database)
    with pytest.raises(SystemExit, match="PostgreSQL 99 or newer"):
        Pulse(database, Part.RELAY).start()


def test_the_sentence_names_the_version_found_and_the_version_needed() -> None:
    said = str(OldPostgres(140_009))
    assert "PostgreSQL 14.9, which is too old: upgrade it to PostgreSQL 15 or newer" in said
    assert "PostgreSQL 14.9，版本过旧：请升级到 PostgreSQL 15 或更新版本" in said
