"""How clients reach Kafka: kafka-python's connection arguments from the settings, TLS and SASL included."""

import time
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from config.settings import Settings

KNOWN_S = 30.0  # longer than a broker's restart
LOOK_S = 0.1


def client(settings: Settings) -> dict[str, Any]:
    """Return the connection arguments of every kafka-python client.

    Raises
    ------
    ValueError
        When no Kafka is set and none is running.
    """
    if not settings.kafka_bootstrap:
        raise ValueError("no Kafka: start `rotation run`, or set KAFKA_BOOTSTRAP")
    tls, sasl = settings.kafka_tls_ca is not None, settings.kafka_sasl_username is not None
    protocol = {
        (False, False): "PLAINTEXT",
        (True, False): "SSL",
        (False, True): "SASL_PLAINTEXT",
        (True, True): "SASL_SSL",
    }
    found: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "security_protocol": protocol[tls, sasl],
    }
    if tls:
        found["ssl_cafile"] = str(settings.kafka_tls_ca)
    if settings.kafka_sasl_username and settings.kafka_sasl_password:
        found["sasl_mechanism"] = settings.kafka_sasl_mechanism
        found["sasl_plain_username"] = settings.kafka_sasl_username
        found["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return found


def partitions(consumer: KafkaConsumer, topic: str, within_s: float = KNOWN_S) -> list[TopicPartition]:
    """Return a topic's partitions; a broker that was started, or a topic made, a moment ago is not known at once.

    Raises
    ------
    TimeoutError
        When the broker knows no such topic within `within_s`; who listens to no partition would hear nothing for ever.
    """
    end = time.monotonic() + within_s
    while not (found := consumer.partitions_for_topic(topic)):
        if time.monotonic() > end:
            raise TimeoutError(f"no topic {topic}: `rotation topics create` makes it")
        time.sleep(LOOK_S)
    return [TopicPartition(topic, number) for number in sorted(found)]
