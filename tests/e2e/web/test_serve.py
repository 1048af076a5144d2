"""`rotation serve` as a person starts it, on a Kafka and a PostgreSQL of its own that go away for a while and come back."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import psutil
import pytest
from kafka import KafkaProducer
from playwright.sync_api import Browser, Page, expect

from infra import kafka as brokers
from infra.kafka import Kafka, embedded_kafka
from infra.messages import silent
from infra.postgres import Postgres, embedded_postgres
from rotation.facts.events import CopyAdded, cloud_event
from tests.needs import REPOSITORY

AWAY_S = float(os.environ.get("AWAY_S", "4"))  # a minute when one wants to see it; the page knows no difference
READY_S, TOLD_MS, BACK_MS = 90.0, 15_000, 60_000
STOPS_S = 10.0
CHOSEN = "a long password"
NETWORK = """
[network]
id = "town"
name = { zh = "小城", en = "Town" }
timezone = "Asia/Shanghai"
[[class]]
id = "fiction"
name = { zh = "小说", en = "Fiction" }
[[place]]
id = "east"
name = { zh = "东馆", en = "East" }
tier = "district"
lat = 30.0
lon = 120.0
hub = {}
[[van]]
id = "e1"
hub = "east"
crates = 20
"""


@dataclass
class Town:
    """The servers, and what `rotation serve` said so far."""

    kafka: Kafka
    postgres: Postgres
    environment: dict[str, str]
    log: Path

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it and wait until it says that it serves."""
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "rotation", "serve"]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stdout=log, stderr=log)
        end = time.monotonic() + READY_S
        while "is served on" not in self.said:
            assert process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.1)
        return process

    @property
    def said(self) -> str:
        """Everything, on one line."""
        return " ".join(self.log.read_text(encoding="utf-8").split())

    def tell(self, number: int) -> None:
        """Send an event as a library system would."""
        event = cloud_event(
            CopyAdded(copy=f"c{number}", place="east", title="t", **{"class": "fiction"}),
            event_id=f"e{number}",
            source="desk",
            time=datetime.now(UTC),
        )
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, acks="all")
        producer.send("circulation.events", orjson.dumps([event])).get(30)
        producer.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    (folder / "town.toml").write_text(NETWORK, encoding="utf-8")
    with (
        embedded_postgres(folder / "postgres", settings={"fsync": "off"}) as postgres,
        embedded_kafka(folder / "kafka") as kafka,
    ):
        own = {
            "DATABASE_URL": postgres.url,
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "ROTATION_WEB_PORT": "0",
            "ROTATION_NETWORK": str(folder / "town.toml"),
            "ROTATION_DATA_DIR": str(folder / "state"),
        }
        yield Town(kafka, postgres, os.environ | own, folder / "serve.log")


@pytest.fixture(scope="module")
def served(town: Town) -> Iterator["subprocess.Popen[bytes]"]:
    process = town.start()
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def signed_in(town: Town, browser: Browser) -> Page:
    """Sign in with what was printed, choose a password, and look at the feeds."""
    [address] = re.findall(r"served on (\S+)", town.said)
    [(name, password)] = re.findall(r"First sign-in / 首次登录: (\S+) / (\S+)", town.said)
    page = browser.new_context(base_url=address, locale="en-GB").new_page()
    page.goto("/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click("main button.primary")
    for name, value in (("old", password), ("new", CHOSEN), ("again", CHOSEN)):
        page.fill(f"[name={name}]", value)
    page.click("main button.primary")
    page.wait_for_url("**/today")
    page.goto("/feeds")
    page.evaluate("window.neverReloaded = true")
    return page


@pytest.mark.timeout(4 * READY_S + 4 * AWAY_S)
def test_servers_that_go_away_are_told_in_a_sentence_and_the_page_recovers_by_itself(
    served: "subprocess.Popen[bytes]", town: Town, browser: Browser
):
    page = signed_in(town, browser)
    applied = page.locator("dl.figures dd").first
    town.tell(1)
    expect(applied).to_have_text("1", timeout=BACK_MS)

    brokers.stop(town.kafka)
    expect(page.locator("[data-trouble=kafka]")).to_contain_text("Kafka cannot be reached", timeout=TOLD_MS)
    time.sleep(AWAY_S)
    brokers.start(town.kafka, silent)
    expect(page.locator("[data-trouble=kafka]")).to_be_hidden(timeout=BACK_MS)
    town.tell(2)
    expect(applied).to_have_text("2", timeout=BACK_MS)

    town.postgres.stop()
    expect(page.locator("[data-trouble=database]")).to_contain_text("The database cannot be reached", timeout=TOLD_MS)
    town.tell(3)
    time.sleep(AWAY_S)
    town.postgres.start()
    town.postgres.wait()
    expect(page.locator("[data-trouble=database]")).to_be_hidden(timeout=BACK_MS)
    expect(applied).to_have_text("3", timeout=BACK_MS)

    assert page.evaluate("window.neverReloaded")
    assert served.poll() is None, town.said


def parts_of(process: "subprocess.Popen[bytes]") -> dict[str, psutil.Process]:
    """Return our processes by the module that they run."""
    below = psutil.Process(process.pid).children(recursive=True)
    ours = [one for one in below if "guard.py" not in " ".join(one.cmdline())]
    return {one.cmdline()[2]: one for one in ours if one.cmdline()[1:2] == ["-m"]}


@pytest.mark.timeout(2 * READY_S)
def test_told_to_stop_it_stops_all_of_it_in_order_and_in_time(served: "subprocess.Popen[bytes]", town: Town):
    parts = parts_of(served)
    assert set(parts) == {"streams.worker", "streams.relay", "rotation.web", "rotation"}
    begin = time.monotonic()
    served.send_signal(signal.SIGINT)
    assert served.wait(STOPS_S) == 0
    assert time.monotonic() - begin < STOPS_S
    assert [name for name, part in parts.items() if part.is_running()] == []


@pytest.mark.timeout(2 * READY_S)
def test_a_part_that_dies_ends_the_whole_with_one_sentence(town: Town):
    process = town.start()
    parts = parts_of(process)
    parts["streams.relay"].kill()
    assert process.wait(STOPS_S) == 1
    assert "relay exited unexpectedly (SIGKILL)" in town.said
    assert "Traceback" not in town.said
    assert [name for name, part in parts.items() if part.is_running()] == []
