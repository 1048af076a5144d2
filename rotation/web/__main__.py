"""`python -m rotation.web`: serve the page; at the first start, print the administrator's one-time password."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from config import Settings, load
from infra.lan import certificate
from rotation.accounts.auth import FIRST_ADMINISTRATOR, ensure_first_administrator
from rotation.store.engine import engine
from rotation.web.app import create_app
from rotation.web.protocol import PatientProtocol

STREAMS_END_S = 1  # open pages hold a stream for ever; they come back by themselves


def logs_as_json() -> None:
    """Write a JSON object per line to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def serve(settings: Settings) -> None:
    """Serve until a signal stops it."""
    logs_as_json()
    app = create_app(settings)
    tell_first_sign_in(settings)
    PatientProtocol.trusted = frozenset(settings.proxies.split(","))
    server = PageServer(_config(settings, app, host=settings.web_host, port=settings.web_port))
    if settings.lan_host:
        cert, key = certificate(settings.data_dir, settings.lan_host)
        own = {"host": settings.lan_host, "port": settings.lan_port, "ssl_certfile": cert, "ssl_keyfile": key}
        server.beside = LanServer(_config(settings, app, **own, lifespan="off"))
    server.run()


def _config(settings: Settings, app: FastAPI, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=STREAMS_END_S,
        **more,
    )


class LanServer(uvicorn.Server):
    """The same application on another address; it ends with the first, which heeds the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the first."""
        yield


class PageServer(uvicorn.Server):
    """The page, and the page on the local network `beside` it if there is one."""

    beside: LanServer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start both."""
        await super().startup(sockets)
        if self.beside and not self.should_exit:
            self._beside = asyncio.create_task(self.beside.serve())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End both."""
        if self.beside and self.beside.started:
            self.beside.should_exit = True
            await self._beside
        await super().shutdown(sockets)


def tell_first_sign_in(settings: Settings) -> None:
    """Create the first administrator where there is no user, and print how to sign in."""
    assert settings.database_url
    at = engine(settings.database_url.get_secret_value(), pool_size=1)
    password = ensure_first_administrator(at)
    at.dispose()
    if password:
        print(f"first sign-in  首次登录: {FIRST_ADMINISTRATOR} / {password}", flush=True)


if __name__ == "__main__":
    serve(load())
