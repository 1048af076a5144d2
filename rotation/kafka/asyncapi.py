"""The contracts as AsyncAPI 3, made of the topics and the facts themselves.

`python -m rotation.kafka.asyncapi > docs/asyncapi.yaml` writes them.
Nothing is written by hand, and a test compares the file with the code.
"""

import sys
from typing import Any

import orjson

from rotation.facts.events import FACT_OF_TYPE, MAX_BATCH_BYTES, SCHEMA_VERSION, Envelope, Fact
from rotation.kafka import orders, payloads
from rotation.kafka.topics import FOREVER, LARGEST_MESSAGE_BYTES, TOPICS, TRANSFER_ORDERS, Topic

BATCH_TYPE = "application/cloudevents-batch+json"


def document() -> dict[str, Any]:
    """Return the whole AsyncAPI document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rotation's topics",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": "Facts come in as CloudEvents 1.0 batches in any order, any number of times; keys give locality only.",
        },
        "defaultContentType": "application/json",
        "channels": {_name(topic): _channel(topic) for topic in TOPICS},
        "operations": {f"send.{_name(topic)}": _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {_name(topic): _message(topic) for topic in TOPICS},
            "schemas": {
                "event": {"oneOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in FACT_OF_TYPE]},
                **{kind: event_schema(fact) for kind, fact in FACT_OF_TYPE.items()},
                **orders.schema()["$defs"],
                **payloads.schemas(),
            },
        },
    }


def event_schema(fact: type[Fact]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a fact's CloudEvent."""
    envelope = Envelope.model_json_schema()
    properties = {
        **envelope["properties"],
        "type": {"const": fact.type},
        "data": _inlined(fact.model_json_schema(by_alias=True)),
    }
    title = f"{fact.type}, version {SCHEMA_VERSION}"
    return {**envelope, "title": title, "description": (fact.__doc__ or "").strip(), "properties": properties}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without definitions of its own: enumerations stand where they are used."""
    definitions = schema.pop("$defs", {})
    schema["properties"] = {
        name: definitions[value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else value
        for name, value in schema.get("properties", {}).items()
    }
    return schema


def _channel(topic: Topic) -> dict[str, Any]:
    configuration = {
        "cleanup.policy": ["compact" if topic.compacted else "delete"],
        "retention.ms": topic.retention_ms,
        "max.message.bytes": LARGEST_MESSAGE_BYTES,
    }
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {_name(topic): {"$ref": f"#/components/messages/{_name(topic)}"}},
        "bindings": {
            "kafka": {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": configuration}
        },
        "x-key": topic.key,
        "x-kept": "forever" if topic.retention_ms == FOREVER else f"{topic.retention_ms // 86_400_000} days",
        "x-ordering": "none: every reader takes messages in any order, twice, on any partition",
        "x-writers": list(topic.writers),
        "x-readers": list(topic.readers),
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{_name(topic)}"}, "summary": topic.about}


def _message(topic: Topic) -> dict[str, Any]:
    if topic is TRANSFER_ORDERS:
        payload = {key: value for key, value in orders.schema().items() if key != "$defs"}
        return {"name": topic.name, "contentType": "application/json", "headers": orders.HEADERS, "payload": payload}
    if model := payloads.PAYLOADS.get(topic):
        payload = {"$ref": payloads.REFERENCE.format(model=model.__name__)}
        return {"name": topic.name, "contentType": "application/json", "payload": payload}
    event = {"$ref": "#/components/schemas/event"}
    payload = {"oneOf": [event, {"type": "array", "minItems": 1, "items": event}]}
    return {"name": topic.name, "contentType": BATCH_TYPE, "payload": payload, "x-largest-bytes": MAX_BATCH_BYTES}


def _name(topic: Topic) -> str:
    return topic.name.replace(".", "-")


def text() -> str:
    """Return the document as JSON, which is YAML too."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
