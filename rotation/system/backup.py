"""A backup of everything that cannot be made anew, and its way back: the database, and every event of Kafka, in a folder.

The instant is that of the dump, a snapshot. Kafka is read after it and holds more: events newer than the dump
are applied once the workers run again, and none of the dump's is missing. Events that arrive meanwhile go on.

    DIR/backup.json       written last: a folder without it is no backup. Names, sizes and SHA-256 of the files
    DIR/database.dump     PostgreSQL's own format (pg_dump -Fc)
    DIR/events-N.jsonl.gz partition N: offset, time in ms, key, value (base64), headers, a message a line
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
from kafka import TopicPartition
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.postgres import binary
from rotation.kafka import admin
from rotation.kafka.clients import Client
from rotation.kafka.recount import end_offsets
from rotation.kafka.topics import CIRCULATION_EVENTS, contracts
from rotation.store import migrate, progress
from rotation.store.engine import connect, conninfo
from rotation.system.topic_files import PRIVATE_FILE, TopicMismatch, make_topic, private, save_topic, send_partition

DUMP, MANIFEST = "database.dump", "backup.json"
FORMAT = 1  # of the folder
# Passwords' hashes and every event are in it: for its owner alone.
PRIVATE_FOLDER = 0o700
TLS_WANTED = ("require", "verify-ca", "verify-full")
# Rights and owners are the server's: `rotation db roles` gives them again.
DUMPED = ("--format=custom", "--no-owner", "--no-privileges", "--no-policies")
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"

Say = Callable[[str], None]


class NoBackup(ValueError):
    """A folder is not, or not whole, a folder of `backup`; or the place to restore to is not empty."""


class Backup(NamedTuple):
    """A backup: when it was made, the messages of each partition, and by file its SHA-256."""

    made_at: str
    messages: Mapping[str, int]
    files: Mapping[str, str]
    format: int = FORMAT


# --- Backup -------------------------------------------------------------------------------------------------------------------


def backup(url: str, client: Client, folder: Path, say: Say, topic: str = CIRCULATION_EVENTS.name) -> Backup:
    """Write a backup into `folder`, which must be new or empty, while everything goes on.

    Raises
    ------
    NoBackup
        When the folder holds something, or a program of PostgreSQL's fails; the words are its own.
    """
    if folder.exists() and any(folder.iterdir()):
        raise NoBackup(f"{folder} is not empty: name a new folder")
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    _run("pg_dump", url, *DUMPED, f"--file={folder / DUMP}")
    say(f"database: {(folder / DUMP).stat().st_size:,} bytes")
    messages = save_topic(client, topic, partial(_events_file, folder))
    say(f"events: {sum(messages.values()):,} messages of {len(messages)} partitions")
    files = {file.name: _digest(file) for file in sorted(folder.iterdir())}
    found = Backup(made_at, {str(at): count for at, count in messages.items()}, files)
    private(folder / MANIFEST).write_bytes(orjson.dumps(found._asdict(), option=orjson.OPT_INDENT_2))
    (folder / DUMP).chmod(PRIVATE_FILE)
    return found


# --- Restore --------------------------------------------------------------------------------------------------------------------


def read(folder: Path) -> Backup:
    """Return the backup in a folder.

    Raises
    ------
    NoBackup
        When it is none, or a file is not as it was written.
    """
    if not (folder / MANIFEST).is_file():
        raise NoBackup(f"{folder} is no whole backup: it has no {MANIFEST}, which is written last")
    found = Backup(**orjson.loads((folder / MANIFEST).read_bytes()))
    if found.format != FORMAT:
        raise NoBackup(f"{folder} was written by another version (form {found.format}, this one reads {FORMAT})")
    for name, digest in found.files.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise NoBackup(f"{folder / name} is missing, or not as it was written")
    return found


def restore(
    url: str, client: Client, folder: Path, say: Say, *, replication: int = 1, topic: str = CIRCULATION_EVENTS.name
) -> Backup:
    """Bring a backup into an empty database and an empty or missing topic, and upgrade the tables to this version.

    Raises
    ------
    NoBackup
        When the backup is not whole, or there is something where it should go; nothing is changed then.
    """
    found = read(folder)
    _need_empty(url, client, topic)
    try:
        for contract in contracts(topic):
            partitions = len(found.messages) if contract.name == topic else contract.partitions
            make_topic(client, contract, partitions, replication)
    except TopicMismatch as error:
        raise NoBackup(str(error)) from error
    _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", str(folder / DUMP))
    migrate.upgrade(url)
    say("database restored")
    with connect(url) as connection:
        known = progress.positions(connection.cursor(), topic)
    stands_at = {
        partition: send_partition(
            client, _events_file(folder, partition), TopicPartition(topic, partition), known.get(partition, 0)
        )
        for partition in sorted(map(int, found.messages))
    }
    count_anew(url, topic, known, stands_at)
    say(f"events: {sum(found.messages.values()):,} messages sent to Kafka")
    return found


def _need_empty(url: str, client: Client, topic: str) -> None:
    with connect(url) as connection:
        (tables,) = connection.execute(TABLES).fetchone() or (0,)
    if tables:
        raise NoBackup(f"the database has {tables} tables: restore into an empty one, or another ROTATION_DATA_DIR")
    if topic in admin.names(client) and any(end_offsets(client, topic).values()):
        raise NoBackup(f"{topic} holds messages: delete the topic, or restore into another Kafka or ROTATION_DATA_DIR")


def count_anew(url: str, topic: str, known: Mapping[int, int], stands_at: Mapping[int, int]) -> None:
    """Let progress count the topic as it is now; offsets differ where the old topic had holes (transactions, deletions)."""
    moved = {at: offset for at, offset in stands_at.items() if known.get(at, offset) != offset}
    with connect(url) as connection, connection.cursor() as cursor:
        if moved:
            progress.rewind(cursor, topic, moved, datetime.now(UTC))
        progress.forget_topic(cursor, topic)


# --- Files and programs ------------------------------------------------------------------------------------------------------


def _run(name: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's on our database; the password is in its environment, out of lists of processes."""
    at = conninfo_to_dict(conninfo(url))
    secret = {"PGPASSWORD": str(at.pop("password"))} if at.get("password") else {}
    command = [
        _program(name, tls=at.get("sslmode") in TLS_WANTED),
        f"--dbname={make_conninfo(**{name: str(value) for name, value in at.items()})}",
        *arguments,
    ]
    ended = subprocess.run(command, env=os.environ | secret, capture_output=True, text=True, errors="replace")
    if ended.returncode:
        raise NoBackup(f"{name}: {(ended.stderr.strip().splitlines() or ['-'])[-1]}")


def _program(name: str, *, tls: bool) -> str:
    """Return the path of a program: ours, or over TLS, which ours is built without, the machine's."""
    if not tls:
        return binary(name)
    if found := shutil.which(name):
        return found
    raise NoBackup(f"the database is reached over TLS: install {name} (Debian: postgresql-client) for it")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _events_file(folder: Path, partition: int) -> Path:
    return folder / f"events-{partition}.jsonl.gz"
