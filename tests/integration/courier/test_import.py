"""LibrariesWest's real days through a real Kafka and worker: the published figures, in spite of duplicates and delays."""

import operator
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, text

from rotation.alerts.levels import LANE_LEAST_JOURNEYS
from rotation.courier.legs import Where
from rotation.courier.store import open_transfers
from rotation.facts.clock import standing_at
from rotation.feeds.carrying import BATCH_EVENTS, in_batches
from rotation.feeds.librarieswest import CopyLedger, TransitSnapshot, happened, network, read_snapshot, snapshot_files
from rotation.kafka import admin
from rotation.kafka.topics import Topic
from rotation.network import Network
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.views.status import figures
from streams import relay
from tests.librarieswest_process import CHOICES
from tests.needs import SAMPLE
from tests.streams_process import topics

PREFIX = "west"
PATIENCE_S = 240.0
# A lane of many journeys has a time of its own, and the alerts of the place at its end count by that.
USUAL = f"NOT IN (SELECT to_place_id FROM lanes WHERE journeys >= {LANE_LEAST_JOURNEYS})"
OVERDUE = text(
    "SELECT sum((numbers->>'count')::int), sum((numbers->>'count_over_365_days')::int) FROM alerts"
    f" WHERE kind = 'overdue' AND closed_at IS NULL AND place_id {USUAL}"
)
LONG_ON_THE_WAY = text(
    "SELECT count(*) FILTER (WHERE days > 21), count(*) FILTER (WHERE days > 365) FROM ("
    " SELECT date(cast(:now AS timestamptz) AT TIME ZONE :zone) - date(occurred_at AT TIME ZONE :zone) AS days FROM copies"
    f" WHERE state = 'in_transit' AND to_place_id {USUAL}) copies_on_the_way"
)


@pytest.fixture(scope="module")
def west() -> Network:
    return network(SAMPLE, CHOICES)


class Line:
    """The module's topics, database and worker."""

    def __init__(self, bootstrap: str, url: str, west: Network, scratch: Path) -> None:
        admin.create(
            {"bootstrap_servers": bootstrap}, topics=[Topic(n, "", 3, -1, False, (), (), "") for n in topics(PREFIX)]
        )
        self.engine: Engine = engine(url)
        self.west, self.sent = west, 0
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20)
        with self.engine.begin() as connection:
            set_clock(connection, standing_at(read_snapshot(snapshot_files(SAMPLE)[0]).clock))
        command = [
            sys.executable,
            "-m",
            "tests.librarieswest_process",
            bootstrap,
            url,
            PREFIX,
            str(scratch),
            str(SAMPLE),
        ]
        self.worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stop = threading.Event()
        client = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}
        self.relay = threading.Thread(target=relay.run, args=(url, client, self.stop))
        self.relay.start()

    def bring(self, shown: list[TransitSnapshot], ledger: CopyLedger) -> dict[str, Any]:
        """Send what the snapshots say, shuffled and a twentieth of it twice; return the figures when all is applied."""
        with self.engine.begin() as connection:
            set_clock(connection, standing_at(shown[-1].clock))
        said = list(map(orjson.dumps, in_batches(happened(shown, ledger), BATCH_EVENTS)))
        said += said[: len(said) // 20]
        random.Random(7).shuffle(said)
        for batch in said:
            self.producer.send(topics(PREFIX).events, batch)
        self.producer.flush()
        self.sent += len(said)
        return self._applied()

    def _applied(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = figures(self.engine, self.west.timezone, "04:00")
            if found["next_offsets"] == self.sent and operator.eq(*self.overdue(found["network_time"])):
                return found
            time.sleep(0.3)
        pytest.fail(f"not applied within {PATIENCE_S} s: {found}, overdue {self.overdue(found['network_time'])}")

    def overdue(self, now: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Copies over 21 and 365 days by the open alerts, and by the copies, on the way to places of no well-known lane."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            counted = connection.execute(LONG_ON_THE_WAY, {"now": now, "zone": self.west.timezone.key}).one()
            return tuple(connection.execute(OVERDUE).one()), tuple(counted)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def line(kafka: str, module_database: str, west: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    one = Line(kafka, module_database, west, tmp_path_factory.mktemp("worker"))
    yield one
    one.stop.set()
    one.relay.join()
    one.worker.kill()
    one.worker.wait()
    one.producer.close()
    one.engine.dispose()


FIGURES = {
    "2020-03-11": {"copies": 46029, "sent_today": 7572, "over_21_days": 7267, "over_365_days": 782},
    "2020-03-12": {"copies": 45169, "sent_today": 7258, "over_21_days": 7157, "over_365_days": 772},
}


@pytest.mark.timeout(400)  # 115,000 events beside whatever else the machine does
def test_real_days_end_as_published_with_duplicates_and_shuffled_batches(line: Line):
    ledger = CopyLedger()
    for name, published in FIGURES.items():
        file = next(path for path in snapshot_files(SAMPLE) if path.name.startswith(name))
        found = line.bring([read_snapshot(file)], ledger)
        assert found["in_transit"] == published
        alerts, copies = line.overdue(found["network_time"])
        assert alerts == copies
        assert 0 < copies[0] <= published["over_21_days"]
    assert (found["rejected"], found["unlisted"]) == (0, 0)
    assert found["events_in"] == sum(found[name] for name in ("applied", "duplicates", "late", "rejected"))
    assert found["by_state"]["in_transit"] + found["by_state"]["on_shelf"] == found["copies"]


def test_what_waits_is_read_back_as_sent(line: Line, west: Network):
    with line.engine.connect() as connection:
        waiting = open_transfers(connection, west, date(2020, 3, 11))
    assert len(waiting) == FIGURES["2020-03-12"]["copies"]
    assert all(one.where is Where.PLACE and one.kind == "shipment" for one in waiting)
