"""Files to Kafka: what is too large is recorded at the edge; what was rejected is mended and sent again."""

import uuid
from typing import Any

import orjson
import psycopg
import pytest

from rotation.events import CopyReturned
from rotation.store import rejections
from rotation.store.engine import connect, engine
from streams import admin, ingest
from streams.clients import consumer
from streams.topics import Topic
from tests.streams_world import counts, told


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"i{uuid.uuid4().hex[:8]}.events"
    admin.create(client(kafka), topics=[Topic(name, "", 1, -1, False, (), (), "")])
    return name


def client(kafka: str) -> dict[str, Any]:
    return {"bootstrap_servers": kafka.split(","), "security_protocol": "PLAINTEXT"}


def sent(kafka: str, topic: str, wanted: int) -> list[bytes]:
    reader, found = consumer(client(kafka)), list[bytes]()
    reader.subscribe([topic])
    for _ in range(100):
        found += [record.value for records in reader.poll(300).values() for record in records]
        if len(found) >= wanted:
            break
    reader.close()
    return found


def test_two_megabytes_are_refused_at_the_edge_and_recorded_and_counted(kafka: str, database: str, topic: str) -> None:
    good = orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 1))
    lines = [good, b'{"a": "' + b"x" * 2_000_000 + b'"}']
    assert ingest.ingest_lines(lines, "day.jsonl", client(kafka), engine(database), topic) == (1, 1)
    assert sent(kafka, topic, 1) == [b"[" + good + b"]"]
    with connect(database) as connection, connection.cursor() as cursor:
        (only,) = rejections.listed(cursor)
    assert (only.topic, only.reason, only.field) == ("file:day.jsonl", "too_large", "line 2")
    assert counts(database)["rejected"] == 1


def test_a_mended_event_is_sent_through_kafka_and_its_rejection_marked(kafka: str, database: str, topic: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            'INSERT INTO rejections (topic, partition, "offset", index, reason, field, message, original)'
            " VALUES ('t', 0, 0, 0, 'data', 'f', 'm', 'broken')"
        )
    good = orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 1))
    ingest.replay(engine(database), client(kafka), 1, good, topic=topic)
    assert sent(kafka, topic, 1) == [good]
    with connect(database) as connection, connection.cursor() as cursor:
        assert rejections.listed(cursor, waiting=True) == []


def test_a_rejection_that_is_not_there_is_said_so(kafka: str, database: str, topic: str) -> None:
    with pytest.raises(LookupError, match="77"):
        ingest.replay(engine(database), client(kafka), 77, None, topic=topic)
