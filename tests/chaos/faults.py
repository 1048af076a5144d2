"""Three brokers, three workers, and one fault after the other: `make chaos`. `make test` has a short form.

Each scenario sends its share of events (5 % twice, 5 % late, 1 % bad) while its fault happens; afterwards the database must equal
the plain fold, every event must have one count, and the fault must have happened. CHAOS_EVENTS sets the events of a scenario.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions

from infra.child import Child
from infra.kafka import Broker, Kafka, embedded_kafka
from infra.postgres import Postgres, embedded_postgres
from rotation.store import migrate
from rotation.store.audit import audit
from rotation.store.engine import connect
from streams import admin, relay
from streams.clients import consumer
from streams.topics import Topic
from tests.chaos.small_disk import fill, relieve, small_disk
from tests.chaos.standstill import Watch
from tests.streams_line import PARTITIONS, Line
from tests.streams_process import topics
from tests.streams_world import batches, counts, disturbed, fold, history, standing

EVENTS = int(os.environ.get("CHAOS_EVENTS", "20000"))
BAD_SHARE = 0.01
WORKERS = 3
SETTLED_S = 600.0
STEPS, STEP_S = 40, 0.5  # the driver's pace: it outlasts most faults
FULL_S = 15.0  # how long a disk stays full
BROKER_DISK_MB, POSTGRES_DISK_MB = 160, 400  # room for the scenarios of CHAOS_EVENTS=50000
ORDERS = 200

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


def relay_killed_between_send_and_mark(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """Three relays die with everything sent and nothing marked; a fourth goes on. Each order is there, with one id."""
    orders = f"{line.prefix}.orders"
    admin.create(line.client, replication=3, topics=[Topic(orders, "", 1, -1, False, (), (), "")])
    line.stop.set()  # the relay that ran until now
    with connect(line.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO outbox (topic, key, value) SELECT %s, 'order-' || n, 'v' FROM generate_series(1, %s) n",
            (orders, ORDERS),
        )
        for _ in range(3):
            command = [sys.executable, "-m", "tests.relay_that_dies", line.bootstrap, line.url]
            assert subprocess.Popen(command, stderr=subprocess.DEVNULL).wait(60) == -signal.SIGKILL
            assert _waiting(connection, orders) == ORDERS
        line.stop = threading.Event()
        line.relay()
        line.until(lambda: _waiting(connection, orders) == 0, "orders marked as sent")
    told = _told(line, orders)
    assert len(told) >= 4 * ORDERS
    assert len(set(told)) == len({key for key, _ in told}) == ORDERS


def _waiting(connection: psycopg.Connection[object], topic: str) -> int:
    (found,) = connection.execute("SELECT count(*) FROM outbox WHERE topic = %s", (topic,)).fetchone() or (0,)
    return int(str(found))


def _told(line: Line, topic: str) -> list[tuple[bytes, bytes]]:
    """Key and outbox id of every message of a topic of one partition."""
    reader, whole = consumer(line.client), TopicPartition(topic, 0)
    reader.assign([whole])
    end, found = reader.end_offsets([whole])[whole], []
    while len(found) < end:
        found += [(r.key, dict(r.headers)[relay.ID_HEADER]) for some in reader.poll(500).values() for r in some]
    reader.close()
    return found


FAULTS: tuple[Fault, ...] = (
    nothing, workers_killed, brokers_restarted_one_by_one, postgres_killed_hard_and_away, a_worker_frozen_past_its_session,
    partitions_and_workers_added, relay_killed_between_send_and_mark,
)  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_and_nothing_counts_twice(
    fault: Fault, cluster: Kafka, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    _endure(fault, cluster, postgres, database, tmp_path)


# --- Full disks ---------------------------------------------------------------------------------------------------------------


def brokers_disk_full(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """The last broker's disk is full for FULL_S, which ends it; emptied, the broker is started again."""
    broker = kafka.brokers[-1]
    _keep_full(broker.folder)
    _say("broker", broker.child)
    assert not broker.child.alive()  # one that cannot write its log leaves, and the others lead
    relieve(broker.folder)
    _again(broker)


def postgres_disk_full(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """PostgreSQL's disk is full for FULL_S; emptied, it goes on, or is started again where it gave up."""
    _keep_full(postgres.folder)
    with pytest.raises(psycopg.OperationalError):  # DiskFull, or nobody there
        _write_much(postgres)
    _say("postgres", postgres.child)
    relieve(postgres.folder)
    _again(postgres)


def _write_much(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, connect_timeout=2) as connection:
        connection.execute("CREATE TABLE much AS SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n")


def _keep_full(folder: Path) -> None:
    until = time.monotonic() + FULL_S
    while time.monotonic() < until:
        fill(folder)  # again and again: what the server gives back is taken too
        time.sleep(0.2)


def _say(name: str, server: Child) -> None:
    print(json.dumps({"full": name, "still_running": server.alive()}), flush=True)


def _again(server: "Postgres | Broker") -> None:
    if not server.child.alive():
        server.start()
    server.wait()


@pytest.mark.timeout(1800)
def test_nothing_is_lost_where_a_brokers_disk_is_full(
    postgres: Postgres, database: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("brokers")
    with small_disk(folder / "node-3", BROKER_DISK_MB), embedded_kafka(folder, brokers=3) as kafka:
        _endure(brokers_disk_full, kafka, postgres, database, tmp_path)


@pytest.mark.timeout(1800)
def test_nothing_is_lost_where_postgres_has_no_room_left(
    cluster: Kafka, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, small = tmp_path_factory.mktemp("postgres"), {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    with small_disk(folder, POSTGRES_DISK_MB), embedded_postgres(folder, settings=small) as server:
        migrate.upgrade(server.url)
        _endure(postgres_disk_full, cluster, server, server.url, tmp_path)


# --- One scenario -------------------------------------------------------------------------------------------------------------


def _endure(fault: Fault, kafka: Kafka, postgres: Postgres, database: str, folder: Path) -> None:
    """Send the events while the fault happens; then compare everything."""
    line, draw = Line(kafka.bootstrap, database, folder, replication=3), random.Random(7)
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
        with Watch(database, topics(line.prefix).events) as watch:
            fault(line, kafka, postgres, draw)
            watch.fault_ended()
            driver.join()
            line.until(lambda: _heard(line) >= sent, "all events", SETTLED_S)
        print(json.dumps({"fault": fault.__name__, "events": sent, **counts(database), **watch.report()}), flush=True)
        assert sum(counts(database).values()) == sent
        assert counts(database)["rejected"] == len(bad)
        assert standing(database) == fold(events)
        with psycopg.connect(database) as connection:
            assert audit(connection.cursor()) == []
    finally:
        line.close()


def _drive(line: Line, values: list[bytes]) -> None:
    """Send at a pace that outlasts the fault."""
    step = max(len(values) // STEPS, 1)
    for at in range(0, len(values), step):
        line.send(values[at : at + step])
        time.sleep(STEP_S)


def _heard(line: Line) -> int:
    try:
        return line.heard()
    except psycopg.OperationalError:
        return 0
