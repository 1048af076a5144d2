"""Tokens for Kafka (SASL/OAUTHBEARER): asked of a token endpoint with our id and secret, and kept until shortly before their end.

The grant is OAuth 2.0's *client credentials* (RFC 6749, 4.4), which Keycloak, Entra ID, Okta and others offer to services.
"""

import ssl
import threading
import time

import httpx
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

TIMEOUT_S = 10.0
KEPT_SHARE = 0.8  # of a token's life; the rest is for clocks that differ and requests under way
LIFE_S = 60.0  # where the endpoint does not say how long a token lives
LARGEST_TOKEN = 64_000  # characters


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Gives kafka-python a valid token whenever it signs in, from any thread."""

    def __init__(self, url: str, client_id: str, secret: str, scope: str = "", cafile: str | None = None) -> None:
        """Remember whom to ask; `cafile` names an authority beside the system's own."""
        self._url, self._signed = url, httpx.BasicAuth(client_id, secret)
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._cafile = cafile
        self._token, self._until = "", 0.0
        self._one_at_a_time = threading.Lock()

    def token(self) -> str:
        """Return a token that has a fifth of its life before it.

        Raises
        ------
        KafkaConnectionError
            When the endpoint does not answer: Kafka's clients try again.
        SaslAuthenticationFailedError
            When it refuses our id or secret, or its answer is no token.
        """
        with self._one_at_a_time:
            if time.monotonic() >= self._until:
                begin = time.monotonic()
                self._token, life_s = self._asked()
                self._until = begin + KEPT_SHARE * life_s
            return self._token

    def _asked(self) -> tuple[str, float]:
        try:
            answer = httpx.post(
                self._url, data=self._form, auth=self._signed, timeout=TIMEOUT_S, verify=self._trusted()
            )
        except httpx.HTTPError as error:
            raise KafkaConnectionError(f"token endpoint {self._url}: {type(error).__name__}: {error}") from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise KafkaConnectionError(f"token endpoint {self._url}: answered {answer.status_code}")
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> tuple[str, float]:
        try:
            said = answer.json()
            token, life_s = said["access_token"], float(said.get("expires_in", LIFE_S))
        except (ValueError, KeyError, TypeError, AttributeError):
            token, life_s = None, 0.0
        if answer.status_code != httpx.codes.OK or not isinstance(token, str) or not 0 < len(token) <= LARGEST_TOKEN:
            raise SaslAuthenticationFailedError(
                f"token endpoint {self._url}: answered {answer.status_code} without a token; look at "
                "KAFKA_SASL_USERNAME (client id), KAFKA_SASL_PASSWORD (secret) and KAFKA_OAUTH_SCOPE"
            )
        return token, life_s

    def _trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._cafile:
            context.load_verify_locations(self._cafile)
        return context
