"""Signing in by the city's accounts, against a provider that serves: who is let in, and who is not."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey
from sqlalchemy import Engine, select

from config.settings import load
from rotation.store.tables import security_log, users
from rotation.web.app import create_app
from tests.integration.web.conftest import AS_A_PAGE
from tests.oidc_provider import SECRET, Provider, provider_running


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with provider_running() as running:
        yield running


@pytest.fixture
def browser(provider: Provider, engine: Engine, module_database: str, tmp_path: Path) -> TestClient:
    del engine  # the database with a user of each role, named like the role
    provider.person, provider.issuer, provider.audience = {"preferred_username": "dispatcher"}, "", "rotation"
    provider.signs_with = None
    more = {"oidc_issuer": provider.address, "oidc_client_secret": SECRET, "oidc_name": "市民账号"}
    settings = load(database_url=module_database, data_dir=tmp_path, network=Path("demo.toml"), **more)
    return TestClient(create_app(settings), headers=AS_A_PAGE, follow_redirects=False)


def signed_in(browser: TestClient, start: str = "/sign-in/city") -> httpx.Response:
    """Go to the provider and back, as a browser would."""
    sent = browser.get(start)
    assert sent.status_code == 302
    back = urlsplit(httpx.get(sent.headers["location"]).headers["location"])
    return browser.get(f"{back.path}?{back.query}")


def test_a_user_of_that_name_is_signed_in_and_comes_where_he_was_going(browser: TestClient) -> None:
    assert "市民账号" in browser.get("/sign-in").text
    answer = signed_in(browser, "/sign-in/city?next=/alerts")
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    assert browser.get("/today").status_code == 200
    assert browser.get("/users").status_code == 403  # the role is ours


def test_another_sites_address_is_none_of_ours(browser: TestClient) -> None:
    assert signed_in(browser, "/sign-in/city?next=https://elsewhere.example/").headers["location"] == "/"


@pytest.mark.parametrize("person", [{"preferred_username": "somebody else"}, {}, {"preferred_username": ""}])
def test_a_person_who_is_no_user_here_is_told_so(
    browser: TestClient, provider: Provider, engine: Engine, person: dict[str, str]
) -> None:
    provider.person = person
    answer = signed_in(browser)
    assert answer.status_code == 401
    assert "not here" in answer.text
    assert browser.get("/today").status_code == 303
    with engine.connect() as connection:
        assert connection.scalar(select(users.c.name).where(users.c.name == "somebody else")) is None
        assert connection.scalars(select(security_log.c.what).where(security_log.c.what == "not_allowed")).all()


def test_a_token_of_another_provider_audience_or_key_is_refused(browser: TestClient, provider: Provider) -> None:
    for wrong in (
        {"issuer": "https://elsewhere.example"},
        {"audience": "another"},
        {"signs_with": RSAKey.generate_key(2048)},
    ):
        for name, value in wrong.items():
            before, _ = getattr(provider, name), setattr(provider, name, value)
            assert signed_in(browser).status_code == 401
            setattr(provider, name, before)
    assert signed_in(browser).status_code == 303


def test_an_answer_that_nobody_asked_for_is_refused(browser: TestClient) -> None:
    assert browser.get("/sign-in/city/back?code=1&state=2").status_code == 401
    assert browser.get("/sign-in/city/back").status_code == 401


def test_a_provider_that_is_away_is_a_sentence(engine: Engine, module_database: str, tmp_path: Path) -> None:
    del engine
    settings = load(
        database_url=module_database, data_dir=tmp_path, network=Path("demo.toml"), oidc_issuer="http://127.0.0.1:9"
    )
    answer = TestClient(create_app(settings), headers=AS_A_PAGE, follow_redirects=False).get("/sign-in/city")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.text


def test_without_a_provider_there_is_no_such_page(client: TestClient) -> None:
    assert client.get("/sign-in/city").status_code == 404
    assert "/sign-in/city" not in client.get("/sign-in").text
