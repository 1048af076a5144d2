"""Koha's adapter on a large Koha: the first load, and a look in which nothing has happened. One JSON line.

`python -m bench.koha ITEMS STATISTICS` fills a real MariaDB with a city's rows and reads it with the adapter; what it would
send is counted and not sent, so that the figures are the adapter's own. From another version's folder it measures that one.
"""

import json
import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from infra.postgres import embedded_postgres
from rotation.feeds import koha, runners
from rotation.feeds.runners import Destinations
from rotation.store import migrate
from rotation.store.engine import engine
from tests.koha_simulated import mariadb, new_koha, run

ITEMS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
STATISTICS = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
BRANCHES = 50
# Transfers a loan, and the share of them that is still open: a city's vans, and what they lost over the years.
TRANSFERS, OPEN = 0.3, 0.01
# Open holds an item.
HOLDS = 0.01
QUIET_LOOKS = 20
MAP = koha.KohaMap(branches={f"B{number}": f"p{number}" for number in range(BRANCHES)}, default_class="fiction")


def fill(connection: Any) -> None:
    """Write a Koha's rows: six years of circulation over its items."""
    transfers = int(STATISTICS * TRANSFERS)
    run(connection, "SET SESSION foreign_key_checks = 0")
    run(
        connection,
        "INSERT INTO items (itemnumber, biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, timestamp)"
        " SELECT seq, 1 + seq DIV 3, lpad(seq, 12, '0'), '2020-01-05', concat('B', mod(seq, %s)),"
        " concat('B', mod(seq, %s)), 'BK', '2020-01-05 09:00:00' + INTERVAL mod(seq * 7919, 180000000) SECOND FROM seq_1_to_"
        + str(ITEMS),
        BRANCHES,
        BRANCHES,
    )
    run(
        connection,
        "INSERT INTO statistics (datetime, branch, type, itemnumber)"
        " SELECT '2020-01-06' + INTERVAL (seq * (180000000 DIV %s)) SECOND, concat('B', mod(seq, %s)),"
        " elt(1 + mod(seq, 3), 'issue', 'renew', 'return'), 1 + mod(seq * 7919, %s) FROM seq_1_to_" + str(STATISTICS),
        STATISTICS,
        BRANCHES,
        ITEMS,
    )
    run(
        connection,
        "INSERT INTO branchtransfers (itemnumber, datesent, frombranch, tobranch, datearrived, reason)"
        " SELECT 1 + mod(seq * 104729, %s), '2020-01-06' + INTERVAL (seq * (180000000 DIV %s)) SECOND, 'B1', 'B2',"
        " IF(mod(seq, %s) = 0, NULL, '2020-01-08' + INTERVAL (seq * (180000000 DIV %s)) SECOND), 'ReturnToHome'"
        " FROM seq_1_to_" + str(transfers),
        ITEMS,
        transfers,
        round(1 / OPEN),
        transfers,
    )
    run(
        connection,
        "INSERT INTO reserves (borrowernumber, biblionumber, branchcode, reservedate, timestamp)"
        " SELECT 1, 1 + seq, 'B3', '2026-01-01', '2026-01-01 09:00:00' FROM seq_1_to_" + str(int(ITEMS * HOLDS)),
    )
    run(connection, "ANALYZE TABLE items, statistics, branchtransfers, reserves")


def quiet_looks(database: Any, connection: Any, ends: Destinations) -> list[float]:
    """Return the milliseconds of looks in which nothing has happened, after a first that asks for all open transfers."""
    stop, ended = Event(), [perf_counter()]

    def well() -> None:
        ended.append(perf_counter())
        if len(ended) > QUIET_LOOKS + 2:
            stop.set()

    runners.KOHA_POLL_S = 0.0
    runners.follow_koha(database, connection, MAP, ends, stop, well=well)
    return [(end - begin) * 1000 for begin, end in pairwise(ended[1:])]


def measured(address: str, url: str) -> dict[str, Any]:
    """Read everything, then look again while nothing happens."""
    database, sent = engine(url), [0]

    def count(events: Any) -> None:
        sent[0] += len(events)

    ends = Destinations(count, lambda _: None)
    connection = runners.koha_connection(address)
    begin = perf_counter()
    runners.follow_koha(database, connection, MAP, ends, Event(), once=True)
    load_s, events = perf_counter() - begin, sent[0]
    looks = quiet_looks(database, connection, ends)
    database.dispose()
    return {
        "first_load_s": round(load_s, 1),
        "events": events,
        "quiet_look_ms": round(sorted(looks)[len(looks) // 2], 1),
    }


def main() -> None:
    """Run it in a scratch folder."""
    with tempfile.TemporaryDirectory(prefix="koha-bench-") as folder, mariadb(Path(folder)) as socket:
        address = new_koha(socket, "koha")
        connection = runners.koha_connection(address)
        fill(connection)
        connection.close()
        with embedded_postgres(Path(folder) / "postgres") as postgres:
            migrate.upgrade(postgres.url)
            found = measured(address, postgres.url)
    version = os.environ.get("BENCH_VERSION", "this")
    print(json.dumps({"version": version, "items": ITEMS, "statistics": STATISTICS} | found))


if __name__ == "__main__":
    main()
