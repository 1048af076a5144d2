"""SIP2's client and proxy against invenio-sip2, a server library that others wrote after the same standard.

It needs a hundred packages in versions of its own, so that it lives in an environment of its own: `INVENIO_SIP2_PYTHON` names
that one's Python (docs/connect.md says how it is made). Without it the conversations of tests/unit/adapters/test_sip2.py stand.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from rotation.feeds.sip2 import Client, Placed, Proxy
from tests.needs import REPOSITORY

PYTHON = os.environ.get("INVENIO_SIP2_PYTHON")
START_S = 60.0
READER = "Zhang-Xiaoming-7001"
pytestmark = pytest.mark.skipif(not PYTHON, reason="INVENIO_SIP2_PYTHON names no Python with invenio-sip2")


@pytest.fixture(scope="module")
def system() -> Iterator[int]:
    """The port of a library system."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([PYTHON or sys.executable, "tests/invenio_sip2_server.py", str(port)], cwd=REPOSITORY)
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.2)
    yield port
    server.kill()
    server.wait()


def test_the_client_logs_in_checks_in_and_asks_for_an_item(system: int) -> None:
    with Client("127.0.0.1", system, "BR1") as client:
        assert client.login("machine", "secret")
        found, refused = client.checkin("0101", "BR2"), client.checkin("refused", "BR2")
        item = client.item_information("0101")
    assert (found.ok, found.permanent_location, found.sort_bin, refused.ok) == (True, "BR1", "7", False)
    assert (item.in_transit, item.permanent_location, item.current_location, item.holds) == (True, "BR1", "BR2", 2)
    assert READER not in repr((found, item))


def test_a_wrong_password_is_told(system: int) -> None:
    with Client("127.0.0.1", system, "BR1") as client:
        assert not client.login("machine", "wrong")


async def test_through_the_proxy_placement_speaks_in_its_check_ins_and_in_nothing_else(
    system: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = []

    async def ask(item: str, location: str) -> Placed | None:
        asked.append((item, location))
        return Placed("BR7", "12")

    def talk(port: int) -> tuple[object, ...]:
        with Client("127.0.0.1", port, "BR1") as client:
            client.login("machine", "secret")
            return client.checkin("0101", "BR2"), client.checkin("refused", "BR2"), client.item_information("0101")

    server = await Proxy("127.0.0.1", system, ask).serve("127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        directed, *others = await asyncio.to_thread(talk, port)
        _, *plain = await asyncio.to_thread(talk, system)
    assert (directed.destination, directed.alert, directed.sort_bin) == ("BR7", "04", "12")  # type: ignore[attr-defined]
    assert others == plain
    assert asked == [("0101", "BR2")]
    assert READER not in caplog.text
