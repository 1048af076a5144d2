"""The published contracts are what the code does, and what was accepted once is accepted for good."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson
import pytest
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rotation.alerts import settling
from rotation.alerts.settling import OpenAlert
from rotation.alerts.touched import Touched, notices
from rotation.courier import worker
from rotation.facts.events import FACT_OF_TYPE, Event, parse
from rotation.facts.lifecycle import AlertKind, AlertState
from rotation.kafka import asyncapi, orders
from rotation.kafka.topics import TOPICS
from rotation.store import rejections
from solver.engines import Limits
from solver.problem import Depot, Problem, Stop, Van
from tests.streams_world import EDGE, MONDAY, history

ROOT = Path(__file__).parents[3]
VERSION_1 = ROOT / "tests" / "golden" / "events-v1.jsonl"


def test_the_published_document_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8") == asyncapi.text()


class Strict(BaseModel):
    """AsyncAPI 3.0.0's own schema (asyncapi/spec-json-schemas) as far as ours uses it; what is not of it must begin with x-."""

    model_config = ConfigDict(extra="allow", strict=True)

    @model_validator(mode="after")
    def _only_extensions(self) -> "Strict":
        unknown = [name for name in self.model_extra or {} if not name.startswith("x-")]
        if unknown:
            raise ValueError(f"not in AsyncAPI 3: {unknown}")
        return self


class Reference(Strict):
    ref: str = Field(alias="$ref", pattern="^#/")


class Info(Strict):
    title: str
    version: str
    description: str = ""


class TopicConfiguration(Strict):
    cleanup_policy: list[Literal["delete", "compact"]] = Field(alias="cleanup.policy")
    retention_ms: int = Field(alias="retention.ms", ge=-1)
    max_message_bytes: int = Field(alias="max.message.bytes", gt=0)


class KafkaChannel(Strict):
    topic: str
    partitions: int = Field(gt=0)
    topic_configuration: TopicConfiguration = Field(alias="topicConfiguration")


class Bindings(Strict):
    kafka: KafkaChannel


class Channel(Strict):
    address: str
    description: str
    messages: dict[str, Reference]
    bindings: Bindings


class Operation(Strict):
    action: Literal["send", "receive"]
    channel: Reference
    summary: str = ""


class Message(Strict):
    name: str
    content_type: str = Field(alias="contentType")
    headers: dict[str, Any] = {}
    payload: dict[str, Any]


class Components(Strict):
    messages: dict[str, Message]
    schemas: dict[str, dict[str, Any]]


class Document(Strict):
    asyncapi: Literal["3.0.0"]
    info: Info
    default_content_type: str = Field(alias="defaultContentType")
    channels: dict[str, Channel]
    operations: dict[str, Operation]
    components: Components


TOLD_OF_EACH = {"x-key", "x-kept", "x-ordering", "x-writers", "x-readers"}


def test_the_document_is_one_of_asyncapi_3_and_tells_of_every_topic_all_that_a_reader_needs() -> None:
    found = Document.model_validate(asyncapi.document())
    assert [channel.address for channel in found.channels.values()] == [topic.name for topic in TOPICS]
    assert all((channel.model_extra or {}).keys() == TOLD_OF_EACH for channel in found.channels.values())


@pytest.mark.parametrize(
    "broken", [{"asyncapi": "2.6.0"}, {"chanels": {}}, {"operations": {"a": {"action": "publish"}}}]
)
def test_what_is_no_document_of_asyncapi_3_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Document.model_validate(asyncapi.document() | broken)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = asyncapi.document()
    for reference in _references(document):
        at = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == "$ref"] + [r for v in value.values() for r in _references(v)]
    return [r for v in value for r in _references(v)] if isinstance(value, list) else []


@pytest.mark.parametrize("kind", FACT_OF_TYPE)
def test_each_schema_is_a_valid_schema(kind: str) -> None:
    Draft202012Validator.check_schema(asyncapi.event_schema(FACT_OF_TYPE[kind]))


def test_what_the_schemas_accept_is_what_the_parser_accepts() -> None:
    for event in orjson.loads(orjson.dumps(history(31, 200))):
        Draft202012Validator(asyncapi.event_schema(FACT_OF_TYPE[event["type"]])).validate(event)


def _validator(payload: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(payload | {"components": asyncapi.document()["components"]})


def test_the_payload_of_every_topic_says_what_is_in_it() -> None:
    document = asyncapi.document()
    for message in document["components"]["messages"].values():
        Draft202012Validator.check_schema(message["payload"])
        assert not _validator(message["payload"]).is_valid({"anything": 1})


HUB = Depot(id="hub", lat=30.0, lon=120.0)
PROBLEM = Problem(depots=[HUB], vans=[Van(id="van")], stops=[Stop(id="s1", lat=30.01, lon=120.0)])
LIMITS = Limits(iterations=1)


def _sent() -> dict[str, list[Any]]:
    """A message or more of each topic that is neither an event nor an order, as its writer makes it."""
    alert = OpenAlert(7, AlertKind.SHORTAGE, "hubin", "fiction", {"level": 3, "target": 9})
    asked = worker.request(PROBLEM, LIMITS)[1]
    touched = notices({"hubin": Touched(frozenset({"fiction"}), awaited=False), "central": Touched()})
    return {
        "circulation.rejected": [
            rejections._told("file:a.csv", 0, 4, 0, "unknown_place", "data.place", "no place 'x'")[1]
        ],
        "stock.touched": touched,
        "stock.alerts": [settling._told(alert, state, MONDAY) for state in AlertState],
        "stock.targets": [{"type": "wanted", "copy": "0001", "to": to, "plan": "p1"} for to in ("hubin", None)],
        "route.requests": [orjson.loads(asked)],
        "route.results": [orjson.loads(worker.answer(one)) for one in (asked, b"{}", b"no request")],
    }


def test_what_is_sent_is_what_the_contract_says() -> None:
    messages = asyncapi.document()["components"]["messages"]
    for topic, sent in _sent().items():
        assert sent
        for value in orjson.loads(orjson.dumps(sent)):
            _validator(messages[topic.replace(".", "-")]["payload"]).validate(value)


def test_an_order_is_a_cloud_event() -> None:
    given = datetime(2026, 3, 2, 17, 5, tzinfo=ZoneInfo("Asia/Shanghai"))
    value = orjson.dumps({"type": "order.cancel", "transfer": "t1"})
    headers = {name: text.decode() for name, text in orders.headers(12, value, given)}
    Draft202012Validator(orders.HEADERS).validate(headers)
    attributes = {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")}
    event = CloudEvent(attributes | {"time": datetime.fromisoformat(attributes["time"])}, orjson.loads(value))
    assert (event.get_id(), event.get_type(), event.get_time()) == ("12", "order.cancel", given)


def test_events_of_version_1_are_read_for_good() -> None:
    lines = VERSION_1.read_bytes().splitlines()
    assert {orjson.loads(line)["type"] for line in lines} == set(FACT_OF_TYPE)
    assert all(isinstance(event, Event) for line in lines for event in parse(line, EDGE))
