"""Three brokers, three workers, and one fault after the other: `make chaos`. `make test` has a short form.

Each scenario sends its share of events (5 % twice, 5 % late, 1 % bad) while its fault happens; afterwards the database must equal
the plain fold, every event must have one count, and the fault must have happened. CHAOS_EVENTS sets the events of a scenario.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from kafka.admin import KafkaAdminClient, NewPartitions

from infra.kafka import Kafka, embedded_kafka
from infra.postgres import Postgres
from rotation.store.audit import audit
from tests.streams_line import PARTITIONS, Line
from tests.streams_process import topics
from tests.streams_world import batches, counts, disturbed, fold, history, standing

EVENTS = int(os.environ.get("CHAOS_EVENTS", "20000"))
BAD_SHARE = 0.01
WORKERS = 3
SETTLED_S = 600.0

Fault = Callable[[Line, Kafka, Postgres, random.Random], None]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with embedded_kafka(tmp_path_factory.mktemp("brokers"), brokers=3) as kafka:
        yield kafka


def nothing(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """The undisturbed run that the others are compared with."""


def workers_killed(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    for _ in range(4):
        time.sleep(draw.uniform(0.5, 3))
        victim = draw.choice([worker for worker in line.workers if worker.poll() is None])
        victim.kill()
        assert victim.wait(10) == -signal.SIGKILL
        line.start()


def brokers_restarted_one_by_one(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    for broker in kafka.brokers:
        before = broker.pid
        broker.kill()
        time.sleep(draw.uniform(0.5, 2))
        broker.start()
        broker.wait()
        assert broker.pid != before
        time.sleep(3)


def postgres_killed_hard_and_away(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    before = postgres.pid
    postgres.kill()
    time.sleep(20)
    postgres.start()
    postgres.wait()
    assert postgres.pid != before


def a_worker_frozen_past_its_session(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    frozen = draw.choice(line.workers)
    os.kill(frozen.pid, signal.SIGSTOP)
    time.sleep(15)
    assert frozen.poll() is None
    os.kill(frozen.pid, signal.SIGCONT)


def partitions_and_workers_added(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    admin = KafkaAdminClient(**line.client)
    admin.create_partitions({topics(line.prefix).events: NewPartitions(PARTITIONS + 3)})
    admin.close()
    line.start()
    time.sleep(5)
    line.workers[0].terminate()
    line.workers[0].wait(10)


FAULTS: tuple[Fault, ...] = (
    nothing, workers_killed, brokers_restarted_one_by_one, postgres_killed_hard_and_away, a_worker_frozen_past_its_session,
    partitions_and_workers_added,
)  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_and_nothing_counts_twice(
    fault: Fault, cluster: Kafka, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    line, draw = Line(cluster.bootstrap, database, tmp_path, replication=3), random.Random(7)
    events = history(7, EVENTS, copies=EVENTS // 20)
    values = batches(disturbed(events, 7), 7, largest=40)
    bad = [value[:-2] for value in draw.sample(values, max(int(BAD_SHARE * len(values)), 1))]
    sent = sum(value.count(b'"specversion"') for value in values) + len(bad)
    values = sorted([*values, *bad], key=lambda _: draw.random())
    try:
        for _ in range(WORKERS):
            line.start()
        line.relay()
        driver = threading.Thread(target=_drive, args=(line, values))
        driver.start()
        line.until(lambda: _heard(line) > sent // 10, "a tenth of the events")
        begin = time.monotonic()
        fault(line, cluster, postgres, draw)
        driver.join()
        line.until(lambda: _heard(line) >= sent, "all events", SETTLED_S)
        _report(fault, sent, line, time.monotonic() - begin)
        assert sum(counts(database).values()) == sent
        assert counts(database)["rejected"] == len(bad)
        assert standing(database) == fold(events)
        with psycopg.connect(database) as connection:
            assert audit(connection.cursor()) == []
    finally:
        line.close()


def _drive(line: Line, values: list[bytes]) -> None:
    """Send at a pace that outlasts the fault."""
    step = max(len(values) // 40, 1)
    for at in range(0, len(values), step):
        line.send(values[at : at + step])
        time.sleep(0.5)


def _heard(line: Line) -> int:
    try:
        return line.heard()
    except psycopg.OperationalError:
        return 0


def _report(fault: Fault, sent: int, line: Line, seconds: float) -> None:
    row = {"fault": fault.__name__, "events": sent, **counts(line.url), "seconds_to_all_applied": round(seconds, 1)}
    print(json.dumps(row), flush=True)
