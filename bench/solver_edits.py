"""How soon a dispatcher gets an answer: a first plan, the judgement of one moved stop, and why things are left out.

`python -m bench.solver_edits [--stops 60 150 300 1000] [--seed 3] [--edits 200]` prints a JSON line for each size: wall
and processor milliseconds (the processor's are what an idle machine would take), and the process's peak memory so far.
"""

import argparse
import json
import random
import resource
import time
from collections.abc import Callable
from typing import Any

from solver.construct import first_plan
from solver.evaluate import evaluate, evaluate_change
from solver.explain import Explainer
from solver.generate import courier_day
from solver.instance import compiled
from solver.problem import Run
from solver.solution import Solution
from solver.solve import runs_of

LEFT_OUT = 5  # stops taken out of the plan, so that there is something to explain


def main() -> None:
    options = _options()
    for stops in options.stops:
        print(json.dumps(measured(stops, options.seed, options.edits)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, nargs="+", default=[60, 150, 300, 1000])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--edits", type=int, default=200)
    return parser.parse_args()


def measured(stops: int, seed: int, edits: int) -> dict[str, Any]:
    """Return the figures of one day: a warm first plan, then edits of it, each judged and explained."""
    problem = courier_day(stops, seed)
    instance, compile_ms, _ = timed(lambda: compiled(problem))
    first_plan(instance)
    plan, first_ms, first_cpu_ms = timed(lambda: first_plan(instance))
    draw = random.Random(seed)
    gone = {stop.id for stop in draw.sample(problem.stops, LEFT_OUT)}
    runs = [
        Run(van=run.van, visits=[visit for visit in run.visits if visit not in gone]) for run in runs_of(instance, plan)
    ]
    evaluation, evaluate_ms, _ = timed(lambda: evaluate(instance, Solution(runs=runs)))
    explainer = Explainer(instance)
    _, explain_first_ms, _ = timed(lambda: explainer.explain(Solution(runs=runs), evaluation))
    figures: dict[str, list[float]] = {name: [] for name in ("change", "change_cpu", "explain", "explain_cpu")}
    for _ in range(edits):
        runs, pair = moved(runs, draw)
        evaluation, wall, cpu = timed(lambda: evaluate_change(instance, evaluation, pair))  # noqa: B023
        figures["change"].append(wall)
        figures["change_cpu"].append(cpu)
        _, wall, cpu = timed(lambda: explainer.explain(Solution(runs=runs), evaluation))  # noqa: B023
        figures["explain"].append(wall)
        figures["explain_cpu"].append(cpu)
    return {
        "bench": "solver_edits",
        "stops": stops,
        "shipments": len(problem.shipments),
        "seed": seed,
        "unserved": len(evaluation.unserved),
        "compile_ms": compile_ms,
        "first_plan_ms": first_ms,
        "first_plan_cpu_ms": first_cpu_ms,
        "evaluate_ms": evaluate_ms,
        "explain_first_ms": explain_first_ms,
        **{f"{name}_{which}_ms": share(values, at) for name, values in figures.items() for which, at in SHARES.items()},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


SHARES = {"p50": 0.5, "p99": 0.99}


def share(values: list[float], at: float) -> float:
    return sorted(values)[min(len(values) - 1, int(at * len(values)))]


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, and wall and processor milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, round((time.perf_counter() - wall) * 1000, 2), round((time.process_time() - cpu) * 1000, 2)


def moved(runs: list[Run], draw: random.Random) -> tuple[list[Run], list[Run]]:
    """Move one stop to a random place of another run; return all runs, and the two that changed."""
    here = draw.choice([run for run in runs if any(":" not in visit for visit in run.visits)])
    there = draw.choice([run for run in runs if run is not here])
    visit = draw.choice([visit for visit in here.visits if ":" not in visit])
    at = draw.randrange(len(there.visits) + 1)
    pair = [
        Run(van=here.van, visits=[one for one in here.visits if one != visit]),
        Run(van=there.van, visits=[*there.visits[:at], visit, *there.visits[at:]]),
    ]
    return [pair[0] if run is here else pair[1] if run is there else run for run in runs], pair


if __name__ == "__main__":
    main()
