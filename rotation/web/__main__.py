"""`python -m rotation.web`: serve the page; at the first start, print the administrator's one-time password."""

import sys

import structlog
import uvicorn

from config import Settings, load
from rotation.store.engine import engine
from rotation.web.app import create_app
from rotation.web.auth import FIRST_ADMINISTRATOR, ensure_first_administrator

STREAMS_END_S = 1  # open pages hold a stream for ever; they come back by themselves


def logs_as_json() -> None:
    """Write one JSON object a line to standard error."""
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
    """Serve until told to stop."""
    logs_as_json()
    app = create_app(settings)
    tell_first_sign_in(settings)
    uvicorn.run(
        app, host=settings.web_host, port=settings.web_port, log_config=None, access_log=False,
        proxy_headers=True, timeout_graceful_shutdown=STREAMS_END_S,
    )  # fmt: skip


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
