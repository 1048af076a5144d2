"""Solvers behind a common interface: an engine is a module with `NAME`, `VERSIONS` and `run`, found here by name.

The idea: an engine only proposes plans, as vans and nodes; `solver.evaluate` judges them and keeps the best, so no
engine has to be trusted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from solver.instance import Instance

Plan = list[tuple[int, list[int]]]  # van and nodes of each run, breaks and reloads included
# Receives each better plan; returns whether to go on.
Report = Callable[[Plan], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to search. With `iterations` the clock does not count, and equal seeds give equal plans."""

    time_s: float = 10.0
    iterations: int | None = None
    threads: int = 1
    seed: int = 0


class PartlyFailedError(RuntimeError):
    """Some of an engine's searches failed; the plans of the others were reported all the same."""


class Engine(Protocol):
    """The contents of an engine's module."""

    NAME: str
    VERSIONS: dict[str, str]

    def run(self, instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
        """Search until a limit or until `report` answers no; report each better plan.

        Raises
        ------
        PartlyFailedError
            At the end, where some of its searches failed.
        """


ENGINES: dict[str, str] = {
    "ortools": "solver.engines.ortools",
    "pyvrp": "solver.engines.pyvrp",
    "vroom": "solver.engines.vroom",
    "race": "solver.race",
}


def engine(name: str) -> Engine:
    """Return the engine of this name, or in the module of this name; its library is imported only now.

    Raises
    ------
    ModuleNotFoundError
        When there is none.
    """
    return import_module(ENGINES.get(name, name))
