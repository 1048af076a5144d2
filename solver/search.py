"""Our search over PyVRP's moves: perturb a few visits, repair, accept by a short memory.

The idea: PyVRP's moves and penalties are the best available, but tuned for benchmark sets and minutes. A day's plan
is wanted in seconds. So penalties start at the worth of lateness and overload in this problem, few visits are disturbed
at a time, few neighbours are tried, and late acceptance (Burke and Bykov 2017) remembers tens of plans, not hundreds.
An empty memory accepts anything: good for a search from nothing; a search that continues from a plan remembers that plan.
A search that stagnates starts again from nothing: it may end elsewhere, and its runs are new to recombination.
Where a plan that serves all is hard to find, PyVRP's own tuning finds it (`Taste.strict`): breaking a rule costs more
than any detour around it, many visits are disturbed, and nothing worse than the first plan is accepted.
"""

import math
from dataclasses import dataclass
from time import monotonic

import numpy as np
import pyvrp
from pyvrp import search as moves

from solver.engines import Plan
from solver.engines.pyvrp import FAR, PyvrpModel
from solver.problem import DAY_S

# Plans between changes of the penalties; PyVRP's 500 are a large part of a short search.
UPDATE_EVERY = 100
# Factor on the cost of a second under way.
LATE_FACTOR = 4.0
TYPICAL_RUN = 0.7  # of a shift
MOST_PENALTY_FACTOR = 1_000.0  # from first to largest penalty: beyond, costs no longer matter
MOST_DISTURBED = 10  # visits at a time; PyVRP's 25 take three times as long to repair, and find less in seconds
MOST_STRICT = 25  # where a small change finds no way out
MOST_STILL = 10_000  # plans without a new best, five seconds of a small day: as long again from there finds little
# Plans between those whose runs are remembered: reading a plan costs as much as finding it.
REMEMBER_EVERY = 20


@dataclass(frozen=True)
class Taste:
    """How a search proceeds: visits tried beside each, plans that late acceptance remembers, rules before costs."""

    neighbours: int = 20
    memory: int = 50
    strict: bool = False


ORDINARY = Taste()


@dataclass(frozen=True)
class Until:
    """When a search ends: at an instant of `time.monotonic`, which processes share, or after iterations."""

    at: float = math.inf
    iterations: int | None = None

    def over(self, iterations: int) -> bool:
        return monotonic() >= self.at if self.iterations is None else iterations >= self.iterations


class Search:
    """A search that can be continued."""

    def __init__(self, model: PyvrpModel, seed: int, taste: Taste, start: pyvrp.Solution | None = None) -> None:
        self.model, self.taste = model, taste
        self.random = pyvrp.RandomNumberGenerator(seed=seed)
        self.local = _local_search(model, self.random, taste)
        self.penalties = _strict_penalties(model.data) if taste.strict else _penalties(model.data)
        self.current = start or self._first()
        self.best = self.current
        self.memory: list[pyvrp.Solution | None] = [self.current if taste.strict else start] * taste.memory
        self.iterations, self.still = 0, 0
        self.routes = dict[tuple[int, ...], int]()

    def _first(self) -> pyvrp.Solution:
        random = pyvrp.Solution.make_random(self.model.data, self.random)
        return self.local(random, self.penalties.max_cost_evaluator(), exhaustive=True)

    def cost(self, plan: pyvrp.Solution) -> int:
        """Return the plan's cost in PyVRP's units; infinite where it is not feasible."""
        return int(self.penalties.cost_evaluator().cost(plan))

    def begin_from(self, plan: pyvrp.Solution) -> None:
        """Continue from another search's plan where it is better than ours."""
        if self.cost(plan) < self.cost(self.best):
            self.best = self.current = plan
            self.memory = [plan] * self.taste.memory

    def go_on(self, until: Until) -> None:
        """Search until then."""
        first = self.iterations
        while not until.over(self.iterations - first):
            candidate = self._candidate()
            evaluator = self.penalties.cost_evaluator()
            if evaluator.cost(candidate) < evaluator.cost(self.best):
                self.best = candidate = self._polished(candidate, evaluator)
                self._remember_routes(candidate)
                self.still = 0
            self._accept(candidate, evaluator)
            if self.still >= MOST_STILL and self.best.is_feasible():
                self._begin_anew()

    def _candidate(self) -> pyvrp.Solution:
        candidate = self.local(self.current, self.penalties.cost_evaluator(), exhaustive=False)
        self.penalties.register(candidate)
        self.iterations, self.still = self.iterations + 1, self.still + 1
        return candidate

    def _begin_anew(self) -> None:
        self.current, self.still = self._first(), 0
        self.memory = [self.current if self.taste.strict else None] * self.taste.memory

    def _polished(self, candidate: pyvrp.Solution, evaluator: pyvrp.CostEvaluator) -> pyvrp.Solution:
        """Try every move on a new best plan, not only those near the disturbed visits."""
        polished = self.local(candidate, evaluator, exhaustive=True)
        return polished if evaluator.cost(polished) < evaluator.cost(candidate) else candidate

    def _accept(self, candidate: pyvrp.Solution, evaluator: pyvrp.CostEvaluator) -> None:
        """Late acceptance: as good as now, or as some plans ago."""
        at = self.iterations % self.taste.memory
        past = self.memory[at]
        late = math.inf if past is None else evaluator.penalised_cost(past)
        cost, now = evaluator.penalised_cost(candidate), evaluator.penalised_cost(self.current)
        if cost < late or cost < now:
            self.current, now = candidate, cost
            if self.iterations % REMEMBER_EVERY == 0 and candidate.is_feasible():
                self._remember_routes(candidate)
        if now < late:
            self.memory[at] = self.current

    def _remember_routes(self, plan: pyvrp.Solution) -> None:
        for route in plan.routes():
            nodes = tuple(self.model.nodes(route))
            self.routes[nodes] = route.vehicle_type()

    def take_runs(self) -> Plan:
        """Return the runs remembered since the last time, oldest first; the van is any of its type."""
        taken = [(self.model.types[kind][0], list(nodes)) for nodes, kind in self.routes.items()]
        self.routes.clear()
        return taken


def _local_search(model: PyvrpModel, random: pyvrp.RandomNumberGenerator, taste: Taste) -> moves.LocalSearch:
    data, most = model.data, MOST_STRICT if taste.strict else MOST_DISTURBED
    near = moves.compute_neighbours(data, moves.NeighbourhoodParams(num_neighbours=taste.neighbours))
    disturbance = moves.PerturbationManager(moves.PerturbationParams(1, most))
    local = moves.LocalSearch(data, random, near, disturbance)
    for operator in moves.OPERATORS:
        if operator.supports(data):
            local.add_operator(operator(data))
    return local


def _penalties(data: pyvrp.ProblemData) -> pyvrp.PenaltyManager:
    loads, late, far = first_penalties(data)
    most = MOST_PENALTY_FACTOR * max(*loads, late, far)
    params = pyvrp.PenaltyParams(solutions_between_updates=UPDATE_EVERY, max_penalty=most)
    return pyvrp.PenaltyManager((loads, late, far), params)


def _strict_penalties(data: pyvrp.ProblemData) -> pyvrp.PenaltyManager:
    params = pyvrp.PenaltyParams()
    return pyvrp.PenaltyManager(params.midpoint_penalties(data), params)


def first_penalties(data: pyvrp.ProblemData) -> tuple[list[float], float, float]:
    """Return the worth of a unit of overload, a second late and a metre too far here, in PyVRP's units.

    A van that is full too much is worth a van's run; a second late some seconds under way.
    """
    van = data.vehicle_type(0)
    metres, seconds = data.distance_matrix(van.profile), data.duration_matrix(van.profile)
    near = np.asarray(seconds) < FAR
    speed = float(metres[near].sum() / max(1, seconds[near].sum()))
    per_second = van.unit_duration_cost + van.unit_distance_cost * speed
    run = van.fixed_cost + per_second * TYPICAL_RUN * min(van.tw_late - van.tw_early, DAY_S)
    loads = [max(1.0, run / max(1, room)) for room in van.capacity]
    return loads, max(1.0, LATE_FACTOR * per_second), max(1.0, LATE_FACTOR * per_second / max(speed, 0.01))
