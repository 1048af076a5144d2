"""Files to Kafka: what is too large is recorded at the edge; what was rejected is mended and sent again."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy import text

from rotation.facts.events import CopyReturned, Rejection, RejectionReason
from rotation.feeds import event_lines
from rotation.kafka import admin
from rotation.kafka.clients import consumer
from rotation.kafka.topics import Topic
from rotation.store import rejections
from rotation.store.engine import connect, driver, engine
from rotation.store.rejections import ReplayChoice
from rotation.views import notices
from tests.streams_world import MONDAY, city, counts, told


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
    assert event_lines.ingest_lines(lines, "day.jsonl", client(kafka), engine(database), topic) == (1, 1)
    assert sent(kafka, topic, 1) == [b"[" + good + b"]"]
    with engine(database).connect() as connection:
        (only,) = notices.rejections_of(connection, content=True)
    assert (only.topic, only.reason, only.field) == ("file:day.jsonl", "too_large", "line 2")
    assert counts(database)["refused_at_edge"] == 1


def test_a_mended_event_is_sent_through_kafka_and_its_rejection_marked(kafka: str, database: str, topic: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            'INSERT INTO rejections (topic, partition, "offset", index, reason, field, message, original)'
            " VALUES ('t', 0, 0, 0, 'data', 'f', 'm', 'broken')"
        )
    good = orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 1))
    event_lines.replay(engine(database), client(kafka), 1, good, topic=topic)
    assert sent(kafka, topic, 1) == [good]
    with engine(database).connect() as connection:
        (only,) = notices.rejections_of(connection, content=True)
    assert only.replayed_at is not None


def test_a_rejection_that_is_not_there_is_said_so(kafka: str, database: str, topic: str) -> None:
    with pytest.raises(LookupError, match="77"):
        event_lines.replay(engine(database), client(kafka), 77, None, topic=topic)


def test_many_rejections_are_sent_again_by_reason_source_and_time(kafka: str, database: str, topic: str) -> None:
    unknown = [
        orjson.dumps(told(CopyReturned(copy=f"c{n}", place="p1"), n, source=s)) for n, s in ((1, "koha"), (2, "x"))
    ]
    still = orjson.dumps(told(CopyReturned(copy="c3", place="elsewhere"), 3))
    with engine(database).begin() as connection:
        connection.execute(text("INSERT INTO clock VALUES (1, :at, now(), 0)"), {"at": MONDAY + timedelta(days=9)})
        cursor = driver(connection).cursor()
        for value in (*unknown, still):
            rejection = Rejection(0, RejectionReason.UNKNOWN_PLACE, "place", "", value)
            rejections.add_at_edge(cursor, "http", [rejection], "circulation.rejected")
    arguments = (engine(database), client(kafka))

    def again(chosen: ReplayChoice) -> tuple[int, int]:
        return event_lines.replay_all(*arguments, chosen, city(), topic)[:2]

    assert again(ReplayChoice(reason="data")) == (0, 0)
    assert again(ReplayChoice(until=datetime(2020, 1, 1, tzinfo=UTC))) == (0, 0)
    assert again(ReplayChoice(source="x")) == (1, 0)
    assert again(ReplayChoice(reason="unknown_place")) == (1, 1)
    assert again(ReplayChoice(reason="unknown_place")) == (0, 1)
    assert sorted(sent(kafka, topic, 2)) == sorted(unknown)


def test_what_was_in_the_future_is_sent_again_when_its_time_has_come(database: str) -> None:
    early = told(CopyReturned(copy="c1", place="p1"), 0, MONDAY + timedelta(hours=2))
    with connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for value in (orjson.dumps(early), b"no event"):
            rejection = Rejection(0, RejectionReason.IN_THE_FUTURE, "time", "", value)
            rejections.add_at_edge(cursor, "http", [rejection], "circulation.rejected")
        cursor.execute("DELETE FROM outbox")
        assert rejections.send_due(cursor, "circulation.events", MONDAY + timedelta(hours=1)) == 0
        assert rejections.send_due(cursor, "circulation.events", MONDAY + timedelta(hours=2)) == 1
        assert rejections.send_due(cursor, "circulation.events", MONDAY + timedelta(hours=3)) == 0
        ((topic, value),) = cursor.execute("SELECT topic, value FROM outbox").fetchall()
    assert (topic, orjson.loads(bytes(value))) == ("circulation.events", early)
