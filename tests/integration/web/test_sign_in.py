"""Signing in, staying signed in, and what must not be let in."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner
from sqlalchemy import Engine

from config.settings import Settings
from rotation.store.engine import engine as engine_of
from rotation.web import auth
from rotation.web.app import create_app, secret_of
from rotation.web.permissions import PERMISSIONS, Role, allowed
from tests.integration.web.conftest import AS_A_PAGE, PASSWORD, SignedIn
from tests.web_city import PAGES

FILLED = {
    "{run_id}": "none",
    "{transfer_id}": "none",
    "{name}": "nobody",
    "{token_id}": "none",
    "{language}": "xx",
    "{day}": "2026-03-12",
}
LETS_IN = {200, 303, 404, 409, 415, 422}


def address(path: str) -> str:
    for field, value in FILLED.items():
        path = path.replace(field, value)
    return path


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_lets_in_whom_the_table_names_and_nobody_else(
    role: Role | None, client: TestClient, token: Callable[[Role], dict[str, str]]
):
    headers = token(role) if role else {}
    for route in PERMISSIONS:
        method, path = route.split(" ", 1)
        if path == "/live":
            continue  # endless; tried in the browser
        answer = client.request(method, address(path), headers={**headers, "Accept": "*/*"})
        expected = LETS_IN if allowed(method, path, role) else {403} if role else {401}
        assert answer.status_code in expected, f"{route} as {role}: {answer.status_code} {answer.text[:200]}"


def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(client: TestClient):
    answer = client.get("/alerts?kind=shortage")
    assert answer.headers["location"] == "/sign-in?next=%2Falerts%3Fkind%3Dshortage"
    answer = client.post("/sign-in", data={"name": "viewer", "password": PASSWORD, "next": "/alerts?kind=shortage"})
    assert answer.headers["location"] == "/alerts?kind=shortage"


@pytest.mark.parametrize(
    "slipped_in", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_to_another_site_after_signing_in(slipped_in: str, client: TestClient):
    answer = client.post("/sign-in", data={"name": "viewer", "password": PASSWORD, "next": slipped_in})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("viewer", "wrong"), ("nobody", PASSWORD), ("viewer\0", "x"), ("' or 1=1 --", "x")]
)
def test_a_wrong_name_and_a_wrong_password_are_told_alike(name: str, password: str, client: TestClient):
    answer = client.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text


def test_after_five_wrong_passwords_the_right_one_has_to_wait(settings: Settings, engine: Engine):
    browser = TestClient(create_app(settings), headers=AS_A_PAGE, follow_redirects=False)
    codes = [browser.post("/sign-in", data={"name": "viewer", "password": "wrong"}).status_code for _ in range(5)]
    answer = browser.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    assert codes == [401] * 5
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def cookie(settings: Settings, session: dict[str, str], key: str | None = None) -> dict[str, str]:
    signed = TimestampSigner(key or secret_of(settings)).sign(base64.b64encode(json.dumps(session).encode()))
    return {"Cookie": f"rotation={signed.decode()}"}


def session(hours_ago: float) -> dict[str, str]:
    return {"user": "viewer", "since": (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()}


def test_a_session_in_its_time_is_let_in(client: TestClient, settings: Settings, engine: Engine):
    auth_now = session(0)
    assert client.get("/today", headers=cookie(settings, auth_now)).status_code == 200


def test_an_expired_session_is_asked_to_sign_in_again(client: TestClient, settings: Settings):
    answer = client.get("/today", headers=cookie(settings, session(hours_ago=settings.session_hours + 1)))
    assert answer.headers["location"] == "/sign-in?next=%2Ftoday&ended=1"
    assert "Your session has ended" in client.get(answer.headers["location"]).text


def test_a_part_of_a_page_left_open_hears_that_the_session_is_over(client: TestClient, settings: Settings):
    old = cookie(settings, session(hours_ago=settings.session_hours + 1))
    assert client.get("/today?part=runs", headers=old).status_code == 401


@pytest.mark.parametrize("since", ["", "yesterday", "2026-01-01T00:00:00", "9999-99-99"])
def test_a_session_that_says_nonsense_is_none(since: str, client: TestClient, settings: Settings):
    assert client.get("/today", headers=cookie(settings, {"user": "viewer", "since": since})).status_code == 303


def test_a_forged_session_is_none(client: TestClient, settings: Settings):
    assert client.get("/today", headers=cookie(settings, session(0), key="a guess")).status_code == 303


def test_changing_the_password_ends_the_sessions_before(signed_in: SignedIn, engine: Engine):
    browser = signed_in("viewer")
    assert browser.get("/today").status_code == 200
    with engine.begin() as connection:
        auth.set_password(connection, "viewer", PASSWORD)
    assert browser.get("/today").status_code == 303


@pytest.mark.parametrize("token", ["rot_abc_def", "rot__", "Bearer", "rot_\0_x", "é" * 10])
def test_a_forged_token_is_refused(token: str, client: TestClient):
    header = {"Authorization": f"Bearer {token}".encode("latin-1", "replace")}
    assert client.get("/api/feeds", headers=header).status_code == 401


def test_a_token_with_another_secret_is_refused(client: TestClient, token: Callable[[Role], dict[str, str]]):
    real = token(Role.VIEWER)["Authorization"]
    assert client.get("/api/feeds", headers={"Authorization": real}).status_code == 200
    assert client.get("/api/feeds", headers={"Authorization": real[:-4] + "AAAA"}).status_code == 401


def test_an_expired_token_is_refused(client: TestClient, engine: Engine):
    with engine.begin() as connection:
        old = auth.add_token(connection, Role.VIEWER, "old", "tests", datetime.now(UTC) - timedelta(seconds=1))
    assert client.get("/api/feeds", headers={"Authorization": f"Bearer {old}"}).status_code == 401


def test_another_site_cannot_change_anything_in_our_name(signed_in: SignedIn):
    answer = signed_in("dispatcher").post(
        "/decisions", headers={"Sec-Fetch-Site": "cross-site"}, data={"action": "approve"}
    )
    assert answer.status_code == 403


def test_the_first_administrator_is_made_once_with_a_password_to_change(database: str, settings: Settings):
    first = engine_of(database)
    password = auth.ensure_first_administrator(first)
    assert password
    assert auth.ensure_first_administrator(first) is None
    browser = TestClient(
        create_app(settings.model_copy(update={"database_url": type(settings.database_url)(database)})),
        headers=AS_A_PAGE, follow_redirects=False,
    )  # fmt: skip
    assert browser.post("/sign-in", data={"name": "admin", "password": password}).headers["location"] == "/password"
    assert browser.get("/today").headers["location"] == "/password"
    changed = {"old": password, "new": "a password of my own", "again": "a password of my own"}
    assert browser.post("/password", data={**changed, "again": "another"}).status_code == 422
    assert browser.post("/password", data=changed).status_code == 303
    assert browser.get("/today").status_code == 200
    first.dispose()


def test_an_administrator_adds_a_user_who_signs_in_with_the_password_shown(signed_in: SignedIn, client: TestClient):
    admin = signed_in("administrator")
    page = admin.post("/users", data={"name": "王芳", "role": "dispatcher"}).text
    password = page.split("<code>")[1].split("</code>")[0]
    assert client.post("/sign-in", data={"name": "王芳", "password": password}).headers["location"] == "/password"
    assert admin.post("/users", data={"name": "王芳", "role": "viewer"}).status_code == 409
    assert admin.post("/users/王芳", data={"action": "remove"}).status_code == 200
    assert client.post("/sign-in", data={"name": "王芳", "password": password}).status_code == 401


def test_nobody_changes_the_own_role(signed_in: SignedIn):
    assert signed_in("administrator").post("/users/administrator", data={"action": "viewer"}).status_code == 422


def test_a_revoked_token_is_refused(signed_in: SignedIn, client: TestClient):
    admin = signed_in("administrator")
    page = admin.post("/tokens", data={"about": "sorter-1", "role": "viewer"}).text
    token = page.split("<code>")[1].split("</code>")[0]
    header = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/feeds", headers=header).status_code == 200
    assert admin.post(f"/tokens/{token.split('_')[1]}/revoke").status_code == 200
    assert client.get("/api/feeds", headers=header).status_code == 401


def test_browsers_are_told_to_run_nothing_but_our_own(client: TestClient):
    policy = client.get("/sign-in").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_page_holds_no_inline_script_or_style(signed_in: SignedIn):
    browser = signed_in("dispatcher")
    for path in PAGES:
        html = browser.get(path).text
        assert "<script>" not in html
        assert " style=" not in html
        assert "javascript:" not in html
