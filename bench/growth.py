"""Ten years of a city by size: bytes and seconds by year, and how long backup and restore take at the end. JSON lines.

    python -m bench.growth [--years 10] [--demonstration SECONDS]

A year takes one to two minutes on two cores.

The demonstration runs first (`rotation run`), until it has lived some days. The rows that two of its whole days wrote are then
written again and again, with later times and new ids, a month at once; as many events go to Kafka, 500 a message. After each
simulated month the planner's and the page's own retention run. So rates and sizes of rows are the demonstration's; stock and
network stay as large as they are, and so do tables of the present. At the end the real commands write a backup and restore it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from psycopg import Cursor
from sqlalchemy import Engine

from config import load
from infra.kafka import embedded_kafka
from infra.postgres import embedded_postgres
from rotation.kafka.clients import producer
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.store import retention
from rotation.store.engine import connect, engine
from rotation.system.processes import DATABASE_SETTINGS

WINDOW_DAYS, MONTH_DAYS = 2, 30
BATCH = 500
HISTORIES = 1_000
DAY_S = 30.0  # a day of the demonstration, by the wall clock

# By table, which of its rows belong to the window: times of the network, days, or the wall clock of so many days.
IN_TIME = "{column} >= %(begin)s AND {column} < %(end)s"
WALL = f"{{column}} > (SELECT max({{column}}) FROM {{table}}) - interval '{WINDOW_DAYS * DAY_S} seconds'"
GROWING: Mapping[str, tuple[str, str]] = {
    "movements": ("occurred_at", IN_TIME),
    "hold_facts": ("occurred_at", IN_TIME),
    "transfer_facts": ("occurred_at", IN_TIME),
    "crate_facts": ("occurred_at", IN_TIME),
    "machine_facts": ("occurred_at", IN_TIME),
    "transfers": ("changed_at", IN_TIME),
    "alerts": ("closed_at", IN_TIME),
    "desk_answers": ("at", IN_TIME),
    "scans": ("at", IN_TIME),
    "hub_orders": ("due_at", IN_TIME),
    "stops": ("begins_at", IN_TIME),
    "legs": ("day", IN_TIME),
    "day_plans": ("day", IN_TIME),
    "runs": ("day", IN_TIME),
    "plans": ("day", IN_TIME),
    "visits": ("day", IN_TIME),
    "machine_visits": ("day", IN_TIME),
    "daily_figures": ("day", IN_TIME),
    "decisions": ("decided_at", WALL),
    "security_log": ("minute", WALL),
}
NEW_IDS = ("transfer_id", "run_id", "day_plan_id", "plan_id", "scan_id", "event_id")
FORGOTTEN_SCANS = ("transfer_facts", "machine_facts")
OWN = ("number", "hash")  # of the chain of decisions, which no copied row can continue
COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = %s AND column_default IS NULL OR table_name = %s
        AND table_schema = 'public' AND column_default NOT LIKE 'nextval%%' ORDER BY ordinal_position"""
SIZES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    ORDER BY 2 DESC"""
HISTORY = """
    SELECT count(m.event_id) FROM (SELECT copy_id FROM copies ORDER BY md5(copy_id) LIMIT %s) c CROSS JOIN LATERAL (
        SELECT * FROM movements m WHERE m.copy_id = c.copy_id ORDER BY m.occurred_at DESC) m"""
EVENT = (
    '{"specversion":"1.0","id":"%d","source":"koha/main","type":"copy.returned","time":"2026-03-02T09:30:00+00:00",'
    '"datacontenttype":"application/json","data":{"copy":"c%08d","place":"p%04d"}}'
)


def main() -> None:
    """Live some days, grow, and restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--demonstration", type=int, default=240, help="seconds that the demonstration runs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as name:
        folder = Path(name)
        demonstrated(folder / "city", asked.demonstration)
        with (
            embedded_postgres(folder / "city" / "postgres", settings=DATABASE_SETTINGS) as postgres,
            embedded_kafka(folder / "city" / "kafka") as kafka,
        ):
            for line in grown(postgres.url, kafka.bootstrap, folder / "city" / "kafka", asked.years):
                tell(**line)
        tell(case="backup and restore", years=asked.years, **restored(folder))


def tell(**figures: Any) -> None:
    """Print a line."""
    print(json.dumps({"bench": "growth", **figures, "load": round(psutil.getloadavg()[0], 1)}), flush=True)


def demonstrated(folder: Path, seconds: int) -> None:
    """Let the demonstration run and end."""
    command = [sys.executable, "-m", "rotation", "run", "--json", "--for", str(seconds)]
    ended = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"rotation run: {ended.returncode}\n{ended.stderr[-2000:]}")


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a command on a data folder."""
    return os.environ | {"ROTATION_DATA_DIR": str(folder), "ROTATION_WEB_PORT": "0"}


def grown(url: str, bootstrap: str, kafka_folder: Path, years: int) -> Iterator[dict[str, Any]]:
    """Write year after year, of twelve months of 30 days; yield its figures, first those of a day."""
    keep, sender, database = timedelta(days=load().keep_days), producer({"bootstrap_servers": bootstrap}), engine(url)
    with connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        end, rows = templates(cursor)
        yield {"case": "a day", "rows": {table: count / WINDOW_DAYS for table, count in rows.items() if count}}
        for year in range(years + 1):
            seconds: dict[str, float] = {}
            forgotten: Counter[str] = Counter()
            for month in range(12 * (year - 1), 12 * year) if year else ():
                with timed(seconds, "insert_s"):
                    for table in rows:
                        written(cursor, table, month)
                with timed(seconds, "forget_s"):
                    forgotten += forget(cursor, database, end + timedelta(days=MONTH_DAYS * (month + 1)) - keep)
                with timed(seconds, "vacuum_s"):  # autovacuum has a month for it, and here seconds
                    for table in {*forgotten, *FORGOTTEN_SCANS}:
                        cursor.execute(f"VACUUM {table}")
                send(sender, rows["movements"] * MONTH_DAYS // WINDOW_DAYS)
            cursor.execute("VACUUM ANALYZE")
            rounded = {name: round(value, 1) for name, value in seconds.items()}
            figures = {"history_us": history_us(cursor), **sizes(cursor, kafka_folder), "forgotten": forgotten}
            yield {"case": "year", "year": year, **rounded, **figures}
        cursor.execute("DROP SCHEMA template CASCADE")
    sender.close()
    database.dispose()


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes."""
    begin = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin


def forget(cursor: Cursor[Any], database: Engine, before: datetime) -> Counter[str]:
    """Forget as a month of nights does; return how many rows of each table, without scans."""
    forgotten: Counter[str] = Counter()
    retention.forget_scans(cursor, before)
    with database.begin() as session:
        while found := retention.forget(session, {**retention.OF_THE_NIGHT, **retention.OF_THE_PAGE}, before, before):
            forgotten.update(found)
    return forgotten


def templates(cursor: Cursor[Any]) -> tuple[datetime, dict[str, int]]:
    """Keep the window's rows in a schema of their own; return the window's end, and how many rows of each table there are."""
    cursor.execute("CREATE SCHEMA template")
    (last,) = cursor.execute("SELECT max(day) FROM plans").fetchone() or (date.min,)
    begin, rows = last - timedelta(days=WINDOW_DAYS), {}
    (end,) = cursor.execute("SELECT %s::date::timestamptz", (last,)).fetchone() or (None,)
    for table, (column, condition) in GROWING.items():
        where = condition.format(column=column, table=table)
        values = {"begin": begin, "end": last}
        made = cursor.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()
        cursor.execute(f"CREATE TABLE template.{table} AS TABLE {table} WITH NO DATA")
        cursor.execute(f"INSERT INTO template.{table} SELECT * FROM {table} WHERE {where}", values)
        rows[table] = made[0] if made else 0
    return end, rows


def written(cursor: Cursor[Any], table: str, month: int) -> None:
    """Write a month of a table: its window again, with later times and new ids."""
    columns = {name: kind for name, kind in cursor.execute(COLUMNS, (table, table)).fetchall() if name not in OWN}
    again = range(month * MONTH_DAYS // WINDOW_DAYS + 1, (month + 1) * MONTH_DAYS // WINDOW_DAYS + 1)
    values = ", ".join(later(name, kind) for name, kind in columns.items())
    names = ", ".join(f'"{name}"' for name in columns)
    cursor.execute(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM template.{table} CROSS JOIN generate_series(%s::int, %s) n"
        " ON CONFLICT DO NOTHING",
        (again[0], again[-1]),
    )


def later(name: str, kind: str) -> str:
    """Return a column's value in the n-th window."""
    if kind.startswith("timestamp"):
        return f"\"{name}\" + n * interval '{WINDOW_DAYS} days'"
    if kind == "date":
        return f'"{name}" + n * {WINDOW_DAYS}'
    return f"\"{name}\" || '-' || n" if name in NEW_IDS else f'"{name}"'


def send(sender: Any, events: int) -> None:
    """Send so many events."""
    for begin in range(0, events, BATCH):
        batch = (EVENT % (number, number % 100_000_000, number % 1_000) for number in range(begin, begin + BATCH))
        sender.send(CIRCULATION_EVENTS.name, f"[{','.join(batch)}]".encode())
    sender.flush()


def history_us(cursor: Cursor[Any]) -> float:
    """Return the microseconds that a copy's whole history takes to read."""
    begin = time.perf_counter()
    cursor.execute(HISTORY, (HISTORIES,))
    return round(1e6 * (time.perf_counter() - begin) / HISTORIES, 1)


def sizes(cursor: Cursor[Any], kafka_folder: Path) -> dict[str, Any]:
    """Return megabytes of the database, of its largest tables, and of Kafka's folder."""
    by_table = [(name, size / 1e6) for name, size in cursor.execute(SIZES).fetchall()]
    return {
        "database_mb": round(sum(size for _, size in by_table)),
        "tables_mb": {name: round(size, 1) for name, size in by_table if size >= 1},
        "kafka_mb": folder_mb(kafka_folder),
    }


def folder_mb(folder: Path) -> int:
    """Return a folder's megabytes on the disk."""
    return round(sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) / 1e6)


def restored(folder: Path) -> dict[str, Any]:
    """Write a backup and restore it into an empty folder, by the commands."""
    backup_s = commanded(folder / "city", "backup", str(folder / "backup"))
    restore_s = commanded(folder / "again", "restore", str(folder / "backup"))
    return {"backup_s": backup_s, "restore_s": restore_s, "backup_mb": folder_mb(folder / "backup")}


def commanded(data: Path, *command: str) -> float:
    """Run a command on a data folder; return its seconds, the servers' start included."""
    begin = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "rotation", *command], env=environment(data), capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(f"rotation {command[0]}: {ended.returncode}\n{ended.stdout[-1000:]}{ended.stderr[-2000:]}")
    return round(time.perf_counter() - begin, 1)


if __name__ == "__main__":
    main()
