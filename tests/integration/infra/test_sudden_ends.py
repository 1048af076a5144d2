"""Whoever is killed, nothing stays behind, and the next start finds its folder free."""

import os
import signal

from infra.kafka import embedded_kafka
from infra.postgres import embedded_postgres
from tests.integration.infra.conftest import BOTH_SERVERS, gone, running


def test_after_kill_9_of_the_parent_no_server_stays_and_the_next_start_works(tmp_path, program):
    parent = program(BOTH_SERVERS, tmp_path)
    servers = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(running(pid) for pid in servers)
    os.kill(parent.pid, signal.SIGKILL)
    assert gone(servers)
    with embedded_postgres(tmp_path / "postgres"), embedded_kafka(tmp_path / "kafka") as kafka:
        kafka.check()
