"""Solvers behind one door: an engine is a module with `NAME`, `VERSIONS` and `run`, found here by name.

The idea: an engine only proposes plans, as vans and nodes; `solver.evaluate` judges them and keeps the best, so no
engine has to be trusted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from solver.instance import Instance

Plan = list[tuple[int, list[int]]]  # van and nodes of each run, breaks and reloads included
Report = Callable[[Plan], bool]  # hears of each better plan; answers whether to go on


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to search. With `iterations` the clock does not count, and equal seeds give equal plans."""

    time_s: float = 10.0
    iterations: int | None = None
    threads: int = 1
    seed: int = 0


class Engine(Protocol):
    """What an engine's module has."""

    NAME: str
    VERSIONS: dict[str, str]

    def run(self, instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
        """Search until a limit or until `report` answers no; report each better plan."""


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
