"""Shared by the tests of the embedded servers: a folder, the servers' messages, and programs that end badly."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.messages import ServerMessage

GONE_WITHIN_S = 12.0  # guards notice within half a second, servers stop within their time
REPOSITORY = Path(__file__).resolve().parents[3]

BOTH_SERVERS = """
import multiprocessing, pathlib, sys, time
from infra.kafka import embedded_kafka
from infra.postgres import embedded_postgres
folder = pathlib.Path(sys.argv[1])
with embedded_postgres(folder / "postgres") as postgres, embedded_kafka(folder / "kafka") as kafka:
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True).start()
    print(postgres.pid, kafka.brokers[0].pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def said() -> list[ServerMessage]:
    """What the servers said: `tell` with `said.append`."""
    return []


@pytest.fixture
def program() -> Iterator[Callable[[str, Path], "subprocess.Popen[str]"]]:
    """Starts a Python program with a folder; kills it and what it forked afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, folder: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", text, str(folder)]
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True)
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def gone(pids: list[int]) -> bool:
    """Tell whether all these processes end within GONE_WITHIN_S."""
    until = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < until:
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def running(pid: int) -> bool:
    """Tell whether the process runs (and is no zombie)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
