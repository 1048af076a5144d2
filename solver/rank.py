"""Which of two plans is better, for comparisons by the hundred: rules first, then missing work, then cents.

The idea: where nothing ties runs together, their own rules and costs add up to the judge's result, in a fraction of the
time. People's plans are compared by missing work first; an engine may leave work out, but never break a rule to avoid it.
"""

from solver.docks import taking_turns
from solver.engines import Plan
from solver.evaluate import UNSERVED_WEIGHT, cost_of, evaluate
from solver.instance import MANDATORY, Instance, runs_of
from solver.rules import broken
from solver.schedule import drive, table
from solver.solution import Cause, Solution

# Of a rule broken by 1: more than all of a large day's work of the highest priority left out.
BROKEN_WEIGHT = 10**12


def rank(instance: Instance, plan: Plan) -> tuple[int, int]:
    """Compare plans of a problem by this: less is better."""
    if _tied(instance):
        judged = evaluate(instance, Solution(runs=taking_turns(instance, runs_of(instance, plan))))
        wrong = sum(one.amount for one in judged.violations if one.cause is not Cause.UNSERVED)
        return BROKEN_WEIGHT * wrong + judged.infeasibility, judged.cost_cents
    runs = drive(instance, *table(instance, plan))
    made = {int(instance.item[node]) for _, nodes in plan for node in nodes}
    missing = [item for item in range(len(instance.items)) if item not in made]
    forgone = instance.prize_cents[missing]
    wrong = sum(int(amounts.sum()) for amounts in broken(runs).values()) if plan else 0
    unserved = int((forgone == MANDATORY).sum())
    cost_cents = int(cost_of(runs).sum() + forgone[forgone != MANDATORY].sum())
    return BROKEN_WEIGHT * wrong + UNSERVED_WEIGHT * unserved, cost_cents


def _tied(instance: Instance) -> bool:
    """Whether there is more to a plan than its runs: shared docks and locks, balance, priorities, work already done."""
    problem = instance.problem
    together = any(depot.docks for depot in problem.depots) or any(not lock.van for lock in problem.locks)
    weighed = problem.costs.imbalance_hour_cents > 0 or bool(instance.priority.any())
    return together or weighed or bool(instance.under_way.any())
