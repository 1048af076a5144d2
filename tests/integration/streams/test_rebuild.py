"""A database rebuilt from Kafka equals what it replaces, row by row."""

import uuid
from datetime import datetime
from typing import Any

import orjson
import psycopg
import pytest

from rotation.facts.clock import standing_at
from rotation.facts.events import CopyReturned, TransferMissed
from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.kafka.topics import Topic
from rotation.store import retention
from rotation.store.audit import audit
from streams import rebuild
from streams.apply import Topics
from tests.streams_world import MONDAY, batches, city, counts, disturbed, fold, history, standing, told


@pytest.fixture
def topics(kafka: str) -> Topics:
    prefix = f"r{uuid.uuid4().hex[:8]}"
    found = Topics(f"{prefix}.events", f"{prefix}.touched", f"{prefix}.rejected")
    admin.create(client(kafka), topics=[Topic(name, "", 3, -1, False, (), (), "") for name in found])
    return found


def client(kafka: str) -> dict[str, Any]:
    return {"bootstrap_servers": kafka.split(","), "security_protocol": "PLAINTEXT"}


def send(kafka: str, topics: Topics, *messages: bytes) -> None:
    sender = producer(client(kafka))
    for value in messages:
        sender.send(topics.events, value)
    sender.close()


def run(kafka: str, database: str, topics: Topics) -> list[rebuild.TableDifference]:
    return rebuild.rebuild(database, client(kafka), city(), lambda done, total: None, topics)


def set_clock(database: str, days: int) -> None:
    clock = standing_at(MONDAY.replace(day=MONDAY.day + days))
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM clock")
        connection.execute(
            "INSERT INTO clock (network_at, wall_at, speed) VALUES (%s, %s, 0)", (clock.network_at, clock.wall_at)
        )


def test_a_rebuild_equals_what_it_replaces_and_what_was_rejected_stays_rejected(
    kafka: str, database: str, topics: Topics
) -> None:
    events = history(21, 900, copies=100)
    too_early = told(CopyReturned(copy="c1", place="p5"), 999, MONDAY.replace(day=20))
    set_clock(database, 5)
    send(kafka, topics, *batches(disturbed(events, 21), 21), orjson.dumps(too_early), b"no json")
    run(kafka, database, topics)
    before, told_before = standing(database), counts(database)
    set_clock(database, 25)
    assert run(kafka, database, topics) == []
    assert standing(database) == before == fold(events)
    assert counts(database) == told_before
    with psycopg.connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_what_was_forgotten_is_forgotten_again_after_a_rebuild(kafka: str, database: str, topics: Topics) -> None:
    missed = [told(TransferMissed(transfer=f"t{n}", copy=f"c{n}", place="p1", reason="x"), 2_000 + n) for n in range(6)]
    send(kafka, topics, orjson.dumps([*history(26, 60), *missed]))
    run(kafka, database, topics)
    cut = datetime.fromisoformat(missed[3]["time"])
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        assert retention.forget_scans(cursor, cut) == 3  # and those of shipments, which count as movements
        cursor.execute("DELETE FROM transfers WHERE changed_at < %s", (cut,))
    assert run(kafka, database, topics) == []
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        left = cursor.execute("SELECT transfer_id FROM transfers ORDER BY 1").fetchall()
        assert [name for (name,) in left] == ["t3", "t4", "t5"]
        assert audit(cursor) == []


def test_a_rebuild_tells_what_stood_otherwise(kafka: str, database: str, topics: Topics) -> None:
    send(kafka, topics, orjson.dumps(history(23, 60)))
    run(kafka, database, topics)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE copies SET place_id = 'p9' WHERE copy_id = 'c7'")
        connection.execute("DELETE FROM movements WHERE copy_id = 'c8' AND state = 'on_shelf'")
    found = {one.table: one for one in run(kafka, database, topics)}
    assert found["copies"] == rebuild.TableDifference("copies", 1, 1)
    assert found["movements"].only_before == 0 < found["movements"].only_after
    assert run(kafka, database, topics) == []


def test_the_audit_names_a_copy_that_is_not_where_its_movements_put_it(
    kafka: str, database: str, topics: Topics
) -> None:
    send(kafka, topics, orjson.dumps(history(22, 60)))
    run(kafka, database, topics)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE copies SET place_id = 'p9' WHERE copy_id = 'c7'")
        connection.execute("UPDATE counts SET value = value + 1 WHERE name = 'applied'")
        found = {difference.check: difference for difference in audit(connection.cursor())}
    assert found["copies that are not where their last movement put them"].subjects == ("c7",)
    assert found["events counted otherwise than they stand in the sets"].subjects == ("61 counted, 60 in the sets",)
