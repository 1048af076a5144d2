"""How fast the streams are, beside Faust's bare no-op agent in the same run on the same broker: JSON lines.

    python -m bench.streams [--copies N] [--events N] [--rebuild N] [--only NAME,...]

Every case is a worker process of its own that finds its messages waiting in Kafka; events a second are counted from its first to
its last commit. The no-op agent reads one event a message; its rate is the unit that the others are compared with.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import orjson
import psutil
import psycopg

from infra.kafka import embedded_kafka
from infra.postgres import embedded_postgres
from rotation.facts.events import CopyAdded, CopyLoaned, CopyReturned, Fact, TransferReceived, TransferSent, cloud_event
from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.kafka.topics import STOCK_ALERTS, Topic
from rotation.network import Network, from_tables
from rotation.store import migrate
from streams.apply import Topics
from streams.rebuild import rebuild

SEED = 1
START = datetime(2026, 3, 2, tzinfo=UTC)
PLACES = tuple(f"p{number:03d}" for number in range(500))
PARTITIONS, MOST_PARTITIONS = 2, 4
# Number of an event on the clock's last day: for events dated days ago no level is judged.
LATELY = 262_000_000
POSTGRES = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
}  # documented in docs/deploy.md; commits wait for the disk
PATIENCE_S = 240.0
# A slower worker has stopped.
LEAST_EVENTS_PER_S = 5_000


def network() -> Network:
    """500 places under one hub."""
    rooms = [{"id": place, "name": place, "tier": "room", "parent": PLACES[0]} for place in PLACES[1:]]
    first = {"id": PLACES[0], "name": "centre", "tier": "central", "hub": {}}
    return from_tables(
        {
            "network": {"id": "bench", "name": "bench"},
            "class": [{"id": cls, "name": cls} for cls in ("fiction", "watched")],
            "place": [first, *rooms],
            "van": [{"id": "v", "hub": PLACES[0], "crates": 20}],
        },
        "bench.toml",
    )


Moves = Callable[[int, int, int], Iterator[dict[str, Any]]]
ELSEWHERE = 0.25  # of returns; a copy that stays at its place changes no index, and costs PostgreSQL half
SHIPPED = 0.05  # of copies that leave a shelf


def moves(count: int, copies: int, begin: int = 0) -> Iterator[dict[str, Any]]:
    """Random events of copies, where they are possible: lent where they stand, returned there or elsewhere, sent and received."""
    draw, where = random.Random(SEED + begin), dict[int, tuple[str, str]]()
    for number in range(begin, begin + count):
        copy = draw.randrange(copies)
        state, place = where.get(copy, ("on_shelf", PLACES[copy % len(PLACES)]))
        name, chance, elsewhere = f"c{copy:07d}", draw.random(), draw.choice(PLACES)
        fact: Fact
        if state == "sent":
            fact, where[copy] = TransferReceived(copy=name, place=place), ("on_shelf", place)
        elif state == "on_loan":
            at = elsewhere if chance < ELSEWHERE else place
            fact, where[copy] = CopyReturned(copy=name, place=at), ("on_shelf", at)
        elif chance < SHIPPED:
            fact, where[copy] = TransferSent(copy=name, place=place, to=elsewhere), ("sent", elsewhere)
        else:
            fact, where[copy] = CopyLoaned(copy=name, place=place), ("on_loan", place)
        yield _numbered(fact, number)


def anywhere(count: int, copies: int, begin: int = 0) -> Iterator[dict[str, Any]]:
    """Loans, returns and one shipment in twenty, of copies and at places at random: every event moves its copy in every index."""
    draw = random.Random(SEED + begin)
    for number in range(begin, begin + count):
        copy, place, kind = f"c{draw.randrange(copies):07d}", draw.choice(PLACES), draw.random()
        fact = (
            CopyLoaned(copy=copy, place=place)
            if kind < 0.45
            else CopyReturned(copy=copy, place=place)
            if kind < 0.95
            else TransferSent(copy=copy, place=place, to=draw.choice(PLACES))
        )
        yield _numbered(fact, number)


def _numbered(fact: Fact, number: int) -> dict[str, Any]:
    at = START + timedelta(seconds=number / 50)
    return cloud_event(fact, event_id=f"bench-event-{number:09d}", source="koha/main", time=at)


def batched(events: Iterator[dict[str, Any]], size: int) -> Iterator[bytes]:
    """Messages of `size` events."""
    batch: list[dict[str, Any]] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield orjson.dumps(batch if size > 1 else batch[0])
            batch = []


def by_copy(events: Iterator[dict[str, Any]], size: int, partitions: int = PARTITIONS) -> Iterator[bytes]:
    """Messages of `size` events for the partitions in turn, a copy's all for one of them; the remainder is left out."""
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(partitions)]
    for event in events:
        dealt[int(event["data"]["copy"][1:]) % partitions].append(event)
        if min(map(len, dealt)) >= size:
            yield from (orjson.dumps(mine[:size]) for mine in dealt)
            dealt = [mine[size:] for mine in dealt]


class Bench:
    """The servers and the measurements on them."""

    def __init__(self, bootstrap: str, url: str, folder: Path, copies: int) -> None:
        self.client = {"bootstrap_servers": [bootstrap], "security_protocol": "PLAINTEXT"}
        self.bootstrap, self.url, self.folder, self.copies, self.runs = bootstrap, url, folder, copies, 0
        self.noop: float | None = None
        self.postgres_pid = 0
        self.started: list[subprocess.Popen[bytes]] = []

    def fill(self, messages: Iterator[bytes], partitions: int = PARTITIONS) -> str:
        """Put messages into new topics of their own and return their prefix."""
        self.runs += 1
        prefix = f"bench{self.runs}"
        names = [f"{prefix}.{name}" for name in ("events", "touched", "rejected")]
        admin.create(self.client, topics=[Topic(name, "", partitions, -1, False, (), (), "") for name in names])
        self.send(prefix, messages, partitions)
        return prefix

    def send(self, prefix: str, messages: Iterator[bytes], partitions: int = PARTITIONS) -> None:
        """Send more, partitions in turn."""
        sender = producer(self.client, linger_ms=5)
        for number, message in enumerate(messages):
            sender.send(f"{prefix}.events", message, partition=number % partitions)
        sender.flush()
        sender.close()

    def worker(self, kind: str, prefix: str) -> subprocess.Popen[bytes]:
        """Start a process: "apply", "watch" (apply and watch) or "noop"."""
        log = (self.folder / f"{prefix}-{kind}.log").open("ab")
        command = [
            sys.executable,
            "-m",
            "bench.streams_process",
            kind,
            self.bootstrap,
            self.url,
            prefix,
            str(self.folder),
        ]
        return self._start(command, log, {"PYTHONPATH": "."})

    def _start(self, command: list[str], log: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}))
        return self.started[-1]

    def backends(self) -> list[int]:
        """Return the process ids of PostgreSQL."""
        return [one.pid for one in psutil.Process(self.postgres_pid).children(recursive=True)]

    def relay(self) -> subprocess.Popen[bytes]:
        """Start the relay."""
        log = (self.folder / "relay.log").open("ab")
        environment = {"DATABASE_URL": self.url, "KAFKA_BOOTSTRAP": self.bootstrap}
        return self._start([sys.executable, "-m", "streams.relay"], log, environment)

    def query(self, sql: str) -> Any:
        """Return the only value of a query."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(sql).fetchone()
        return row[0] if row else None

    def say(self, name: str, **figures: Any) -> None:
        """Print a line; rates also as multiples of the no-op agent's."""
        rate = figures.get("events_per_s")
        times = {"times_noop": round(rate / self.noop, 2)} if rate and self.noop else {}
        print(
            json.dumps({"bench": "streams", "case": name, "copies": self.copies, "seed": SEED, **figures, **times}),
            flush=True,
        )


# --- The cases --------------------------------------------------------------------------------------------------------------


FILL = """
INSERT INTO movements SELECT 'c' || lpad(n::text, 7, '0'), %(at)s + n * interval '1 second', 0, 'koha/main', 'a' || n, 'on_shelf',
    'p' || lpad((n %% 500)::text, 3, '0') FROM generate_series(0, %(copies)s - 1) n;
INSERT INTO copies SELECT copy_id, occurred_at, sequence, source, event_id, state, place_id, NULL,
    't' || (substr(event_id, 2)::int / 3), 'fiction', NULL, place_id, false, occurred_at FROM movements;
"""


def fill(bench: Bench) -> None:
    """The copies in the database before any measurement, as copy.added events would have made them."""
    at = START - timedelta(days=30)
    with psycopg.connect(bench.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(FILL, {"at": at, "copies": bench.copies})
        connection.execute("INSERT INTO clock VALUES (1, %s, now(), 0)", (START + timedelta(days=61),))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def new_copies(bench: Bench, events: int) -> None:
    """A library system's first day: events that are all new copies."""
    added = (
        cloud_event(
            CopyAdded(copy=f"n{n:07d}", place=PLACES[n % 500], title=f"t{n // 3}", **{"class": "fiction"}),
            event_id=f"n{n}",
            source="koha/main",
            time=START - timedelta(days=30) + timedelta(seconds=n),
        )
        for n in range(events)
    )
    prefix = bench.fill(batched(added, 100))
    workers = [bench.worker("apply", prefix)]
    drained = _drain(bench, workers, events)
    bench.say("one worker, new copies, batches of 100", events=events, **drained)
    end(workers)


def noop(bench: Bench, events: int) -> None:
    """Faust by default, an event for each message, an agent that does nothing."""
    prefix = bench.fill(batched(moves(events, bench.copies), 1))
    process = bench.worker("noop", prefix)
    bench.noop, cpu_us = _noop_rate(bench.folder / f"{prefix}.noop")
    bench.say(
        "Faust's no-op agent, single events",
        events=events,
        events_per_s=round(bench.noop),
        worker_cpu_us=round(cpu_us, 1),
    )
    end([process])


def batches_of_100(bench: Bench, events: int, kind: Moves, begin: int) -> None:
    """The main case, and the worker's memory afterwards."""
    prefix = bench.fill(batched(kind(events, bench.copies, begin), 100))
    workers = [bench.worker("apply", prefix)]
    drained = _drain(bench, workers, events)
    memory = psutil.Process(workers[0].pid).memory_info().rss >> 20
    name = "one worker, batches of 100" + (", copies anywhere" if kind is anywhere else "")
    bench.say(name, events=events, **drained, worker_mb=memory)
    end(workers)


def two_workers(bench: Bench, events: int) -> None:
    """A partition each, first with every copy in one of them, as feeds that send a key distribute them, then with copies in both.

    Messages are made beforehand: those that wait would all go to the first worker to come.
    """
    for case, deal, first in (
        ("a partition's copies are its own", by_copy, 20_000_000),
        ("every copy in both partitions", batched, 25_000_000),
    ):
        messages, prefix = list(deal(moves(events, bench.copies, first), 100)), bench.fill(iter(()))
        workers = [bench.worker("apply", prefix), bench.worker("apply", prefix)]
        time.sleep(20)
        sender = threading.Thread(target=bench.send, args=(prefix, iter(messages)))
        sender.start()
        drained = _drain(bench, workers, events - events // 100)
        sender.join()
        bench.say(f"two workers, batches of 100, sender beside, {case}", events=events, **drained)
        end(workers)


def workers_by_number(bench: Bench, events: int) -> None:
    """One, two and four workers on four partitions, each copy's events in one of them; the sender beside, as in `two_workers`."""
    for count in (1, 2, 4):
        messages = list(by_copy(moves(events, bench.copies, 50_000_000 + count * 10_000_000), 100, MOST_PARTITIONS))
        prefix = bench.fill(iter(()), MOST_PARTITIONS)
        workers = [bench.worker("apply", prefix) for _ in range(count)]
        time.sleep(20)
        sender = threading.Thread(target=bench.send, args=(prefix, iter(messages), MOST_PARTITIONS))
        sender.start()
        drained = _drain(bench, workers, 100 * len(messages))
        sender.join()
        load = round(os.getloadavg()[0], 1)
        bench.say(f"workers: {count}, four partitions, batches of 100", events=events, **drained, load=load)
        end(workers)


def single_events(bench: Bench, events: int) -> None:
    """Events of library systems that know no batches."""
    prefix = bench.fill(batched(moves(events, bench.copies, 30_000_000), 1))
    workers = [bench.worker("apply", prefix)]
    drained = _drain(bench, workers, events)
    bench.say("one worker, single events", events=events, **drained)
    end(workers)


def latency(bench: Bench, rate: int, size: int, seconds: int = 20) -> None:
    """From a message's sending to its commit, at a steady rate; PostgreSQL's own commit times tell."""
    prefix = bench.fill(iter(()))
    workers = [bench.worker("apply", prefix)]
    sent: dict[str, float] = {}
    events = moves(rate * seconds + 100 * size, bench.copies, 40_000_000 + rate * 1000)
    _until_ready(bench, prefix, batched(events, size))
    sender, begin = producer(bench.client), time.time()
    for number, message in enumerate(batched(events, size)):
        due = begin + number * size / rate
        if due - begin > seconds:
            break
        time.sleep(max(due - time.time(), 0))
        sent[orjson.loads(message)[-1]["id"] if size > 1 else orjson.loads(message)["id"]] = time.time()
        sender.send(f"{prefix}.events", message, partition=number % PARTITIONS)
    sender.flush()
    time.sleep(3)
    with psycopg.connect(bench.url) as connection:
        rows = connection.execute(
            "SELECT event_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM movements WHERE event_id = ANY(%s)",
            (list(sent),),
        ).fetchall()
    waits = sorted(1000 * (at - sent[event]) for event, at in rows)
    bench.say(
        f"sent to committed at {rate} events/s",
        batch=size,
        messages=len(sent),
        committed=len(waits),
        p50_ms=round(waits[len(waits) // 2], 1),
        p99_ms=round(waits[int(len(waits) * 0.99)], 1),
    )
    end(workers)


def alerts(bench: Bench, rate: int, size: int, seconds: int = 20) -> None:
    """From the sending of a loan that empties a shelf to its alert's commit, among `rate` other events a second.

    Each place has a single copy of a class that should not run out; they are lent in turn.
    """
    prefix = bench.fill(iter(()))
    with psycopg.connect(bench.url) as connection:
        connection.execute(
            "INSERT INTO targets SELECT 'p' || lpad(n::text, 3, '0'), 'watched', 1, 2 FROM generate_series(0, 499) n"
            " ON CONFLICT DO NOTHING"
        )
    workers = [bench.worker("watch", prefix), bench.relay()]
    _until_ready(bench, prefix, batched(moves(100 * size, bench.copies, LATELY + rate), size))
    bench.send(prefix, batched(_watched(CopyAdded, rate // 10), 100))
    wait_until(
        lambda: bench.query("SELECT count(*) FROM copies WHERE class = 'watched' AND state = 'on_shelf'") == len(PLACES)
    )
    time.sleep(2)
    wait_until(lambda: bench.query("SELECT count(*) FROM alerts WHERE class = 'watched' AND closed_at IS NULL") == 0)
    sent = _send_among(bench, prefix, rate, size, seconds)
    time.sleep(5)
    with psycopg.connect(bench.url) as connection:
        rows = connection.execute(
            "SELECT place_id, max(extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8) FROM alerts"
            " WHERE kind = 'shortage' AND class = 'watched' AND closed_at IS NULL GROUP BY 1"
        ).fetchall()
    waits = sorted(1000 * (at - sent[place]) for place, at in rows if place in sent)
    bench.say(
        f"sent to alert opened at {rate} events/s",
        batch=size,
        alerts=len(sent),
        opened=len(waits),
        p50_ms=round(waits[len(waits) // 2], 1),
        p99_ms=round(waits[int(len(waits) * 0.99)], 1),
    )
    end(workers)


def _watched(kind: Any, minute: int) -> Iterator[dict[str, Any]]:
    for number, place in enumerate(PLACES):
        more = {"title": "w", "class": "watched"} if kind is CopyAdded else {}
        at = START + timedelta(days=60, minutes=minute)
        yield cloud_event(
            kind(copy=f"w{number}", place=place, **more), event_id=f"w{minute}-{number}", source="koha/main", time=at
        )


def _send_among(bench: Bench, prefix: str, rate: int, size: int, seconds: int) -> dict[str, float]:
    """Send background events at a steady rate and the watched loans among them; return when each was sent, by place."""
    sender, begin, sent = producer(bench.client), time.time(), dict[str, float]()
    loans, pause = _watched(CopyLoaned, rate // 10 + 9), seconds / len(PLACES)
    for number, message in enumerate(
        batched(moves(rate * seconds, bench.copies, LATELY + 1_000_000 + 10 * rate), size)
    ):
        time.sleep(max(begin + number * size / rate - time.time(), 0))
        sender.send(f"{prefix}.events", message, partition=number % PARTITIONS)
        while len(sent) < (time.time() - begin) / pause and (loan := next(loans, None)):
            sent[loan["data"]["place"]] = time.time()
            sender.send(f"{prefix}.events", orjson.dumps(loan), partition=len(sent) % PARTITIONS)
    sender.close()
    return sent


def restart(bench: Bench, others: int) -> None:
    """kill -9 of a worker in the middle, with `others` running beside it: until its partitions' next event is committed."""
    prefix = bench.fill(iter(()))
    workers = [bench.worker("apply", prefix) for _ in range(1 + others)]
    events = moves(200_000, bench.copies, 60_000_000 + others)
    messages = batched(events, 10)
    _until_ready(bench, prefix, messages)
    time.sleep(12 if others else 1)
    os.kill(workers[0].pid, signal.SIGKILL)
    begin = time.monotonic()
    if not others:
        workers.append(bench.worker("apply", prefix))
    before = _positions(bench, prefix)
    bench.send(prefix, (next(messages) for _ in range(20)))
    wait_until(lambda: all(now > was for now, was in zip(_positions(bench, prefix), before, strict=True)))
    name = "first event after kill -9, second worker running" if others else "first event after kill -9 and restart"
    bench.say(name, seconds=round(time.monotonic() - begin, 1))
    end(workers)


def rebuilt(bench: Bench, events: int) -> None:
    """All of it from Kafka again, beginning with an empty database: applied once by a worker, then rebuilt and compared."""
    with psycopg.connect(bench.url) as connection:
        connection.execute("TRUNCATE movements, copies, titles, transfers, transfer_facts, holds, crates, feeds")
    prefix = bench.fill(batched(moves(events, bench.copies, 90_000_000), 100))
    workers = [bench.worker("apply", prefix)]
    drained = _drain(bench, workers, events)
    bench.say("one worker, all of it into an empty database", events=events, **drained)
    end(workers)
    topics, shown = Topics(f"{prefix}.events", f"{prefix}.touched", f"{prefix}.rejected"), set[int]()
    begin = time.monotonic()
    found = rebuild(bench.url, bench.client, network(), lambda done, total: shown.add(100 * done // total), topics)
    seconds = time.monotonic() - begin
    bench.say(
        "rebuild",
        events=events,
        seconds=round(seconds, 1),
        events_per_s=round(events / seconds),
        percents_shown=len(shown),
        differences=len(found),
    )


def disk(bench: Bench) -> None:
    """Disk space of a million movements, with their index."""
    rows = bench.query("SELECT count(*) FROM movements")
    total = bench.query("SELECT pg_total_relation_size('movements')")
    of_copies = bench.query("SELECT pg_total_relation_size('copies')")
    bench.say("disk", movements=rows, mb_per_million_movements=round(total / rows), copies_mb=of_copies >> 20)


# --- Waiting ----------------------------------------------------------------------------------------------------------------


def _positions(bench: Bench, prefix: str) -> list[int]:
    with psycopg.connect(bench.url) as connection:
        rows = connection.execute(
            "SELECT next_offset FROM progress WHERE topic = %s ORDER BY partition", (f"{prefix}.events",)
        ).fetchall()
    return [offset for (offset,) in rows]


def _drain(bench: Bench, workers: list[subprocess.Popen[bytes]], events: int) -> dict[str, Any]:
    """Return the rate from the first commit seen to the last, and the processor time an event took.

    On a machine with other work the processor time still tells: a worker and its database are a pipeline of two, so that the
    longer of both is the time of an event on idle cores.
    """
    counted = "SELECT coalesce(sum(value), 0) FROM counts"
    base = int(bench.query(counted))
    wait_until(lambda: int(bench.query(counted)) > base)
    begin, first = time.monotonic(), int(bench.query(counted)) - base
    before = _cpu_s([worker.pid for worker in workers]), _cpu_s(bench.backends())
    wait_until(lambda: int(bench.query(counted)) - base >= events, PATIENCE_S + events / LEAST_EVENTS_PER_S)
    after = _cpu_s([worker.pid for worker in workers]), _cpu_s(bench.backends())
    worker_us, postgres_us = [round(1e6 * (b - a) / (events - first), 1) for a, b in zip(before, after, strict=True)]
    rate = round((events - first) / (time.monotonic() - begin))
    return {"events_per_s": rate, "worker_cpu_us": worker_us, "postgres_cpu_us": postgres_us}


def _cpu_s(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids if psutil.pid_exists(pid)]
    return float(sum(one.user + one.system for one in times))


def _until_ready(bench: Bench, prefix: str, messages: Iterator[bytes]) -> None:
    """Feed a little until each partition is being read."""
    for _ in range(60):
        bench.send(prefix, (next(messages) for _ in range(PARTITIONS)))
        time.sleep(0.5)
        if len([offset for offset in _positions(bench, prefix) if offset]) == PARTITIONS:
            return
    raise TimeoutError(f"{prefix}: no worker reads")


def _noop_rate(file: Path) -> tuple[float, float]:
    wait_until(file.exists)
    rate, cpu_us = json.loads(file.read_text())
    return float(rate), float(cpu_us)


def wait_until(done: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until something is done; raises TimeoutError."""
    begin = time.monotonic()
    while not done():
        if time.monotonic() - begin > patience_s:
            raise TimeoutError
        time.sleep(0.02)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Stop processes in order."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(10)


def cases_of(bench: Bench, wanted: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Return the cases by name, in the order in which they run."""
    return {
        "noop": lambda: noop(bench, min(wanted.events // 5, 100_000)),
        "copies": lambda: new_copies(bench, wanted.events // 5),
        "batches": lambda: batches_of_100(bench, wanted.events, moves, 10_000_000),
        "anywhere": lambda: batches_of_100(bench, wanted.events, anywhere, 15_000_000),
        "single": lambda: single_events(bench, min(wanted.events // 5, 100_000)),
        "two": lambda: two_workers(bench, wanted.events),
        "workers": lambda: workers_by_number(bench, wanted.events),
        "latency500": lambda: latency(bench, 500, 10),
        "latency5000": lambda: latency(bench, 5000, 100),
        "alert500": lambda: alerts(bench, 500, 10),
        "alert5000": lambda: alerts(bench, 5000, 100),
        "restart": lambda: restart(bench, 0),
        "restart2": lambda: restart(bench, 1),
        "disk": lambda: disk(bench),
        "rebuild": lambda: rebuilt(bench, wanted.rebuild),
    }


def main() -> None:
    """Run the cases in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--rebuild", type=int, default=5_000_000, help="events of the rebuild")
    parser.add_argument(
        "--only", default="", help="cases by name, with commas: noop, copies, batches, single, two, ..."
    )
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-streams-") as name:
        folder = Path(name)
        settings = {**POSTGRES, "track_commit_timestamp": "on"}
        with (
            embedded_kafka(folder / "kafka") as kafka,
            embedded_postgres(folder / "postgres", settings=settings) as postgres,
        ):
            migrate.upgrade(postgres.url)
            bench = Bench(kafka.bootstrap, postgres.url, folder, wanted.copies)
            bench.postgres_pid = postgres.pid
            fill(bench)
            admin.create(bench.client, topics=[STOCK_ALERTS])
            cases = cases_of(bench, wanted)
            try:
                for case in wanted.only.split(",") if wanted.only else cases:
                    cases[case]()
            finally:
                end(bench.started)  # those that a case which failed left behind


if __name__ == "__main__":
    main()
