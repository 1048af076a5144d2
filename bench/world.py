"""The night's world out of PostgreSQL: seconds and memory for copies, spells and exposures as arrays.

    python -m bench.world [--copies N] [--moves M]

A million copies that moved five times each by default: loans and returns at random places, a fortnight apart.
"""

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from infra.postgres import embedded_postgres
from rotation.bootstrap import DATABASE_SETTINGS
from rotation.network import Network, from_tables
from rotation.store import migrate
from rotation.store.engine import connect
from rotation.store.snapshot import world

PLACES, CLASSES, COPIES_A_TITLE = 500, 24, 3
START = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY_WEEKS = 104


def network() -> Network:
    """500 places under one hub, 24 classes."""
    rooms = [
        {"id": f"p{n}", "name": f"p{n}", "tier": "room", "parent": "p0", "population": 9000} for n in range(1, PLACES)
    ]
    centre = {"id": "p0", "name": "centre", "tier": "central", "hub": {}, "population": 9000}
    return from_tables(
        {"network": {"id": "bench", "name": "bench"}, "class": [{"id": f"k{n}", "name": f"k{n}"} for n in range(CLASSES)],
         "place": [centre, *rooms], "van": [{"id": "v", "hub": "p0", "crates": 20}]}, "bench.toml",
    )  # fmt: skip


FILL = f"""
SELECT setseed(0.5);
INSERT INTO titles (title_id, class) SELECT 't' || n, 'k' || n %% {CLASSES} FROM generate_series(0, %(titles)s - 1) n;
INSERT INTO movements (copy_id, occurred_at, sequence, source, event_id, state, place_id)
    SELECT 'c' || c, %(start)s + make_interval(days => 14 * m, secs => c %% 80000), 0, 'bench', c || '-' || m,
        CASE WHEN m %% 2 = 0 THEN 'on_shelf' ELSE 'on_loan' END, 'p' || (c * 7919 + m / 2 * (c %% 5)) %% {PLACES}
    FROM generate_series(0, %(copies)s - 1) c, generate_series(0, %(moves)s - 1) m;
INSERT INTO copies (copy_id, occurred_at, sequence, source, event_id, state, place_id, title_id, class, home_place_id, added_at)
    SELECT DISTINCT ON (copy_id) copy_id, occurred_at, 0, source, event_id, state, place_id,
        't' || substr(copy_id, 2)::int %% %(titles)s,
        'k' || substr(copy_id, 2)::int %% %(titles)s %% {CLASSES}, place_id, %(start)s
    FROM movements ORDER BY copy_id, occurred_at DESC;
"""


def main() -> None:
    """Fill a database and read its world twice: the first reading freshens PostgreSQL's statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1_000_000)
    parser.add_argument("--moves", type=int, default=5, help="of each copy")
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-world-") as folder,
        embedded_postgres(Path(folder), settings=DATABASE_SETTINGS) as postgres,
    ):
        migrate.upgrade(postgres.url)
        with psycopg.connect(postgres.url, cursor_factory=psycopg.ClientCursor) as connection:
            titles = wanted.copies // COPIES_A_TITLE
            connection.execute(FILL, {"copies": wanted.copies, "moves": wanted.moves, "titles": titles, "start": START})
        for reading in ("first", "second"):
            measure(postgres.url, reading, wanted.copies, wanted.moves)


def measure(url: str, reading: str, copies: int, moves: int) -> None:
    """Read the world once and print what it took."""
    city = network()
    with connect(url) as connection:
        begin = time.perf_counter()
        found = world(
            connection, city, START + timedelta(weeks=26), history_weeks=HISTORY_WEEKS, visited=frozenset(city.place)
        )
        seconds = time.perf_counter() - begin
    assert len(found.names.copies) == copies
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    figures = {"copies": copies, "movements": copies * moves, "seconds": round(seconds, 1), "peak_mb": peak_mb}
    print(json.dumps({"bench": "world", "reading": reading, **figures}), flush=True)


if __name__ == "__main__":
    main()
