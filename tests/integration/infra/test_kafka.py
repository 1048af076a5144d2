"""The embedded Kafka: kept state, kills, ports, TLS and SASL, three brokers."""

import socket
import ssl

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from infra.kafka import Security, embedded_kafka
from infra.messages import ServerError, ServerMessage
from tests.integration.infra.certificates import self_signed

TOPIC = "kept"


def make_topic(bootstrap: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    client.create_topics([NewTopic(TOPIC, 1, -1)])
    client.close()


def send(bootstrap: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    producer.send(TOPIC, value).get(30)
    producer.close()


def values(bootstrap: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    whole = TopicPartition(TOPIC, 0)
    consumer.assign([whole])
    end = consumer.end_offsets([whole])[whole]
    found: list[bytes] = []
    while len(found) < end:
        found += [record.value for records in consumer.poll(500).values() for record in records]
    consumer.close()
    return found


def test_messages_outlast_a_kill_and_a_port_that_others_took(tmp_path, said: list[ServerMessage]):
    with embedded_kafka(tmp_path, tell=said.append) as kafka:
        make_topic(kafka.bootstrap)
        send(kafka.bootstrap, b"before")
        kafka.brokers[0].kill()
        with pytest.raises(ServerError, match=r"Kafka exited unexpectedly \(SIGKILL\).*broker.log"):
            kafka.check()
        before = kafka.brokers[0].port
    with socket.create_server(("127.0.0.1", before)), embedded_kafka(tmp_path, tell=said.append) as kafka:
        assert kafka.brokers[0].port != before
        assert values(kafka.bootstrap) == [b"before"]
    steps = [message.code for message in said]
    first = ["kafka.format", "kafka.start", "kafka.ready", "kafka.stop"]
    assert steps == [*first, "port.moved", "kafka.start", "kafka.ready", "kafka.stop"]


def test_without_a_network_a_start_needs_only_the_cache(tmp_path, monkeypatch, kafka_server):
    """`kafka_server` has filled the cache; here every way out is a closed door."""
    for way in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(way, "http://127.0.0.1:9")
    with embedded_kafka(tmp_path / "kafka"):
        pass
    monkeypatch.setenv("ROTATION_CACHE", str(tmp_path / "empty"))
    with pytest.raises(ServerError, match="connect to the network once"), embedded_kafka(tmp_path / "kafka"):
        pass


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):
    listed = tmp_path / "jars.txt"
    listed.write_text("org.slf4j:slf4j-api:1.7.36 " + "0" * 64 + "\n")
    monkeypatch.setattr("infra.jars.LIST", listed)
    monkeypatch.setenv("ROTATION_CACHE", str(tmp_path / "cache"))
    with (
        pytest.raises(ServerError, match="not the one this project was tested with"),
        embedded_kafka(tmp_path / "kafka"),
    ):
        pass
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_one_folder_has_one_kafka(kafka_server):
    folder = kafka_server.brokers[0].folder.parent
    with pytest.raises(ServerError, match=r"in use by process \d+"), embedded_kafka(folder):
        pass


def test_a_broker_that_cannot_start_says_why(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setattr("infra.ports.free", lambda port: True)
    with pytest.raises(ServerError, match=r"exited unexpectedly \(exit 1\): .*(in use|bind)"):
        with embedded_kafka(tmp_path, port=kafka_server.brokers[0].port):
            pass


def test_with_tls_and_sasl_only_the_right_password_and_rights_get_through(tmp_path):
    certificate, key = self_signed(tmp_path)
    users = {"admin": "of-all", "worker": "of-some"}
    with embedded_kafka(tmp_path / "kafka", security=Security(certificate, key, users, ("admin",))) as kafka:
        assert topics(kafka.bootstrap, certificate, "admin", "of-all") == set()
        make_topic(kafka.plain)
        assert topics(kafka.bootstrap, certificate, "admin", "of-all") == {TOPIC}
        assert topics(kafka.bootstrap, certificate, "worker", "of-some") == set()
        with pytest.raises(KafkaError):
            topics(kafka.bootstrap, certificate, "worker", "guessed")


def topics(bootstrap: str, certificate, user: str, password: str) -> set[str]:
    client = KafkaAdminClient(
        bootstrap_servers=bootstrap,
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=user,
        sasl_plain_password=password,
        bootstrap_timeout_ms=4000,
        ssl_context=ssl.create_default_context(cafile=str(certificate)),
    )
    try:
        return set(client.list_topics())
    finally:
        client.close()


def test_of_three_brokers_one_may_go_and_come_back(tmp_path):
    with embedded_kafka(tmp_path, brokers=3) as kafka:
        make_topic(kafka.bootstrap)
        kafka.brokers[2].kill()
        send(kafka.bootstrap, b"with two")
        kafka.brokers[2].start()
        kafka.brokers[2].wait()
        kafka.check()
        assert values(kafka.bootstrap) == [b"with two"]
