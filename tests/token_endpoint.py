"""A token endpoint like an identity provider's: signed tokens (JWT, RS256) for client credentials, and its public keys (JWKS)."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "kafka"


@dataclass
class TokenEndpoint:
    """The endpoint of clients and their secrets; `issued` counts tokens, `life_s` is how long each lives."""

    clients: dict[str, str]
    life_s: int
    url: str = ""
    issued: list[str] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @property
    def jwks(self) -> str:
        return f"{self.url}/jwks"

    def token(self, client_id: str, **claims: Any) -> str:
        now = int(time.time())
        said = {
            "sub": client_id,
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self.life_s,
            "scope": "events",
        }
        parts = (
            _base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1", "typ": "JWT"}, said | claims)
        )
        signed = ".".join(parts)
        return f"{signed}.{_base64(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def keys(self) -> dict[str, Any]:
        public = self.key.public_key().public_numbers()
        number = {
            name: _base64(value.to_bytes((value.bit_length() + 7) // 8))
            for name, value in (("n", public.n), ("e", public.e))
        }
        return {"keys": [{"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", **number}]}

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        scheme, _, said = authorization.partition(" ")
        client_id, _, secret = base64.b64decode(said).decode().partition(":")
        if scheme != "Basic" or self.clients.get(client_id) != secret:
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        self.issued.append(client_id)
        return 200, {"access_token": self.token(client_id), "token_type": "Bearer", "expires_in": self.life_s}


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@contextmanager
def token_endpoint(clients: dict[str, str], life_s: int) -> Iterator[TokenEndpoint]:
    """Serve on a free port of this machine while the context lasts."""
    endpoint = TokenEndpoint(clients, life_s)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, endpoint.keys())

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._say(*endpoint.answer(self.headers.get("Authorization", ""), form))

        def _say(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
