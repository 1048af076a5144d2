"""The embedded PostgreSQL: kept state, kills, ports and TLS."""

import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.guard import become
from infra.messages import ServerError, ServerMessage
from infra.postgres import Postgres, Tcp, binary, embedded_postgres
from infra.server_user import server_user
from rotation.system.processes import DATABASE_SETTINGS, WAL_MB
from tests.integration.infra.certificates import self_signed
from tests.integration.infra.conftest import gone
from tests.integration.infra.tls_front import tls_front

PASSWORD = "rö't%@/ation"


def write_one(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("drop table if exists kept")
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (1)")


def rows(postgres: Postgres) -> int:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("select count(*) from kept").fetchall()[0][0]


def over_tcp(port: int, password: str, **tls: object) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="rotation", password=password, connect_timeout=5, **tls
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cluster that the module's tests use one after another: creating one takes longer than most of them."""
    return tmp_path_factory.mktemp("postgres")


def test_a_second_start_finds_what_the_first_kept(folder):
    with embedded_postgres(folder) as postgres:
        write_one(postgres)
    with embedded_postgres(folder) as postgres:
        assert rows(postgres) == 1


def test_a_path_too_long_for_a_socket_is_no_matter(tmp_path):
    with embedded_postgres(tmp_path / ("long-" * 25)) as postgres:
        write_one(postgres)


def test_after_a_kill_of_the_postmaster_committed_rows_are_there(folder):
    with embedded_postgres(folder) as postgres:
        write_one(postgres)
        busy = psycopg.connect(postgres.url)
        busy.execute("insert into kept values (2)")
        postgres.kill()
        with pytest.raises(ServerError, match=r"PostgreSQL exited unexpectedly \(SIGKILL\)"):
            postgres.check()
    busy.close()
    with embedded_postgres(folder) as postgres:
        assert rows(postgres) == 1


def test_a_server_killed_and_started_in_place_goes_on(folder):
    with embedded_postgres(folder) as postgres:
        write_one(postgres)
        postgres.kill()
        postgres.start()
        postgres.wait()
        assert rows(postgres) == 1


def test_the_server_does_not_outlive_its_guard(folder):
    with embedded_postgres(folder) as postgres:
        guard = psutil.Process(postgres.pid).parent()
        assert guard
        guard.kill()
        assert gone([postgres.pid])


def test_a_server_left_over_is_stopped_before_ours_starts(folder, said: list[ServerMessage]):
    with embedded_postgres(folder):
        pass
    command = [binary("postgres", folder), "-D", str(folder / "data")]
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, preexec_fn=lambda: become(str(server_user() or ""))
    ) as left_over:
        while not (folder / "data" / "postmaster.pid").exists():
            assert left_over.poll() is None
        with embedded_postgres(folder, tell=said.append) as postgres:
            write_one(postgres)
            assert left_over.wait(0) is not None
    assert "leftover.stop" in [message.code for message in said]


def test_one_folder_has_one_server(folder):
    with (
        embedded_postgres(folder),
        pytest.raises(ServerError, match=r"in use by process \d+"),
        embedded_postgres(folder),
    ):
        pass


def test_over_tcp_only_the_right_password_gets_in(folder):
    with embedded_postgres(folder, tcp=Tcp(PASSWORD)) as postgres:
        over_tcp(postgres.port, PASSWORD).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            over_tcp(postgres.port, "another")


def test_over_tls_a_client_that_checks_the_certificate_gets_in(folder, tmp_path):
    certificate, key = self_signed(tmp_path)
    checked = {"sslmode": "verify-full", "sslrootcert": str(certificate)}
    with embedded_postgres(folder, tcp=Tcp(PASSWORD)) as postgres:
        with tls_front(postgres.port, certificate, key) as port:
            over_tcp(port, PASSWORD, **checked).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                over_tcp(port, "another", **checked)
            with pytest.raises(psycopg.OperationalError, match="certificate"):
                over_tcp(port, PASSWORD, sslmode="verify-full", sslrootcert="system")
            with pytest.raises(psycopg.OperationalError):
                over_tcp(port, PASSWORD, sslmode="disable")


def test_a_fixed_port_in_use_is_named_with_who_has_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=rf"Port {port}, .* is taken by"):
            with embedded_postgres(tmp_path, tcp=Tcp(PASSWORD, port=port)):
                pass


def test_a_folder_of_another_version_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match="made by PostgreSQL 16"), embedded_postgres(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    Path(tmp_path, "file").touch()
    with pytest.raises(ServerError, match="cannot be used"), embedded_postgres(tmp_path / "file" / "below"):
        pass


def test_a_full_disk_is_named_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("infra.postgres.FREE_NEW_MB", 10**9)
    with pytest.raises(ServerError, match=r"has \d+ MB left"), embedded_postgres(tmp_path):
        pass


def test_each_step_is_told(tmp_path, said: list[ServerMessage]):
    with embedded_postgres(tmp_path, tell=said.append):
        pass
    steps = [message.code for message in said]
    assert steps == ["postgres.create", "postgres.start", "postgres.ready", "postgres.stop"]


def _size_of(log: Path) -> int:
    """Return the bytes of the segments in `log`, of which the server may remove some meanwhile."""
    size = 0
    for segment in log.glob("0*"):
        with suppress(FileNotFoundError):
            size += segment.stat().st_size
    return size


def test_its_log_stays_within_its_bound_however_much_is_written(folder):
    written_mb, slack_mb = (
        3 * WAL_MB,
        WAL_MB // 2,
    )  # the bound is one of checkpoints: PostgreSQL passes it by while it writes one
    settings = DATABASE_SETTINGS | {"synchronous_commit": "off", "wal_compression": "off"}
    with embedded_postgres(folder, settings=settings) as postgres, psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute("CREATE TABLE much (x bytea STORAGE EXTERNAL)")
        largest = 0
        for _ in range(written_mb // 64):
            db.execute("INSERT INTO much SELECT decode(repeat('ab', 1 << 20), 'hex') FROM generate_series(1, 64)")
            db.execute("TRUNCATE much")
            largest = max(largest, _size_of(folder / "data" / "pg_wal"))
    assert largest < (WAL_MB + slack_mb) << 20
