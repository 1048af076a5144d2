"""Movements in one table beside movements by month: the cost of inserting a batch, and of reading histories and a night.

    python -m bench.partitions [--movements N] [--months M]

Both tables hold the same: N movements of N / 5 copies, spread over M months. Then batches of new movements of the last month are
inserted as the worker does, a checkpoint before; histories of copies at random are read as a late event and a night's reading ask
for them. One JSON line a table.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from infra.postgres import embedded_postgres
from rotation.system.processes import DATABASE_SETTINGS

BATCH, BATCHES = 5_000, 20
HISTORIES = 2_000
MOVES = 5  # of each copy
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = """
    copy_id text COLLATE "C" NOT NULL, occurred_at timestamptz NOT NULL, sequence int4 NOT NULL, source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL, state text NOT NULL, place_id text NOT NULL, to_place_id text,
    PRIMARY KEY (copy_id, occurred_at, sequence, source, event_id)"""
FILL = """
    INSERT INTO movements
    SELECT 'c' || lpad((n %% %(copies)s)::text, 7, '0'), %(begin)s + (%(end)s - %(begin)s) * (n / %(movements)s::float8),
        0, 'koha/main', 'bench-event-' || lpad(n::text, 9, '0'), 'on_shelf', 'p' || n %% 500, NULL
    FROM generate_series(0, %(movements)s - 1) n ORDER BY random()"""
INSERT = """
    INSERT INTO movements
    SELECT 'c' || lpad((n * 7919 %% %(copies)s)::text, 7, '0'), %(end)s - n * interval '1 second', 1, 'koha/main',
        'bench-new-' || lpad(n::text, 9, '0'), 'on_loan', 'p' || n %% 500, NULL
    FROM generate_series(%(from)s::int8, %(to)s) n ORDER BY 1 ON CONFLICT DO NOTHING"""
HISTORY = """
    SELECT count(m.event_id) FROM unnest(%(some)s::text[]) c(id) CROSS JOIN LATERAL (
        SELECT * FROM movements m WHERE m.copy_id = c.id ORDER BY m.occurred_at DESC, m.sequence DESC) m"""
NIGHT = "SELECT count(*), max(copy_id) FROM (SELECT copy_id, occurred_at FROM movements ORDER BY 1, 2) m"


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movements", type=int, default=5_000_000)
    parser.add_argument("--months", type=int, default=24)
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-partitions-") as folder,
        embedded_postgres(Path(folder), settings=DATABASE_SETTINGS) as postgres,
        psycopg.connect(postgres.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
    ):
        for name, make in (("one table", whole), ("by month", by_month)):
            connection.execute("DROP TABLE IF EXISTS movements")
            make(connection, wanted.months)
            figures = measured(connection, wanted.movements, wanted.months)
            print(json.dumps({"bench": "partitions", "table": name, **vars(wanted), **figures}), flush=True)


def whole(connection: psycopg.Connection[Any], months: int) -> None:
    """A single table."""
    connection.execute(f"CREATE TABLE movements ({COLUMNS})")


def by_month(connection: psycopg.Connection[Any], months: int) -> None:
    """A table for each month."""
    connection.execute(f"CREATE TABLE movements ({COLUMNS}) PARTITION BY RANGE (occurred_at)")
    for month in range(months):
        connection.execute(
            f"CREATE TABLE movements_{month} PARTITION OF movements FOR VALUES FROM (%s) TO (%s)",
            (start_of(month), start_of(month + 1)),
        )


def start_of(month: int) -> datetime:
    """Return a month's first instant."""
    return BEGIN.replace(year=BEGIN.year + month // 12, month=1 + month % 12)


def measured(connection: psycopg.Connection[Any], movements: int, months: int) -> dict[str, float]:
    """Fill the table; return microseconds a row inserted and a history read, seconds of a night, bytes a movement."""
    copies = movements // MOVES
    values = {"copies": copies, "movements": movements, "begin": BEGIN, "end": start_of(months)}
    connection.execute(FILL, values)
    connection.execute("VACUUM ANALYZE movements")
    connection.execute("CHECKPOINT")
    bytes_a_row = _one(connection, SIZE) / movements
    insert_us = _timed(lambda: _insert(connection, values), BATCH * BATCHES)
    some = [f"c{number * 104729 % copies:07}" for number in range(HISTORIES)]
    history_us = min(_timed(lambda: connection.execute(HISTORY, {"some": some}), HISTORIES) for _ in range(3))
    night_s = _timed(lambda: connection.execute(NIGHT), 1) / 1e6
    return {
        "insert_us": round(insert_us, 1),
        "history_us": round(history_us, 1),
        "night_s": round(night_s, 1),
        "bytes_a_movement": round(bytes_a_row),
    }


SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'movements%' AND relkind = 'r'"


def _insert(connection: psycopg.Connection[Any], values: dict[str, Any]) -> None:
    for begin in range(0, BATCH * BATCHES, BATCH):
        connection.execute(INSERT, {**values, "from": begin + 1, "to": begin + BATCH})


def _one(connection: psycopg.Connection[Any], sql: str) -> float:
    (found,) = connection.execute(sql).fetchone() or (0,)
    return float(found)


def _timed(step: Callable[[], object], times: int) -> float:
    """Return microseconds for each of `times`."""
    begin = time.perf_counter()
    step()
    return 1e6 * (time.perf_counter() - begin) / times


if __name__ == "__main__":
    main()
