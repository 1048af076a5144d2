"""Our race beside its peers: the same problem, the same seconds by the clock, the same two cores, one judge.

    python -m bench.solver                     everything, 10 s each: hours
    python -m bench.solver courier --times 10,30 --sizes 60,150 --seeds 1,2 [--minutes 5]
    python -m bench.solver sets --times 10
    python -m bench.solver table

The idea: engines take turns on each problem, so that whatever else the machine does falls on all of them, and only the
ratio within a turn counts. Results are appended to bench/results/solver.jsonl; what stands there is not run again.
"""

import argparse
import json
import math
import os
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from queue import Empty
from subprocess import run
from typing import Any

from solver.engines import Limits, Plan
from solver.evaluate import evaluate
from solver.formats import convert
from solver.generate import courier_day
from solver.instance import Instance, compiled
from solver.problem import Problem, Window
from solver.solution import Evaluation, Solution
from solver.solve import runs_of
from solver.worker import Job, Worker

RESULTS = Path(os.environ.get("BENCH_RESULTS", Path(__file__).parent / "results" / "solver.jsonl"))
DATA = Path(os.environ.get("ROTATION_DATA", Path(__file__).parents[2] / "shared" / "data")) / "vrp"
SPD_FROM = ("VRPTW/solomon/R104.txt", "VRPTW/solomon/C104.txt", "VRPTW/homberger_200/r1_2_5.txt")
ENDLESS = Window(from_s=0, until_s=10**9)
CORES = 2
COMMIT = run(
    ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
).stdout.strip()
OURS, PEERS = "race", ("pyvrp", "vroom", "ortools")
TINY = courier_day(6, seed=0)  # solved first by every process, so that imports are not counted
WARM_S = 0.2
GRACE_S = 0.3  # a plan that comes so late still counts: it was found in time and had to travel


def main() -> None:
    options = _options()
    if options.what == "table":
        _print_table(_results())
        return
    done, until = {_key(one) for one in _results()}, time.monotonic() + 60 * options.minutes
    for case, load in _cases(options):
        for time_s in options.times:
            for seed in options.seeds:
                if time.monotonic() > until:
                    return
                _turn(
                    case, load, time_s, seed, [one for one in options.engines if (case, time_s, seed, one) not in done]
                )


def _turn(case: str, load: Callable[[], Problem], time_s: float, seed: int, left: list[str]) -> None:
    """Let these engines solve the case, one after the other."""
    instance = compiled(load()) if left else None
    for engine in left:
        assert instance is not None
        result = {
            "case": case,
            "time_s": time_s,
            "seed": seed,
            "engine": engine,
            "load": round(os.getloadavg()[0], 1),
            **_solved(instance, engine, time_s, seed),
            "commit": COMMIT,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


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


# ---- cases


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Problem]]]:
    days = _courier_days(options) if options.what != "sets" else iter(())
    sets = _sets() if options.what != "courier" else iter(())
    return ((name, load) for name, load in chain(days, sets) if re.search(options.match, name))


def _courier_days(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Problem]]]:
    for stops in options.sizes:
        for number in options.instances:
            yield f"courier/{stops}/{number}", partial(courier_day, stops, number)


def _sets() -> Iterator[tuple[str, Callable[[], Problem]]]:
    best_known = json.loads((DATA / "best_known.json").read_text())
    for name, known in best_known.items():
        yield name, partial(_benchmark, name, known)
    for name in SPD_FROM:
        for side in ("x", "y"):
            yield f"VRPSPD/{Path(name).stem}{side}", partial(_both_ways, name, side)


def _benchmark(name: str, known: dict[str, float]) -> Problem:
    """Return a set's problem with a fifth more vans than the best known plan, each worth ten of its mean runs."""
    problem = convert((DATA / name).read_text(), None)
    count = int(known["vehicles"] + max(2, known["vehicles"] // 5))
    fixed_cents = round(10 * 1000 * known["distance"] / known["vehicles"])
    vans = [van.model_copy(update={"fixed_cents": fixed_cents}) for van in problem.vans]
    vans += [vans[0].model_copy(update={"id": f"more{number}"}) for number in range(max(0, count - len(vans)))]
    return problem.model_copy(update={"vans": vans[:count]})


def _both_ways(name: str, side: str) -> Problem:
    """Return a set's customers with their demand in two, delivered and collected (Salhi and Nagy 1999), without windows."""
    problem = convert((DATA / name).read_text(), None)
    by_place = (
        dict(zip(problem.travel.places, problem.travel.metres[0].tolist(), strict=True)) if problem.travel else {}
    )
    stops = []
    for number, stop in enumerate(problem.stops):
        demand, share = int(stop.deliver), (by_place[stop.id] % 1000) / 1000
        parts = [round(demand * share), demand - round(demand * share)]
        parts = parts if (side == "x") == (number % 2 == 0) else parts[::-1]
        stops.append(stop.model_copy(update={"deliver": parts[0], "collect": parts[1], "windows": [], "service_s": 0}))
    vans = [van.model_copy(update={"fixed_cents": 0, "shift": ENDLESS}) for van in problem.vans]
    return problem.model_copy(update={"stops": stops, "vans": vans})


# ---- figures


def _results() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _key(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["case"], result["time_s"], result["seed"], result["engine"]


def _print_table(results: list[dict[str, Any]]) -> None:
    """Print, for each class and time, the mean of our cost to the best peer's of the same turn."""
    turns = defaultdict[tuple[str, float, int], dict[str, dict[str, Any]]](dict)
    for one in results:
        turns[one["case"], one["time_s"], one["seed"]][one["engine"]] = one
    classes = defaultdict[tuple[str, float], list[dict[str, dict[str, Any]]]](list)
    for (case, time_s, _), turn in turns.items():
        if OURS in turn and len(turn) > 1:
            classes[case.rsplit("/", 1)[0], time_s].append(turn)
    for (name, time_s), mine in sorted(classes.items()):
        print(json.dumps(_line(name, time_s, mine)))


def _line(name: str, time_s: float, all_turns: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return the figures of a class; turns in which no peer has a feasible plan are counted, not compared."""
    turns = [turn for turn in all_turns if any(turn[peer]["feasible"] for peer in PEERS if peer in turn)]
    if not turns:
        return {"class": name, "time_s": time_s, "turns": 0, "no_peer_feasible": len(all_turns)}
    ratios = [_cost(turn[OURS]) / min(_cost(turn[peer]) for peer in PEERS if peer in turn) for turn in turns]
    peers = {peer: [_cost(turn[OURS]) / _cost(turn[peer]) for turn in turns if peer in turn] for peer in PEERS}
    return {
        "class": name,
        "time_s": time_s,
        "turns": len(turns),
        "no_peer_feasible": len(all_turns) - len(turns),
        "infeasible": sum(not turn[OURS]["feasible"] for turn in all_turns),
        "to_best_peer_pct": round(100 * (statistics.mean(ratios) - 1), 2),
        "worst_pct": round(100 * (max(ratios) - 1), 2),
        **{f"to_{peer}_pct": round(100 * (statistics.mean(found) - 1), 2) for peer, found in peers.items() if found},
        "cpu_share": round(statistics.mean(turn[OURS]["cpu_s"] / turn[OURS]["wall_s"] / CORES for turn in turns), 2),
    }


def _cost(result: dict[str, Any]) -> float:
    return float(result["cost"]) if result["feasible"] else math.inf


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(prog="bench.solver", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["all", "courier", "sets", "table"], default="all")
    parser.add_argument("--times", type=numbers, default=[10])
    parser.add_argument("--sizes", type=numbers, default=[60, 150, 300, 1000])
    parser.add_argument("--instances", type=numbers, default=[1, 2, 3])
    parser.add_argument("--engines", type=lambda text: text.split(","), default=[OURS, *PEERS])
    parser.add_argument("--seeds", type=numbers, default=[1])
    parser.add_argument("--match", default="", help="only cases whose name matches")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so long")
    return parser.parse_args()


if __name__ == "__main__":
    main()
