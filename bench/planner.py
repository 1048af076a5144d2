"""The night's plan at several sizes, and other policies on the same night: a JSON line each.

    python -m bench.planner [66k] [250k] [1M] [3M] [10M] [--seed 1] [--threads 1] [--budget MOVES] [--alone]
    python -m bench.planner growth        250k with copies, titles and places apart a quarter and four times; a process each

Floors and quotas are on. `seconds` is the whole plan, rates to lists, on a compiled planner; `cold_s` is the first plan of the
process (compiling, where the compiled loops are not on disk). `peak_mb` is the process's highest, the drawn night included.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from dataclasses import replace
from itertools import chain

from bench import baselines
from bench.snapshots import GROWTH, SIZES, SnapshotSize, night
from rotation.rebalancing import circulation, demand, world
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import PlanningSettings, Snapshot

SMALL = SnapshotSize("warm-up", 2_000, 500, 12)


def peak_mb() -> float:
    """Return the process's highest resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def commit() -> str:
    """Return the commit that is measured, empty outside a repository."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def measure(size: SnapshotSize, seed: int, settings: PlanningSettings, *, alone: bool = False) -> None:
    """Plan a night, also by other policies unless it runs `alone`."""
    snapshot = night(size, seed)
    begin, cpu = time.perf_counter(), time.process_time()
    decided = plan(snapshot, settings, seed)
    seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    line: dict[str, object] = {
        "figure": "plan",
        "size": size.name,
        "copies": size.copies,
        "titles": size.titles,
        "places": size.places,
        "seed": seed,
        "threads": settings.threads,
        "budget": settings.budget_moves,
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu_s, 2),
        "peak_mb": round(peak_mb()),
        "value": round(decided.value, 2),
        "bound": round(decided.bound, 2),
        "gap_pct": round(100 * decided.gap, 4),
        "moves": len(decided.moves),
        "rounds": decided.rounds,
        "parts_s": {k: round(v, 2) for k, v in decided.seconds.items()},
        "shortfalls": len(decided.shortfalls),
    }
    print(json.dumps(line | {"commit": commit(), "python": platform.python_version()}), flush=True)
    if not alone:
        others(snapshot, decided.bound, len(decided.moves), size, seed, settings)


def others(
    snapshot: Snapshot, bound: float, moves: int, size: SnapshotSize, seed: int, settings: PlanningSettings
) -> None:
    """Let the other policies make as many moves of the same night, and print the share of the bound they reach."""
    rates = demand.rates(snapshot, settings)
    tables = world.tables(snapshot, rates, settings)
    out = circulation.releases(tables.world)
    policies = {
        "greedy": lambda: baselines.greedy(tables, out, settings, moves),
        "proportional": lambda: baselines.proportional(snapshot, tables, out, settings, moves, seed),
        "thresholds": lambda: baselines.thresholds(snapshot, tables, out, settings, moves, seed),
    }
    for name, policy in policies.items():
        made, value = policy()
        share = round(100 * value / bound, 2) if bound else 0.0
        line = {
            "figure": "other",
            "policy": name,
            "size": size.name,
            "seed": seed,
            "moves": made,
            "value": round(value, 1),
        }
        print(json.dumps(line | {"share_of_bound_pct": share, "commit": commit()}), flush=True)


def grow(seed: int) -> None:
    """Measure each size of the growth in a process of its own, so that memory is not shared."""
    for name in sorted({size.name for sizes in GROWTH.values() for size in sizes}):
        subprocess.run([sys.executable, "-m", "bench.planner", name, "--alone", "--seed", str(seed)], check=True)


def main() -> None:
    """Measure the sizes on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["66k", "1M"], metavar="SIZE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--alone", action="store_true", help="leave out the other policies, which take minutes at 10M")
    chosen = parser.parse_args()
    if chosen.sizes == ["growth"]:
        grow(chosen.seed)
        return
    settings = PlanningSettings(threads=chosen.threads, budget_moves=chosen.budget, rounds=20)
    begin = time.perf_counter()
    plan(night(SMALL, 0), settings)
    print(
        json.dumps({"figure": "cold", "cold_s": round(time.perf_counter() - begin, 2), "commit": commit()}), flush=True
    )
    for size in {size.name: size for size in (*SIZES, *chain.from_iterable(GROWTH.values()))}.values():
        if size.name in chosen.sizes:
            gap = 0.0045 if size.name == "10M" else settings.gap
            measure(size, chosen.seed, replace(settings, gap=gap), alone=chosen.alone)


if __name__ == "__main__":
    main()
