"""Nothing stands still unseen: hearts that stop, messages and plans that are late, and the frozen process started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from fastapi.testclient import TestClient

from config.settings import load
from infra.messages import ServerMessage
from rotation.alerts import rules
from rotation.alerts.rules import Thresholds
from rotation.facts.parts import Deed, Part
from rotation.kafka import admin
from rotation.store.engine import connect
from rotation.store.heartbeats import BEAT_S, SILENT_S, Pulse, forget_dead, heartbeats, member
from rotation.store.standstill import standing_still
from rotation.system.frozen import FrozenParts
from rotation.system.processes import RunningSystem
from rotation.web.app import create_app
from tests.streams_world import city

ZONE = ZoneInfo("UTC")
UNTIL_S = 60.0
OLD = "now() - interval '1 hour'"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database, autocommit=True) as found:
        yield found


def beat(connection: psycopg.Connection[Any], part: Part, at: str = "now()", name: str = "", who: str = "m:1") -> None:
    row = f"INSERT INTO heartbeats VALUES (%s, %s, %s, {at}, 'started', '', {at})"
    connection.execute(row, (part, name, who))


def subjects(connection: psycopg.Connection[Any], plan_at: str = "04:00") -> list[str]:
    with connection.cursor() as cursor:
        return [one.subject for one in standing_still(cursor, ZONE, plan_at)]


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + UNTIL_S
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def clock(connection: psycopg.Connection[Any], at: str, speed: float) -> None:
    connection.execute("DELETE FROM clock")
    connection.execute("INSERT INTO clock VALUES (1, %s, now(), %s)", (datetime.fromisoformat(at), speed))


def test_where_nothing_runs_nothing_is_expected(connection: Any) -> None:
    connection.execute(f"INSERT INTO outbox (topic, value, created_at) VALUES ('t', '', {OLD})")
    assert subjects(connection) == []


def test_each_part_that_is_silent_for_too_long_is_named_once_whatever_its_dead_members(connection: Any) -> None:
    clock(connection, "2026-03-02T02:00+00:00", 1.0)
    beat(connection, Part.WORKER, OLD, who="m:1")
    beat(connection, Part.WORKER, who="m:2")
    beat(connection, Part.RELAY, f"now() - interval '{SILENT_S + 5} s'")
    beat(connection, Part.PLANNER, f"now() - interval '{SILENT_S - 5} s'")
    beat(connection, Part.FEED, OLD, name="koha")
    assert subjects(connection) == ["feed koha", "relay"]


def test_a_message_that_waits_for_kafka_for_a_minute_stands_still(connection: Any) -> None:
    clock(connection, "2026-03-02T02:00+00:00", 1.0)
    beat(connection, Part.WORKER)
    connection.execute("INSERT INTO outbox (topic, value) VALUES ('t', '')")
    assert subjects(connection) == []
    connection.execute("UPDATE outbox SET created_at = now() - interval '61 s'")
    assert subjects(connection) == ["outbox"]
    clock(connection, "2026-03-02T02:00+00:00", 0.0)
    assert subjects(connection) == []


@pytest.mark.parametrize(
    ("now", "plan_at", "planned", "missing"),
    [
        ("2026-03-02T04:30", "04:00", "2026-03-01", False),
        ("2026-03-02T05:30", "04:00", "2026-03-01", True),
        ("2026-03-02T05:30", "04:00", None, True),
        ("2026-03-02T05:30", "04:00", "2026-03-02", False),
        ("2026-03-03T00:45", "23:30", "2026-03-01", True),
    ],
)
def test_a_day_whose_planning_time_is_over_for_an_hour_lacks_its_plan(
    now: str, plan_at: str, planned: str | None, missing: bool, connection: Any
) -> None:
    clock(connection, f"{now}+00:00", 1.0)
    beat(connection, Part.PLANNER)
    if planned:
        connection.execute("INSERT INTO settings VALUES ('planned_day', %s)", (json.dumps(planned),))
    assert subjects(connection, plan_at) == (["plan"] if missing else [])
    connection.execute("UPDATE heartbeats SET deed = 'plans'")
    assert subjects(connection, plan_at) == []


def test_where_a_day_lasts_seconds_a_plan_has_a_minute_of_the_wall_clock(connection: Any) -> None:
    clock(connection, "2026-03-02T05:30+00:00", 1.0)
    beat(connection, Part.PLANNER)
    assert subjects(connection, "04:00") == ["plan"]
    clock(connection, "2026-03-02T05:30+00:00", 5760.0)
    connection.execute("INSERT INTO settings VALUES ('planned_day', '\"2026-02-27\"')")
    assert subjects(connection, "04:00") == []  # a minute is four days


def test_a_pulse_says_what_its_part_did_falls_silent_with_a_loop_that_hangs_and_leaves_in_order(
    database: str, connection: Any
) -> None:
    def found() -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            return [(one.deed, one.about) for one in heartbeats(cursor)]

    pulse = Pulse(database, Part.RELAY, beat_s=0.05)
    with pulse:
        pulse.turn(deed=Deed.SENT, about=7)
        until(lambda: found() == [("sent", "7")], "the deed")
        pulse.turn("other", within_s=0.0)
        assert not pulse.goes_on()
        time.sleep(0.2)
        before = connection.execute("SELECT beat_at FROM heartbeats").fetchone()
        time.sleep(0.3)
        assert connection.execute("SELECT beat_at FROM heartbeats").fetchone() == before
    assert found() == []


def test_a_health_check_asks_for_a_part_of_this_machine_alone(database: str, connection: Any, tmp_path: Path) -> None:
    def alive(part: str) -> int:
        environment = os.environ | {"DATABASE_URL": database, "ROTATION_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "rotation", "alive", part]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    beat(connection, Part.RELAY, who=member())
    beat(connection, Part.WORKER, who="elsewhere:1")
    beat(connection, Part.PLANNER, OLD, who=member())
    assert [alive(part) for part in ("relay", "worker", "planner", "solver")] == [0, 3, 3, 3]


def test_a_standstill_is_an_alert_that_opens_and_closes(connection: Any) -> None:
    clock(connection, "2026-03-02T02:00+00:00", 1.0)
    beat(connection, Part.RELAY, OLD)
    with connection.transaction(), connection.cursor() as cursor:
        rules.sweep(cursor, city(), Thresholds())
    query = "SELECT place_id, numbers ->> 'en' FROM alerts WHERE kind = 'standstill' AND closed_at IS NULL"
    ((subject, sentence),) = connection.execute(query).fetchall()
    assert subject == "relay"
    assert "The relay stands still: nothing heard of it for 36" in sentence
    connection.execute("UPDATE heartbeats SET beat_at = now()")
    with connection.transaction(), connection.cursor() as cursor:
        rules.sweep(cursor, city(), Thresholds())
    assert connection.execute(query).fetchall() == []


def test_the_page_a_monitor_and_the_command_say_what_stands_still(
    database: str, connection: Any, tmp_path: Path, kafka: str
) -> None:
    settings = load(database_url=database, data_dir=tmp_path, network=Path("demo.toml"))
    clock(connection, "2026-03-01T18:00+00:00", 1.0)
    with TestClient(create_app(settings)) as page:
        until(lambda: connection.execute("SELECT 1 FROM heartbeats WHERE part = 'page'").fetchone(), "the page's heart")
        assert page.get("/health/ready?parts=true").json()["status"] == "ready"
        beat(connection, Part.PLANNER, OLD)
        plain, with_parts = page.get("/health/ready"), page.get("/health/ready?parts=true")
        assert (plain.status_code, with_parts.status_code) == (200, 503)
        assert [one["code"] for one in plain.json()["standing_still"]] == ["planner"]
        environment = {
            **os.environ,
            "DATABASE_URL": database,
            "KAFKA_BOOTSTRAP": kafka,
            "ROTATION_DATA_DIR": str(tmp_path),
        }
        command = [sys.executable, "-m", "rotation", "status", "--json"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert said.returncode == 3, said.stderr
        assert "The planner stands still" in said.stderr
        assert "计划进程停顿" in said.stderr
        assert {one["part"] for one in json.loads(said.stdout)["parts"]} == {"page", "planner"}
    assert [part for (part,) in connection.execute("SELECT part FROM heartbeats")] == ["planner"]


def test_a_relay_that_freezes_is_seen_and_started_again(
    database: str, connection: Any, kafka: str, tmp_path: Path
) -> None:
    admin.create({"bootstrap_servers": [kafka], "security_protocol": "PLAINTEXT"}, replication=1)
    said: list[ServerMessage] = []
    environment = {"DATABASE_URL": database, "KAFKA_BOOTSTRAP": kafka}
    system = RunningSystem(environment, tmp_path, [], said.append)
    system.start_named("relay")
    system.watch = FrozenParts(database, system.parts, silent_s=BEAT_S + 2)
    system.watch.start()
    try:
        frozen = system.parts["relay"].pid
        until(lambda: connection.execute("SELECT 1 FROM heartbeats").fetchone(), "the relay's heart")
        os.kill(frozen, signal.SIGSTOP)
        until(lambda: system.check() or said, "that the relay is frozen")
        assert said[0].code == "server.frozen"
        assert system.parts["relay"].pid != frozen
        assert system.parts["relay"].alive()
        connection.execute("INSERT INTO outbox (topic, value) VALUES ('stock.alerts', '{}')")
        until(lambda: not connection.execute("SELECT 1 FROM outbox").fetchone(), "the relay sends again")
    finally:
        system.stop()


def test_the_next_start_forgets_the_hearts_of_killed_processes_of_this_machine_only(connection: Any) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    beat(connection, Part.RELAY, OLD, who=member().replace(str(os.getpid()), str(gone.pid)))
    beat(connection, Part.WORKER, who=member())
    beat(connection, Part.PLANNER, OLD, who="elsewhere:1")
    with connection.cursor() as cursor:
        forget_dead(cursor)
    assert {part for (part,) in connection.execute("SELECT part FROM heartbeats")} == {"worker", "planner"}
