"""Orders to webhooks and folders over a real PostgreSQL, a real receiver and a real folder."""

import csv
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from rotation.dispatch import targets
from rotation.facts.lifecycle import TargetKind
from rotation.store.engine import connect, engine
from streams import deliver
from tests.library_apis_simulated import served

ORDERS = [{"type": "order.pick", "transfer": f"t{number}", "from": "p1", "to": "p2"} for number in range(3)]


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses that it is given, then with 200, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.statuses: list[int] = []
        self.messages: list[tuple[dict[str, str], bytes]] = []


class _Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with served(Receiver()) as server:
        yield server


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as found:
        yield found


def add(database: str, kind: TargetKind, address: str) -> str:
    with engine(database).begin() as adding:
        return targets.add(adding, kind, address, "tests")


def order(connection: psycopg.Connection[Any], number: int = len(ORDERS)) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        targets.write(cursor, ORDERS[:number])


def delivered(connection: psycopg.Connection[Any]) -> int:
    with httpx.Client(timeout=5) as client:
        return deliver.deliver(connection, client)


def test_a_signature_is_as_standard_webhooks_show_it() -> None:
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = deliver.signature(secret, message, 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_order_reaches_a_webhook_once_signed_and_in_order(
    connection: psycopg.Connection[Any], database: str, receiver: Receiver
) -> None:
    secret = add(database, TargetKind.WEBHOOK, f"http://127.0.0.1:{receiver.server_port}/hook")
    order(connection)
    assert (delivered(connection), delivered(connection)) == (3, 0)
    assert [orjson.loads(body) for _, body in receiver.messages] == ORDERS
    for headers, body in receiver.messages:
        at_s = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == deliver.signature(secret, headers["webhook-id"], at_s, body)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 3


def test_what_is_not_taken_is_tried_again_with_the_same_id_then_given_up_until_a_person_sends_it_again(
    connection: psycopg.Connection[Any], database: str, receiver: Receiver
) -> None:
    add(database, TargetKind.WEBHOOK, f"http://127.0.0.1:{receiver.server_port}/hook")
    tries = len(deliver.RETRIES_S) + 1
    receiver.statuses = [500] * tries
    order(connection, 1)
    for _ in range(tries):
        assert delivered(connection) == 0
        assert delivered(connection) == 0  # not before its time
        connection.execute("UPDATE deliveries SET next_at = now()")
    assert len(receiver.messages) == tries
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    with engine(database).begin() as looking:
        (target,) = targets.standing(looking)
        assert (target.dead, target.waiting, target.answer.split()[0]) == (1, 0, "500")
        assert targets.send_again(looking, target.target_id) == 1
    assert delivered(connection) == 1


def test_a_receiver_that_is_gone_gets_nothing_again_and_one_that_does_not_answer_is_said_so(
    connection: psycopg.Connection[Any], database: str, receiver: Receiver
) -> None:
    add(database, TargetKind.WEBHOOK, f"http://127.0.0.1:{receiver.server_port}/hook")
    receiver.statuses = [410]
    order(connection, 1)
    delivered(connection)
    with engine(database).connect() as looking:
        assert targets.standing(looking)[0].dead == 1
    add(database, TargetKind.WEBHOOK, "http://127.0.0.1:9/hook")
    order(connection, 1)
    delivered(connection)
    with engine(database).connect() as looking:
        assert "ConnectError" in targets.standing(looking)[1].answer


@pytest.mark.parametrize("kind", [TargetKind.JSON_LINES, TargetKind.CSV])
def test_files_are_there_whole_and_no_order_stands_in_two_though_it_is_killed_in_between(
    connection: psycopg.Connection[Any],
    database: str,
    tmp_path: Path,
    kind: TargetKind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(database, kind, str(tmp_path))
    order(connection)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(deliver, "_put", killed)
        with pytest.raises(KeyboardInterrupt):
            delivered(connection)
    order(connection, 1)
    assert [delivered(connection) for _ in range(3)] == [3, 1, 0]
    files = sorted(tmp_path.iterdir())
    assert [file.name.startswith(".") for file in files] == [False, False]
    assert [orjson.loads(line) for file in files for line in _orders(file)] == [*ORDERS, ORDERS[0]]


def _orders(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".csv":
        return [row["order"] for row in csv.DictReader(text.splitlines())]
    return text.splitlines()


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (TargetKind.WEBHOOK, "ftp://x"),
        (TargetKind.WEBHOOK, "nothing"),
        (TargetKind.CSV, "/not/there"),
        (TargetKind.CSV, "here"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(database: str, kind: TargetKind, address: str) -> None:
    with pytest.raises(targets.BadAddress):
        add(database, kind, address)
