"""From a problem to the best plan within the time.

The idea: every plan, from any source, goes through a single door (`_Best.offer`): judged by `evaluate`, kept only if it
is better, and passed to the listener. So the result is never worse than the plan it started from.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from math import inf

from solver import VERSION
from solver.construct import completed, first_plan
from solver.docks import taking_turns
from solver.engines import ENGINES, Limits, Plan
from solver.evaluate import evaluate
from solver.instance import Instance, compiled, rows_of, runs_of
from solver.polish import promoted
from solver.problem import Problem, Run
from solver.solution import Evaluation, Solution
from solver.worker import Job, WorkerError, plans

logger = logging.getLogger(__name__)

OnBetter = Callable[[Solution, Evaluation], object]

# Judged and, where no engine was faster, planned by ourselves.
OWN = {"rotation": VERSION}
STAND_IN = "ortools"  # knows the whole format, where the race fails
SLOW_TO_BEGIN = ("ortools",)  # engines that leave one waiting for a first plan
# Beyond its limit, before an engine that does not stop is ended: plans found in time have to travel.
PATIENCE_S = 0.5


def solve(
    problem: Problem | Instance,
    limits: Limits | None = None,
    on_better: OnBetter | None = None,
    *,
    engine: str = "race",
    warm: Solution | None = None,
    cancel: threading.Event | None = None,
) -> Solution:
    """Return the best plan found within the limits; `on_better` receives each better plan, and stops the search by `False`.

    Raises
    ------
    ProblemError
        When the problem is not valid.
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
    _search(instance, limits, engine, best)
    best.construct()
    best.promote()
    best.offer([], "construct", {})  # nobody goes: optional work alone may not be worth a run
    return best.solution.model_copy(update={"errors": best.errors})


def _search(instance: Instance, limits: Limits, engine: str, best: "_Best") -> None:
    """Take an engine's plans; where its process failed, OR-Tools stands in with the time that is left.

    Raises
    ------
    WorkerError
        When an engine that stands for itself failed before it found any plan.
    """
    try:
        best.take(_plans(instance, limits, engine, best), engine)
    except WorkerError as error:
        logger.error("%s failed: %s", engine, error)
        best.errors.append(str(error))
        if engine == "race":
            _stand_in(instance, limits, best)
        elif engine not in best.found:
            raise


def _stand_in(instance: Instance, limits: Limits, best: "_Best") -> None:
    """Continue with OR-Tools after the race failed."""
    try:
        best.take(_plans(instance, limits, STAND_IN, best), STAND_IN)
    except WorkerError as error:
        logger.error("%s failed: %s", STAND_IN, error)
        best.errors.append(str(error))


def _plans(instance: Instance, limits: Limits, engine: str, best: "_Best") -> Iterator[tuple[Plan, dict[str, str]]]:
    """Yield an engine's plans, with the time that is left.

    Raises
    ------
    WorkerError
        At the end, when the engine failed.
    """
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
        self.errors = list[str]()  # of engines that failed on the way
        self.found = set[str]()  # engines that found a plan

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.begun

    @property
    def until(self) -> float:
        """The instant when constructing ends: at the limit, or shortly if that is past."""
        endless = self.limits.iterations is not None
        return inf if endless else max(self.begun + self.limits.time_s, time.monotonic() + PATIENCE_S)

    def take(self, plans: Iterator[tuple[Plan, dict[str, str]]], engine: str) -> None:
        """Judge an engine's plans as they come."""
        for plan, versions in plans:
            self.found.add(engine)
            self.offer_plan(plan, engine, versions)

    def construct(self) -> None:
        """Offer a first plan where there is no feasible plan."""
        if not self.evaluation or not self.evaluation.feasible:
            self.offer_plan(first_plan(self.instance, self.until), "construct", {})

    def promote(self) -> None:
        """Offer plans where work of higher priority takes the place of lower, if mandatory work is left out."""
        if self.evaluation and self.evaluation.unserved:
            for plan in promoted(self.instance, rows_of(self.instance, self.solution.runs), self.until):
                self.offer_plan(plan, "construct", {})

    def offer_plan(self, plan: Plan, engine: str, versions: dict[str, str]) -> None:
        """Judge an engine's plan."""
        self.offer(taking_turns(self.instance, runs_of(self.instance, plan)), engine, versions)

    def offer(self, runs: list[Run], engine: str, versions: dict[str, str]) -> None:
        """Judge runs, and keep them if they are better than all before."""
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
        """By rank; but an engine's plan that breaks a rule is rejected where another keeps them all."""
        old = self.evaluation
        if old and new.keeps_rules != old.keeps_rules:
            return new.keeps_rules and (not self.warm or new.rank < old.rank)
        return old is None or new.rank < old.rank
