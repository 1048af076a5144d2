"""Our race beside its peers: the same problem, the same seconds by the clock, the same two cores, one judge.

    python -m bench.solver                     everything that does not stand in the results yet: days
    python -m bench.solver --sizes 60,150 --seconds 10 --instances 5 --seeds 3 --peers all [--minutes 20]
    python -m bench.solver --sets --seconds 60 --match solomon
    python -m bench.solver --real-day --seconds 10
    python -m bench.solver --tables            what the results say, in Markdown

The idea: engines take turns on each problem, so that whatever else the machine does falls on all of them, and only the
ratio within a turn counts. Each result is a line appended to bench/results/solver.jsonl when it is whole; what stands
there is not run again, so a matrix can be stopped and gone on with at any time (`--again` runs our race anew).
"""

import argparse
import json
import math
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, product
from pathlib import Path
from queue import Empty
from subprocess import run
from typing import Any

from bench.solver_cases import Case, both_ways, courier_days, public_sets, real_day
from bench.solver_tables import OURS, PEERS, UNSEEDED, Result, tables
from solver.engines import Limits, Plan
from solver.evaluate import evaluate
from solver.generate import courier_day
from solver.instance import Instance, compiled, runs_of
from solver.solution import Evaluation, Solution
from solver.worker import Job, Worker

RESULTS = Path(os.environ.get("BENCH_RESULTS", Path(__file__).parent / "results" / "solver.jsonl"))
CORES = 2
COMMIT = run(
    ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
).stdout.strip()
TINY = courier_day(6, seed=0)  # solved first by every process, so that imports are not counted
WARM_S = 0.2
GRACE_S = 0.3  # a plan that comes so late still counts: it was found in time and had to travel


def main() -> None:
    options = _options()
    if options.tables:
        print(tables(_results()))
        return
    until = time.monotonic() + 60 * options.minutes
    for case, seconds, seed in _turns(options):
        if time.monotonic() > until:
            return
        _turn(case, seconds, seed, options)


def _turns(options: argparse.Namespace) -> Iterator[tuple[Case, float, int]]:
    """Yield seed by seed, so that a matrix that is stopped has a little of everything."""
    cases = [case for case in _cases(options) if re.search(options.match, case[0])]
    for seed, seconds, case in product(range(1, options.seeds + 1), options.seconds, cases):
        yield case, seconds, seed


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    everything = not (options.sizes or options.sets or options.real_day)
    sizes = options.sizes or ([60, 150, 300, 1000] if everything else [])
    sets = chain(public_sets(), both_ways()) if options.sets or everything else ()
    return chain(courier_days(sizes, options.instances), sets, real_day() if options.real_day or everything else ())


def _turn(case: Case, time_s: float, seed: int, options: argparse.Namespace) -> None:
    """Let the engines that have not yet solve the case, one after the other."""
    name, load = case
    mine = [one for one in _results() if (one["case"], one["time_s"], one["seed"]) == (name, time_s, seed)]
    commits = {one["engine"]: one["commit"] for one in mine}
    engines = [OURS, *(peer for peer in options.peers if seed == 1 or peer not in UNSEEDED)]
    left = [one for one in engines if not _stands(commits.get(one), options.again and one == OURS)]
    instance = compiled(load()) if left else None
    for engine in left:
        assert instance is not None
        asked = {"case": name, "time_s": time_s, "seed": seed, "engine": engine, "load": round(os.getloadavg()[0], 1)}
        _record(asked | _solved(instance, engine, time_s, seed) | {"commit": COMMIT})


def _stands(commit: str | None, again: bool) -> bool:
    """Whether a result of this commit (None: there is none) need not be made again."""
    return commit == COMMIT if again else commit is not None


def _record(result: Result) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def _results() -> list[Result]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _solved(instance: Instance, engine: str, time_s: float, seed: int) -> dict[str, Any]:
    """Return what an engine reached; PyVRP gets two processes with two seeds, the others two threads or processes."""
    seeds = [2 * seed, 2 * seed + 1] if engine == "pyvrp" else [seed]
    runners = [_Runner(engine) for _ in seeds]
    began = time.monotonic()
    with ThreadPoolExecutor(len(seeds)) as pool:
        limits = [Limits(time_s, None, CORES // len(seeds), one) for one in seeds]
        plans = list(pool.map(_Runner.plan, runners, [instance] * len(seeds), limits))
    wall_s, cpu_s = time.monotonic() - began, sum(runner.end() for runner in runners)
    best = min((_judged(instance, plan) for plan in plans), key=lambda one: one.rank)
    return {
        "wall_s": round(wall_s, 2),
        "cores": CORES,
        "cpu_s": round(cpu_s, 1),
        "feasible": best.feasible,
        "cost": best.cost_cents,
        "vehicles": best.totals.vans,
        "metres": best.totals.metres,
    }


def _judged(instance: Instance, plan: Plan) -> Evaluation:
    return evaluate(instance, Solution(runs=runs_of(instance, plan)))


class _Runner:
    """A process that has its imports behind it, and runs one engine once."""

    def __init__(self, engine: str) -> None:
        self.engine, self.worker = engine, Worker()
        self.plan(compiled(TINY), Limits(WARM_S, None, 1, 0))
        self.before_s = self._cpu_s()

    def plan(self, instance: Instance, limits: Limits) -> Plan:
        """Return the last plan that came within the limit."""
        late, found = time.monotonic() + limits.time_s + GRACE_S, list[Plan]()
        late += 20 if limits.time_s == WARM_S else 0  # imports
        self.worker.start(Job(self.engine, instance, limits, None))
        with suppress(Empty):
            while answer := self.worker.answers.get(timeout=max(0.0, late - time.monotonic())):
                if answer.kind == "failed":
                    raise RuntimeError(answer.error)
                if answer.kind == "done":
                    break
                found.append(answer.plan)
        return found[-1] if found else []

    def _cpu_s(self) -> float:
        """Seconds of processor that the process and its ended children have had."""
        fields = Path(f"/proc/{self.worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def end(self) -> float:
        """End the process and return the seconds of processor that it had."""
        used_s = self._cpu_s() - self.before_s
        self.worker.end()
        return used_s


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    def peers(text: str) -> list[str]:
        return list(PEERS) if text == "all" else [one for one in text.split(",") if one != "none"]

    parser = argparse.ArgumentParser(prog="bench.solver", description=__doc__)
    parser.add_argument("--sizes", type=numbers, default=[], help="courier days of so many stops")
    parser.add_argument("--sets", action="store_true", help="the public sets and variants of our own")
    parser.add_argument("--real-day", action="store_true", help="LibrariesWest's hubs on 2020-03-10")
    parser.add_argument("--seconds", type=numbers, default=[10, 30, 60])
    parser.add_argument("--instances", type=int, default=5, help="of each size")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", type=peers, default=list(PEERS), help="all, none, or some of pyvrp,vroom,ortools")
    parser.add_argument("--match", default="", help="only cases whose name matches")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so long")
    parser.add_argument("--again", action="store_true", help="our race anew, where it has run at another commit")
    parser.add_argument("--tables", action="store_true", help="print what the results say")
    return parser.parse_args()


if __name__ == "__main__":
    main()
