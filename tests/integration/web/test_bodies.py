"""Bodies and heads over real sockets: counted as they arrive, ended when they do not, whoever sends them."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from rotation.web.bodies import LARGEST_BODY_BYTES, SMALL_BODY_BYTES
from rotation.web.protocol import PatientProtocol

HEAD_S, PART_S = 1.0, 1.0
PIECE = b"x" * 10_000
CHUNK = b"2710\r\n" + PIECE + b"\r\n"
KERNEL_BYTES = 8_000_000  # what sockets hold between the two of us


class Impatient(PatientProtocol):
    head_s = HEAD_S
    most = 8


@pytest.fixture(scope="module")
def port(app: object) -> Iterator[int]:
    """A page that is served as in production, with less patience."""
    from rotation.web import bodies

    bodies.Bodies.__init__.__defaults__ = (PART_S, 3 * PART_S)  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Impatient, log_config=None, lifespan="off"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()
    bodies.Bodies.__init__.__defaults__ = (bodies.PART_S, bodies.WHOLE_S)  # type: ignore[attr-defined]


def opened(port: int, head: str = "", **headers: str) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    if head:
        lines = [
            head + " HTTP/1.1",
            "Host: x",
            "Sec-Fetch-Site: same-origin",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        one.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return one


def poured(one: socket.socket, most: int) -> int:
    """Send chunks until the other side has had enough; return the bytes that went out."""
    sent = 0
    try:
        while sent < most:
            one.sendall(CHUNK)
            sent += len(PIECE)
    except OSError:
        pass
    return sent


def ended(one: socket.socket) -> bool:
    """Whether the other side closes the connection without an answer."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


def answered(one: socket.socket) -> bytes:
    """Return an answer of `/health/live` as far as its last word."""
    said = b""
    while b"alive" not in said and (more := one.recv(2000)):
        said += more
    return said


@pytest.mark.parametrize("path", ["/api/what-if", "/users", "/sign-in", "/events", "/no/such"])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_without_an_end_is_cut_off_whoever_sends_it(path: str, content_type: str, port: int) -> None:
    with opened(port, f"POST {path}", **{"Transfer-Encoding": "chunked", "Content-Type": content_type}) as one:
        assert poured(one, 300_000_000) < KERNEL_BYTES


def test_a_body_that_is_too_large_is_answered(port: int) -> None:
    for path, most in (("/api/what-if", LARGEST_BODY_BYTES), ("/sign-in", SMALL_BODY_BYTES)):
        with opened(port, f"POST {path}", **{"Content-Length": str(most + 1)}) as one:
            assert one.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_stops_half_way_ends(port: int) -> None:
    with opened(
        port, "POST /sign-in", **{"Content-Length": "1000", "Content-Type": "application/x-www-form-urlencoded"}
    ) as one:
        one.sendall(b"name=")
        begin = time.monotonic()
        assert one.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begin < 3 * PART_S


def test_a_body_that_drips_ends_too(port: int) -> None:
    with opened(
        port, "POST /sign-in", **{"Content-Length": "1000", "Content-Type": "application/x-www-form-urlencoded"}
    ) as one:
        one.settimeout(PART_S / 4)
        begin, said = time.monotonic(), b""
        while not said and time.monotonic() - begin < 10 * PART_S:
            one.sendall(b"x")
            try:
                said = one.recv(100)
            except TimeoutError:
                continue
        assert said.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_head_that_does_not_come_ends_its_connection(head: bytes, port: int) -> None:
    with opened(port) as one:
        one.sendall(head)
        begin = time.monotonic()
        assert ended(one)
        assert time.monotonic() - begin < 3 * HEAD_S


def test_a_connection_that_asks_twice_is_answered_twice(port: int) -> None:
    with opened(port) as one:
        for _ in range(2):
            one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"alive" in answered(one)
            time.sleep(HEAD_S * 1.5)


def test_an_address_holds_no_more_than_its_share_of_connections(port: int) -> None:
    held = [opened(port) for _ in range(Impatient.most)]
    with opened(port, "GET /health/live") as more:
        assert ended(more)
    for one in held:
        one.close()
    time.sleep(0.2)
    with opened(port, "GET /health/live") as again:
        assert b"alive" in answered(again)
