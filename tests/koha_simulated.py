"""A real MariaDB in a scratch folder with Koha's tables, in the shape of its newest release or of the oldest that is read."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.koha_schema import CONTENT, NEWEST, TO_20_11
from tests.needs import program

START_S = 60.0


@contextmanager
def mariadb(folder: Path, options: Sequence[str] = ()) -> Iterator[Path]:
    """Run a MariaDB that keeps its files in `folder`; yield its socket."""
    with installed(folder), running_in(folder, options) as socket:
        yield socket


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Make an empty MariaDB in `folder`, which goes at the end."""
    install = program("mariadb-install-db")
    subprocess.run(
        [install, *_common(folder), "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)


def _common(folder: Path) -> list[str]:
    who = ["--user=root"] if os.geteuid() == 0 else []
    return ["--no-defaults", f"--datadir={folder / 'data'}", *who]


@contextmanager
def running_in(folder: Path, more: Sequence[str] = ()) -> Iterator[Path]:
    """Run the MariaDB whose files are in `folder` already; yield its socket."""
    server, common, socket = program("mariadbd", "mysqld", "/usr/sbin/mariadbd"), _common(folder), folder / "s"
    options = [
        f"--socket={socket}",
        "--skip-networking",
        f"--pid-file={folder / 'pid'}",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        *more,
    ]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([server, *common, *options], stdout=log, stderr=log)
    try:
        _until_it_answers(socket, running, folder / "log")
        yield socket
    finally:
        running.terminate()
        running.wait(30)


def _until_it_answers(socket: Path, running: "subprocess.Popen[bytes]", log: Path) -> None:
    begin = time.monotonic()
    while True:
        try:
            pymysql.connect(unix_socket=str(socket), user="root").close()
            return
        except pymysql.err.OperationalError:
            if running.poll() is not None or time.monotonic() - begin > START_S:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.1)


def new_koha(socket: Path, name: str, oldest: bool = False) -> str:
    """Make Koha's tables in a database of that name, those of 20.11 if `oldest`; return its address."""
    connection = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        cursor.execute(f"USE {name}")
        for statement in (*NEWEST, *CONTENT, *(TO_20_11 if oldest else ())):
            cursor.execute(statement)
    connection.close()
    return f"mysql://root@localhost/{name}?socket={socket}"


def run(connection: Any, sql: str, *values: Any) -> None:
    """Run a statement and commit."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    connection.commit()
