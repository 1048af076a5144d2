"""A few processes that search at the same time, each holding the whole problem from its birth.

The idea: children are forked, so the problem and its matrices are theirs without copying; what travels is a part's
numbers and a plan. A child that is asked about the same part again goes on where it was.
"""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection
from time import monotonic

from pyvrp.exceptions import PenaltyBoundWarning

from solver.engines import Plan
from solver.engines.pyvrp import Model, Part, alike, with_breaks_of
from solver.instance import Instance, Kind
from solver.polish import polished
from solver.search import ORDINARY, Search, Taste, Until

KEPT = 2  # searches in a child: of the whole, and of one that was tried between


@dataclass(frozen=True)
class Task:
    """Search a part from this plan until then."""

    part: Part
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
class Found:
    plan: Plan  # where none is feasible, the one that comes next to it
    runs: Plan  # of good plans seen on the way, for recombination


class Team:
    """So many children; use it as a context, they end with it."""

    def __init__(self, instance: Instance, size: int) -> None:
        context = multiprocessing.get_context("fork")
        self.pipes = list[Connection]()
        self.children = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            child = context.Process(target=_serve, args=(instance, theirs), daemon=True)
            child.start()
            theirs.close()
            self.pipes.append(ours)
            self.children.append(child)

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        for child, pipe in zip(self.children, self.pipes, strict=True):
            pipe.close()
            child.kill()
            child.join()

    def ask(
        self, tasks: Sequence[Sequence[Task | Polish]], late: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Found]:
        """Give each child its tasks, one after the other, and return what was found for each, in order.

        A child that has not answered at the instant `late` found nothing: its plans come back as they went in.
        """
        for pipe, mine in zip(self.pipes, tasks, strict=False):
            pipe.send(mine)
        if meanwhile:
            meanwhile()
        return [found for pipe, mine in zip(self.pipes, tasks, strict=False) for found in _answer(pipe, mine, late)]

    def all_answer(self, until: float) -> bool:
        """Whether every child has answered by then; returns as soon as it knows."""
        return all(pipe.poll(max(0.0, until - monotonic())) for pipe in self.pipes)


def _answer(pipe: Connection, asked: Sequence[Task | Polish], late: float) -> list[Found]:
    """Return the child's answer, or what it was asked with."""
    answer = [Found(task.plan, []) for task in asked]
    with suppress(EOFError, ConnectionError):
        if pipe.poll(None if late == inf else max(0.0, late - monotonic())):
            answer = pipe.recv()
    return answer


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
        self.searches = dict[tuple[Part, Taste], Search]()

    def found(self, task: Task | Polish) -> Found:
        if isinstance(task, Polish):
            return Found(polished(self.instance, task.plan, task.until_at, task.seed), [])
        search = self._search(task)
        search.go_on(task.until)
        plan = search.best if search.best.is_feasible() else search.current
        return Found(with_breaks_of(self.instance, search.model.decode(plan)), search.take_runs())

    def _search(self, task: Task) -> Search:
        """Go on with a search of the same part, or begin one; the last few are kept."""
        key, plan = (task.part, task.taste), _without_breaks(self.instance, task.plan)
        search = self.searches.pop(key, None)
        if search is None:
            model = Model(self.instance, task.part, self.kinds)
            search = Search(model, task.seed, task.taste, model.encode(plan) if plan else None)
        elif plan:
            search.begin_from(search.model.encode(plan))
        self.searches[key] = search
        if len(self.searches) > KEPT:
            del self.searches[next(iter(self.searches))]
        return search


def _without_breaks(instance: Instance, plan: Plan) -> Plan:
    return [(van, [node for node in nodes if instance.kind[node] != Kind.BREAK]) for van, nodes in plan]
