"""A few processes that search at the same time, each with the whole problem from its start.

The idea: children are forked, so they have the problem and its matrices without copying; only a part's
numbers and a plan travel. A child that gets the same part again continues where it was.
"""

import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from time import monotonic
from typing import cast

from pyvrp.exceptions import PenaltyBoundWarning

from solver.engines import Plan
from solver.engines.pyvrp import PyvrpModel, SubProblem, alike, with_breaks_of
from solver.instance import Instance, NodeKind
from solver.polish import polished
from solver.search import ORDINARY, Search, Taste, Until

logger = logging.getLogger(__name__)

# Searches in a child: of the whole, and of a part that was tried in between.
KEPT = 2


@dataclass(frozen=True)
class Task:
    """Search a part from this plan until an instant."""

    part: SubProblem
    plan: Plan
    until: Until
    seed: int
    taste: Taste = ORDINARY


@dataclass(frozen=True)
class Polish:
    """Ruin and recreate the whole plan by the judge's clock until the instant."""

    plan: Plan
    until_at: float
    seed: int


@dataclass(frozen=True)
class SearchResult:
    plan: Plan  # the nearest to feasible where none is feasible
    runs: Plan  # of good plans seen during the search, for recombination
    error: str = ""  # why there was no search


class WorkerPool:
    """A pool of `size` child processes. Use as a context manager; they are stopped on exit."""

    def __init__(self, instance: Instance, size: int) -> None:
        self.instance, self.context = instance, multiprocessing.get_context("fork")
        begun = [self._begin() for _ in range(size)]
        self.pipes, self.children = [pipe for pipe, _ in begun], [child for _, child in begun]

    def _begin(self) -> tuple[Connection, ForkProcess]:
        ours, theirs = self.context.Pipe()
        child = self.context.Process(target=_serve, args=(self.instance, theirs), daemon=True)
        child.start()
        theirs.close()
        return ours, child

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        for child, pipe in zip(self.children, self.pipes, strict=True):
            pipe.close()
            child.kill()
            child.join()

    def ask(
        self, tasks: Sequence[Sequence[Task | Polish]], late: float, meanwhile: Callable[[], None] | None = None
    ) -> list[SearchResult]:
        """Give each child its tasks in turn, and return each task's result, in order.

        A child that has not answered at the instant `late` has no result: its plans come back unchanged, as do those of a
        search that failed. A child that died is replaced.
        """
        for core, mine in enumerate(tasks):
            with suppress(ConnectionError):
                self.pipes[core].send(mine)
        if meanwhile:
            meanwhile()
        return [found for core, mine in enumerate(tasks) for found in self._answer(core, mine, late)]

    def _answer(self, core: int, asked: Sequence[Task | Polish], late: float) -> list[SearchResult]:
        """Return the child's answer, or the plans it was given."""
        try:
            if self.pipes[core].poll(None if late == inf else max(0.0, late - monotonic())):
                return cast(list[SearchResult], self.pipes[core].recv())
        except (EOFError, ConnectionError):
            return self._replaced(core, asked)
        return [SearchResult(task.plan, []) for task in asked]

    def _replaced(self, core: int, asked: Sequence[Task | Polish]) -> list[SearchResult]:
        self.pipes[core].close()
        self.children[core].join()
        error = f"a search's process ended with code {self.children[core].exitcode}"
        self.pipes[core], self.children[core] = self._begin()
        return [SearchResult(task.plan, [], error) for task in asked]

    def all_answer(self, until: float) -> bool:
        """Whether every child has answered by then; returns as soon as that is certain."""
        return all(pipe.poll(max(0.0, until - monotonic())) for pipe in self.pipes)


def _serve(instance: Instance, pipe: Connection) -> None:
    warnings.simplefilter("ignore", PenaltyBoundWarning)  # where no plan serves all, the solution says so
    child, parent = _Child(instance), os.getppid()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            while not pipe.poll(1.0):
                if os.getppid() != parent:  # killed: its end of the pipe lives on in our siblings
                    return
            pipe.send([child.found(task) for task in pipe.recv()])


class _Child:
    def __init__(self, instance: Instance) -> None:
        self.instance, self.kinds = instance, alike(instance)
        self.searches = dict[tuple[SubProblem, Taste], Search]()

    def found(self, task: Task | Polish) -> SearchResult:
        """Return the task's result; a library's error costs this search, never the child."""
        try:
            return self._found(task)
        except Exception as error:
            logger.exception("a search failed; its plan stays as it was")
            return SearchResult(task.plan, [], repr(error))

    def _found(self, task: Task | Polish) -> SearchResult:
        if isinstance(task, Task) and not (task.part.items and task.part.vans):
            return SearchResult(task.plan, [])
        if isinstance(task, Polish):
            return SearchResult(polished(self.instance, task.plan, task.until_at, task.seed), [])
        search = self._search(task)
        search.go_on(task.until)
        plan = search.best if search.best.is_feasible() else search.current
        return SearchResult(with_breaks_of(self.instance, search.model.decode(plan)), search.take_runs())

    def _search(self, task: Task) -> Search:
        """Continue a search of the same part, or begin it; the last few are kept."""
        key, plan = (task.part, task.taste), _without_breaks(self.instance, task.plan)
        search = self.searches.pop(key, None)
        if search is None:
            model = PyvrpModel(self.instance, task.part, self.kinds)
            search = Search(model, task.seed, task.taste, model.encode(plan) if plan else None)
        elif plan:
            search.begin_from(search.model.encode(plan))
        self.searches[key] = search
        if len(self.searches) > KEPT:
            del self.searches[next(iter(self.searches))]
        return search


def _without_breaks(instance: Instance, plan: Plan) -> Plan:
    return [(van, [node for node in nodes if instance.kind[node] != NodeKind.BREAK]) for van, nodes in plan]
