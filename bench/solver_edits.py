"""How soon a dispatcher gets an answer: a first plan, the judgement of a moved stop, and why work is left out.

`python -m bench.solver_edits [--stops 60 150 300 1000] [--seed 3] [--edits 200]` prints a JSON line for each size: wall
and processor milliseconds (the processor's are what an idle machine would take), and the process's peak memory so far.
Instead, `--replan-s 5` prints how soon a day half done is replanned and how little of it changes, and `--race-s 10
[--hubs 4]` when a race has its first feasible plan and what all its processes hold at most.
"""

import argparse
import json
import os
import random
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

from solver import race, replan
from solver.construct import first_plan
from solver.engines import Limits, Plan
from solver.evaluate import evaluate, evaluate_change
from solver.explain import Explainer
from solver.generate import courier_day
from solver.instance import compiled, runs_of
from solver.problem import Problem, Run, Stop, Window
from solver.solution import Evaluation, Solution
from solver.solve import solve

CORES = 2
NOON_S, URGENT_S = 11 * 3600, 2 * 3600  # when the day goes otherwise, and how long an urgent stop waits
LEFT_OUT = 5  # stops taken out of the plan, so that there is something to explain


def main() -> None:
    options = _options()
    for stops in options.stops:
        for line in lines(stops, options):
            print(json.dumps({**line, "load": round(os.getloadavg()[0], 1)}), flush=True)


def lines(stops: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the cases of a day of this many stops."""
    if options.race_s:
        yield raced(stops, options.seed, options.hubs, options.race_s)
    if options.replan_s:
        yield from replanned(stops, options.seed, options.replan_s)
    if not options.race_s and not options.replan_s:
        yield measured(stops, options.seed, options.edits)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, nargs="+", default=[60, 150, 300, 1000])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--race-s", type=float, default=0)
    parser.add_argument("--replan-s", type=float, default=0)
    parser.add_argument("--hubs", type=int, default=1)
    return parser.parse_args()


def raced(stops: int, seed: int, hubs: int, time_s: float) -> dict[str, Any]:
    """Return when a race found its first feasible plan and its last, and the peak memory of its processes together."""
    instance = compiled(courier_day(stops, seed, hubs))
    first_plan(compiled(courier_day(6, seed)))  # a warm process: the loops are compiled, or read
    begun, found = time.monotonic(), list[tuple[float, Plan]]()

    def hear(plan: Plan) -> bool:
        found.append((round(time.monotonic() - begun, 2), plan))
        return True

    race.run(instance, Limits(time_s, threads=CORES, seed=seed), None, hear)
    judged = [(at_s, evaluate(instance, Solution(runs=runs_of(instance, plan)))) for at_s, plan in found]
    feasible = [at_s for at_s, evaluation in judged if evaluation.feasible]
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "bench": "solver_race",
        "stops": stops,
        "hubs": hubs,
        "seed": seed,
        "time_s": time_s,
        "first_feasible_s": min(feasible, default=None),
        "first_cost": next((one.cost_cents for _, one in judged if one.feasible), None),
        "feasible": judged[-1][1].feasible,
        "cost": judged[-1][1].cost_cents,
        "vehicles": judged[-1][1].totals.vans,
        "peak_mb": round((own + CORES * child) / 1024),
    }


def replanned(stops: int, seed: int, time_s: float) -> Iterator[dict[str, Any]]:
    """Yield, for an urgent stop and for a van that breaks down in the middle of a day, the changes to the rest of it."""
    day = courier_day(stops, seed)
    plan = solve(day, Limits(time_s, threads=CORES, seed=seed))
    now = replan.at(day, plan, NOON_S)
    out = [van.id for van in now.vans if van.under_way and van.under_way.on_board]
    window = Window(from_s=NOON_S, until_s=NOON_S + URGENT_S)
    urgent = Stop(id="urgent", place=day.stops[seed].place, collect=3, windows=[window], service_s=180)
    events = {"urgent stop": replan.urgent(now, urgent), "broken van": replan.broken_down(now, out[0])}
    for event, problem in events.items():
        told = {"bench": "solver_replan", "event": event, "stops": stops, "seed": seed, "time_s": time_s}
        before = {"cost_before": evaluate(day, plan).cost_cents}
        yield told | before | _after(problem, plan, Limits(time_s, threads=CORES, seed=seed))


def _after(problem: Problem, plan: Solution, limits: Limits) -> dict[str, Any]:
    """Return how soon the problem has a feasible plan, and how many of the visits ahead change van or order."""
    begun, found = time.monotonic(), list[tuple[float, Evaluation]]()

    def hear(_: Solution, evaluation: Evaluation) -> None:
        found.append((round(time.monotonic() - begun, 2), evaluation))

    solve(problem, limits, hear, warm=replan.still_valid(problem, plan))
    last, feasible = found[-1][1], [at_s for at_s, evaluation in found if evaluation.feasible]
    ahead = [
        one for run in last.runs for one in run.visits if not one.done and not one.visit.startswith(("start", "end"))
    ]
    return {
        "first_feasible_s": min(feasible, default=None),
        "feasible": last.feasible,
        "unserved": len(last.unserved),
        "violations": sorted({one.cause for one in last.violations}),
        "ahead": len(ahead),
        "changed": last.totals.changed,
        "cost": last.cost_cents,
    }


def measured(stops: int, seed: int, edits: int) -> dict[str, Any]:
    """Return the figures of a day: a warm first plan, then edits of it, each judged and explained."""
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
    """Move a stop to a random place of another run; return all runs, and the two that changed."""
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
