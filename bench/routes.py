"""LibrariesWest's real days scheduled: `python -m bench.routes [--days 2020-03-09] > bench/results/routes.jsonl`.

One JSON line for each day on which copies were checked in: what of it is served when, by which fleet at what cost, and how
long the schedule of the three days after it took, from transfers to checked runs. The data lies at $ROTATION_DATA.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rotation.courier.legs import OpenTransfer, Where
from rotation.courier.routes import schedule
from rotation.feeds import librarieswest
from rotation.network import Network

ROOT = Path(__file__).resolve().parent.parent
CHOICES = ROOT / "config" / "networks" / "librarieswest.toml"
DATA = Path(os.environ.get("ROTATION_DATA") or ROOT.parent / "shared" / "data") / "librarieswest"
DAYS = 3


def main() -> None:
    """Print a line for each day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", nargs="*", help="days of checking in; default: all that the snapshots show")
    parser.add_argument("--seconds", type=float, default=1.0, help="search a hub and day")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    network = librarieswest.network(DATA, CHOICES)
    for shown in librarieswest.snapshots(DATA):
        if not asked.days or shown.day.isoformat() in asked.days:
            print(json.dumps(line(network, shown, asked.seconds, asked.seed)), flush=True)


def line(network: Network, shown: librarieswest.TransitSnapshot, seconds: float, seed: int) -> dict[str, Any]:
    """Schedule a day's checked-in copies, and return the figures."""
    found, first_day = list(waiting(shown)), shown.day + timedelta(days=1)
    load, begin = os.getloadavg()[0], time.perf_counter()
    report = schedule(network, found, first_day, DAYS, time_s=seconds, seed=seed)
    took_s = time.perf_counter() - begin
    hubs = report["hubs"]
    return {
        "bench": "routes",
        "network": "librarieswest",
        "checked_in": shown.day.isoformat(),
        "from": report["from"],
        "days": DAYS,
        **{
            key: report[key]
            for key in ("copies", "scheduled_copies", "lanes", "other_hub_share", "complete", "reasons")
        },
        "no_coordinates": len(report["no_coordinates"]),
        **report["served"],
        "crates": report["crates"],
        "default_hours": report["default_hours"]["count"],
        "most_vans": most_vans(hubs),
        "stops": sum(hub["stops"] for hub in hubs),
        "km": round(sum(hub["metres"] for hub in hubs) / 1000),
        "cost_cents": sum(hub["cost_cents"] for hub in hubs),
        "problems": len(hubs),
        "search_s_a_problem": seconds,
        "seconds": round(took_s, 2),
        "seed": seed,
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "commit": commit(),
        "python": sys.version.split()[0],
    }


def waiting(shown: librarieswest.TransitSnapshot) -> Iterator[OpenTransfer]:
    """Yield the copies checked in on the snapshot's day, each at its desk."""
    for row, count in sorted(shown.rows.items()):
        if date.fromisoformat(row.date_transited) == shown.day:
            at, to = librarieswest.slug(row.from_library), librarieswest.slug(row.to_library)
            for number in range(1, count + 1):
                copy = librarieswest.copy_id(row, number)
                yield OpenTransfer(f"shipment-{copy}", copy, to, Where.PLACE, at)


def most_vans(hubs: list[dict[str, Any]]) -> dict[str, int]:
    """Return the most vans that each hub sends on a day."""
    most: dict[str, int] = {}
    for hub in hubs:
        most[hub["hub"]] = max(most.get(hub["hub"], 0), hub["vans"])
    return dict(sorted(most.items()))


def commit() -> str:
    """Return the measured commit."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
