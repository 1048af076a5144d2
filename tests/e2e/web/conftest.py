"""The page as it is served, over a real PostgreSQL, in a real browser."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine, update

from config.settings import load
from infra.ports import HOST, new_port
from infra.postgres import Postgres, embedded_postgres
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store import migrate
from rotation.store.engine import engine as engine_of
from rotation.store.tables import users
from rotation.web.__main__ import logs_as_json
from rotation.web.app import create_app
from tests import web_city

PASSWORD = "a long password"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOCALES = {"zh": "zh-CN", "en": "en-GB"}


@dataclass
class Broker:
    """Something that listens where Kafka would, and can go away."""

    port: int
    listening: socket.socket | None = None

    def come(self) -> None:
        """Listen."""
        self.listening = socket.create_server((HOST, self.port))

    def go(self) -> None:
        """Listen no longer."""
        if self.listening:
            self.listening.close()


@dataclass
class Served:
    """A page that answers at `address`, over a PostgreSQL of its own that tests may take away."""

    address: str
    postgres: Postgres
    engine: Engine
    broker: Broker
    complaints: list[str] = field(default_factory=list)  # what browsers wrote to their consoles


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a day of drafts; a user of each role, named like the role."""
    folder = tmp_path_factory.mktemp("page")
    logs_as_json()
    with embedded_postgres(folder / "postgres", settings={"fsync": "off"}) as postgres:
        migrate.upgrade(postgres.url)
        engine = engine_of(postgres.url)
        _fill(engine)
        port, broker = new_port("page", set()), Broker(new_port("kafka", set()))
        broker.come()
        settings = load(
            database_url=postgres.url,
            kafka_bootstrap=f"{HOST}:{broker.port}",
            data_dir=folder,
            network=Path("demo.toml"),
        )
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(settings), HOST, port, log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield Served(f"http://{HOST}:{port}", postgres, engine, broker)
        server.should_exit = True
        thread.join()
        broker.go()
        engine.dispose()


def _fill(engine: Engine) -> None:
    with engine.begin() as connection:
        web_city.fill(connection, web_city.demo(), copies_a_level=4)
        for role in (Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR):
            auth.add_user(connection, role, PASSWORD, role)
        connection.execute(update(users).values(must_change=False))


Open = Callable[..., Page]


@pytest.fixture
def open_as(served: Served, browser: Browser) -> Iterator[Open]:
    """Sign in as the user of that name in a browser of its own; its console is kept in `served.complaints`."""
    contexts = []

    def sign_in(name: str, language: str = "en", size: dict[str, int] = DESK) -> Page:
        context = browser.new_context(base_url=served.address, locale=LOCALES[language], viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on(
            "console", lambda said: served.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: served.complaints.append(str(error)))
        page.goto("/sign-in")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.click("main button.primary")
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    yield sign_in
    for context in contexts:
        context.close()
