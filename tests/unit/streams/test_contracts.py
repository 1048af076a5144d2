"""The published contracts are what the code does, and what was accepted once is accepted for good."""

from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rotation.facts.events import FACT_OF_TYPE, Event, parse
from rotation.kafka import asyncapi
from rotation.kafka.topics import TOPICS
from tests.streams_world import EDGE, history

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


def test_events_of_version_1_are_read_for_good() -> None:
    lines = VERSION_1.read_bytes().splitlines()
    assert {orjson.loads(line)["type"] for line in lines} == set(FACT_OF_TYPE)
    assert all(isinstance(event, Event) for line in lines for event in parse(line, EDGE))
