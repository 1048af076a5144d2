"""`make attack`: start everything in a folder of its own and try to get in, to bring it down, or to speak for others.

Each attempt is bounded in number and time and goes to this machine alone. It prints what was tried and what held, and ends with 1
if anything did not. The tests of each guard stand in tests/integration/web; here the whole system answers, as it is started.
"""

import gzip
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import Engine, update

from rotation.accounts import auth
from rotation.accounts.permissions import PERMISSIONS, Role, allowed
from rotation.store.engine import engine
from rotation.store.tables import users
from rotation.system.processes import ADDRESSES
from tests.integration.web.test_sign_in import LETS_IN, address
from tests.web_city import demo

HOST = "127.0.0.1"
PASSWORD = "a long password"
START_S, STOP_S, ANSWER_S = 240.0, 30.0, 30.0
PIECE = b"x" * 65_536
CHUNK = b"10000\r\n" + PIECE + b"\r\n"
KERNEL_BYTES = 20_000_000  # what the machine's own buffers may take before the other side's refusal is seen
PARALLEL_TRIES, MOST_JUDGED = 40, 5
MANY_CONNECTIONS, MOST_CONNECTIONS = 700, 500
EMPTY_EVENTS = 330_000
HEAD_WAIT_S = 25.0  # the server's patience for a head or a part of a body is 10 s
SAME = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@dataclass(frozen=True)
class Target:
    """The running system: where it answers, and its database, in which the attempts prepare users and tokens."""

    port: int
    database: Engine

    def browser(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=f"http://{HOST}:{self.port}", headers=SAME | headers, timeout=ANSWER_S)

    def signed_in(self, name: str) -> httpx.Client:
        browser = self.browser()
        answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    def token(self, role: Role, places: list[str] | None = None) -> dict[str, str]:
        with self.database.begin() as connection:
            made = auth.add_token(connection, role, "an attempt", "attack", places=places)
        return {"Authorization": f"Bearer {made}"}

    def opened(self, head: str = "", **headers: str) -> socket.socket:
        connection = socket.create_connection((HOST, self.port), timeout=ANSWER_S)
        if head:
            lines = [f"{head} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return connection


Attempt = Callable[[Target], str]
"""Tries something; returns what held, raises AssertionError where it did not."""


def every_route_as_every_role(target: Target) -> str:
    tried = 0
    with target.browser(Accept="*/*") as browser:
        for role in (None, *Role):
            headers = target.token(role) if role else {}
            for route in PERMISSIONS:
                method, path = route.split(" ", 1)
                if path == "/live":
                    continue
                status = browser.request(method, address(path), headers=headers).status_code
                expected = LETS_IN if allowed(method, path, role) else {403} if role else {401}
                assert status in expected, f"{route} as {role}: {status}"
                tried += 1
    return f"{tried} requests answered as the table of permissions says"


def posts_from_other_sites(target: Target) -> str:
    refused = 0
    with closing(target.signed_in("administrator")) as browser:
        for route in (route for route in PERMISSIONS if route.startswith("POST ") and PERMISSIONS[route] is not None):
            for site in ("cross-site", "same-site"):
                path = address(route.split(" ", 1)[1])
                status = browser.post(
                    path, headers={"Sec-Fetch-Site": site, "Origin": "http://evil.example"}
                ).status_code
                assert status == 403, f"{path} from {site}: {status}"
                refused += 1
    return f"{refused} of {refused} refused"


def bodies_without_an_end(target: Target) -> str:
    most = 0
    for path in ("/api/what-if", "/users", "/sign-in", "/events", "/no/such"):
        with target.opened(
            f"POST {path}", **{"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        ) as one:
            sent = 0
            with suppress(OSError):
                while sent < 4 * KERNEL_BYTES:
                    one.sendall(CHUNK)
                    sent += len(PIECE)
            assert sent < KERNEL_BYTES, f"{path} took {sent} bytes"
            most = max(most, sent)
    return f"cut off after {most / 1e6:.1f} MB at most, the machine's own buffers included"


def bodies_that_say_they_are_large(target: Target) -> str:
    for path in ("/api/what-if", "/users", "/sign-in"):
        with target.opened(f"POST {path}", **{"Content-Length": str(10**9)}) as one:
            assert one.recv(12) == b"HTTP/1.1 413", path
    return "413 before a byte of the body"


def gzip_that_unfolds(target: Target) -> str:
    bomb = gzip.compress(b"[" + b" " * 200_000_000 + b"]")
    headers = target.token(Role.SOURCE) | {
        "Content-Encoding": "gzip",
        "Content-Type": "application/cloudevents-batch+json",
    }
    with target.browser(**headers) as browser:
        status = browser.post("/events", content=bomb).status_code
    assert status in {413, 422}, status
    return f"200 MB in {len(bomb) // 1000} kB: {status}"


def requests_half_sent(target: Target) -> str:
    heads = (b"", b"GET / HTTP/1.1\r\nHost:", b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nname=")
    begin = time.monotonic()
    held = [target.opened() for _ in heads for _ in range(20)]
    for number, one in enumerate(held):
        one.sendall(heads[number % len(heads)])
        one.settimeout(HEAD_WAIT_S)
    for one in held:
        with suppress(ConnectionResetError), one:
            while one.recv(1000):
                pass
    return f"{len(held)} connections ended after {time.monotonic() - begin:.0f} s"


def connections_by_the_hundred(target: Target) -> str:
    held = [target.opened() for _ in range(MANY_CONNECTIONS)]
    for one in held:
        one.setblocking(False)
    time.sleep(1)
    left = sum(_open(one) for one in held)
    for one in held:
        one.close()
    assert left <= MOST_CONNECTIONS, f"{left} of {MANY_CONNECTIONS} stay open"
    time.sleep(1)
    return f"{left} of {MANY_CONNECTIONS} stayed open, and the page answers behind them"


def _open(one: socket.socket) -> bool:
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def empty_objects_by_the_hundred_thousand(target: Target) -> str:
    body = b"[" + b",".join([b"{}"] * EMPTY_EVENTS) + b"]"
    headers = target.token(Role.SOURCE) | {"Content-Type": "application/cloudevents-batch+json"}
    with target.browser(**headers) as browser:
        begin = time.monotonic()
        status = browser.post("/events", content=body).status_code
        took = time.monotonic() - begin
        assert status in {413, 422, 429}, status
        again = [browser.post("/events", content=body).status_code for _ in range(3)]
        begin = time.monotonic()
        assert browser.get("/health/live").status_code == 200
    assert set(again) <= {413, 422, 429}, again
    return f"{status} after {took:.1f} s, then {again}; the page answers {1000 * (time.monotonic() - begin):.0f} ms behind it"


def paths_out_of_the_static_folder(target: Target) -> str:
    tries = (
        "/static/../config/default.toml",
        "/static/..%2f..%2fpyproject.toml",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static/....//....//pyproject.toml",
        "/static//etc/passwd",
        "/static/%00",
        "/assets/../../package.json",
        "/assets/%2e%2e%2f%2e%2e%2fpackage.json",
        "/static/..\\..\\pyproject.toml",
    )
    for path in tries:
        with target.opened(f"GET {path}", Connection="close") as one:
            said = b""
            while more := one.recv(65_536):
                said += more
        status = said.split(b" ", 2)[1]
        assert status != b"200", f"{path}: {said[:100]!r}"
        assert not any(word in said for word in (b"[project]", b"root:x:", b"demo_day_s")), path
        assert not status.startswith(b"5"), f"{path}: {status!r}"
    return f"{len(tries)} of {len(tries)} refused"


def headers_slipped_into_answers(target: Target) -> str:
    slipped = "%0d%0aSet-Cookie:%20slipped=1"
    with closing(target.signed_in("viewer")) as browser:
        for path in (
            f"/sign-in?next=/{slipped}",
            f"/alerts?kind={slipped}",
            f"/no/such{slipped}",
            f"/feeds?language={slipped}",
        ):
            answer = browser.get(path)
            assert "slipped" not in str(answer.headers.get("set-cookie", "")), path
            assert answer.status_code < 500, f"{path}: {answer.status_code}"
    with target.browser() as browser:
        data = {"name": "viewer", "password": PASSWORD, "next": "/today\r\nSet-Cookie: slipped=1"}
        answer = browser.post("/sign-in", data=data)
        assert "slipped" not in str(answer.headers.get("set-cookie", "")), answer.headers
        for site in ("https://evil.example/", "//evil.example", "/\\evil.example"):
            location = browser.post("/sign-in", data=data | {"next": site}).headers.get("location")
            assert location == "/", location
    return "no header and no other site in any answer"


def tokens_at_anothers_place(target: Target) -> str:
    own, other = [place.id for place in demo().hubs if place.tier == "district"][:2]
    for role in (Role.DESK, Role.BRANCH, Role.HUB):
        with target.browser(**target.token(role, [own])) as browser:
            for place, expected in ((own, 404), (other, 403)):
                crate = f"/api/crates/none?place={place}"
                answers = (
                    browser.post("/placement", json={"copy": "nobody", "place": place}),
                    browser.get(crate),
                    browser.post(crate.replace("none", "none/received")),
                )
                assert {answer.status_code for answer in answers} == {expected}, (
                    f"{role} of {own} at {place}: {answers}"
                )
    return "403 at another place for each role, 404 (no such copy) at the own"


def a_source_that_speaks_for_another(target: Target) -> str:
    event = {"specversion": "1.0", "id": "forged-1", "source": "another/system", "type": "copy.returned", "data": {}}
    headers = target.token(Role.SOURCE) | {"Content-Type": "application/cloudevents+json"}
    with target.browser(**headers) as browser:
        status = browser.post("/events", json=event).status_code
    assert status in {403, 422}, status
    return f"{status}"


def names_that_look_alike(target: Target) -> str:
    names = ("Viewer", "view\u200der", "\uff56iewer", "\u200b\u200d", "viewer\x00", "viewer ")
    with closing(target.signed_in("administrator")) as browser:
        statuses = [browser.post("/users", data={"name": name, "role": "viewer"}).status_code for name in names]
    assert set(statuses) <= {409, 422}, dict(zip(names, statuses, strict=True))
    return f"{len(names)} spellings: {sorted(set(statuses))}"


def wrong_passwords_at_once(target: Target) -> str:
    spellings = ("dispatcher", "Dispatcher", "dispatcher\x00", "dispatch\u200der", "\uff44ispatcher")

    def wrong(number: int) -> int:
        with target.browser() as browser:
            name = spellings[number % len(spellings)]
            return browser.post("/sign-in", data={"name": name, "password": f"wrong {number}"}).status_code

    with ThreadPoolExecutor(PARALLEL_TRIES) as pool:
        statuses = list(pool.map(wrong, range(PARALLEL_TRIES)))
    judged = sum(status != 429 for status in statuses)
    assert not any(status in {200, 303} or status >= 500 for status in statuses), statuses
    assert judged <= MOST_JUDGED * 2, f"{judged} tries judged"
    with target.browser() as browser:
        right = browser.post("/sign-in", data={"name": "dispatcher\x00", "password": PASSWORD}).status_code
    assert right != 303, "the right password went through by another spelling"
    return f"{judged} of {PARALLEL_TRIES} judged, the others had to wait"


# Sign-ins stand before the wrong passwords, which make this machine's address wait.
ATTEMPTS: tuple[Attempt, ...] = (
    every_route_as_every_role,
    posts_from_other_sites,
    names_that_look_alike,
    headers_slipped_into_answers,
    paths_out_of_the_static_folder,
    tokens_at_anothers_place,
    a_source_that_speaks_for_another,
    bodies_that_say_they_are_large,
    bodies_without_an_end,
    gzip_that_unfolds,
    empty_objects_by_the_hundred_thousand,
    requests_half_sent,
    connections_by_the_hundred,
    wrong_passwords_at_once,
)


def main() -> int:
    """Try everything; return 1 if anything did not hold."""
    with (
        tempfile.TemporaryDirectory(prefix="rotation-attack-", ignore_cleanup_errors=True) as folder,
        running(Path(folder)) as target,
    ):
        print("| Tried | Held | |\n|---|---|---|", flush=True)
        held = [_tried(attempt, target) for attempt in ATTEMPTS]
    print(f"{sum(held)} of {len(held)} held")
    return 0 if all(held) else 1


def _tried(attempt: Attempt, target: Target) -> bool:
    try:
        said, held = attempt(target), True
        _answers(target)
    except (AssertionError, httpx.HTTPError, OSError) as error:
        said, held = f"{type(error).__name__}: {str(error)[:300]}".replace("\n", " "), False
    print(f"| {attempt.__name__.replace('_', ' ')} | {'yes' if held else 'NO'} | {said} |", flush=True)
    return held


def _answers(target: Target) -> None:
    with target.browser() as browser:
        assert browser.get("/health/ready").status_code == 200, "the page does not answer behind it"


@contextmanager
def running(folder: Path) -> Iterator[Target]:
    """Run `rotation serve` in a folder of its own, with a user of each role that decides."""
    given = os.environ | {"ROTATION_DATA_DIR": str(folder), "ROTATION_WEB_PORT": "0", "ROTATION_NETWORK": "demo.toml"}
    log = folder / "serve.log"
    with log.open("wb") as said:
        system = subprocess.Popen([sys.executable, "-m", "rotation", "serve"], env=given, stdout=said, stderr=said)
    try:
        yield _ready(folder, log, system)
    finally:
        system.send_signal(signal.SIGINT)
        system.wait(STOP_S)


def _ready(folder: Path, log: Path, system: subprocess.Popen[bytes]) -> Target:
    until = time.monotonic() + START_S
    while time.monotonic() < until and system.poll() is None:
        with suppress(OSError, KeyError, httpx.HTTPError):
            found = dict(line.split("=", 1) for line in (folder / ADDRESSES).read_text().splitlines())
            target = Target(int(found["ROTATION_WEB_PORT"]), engine(found["DATABASE_URL"]))
            if httpx.get(f"http://{HOST}:{target.port}/health/ready", timeout=5).status_code == 200:
                _add_users(target.database)
                return target
        time.sleep(0.5)
    raise SystemExit(f"it does not start: {log.read_text()[-3000:]}")


def _add_users(database: Engine) -> None:
    with database.begin() as connection:
        for role in (Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR):
            auth.add_user(connection, role, PASSWORD, role)
        connection.execute(update(users).values(must_change=False))


if __name__ == "__main__":
    sys.exit(main())
