"""Crates for the same copies, side by side: each hub's crates as its sortings closed them, and merged before its vans are loaded.

    python -m bench.crates            six days of the demonstration's city: three minutes
    python -m bench.crates --days 3

One run of the city on a database of its own. Each night plans the same open transfers twice: `apart` as before merging (each
crate that stands goes on alone, and takes a crate's room), `merged` as now. Only the merged plan is ordered. One JSON line in
bench/results/crates.jsonl: copies, crates in the vans and kilometres of both, summed over the days.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from city.database_driver import Days
from city.model import CitySize
from config import Settings
from config.settings import load
from infra.postgres import embedded_postgres
from rotation.courier.calendar import Calendar
from rotation.courier.crates import Crate
from rotation.courier.day import CourierPlan, plan_day, plan_hubs, solve_alone
from rotation.courier.legs import OpenTransfer, Where
from rotation.courier.runs import HubDay
from rotation.facts.lifecycle import LegKind
from rotation.network import Network, read
from rotation.night import visits
from rotation.night.moves import Memory
from rotation.night.run import NightReport, plan_night
from rotation.night.vans import to_carry
from rotation.store import migrate
from rotation.store.clock import read_clock
from rotation.store.engine import engine

RESULTS = Path(__file__).parent / "results" / "crates.jsonl"
NETWORK = Path(__file__).parents[1] / "config" / "networks" / "demo.toml"
SIZE = CitySize()
WEEKS, DAYS, ROUTE_S = 2, 6, 4.0


@dataclass
class Sums:
    """Crates that the days' vans carried to places, and the distance they drove."""

    copies: int = 0
    crates: int = 0
    metres: int = 0
    unserved: int = 0


def main() -> None:
    """Run, and add a line to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=DAYS)
    line = measured(parser.parse_args().days)
    print(json.dumps(line))
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps(line) + "\n")


def measured(days: int) -> dict[str, Any]:
    """Return the figures of so many days."""
    network, settings = read(NETWORK), load(route_seconds=ROUTE_S)
    sums = {"apart": Sums(), "merged": Sums()}
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder) / "postgres") as server:
        migrate.upgrade(server.url)
        own = engine(server.url)
        city = Days(
            own, server.url, network, settings, weeks=WEEKS, size=SIZE, plans=partial(_planned_twice, sums=sums)
        )
        for _ in range(days):
            city.day()
        city.close()
    return {
        "bench": "crates",
        "days": days,
        "size": SIZE._asdict(),
        **{name: asdict(one) for name, one in sums.items()},
    }


def _planned_twice(
    own: Engine, network: Network, settings: Settings, day: date, memory: Memory, sums: dict[str, Sums]
) -> NightReport:
    """Plan the night as always; then route its copies once more, and the same copies in crates as they stood."""
    report = plan_night(own, network, settings, day, memory)
    search = partial(solve_alone, time_s=ROUTE_S, seed=settings.seed)
    with own.connect() as connection:
        now, announced = read_clock(connection).now(), visits.announced(connection, day)
        waiting = to_carry(connection, network, day)
    merged = plan_day(network, day, waiting, now, search=search, announced=announced)
    without_bags = network.model_copy(update={"network": network.network.model_copy(update={"bags_per_crate": 1})})
    crates = list(_apart(merged, waiting))
    hubs = plan_hubs(Calendar(without_bags, announced), [day], crates, search)
    _add(sums["merged"], merged.crates, merged.hubs, network.network.bags_per_crate)
    _add(sums["apart"], crates, hubs, 1)
    return report


def _apart(plan: CourierPlan, waiting: Iterable[OpenTransfer]) -> Iterator[Crate]:
    """Yield the day's crates with those for places split again, by the crate in which each copy lies."""
    lies_in = {one.transfer_id: one.crate or "" for one in waiting if one.where is Where.SORTED}
    for crate in plan.crates:
        whole = replace(crate, room_bags=1)
        if crate.kind is not LegKind.DELIVER:
            yield whole
            continue
        by_crate = sorted(crate.transfers, key=lambda one: lies_in.get(one, ""))
        for name, within in groupby(by_crate, key=lambda one: lies_in.get(one, "")):
            yield replace(whole, id=f"{crate.id}/{name}", transfers=tuple(within))


def _add(sums: Sums, crates: Iterable[Crate], hubs: Iterable[HubDay], bags_per_crate: int) -> None:
    known = {crate.id: crate for crate in crates}
    for run in (run for hub in hubs for run in hub.runs):
        aboard = [known[crate] for stop in run.stops for crate in stop.deliver]
        sums.copies += sum(len(crate.transfers) for crate in aboard)
        sums.crates += -(-sum(crate.room_bags for crate in aboard) // bags_per_crate)
        sums.metres += run.distance_m
    sums.unserved += sum(len(hub.unserved) for hub in hubs)


if __name__ == "__main__":
    main()
