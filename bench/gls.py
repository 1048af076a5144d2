"""OR-Tools as in its manual, the peer of `bench.solver`: a first plan by insertion, then guided local search.

The idea: the model is ours with every constraint, the search is the library's own, so that the comparison concerns the search.
Of its first plans, cheapest local insertion left least work out.
"""

from time import monotonic

from ortools.constraint_solver import pywrapcp, routing_enums_pb2

from solver.engines import Limits, Plan, Report
from solver.engines.ortools import NAME, VERSIONS, Watch, build
from solver.instance import Instance

__all__ = ["NAME", "VERSIONS", "run"]


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Search until the limit on a thread (it supports no more), reporting each better plan; it takes no initial plan."""
    begun = monotonic()
    routing = (model := build(instance)).routing
    chosen = pywrapcp.DefaultRoutingSearchParameters()
    chosen.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.LOCAL_CHEAPEST_INSERTION
    chosen.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    chosen.disable_scheduling_beware_this_may_degrade_performance = True  # with it, it is slower where drivers rest
    chosen.time_limit.FromMilliseconds(max(1, int(1000 * (limits.time_s - (monotonic() - begun)))))
    routing.CloseModelWithParameters(chosen)
    routing.AddAtSolutionCallback(watch := Watch(model, report))
    if (found := routing.SolveWithParameters(chosen)) is not None:
        watch.see(found)
