"""A backup written while events arrive, and its way back: nothing that was there is missing, and the audit is clean."""

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from infra.postgres import Postgres
from rotation.kafka import admin
from rotation.kafka.recount import end_offsets, missing_events
from rotation.store import progress
from rotation.store.audit import audit
from rotation.store.engine import connect
from rotation.system import backup, topic_files
from tests.streams_line import Line
from tests.streams_process import topics
from tests.streams_world import batches, fold, history, standing

EVENTS, SEED = 4_000, 26


@pytest.fixture
def line(kafka: str, database: str, tmp_path: Path) -> Iterator[Line]:
    made = Line(kafka, database, tmp_path)
    yield made
    made.close()


@pytest.fixture
def empty(postgres: Postgres, database: str) -> Iterator[str]:
    """The address of a database without tables."""
    with connect(database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored TEMPLATE template0")
        yield postgres.url_of("restored")
        connection.execute("DROP DATABASE restored WITH (FORCE)")


def events_in(folder: Path) -> list[dict[str, object]]:
    """Return all events of a backup."""
    files = [gzip.decompress(file.read_bytes()) for file in folder.glob("events-*")]
    lines = [orjson.loads(line) for content in files for line in content.splitlines()]
    return [event for line in lines for event in orjson.loads(topic_files.decoded(line["value"]) or b"[]")]


def delete_topic(line: Line) -> None:
    name = topics(line.prefix).events
    with_admin = KafkaAdminClient(**line.client)
    with_admin.delete_topics([name])
    with_admin.close()
    line.until(lambda: name not in admin.names(line.client), "the topic gone")


def transaction(line: Line, values: list[bytes]) -> None:
    """Send in a transaction, which leaves a marker behind it: offsets with holes."""
    sender = KafkaProducer(**line.client, transactional_id=line.prefix)
    sender.init_transactions()
    sender.begin_transaction()
    for value in values:
        sender.send(topics(line.prefix).events, value, partition=0)
    sender.commit_transaction()
    sender.close()


def test_a_backup_made_while_events_arrive_goes_on_elsewhere_without_a_difference(
    line: Line, empty: str, tmp_path: Path
) -> None:
    events, folder, name = history(SEED, EVENTS), tmp_path / "backup", topics(line.prefix).events
    values = batches(events, SEED)
    line.start()
    transaction(line, values[:20])
    line.send(values[20 : len(values) // 2])
    line.until(lambda: line.heard() > EVENTS // 4, "some of the events")
    arriving = threading.Thread(target=lambda: [line.send([value]) for value in values[len(values) // 2 :]])
    arriving.start()
    made = backup.backup(line.url, line.client, folder, print, name)
    arriving.join()
    line.kill()
    kept = events_in(folder)
    assert EVENTS // 2 <= len(kept) <= EVENTS
    delete_topic(line)  # Kafka is lost, and the database
    assert backup.restore(empty, line.client, folder, print, topic=name) == made
    line.url = empty
    line.start()
    line.until(lambda: line.heard() == len(kept), "what the database did not know yet")
    assert standing(empty) == fold(kept)
    with psycopg.connect(empty) as connection, connection.cursor() as cursor:
        assert audit(cursor) == []
        assert missing_events(line.client, progress.counted(cursor, name), name) == 0
    line.send(values[len(values) // 2 :])  # their senders send what they are not sure of again
    line.until(lambda: standing(empty) == fold(events), "everything")
    assert sum(end_offsets(line.client, name).values()) >= len(values)


def test_a_backup_that_is_not_whole_or_has_somewhere_to_go_that_is_not_empty_is_refused(
    line: Line, empty: str, tmp_path: Path
) -> None:
    name, folder = topics(line.prefix).events, tmp_path / "backup"
    line.send([b"[]"])
    with pytest.raises(backup.NoBackup, match="no whole backup"):
        backup.read(tmp_path)
    backup.backup(line.url, line.client, folder, print, name)
    assert {file.stat().st_mode & 0o077 for file in (folder, *folder.iterdir())} == {0}
    with pytest.raises(backup.NoBackup, match="is not empty"):
        backup.backup(line.url, line.client, folder, print, name)
    with pytest.raises(backup.NoBackup, match=r"the database has .* tables"):
        backup.restore(line.url, line.client, folder, print, topic=name)
    with pytest.raises(backup.NoBackup, match="holds messages"):
        backup.restore(empty, line.client, folder, print, topic=name)
    (folder / "events-0.jsonl.gz").write_bytes(b"")
    with pytest.raises(backup.NoBackup, match=r"events-0.jsonl.gz is missing, or not as it was written"):
        backup.read(folder)
