"""Settings that cannot be meant: each is refused by its name before anything starts."""

import pytest
from pydantic import ValidationError

from config.kafka import client
from config.settings import load

TLS = {"KAFKA_BOOTSTRAP": "k:9093"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ROTATION_PLAN_AT": "25:99"}, "plan_at"),
        ({"ROTATION_PLAN_AT": "24:00"}, "plan_at"),
        ({"ROTATION_APROVAL": "held"}, "no setting is called ROTATION_APROVAL; ROTATION_APPROVAL is meant?"),
        ({"ROTATION_SECRET_KEY": "short"}, "secret_key"),
        ({"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}, "KAFKA_SASL_WITHOUT_TLS"),
        ({"KAFKA_TLS": "true", "KAFKA_TLS_CERT": "c.pem"}, "kafka_tls_key"),
        ({"KAFKA_TLS_CERT": "c.pem", "KAFKA_TLS_KEY": "k.pem"}, "KAFKA_TLS=true"),
        ({"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_OAUTH_TOKEN_URL"),
        (
            {
                "KAFKA_TLS": "true",
                "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "KAFKA_OAUTH_TOKEN_URL": "http://sso/token",
                "KAFKA_SASL_USERNAME": "id",
                "KAFKA_SASL_PASSWORD": "secret",
            },
            "without https",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=named.replace("?", r"\?")):
        load()


@pytest.mark.parametrize(
    ("given", "protocol", "files"),
    [
        ({"KAFKA_TLS": "true"}, "SSL", {}),
        ({"KAFKA_TLS_CA": "ca.pem"}, "SSL", {"ssl_cafile": "ca.pem"}),
        (
            {"KAFKA_TLS": "1", "KAFKA_TLS_CERT": "c.pem", "KAFKA_TLS_KEY": "k.pem"},
            "SSL",
            {"ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"},
        ),
        ({"KAFKA_TLS": "true", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}, "SASL_SSL", {}),
        (
            {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p", "KAFKA_SASL_WITHOUT_TLS": "true"},
            "SASL_PLAINTEXT",
            {},
        ),
    ],
)
def test_tls_goes_by_the_systems_authorities_or_those_named(
    given: dict[str, str], protocol: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (TLS | given).items():
        monkeypatch.setenv(name, value)
    found = client(load())
    assert found["security_protocol"] == protocol
    assert {name: value for name, value in found.items() if name.startswith("ssl_")} == files
