"""A line of topics, database and worker processes of one test's own, and the patience to wait for what it should do."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.kafka.topics import STOCK_ALERTS, TRANSFER_ORDERS, Topic
from streams import relay
from tests.streams_process import topics
from tests.streams_world import counts

PARTITIONS = 3
PATIENCE_S = 90.0  # ten times what it takes on an idle machine


class HarnessThread(threading.Thread):
    """A thread of a test that names itself where it died, instead of letting the test wait for what it never does."""

    def __init__(self, target: Callable[..., object], *about: Any) -> None:
        super().__init__(target=target, args=about, name=getattr(target, "__qualname__", "harness"), daemon=True)
        self.died_of: BaseException | None = None

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self.died_of = error
            raise

    def check(self) -> None:
        assert self.died_of is None, f"the harness's own thread {self.name} died of {self.died_of!r}"


class Line:
    """One test's topics, database and workers."""

    def __init__(self, bootstrap: str, url: str, folder: Path, replication: int = 1) -> None:
        self.bootstrap, self.url, self.folder, self.prefix = bootstrap, url, folder, f"t{uuid.uuid4().hex[:8]}"
        self.client: dict[str, Any] = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}
        wanted = [Topic(name, "", PARTITIONS, -1, False, (), (), "") for name in topics(self.prefix)]
        admin.create(self.client, replication=replication, topics=[*wanted, STOCK_ALERTS, TRANSFER_ORDERS])
        self.workers: list[subprocess.Popen[bytes]] = []
        self.sender: KafkaProducer = producer(self.client)
        self.stop = threading.Event()
        self.threads: list[HarnessThread] = []

    def run_beside(self, target: Callable[..., object], *about: Any) -> HarnessThread:
        """Run a part of the test beside it; `until` looks whether it lives."""
        self.threads.append(HarnessThread(target, *about))
        self.threads[-1].start()
        return self.threads[-1]

    def start(self, *more: str, module: tuple[str, ...] = ("tests.streams_process",)) -> subprocess.Popen[bytes]:
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        command = [sys.executable, "-m", *module, self.bootstrap, self.url, self.prefix, str(self.folder), *more]
        self.workers.append(subprocess.Popen(command, stdout=log, stderr=log))
        return self.workers[-1]

    def send(self, values: list[bytes], headers: list[tuple[str, bytes]] | None = None) -> None:
        for number, value in enumerate(values):
            self.sender.send(topics(self.prefix).events, value, partition=number % PARTITIONS, headers=headers)
        self.sender.flush()

    def relay(self) -> None:
        self.stop = threading.Event()
        self.relaying = self.run_beside(relay.run, self.url, self.client, self.stop)

    def end_relay(self) -> None:
        """Let the relay end that ran until now."""
        self.stop.set()
        self.relaying.join()

    def heard(self) -> int:
        return sum(counts(self.url).values())

    def until(self, done: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
        begin = time.monotonic()
        while not done():
            for thread in self.threads:
                thread.check()
            if time.monotonic() - begin > patience_s:
                logs = "".join(file.read_text()[-2000:] for file in self.folder.glob("worker-*.log"))
                pytest.fail(f"{what}: not within {patience_s} s: {counts(self.url)}\n{logs}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def kill(self) -> None:
        """End the workers that still run."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()

    def close(self) -> None:
        self.stop.set()
        self.sender.close()
        self.kill()
