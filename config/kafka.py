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
    tls = settings.kafka_tls or settings.kafka_tls_ca is not None
    sasl = settings.kafka_sasl_username is not None
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
    files = {
        "ssl_cafile": settings.kafka_tls_ca,
        "ssl_certfile": settings.kafka_tls_cert,
        "ssl_keyfile": settings.kafka_tls_key,
    }
    found |= {name: str(file) for name, file in files.items() if file}
    return found | _signed_in(settings)


def _signed_in(settings: Settings) -> dict[str, Any]:
    if not settings.kafka_sasl_username or not settings.kafka_sasl_password:
        return {}
    user, password = settings.kafka_sasl_username, settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_sasl_mechanism != "OAUTHBEARER":
        said = {"sasl_plain_username": user, "sasl_plain_password": password}
        return {"sasl_mechanism": settings.kafka_sasl_mechanism} | said
    from config.oauth import ClientCredentials  # httpx, for those who need it

    url, authority = str(settings.kafka_oauth_token_url), settings.kafka_tls_ca
    tokens = ClientCredentials(url, user, password, settings.kafka_oauth_scope, str(authority) if authority else None)
    return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens}


def partitions(consumer: KafkaConsumer, topic: str, within_s: float = KNOWN_S) -> list[TopicPartition]:
    """Return a topic's partitions; a new broker or topic is not known at once.

    Raises
    ------
    TimeoutError
        When the broker does not know the topic within `within_s`; a listener to no partition would never receive anything.
    """
    end = time.monotonic() + within_s
    while not (found := consumer.partitions_for_topic(topic)):
        if time.monotonic() > end:
            raise TimeoutError(f"no topic {topic}: `rotation topics create` makes it")
        time.sleep(LOOK_S)
    return [TopicPartition(topic, number) for number in sorted(found)]
