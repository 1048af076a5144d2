"""Our race beside its peers: the same problem, the same seconds by the clock, the same two cores, one judge.

    python -m bench.solver                     everything that does not stand in the results yet: days
    python -m bench.solver --sizes 60,150 --seconds 10 --instances 5 --seeds 3 --peers all [--minutes 20]
    python -m bench.solver --sets --seconds 60 --match solomon
    python -m bench.solver --real-day --seconds 10
    python -m bench.solver --tables            the recorded results, in Markdown

The idea: engines take turns on each problem, so that other load on the machine affects all of them, and only the
ratio within a turn counts. Each complete result is a line appended to bench/results/solver.jsonl; recorded results
are not run again, so a matrix can be stopped and continued at any time (`--again` repeats our race).

A peer whose search does not depend on its limit (`STEADY`) runs once, to the longest: its plan after 10 s of a minute is
its result for ten seconds. Where BENCH_LOCK names a file, each run holds it: concurrent benchmarks take turns.
"""

import argparse
import fcntl
import json
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, product
from pathlib import Path
from queue import Empty
from subprocess import run
from typing import Any

from bench import pragmatic
from bench.solver_cases import Case, both_ways, courier_days, public_sets, real_day
from bench.solver_tables import NOT_OURS, OURS, PEERS, UNSEEDED, Result, tables
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
GRACE_S = 0.3  # a plan that comes so late after the end still counts: it was found in time and had to travel
STEADY = ("pyvrp", "ortools")  # late acceptance over iterations; guided local search: time only ends them
# Peers that differ from the engine of the same name in `solver.engines`.
MODULES = {"ortools": "bench.gls", "vrp_cli": "bench.pragmatic"}
OTHERS_TURN_S = 0.4  # between two runs under the lock


def main() -> None:
    options = _options()
    if options.tables:
        print(tables(_results()))
        return
    until = time.monotonic() + 60 * options.minutes
    cases = [case for case in _cases(options) if re.search(options.match, case[0])]
    for seed, case in product(range(1, options.seeds + 1), cases):
        for engine, limits_s in _left(case[0], seed, options):
            if time.monotonic() > until:
                return
            with _alone():
                _run(case, seed, engine, limits_s)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    everything = not (options.sizes or options.sets or options.real_day)
    sizes = options.sizes or ([60, 150, 300, 1000] if everything else [])
    sets = chain(public_sets(), both_ways()) if options.sets or everything else ()
    return chain(courier_days(sizes, options.instances), sets, real_day() if options.real_day or everything else ())


def _left(case: str, seed: int, options: argparse.Namespace) -> Iterator[tuple[str, list[float]]]:
    """Yield the missing runs on the case with this seed: engines, each with the limits that a single run answers."""
    mine = [one for one in _results() if (one["case"], one["seed"]) == (case, seed)]
    commits = {(one["engine"], one["time_s"]): one["commit"] for one in mine}
    for engine in (OURS, *(peer for peer in options.peers if seed == 1 or peer not in UNSEEDED)):
        again = options.again and engine == OURS
        limits_s = [one for one in sorted(options.seconds) if not _stands(commits.get((engine, one)), again)]
        yield from ((engine, one) for one in ([limits_s] if engine in STEADY else [[one] for one in limits_s]) if one)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the file that BENCH_LOCK names, if any; then release it to others."""
    path = os.environ.get("BENCH_LOCK")
    if not path:
        yield
        return
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    time.sleep(OTHERS_TURN_S)


def _run(case: Case, seed: int, engine: str, limits_s: Sequence[float]) -> None:
    """Let an engine solve the case, and record its plan at each limit."""
    name, load = case
    instance, asked = compiled(load()), {"case": name, "seed": seed, "engine": engine}
    if engine == pragmatic.NAME and pragmatic.unsayable(instance):
        return
    began_load = round(os.getloadavg()[0], 1)
    for time_s, reached in zip(limits_s, _solved(instance, engine, limits_s, seed), strict=True):
        _record(asked | {"time_s": time_s, "load": began_load} | reached | {"commit": COMMIT})


def _stands(commit: str | None, again: bool) -> bool:
    """Whether a result of this commit (None: there is none) can be reused."""
    return commit == COMMIT if again else commit is not None


def _record(result: Result) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def _results() -> list[Result]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _solved(instance: Instance, engine: str, limits_s: Sequence[float], seed: int) -> list[dict[str, Any]]:
    """Return an engine's plan at each limit, ascending, of a single run to the last.

    PyVRP gets two processes with two seeds, the others two threads or processes, where they can use them.
    """
    seeds = [2 * seed, 2 * seed + 1] if engine == "pyvrp" else [seed]
    runners = [_Runner(MODULES.get(engine, engine)) for _ in seeds]
    began = time.monotonic()
    with ThreadPoolExecutor(len(seeds)) as pool:
        limits = [Limits(limits_s[-1], None, CORES // len(seeds), one) for one in seeds]
        found = list(pool.map(_Runner.plans, runners, [instance] * len(seeds), limits))
    wall_s, cpu_s = time.monotonic() - began, sum(runner.end() for runner in runners)
    shares = [min(1.0, time_s / wall_s) for time_s in limits_s[:-1]] + [1.0]  # of the processor too: it is used evenly
    bests = [min((_judged(instance, one, time_s) for one in found), key=lambda one: one.rank) for time_s in limits_s]
    return [_told(best, wall_s * share, cpu_s * share) for best, share in zip(bests, shares, strict=True)]


def _judged(instance: Instance, found: Sequence[tuple[float, Plan]], time_s: float) -> Evaluation:
    """Judge the last plan within a limit."""
    plan = next((plan for came_s, plan in reversed(found) if came_s <= time_s), [])
    return evaluate(instance, Solution(runs=runs_of(instance, plan)))


def _told(best: Evaluation, wall_s: float, cpu_s: float) -> dict[str, Any]:
    return {
        "wall_s": round(wall_s, 2),
        "cores": CORES,
        "cpu_s": round(cpu_s, 1),
        "feasible": best.feasible,
        "cost": best.cost_cents,
        "vehicles": best.totals.vans,
        "metres": best.totals.metres,
    }


class _Runner:
    """A process that has imported everything, and runs an engine once."""

    def __init__(self, engine: str) -> None:
        self.engine, self.worker = engine, Worker()
        self.plans(compiled(TINY), Limits(WARM_S, None, 1, 0))
        self.before_s = self._cpu_s()

    def plans(self, instance: Instance, limits: Limits) -> list[tuple[float, Plan]]:
        """Return the plans in order of arrival, each with its second; those just after the limit count as of it."""
        began, found = time.monotonic(), list[tuple[float, Plan]]()
        late = began + limits.time_s + GRACE_S + (20 if limits.time_s == WARM_S else 0)  # imports
        self.worker.start(Job(self.engine, instance, limits, None))
        with suppress(Empty):
            while answer := self.worker.answers.get(timeout=max(0.0, late - time.monotonic())):
                if answer.kind == "failed":
                    raise RuntimeError(answer.error)
                if answer.kind == "done":
                    break
                found.append((min(time.monotonic() - began, limits.time_s), answer.plan))
        return found

    def _cpu_s(self) -> float:
        """Return the processor seconds of the process and its ended children."""
        fields = Path(f"/proc/{self.worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def end(self) -> float:
        """End the process and return its processor seconds."""
        used_s = self._cpu_s() - self.before_s
        self.worker.end()
        return used_s


def _options() -> argparse.Namespace:
    usual = [peer for peer in PEERS if peer not in NOT_OURS]

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    def peers(text: str) -> list[str]:
        return usual if text == "all" else [one for one in text.split(",") if one != "none"]

    parser = argparse.ArgumentParser(prog="bench.solver", description=__doc__)
    parser.add_argument("--sizes", type=numbers, default=[], help="courier days of so many stops")
    parser.add_argument("--sets", action="store_true", help="the public sets and variants of our own")
    parser.add_argument("--real-day", action="store_true", help="LibrariesWest's hubs on 2020-03-10")
    parser.add_argument("--seconds", type=numbers, default=[10, 30, 60])
    parser.add_argument("--instances", type=int, default=5, help="of each size")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", type=peers, default=usual, help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--match", default="", help="only cases whose name matches")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so long")
    parser.add_argument("--again", action="store_true", help="our race anew, where it has run at another commit")
    parser.add_argument("--tables", action="store_true", help="print what the results say")
    return parser.parse_args()


if __name__ == "__main__":
    main()
