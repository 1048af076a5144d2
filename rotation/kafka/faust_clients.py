"""How Faust reaches Kafka: addresses and credentials, made of kafka-python's connection arguments.

Apart from `clients`, since Faust and aiokafka cost 20 MB in every process that imports them.
"""

import asyncio
import ssl
from typing import Any

import faust
from aiokafka.abc import AbstractTokenProvider
from faust.auth import OAuthCredentials

from rotation.kafka.clients import Client


def brokers(client: Client) -> list[str]:
    """Return the brokers' addresses as Faust wants them."""
    return [f"kafka://{address}" for address in client["bootstrap_servers"]]


def credentials(client: Client) -> Any:
    """Return Faust's credentials, None where the broker asks for none."""
    context = _tls(client) if "SSL" in client["security_protocol"] else None
    if "sasl_oauth_token_provider" in client:
        return OAuthCredentials(oauth_cb=_Tokens(client["sasl_oauth_token_provider"]), ssl_context=context)
    if "sasl_plain_username" in client:
        return faust.SASLCredentials(
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            mechanism=client["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens as aiokafka asks for them: the same provider's, without holding up the event loop."""

    def __init__(self, tokens: Any) -> None:
        self._tokens = tokens

    async def token(self) -> str:
        return str(await asyncio.get_running_loop().run_in_executor(None, self._tokens.token))


def _tls(client: Client) -> ssl.SSLContext:
    """Return TLS with the system's authorities or those named, and with our own certificate, if set."""
    context = ssl.create_default_context(cafile=client.get("ssl_cafile"))
    if "ssl_certfile" in client:
        context.load_cert_chain(client["ssl_certfile"], client["ssl_keyfile"])
    return context
