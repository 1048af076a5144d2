"""`POST /events` on a real Kafka and PostgreSQL: counts, places of mistakes, and no reader anywhere."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine

from config.settings import load
from rotation.adapters.http import BATCH, STRUCTURED, Allowance
from rotation.network import write
from rotation.web import auth
from rotation.web.app import create_app
from rotation.web.permissions import Role
from streams import admin
from streams.apply import Writer
from streams.rows import Message
from streams.topics import CIRCULATION_EVENTS
from tests.streams_world import MONDAY, city, counts
from tests.unit.adapters.patron import CARD, NAME, named_in

TOPIC = CIRCULATION_EVENTS.name


def lent(number: int, **more: Any) -> dict[str, Any]:
    data = {"copy": f"c{number}", "place": "p1"} | more
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "koha",
        "type": "copy.loaned",
        "time": MONDAY.isoformat(),
        "data": data,
    }


class Topic:
    """What comes to the events' topic from now on."""

    def __init__(self, bootstrap: str) -> None:
        client = {"bootstrap_servers": bootstrap.split(",")}
        admin.create(client, topics=[CIRCULATION_EVENTS])
        self.reader = KafkaConsumer(**client, enable_auto_commit=False)
        self.reader.assign([TopicPartition(TOPIC, number) for number in self.reader.partitions_for_topic(TOPIC)])
        self.reader.seek_to_end()
        for at in self.reader.assignment():
            self.reader.position(at)

    def read(self) -> list[bytes]:
        return [record.value for records in self.reader.poll(timeout_ms=3000).values() for record in records]


@pytest.fixture
def topic(kafka: str) -> Iterator[Topic]:
    made = Topic(kafka)
    yield made
    made.reader.close()


@pytest.fixture
def source(kafka: str, database: str, engine: Engine, tmp_path: Path) -> TestClient:
    """A source's client: token and all."""
    write(city(), tmp_path / "city.json")
    app = create_app(
        load(kafka_bootstrap=kafka, database_url=database, data_dir=tmp_path, network=tmp_path / "city.json")
    )
    with engine.begin() as connection:
        token = auth.add_token(connection, Role.SOURCE, "koha", "tests", datetime.now(UTC) + timedelta(hours=1))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


def post(source: TestClient, body: Any, kind: str = BATCH, **query: str) -> Any:
    return source.post(
        "/events",
        params=query,
        content=body if isinstance(body, bytes) else orjson.dumps(body),
        headers={"content-type": kind},
    )


def test_what_is_good_stands_in_kafka_and_what_is_not_is_named_by_its_place(source: TestClient, topic: Topic) -> None:
    answer = post(source, [lent(1), lent(2, place="nowhere"), lent(3)])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert [(one["index"], one["field"]) for one in answer.json()["refused"]] == [(1, "data.place")]
    [message] = topic.read()
    assert [event["id"] for event in orjson.loads(message)] == ["e1", "e3"]


def test_one_structured_event_is_taken(source: TestClient, topic: Topic) -> None:
    assert post(source, lent(1), STRUCTURED).status_code == 202
    assert len(topic.read()) == 1


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ([lent(1, place="nowhere")], BATCH, 422),
        (b"{", BATCH, 422),
        (lent(1), BATCH, 422),
        ([lent(1)], "text/plain", 415),
        (b"[" + b" " * 1_000_001 + b"]", BATCH, 413),
    ],
)
def test_what_cannot_be_taken_is_refused_and_sends_nothing(
    source: TestClient, topic: Topic, everything: Callable[[], str], body: Any, kind: str, status: int
) -> None:
    assert post(source, body, kind).status_code == status
    assert topic.read() == []
    assert status == 415 or "'http'" in everything()


def test_a_dry_run_answers_with_what_would_be_sent_and_sends_and_keeps_nothing(
    source: TestClient, topic: Topic, everything: Callable[[], str]
) -> None:
    answer = post(source, [lent(1, patron=CARD), lent(2, place="nowhere")], dry_run="true")
    assert (answer.status_code, answer.json()["would_send"]) == (200, [lent(1)])
    assert [one["index"] for one in answer.json()["refused"]] == [1]
    refused = [post(source, body, dry_run="true").status_code for body in (b"{", b"[" + b" " * 1_000_001 + b"]")]
    assert refused == [422, 413]
    assert topic.read() == []
    assert "'http'" not in everything()
    assert named_in(answer.text) == []


def test_what_is_sent_again_as_after_a_kill_before_the_answer_counts_once(
    source: TestClient, topic: Topic, database: str
) -> None:
    assert [post(source, [lent(1), lent(2)]).status_code for _ in range(2)] == [202, 202]
    writer = Writer(database, city(), lambda *_: [])
    writer.write(writer.prepare([Message(0, number, value) for number, value in enumerate(topic.read())]))
    writer.close()
    assert counts(database) == {"applied": 2, "duplicates": 2}


def test_a_source_that_sends_too_much_is_told_when_to_go_on(source: TestClient, topic: Topic) -> None:
    source.app.state.allowance = Allowance(per_s=1, burst=2)  # type: ignore[attr-defined]
    assert post(source, [lent(1), lent(2)]).status_code == 202
    answer = post(source, [lent(3), lent(4)])
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert len(topic.read()) == 1


def test_without_a_sources_token_nothing_is_taken(source: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        viewer = auth.add_token(connection, Role.VIEWER, "a screen", "tests")
    source.headers["Authorization"] = f"Bearer {viewer}"
    assert post(source, [lent(1)]).status_code == 403
    del source.headers["Authorization"]
    assert post(source, [lent(1)]).status_code in (401, 403)


def test_no_reader_stands_in_any_topic_table_log_or_answer(
    source: TestClient,
    topic: Topic,
    everything: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = post(source, [lent(1, patron=CARD) | {"subject": NAME}, lent(2, place="nowhere", borrower={"name": NAME})])
    broken = post(source, f'[{{"patron": "{CARD}"'.encode())
    assert (answer.json()["accepted"], broken.status_code) == (1, 422)
    assert named_in(*topic.read(), everything(), caplog.text, *capsys.readouterr(), answer.text, broken.text) == []
