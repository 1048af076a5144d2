"""PostgreSQL where we are root: in folders that only root enters, without root's power, closed to everyone else."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra import passage
from infra.messages import ServerError
from infra.postgres import Postgres, check_is_ours, embedded_postgres
from infra.server_user import READ_FOLDER, Identity, hand_over, readable, server_user

NOBODY = Identity(65_534, 65_534)
ANOTHER = Identity(61_184, 61_184)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="not run: only root starts servers as another user")


def as_user(user: Identity, work: Callable[[], object]) -> str:
    """Return what `work` says, or its error, in a process of `user`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
            os.write(writing, str(work()).encode())
        except Exception as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder that only root enters, as root's home is; its path has a space, a quote and Chinese."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "it's 流转, 1")


@pytest.fixture
def passable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that everyone may pass through."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(READ_FOLDER)
        yield Path(folder)


def kept(postgres: Postgres) -> int:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("create table if not exists kept as select 1 as id")
        return connection.execute("select count(*) from kept").fetchall()[0][0]


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_in_a_folder_that_only_root_enters_it_runs_without_any_power_of_roots(private: Path):
    with embedded_postgres(private) as postgres:
        assert kept(postgres) == 1
        found = status(postgres.pid)
    assert "0" not in found["Uid"].split()
    assert {found[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {"0" * 16}


def test_the_way_is_open_to_the_server_alone(private: Path):
    with embedded_postgres(private):
        assert as_user(NOBODY, lambda: os.stat(private)).startswith("PermissionError")
        assert not stat.S_IMODE(private.parent.stat().st_mode) & 0o067


@pytest.mark.parametrize("user", [NOBODY, ANOTHER])
def test_another_user_of_the_machine_reaches_neither_data_nor_socket(passable: Path, user: Identity):
    with embedded_postgres(passable / "postgres") as postgres:
        assert as_user(user, lambda: os.listdir(passable / "postgres" / "data")).startswith("PermissionError")
        assert "Permission denied" in as_user(user, lambda: psycopg.connect(postgres.url))


@pytest.mark.parametrize("user", [NOBODY, server_user() or NOBODY])
def test_whoever_reaches_the_socket_but_did_not_start_the_server_is_refused(passable: Path, user: Identity):
    with embedded_postgres(passable / "postgres") as postgres:
        for folder in (passable / "postgres", postgres.socket):
            folder.chmod(READ_FOLDER)
        assert "eer authentication failed" in as_user(user, lambda: psycopg.connect(postgres.url))


def test_a_folder_of_the_version_before_goes_on(passable: Path):
    folder = passable / "postgres"
    with embedded_postgres(folder) as postgres:
        kept(postgres)
    for part in ("data", "socket"):
        hand_over(folder / part, NOBODY)
    folder.chmod(READ_FOLDER)
    (folder / "data" / "pg_hba.conf").write_text("local all all trust\n")
    with embedded_postgres(folder) as postgres:
        assert kept(postgres) == 1
        assert as_user(NOBODY, lambda: os.listdir(folder / "data")).startswith("PermissionError")


def test_programs_that_only_root_may_read_are_copied_for_all(private: Path, passable: Path):
    (private / "bin").mkdir(parents=True)
    (private / "bin" / "postgres").touch(mode=0o700)
    copy = readable(private, ("bin",), passable / "copy")
    assert copy == passable / "copy"
    assert as_user(NOBODY, lambda: os.access(copy / "bin" / "postgres", os.X_OK | os.R_OK)) == "True"
    assert readable(copy, ("bin",), passable / "another") == copy


def test_a_folder_that_was_closed_again_is_opened_at_the_next_start(private: Path) -> None:
    for _ in range(2):
        with embedded_postgres(private) as postgres:
            assert kept(postgres)
        private.parent.chmod(0o700)  # as whoever tidies up rights does: it takes the list's mask away


def test_one_more_entry_gives_nobody_else_more():
    held_back = {(passage.USER, 5): 7, (passage.OWNING_GROUP, passage.NO_ID): 5, (passage.MASK, passage.NO_ID): 0}
    entries = passage.with_pass(held_back, 9)
    assert entries == dict.fromkeys(held_back, 0) | {
        (passage.GROUP, 9): passage.PASS,
        (passage.MASK, passage.NO_ID): passage.PASS,
    }


def test_a_disk_without_access_lists_is_named_with_what_to_do(private: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(ServerError, match="ROTATION_DATA_DIR"), embedded_postgres(private):
        pass


def test_a_socket_folder_that_someone_else_made_is_refused(passable: Path):
    planted = passable / "socket"
    planted.mkdir(mode=0o700)
    shutil.chown(planted, ANOTHER.uid)
    with pytest.raises(ServerError, match="does not belong to this user alone"):
        check_is_ours(planted, server_user())
    (passable / "link").symlink_to(planted)
    with pytest.raises(ServerError, match="does not belong to this user alone"):
        check_is_ours(passable / "link", server_user())
