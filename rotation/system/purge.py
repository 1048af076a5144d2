"""A thing that must not be kept, found and removed everywhere: tables, topics and logs, while Rotation stands still.

The idea: a random word takes the place of the text, the same word everywhere, so that rows still find each other. Kafka cannot
change a message, so a topic that holds the text is written into files, made anew and filled again; the files stay until that is
done, and a purge that was killed goes on with them. Its record says how often the text was found, never the text.
"""

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from psycopg import Connection, sql

from rotation.accounts import security
from rotation.kafka import admin
from rotation.kafka.clients import Client
from rotation.kafka.recount import end_offsets
from rotation.kafka.topics import TOPICS, Topic
from rotation.store import progress
from rotation.store.engine import connect, engine
from rotation.system.backup import count_anew
from rotation.system.topic_files import make_topic, records, save_topic, send_partition

LEAST_LETTERS = 3  # shorter texts stand in everything
LOOK_S = 0.1  # between looks whether the broker has deleted a topic
WHOLE = "whole"  # written last into the folder of a topic's files: only then may the topic be deleted
COLUMNS = """
    SELECT c.table_name, c.column_name, c.udt_name FROM information_schema.columns c JOIN information_schema.tables t
    USING (table_schema, table_name)
    WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
        AND c.udt_name IN ('text', 'varchar', 'json', 'jsonb', 'bytea', '_text', '_varchar')
        AND c.table_name <> 'alembic_version'
    ORDER BY 1, 2"""

Say = Callable[[str], None]


class TooShort(ValueError):
    """The text is too short to be looked for."""


class Finds(NamedTuple):
    """How often a text was found: rows by table, messages by topic, and log files by name."""

    tables: Mapping[str, int]
    topics: Mapping[str, int]
    logs: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.tables or self.topics or self.logs)

    def __str__(self) -> str:
        parts = (*self.tables.items(), *self.topics.items(), *self.logs.items())
        return ", ".join(f"{name} {count:,}" for name, count in parts) or "nowhere"


def find(text: str, url: str, client: Client, logs: Path, topics: Sequence[Topic] = TOPICS) -> Finds:
    """Count where the text stands.

    Raises
    ------
    TooShort
        When it has fewer than LEAST_LETTERS letters.
    """
    if len(text) < LEAST_LETTERS:
        raise TooShort(f"{len(text)} letters stand in everything: name at least {LEAST_LETTERS}")
    forms = _forms(text)
    with connect(url) as connection:
        tables = dict(_rows(connection, text))
    present = _present(client, topics)
    messages = {topic.name: count for topic in present if (count := _messages(client, topic.name, forms))}
    files = {file.name: count for file in _log_files(logs) if (count := sum(map(file.read_bytes().count, forms)))}
    return Finds(tables, messages, files)


def purge(
    text: str,
    url: str,
    client: Client,
    logs: Path,
    work: Path,
    say: Say,
    *,
    replication: int = 1,
    topics: Sequence[Topic] = TOPICS,
) -> Finds:
    """Replace the text by a word of chance wherever it stands; return how often that was.

    `work` holds the topics' files meanwhile. A purge of the same text that was killed is gone on with by calling this again.
    """
    word = _word(work)
    found = find(text, url, client, logs, topics)
    edit = partial(_edited, _forms(text), word.encode())
    begun = unfinished(work)
    for topic in topics:
        if topic.name in found.topics or topic.name in begun:
            _write_anew(url, client, topic, work / topic.name, edit, replication)
            say(f"{topic.name}: written anew")
    for name in found.logs:
        file = logs / name
        file.write_bytes(edit(file.read_bytes()) or b"")
    with connect(url) as connection:
        _replace(connection, text, word)
    say(f"tables: {len(found.tables)} changed")
    made = engine(url)
    with made.begin() as connection:
        security.note(connection, security.SecurityEvent.PURGED, "", security.COMMAND_LINE, f"{word}: {found}")
    made.dispose()
    shutil.rmtree(work)
    return found


def unfinished(work: Path) -> list[str]:
    """Return the topics of a purge that was killed: their files are the only place that has all of their messages."""
    return sorted(file.parent.name for file in work.glob(f"*/{WHOLE}"))


def _word(work: Path) -> str:
    """Return the word of this purge; of one that was killed, if its files are still there."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = work / "word"
    if not file.exists():
        file.write_text(f"purged-{secrets.token_hex(4)}")
    return file.read_text()


# --- Forms ----------------------------------------------------------------------------------------------------------------------


def _forms(text: str) -> list[bytes]:
    """Return the text as UTF-8, and as JSON may write it with its letters escaped."""
    escaped = json.dumps(text)[1:-1]
    return list(dict.fromkeys([text.encode(), escaped.encode(), escaped.lower().encode()]))


def _edited(forms: list[bytes], word: bytes, value: bytes | None) -> bytes | None:
    for form in forms:
        value = value.replace(form, word) if value else value
    return value


# --- Tables ---------------------------------------------------------------------------------------------------------------------


def _rows(connection: Connection, text: str) -> Iterator[tuple[str, int]]:
    """Yield each table that holds the text in some column, with its rows."""
    columns = dict[str, list[sql.Composable]]()
    for table, column, kind in connection.execute(COLUMNS):
        columns.setdefault(table, []).append(_holds(column, kind))
    for table, tests in columns.items():
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), sql.SQL(" OR ").join(tests))
        (count,) = connection.execute(query, {"text": text, "bytes": text.encode()}).fetchone() or (0,)
        if count:
            yield table, count


def _holds(column: str, kind: str) -> sql.Composable:
    if kind == "bytea":
        return sql.SQL("position(%(bytes)s::bytea IN {}) > 0").format(sql.Identifier(column))
    return sql.SQL("position(%(text)s IN {}::text) > 0").format(sql.Identifier(column))


def _replace(connection: Connection, text: str, word: str) -> None:
    """Change all columns in the caller's transaction; keys that name each other change together, so none is judged meanwhile."""
    connection.execute("SET LOCAL session_replication_role = replica")
    for table, column, kind in connection.execute(COLUMNS).fetchall():
        if kind == "bytea":
            _replace_bytes(connection, table, column, text, word)
            continue
        query = sql.SQL("UPDATE {} SET {at} = replace({at}::text, %(text)s, %(word)s)::{kind} WHERE {holds}").format(
            sql.Identifier(table), at=sql.Identifier(column), kind=sql.SQL(_sql_type(kind)), holds=_holds(column, kind)
        )
        connection.execute(query, {"text": text, "word": word})


def _replace_bytes(connection: Connection, table: str, column: str, text: str, word: str) -> None:
    names = {"table": sql.Identifier(table), "at": sql.Identifier(column)}
    holding = sql.SQL("SELECT ctid::text, {at} FROM {table} WHERE {holds}").format(
        **names, holds=_holds(column, "bytea")
    )
    rows = connection.execute(holding, {"bytes": text.encode()}).fetchall()
    change = sql.SQL("UPDATE {table} SET {at} = %s WHERE ctid = %s::tid").format(**names)
    for row, value in rows:
        connection.execute(change, (bytes(value).replace(text.encode(), word.encode()), row))


def _sql_type(kind: str) -> str:
    return f"{kind[1:]}[]" if kind.startswith("_") else kind


# --- Topics ---------------------------------------------------------------------------------------------------------------------


def _present(client: Client, topics: Sequence[Topic]) -> list[Topic]:
    names = set(admin.names(client))
    return [topic for topic in topics if topic.name in names]


def _messages(client: Client, topic: str, forms: list[bytes]) -> int:
    found = 0
    for partition, end in end_offsets(client, topic).items():
        for record in records(client, TopicPartition(topic, partition), end):
            parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers or ())]
            found += any(form in (part or b"") for form in forms for part in parts)
    return found


def _write_anew(
    url: str, client: Client, topic: Topic, folder: Path, edit: Callable[[bytes | None], bytes | None], replication: int
) -> None:
    """Save the topic's messages, delete it, make it again and send them edited; the files go last."""

    def file_of(partition: int) -> Path:
        return folder / f"{partition}.jsonl.gz"

    if not (folder / WHOLE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        (folder / WHOLE).with_suffix(".new").write_text(str(len(save_topic(client, topic.name, file_of))))
        (folder / WHOLE).with_suffix(".new").rename(folder / WHOLE)
    partitions = int((folder / WHOLE).read_text())
    _delete(client, topic.name)
    make_topic(client, topic, partitions, replication)
    with connect(url) as connection:
        known = progress.positions(connection.cursor(), topic.name)
    stands_at = {
        number: send_partition(client, file_of(number), TopicPartition(topic.name, number), known.get(number, 0), edit)
        for number in range(partitions)
    }
    count_anew(url, topic.name, known, stands_at)
    shutil.rmtree(folder)


def _delete(client: Client, topic: str) -> None:
    with_admin = KafkaAdminClient(**client)
    try:
        if topic in with_admin.list_topics():
            with_admin.delete_topics([topic])
        while topic in with_admin.list_topics():
            time.sleep(LOOK_S)
    finally:
        with_admin.close()


# --- Logs -----------------------------------------------------------------------------------------------------------------------


def _log_files(logs: Path) -> list[Path]:
    return sorted(file for file in logs.glob("*.log*") if file.is_file())
