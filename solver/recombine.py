"""The best plan from runs of many plans: set partitioning.

The idea: runs of different plans fit together when they serve nothing twice. Choosing among them is an integer
programme; the plan at hand is its hint and its upper bound, so the answer is never worse than that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf
from time import monotonic

import numpy as np
from ortools.linear_solver import pywraplp

from solver.engines import Plan
from solver.engines.pyvrp import alike
from solver.evaluate import cost_of
from solver.instance import MANDATORY, Instance
from solver.rules import keeps_all
from solver.schedule import drive, table
from solver.timing_kernels import Bools, Ints

MOST_RUNS = 4_000  # in the programme: the newest; more only time out


def recombined(
    instance: Instance, best: Plan, runs: Iterable[tuple[int, Sequence[int]]], effort: float, until_at: float = inf
) -> Plan:
    """Return the cheapest plan from these runs (van, nodes) and `best`'s own; `best` itself where none is cheaper.

    `effort` is CP-SAT's deterministic time, roughly seconds: equal pools give equal plans. `until_at`, an
    instant of `time.monotonic`, is for callers that cannot wait: the effort may take three times as long.
    """
    kinds = alike(instance)
    pool, costs = _pool(instance, kinds, [*best, *list(runs)[-MOST_RUNS:]])
    solver = pywraplp.Solver.CreateSolver("SAT")
    solver.SetSolverSpecificParametersAsString(f"max_deterministic_time: {effort} num_workers: 1")
    if until_at < inf:
        solver.SetTimeLimit(max(1, round(1000 * (until_at - monotonic()))))
    chosen, forgone = _programme(instance, kinds, pool, costs, solver)
    now = [at < len(best) for at in range(len(chosen))], _left(instance, best)
    solver.SetHint([*chosen, *forgone], [float(value) for values in now for value in values])
    cost = int(costs[: len(best)].sum() + _prizes(instance)[_left(instance, best)].sum())
    if solver.Solve() not in (pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE) or solver.Objective().Value() >= cost:
        return best
    return _with_vans(kinds, best, [run for run, one in zip(pool, chosen, strict=True) if one.solution_value() > 0.5])


def _pool(instance: Instance, kinds: Sequence[int], runs: Sequence[tuple[int, Sequence[int]]]) -> tuple[Plan, Ints]:
    """Return each kind of run once, with its cost in cents, without those that break a rule."""
    once = list({(kinds[van], tuple(nodes)): (van, list(nodes)) for van, nodes in reversed(runs)}.values())[::-1]
    driven = drive(instance, *table(instance, once))
    fine = np.flatnonzero(keeps_all(driven))
    return [once[at] for at in fine], cost_of(driven)[fine]


def _programme(
    instance: Instance, kinds: Sequence[int], pool: Plan, costs: Ints, solver: pywraplp.Solver
) -> tuple[list[pywraplp.Variable], list[pywraplp.Variable]]:
    """Every item once, or its prize forgone; no more runs of a kind than vans of it; cheapest."""
    chosen = [solver.BoolVar(f"run{at}") for at in range(len(pool))]
    serving: list[list[pywraplp.Variable]] = [[] for _ in instance.items]
    for (_, nodes), one in zip(pool, chosen, strict=True):
        for item in {int(instance.item[node]) for node in nodes if instance.item[node] >= 0}:
            serving[item].append(one)
    optional = instance.prize_cents != MANDATORY
    forgone = [solver.IntVar(0, 1 if optional[item] else 0, f"left{item}") for item in range(len(serving))]
    for runs, left in zip(serving, forgone, strict=True):
        if runs:
            solver.Add(solver.Sum([*runs, left]) == 1)
    for kind, most in Counter(kinds).items():
        mine = [one for (van, _), one in zip(pool, chosen, strict=True) if kinds[van] == kind]
        solver.Add(solver.Sum(mine) <= most)
    prices = [*costs.tolist(), *_prizes(instance).tolist()]
    solver.Minimize(solver.Sum([price * one for price, one in zip(prices, [*chosen, *forgone], strict=True)]))
    return chosen, forgone


def _prizes(instance: Instance) -> Ints:
    return np.where(instance.prize_cents == MANDATORY, 0, instance.prize_cents)


def _left(instance: Instance, plan: Plan) -> Bools:
    """Which items the plan does not serve."""
    left = np.ones(len(instance.items), dtype=bool)
    left[[int(instance.item[node]) for _, nodes in plan for node in nodes if instance.item[node] >= 0]] = False
    return left


def _with_vans(kinds: Sequence[int], best: Plan, runs: Plan) -> Plan:
    """Return the runs with vans of their kinds; a van of `best` first, so that little changes hands."""
    used = [van for van, _ in best]
    order = [*used, *(van for van in range(len(kinds)) if van not in used)]
    free = {kind: [van for van in order if kinds[van] == kind] for kind in set(kinds)}
    return sorted((free[kinds[van]].pop(0), nodes) for van, nodes in runs)
