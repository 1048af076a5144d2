"""A producer after a record that the broker refuses: the next record goes through, and the sender knows which is which."""

import time
import uuid
from itertools import islice
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from rotation.kafka.clients import MendingProducer, RefusedByKafka, consumer, producer
from rotation.kafka.recount import end_offsets

ACK_S = 10.0


@pytest.fixture
def client(kafka: str) -> dict[str, Any]:
    return {"bootstrap_servers": kafka.split(","), "security_protocol": "PLAINTEXT"}


@pytest.fixture
def topic(client: dict[str, Any]) -> str:
    """A topic that takes small messages, dated today."""
    name = f"small-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(**client)
    settings = {"max.message.bytes": "2000", "message.timestamp.after.max.ms": "60000"}
    admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    admin.close()
    return name


def test_a_refused_record_is_named_and_the_next_goes_through(client: dict[str, Any], topic: str) -> None:
    sender = MendingProducer(client)
    sender.send(topic, b"small", ACK_S)
    for _ in range(2):
        with pytest.raises(RefusedByKafka, match="MessageSizeTooLarge"):
            sender.send(topic, b"x" * 5_000, ACK_S)
        sender.send(topic, b"small again", ACK_S)
    sender.close(ACK_S)
    assert end_offsets(client, topic) == {0: 3}


def test_messages_sent_together_are_there_in_their_order_and_a_refused_one_is_named(
    client: dict[str, Any], topic: str
) -> None:
    sender, messages = MendingProducer(client), [b"%d" % number for number in range(50)]
    with pytest.raises(RefusedByKafka, match="MessageSizeTooLarge"):
        sender.send_all(topic, [b"x" * 5_000, b"behind it"], ACK_S)
    (begin,) = end_offsets(client, topic).values()
    sender.send_all(topic, messages, ACK_S)
    assert end_offsets(client, topic) == {0: begin + 50}
    sender.close(ACK_S)
    reader = consumer(client)
    reader.assign([TopicPartition(topic, 0)])
    read = list(islice(reader, begin + 50))
    reader.close()
    assert [one.value for one in read[begin:]] == messages


def test_a_broker_that_is_away_is_no_refusal(topic: str) -> None:
    sender = MendingProducer(
        {"bootstrap_servers": ["127.0.0.1:1"], "security_protocol": "PLAINTEXT"}, bootstrap_timeout_ms=500
    )
    begin = time.monotonic()
    with pytest.raises(KafkaError):
        sender.send(topic, b"small", 1.0)
    assert time.monotonic() - begin < 5


def test_what_it_is_for_a_plain_producer_never_recovers(client: dict[str, Any], topic: str) -> None:
    """When this fails, kafka-python has been mended, and `MendingProducer` may go."""
    plain = producer(client)
    plain.send(topic, b"small").get(ACK_S)
    with pytest.raises(KafkaError):
        plain.send(topic, b"x" * 5_000).get(ACK_S)
    with pytest.raises(KafkaError):
        plain.send(topic, b"small again").get(ACK_S)
    plain.close(timeout=0)
