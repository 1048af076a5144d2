"""Kafka that asks for signed tokens (SASL/OAUTHBEARER over TLS): our clients fetch them, and go on when they end. Real broker."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kafka.errors import KafkaError, SaslAuthenticationFailedError

from config import load
from config.kafka import client as client_of
from config.oauth import ClientCredentials
from infra.kafka import Kafka, Security, TokenIssuer, embedded_kafka
from rotation.kafka import acls, admin
from rotation.kafka.clients import consumer, producer
from rotation.kafka.topics import CIRCULATION_EVENTS
from tests.integration.infra.certificates import self_signed
from tests.integration.safety.test_least_privilege import count, until
from tests.integration.streams.test_topic_prefix import running, send_copy
from tests.token_endpoint import AUDIENCE, TokenEndpoint, token_endpoint
from tests.web_city import DEMO

LIFE_S = 8  # of a token, and of a connection without a new one


@dataclass
class ByToken:
    kafka: Kafka
    endpoint: TokenEndpoint
    certificate: Path

    def settings(self, user: str, secret: str | None = None) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "KAFKA_TLS_CA": str(self.certificate),
            "KAFKA_SASL_WITHOUT_TLS": "true",  # of the endpoint on this machine
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_OAUTH_TOKEN_URL": f"{self.endpoint.url}/token",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": secret or self.endpoint.clients[user],
        }

    def client(self, user: str, secret: str | None = None) -> dict[str, Any]:
        given = {name.lower(): value for name, value in self.settings(user, secret).items()}
        return client_of(load(**given))


@pytest.fixture(scope="module")
def by_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByToken]:
    folder = tmp_path_factory.mktemp("oauth")
    certificate, key = self_signed(folder)
    clients = {user: f"secret-of-{user}" for user in ("administrator", "worker", "source")}
    with token_endpoint(clients, LIFE_S) as endpoint:
        issuer = TokenIssuer(endpoint.jwks, endpoint.url, AUDIENCE, LIFE_S * 1000)
        security = Security(certificate, key, {}, ("administrator",), issuer)
        with embedded_kafka(folder / "kafka", security=security) as kafka:
            made = ByToken(kafka, endpoint, certificate)
            admin.create(made.client("administrator"))
            for role in ("worker", "source"):
                acls.allow(made.client("administrator"), role, role)
            yield made


def test_a_sender_goes_on_when_its_token_has_ended(by_token: ByToken) -> None:
    begin, issued = time.monotonic(), len(by_token.endpoint.issued)
    sender = producer(by_token.client("source"))
    while time.monotonic() < begin + 1.5 * LIFE_S:
        sender.send(CIRCULATION_EVENTS.name, b"[]").get(20)
        time.sleep(0.5)
    sender.close()
    assert 2 <= len(by_token.endpoint.issued) - issued <= 5


def test_rights_go_by_the_tokens_subject(by_token: ByToken) -> None:
    reader = consumer(by_token.client("source"))
    reader.subscribe([CIRCULATION_EVENTS.name])
    with pytest.raises(KafkaError):
        reader.poll(3_000)
    reader.close()


def test_a_wrong_secret_and_a_token_of_another_audience_are_refused(
    by_token: ByToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ClientCredentials(f"{by_token.endpoint.url}/token", "source", "wrong")
    with pytest.raises(SaslAuthenticationFailedError, match="KAFKA_SASL_PASSWORD"):
        wrong.token()
    forged = by_token.endpoint.token("administrator", aud="another")
    monkeypatch.setattr(ClientCredentials, "token", lambda _: forged)
    with pytest.raises(KafkaError):
        admin.names(by_token.client("administrator") | {"bootstrap_timeout_ms": 5_000})


@pytest.mark.timeout(120)
def test_the_worker_applies_events_before_and_behind_its_tokens_end(
    by_token: ByToken, database: str, tmp_path: Path
) -> None:
    given = os.environ | by_token.settings("worker")
    given |= {"DATABASE_URL": database, "ROTATION_NETWORK": str(DEMO), "ROTATION_DATA_DIR": str(tmp_path)}
    source = by_token.client("source")
    with (
        running("streams.worker", given, tmp_path / "log") as said,
        psycopg.connect(database, autocommit=True) as owner,
    ):
        for number in (1, 2):
            send_copy(source, CIRCULATION_EVENTS.name, f"by-token-{number}")
            until(has(owner, number), said)
            time.sleep(1.5 * LIFE_S if number == 1 else 0)


def has(owner: psycopg.Connection[Any], copies: int) -> Callable[[], bool]:
    return lambda: count(owner, "copies") == copies
