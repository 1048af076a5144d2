"""A real MariaDB in a scratch folder with the tables of Koha that are read, and the reader's columns beside them."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.needs import program

START_S = 60.0

SCHEMA = """
CREATE TABLE borrowers (borrowernumber int PRIMARY KEY AUTO_INCREMENT, cardnumber varchar(32), surname longtext, phone longtext);
CREATE TABLE items (
  itemnumber int NOT NULL AUTO_INCREMENT PRIMARY KEY, biblionumber int NOT NULL DEFAULT 0,
  barcode varchar(20) DEFAULT NULL, dateaccessioned date DEFAULT NULL, homebranch varchar(10),
  datelastborrowed datetime, datelastseen datetime, stack tinyint, notforloan tinyint NOT NULL DEFAULT 0,
  damaged tinyint NOT NULL DEFAULT 0, itemlost tinyint NOT NULL DEFAULT 0, withdrawn tinyint NOT NULL DEFAULT 0,
  itemcallnumber varchar(255), itemnotes longtext, itemnotes_nonpublic longtext, holdingbranch varchar(10),
  timestamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), onloan date, itype varchar(10),
  UNIQUE KEY itembarcodeidx (barcode));
CREATE TABLE deleteditems LIKE items;
CREATE TABLE statistics (
  datetime datetime, branch varchar(10), value double(16,4), type varchar(16), other longtext, itemnumber int,
  borrowernumber int, ccode varchar(80), categorycode varchar(10), KEY timeidx (datetime));
CREATE TABLE branchtransfers (
  branchtransfer_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, itemnumber int NOT NULL DEFAULT 0, daterequested timestamp NOT NULL
  DEFAULT current_timestamp(), datesent datetime, frombranch varchar(10) NOT NULL DEFAULT '', datearrived datetime, datecancelled
  datetime, tobranch varchar(10) NOT NULL DEFAULT '', comments longtext, reason varchar(40), cancellation_reason varchar(40));
CREATE TABLE reserves (
  reserve_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, borrowernumber int NOT NULL DEFAULT 0, itemnumber int, found varchar(1),
  reservenotes longtext);
"""


@contextmanager
def mariadb(folder: Path) -> Iterator[Path]:
    """Run a MariaDB that keeps its files in `folder`; yield its socket."""
    install, server = program("mariadb-install-db"), program("mariadbd", "mysqld", "/usr/sbin/mariadbd")
    data, socket = folder / "data", folder / "s"
    who = ["--user=root"] if os.geteuid() == 0 else []
    common = ["--no-defaults", f"--datadir={data}", *who]
    subprocess.run(
        [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    options = [
        f"--socket={socket}",
        "--skip-networking",
        f"--pid-file={folder / 'pid'}",
        "--innodb-flush-log-at-trx-commit=0",
    ]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([server, *common, *options], stdout=log, stderr=log)
    try:
        _until_it_answers(socket, running, folder / "log")
        yield socket
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(data, ignore_errors=True)


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


def new_koha(socket: Path, name: str) -> str:
    """Make Koha's tables in a database of that name; return its address."""
    connection = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {name}")
        for statement in filter(str.strip, SCHEMA.split(";")):
            cursor.execute(statement)
    connection.close()
    return f"mysql://root@localhost/{name}?socket={socket}"


def run(connection: Any, sql: str, *values: Any) -> None:
    """Run a statement and commit."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    connection.commit()
