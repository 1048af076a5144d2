"""Koha's adapter on a large Koha: the first load, and a look in which nothing has happened. JSON lines.

    python -m bench.koha ITEMS STATISTICS [--worker]

It fills a real MariaDB with a city's rows and reads it with the adapter. Its events are counted and not sent, so that the figures
are the adapter's own; with `--worker` they go to Kafka and a worker beside it applies them, as in a city's first load. Processor
seconds tell more than seconds where other work runs. From another version's folder it measures that one.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import psutil
import psycopg

from bench.streams import POSTGRES, Bench, end, wait_until
from infra.kafka import embedded_kafka
from infra.postgres import embedded_postgres
from rotation.feeds import carrying, koha, koha_feed
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.destinations import Destinations
from rotation.kafka.clients import MendingProducer
from rotation.store import migrate
from rotation.store.engine import engine
from tests.koha_simulated import mariadb, new_koha, run

SEED = 7919
BRANCHES = 50
# Transfers a loan, and the share of them that is still open: a city's vans, and what they lost over the years.
TRANSFERS, OPEN = 0.3, 0.01
# Open holds an item.
HOLDS = 0.01
QUIET_LOOKS = 20
MAP = koha.KohaMap(branches={f"B{number}": f"p{number:03}" for number in range(BRANCHES)}, default_class="fiction")
# A Koha of millions of rows is given memory; MariaDB's own 128 MB would measure the disk.
MARIADB = ("--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G")


# --- A Koha -------------------------------------------------------------------------------------------------------------------

# Six years of circulation over the items: loans, renewals and returns in turn, of copies in no order.
ROWS = {
    "items": """
INSERT INTO items (itemnumber, biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, timestamp)
SELECT seq, 1 + seq DIV 3, lpad(seq, 12, '0'), '2020-01-05', concat('B', mod(seq, {branches})), concat('B', mod(seq, {branches})),
    'BK', '2020-01-05 09:00:00' + INTERVAL mod(seq * {seed}, 180000000) SECOND FROM seq_1_to_{items}""",
    "statistics": """
INSERT INTO statistics (datetime, branch, type, itemnumber)
SELECT '2020-01-06' + INTERVAL (seq * 180000000 DIV {statistics}) SECOND, concat('B', mod(seq, {branches})),
    elt(1 + mod(seq, 3), 'issue', 'renew', 'return'), 1 + mod(seq * {seed}, {items}) FROM seq_1_to_{statistics}""",
    "branchtransfers": """
INSERT INTO branchtransfers (itemnumber, datesent, frombranch, tobranch, datearrived, reason)
SELECT 1 + mod(seq * 104729, {items}), '2020-01-06' + INTERVAL (seq * 180000000 DIV {transfers}) SECOND, 'B1', 'B2',
    IF(mod(seq, {closed}) = 0, NULL, '2020-01-08' + INTERVAL (seq * 180000000 DIV {transfers}) SECOND), 'ReturnToHome'
    FROM seq_1_to_{transfers}""",
    "reserves": """
INSERT INTO reserves (borrowernumber, biblionumber, branchcode, reservedate, timestamp)
SELECT 1, 1 + seq, 'B3', '2026-01-01', '2026-01-01 09:00:00' FROM seq_1_to_{holds}""",
}


def fill(connection: Any, items: int, statistics: int) -> None:
    """Write a Koha's rows; each table's indexes are sorted at the end, which is many times faster than row by row."""
    sizes = {
        "items": items,
        "statistics": statistics,
        "transfers": int(statistics * TRANSFERS),
        "holds": max(int(items * HOLDS), 1),
        "closed": round(1 / OPEN),
        "branches": BRANCHES,
        "seed": SEED,
    }
    run(connection, "SET SESSION foreign_key_checks = 0, unique_checks = 0")
    for table, rows in ROWS.items():
        with _without_indexes(connection, table):
            run(connection, rows.format(**sizes))
    run(connection, f"ANALYZE TABLE {', '.join(ROWS)}")


@contextmanager
def _without_indexes(connection: Any, table: str) -> Iterator[None]:
    """Fill a table without its indexes and foreign keys, and make them anew at the end."""
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW CREATE TABLE {table}")
        lines = [line.strip().rstrip(",") for line in cursor.fetchone()["Create Table"].split("\n")]
    foreign = [line for line in lines if line.startswith("CONSTRAINT")]
    indexes = [line for line in lines if line.startswith(("KEY", "UNIQUE KEY"))]
    names = [("FOREIGN KEY", line) for line in foreign] + [("INDEX", line) for line in indexes]
    for what, line in names:
        run(connection, f"ALTER TABLE {table} DROP {what} `{line.split('`')[1]}`")
    yield
    run(connection, f"ALTER TABLE {table} {', '.join(f'ADD {line}' for line in (*indexes, *foreign))}")


# --- Measuring ----------------------------------------------------------------------------------------------------------------


def cpu_s(pids: list[int]) -> float:
    """Return the processor seconds that processes and their children have used."""
    with_children = [
        one for pid in pids for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    ]
    return float(sum(one.cpu_times().user + one.cpu_times().system for one in with_children))


def own_cpu_s() -> float:
    """Return this process's processor seconds, without its children's."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


class ProcessorTimes:
    """Seconds and processor seconds since it was made; `processes` are those beside the feed, by name."""

    def __init__(self, processes: dict[str, list[int]]) -> None:
        self.processes, self.begin, self.before = processes, perf_counter(), self._now(processes)

    def so_far(self) -> dict[str, float]:
        """Return seconds, and processor seconds by process."""
        now = self._now(self.processes)
        cpu = {f"{name}_cpu_s": round(now[name] - self.before[name], 1) for name in now}
        return {"s": round(perf_counter() - self.begin, 1)} | cpu

    @staticmethod
    def _now(processes: dict[str, list[int]]) -> dict[str, float]:
        return {"feed": own_cpu_s()} | {name: cpu_s(pids) for name, pids in processes.items()}


def quiet_looks(database: Any, connection: Any, ends: Destinations) -> list[float]:
    """Return the milliseconds of looks in which nothing has happened, after a first that asks for all open transfers."""
    stop, ended = Event(), [perf_counter()]

    def well() -> None:
        ended.append(perf_counter())
        if len(ended) > QUIET_LOOKS + 2:
            stop.set()

    koha_feed.KOHA_POLL_S = 0.0
    koha_feed.follow_koha(database, connection, MAP, ends, stop, well=well)
    return [(end - begin) * 1000 for begin, end in pairwise(ended[1:])]


def refuse(records: Sequence[RejectedRecord]) -> None:
    """Stop: a refused row would make the load look fast."""
    raise ValueError(f"refused: {records[0].rejection.message}")


def loaded(url: str, connection: Any, ends: Destinations, processes: dict[str, list[int]]) -> dict[str, Any]:
    """Read everything, then look again while nothing happens."""
    database, costs = engine(url), ProcessorTimes(processes)
    report = koha_feed.follow_koha(database, connection, MAP, ends, Event(), once=True)
    load = costs.so_far()
    looks = sorted(quiet_looks(database, connection, ends))
    database.dispose()
    quiet = {"quiet_look_ms": round(looks[len(looks) // 2], 1)}
    return {"events": report.sent.total()} | {f"first_load_{name}": value for name, value in load.items()} | quiet


CLOCK_SQL = "INSERT INTO clock VALUES (1, '2026-01-02', now(), 0)"


def beside_a_worker(bench: Bench, connection: Any, processes: dict[str, list[int]]) -> dict[str, Any]:
    """Read everything into Kafka, while a worker applies it; until all of it is applied."""
    prefix, sender = bench.fill(iter(())), MendingProducer(bench.client)
    worker = bench.worker("apply", prefix)
    costs = ProcessorTimes(processes | {"worker": [worker.pid]})
    load = loaded(bench.url, connection, Destinations(carrying.to_kafka(sender, f"{prefix}.events"), refuse), processes)
    wait_until(lambda: int(bench.query(APPLIED_SQL)) >= load["events"], APPLY_S)
    applied = {f"applied_{name}": value for name, value in costs.so_far().items()}
    sender.close(1)
    return load | applied | {"copies": bench.query("SELECT count(*) FROM copies")}


APPLIED_SQL = "SELECT coalesce(sum(value), 0) FROM counts"
APPLY_S = 7200.0


def main() -> None:
    """Run it in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=int, nargs="?", default=20_000)
    parser.add_argument("statistics", type=int, nargs="?", default=100_000)
    parser.add_argument("--worker", action="store_true", help="send to Kafka, and apply with a worker beside")
    wanted = parser.parse_args()
    say = {"version": os.environ.get("BENCH_VERSION", "this"), "items": wanted.items, "statistics": wanted.statistics}
    with tempfile.TemporaryDirectory(prefix="koha-bench-") as name, ExitStack() as running:
        folder = Path(name)
        (folder / "koha").mkdir()
        socket = running.enter_context(mariadb(folder / "koha", MARIADB))
        connection = koha_feed.koha_connection(new_koha(socket, "koha"))
        running.callback(connection.close)
        begin = perf_counter()
        fill(connection, wanted.items, wanted.statistics)
        say |= {
            "transfers": int(wanted.statistics * TRANSFERS),
            "seed": SEED,
            "fill_s": round(perf_counter() - begin, 1),
        }
        postgres = running.enter_context(embedded_postgres(folder / "postgres", settings=POSTGRES))
        migrate.upgrade(postgres.url)
        processes = {"mariadb": [int((folder / "koha" / "pid").read_text())], "postgres": [postgres.pid]}
        if not wanted.worker:
            found = loaded(postgres.url, connection, Destinations(lambda _: None, refuse), processes)
        else:
            kafka = running.enter_context(embedded_kafka(folder / "kafka"))
            bench = Bench(kafka.bootstrap, postgres.url, folder, 0)
            with psycopg.connect(postgres.url, autocommit=True) as clock:
                clock.execute(CLOCK_SQL)
            running.callback(lambda: end(bench.started))
            found = beside_a_worker(bench, connection, processes | {"kafka": [kafka.brokers[0].pid]})
        print(json.dumps(say | {"case": "beside a worker" if wanted.worker else "adapter alone"} | found))


if __name__ == "__main__":
    main()
