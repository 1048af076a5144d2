"""Topics as their contracts say: created where they are missing, compared where they exist, never changed silently."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import ClusterAuthorizationFailedError, TopicAlreadyExistsError, TopicAuthorizationFailedError

from rotation.kafka.topics import LARGEST_MESSAGE_BYTES, TOPICS, Topic

log = logging.getLogger(__name__)

OLDEST = (3, 9)  # the oldest that tests/integration/infra/test_versions.py starts
MISSING, PARTITIONS, UNSEEN = "topic", "partitions", "settings"  # what may differ beside a setting of the broker


class TopicDifference(NamedTuple):
    """A property of a topic that differs from its contract."""

    topic: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, the contract says {self.expected}"


class OldKafka(RuntimeError):
    """The broker is older than `OLDEST`."""

    def __init__(self, found: tuple[int, ...]) -> None:
        """Say which version was found, and which is needed."""
        version, oldest = (".".join(map(str, one)) for one in (found, OLDEST))
        super().__init__(
            f"the broker speaks the protocol of Kafka {version}, which is too old: upgrade it to Kafka {oldest} or newer,"
            " or name such a broker in KAFKA_BOOTSTRAP"
            f" / 消息服务器只支持 Kafka {version} 的协议，版本过旧：请升级到 Kafka {oldest} 或更新版本，"
            "或在 KAFKA_BOOTSTRAP 中填写这样的服务器"
        )


class TopicsMissing(RuntimeError):
    """Topics are missing, or not shown to this user, who may not create them."""


def create(client: Mapping[str, Any], *, replication: int = 1, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Create the topics that are missing and return their names; `client` holds kafka-python's connection arguments.

    Where somebody else has made all of them, nothing is asked of the broker but their names.

    Raises
    ------
    OldKafka
        When the broker is older than what is supported.
    TopicsMissing
        When some are missing and this user may not create them.
    """
    with_admin = KafkaAdminClient(**client)
    try:
        _refuse_old(with_admin)
        existing = set(with_admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        return [topic.name for topic in missing if _create_one(with_admin, topic, replication)]
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as refused:
        wanted = ", ".join(f"{topic.name} ({topic.partitions} partitions)" for topic in missing)
        raise TopicsMissing(
            f"these topics are missing, or not shown to this user, who may not create them: {wanted}; let the cluster's "
            "administrator make them as docs/asyncapi.yaml says, and run `rotation topics check`"
        ) from refused
    finally:
        with_admin.close()


def names(client: Mapping[str, Any]) -> list[str]:
    """Return the topics that exist."""
    with_admin = KafkaAdminClient(**client)
    try:
        return sorted(with_admin.list_topics())
    finally:
        with_admin.close()


def check(client: Mapping[str, Any], *, topics: Iterable[Topic] = TOPICS) -> list[TopicDifference]:
    """Return where the broker's topics differ from their contracts; more partitions than agreed are no difference.

    Raises
    ------
    OldKafka
        When the broker is older than what is supported.
    """
    topics = list(topics)
    with_admin = KafkaAdminClient(**client)
    try:
        _refuse_old(with_admin)
        existing = set(with_admin.list_topics())
        found = [topic for topic in topics if topic.name in existing]
        missing = [
            TopicDifference(topic.name, MISSING, "present", "missing") for topic in topics if topic.name not in existing
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


def _refuse_old(admin: KafkaAdminClient) -> None:
    """Raise OldKafka where the requests that the broker knows are those of an older version."""
    broker = admin.describe_cluster()["brokers"][0]["broker_id"]
    found = admin.get_broker_version_data(broker).broker_version
    if found < OLDEST:
        raise OldKafka(found)


def _create_one(admin: KafkaAdminClient, topic: Topic, replication: int) -> bool:
    new = NewTopic(topic.name, topic.partitions, replication, topic_configs=configs(topic))
    try:
        admin.create_topics([new], wait_for_metadata=True)
    except TopicAlreadyExistsError:
        log.info("topic %s was created by another process meanwhile", topic.name)
        return False
    return True


def _differences(admin: KafkaAdminClient, topic: Topic) -> list[TopicDifference]:
    partitions = len(admin.describe_topics([topic.name])[0]["partitions"])
    few = [TopicDifference(topic.name, PARTITIONS, f"at least {topic.partitions}", str(partitions))]
    return (few if partitions < topic.partitions else []) + list(_other_configs(admin, topic))


def _other_configs(admin: KafkaAdminClient, topic: Topic) -> Iterator[TopicDifference]:
    actual = _actual_configs(admin, topic.name)
    if not actual:  # Kafka shows none to those who may not see them, and kafka-python drops the error
        yield TopicDifference(topic.name, UNSEEN, "shown", "not shown to this user")
        return
    for key, value in configs(topic).items():
        if actual.get(key) != value:
            yield TopicDifference(topic.name, key, value, str(actual.get(key)))


def _actual_configs(admin: KafkaAdminClient, name: str) -> dict[str, str]:
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    return {key: config["value"] for key, config in described["topic"][name].items()}
