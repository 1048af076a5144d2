"""A page over a real PostgreSQL with a plausible day in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from config.settings import Settings, load
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store.engine import engine as engine_of
from rotation.store.tables import users
from rotation.web.__main__ import logs_as_json
from rotation.web.app import create_app
from tests import web_city

PASSWORD = "a long password"
AS_A_PAGE = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html", "Accept-Language": "en"}


@pytest.fixture(scope="module")
def settings(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("web")
    return load(database_url=module_database, data_dir=folder, network=Path("demo.toml"), approval="held")


@pytest.fixture(scope="module")
def engine(module_database: str) -> Iterator[Engine]:
    """A database with a day of drafts and a user of each role, named like the role."""
    made = engine_of(module_database)
    with made.begin() as connection:
        web_city.fill(connection, web_city.demo())
        for role in (Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR):
            auth.add_user(connection, role, PASSWORD, role)
        connection.execute(update(users).values(must_change=False))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def app(settings: Settings, engine: Engine) -> object:
    return create_app(settings)


SignedIn = Callable[[str], TestClient]


@pytest.fixture
def client(app: object) -> TestClient:
    """A browser that nobody has signed in with."""
    return TestClient(app, headers=AS_A_PAGE, follow_redirects=False)  # type: ignore[arg-type]


@pytest.fixture
def signed_in(app: object) -> SignedIn:
    """Return a browser in which the user of that name has signed in."""

    def sign_in(name: str) -> TestClient:
        browser = TestClient(app, headers=AS_A_PAGE, follow_redirects=False)  # type: ignore[arg-type]
        answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    return sign_in


@pytest.fixture
def token(engine: Engine) -> Callable[[Role], dict[str, str]]:
    """Return the header of a new bearer token of that role."""

    def make(role: Role) -> dict[str, str]:
        with engine.begin() as connection:
            return {"Authorization": f"Bearer {auth.add_token(connection, role, 'a test', 'tests')}"}

    return make


@pytest.fixture(autouse=True, scope="session")
def _plain_logs() -> None:
    """Logs as in production: structlog's own default draws whole pictures of an exception."""
    logs_as_json()
