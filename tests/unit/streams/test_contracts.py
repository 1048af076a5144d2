"""The published contracts are what the code does, and what was accepted once is accepted for good."""

from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from rotation.events import FACT_OF_TYPE, Event, parse
from streams import asyncapi
from tests.streams_world import EDGE, history

ROOT = Path(__file__).parents[3]
VERSION_1 = ROOT / "tests" / "golden" / "events-v1.jsonl"


def test_the_published_document_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8") == asyncapi.text()


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
