"""Topics as their contracts say: created where they are missing, compared where they exist, never changed silently."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from streams.topics import LARGEST_MESSAGE_BYTES, TOPICS, Topic

log = logging.getLogger(__name__)


class Difference(NamedTuple):
    """What a topic is, where its contract says otherwise."""

    topic: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, the contract says {self.expected}"


def create(client: Mapping[str, Any], *, replication: int = 1, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Create the topics that are missing and return their names; `client` holds kafka-python's connection arguments."""
    with_admin = KafkaAdminClient(**client)
    try:
        existing = set(with_admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        return [topic.name for topic in missing if _create_one(with_admin, topic, replication)]
    finally:
        with_admin.close()


def names(client: Mapping[str, Any]) -> list[str]:
    """Return the topics that exist."""
    with_admin = KafkaAdminClient(**client)
    try:
        return sorted(with_admin.list_topics())
    finally:
        with_admin.close()


def check(client: Mapping[str, Any], *, topics: Iterable[Topic] = TOPICS) -> list[Difference]:
    """Return where the broker's topics differ from their contracts; more partitions than agreed are no difference."""
    topics = list(topics)
    with_admin = KafkaAdminClient(**client)
    try:
        existing = set(with_admin.list_topics())
        found = [topic for topic in topics if topic.name in existing]
        missing = [
            Difference(topic.name, "topic", "present", "missing") for topic in topics if topic.name not in existing
        ]
        return missing + [difference for topic in found for difference in _differences(with_admin, topic)]
    finally:
        with_admin.close()


def configs(topic: Topic) -> dict[str, str]:
    """Return the broker's settings that follow from a contract."""
    return {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(LARGEST_MESSAGE_BYTES),
    }


def _create_one(admin: KafkaAdminClient, topic: Topic, replication: int) -> bool:
    new = NewTopic(topic.name, topic.partitions, replication, topic_configs=configs(topic))
    try:
        admin.create_topics([new], wait_for_metadata=True)
    except TopicAlreadyExistsError:
        log.info("topic %s was created by another process meanwhile", topic.name)
        return False
    return True


def _differences(admin: KafkaAdminClient, topic: Topic) -> list[Difference]:
    partitions = len(admin.describe_topics([topic.name])[0]["partitions"])
    few = [Difference(topic.name, "partitions", f"at least {topic.partitions}", str(partitions))]
    actual = _actual_configs(admin, topic.name)
    wrong = [
        Difference(topic.name, key, value, str(actual.get(key)))
        for key, value in configs(topic).items()
        if actual.get(key) != value
    ]
    return (few if partitions < topic.partitions else []) + wrong


def _actual_configs(admin: KafkaAdminClient, name: str) -> dict[str, str]:
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    return {key: config["value"] for key, config in described["topic"][name].items()}
