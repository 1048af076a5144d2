"""A city's OpenID Connect provider, small but whole: discovery, keys, codes bound to PKCE, signed tokens."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "rotation", "a secret of forty letters or so, for tests"
WAIT_S = 20.0


@dataclass
class Provider:
    """Who is at the browser, and how the provider misbehaves."""

    address: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""  # in the token; empty: its own
    audience: str = CLIENT
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    signs_with: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def claims(self, nonce: str) -> dict[str, Any]:
        now = int(time.time())
        about = {"iss": self.issuer or self.address, "aud": self.audience, "iat": now, "exp": now + 60, "nonce": nonce}
        return about | {"sub": "42"} | self.person


def _app(provider: Provider) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, Any]:
        return {
            "issuer": provider.address,
            "authorization_endpoint": provider.address + "/authorize",
            "token_endpoint": provider.address + "/token",
            "jwks_uri": provider.address + "/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    @app.get("/keys")
    def keys() -> Any:
        return KeySet([provider.key]).as_dict(private=False)

    @app.get("/authorize")
    def authorize(request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        if asked["client_id"] != CLIENT or asked["code_challenge_method"] != "S256":
            raise HTTPException(400)
        code = secrets.token_hex(8)
        provider.codes[code] = asked
        return RedirectResponse(asked["redirect_uri"] + "?" + urlencode({"code": code, "state": asked["state"]}))

    @app.post("/token")
    def token(request: Request, code: Annotated[str, Form()], code_verifier: Annotated[str, Form()]) -> dict[str, Any]:
        given = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        asked = provider.codes.pop(code, {})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        if not asked or challenge != asked["code_challenge"] or not given.startswith(CLIENT + ":"):
            raise HTTPException(400)
        signed = jwt.encode(
            {"alg": "RS256", "kid": "one"}, provider.claims(asked["nonce"]), provider.signs_with or provider.key
        )
        return {"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 60, "id_token": signed}

    return app


@contextmanager
def provider_running() -> Iterator[Provider]:
    """Yield a provider that serves."""
    provider = Provider()
    server = uvicorn.Server(uvicorn.Config(_app(provider), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + WAIT_S
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    provider.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield provider
    server.should_exit = True
    thread.join()
