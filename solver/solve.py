"""From a problem to the best plan that there is time for.

The idea: every plan, from whatever source, goes through one door (`_Best.offer`): judged by `evaluate`, kept only where it
is better, and told to whoever listens. So the result is never worse than the plan that it began with.
"""

import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from math import inf

from solver.construct import completed, first_plan
from solver.docks import taking_turns
from solver.engines import ENGINES, Limits, Plan
from solver.evaluate import evaluate
from solver.instance import Instance, compiled, rows_of, runs_of
from solver.problem import Problem, Run
from solver.solution import Evaluation, Solution
from solver.worker import Job, plans

OnBetter = Callable[[Solution, Evaluation], object]

OWN = {"rotation": version("rotation")}  # judged and, where no engine was faster, planned by ourselves
SLOW_TO_BEGIN = ("ortools",)  # engines that leave one waiting for a first plan
PATIENCE_S = 0.5  # beyond its limit, before an engine that does not stop is ended: plans found in time have to travel


def solve(
    problem: Problem | Instance,
    limits: Limits | None = None,
    on_better: OnBetter | None = None,
    *,
    engine: str = "race",
    warm: Solution | None = None,
    cancel: threading.Event | None = None,
) -> Solution:
    """Return the best plan found within the limits; `on_better` hears of each better one, and stops it by `False`.

    Raises
    ------
    ProblemError
        When the problem is not whole.
    KeyError
        When there is no such engine.
    WorkerError
        When the engine failed before it found any plan.
    """
    instance, limits = compiled(problem), limits or Limits()
    if engine not in ENGINES:
        raise KeyError(engine)
    best = _Best(instance, limits, on_better, cancel or threading.Event())
    if warm:
        best.warm = True
        best.offer(warm.runs, warm.engine, warm.versions)
        if best.evaluation and best.evaluation.unserved:
            best.offer_plan(completed(instance, rows_of(instance, warm.runs), best.until), "construct", {})
    if engine in SLOW_TO_BEGIN:
        best.construct()
    for plan, versions in _search(instance, limits, engine, best):
        best.offer_plan(plan, engine, versions)
    best.construct()
    return best.solution


def _search(instance: Instance, limits: Limits, engine: str, best: "_Best") -> Iterator[tuple[Plan, dict[str, str]]]:
    """Yield an engine's plans, with the time that is left."""
    left_s = limits.time_s - best.elapsed_s
    if best.cancel.is_set() or (limits.iterations is None and left_s <= 0):
        return
    rest = Limits(max(left_s, 0.0), limits.iterations, limits.threads, limits.seed)
    warm = rows_of(instance, best.solution.runs) if best.warm else None
    timed = limits.iterations is None  # else the plan must not depend on whether a process had to start
    patience_s, while_it_starts = (left_s + PATIENCE_S, best.construct) if timed else (None, None)
    yield from plans(Job(engine, instance, rest, warm), patience_s, best.cancel, while_it_starts)


class _Best:
    """The best plan so far."""

    def __init__(self, instance: Instance, limits: Limits, on_better: OnBetter | None, cancel: threading.Event) -> None:
        self.instance, self.limits, self.on_better, self.cancel = instance, limits, on_better, cancel
        self.begun = time.monotonic()
        self.solution = Solution(engine="none")
        self.evaluation: Evaluation | None = None
        self.warm = False

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.begun

    @property
    def until(self) -> float:
        """The instant when constructing ends: at the limit, or in a moment where that is past."""
        endless = self.limits.iterations is not None
        return inf if endless else max(self.begun + self.limits.time_s, time.monotonic() + PATIENCE_S)

    def construct(self) -> None:
        """Offer a first plan where there is no feasible one."""
        if not self.evaluation or not self.evaluation.feasible:
            self.offer_plan(first_plan(self.instance, self.until), "construct", {})

    def offer_plan(self, plan: Plan, engine: str, versions: dict[str, str]) -> None:
        """Judge an engine's plan."""
        self.offer(taking_turns(self.instance, runs_of(self.instance, plan)), engine, versions)

    def offer(self, runs: list[Run], engine: str, versions: dict[str, str]) -> None:
        """Judge runs, and keep them where they are better than all before."""
        solution = Solution(
            runs=runs,
            engine=engine,
            seed=self.limits.seed,
            versions=OWN | versions,
            seconds=round(self.elapsed_s, 3),
            iterations=self.limits.iterations,
        )
        evaluation = evaluate(self.instance, solution)
        if self._is_better(evaluation):
            self.solution, self.evaluation = solution, evaluation
            if self.on_better and self.on_better(solution, evaluation) is False:
                self.cancel.set()

    def _is_better(self, new: Evaluation) -> bool:
        """By rank; but an engine's plan that breaks a rule is refused where there is one that keeps them all."""
        old = self.evaluation
        if old and new.keeps_rules != old.keeps_rules:
            return new.keeps_rules and (not self.warm or new.rank < old.rank)
        return old is None or new.rank < old.rank
