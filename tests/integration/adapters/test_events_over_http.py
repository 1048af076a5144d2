"""`POST /events` on a real Kafka and PostgreSQL: counts, places of mistakes, and no reader anywhere."""

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from cloudevents.v1 import conversion
from cloudevents.v1 import http as sdk
from fastapi.testclient import TestClient
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, text

from config.settings import load
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.feeds.http import BATCH, STRUCTURED, Allowance
from rotation.kafka import admin
from rotation.kafka.message import Message
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import write
from rotation.views.notices import counts_of
from rotation.web.app import create_app
from streams.apply import Writer
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


def test_the_official_sdks_defaults_are_taken_binary_and_structured(source: TestClient, topic: Topic) -> None:
    event = sdk.CloudEvent(
        {"type": "copy.loaned", "source": "koha/南湖", "time": MONDAY.isoformat(), "sequence": "7"},
        {"copy": "c1", "place": "p1"},
    )
    binary, structured = conversion.to_binary(event), conversion.to_structured(event)
    percent = {name: quote(value, safe=":+/ ") for name, value in binary[0].items()}  # as the standard has it
    raw = {name: value.encode() for name, value in binary[0].items()}
    for headers, body in (structured, (percent, binary[1]), (raw, binary[1])):
        assert source.post("/events", content=body, headers=headers).json() == {
            "accepted": 1,
            "refused": [],
            "dropped_fields": [],
        }
    sent = [event for message in topic.read() for event in orjson.loads(message)]
    assert {(event["source"], int(event["sequence"]), event["data"]["copy"]) for event in sent} == {
        ("koha/南湖", 7, "c1")
    }


def test_binary_mode_names_what_is_wrong_and_drops_what_could_name_a_reader(source: TestClient, topic: Topic) -> None:
    good = {f"ce-{name}": str(value) for name, value in lent(1).items() if name != "data"}
    body = orjson.dumps(lent(1)["data"])
    without = {name: value for name, value in good.items() if name != "ce-specversion"}
    answers = [
        source.post("/events", content=body, headers=good | {"ce-patron": CARD}),
        source.post("/events", content=body, headers=without),
        source.post("/events", content=b"{'copy': 1}", headers=good),
        source.post("/events", content=body, headers=good | {"ce-time": "20260302"}),
        source.post("/events", content=body, headers=good | {"content-type": "text/xml"}),
    ]
    assert [answer.status_code for answer in answers] == [202, 422, 422, 422, 415]
    assert answers[0].json()["dropped_fields"] == ["patron"]
    assert [one["refused"][0]["field"] for one in (answer.json() for answer in answers[1:4])] == [
        "specversion",
        "line 1 column 2",
        "time",
    ]
    assert "text/xml" in answers[4].json()["detail"]
    assert named_in(topic.read()) == []


def test_gzip_is_taken_and_what_only_says_so_is_named(source: TestClient, topic: Topic) -> None:
    packed, headers = gzip.compress(orjson.dumps([lent(1)])), {"content-type": BATCH, "content-encoding": "gzip"}
    assert source.post("/events", content=packed, headers=headers).status_code == 202
    assert len(topic.read()) == 1
    large = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    refused = [
        source.post("/events", content=packed[:-9], headers=headers),
        source.post("/events", content=b"[]", headers=headers),
        source.post("/events", content=packed, headers=headers | {"content-encoding": "br"}),
        source.post("/events", content=large, headers=headers),
    ]
    assert [answer.status_code for answer in refused] == [415, 415, 415, 413]
    words = ("ends in the middle", "the content is not", "'br'")
    for answer, said in zip(refused, words, strict=False):
        assert said in answer.json()["detail"]
    assert topic.read() == []


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


def test_a_batch_of_more_members_than_events_fit_in_is_one_rejection(source: TestClient, engine: Engine):
    body = b"[" + b",".join([b"{}"] * 330_000) + b"]"
    answer = post(source, body)
    assert (answer.status_code, len(answer.json()["refused"])) == (422, 1)
    assert "330000 events; at most" in answer.json()["refused"][0]["message"]


def test_a_source_is_charged_by_bytes_too(source: TestClient):
    source.app.state.allowance = Allowance(per_s=1, burst=100)  # type: ignore[attr-defined]
    padded = {**lent(1), "data": {"copy": "c1", "place": "p1", "note": "x" * 29_000}}
    answers = [post(source, orjson.dumps([padded]), dry_run="true").status_code for _ in range(2)]
    del source.app.state.allowance  # type: ignore[attr-defined]
    assert answers == [200, 429]


def test_what_is_refused_before_kafka_is_counted_apart_and_holds_no_row_of_the_workers(
    source: TestClient, engine: Engine
):
    with engine.connect() as connection:
        before = counts_of(connection)
    with engine.begin() as worker:
        worker.execute(
            text("INSERT INTO counts VALUES ('rejected', 0) ON CONFLICT (name) DO UPDATE SET value = counts.value")
        )
        assert post(source, orjson.dumps([{}, {}])).status_code == 422  # while the worker's row is held
    with engine.connect() as connection:
        after = counts_of(connection)
    assert after["refused_at_edge"] - before.get("refused_at_edge", 0) == 2
    assert after.get("rejected", 0) == before.get("rejected", 0)
