"""Who is at the page in `bench.hostile`, for locust: people who look, desks that scan, and one hostile sender.

People and desks think between two requests. The hostile sender never does, and comes from an address of its own, as on a network:
what the page allows an address is its own allowance, not the people's.
"""

import gzip
import itertools
import os
import random
import socket
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from locust import FastHttpUser, between, constant, events, task
from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

TOWN: dict[str, Any] = orjson.loads(Path(os.environ["BENCH_HOSTILE_TOWN"]).read_bytes())
HOSTILE_ADDRESS = "127.0.0.66"
PATIENCE_S = 10.0
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}  # else it is refused before a password is looked at
JUNK = [{"specversion": "1.0", "id": str(number), "source": "x", "type": "copy.returned"} for number in range(10_000)]
PIECE = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
ENDLESS_BYTES = 20_000_000
HALF_SENT = 100
PAGES = ("/today", "/today?part=runs", "/imbalance", "/alerts", "/decisions", "/figures")
COOKIES = itertools.cycle(TOWN["cookies"])
PLACES = itertools.cycle(TOWN["places"])


@events.request.add_listener
def say_failure(name: str, exception: Exception | None, **_: Any) -> None:
    """Write what failed to stderr, a line each; bench.hostile counts them."""
    if exception:
        print(f"failed: {name}: {exception}"[:200], file=sys.stderr)


class Person(FastHttpUser):
    """Looks at a page, reads, and looks at another; each has a session of its own."""

    fixed_count = TOWN["people"]
    wait_time = between(4, 16)

    def on_start(self) -> None:
        """Take a session that was opened before."""
        self.headers = {"Cookie": next(COOKIES), "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}

    @task
    def look(self) -> None:
        """Open a page."""
        self.client.get(random.choice(PAGES), headers=self.headers, name="person")


class ReturnDesk(FastHttpUser):
    """Scans a returned copy every three seconds, as at a pile of returns."""

    fixed_count = TOWN["desks"]
    wait_time = between(0, 6)

    def on_start(self) -> None:
        """Be at a place."""
        self.place = next(PLACES)
        self.headers = {"Authorization": f"Bearer {TOWN['desk_token']}", "Accept": "application/json"}

    @task
    def scan(self) -> None:
        """Scan."""
        fields = {"scan": uuid.uuid4().hex, "work": "return", "code": random.choice(TOWN["copies"]), "tab": "desk"}
        self.client.post(f"/desk/{self.place}/scans", data=fields, headers=self.headers, name="desk")


class Hostile(FastHttpUser):
    """Sends what costs the page most, one after the other and without a pause."""

    fixed_count = 1
    wait_time = constant(0)
    EMPTY = b"[" + b",".join([b"{}"] * 330_000) + b"]"
    REFUSED = orjson.dumps(JUNK)
    BOMB = gzip.compress(b"[" + b" " * 200_000_000 + b"]")

    def on_start(self) -> None:
        """Come from another address."""
        self.session = Session()
        self.session.mount("http://", _From(HOSTILE_ADDRESS))
        self.token = {
            "Authorization": f"Bearer {TOWN['source_token']}",
            "Content-Type": "application/cloudevents-batch+json",
        }

    @task(3)
    def empty_events(self) -> None:
        """330,000 empty objects in a megabyte, with a source's own token."""
        self._post("/events", data=self.EMPTY, headers=self.token)

    @task(3)
    def refused_events(self) -> None:
        """10,000 events without data, of another source, in less than the largest body."""
        self._post("/events", data=self.REFUSED, headers=self.token)

    @task(3)
    def bomb(self) -> None:
        """200 MB, packed."""
        self._post("/events", data=self.BOMB, headers={**self.token, "Content-Encoding": "gzip"})

    @task(6)
    def wrong_password(self) -> None:
        """Guess, each time at another name, so that each costs a hash."""
        self._post("/sign-in", data={"name": uuid.uuid4().hex, "password": "a wrong password"}, headers=SAME_SITE)

    @task(1)
    def endless_body(self) -> None:
        """A body without an end, from nobody."""
        with suppress(OSError), self._opened() as connection:
            connection.sendall(b"POST /api/what-if HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(ENDLESS_BYTES // len(PIECE)):
                connection.sendall(PIECE)

    @task(1)
    def half_sent(self) -> None:
        """Heads that never end, until the page ends them."""
        held = []
        with suppress(OSError):
            for _ in range(HALF_SENT):
                held.append(self._opened())
                held[-1].sendall(b"GET / HTTP/1.1\r\nHost:")
        for connection in held:
            connection.close()

    def _post(self, path: str, **more: Any) -> None:
        with suppress(RequestException):
            answer = self.session.post(
                f"{self.host}{path}",
                timeout=PATIENCE_S,
                allow_redirects=False,
                **more,
            )
            self.environment.events.request.fire(
                request_type="POST",
                name=f"hostile {answer.status_code}",
                response_time=answer.elapsed.total_seconds() * 1000,
                response_length=0,
                exception=None,
                context={},
            )

    def _opened(self) -> socket.socket:
        host, port = str(self.host).removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), PATIENCE_S, source_address=(HOSTILE_ADDRESS, 0))


class _From(HTTPAdapter):
    """Connects from an address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *given: Any, **more: Any) -> None:
        super().init_poolmanager(*given, source_address=(self._address, 0), **more)
