"""What a start says of a Kafka that is behind, and that Ctrl-C ends a start that waits for servers which never answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.kafka import client
from config.settings import load
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.store import topic_identity as identity
from rotation.store.engine import connect
from rotation.system.processes import prepared
from tests.web_city import demo


def test_a_kafka_behind_the_database_is_said_before_anything_runs(kafka: str, database: str, tmp_path: Path) -> None:
    settings = load(kafka_bootstrap=kafka, database_url=database, data_dir=tmp_path, network=Path("demo.toml"))
    prepared(settings, demo()).dispose()
    with connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO progress VALUES (%s, 0, 1000000)", (CIRCULATION_EVENTS.name,))
    with pytest.raises(identity.OtherKafka, match=r"ends at .* and the database has read to 1000000"):
        prepared(settings, demo())


def test_what_a_worker_applies_while_kafka_is_asked_does_not_make_kafka_look_behind(
    kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(kafka_bootstrap=kafka, database_url=database, data_dir=tmp_path, network=Path("demo.toml"))
    prepared(settings, demo()).dispose()
    asked = identity.present

    def asked_while_a_worker_goes_on(*about: Any) -> identity.Present | None:
        found = asked(*about)
        with connect(database, autocommit=True) as connection:
            connection.execute("UPDATE progress SET next_offset = next_offset + 1000000")
        return found

    with connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO progress VALUES (%s, 0, 0)", (CIRCULATION_EVENTS.name,))
    monkeypatch.setattr(identity, "present", asked_while_a_worker_goes_on)
    with closing(identity.Guard(client(settings), database, CIRCULATION_EVENTS.name)) as guard:
        guard.look()
        with pytest.raises(identity.OtherKafka, match="the database has read to 1000000"):
            guard.look()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_start_that_waits_for_servers_which_never_answer(sign: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        environment = {
            **os.environ,
            "DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/db",
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
            "ROTATION_DATA_DIR": str(tmp_path),
            "ROTATION_NETWORK": "demo.toml",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "rotation", "serve"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        silent.settimeout(60)
        waiting, _ = silent.accept()  # for an answer, as long as this is open
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(sign)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - begin < 10
        waiting.close()
    assert process.returncode == 130, said.decode()[-2000:]
    assert b"Traceback" not in said
