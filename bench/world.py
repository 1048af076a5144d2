"""The night's world out of PostgreSQL: seconds and memory for copies, spells and exposures as arrays.

    python -m bench.world [--copies N] [--moves M] [--day D]

A million copies that moved five times each by default: loans and returns at random places, a fortnight apart. Read anew twice,
then again after a day of D loans and returns: only what they touched is read.
"""

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from infra.postgres import embedded_postgres
from rotation.network import Network, from_tables
from rotation.night.world.world import NightWorld, world
from rotation.store import migrate
from rotation.store.engine import connect
from rotation.system.processes import DATABASE_SETTINGS

PLACES, CLASSES, COPIES_A_TITLE = 500, 24, 3
START = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY_WEEKS = 104
DAY = 60_000  # loans and returns of Nansha's busiest day


def network() -> Network:
    """500 places under one hub, 24 classes."""
    rooms = [
        {"id": f"p{n}", "name": f"p{n}", "tier": "room", "parent": "p0", "population": 9000} for n in range(1, PLACES)
    ]
    centre = {"id": "p0", "name": "centre", "tier": "central", "hub": {}, "population": 9000}
    return from_tables(
        {
            "network": {"id": "bench", "name": "bench"},
            "class": [{"id": f"k{n}", "name": f"k{n}"} for n in range(CLASSES)],
            "place": [centre, *rooms],
            "van": [{"id": "v", "hub": "p0", "crates": 20}],
        },
        "bench.toml",
    )


FILL = f"""
SELECT setseed(0.5);
INSERT INTO titles (title_id, class) SELECT 't' || n, 'k' || n %% {CLASSES} FROM generate_series(0, %(titles)s - 1) n;
INSERT INTO movements (copy_id, occurred_at, sequence, source, event_id, state, place_id)
    SELECT 'c' || c, %(start)s + make_interval(days => 14 * m, secs => c %% 80000), 0, 'bench', c || '-' || m,
        CASE WHEN m %% 2 = 0 THEN 'on_shelf' ELSE 'on_loan' END, 'p' || (c::bigint * 7919 + m / 2 * (c %% 5)) %% {PLACES}
    FROM generate_series(0, %(copies)s - 1) c, generate_series(0, %(moves)s - 1) m;
INSERT INTO copies (copy_id, occurred_at, sequence, source, event_id, state, place_id, title_id, class, home_place_id, added_at)
    SELECT DISTINCT ON (copy_id) copy_id, occurred_at, 0, source, event_id, state, place_id,
        't' || substr(copy_id, 2)::int %% %(titles)s,
        'k' || substr(copy_id, 2)::int %% %(titles)s %% {CLASSES}, place_id, %(start)s
    FROM movements ORDER BY copy_id, occurred_at DESC;
"""


A_DAY = f"""
INSERT INTO movements (copy_id, occurred_at, sequence, source, event_id, state, place_id)
    SELECT 'c' || (n::bigint * 7919 %% %(copies)s), %(at)s + make_interval(secs => n), 0, 'bench', 'day-' || n,
        CASE WHEN n %% 2 = 0 THEN 'on_shelf' ELSE 'on_loan' END, 'p' || n %% {PLACES}
    FROM generate_series(0, %(day)s - 1) n;
UPDATE copies c SET occurred_at = m.occurred_at, event_id = m.event_id, state = m.state, place_id = m.place_id
    FROM (SELECT DISTINCT ON (copy_id) * FROM movements WHERE occurred_at >= %(at)s ORDER BY copy_id, occurred_at DESC) m
    WHERE m.copy_id = c.copy_id;
"""


def main() -> None:
    """Fill a database, read its world twice (the first reading freshens PostgreSQL's statistics), then again after a day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1_000_000)
    parser.add_argument("--moves", type=int, default=5, help="of each copy")
    parser.add_argument("--day", type=int, default=DAY, help="movements between two readings")
    wanted = parser.parse_args()
    titles = wanted.copies // COPIES_A_TITLE
    with (
        tempfile.TemporaryDirectory(prefix="bench-world-") as folder,
        embedded_postgres(Path(folder), settings=DATABASE_SETTINGS) as postgres,
    ):
        migrate.upgrade(postgres.url)
        execute(postgres.url, FILL, copies=wanted.copies, moves=wanted.moves, titles=titles, start=START)
        for reading in ("first", "second"):
            last = measure(postgres.url, reading, wanted)
        execute(postgres.url, A_DAY, copies=wanted.copies, day=wanted.day, at=START + timedelta(weeks=26))
        again = measure(postgres.url, "after a day", wanted, last)
        anew = measure(postgres.url, "anew after a day", wanted)
        assert np.array_equal(again.read.moves, anew.read.moves)


def execute(url: str, statements: str, **values: Any) -> None:
    """Fill the database."""
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(statements, values)


def measure(url: str, reading: str, wanted: argparse.Namespace, last: NightWorld | None = None) -> NightWorld:
    """Read the world once, print the figures and return it."""
    city, at = network(), START + timedelta(weeks=26, days=1 if "day" in reading else 0)
    with connect(url) as connection:
        begin = time.perf_counter()
        found = world(
            connection,
            city,
            at,
            history_weeks=HISTORY_WEEKS,
            loans_per_km=0.03,
            visited=frozenset(city.place),
            last=last,
        )
        seconds = time.perf_counter() - begin
    assert len(found.names.copies) == wanted.copies
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    figures = {
        "copies": wanted.copies,
        "movements": len(found.read.moves),
        "seconds": round(seconds, 1),
        "peak_mb": peak_mb,
    }
    print(json.dumps({"bench": "world", "reading": reading, **figures}), flush=True)
    return found


if __name__ == "__main__":
    main()
