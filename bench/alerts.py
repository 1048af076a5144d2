"""Seeded faults in the simulated city: which alerts find them, how long after, and what opens where nothing is wrong.

    python -m bench.alerts [--days 28] [--rounds 20] [--seed 1]

The city lives in a database (`city.database_driver`): writer, desk, nights, orders and counts are the running system's own, the
clock and Kafka are not. Vans are on time and shelves in order, but for the faults. One JSON line a figure, kept in
bench/results too.

A fault of an event is measured in wall time from the event's writing to its alert's commit, without Kafka's two hops, which
`bench.streams` measures, with shortages. A fault that only time shows is found by the sweep: hours of the network's time, from
its first effect.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.alert_city import WatchedDays
from bench.alert_faults import a_feed_falls_silent, astray, by_events, by_rows
from city import carriers
from city.model import CitySize
from config.settings import load
from infra.postgres import embedded_postgres
from rotation.alerts.rules import Thresholds
from rotation.facts.lifecycle import AlertKind as Kind
from rotation.network import PlaceKind, read
from rotation.store import migrate
from rotation.store.engine import engine
from streams.watch import Watcher

RESULTS = Path(__file__).parent / "results" / "alerts.jsonl"
NETWORK = Path(__file__).parents[1] / "config" / "networks" / "demo.toml"
QUARTER = CitySize(titles=2_000, copies=16_000, visits_a_week=15_000)
WEEKS = 6  # of history
SETTLING_DAYS = 7  # vans and hubs begin with what the history left on its way
ROUTE_S = 0.3
MONTH_DAYS = 30
# What they say is a state of the stock and no fault: a shelf that lacks copies lacks them.
OF_STOCK = (Kind.SHORTAGE, Kind.SURPLUS, Kind.STALE, Kind.UNFAIR, Kind.DRAINED)


def nothing_wrong(days: WatchedDays, count: int) -> Iterator[dict[str, Any]]:
    """Let days pass; return what opened, a branch and month."""
    since = days.now()
    for _ in range(count):
        days.day()
    kinds = Counter(kind for kind, _, _ in days.opened(since, Kind))
    false = sum(number for kind, number in kinds.items() if kind not in OF_STOCK)
    branches = sum(place.kind is not PlaceKind.STORE for place in days.network.places)
    yield {
        "figure": "false alarms a branch and month",
        "value": round(false / branches * MONTH_DAYS / count, 3),
        "days": count,
        "branches": branches,
        "by_kind": dict(sorted((str(kind), number) for kind, number in kinds.items() if kind not in OF_STOCK)),
        "of_stock": dict(sorted((str(kind), number) for kind, number in kinds.items() if kind in OF_STOCK)),
    }


def measure(url: str, wanted: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield every figure."""
    carriers.VAN_LATE = carriers.VAN_BREAKS = carriers.NOT_FOUND = 0.0
    own, network, settings = engine(url), read(NETWORK), load(route_seconds=ROUTE_S, seed=wanted.seed)
    days = WatchedDays(own, url, network, settings, weeks=WEEKS, size=QUARTER)
    for _ in range(SETTLING_DAYS):
        days.day()
    days.watcher = Watcher(url, network, Thresholds.of(settings))
    draw = random.Random(wanted.seed)
    days.night()
    asyncio.run(days.watcher.sweep_if_due())
    yield from nothing_wrong(days, wanted.days)
    yield from by_events(days, wanted.rounds)
    begin = time.perf_counter()
    days.sweep()
    yield {"figure": "a sweep", "seconds": round(time.perf_counter() - begin, 3)}
    yield from astray(days, draw)
    yield from by_rows(days, draw)
    yield from a_feed_falls_silent(days)
    days.close()
    own.dispose()


def main() -> None:
    """Print every figure, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--days", type=int, default=28, help="days in which nothing is wrong")
    parser.add_argument("--rounds", type=int, default=20, help="how often each fault of an event is made")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    about = {"bench": "alerts", "seed": wanted.seed, "copies": QUARTER.copies, "weeks": WEEKS}
    with (
        tempfile.TemporaryDirectory(prefix="bench-alerts-") as folder,
        embedded_postgres(Path(folder)) as postgres,
        RESULTS.open("a", encoding="utf-8") as kept,
    ):
        migrate.upgrade(postgres.url)
        for figure in measure(postgres.url, wanted):
            line = json.dumps(about | figure)
            print(line, flush=True)
            kept.write(line + "\n")


if __name__ == "__main__":
    main()
