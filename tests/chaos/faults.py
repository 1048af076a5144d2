"""Three brokers, three workers, and one fault after the other: `make chaos`. `make test` has a short form.

Each scenario sends its share of events (5 % twice, 5 % late, 1 % bad) while its fault happens; afterwards the database must equal
the plain fold, every event must have one count, each alert must be opened and closed once, each order must have reached its topic
and taken effect once, and the fault must have happened.
CHAOS_EVENTS sets the events of a scenario.
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions

from infra.child import Child
from infra.kafka import Broker, Kafka, embedded_kafka
from infra.postgres import Postgres, embedded_postgres
from rotation import dispatch
from rotation.kafka.clients import consumer
from rotation.kafka.topics import STOCK_ALERTS, TRANSFER_ORDERS
from rotation.store import migrate, outbox
from rotation.store.audit import AuditDifference, audit
from rotation.store.clock import clock_by
from rotation.store.engine import connect, driver, engine
from rotation.store.progress import positions
from streams import relay
from tests.chaos.levels import each_alert_once, end_of_alerts, set_targets
from tests.chaos.orders import DAYS, ORDERS, PICKS, Carriers, approve, copies, each_order_once, order, second_day
from tests.chaos.small_disk import fill, relieve, small_disk
from tests.chaos.standstill import Watch
from tests.chaos.table import table
from tests.streams_line import PARTITIONS, Line
from tests.streams_process import topics
from tests.streams_world import PLACES, batches, city, counts, disturbed, fold, history, standing
from tests.worker_that_dies import POINTS

EVENTS = int(os.environ.get("CHAOS_EVENTS", "20000"))
BAD_SHARE = 0.01
WORKERS = 3
SETTLED_S = float(os.environ.get("CHAOS_SETTLED_S", "1200"))
SHARE, STEP_S = 40, 0.5  # the driver's pace: every step a fortieth of what is left, so that it outlasts any fault
FULL_S = 15.0  # how long a disk stays full
AWAY_S = 20.0 if EVENTS < 100_000 else 60.0  # how long PostgreSQL is away
MB_OF_EVENTS = EVENTS // 1000  # a kilobyte an event: on each broker less, in the database with its indexes as much
BROKER_DISK_MB, POSTGRES_DISK_MB = 160 + MB_OF_EVENTS, 400 + MB_OF_EVENTS

Fault = Callable[[Line, Kafka, Postgres, random.Random], None]
ROWS: list[dict[str, Any]] = []  # of the scenarios that came to their end


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    """Print the table when all is done."""
    yield
    print(f"\n{table(ROWS)}", flush=True)


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


def workers_killed_before_inside_and_after_their_commits(
    line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random
) -> None:
    """Each of three workers ends itself with -9 at its point of a batch, and another takes its place."""
    for point in POINTS:
        victim = next(worker for worker in line.workers if worker.poll() is None)
        victim.kill()
        victim.wait(10)
        dying = line.start(module=("tests.worker_that_dies", point))
        line.until(lambda dying=dying: dying.poll() is not None, f"a death {point} a commit")  # type: ignore[misc]
        assert dying.returncode == -signal.SIGKILL
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
    time.sleep(AWAY_S)
    postgres.start()
    postgres.wait()
    assert postgres.pid != before


def a_worker_frozen_past_its_session(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    frozen = draw.choice(line.workers)
    os.kill(frozen.pid, signal.SIGSTOP)
    time.sleep(15)
    assert frozen.poll() is None
    os.kill(frozen.pid, signal.SIGCONT)


def a_worker_frozen_with_a_batch_in_hand(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """It goes on when others have written what it holds, and more: all that it writes then is old."""
    line.kill()
    frozen = psutil.Process(line.start(module=("tests.worker_that_errs", "frozen")).pid)
    line.until(lambda: frozen.status() == psutil.STATUS_STOPPED, "a worker frozen with a batch in hand")
    before = _positions(line)
    for _ in range(WORKERS - 1):
        line.start()
    line.until(lambda: all(at > before.get(part, 0) for part, at in _positions(line).items()), "others go on")
    frozen.resume()


def _positions(line: Line) -> dict[int, int]:
    with connect(line.url) as connection:
        return positions(connection.cursor(), topics(line.prefix).events)


def messages_passed_by(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """All workers lose messages between Kafka and their batches: they must see the gaps and read them."""
    line.kill()
    for _ in range(WORKERS):
        line.start(module=("tests.worker_that_errs", "passes_by"))
    before = _positions(line)
    line.until(lambda: all(at > before.get(part, 0) for part, at in _positions(line).items()), "batches with gaps")


def outbox_committed_out_of_order(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """The second day's orders have the lowest ids, and commit when the relay has sent what came after them."""
    line.end_relay()
    with engine(line.url).connect() as connection, pytest.MonkeyPatch.context() as patch:
        written = dispatch.order_day(
            connection, city(), second_day(line.url), clock_by(driver(connection).cursor()).now()
        )
        assert written > PICKS
        (last,) = driver(connection).execute("SELECT max(id) FROM outbox").fetchone() or (0,)
        with connect(line.url) as another:  # whose message is younger, and committed first
            notice = {"place": PLACES[0], "classes": None, "awaited": False}
            outbox.put(another.cursor(), topics(line.prefix).touched, [(None, [notice])])
            assert another.execute("SELECT max(id) > %s FROM outbox", (last,)).fetchone() == (True,)
        patch.setattr(relay, "send", _then(relay.send, connection.commit))
        line.relay()
        line.until(lambda: not connection.in_transaction(), "a commit behind a send")
        line.end_relay()
    line.relay()


def _then(step: Callable[..., None], once: Callable[[], None]) -> Callable[..., None]:
    def done(*arguments: Any) -> None:
        step(*arguments)
        once()

    return done


def partitions_and_workers_added(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    admin = KafkaAdminClient(**line.client)
    admin.create_partitions({topics(line.prefix).events: NewPartitions(PARTITIONS + 3)})
    admin.close()
    line.start()
    time.sleep(5)
    line.workers[0].terminate()
    line.workers[0].wait(10)


def relay_killed_between_send_and_mark(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """Three relays die with everything sent and nothing marked; a fourth goes on: the second day's orders come four times."""
    with connect(line.url, autocommit=True) as connection:
        line.until(lambda: _waiting(connection, TRANSFER_ORDERS.name) == 0, "the first day's orders told")
        line.end_relay()
        written = order(line.url, 1, clock_by(connection.cursor()).now())
        for _ in range(3):
            command = [sys.executable, "-m", "tests.relay_that_dies", line.bootstrap, line.url]
            assert subprocess.Popen(command, stderr=subprocess.DEVNULL).wait(60) == -signal.SIGKILL
            assert _waiting(connection, TRANSFER_ORDERS.name) == written > PICKS
    line.relay()


def _waiting(connection: psycopg.Connection[object], topic: str) -> int:
    (found,) = connection.execute("SELECT count(*) FROM outbox WHERE topic = %s", (topic,)).fetchone() or (0,)
    return int(str(found))


FAULTS: tuple[Fault, ...] = (
    nothing,
    workers_killed,
    workers_killed_before_inside_and_after_their_commits,
    brokers_restarted_one_by_one,
    postgres_killed_hard_and_away,
    a_worker_frozen_past_its_session,
    a_worker_frozen_with_a_batch_in_hand,
    messages_passed_by,
    outbox_committed_out_of_order,
    partitions_and_workers_added,
    relay_killed_between_send_and_mark,
)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_and_nothing_counts_twice(
    fault: Fault, cluster: Kafka, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    _endure(fault, cluster, postgres, database, tmp_path)


# --- Full disks ---------------------------------------------------------------------------------------------------------------


def brokers_disk_full(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """The last broker's disk is full for FULL_S, which ends it; emptied, the broker is started again."""
    _fill_brokers(kafka.brokers[-1:])


def all_brokers_disks_full(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """No broker can write for FULL_S, and all of them end; the disks emptied, all are started again."""
    _fill_brokers(kafka.brokers)


def _fill_brokers(brokers: list[Broker]) -> None:
    _keep_full(*(broker.folder for broker in brokers))
    for broker in brokers:
        _say(broker.folder.name, broker.child)
        assert not broker.child.alive()  # one that cannot write its log leaves, and the others lead
        relieve(broker.folder)
        broker.start()
    for broker in brokers:
        broker.wait()


def postgres_disk_full(line: Line, kafka: Kafka, postgres: Postgres, draw: random.Random) -> None:
    """PostgreSQL's disk is full for FULL_S; emptied, it goes on, or is started again where it gave up."""
    _keep_full(postgres.folder)
    with pytest.raises(psycopg.OperationalError):  # DiskFull, or nobody there
        _write_much(postgres)
    _say("postgres", postgres.child)
    relieve(postgres.folder)
    if not postgres.child.alive():
        postgres.start()
    postgres.wait()


def _write_much(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, connect_timeout=2) as connection:
        connection.execute("CREATE TABLE much AS SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n")


def _keep_full(*folders: Path) -> None:
    until = time.monotonic() + FULL_S
    while time.monotonic() < until:
        for folder in folders:
            fill(folder)  # again and again: what the server gives back is taken too
        time.sleep(0.2)


def _say(name: str, server: Child) -> None:
    print(json.dumps({"full": name, "still_running": server.alive()}), flush=True)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("fault", "nodes"), [(brokers_disk_full, (3,)), (all_brokers_disks_full, (1, 2, 3))], ids=["one", "all"]
)
def test_nothing_is_lost_where_brokers_disks_are_full(
    fault: Fault,
    nodes: tuple[int, ...],
    postgres: Postgres,
    database: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("brokers")
    with ExitStack() as disks:
        for node in nodes:
            disks.enter_context(small_disk(folder / f"node-{node}", BROKER_DISK_MB))
        with embedded_kafka(folder, brokers=3) as kafka:
            _endure(fault, kafka, postgres, database, tmp_path)


@pytest.mark.timeout(3600)
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
    events = [*copies(), *history(7, EVENTS, copies=EVENTS // 20)]
    values, bad, sent = _to_send(events, draw)
    set_targets(database, EVENTS // 20, EVENTS, always=len(copies()))
    carriers = Carriers(line, approve(line))
    begin, ended = end_of_alerts(line), threading.Event()
    try:
        for _ in range(WORKERS):
            line.start()
        line.relay()
        driver = line.run_beside(_drive, line, values, ended)
        line.until(lambda: _heard(line) > sent // 20, "a twentieth of the events")
        carriers.start()
        order(database, 0, carriers.at)
        with Watch(database, topics(line.prefix).events) as watch:
            fault(line, kafka, postgres, draw)
            watch.fault_ended()
            order(database, 1, carriers.at)
            ended.set()
            driver.join()
            _carried_out(line, carriers)
            sent += len(carriers.scanned)
            line.until(lambda: _heard(line) >= sent, "all events", SETTLED_S)
        row: dict[str, Any] = {"fault": fault.__name__, "events": sent, **counts(database), **watch.report()}
        ROWS.append(row)
        assert _held(line) == len(values) + len(carriers.told), "the sender told Kafka a message twice, or not at all"
        _compare(line, [*events, *carriers.scanned], sent, bad)
        driver.check()
        row["alerts"], row["orders"] = _compare_alerts(line, begin), each_order_once(line, carriers)
        print(json.dumps(row | {"orders_told": len(carriers.told)}), flush=True)
        assert fault is not relay_killed_between_send_and_mark or len(carriers.told) >= 4 * ORDERS // DAYS
    finally:
        ended.set()
        carriers.over.set()
        line.close()


def _carried_out(line: Line, carriers: Carriers) -> None:
    """Wait until the relay has told all orders, and their scans are sent."""
    with connect(line.url, autocommit=True) as connection:
        line.until(lambda: _waiting(connection, TRANSFER_ORDERS.name) == 0, "all orders told")
    carriers.finish()


def _to_send(events: list[dict[str, Any]], draw: random.Random) -> tuple[list[bytes], int, int]:
    """Return batches with the bad among them, how many of these there are, and how many events in all.

    The newest event comes first: the city lives at its time, so that no history is being replayed and levels are watched.
    """
    values = batches(disturbed(events, 7), 7, largest=40)
    bad = [value[:-2] for value in draw.sample(values, max(int(BAD_SHARE * len(values)), 1))]
    newest = orjson.dumps([events[-1]])
    sent = sum(value.count(b'"specversion"') for value in values) + len(bad) + 1
    return [newest, *sorted([*values, *bad], key=lambda _: draw.random())], len(bad), sent


def _compare(line: Line, events: list[dict[str, Any]], sent: int, bad: int) -> None:
    assert sum(counts(line.url).values()) == sent
    assert counts(line.url)["rejected"] == bad
    assert standing(line.url) == fold(events)
    line.until(lambda: _audited(line.url) == [], "an audit that finds nothing, the last alerts counted")


def _held(line: Line) -> int:
    """How many messages Kafka holds."""
    reader, events = consumer(line.client), topics(line.prefix).events
    ends = reader.end_offsets([TopicPartition(events, one) for one in reader.partitions_for_topic(events) or ()])
    reader.close()
    return sum(ends.values())


def _audited(url: str) -> list[AuditDifference]:
    with psycopg.connect(url) as connection:
        return audit(connection.cursor())


def _compare_alerts(line: Line, begin: int) -> int:
    """Let the workers end and the relay tell what is left, and compare."""
    line.kill()
    with connect(line.url, autocommit=True) as connection:
        line.until(lambda: _waiting(connection, STOCK_ALERTS.name) == 0, "all alerts told")
    alerts = each_alert_once(line, begin)
    assert alerts, "no alert was opened: that each came once was not tried"
    return alerts


def _drive(line: Line, values: list[bytes], ended: threading.Event) -> None:
    """Send a share of what is left at every step, and the rest when the fault has ended."""
    at = 0
    while at < len(values) and not ended.wait(STEP_S):
        some = max((len(values) - at) // SHARE, 1)
        line.send(values[at : at + some])
        at += some
    line.send(values[at:])


def _heard(line: Line) -> int:
    try:
        return line.heard()
    except psycopg.OperationalError:
        return 0
