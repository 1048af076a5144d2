"""Alerts to channels over a real PostgreSQL, each against a local stand-in of its endpoint."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, delete, insert, select, text, update

from rotation.alerts import channels, handling
from rotation.alerts.channels import ChannelSettings
from rotation.alerts.sending import ChannelAddressError, ChannelMessage, check, cut, send
from rotation.facts.lifecycle import AlertKind, AlertStep, ChannelKind
from rotation.store.clock import read_clock, set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.tables import alerts, channel_messages
from streams import notify
from tests import web_city
from tests.library_apis_simulated import served

MESSAGE = ChannelMessage("云泽：新预警 2 条", "缺书 · 古渡：少 12 册", "message_1")
KEY = "5d4c0dce-secret"


class StandIn(ThreadingHTTPServer):
    """Answers as it was set, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _StandInHandler)
        self.answer, self.status = b'{"errcode":0,"errmsg":"ok"}', 200
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _StandInHandler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        self.server.bodies.append(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def robot() -> Iterator[StandIn]:
    with served(StandIn()) as server:
        yield server


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = engine_of(database)
    with made.begin() as connection:
        web_city.fill(connection, web_city.demo())
        connection.execute(delete(alerts))
    yield made
    made.dispose()


# --- Each kind against its stand-in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ChannelKind.WECOM, ChannelKind.DINGTALK])
def test_a_refusal_under_200_is_no_success_and_its_words_are_kept(robot: StandIn, kind: ChannelKind):
    address = f"{robot.address}/send?key={KEY}"
    assert send(kind, address, MESSAGE).taken
    assert robot.bodies[0] == {"msgtype": "text", "text": {"content": f"{MESSAGE.subject}\n{MESSAGE.body}"}}
    robot.answer = f'{{"errcode":93000,"errmsg":"invalid key {KEY}"}}'.encode()
    refused = send(kind, address, MESSAGE)
    assert not refused.taken
    assert "93000" in refused.answer
    assert KEY not in refused.answer


def test_a_long_text_is_cut_by_bytes_and_no_sign_in_two(robot: StandIn):
    send(ChannelKind.WECOM, robot.address, ChannelMessage("x", "缺" * 2_000, "m"))
    content = robot.bodies[0]["text"]["content"].encode()
    assert 2_040 < len(content) <= 2_048
    assert cut("缺书", 6) == "缺书"
    assert cut("缺书了", 8) == "缺…"


def test_dingtalk_signs_where_the_address_has_a_secret(robot: StandIn):
    send(ChannelKind.DINGTALK, f"{robot.address}/robot/send?access_token=t&secret=SECabc", MESSAGE)
    assert "access_token=t&timestamp=" in robot.paths[0]
    assert "&sign=" in robot.paths[0]
    assert "SECabc" not in robot.paths[0]


def test_a_webhook_gets_json_and_answers_by_its_status(robot: StandIn):
    assert send(ChannelKind.WEBHOOK, robot.address, MESSAGE).taken
    assert robot.bodies == [{"subject": MESSAGE.subject, "text": MESSAGE.body, "id": "message_1"}]
    robot.status = 500
    assert not send(ChannelKind.WEBHOOK, robot.address, MESSAGE).taken


def test_apprise_sends_what_it_knows(robot: StandIn):
    address = robot.address.replace("http://", "json://")
    assert send(ChannelKind.APPRISE, address, MESSAGE).taken
    assert robot.bodies[0]["message"] == MESSAGE.body
    robot.status = 500
    refused = send(ChannelKind.APPRISE, address, MESSAGE)
    assert not refused.taken
    assert refused.answer


def _mail_server(listening: socket.socket, lines: list[str]) -> None:
    taken, _ = listening.accept()
    with taken, taken.makefile("rw", newline="\r\n") as talk:

        def say(text: str) -> None:
            talk.write(text + "\n")
            talk.flush()

        say("220 stand-in")
        in_data = False
        for line in talk:
            lines.append(line.rstrip())
            if in_data:
                in_data = line.rstrip() != "."
                if not in_data:
                    say("250 taken")
            elif line.upper().startswith("DATA"):
                in_data = True
                say("354 go on")
            elif line.upper().startswith("QUIT"):
                say("221 bye")
                return
            else:
                say("250 ok")


def test_mail_goes_by_smtp_and_no_password_goes_without_encryption():
    for user, taken in (("", True), ("desk:password@", False)):
        lines: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=_mail_server, args=(listening, lines))
            thread.start()
            address = (
                f"smtp://{user}127.0.0.1:{listening.getsockname()[1]}?from=rotation@example.org&to=desk@example.org"
            )
            result = send(ChannelKind.EMAIL, address, MESSAGE)
            thread.join()
        assert (result.taken, any("rcpt TO:<desk@example.org>".lower() in line.lower() for line in lines)) == (
            taken,
            taken,
        )
        assert not any("password" in line for line in lines)


def test_nobody_there_is_an_answer():
    assert "ConnectError" in send(ChannelKind.WEBHOOK, "http://127.0.0.1:9/x", MESSAGE).answer


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (ChannelKind.WECOM, "ftp://example.org"),
        (ChannelKind.EMAIL, "smtps://mail.example.org"),
        (ChannelKind.APPRISE, "nothing-that-is-known://x"),
    ],
)
def test_an_address_of_another_kind_is_refused(kind: ChannelKind, address: str):
    with pytest.raises(ChannelAddressError):
        check(kind, address)


# --- From an alert to a channel ---------------------------------------------------------------------------------------------


def _channel(engine: Engine, address: str, **more: Any) -> str:
    with engine.begin() as connection:
        now = read_clock(connection).now()
        wanted = ChannelSettings(ChannelKind.WECOM, "群", "zh", **more)
        return channels.add(connection, wanted, f"{address}/send?key={KEY}", "tests", now)


def _open(engine: Engine, place: str, kind: AlertKind = AlertKind.OVERDUE) -> int:
    numbers = {"count": 3, "days": 21, "count_over_365_days": 0, "oldest": None}
    with engine.begin() as connection:
        now = read_clock(connection).now()
        row = {"kind": kind, "place_id": place, "class": "x", "opened_at": now, "changed_at": now, "numbers": numbers}
        return connection.scalar(insert(alerts).values(row).returning(alerts.c.alert_id))


def _pass(engine: Engine, hours: float) -> None:
    with engine.begin() as connection:
        clock = read_clock(connection)
        set_clock(connection, replace(clock, network_at=clock.now() + timedelta(hours=hours)))


def test_alerts_of_a_cause_are_one_line_and_each_is_sent_once(engine: Engine, robot: StandIn):
    network = web_city.demo()
    _channel(engine, robot.address)
    places = [place.id for place in network.places if network.hub_of(place.id) == network.hubs[1].id][:2]
    for place in places:
        _open(engine, place)
    assert notify.step(engine, network) == 1
    assert notify.step(engine, network) == 0
    subject, *lines = robot.bodies[0]["text"]["content"].splitlines()
    assert subject.endswith("新预警 2 条")
    assert len(lines) == 1
    assert all(network.place[place].name.zh in lines[0] for place in places)


def test_in_quiet_hours_alerts_wait_for_their_end(engine: Engine, robot: StandIn):
    network = web_city.demo()
    _channel(engine, robot.address, quiet_from="06:00", quiet_to="08:00")  # it is seven
    _open(engine, network.places[0].id)
    assert notify.step(engine, network) == 0
    _pass(engine, 1.1)
    assert notify.step(engine, network) == 1
    assert notify.is_quiet("21:00", "07:00", "23:00")
    assert not notify.is_quiet("21:00", "07:00", "07:00")


def test_what_nobody_took_is_escalated_and_what_somebody_took_is_not(engine: Engine, robot: StandIn):
    network = web_city.demo()
    _channel(engine, robot.address, after_hours=2)
    taken, _ = _open(engine, network.places[0].id), _open(engine, network.places[1].id)
    with engine.begin() as connection:
        handling.take(connection, [taken], AlertStep.ACKNOWLEDGED, who="Li Na", at=read_clock(connection).now())
    assert notify.step(engine, network) == 0
    _pass(engine, 2.1)
    assert notify.step(engine, network) == 1
    assert network.places[1].name.zh in robot.bodies[0]["text"]["content"]


def test_a_refused_message_is_tried_later_then_given_up_and_sent_again_by_hand(engine: Engine, robot: StandIn):
    network, channel = web_city.demo(), _channel(engine, robot.address)
    _open(engine, network.places[0].id)
    robot.answer = b'{"errcode":45009,"errmsg":"api freq out of limit"}'
    for _ in range(len(notify.RETRIES_S) + 1):
        notify.step(engine, network)
        with engine.begin() as connection:
            connection.execute(update(channel_messages).values(next_at=text("now()")))
    with engine.connect() as connection:
        status = channels.standing(connection)[0]
    assert (status.dead, status.sent) == (1, 0)
    assert "45009" in status.answer
    assert KEY not in repr(status)
    robot.answer = b'{"errcode":0}'
    with engine.begin() as connection:
        assert channels.send_again(connection, channel) == 1
    assert notify.step(engine, network) == 1


def test_a_digest_is_sent_once_a_day_after_its_hour(engine: Engine, robot: StandIn):
    network = web_city.demo()
    _channel(engine, robot.address, alerts=False, digest_at="08:00")
    assert notify.step(engine, network) == 0
    _pass(engine, 1.1)
    assert notify.step(engine, network) == 1
    assert notify.step(engine, network) == 0
    lines = robot.bodies[0]["text"]["content"].splitlines()
    assert lines[0] == "2026-03-12 图书流转日报"
    assert 2 <= len(lines) <= 11
    with engine.connect() as connection:
        assert connection.scalar(select(channel_messages.c.day))
