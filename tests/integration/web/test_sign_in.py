"""Signing in, staying signed in, and what must not be let in."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner
from sqlalchemy import Engine, select, text, update

from config.settings import Settings
from rotation.accounts import auth, passwords
from rotation.accounts.permissions import PERMISSIONS, Role, allowed
from rotation.accounts.tries import NETWORK, STRANGERS
from rotation.store.engine import engine as engine_of
from rotation.store.tables import sessions, tokens
from rotation.web.app import create_app, secret_of
from rotation.web.live import LiveChanges
from tests.integration.web.conftest import AS_A_PAGE, PASSWORD, SignedIn
from tests.web_city import PAGES, demo

FILLED = {
    "{run_id}": "none",
    "{transfer_id}": "none",
    "{name}": "nobody",
    "{token_id}": "none",
    "{language}": "xx",
    "{day}": "2026-03-12",
}
LETS_IN = {200, 303, 404, 409, 410, 415, 422}


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


def cookie(settings: Settings, session: Mapping[str, object], key: str | None = None) -> dict[str, str]:
    signed = TimestampSigner(key or secret_of(settings)).sign(base64.b64encode(json.dumps(session).encode()))
    return {"Cookie": f"rotation={signed.decode()}"}


def session(engine: Engine, hours_ago: float = 0) -> dict[str, str]:
    """Open a session of the viewer that many hours ago."""
    with engine.begin() as connection:
        opened = auth.open_session(connection, auth.Caller("viewer", Role.VIEWER), "testclient")
        since = datetime.now(UTC) - timedelta(hours=hours_ago)
        connection.execute(update(sessions).where(sessions.c.ended_at.is_(None)).values(since=since))
    return opened


def test_a_session_in_its_time_is_let_in(client: TestClient, settings: Settings, engine: Engine):
    assert client.get("/today", headers=cookie(settings, session(engine))).status_code == 200


def test_an_expired_session_is_asked_to_sign_in_again(client: TestClient, settings: Settings, engine: Engine):
    answer = client.get("/today", headers=cookie(settings, session(engine, settings.session_hours + 1)))
    assert answer.headers["location"] == "/sign-in?next=%2Ftoday&ended=1"
    assert "Your session has ended" in client.get(answer.headers["location"]).text


def test_a_part_of_a_page_left_open_hears_that_the_session_is_over(
    client: TestClient, settings: Settings, engine: Engine
):
    old = cookie(settings, session(engine, settings.session_hours + 1))
    assert client.get("/today?part=runs", headers=old).status_code == 401


@pytest.mark.parametrize("secret", ["", "nobody's", "\0", "\ud800", 7, None, ["x"]])
def test_a_session_that_says_nonsense_is_none(secret: object, client: TestClient, settings: Settings):
    assert client.get("/today", headers=cookie(settings, {"session": secret})).status_code == 303


def test_a_forged_session_is_none(client: TestClient, settings: Settings, engine: Engine):
    assert client.get("/today", headers=cookie(settings, session(engine), key="a guess")).status_code == 303


def test_signing_out_ends_the_session_at_the_server(signed_in: SignedIn):
    browser = signed_in("viewer")
    kept = dict(browser.cookies)
    browser.post("/sign-out")
    assert browser.get("/today").status_code == 303
    browser.cookies.update(kept)
    assert browser.get("/today").status_code == 303


def test_signing_out_everywhere_ends_the_sessions_of_every_machine_and_of_nobody_else(signed_in: SignedIn):
    here, there, another = signed_in("viewer"), signed_in("viewer"), signed_in("dispatcher")
    assert here.post("/sign-out-everywhere").status_code == 303
    assert there.get("/today").status_code == 303
    assert another.get("/today").status_code == 200


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
        headers=AS_A_PAGE,
        follow_redirects=False,
    )
    assert browser.post("/sign-in", data={"name": "admin", "password": password}).headers["location"] == "/password"
    assert browser.get("/today").headers["location"] == "/password"
    changed = {"old": password, "new": "a password of my own", "again": "a password of my own"}
    assert browser.post("/password", data={**changed, "again": "another"}).status_code == 422
    assert browser.post("/password", data=changed).status_code == 303
    assert browser.get("/today").status_code == 200
    first.dispose()


def test_an_administrator_adds_a_user_who_signs_in_with_the_password_shown(signed_in: SignedIn, client: TestClient):
    admin = signed_in("administrator")
    page = admin.post("/users", data={"name": "王芳", "role": "dispatcher"}, follow_redirects=True).text
    password = page.split("<code>")[1].split("</code>")[0]
    assert client.post("/sign-in", data={"name": "王芳", "password": password}).headers["location"] == "/password"
    assert admin.post("/users", data={"name": "王芳", "role": "viewer"}).status_code == 409
    assert admin.post("/users/王芳", data={"action": "remove"}).status_code == 303
    assert client.post("/sign-in", data={"name": "王芳", "password": password}).status_code == 401


def test_nobody_changes_the_own_role(signed_in: SignedIn):
    assert signed_in("administrator").post("/users/administrator", data={"action": "viewer"}).status_code == 422


def test_a_revoked_token_is_refused(signed_in: SignedIn, client: TestClient):
    admin = signed_in("administrator")
    page = admin.post("/tokens", data={"about": "sorter-1", "role": "viewer"}, follow_redirects=True).text
    token = page.split("<code>")[1].split("</code>")[0]
    header = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/feeds", headers=header).status_code == 200
    assert admin.post(f"/tokens/{token.split('_')[1]}/revoke").status_code == 303
    assert client.get("/api/feeds", headers=header).status_code == 401


def test_browsers_are_told_to_run_nothing_but_our_own(client: TestClient):
    policy = client.get("/sign-in").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert (
        " 'unsafe-eval'" not in policy
    )  # the camera's reader is compiled from our own address, and that alone is allowed


def test_a_page_holds_no_inline_script_or_style(signed_in: SignedIn):
    browser = signed_in("dispatcher")
    for path in PAGES:
        html = browser.get(path).text
        assert "<script>" not in html
        assert " style=" not in html
        assert "javascript:" not in html


# --- Tries ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def strangers(settings: Settings, engine: Engine) -> Callable[[str], TestClient]:
    """Browsers at an address each, at one page."""
    app = create_app(settings)
    return lambda address: TestClient(app, headers=AS_A_PAGE, follow_redirects=False, client=(address, 50_000))


def sign(browser: TestClient, name: str, password: str = "wrong") -> int:
    return browser.post("/sign-in", data={"name": name, "password": password}).status_code


def test_the_spellings_of_a_name_share_their_tries(strangers: Callable[[str], TestClient]):
    browser = strangers("192.0.2.1")
    spellings = ["viewer", "viewer\0", "VIEWER", "view\u200ber", "ｖｉｅｗｅｒ", " viewer "]
    assert [sign(browser, name) for name in spellings] == [401] * 5 + [429]
    assert sign(browser, "\0viewer", PASSWORD) == 429


def test_of_forty_tries_at_once_no_more_are_judged_than_of_forty_one_after_the_other(
    strangers: Callable[[str], TestClient],
):
    browser = strangers("192.0.2.2")
    with ThreadPoolExecutor(40) as pool:
        codes = Counter(pool.map(lambda _: sign(browser, "viewer"), range(40)))
    assert codes == {401: 5, 429: 35}


def test_who_guesses_at_many_accounts_has_to_wait_and_the_network_beside_does_not(
    strangers: Callable[[str], TestClient],
):
    browser = strangers("198.51.100.7")
    codes = [sign(browser, f"user{number}") for number in range(NETWORK.tries + 1)]
    assert codes == [401] * NETWORK.tries + [429]
    assert sign(strangers("198.51.100.8"), "dispatcher", PASSWORD) == 429
    assert sign(strangers("198.51.101.8"), "dispatcher", PASSWORD) == 303


def test_many_strangers_who_guess_at_an_administrator_do_not_keep_the_administrator_out(
    strangers: Callable[[str], TestClient],
):
    office = strangers("203.0.113.5")
    assert sign(office, "administrator", PASSWORD) == 303
    codes = Counter(sign(strangers(f"10.0.{n}.1"), "administrator") for n in range(STRANGERS.tries + 10))
    assert codes == {401: STRANGERS.tries, 429: 10}
    assert sign(office, "administrator", PASSWORD) == 303


def test_an_address_that_no_named_proxy_forwards_is_not_believed(strangers: Callable[[str], TestClient]):
    browser = strangers("192.0.2.9")
    forged = [
        browser.post(
            "/sign-in", data={"name": "viewer", "password": "wrong"}, headers={"X-Forwarded-For": f"10.1.{n}.1"}
        ).status_code
        for n in range(6)
    ]
    assert forged == [401] * 5 + [429]


def test_sixty_sign_ins_at_once_hash_one_at_a_time(strangers: Callable[[str], TestClient], monkeypatch: Any):
    at_once, most = [0], [0]
    real = passwords.PASSWORDS.verify

    def verify(*arguments: Any) -> bool:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        found = real(*arguments)
        at_once[0] -= 1
        return bool(found)

    monkeypatch.setattr(passwords.PASSWORDS, "verify", verify)
    with ThreadPoolExecutor(60) as pool:
        codes = Counter(pool.map(lambda n: sign(strangers(f"10.7.{n}.1"), f"u{n}"), range(60)))
    assert most == [1]
    assert codes[401] >= passwords.MOST_WAITING
    assert set(codes) <= {401, 429}


def test_changing_a_password_is_limited_and_a_weak_one_refused(signed_in: SignedIn):
    browser = signed_in("dispatcher")

    def change(old: str, new: str) -> int:
        return browser.post("/password", data={"old": old, "new": new, "again": new}).status_code

    assert [change(PASSWORD, weak) for weak in ("password12345", "dispatcher1", "short", "qwertyuiop12")] == [422] * 4
    codes = [change("wrong", "a good one of my own") for _ in range(6)]
    assert codes == [422] * 5 + [429]


def test_names_that_look_alike_are_one_name(signed_in: SignedIn):
    admin = signed_in("administrator")
    for name in ("Viewer", "view\u200der", "ｖｉｅｗｅｒ"):
        assert admin.post("/users", data={"name": name, "role": "viewer"}).status_code == 409
    assert admin.post("/users", data={"name": "\u200b\u200d", "role": "viewer"}).status_code == 422


def test_the_security_log_has_who_tried_and_changed_what_and_no_name_that_was_only_typed(
    signed_in: SignedIn, strangers: Callable[[str], TestClient], client: TestClient
):
    sign(strangers("192.0.2.77"), "my secret, typed into the wrong field")
    client.get("/api/feeds", headers={"Authorization": "Bearer rot_x_y"})
    admin = signed_in("administrator")
    admin.post("/users", data={"name": "logged", "role": "viewer"})
    signed_in("viewer").get("/users")
    log = admin.get("/security-log").text
    for words in ("Wrong password", "192.0.2.77", "Token not known", "User added", "logged viewer", "Not allowed"):
        assert words in log
    assert "my secret" not in log
    assert signed_in("viewer").get("/security-log").status_code == 403


async def test_a_removed_users_live_stream_ends_at_once(engine: Engine, settings: Settings):
    with engine.begin() as connection:
        auth.add_user(connection, "leaver", PASSWORD, Role.VIEWER)
    live = LiveChanges(settings.database_url.get_secret_value(), None)
    listening = asyncio.create_task(live.run())
    mine, others = live.stream({"user leaver"}), live.stream({"user viewer"})
    while not live.notifications:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_notify('rotation', '{\"kind\": \"runs\"}')"))
        await asyncio.sleep(0.05)
    await anext(mine)
    await anext(others)
    reading = asyncio.create_task(_read_on(mine))
    with engine.begin() as connection:
        auth.remove_user(connection, "leaver")
    await asyncio.wait_for(reading, 2)
    assert len(live.subscribers) == 1
    listening.cancel()


async def _read_on(stream: Any) -> None:
    async for _ in stream:
        pass


def test_a_lost_password_is_made_anew_at_the_machine(
    settings: Settings, strangers: Callable[[str], TestClient], tmp_path: Path
):
    browser, client = strangers("192.0.2.50"), strangers("192.0.2.51")
    assert sign(browser, "dispatcher", PASSWORD) == 303
    url = settings.database_url.get_secret_value()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "ROTATION_DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "rotation", "users", "reset"]
    said = subprocess.run([*command, "Dispatcher"], env=environment, capture_output=True, text=True, check=True)
    password = said.stderr.strip().rpartition(" / ")[2]
    assert browser.get("/today").status_code == 303
    assert sign(client, "dispatcher", PASSWORD) == 401
    assert client.post("/sign-in", data={"name": "dispatcher", "password": password}).headers["location"] == "/password"
    unknown = subprocess.run([*command, "nobody"], env=environment, capture_output=True, text=True, check=False)
    assert (unknown.returncode, unknown.stderr.strip()) == (2, "no user nobody")


def test_a_token_is_made_at_the_machine_with_its_scopes(
    settings: Settings, engine: Engine, client: TestClient, tmp_path: Path
):
    url, place = settings.database_url.get_secret_value(), demo().places[0].id
    environment = os.environ | {
        "DATABASE_URL": url,
        "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "ROTATION_DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "rotation", "users", "token", "a sorter", "--role", "hub"]
    options = ["--place", place, "--scope", "desk"]
    said = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=True)
    headers = {"Authorization": f"Bearer {said.stderr.strip().splitlines()[-1]}"}
    assert client.get(f"/api/crates/none?place={place}", headers=headers).status_code == 404
    with engine.connect() as connection:
        made = connection.execute(select(tokens).where(tokens.c.about == "a sorter")).one()
    assert (made.role, made.places, made.scopes) == ("hub", [place], ["desk"])


def test_a_user_whose_name_has_a_space_is_added_and_a_reload_adds_nobody_again(signed_in: SignedIn):
    admin = signed_in("administrator")
    added = admin.post("/users", data={"name": "Li  Na", "role": "dispatcher"})
    assert (added.status_code, added.headers["location"]) == (303, "/users")
    shown, again = (admin.get("/users").text for _ in range(2))
    assert "Li Na" in shown
    assert "<code>" in shown
    assert "<code>" not in again


def test_a_form_that_is_refused_says_which_field_and_keeps_what_was_typed(signed_in: SignedIn):
    admin = signed_in("administrator")
    came_from = {"Referer": "http://testserver/users"}
    refused = admin.post("/users", data={"name": "a/b", "role": "viewer"}, headers=came_from)
    assert (refused.status_code, refused.headers["location"]) == (303, "/users")
    page = admin.get("/users").text
    assert "Not accepted: Name." in page
    assert "a/b" in page.split("data-typed=")[1].split(">")[0]
