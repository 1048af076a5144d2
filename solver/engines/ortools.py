"""OR-Tools' routing library, which can express the whole problem and completes problems that faster engines cannot express.

The idea: the model is a list of constraints (`CONSTRAINTS`), each a function with a sentence, added in turn to an empty
model. Mandatory work can be dropped at a very high price, so that a first plan is always found. The
objective counts thousandths of a cent. Two searches: iterated local search with random-order recreation where loads only
go out; guided local search from a first plan where crates go out and back or work is optional (at 60 stops 69 against
86, at 150 stops 182 against 255 thousand cents after 10 s).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
from ortools.constraint_solver import (
    pywrapcp,
    routing_enums_pb2,
    routing_heuristic_parameters_pb2,
    routing_ils_pb2,
)

from solver.breaks import with_breaks
from solver.construct import first_plan
from solver.engines import Limits, Plan, Report
from solver.insertion import without_idle_reloads
from solver.instance import MANDATORY, Instance, NodeKind, has_rested
from solver.timing_kernels import NEVER_S, Ints

NAME = "ortools"
VERSIONS = {"ortools": version("ortools")}

MILLI = 1000  # of a cent, so that seconds and metres have whole prices
# Price of leaving out mandatory work: more than any plan costs, and 10^6 of them stay in 64 bits.
MISSING = 10**11
NEAREST = 5  # arcs to so many neighbours make the temperature of simulated annealing
COOLED = 0.01  # the last temperature, of the first
# Of search for each node and iteration, many times what one takes: with a stop or two no iteration brings a solution to count.
ITERATION_S_PER_NODE = 0.01


@dataclass
class RoutingModel:
    """A routing model under construction; OR nodes stand for `nodes` of the instance, reloads several times."""

    instance: Instance
    manager: Any
    routing: Any
    nodes: list[int]  # of each OR node
    visits: int  # OR nodes that are tasks or reloads; the rest are starts and ends
    reload_van: dict[int, int]  # OR node of a reload -> its van
    dimensions: dict[str, Any] = field(default_factory=dict)

    @property
    def solver(self) -> Any:
        return self.routing.solver()

    @cached_property
    def index_of(self) -> dict[int, int]:
        """The routing index of each task, by node of the instance."""
        return {
            node: self.manager.NodeToIndex(at) for at, node in enumerate(self.nodes[: self.visits]) if self._task(node)
        }

    def _task(self, node: int) -> bool:
        return bool(self.instance.kind[node] <= NodeKind.DELIVER)

    @cached_property
    def reloads(self) -> list[tuple[int, int]]:
        """Routing index and van of each reload."""
        return [(self.manager.NodeToIndex(at), van) for at, van in self.reload_van.items()]

    @property
    def vans(self) -> range:
        return range(len(self.instance.start))

    @cached_property
    def place(self) -> Ints:
        return np.asarray(self.instance.place[self.nodes])

    @cached_property
    def service_s(self) -> Ints:
        return np.asarray(self.instance.service_s[self.nodes])

    @cached_property
    def metres(self) -> list[Ints]:
        """By kind of vehicle."""
        return [ways[np.ix_(self.place, self.place)] for ways in self.instance.kind_metres]

    def kind(self, van: int) -> int:
        return int(self.instance.van_kind[van])

    @cached_property
    def slowest(self) -> Ints:
        """The worst percentage of each drive."""
        return _slowest(self)

    def vector(self, values: Ints) -> list[int]:
        """Values by instance node as values by OR node."""
        return [int(value) for value in values[self.nodes]]

    def both_made(self, first: int, second: int) -> Any:
        """2 where both indices are visited, less otherwise."""
        return self.routing.ActiveVar(first) + self.routing.ActiveVar(second)


# ---- constraints


def serve_or_pay(model: RoutingModel) -> None:
    """Omitted work costs its prize, and mandatory work a price beyond any plan's, higher with priority."""
    instance = model.instance
    for item, nodes in enumerate(instance.item_nodes):
        indices = [model.index_of[node] for node in nodes if node in model.index_of]
        prize = int(instance.prize_cents[item])
        price = prize * MILLI if prize != MANDATORY else MISSING * (1 + int(instance.priority[item]))
        if indices:
            model.routing.AddDisjunction(indices, price, len(indices))
    for index, _ in model.reloads:
        model.routing.AddDisjunction([index], 0)


def pay_for_the_way(model: RoutingModel) -> None:
    """A metre's cost: the van's kilometre, its energy and its CO2."""
    prices = _metre_prices(model.instance)
    evaluators = dict[tuple[float, int], int]()
    for van in model.vans:
        price, kind = key = prices[van], model.kind(van)
        if key not in evaluators:
            costs = np.rint(model.metres[kind] * price).astype(int)
            evaluators[key] = model.routing.RegisterTransitMatrix(costs.tolist())
        model.routing.SetArcCostEvaluatorOfVehicle(evaluators[key], van)


def _metre_prices(instance: Instance) -> list[float]:
    """Return the thousandths of a cent that a metre costs, by van."""
    prices = list[float]()
    for van in instance.problem.vans:
        energy = instance.problem.energies[van.energy] if van.energy else None
        drawn = energy.wh_per_km * energy.cents_per_kwh / 1000 if energy else 0.0
        emitted = energy.co2_g_per_km * instance.problem.costs.co2_cents_per_kg / 1000 if energy else 0.0
        prices.append(van.km_cents + drawn + emitted)
    return prices


def pay_for_the_van(model: RoutingModel) -> None:
    """A van that goes out costs its fixed price; a van already out comes home, and its price is sunk."""
    for number, van in enumerate(model.instance.problem.vans):
        model.routing.SetFixedCostOfVehicle(0 if van.under_way else van.fixed_cents * MILLI, number)
        if van.under_way:
            model.routing.SetVehicleUsedWhenEmpty(True, number)


def time_passes(model: RoutingModel) -> None:
    """Service and driving take their time; service begins in a window, waiting where it has not opened."""
    instance = model.instance
    horizon = int(instance.finish_s.max())
    evaluators = _time_evaluators(model)
    model.routing.AddDimensionWithVehicleTransits(evaluators, horizon, horizon, False, "time")
    time = model.routing.GetDimensionOrDie("time")
    model.dimensions["time"] = time
    for at in range(model.visits):
        _open(model, time.CumulVar(model.manager.NodeToIndex(at)), model.nodes[at], horizon)
    for van in _leaving(model):
        _open(model, time.CumulVar(model.routing.Start(van)), int(instance.start[van]), horizon)
        _open(model, time.CumulVar(model.routing.End(van)), int(instance.end[van]), horizon)


def _leaving(model: RoutingModel) -> list[int]:
    """Return the vans that can leave; the bounds of a van that never can would leave no plan at all."""
    return np.flatnonzero(~model.instance.grounded).tolist()


def _time_evaluators(model: RoutingModel) -> list[int]:
    """Driving times at the worst hour of a drive: a plan that holds then always holds (the judge has the true times).

    A visit's setup belongs to the drive to it, and its hours begin and end so much later (`_spans`).
    """
    instance = model.instance
    setups = np.where(model.place[:, None] == model.place, 0, instance.setup_s[model.nodes])
    evaluators = dict[tuple[int, int], int]()
    paces = [(model.kind(van), int(instance.time_percent[van])) for van in model.vans]
    for pace in set(paces):
        times = _driving_s(model, *pace) + model.service_s[:, None] + setups
        evaluators[pace] = model.routing.RegisterTransitMatrix(times.tolist())
    return [evaluators[pace] for pace in paces]


def _driving_s(model: RoutingModel, kind: int, percent: int) -> Ints:
    own = -(-model.instance.kind_seconds[kind][np.ix_(model.place, model.place)] * percent // 100)
    return np.asarray(-(-own * model.slowest // 100))


def _slowest(model: RoutingModel) -> Ints:
    """Return the worst percentage of each drive: it begins after the first opening here, and ends by the last closing there."""
    instance = model.instance
    leave_s = np.maximum(instance.open_s[:, model.nodes, 0].min(axis=0), instance.begin_s.min()) + model.service_s
    arrive_s = np.minimum(instance.close_s[:, model.nodes, -1].max(axis=0), instance.finish_s.max())
    percent = np.full((len(model.nodes), len(model.nodes)), 100, dtype=np.int64)
    for slot in instance.problem.slots:
        inside = (leave_s[:, None] < slot.until_s) & (arrive_s[None, :] > slot.from_s)
        percent[inside] = np.maximum(percent[inside], slot.percent)
    return percent


def _open(model: RoutingModel, variable: Any, node: int, horizon: int) -> None:
    """Confine the variable to the hours when the node is open to any van."""
    spans = {span for zone in range(len(model.instance.open_s)) for span in _spans(model.instance, zone, node)}
    windows = sorted((start, min(end, horizon)) for start, end in spans if start <= horizon)
    if not windows:
        return
    variable.SetRange(windows[0][0], max(end for _, end in windows))
    shut = windows[0][1]
    for start, end in windows[1:]:
        if start > shut + 1:
            variable.RemoveInterval(shut + 1, start - 1)
        shut = max(shut, end)


def _spans(instance: Instance, zone: int, node: int) -> list[tuple[int, int]]:
    setup_s = int(instance.setup_s[node])
    spans = zip(instance.open_s[zone, node].tolist(), instance.close_s[zone, node].tolist(), strict=True)
    return [(opens + setup_s, closes + setup_s) for opens, closes in dict.fromkeys(spans) if opens < NEVER_S]


def zones_keep_their_hours(model: RoutingModel) -> None:
    """Where a zone's hours differ from van to van, each van keeps its own."""
    instance = model.instance
    if len(instance.open_s) == 1:
        return
    time, horizon = model.dimensions["time"], int(instance.finish_s.max())
    for node, index in model.index_of.items():
        for zone in range(len(instance.open_s)):
            if _spans(instance, zone, node) != _spans(instance, (zone + 1) % len(instance.open_s), node):
                vans = np.flatnonzero(instance.van_class == zone).tolist()
                _bar_hours(model, index, vans, _gaps(_spans(instance, zone, node), horizon), time)


def _gaps(spans: Sequence[tuple[int, int]], horizon: int) -> list[tuple[int, int]]:
    bounds = [-1, *(second for span in spans for second in span), horizon + 1]
    return [(shut + 1, opened - 1) for shut, opened in zip(bounds[::2], bounds[1::2], strict=True) if opened - 1 > shut]


def _bar_hours(model: RoutingModel, index: int, vans: list[int], gaps: list[tuple[int, int]], time: Any) -> None:
    mine = model.solver.IsMemberVar(model.routing.VehicleVar(index), vans)
    for first, last in gaps:
        inside = model.solver.IsBetweenVar(time.CumulVar(index), first, last)
        model.solver.Add(mine + inside <= 1)


def shift_bounds_the_run(model: RoutingModel) -> None:
    """A run begins and ends inside the shift, by the latest start, and is not too long."""
    instance, time = model.instance, model.dimensions["time"]
    for van in _leaving(model):
        unload_s = int(instance.service_s[instance.end[van]])
        start, end = time.CumulVar(model.routing.Start(van)), time.CumulVar(model.routing.End(van))
        start.SetMin(int(instance.begin_s[van]))
        start.SetMax(int(instance.begin_s[van] if instance.under_way[van] else instance.latest_begin_s[van]))
        end.SetMax(max(int(instance.finish_s[van]) - unload_s, int(instance.begin_s[van])))
        most = int(instance.max_duration_s[van])
        if most < NEVER_S:
            time.SetSpanUpperBoundForVehicle(max(0, most - unload_s - int(instance.past_s[van])), van)


def pay_for_hours(model: RoutingModel) -> None:
    """Hours from start to end are paid, those beyond the normal at a higher price; runs begin late and end early."""
    time = model.dimensions["time"]
    for number, van in enumerate(model.instance.problem.vans):
        model.routing.AddVariableMinimizedByFinalizer(time.CumulVar(model.routing.End(number)))
        model.routing.AddVariableMaximizedByFinalizer(time.CumulVar(model.routing.Start(number)))
        time.SetSpanCostCoefficientForVehicle(round(van.hour_cents * MILLI / 3600), number)
        if van.normal_s is not None and van.overtime_hour_cents:
            past_s = int(model.instance.past_s[number] + model.instance.service_s[model.instance.end[number]])
            bound = pywrapcp.BoundCost(max(0, van.normal_s - past_s), round(van.overtime_hour_cents * MILLI / 3600))
            time.SetSoftSpanUpperBoundForVehicle(bound, number)


def way_is_bounded(model: RoutingModel) -> None:
    """No van drives farther than it may."""
    most = model.instance.max_metres
    if (most < NEVER_S).any():
        ways = [model.routing.RegisterTransitMatrix(metres.tolist()) for metres in model.metres]
        left = [int(max(0, metres)) for metres in most - model.instance.past_m]
        of_vans = [ways[model.kind(van)] for van in model.vans]
        model.routing.AddDimensionWithVehicleTransitAndCapacity(of_vans, 0, left, True, "way")


def visits_are_counted(model: RoutingModel) -> None:
    """No van makes more visits than it may."""
    instance = model.instance
    if (instance.max_visits < NEVER_S).any():
        tasks = model.vector((instance.kind <= NodeKind.DELIVER).astype(np.int64))
        evaluator = model.routing.RegisterUnaryTransitVector(tasks)
        left = [int(max(0, visits)) for visits in instance.max_visits - instance.past_visits]
        model.routing.AddDimensionWithVehicleCapacity(evaluator, 0, left, True, "visits")


def legs_are_bounded(model: RoutingModel) -> None:
    """No van drives farther or longer in one go than it may: a van may make none of its `legs`, those that are too long."""
    instance = model.instance
    bounds = [tuple(int(one[van]) for one in (instance.max_leg_metres, instance.max_leg_s)) for van in model.vans]
    if min(map(min, bounds)) < NEVER_S:
        evaluators = dict[tuple[int, ...], int]()
        for van, bound in enumerate(bounds):
            pace = model.kind(van), int(instance.time_percent[van])
            key = (*bound, *pace)
            if key not in evaluators:
                far = (model.metres[pace[0]] > bound[0]) | (_driving_s(model, *pace) > bound[1])
                evaluators[key] = model.routing.RegisterTransitMatrix(far.astype(int).tolist())
            bounds[van] = key
        transits = [evaluators[key] for key in bounds]
        model.routing.AddDimensionWithVehicleTransits(transits, 0, 0, True, "legs")


def waiting_is_bounded(model: RoutingModel) -> None:
    """No van waits longer on its run than it may: its time from start to end is spent driving, serving and resting."""
    instance, time = model.instance, model.dimensions["time"]
    limited = np.flatnonzero(instance.max_wait_s < NEVER_S).tolist()
    if not limited:
        return
    horizon = int(instance.finish_s.max())
    model.routing.AddDimensionWithVehicleTransits(_time_evaluators(model), 0, horizon, True, "busy")
    busy = model.routing.GetDimensionOrDie("busy")
    for van in limited:
        rests_s = sum(int(instance.service_s[rest]) for rest in instance.breaks[van])
        most_s = int(instance.max_wait_s[van] - instance.past_wait_s[van]) + rests_s
        start, end = model.routing.Start(van), model.routing.End(van)
        idle = 1 - model.routing.ActiveVehicleVar(van)
        out_s = time.CumulVar(end) - time.CumulVar(start)
        model.solver.Add(out_s - busy.CumulVar(end) <= max(0, most_s) + idle * NEVER_S)


def loads_fit(model: RoutingModel) -> None:
    """At every point, crates to deliver, crates collected and shipments on the way fit the van, in each dimension."""
    instance = model.instance
    for number, name in enumerate(instance.problem.dimensions):
        deliver, collect, change = (
            amounts[:, number] for amounts in (instance.deliver, instance.collect, instance.change)
        )
        start = instance.base_load[:, number] + instance.carried[:, number]
        if deliver.any() or collect.any() or change.any() or start.any():
            _load_dimension(model, f"load {name}", number, start)


def _load_dimension(model: RoutingModel, name: str, number: int, start: Ints) -> None:
    """`load` rises and falls with everything loaded and unloaded; at a trip's end no delivery is missing from it."""
    instance, routing = model.instance, model.routing
    capacity = [int(room) for room in instance.capacity[:, number]]
    deliver, collect, change = (amounts[:, number] for amounts in (instance.deliver, instance.collect, instance.change))
    load = _reloadable(model, name, collect - deliver + change, capacity, free_start=True)
    for van in model.vans:
        variable = load.CumulVar(routing.Start(van))
        if instance.under_way[van]:
            variable.SetValue(int(start[van]))
        elif not deliver.any():
            variable.SetValue(0)
    if deliver.any() and (collect.any() or change.any() or model.reloads):
        picked = _reloadable(model, f"{name} picked", collect, capacity, free_start=False)
        _nothing_is_missing(model, load, picked, number)


def _reloadable(model: RoutingModel, name: str, transit: Ints, capacity: list[int], *, free_start: bool) -> Any:
    """Add a dimension of loads that a reload sets anew: it may rise or fall to anything there."""
    room = max(capacity)
    values = model.vector(transit)
    for at in model.reload_van:
        values[at] = -room
    evaluator = model.routing.RegisterUnaryTransitVector(values)
    slack = 2 * room if model.reloads else 0
    model.routing.AddDimensionWithVehicleCapacity(evaluator, slack, capacity, not free_start, name)
    dimension = model.routing.GetDimensionOrDie(name)
    if model.reloads:
        for at in range(model.visits):
            if at not in model.reload_van:
                dimension.SlackVar(model.manager.NodeToIndex(at)).SetValue(0)
        for van in model.vans:
            dimension.SlackVar(model.routing.Start(van)).SetValue(0)
    return dimension


def _nothing_is_missing(model: RoutingModel, load: Any, picked: Any, number: int) -> None:
    ends = [model.routing.End(van) for van in model.vans] + [index for index, _ in model.reloads]
    moving = None
    if model.reloads and model.instance.change[:, number].any():
        evaluator = model.routing.RegisterUnaryTransitVector(model.vector(model.instance.change[:, number]))
        most = int(model.instance.capacity[:, number].max())
        model.routing.AddDimension(evaluator, 0, most, True, f"moving {number}")
        moving = model.routing.GetDimensionOrDie(f"moving {number}")
    for index in ends:
        board = picked.CumulVar(index) + moving.CumulVar(index) if moving else picked.CumulVar(index)
        model.solver.Add(load.CumulVar(index) >= board)


def halves_go_together(model: RoutingModel) -> None:
    """A shipment is collected before it is delivered, by the same van."""
    time = model.dimensions["time"]
    for first in np.flatnonzero(model.instance.kind == NodeKind.COLLECT):
        second = int(model.instance.partner[first])
        if first in model.index_of and second in model.index_of:
            pickup, delivery = model.index_of[int(first)], model.index_of[second]
            model.routing.AddPickupAndDelivery(pickup, delivery)
            model.solver.Add(model.routing.VehicleVar(pickup) == model.routing.VehicleVar(delivery))
            model.solver.Add(time.CumulVar(pickup) <= time.CumulVar(delivery))


def nothing_stays_long_on_board(model: RoutingModel) -> None:
    """A shipment is delivered within its longest time on board, after its collection, or after it was collected on the way."""
    instance, time = model.instance, model.dimensions["time"]
    for last in np.flatnonzero(instance.max_on_board_s < NEVER_S).tolist():
        first, most_s = int(instance.partner[last]), int(instance.max_on_board_s[last])
        if first in model.index_of:
            pickup, delivery = (time.CumulVar(model.index_of[node]) for node in (first, last))
            model.solver.Add(delivery - pickup <= most_s + int(instance.service_s[first] + instance.setup_s[last]))
        elif last in model.index_of:
            latest_s = int(instance.collected_s[last] + instance.setup_s[last]) + most_s
            model.solver.Add(time.CumulVar(model.index_of[last]) <= max(latest_s, int(instance.begin_s.min())))


def only_vans_that_may(model: RoutingModel) -> None:
    """Skills, sizes, zones, wishes, locks, crates on board and depots decide which vans may come.

    Stricter than the judge where a van loads again: its stops are all of the depot where it begins and ends.
    """
    barred = model.instance.out_of_reach
    for node, index in model.index_of.items():
        allowed = [van for van in model.vans if not barred[van, node]]
        if len(allowed) < len(model.vans):
            model.routing.VehicleVar(index).SetValues([-1, *allowed])
    for index, van in model.reloads:
        model.routing.VehicleVar(index).SetValues([-1, van])


def crates_are_ready(model: RoutingModel) -> None:
    """A van does not leave before its whole load is there (also when it loads again: stricter than the judge)."""
    instance, time = model.instance, model.dimensions["time"]
    starts = [time.CumulVar(model.routing.Start(van)) for van in model.vans]
    for node, index in model.index_of.items():
        ready_s = int(instance.ready_s[node])
        if ready_s > instance.begin_s.min():
            _whoever_comes(model, index, starts, at_least=ready_s)


def back_in_time(model: RoutingModel) -> None:
    """Collected crates are unloaded by the time they are due; without a due time, before the depot's sorting ends."""
    instance, time = model.instance, model.dimensions["time"]
    cut_off = np.append(instance.cut_off_s, NEVER_S)[instance.depot[instance.end]]
    ends = [time.CumulVar(model.routing.End(van)) for van in model.vans]
    unload_s = instance.service_s[instance.end]
    for node, index in model.index_of.items():
        if instance.collect[node].any():
            latest = (cut_off if instance.due_s[node] == NEVER_S else instance.due_s[node]) - unload_s
            if (latest < instance.finish_s).any():
                _whoever_comes(model, index, ends, at_most=int(latest.min()))


def _whoever_comes(
    model: RoutingModel, index: int, variables: Sequence[Any], at_least: int | None = None, at_most: int | None = None
) -> None:
    """Bound the variable of the van that visits the index."""
    for van, variable in enumerate(variables):
        mine = model.solver.IsEqualCstVar(model.routing.VehicleVar(index), van)
        if at_least is not None:
            model.solver.Add(variable >= mine * at_least)
        if at_most is not None:
            model.solver.Add(variable + mine * NEVER_S <= at_most + NEVER_S)


def drivers_rest(model: RoutingModel) -> None:
    """Each driver's breaks fall in their windows, between visits or on the road."""
    time, solver = model.dimensions["time"], model.solver
    transits = [0] * model.routing.Size()
    for index in range(model.routing.Size()):
        transits[index] = int(model.service_s[model.manager.IndexToNode(index)])
    for van, nodes in enumerate(model.instance.breaks):
        rests = [_rest(model, van, node, solver, time) for node in nodes if not has_rested(model.instance, van, node)]
        if rests:
            time.SetBreakIntervalsOfVehicle([rest for group in rests for rest in group], van, transits)


def _rest(model: RoutingModel, van: int, node: int, solver: Any, time: Any) -> list[Any]:
    """Return an interval for a break, or an optional interval for each of its windows, of which exactly one is used."""
    instance = model.instance
    length_s, latest = int(instance.service_s[node]), int(instance.finish_s[van])
    spans = [(start, min(end, latest)) for start, end in _spans(instance, 0, node) if start <= latest]
    one = len(spans) == 1
    rests = [
        solver.FixedDurationIntervalVar(start, end, length_s, not one, f"{instance.keys[node]} {van} {start}")
        for start, end in spans
    ]
    if len(rests) > 1:
        solver.Add(solver.Sum([rest.PerformedExpr().Var() for rest in rests]) == 1)
    if instance.close_s[0, node, -1] >= NEVER_S:
        idle = 1 - model.routing.ActiveVehicleVar(van)
        solver.Add(rests[0].SafeStartExpr(0) + idle * NEVER_S >= time.CumulVar(model.routing.Start(van)))
        solver.Add(rests[0].SafeEndExpr(0) <= time.CumulVar(model.routing.End(van)) + idle * NEVER_S)
    return rests


def docks_hold(model: RoutingModel) -> None:
    """No more vans load and unload at a depot at once than it has docks."""
    instance = model.instance
    for number, depot in enumerate(instance.problem.depots):
        stays = _stays(model, number) if depot.docks else []
        if stays:
            intervals, demands = zip(*stays, strict=True)
            model.solver.Add(model.solver.Cumulative(list(intervals), list(demands), depot.docks, f"docks {depot.id}"))


def _stays(model: RoutingModel, depot: int) -> list[tuple[Any, Any]]:
    """Return the interval at the depot of each start, end, reload and trunk's half, and the variable that says it happens."""
    instance, solver, routing = model.instance, model.solver, model.routing
    ends = [(routing.Start(van), int(instance.start[van]), routing.ActiveVehicleVar(van)) for van in model.vans]
    ends += [(routing.End(van), int(instance.end[van]), routing.ActiveVehicleVar(van)) for van in model.vans]
    ends += [
        (model.manager.NodeToIndex(at), node, routing.ActiveVar(model.manager.NodeToIndex(at)))
        for at, node in enumerate(model.nodes[: model.visits])
    ]
    time = model.dimensions["time"]
    return [
        (solver.FixedDurationIntervalVar(time.CumulVar(index), int(instance.service_s[node]), f"dock {index}"), happens)
        for index, node, happens in ends
        if instance.dock[node] == depot and instance.service_s[node]
    ]


def locks_hold(model: RoutingModel) -> None:
    """Visits locked in an order are on the same van in that order; unbroken ones follow each other."""
    for lock in model.instance.problem.locks:
        indices = [model.index_of[node] for visit in lock.visits if (node := _node(model, visit)) in model.index_of]
        for first, second in pairwise(indices if lock.order != "free" else []):
            _keep_order(model, first, second, unbroken=lock.order == "unbroken")


def _node(model: RoutingModel, visit: str) -> int:
    return model.instance.task_number.get(visit, -1)


def _keep_order(model: RoutingModel, first: int, second: int, *, unbroken: bool) -> None:
    routing, solver = model.routing, model.solver
    if "position" not in model.dimensions:
        routing.AddConstantDimension(1, routing.Size() + 1, True, "position")
        model.dimensions["position"] = routing.GetDimensionOrDie("position")
    position = model.dimensions["position"]
    missing = 2 - model.both_made(first, second)
    together = solver.IsEqualVar(routing.VehicleVar(first), routing.VehicleVar(second))
    solver.Add(together + missing >= 1)
    room = routing.Size() + 2
    solver.Add(position.CumulVar(first) + 1 <= position.CumulVar(second) + missing * room)
    if unbroken:
        solver.Add(position.CumulVar(second) <= position.CumulVar(first) + 1 + missing * room)


def groups_stay_apart(model: RoutingModel) -> None:
    """Each van serves one group of what is kept apart, the one that it has begun with where it is under way."""
    instance, solver = model.instance, model.solver
    for number, groups in enumerate(instance.apart):
        so_far = instance.group_so_far[number]
        bounds = [(int(group), int(group)) if group >= 0 else (0, int(groups.max())) for group in so_far]
        served = [solver.IntVar(*bound, f"apart {number} {van}") for van, bound in enumerate(bounds)]
        for node, index in model.index_of.items():
            for van in model.vans if groups[node] >= 0 else ():
                mine = solver.IsEqualCstVar(model.routing.VehicleVar(index), van)
                solver.Add(mine <= solver.IsEqualCstVar(served[van], int(groups[node])))


def reloads_in_turn(model: RoutingModel) -> None:
    """Reloads of a van are alike: the second is used only after the first, and none without a stop to follow."""
    time = model.dimensions["time"]
    by_van = dict[tuple[int, int], list[int]]()
    for index, van in model.reloads:
        by_van.setdefault((van, model.nodes[model.manager.IndexToNode(index)]), []).append(index)
    for indices in by_van.values():
        for first, second in pairwise(indices):
            model.solver.Add(model.routing.ActiveVar(first) >= model.routing.ActiveVar(second))
            idle = 1 - model.routing.ActiveVar(second)
            model.solver.Add(time.CumulVar(first) <= time.CumulVar(second) + idle * NEVER_S)
    for van in model.vans:
        mine = [model.routing.ActiveVar(index) for index, owner in model.reloads if owner == van]
        if len(mine) > model.instance.problem.vans[van].max_reloads:
            model.solver.Add(model.solver.Sum(mine) <= model.instance.problem.vans[van].max_reloads)


def wishes_are_priced(model: RoutingModel) -> None:
    """A van that is not preferred, or not the baseline's, costs its price (order is priced by the judge alone)."""
    instance, costs = model.instance, model.instance.problem.costs
    prices = instance.not_preferred * costs.not_preferred_cents * MILLI
    for node, van in _baseline_vans(instance).items() if costs.change_cents else ():
        prices[:, node] += costs.change_cents * MILLI
        if van is not None:
            prices[van, node] -= costs.change_cents * MILLI
    if not prices.any():
        return
    evaluators = [model.routing.RegisterUnaryTransitVector(model.vector(prices[van])) for van in model.vans]
    most = int(prices.sum(axis=1).max()) + 1
    model.routing.AddDimensionWithVehicleTransits(evaluators, 0, most, True, "wishes")
    model.routing.GetDimensionOrDie("wishes").SetSpanCostCoefficientForAllVehicles(1)


def _baseline_vans(instance: Instance) -> dict[int, int | None]:
    visits = [
        (instance.task_number.get(visit), instance.van_number.get(run.van))
        for run in instance.problem.baseline
        for visit in run.visits
    ]
    return {node: van for node, van in visits if node is not None}


def work_is_shared(model: RoutingModel) -> None:
    """Work beyond an even share costs extra: the nearest available to a price on the longest less the shortest work."""
    price = model.instance.problem.costs.imbalance_hour_cents
    share_s = _even_share_s(model.instance)
    if price and share_s:
        model.routing.AddDimensionWithVehicleTransits(
            _time_evaluators(model),
            int(model.instance.finish_s.max()),
            int(model.instance.finish_s.max()),
            False,
            "work",
        )
        work, time = model.routing.GetDimensionOrDie("work"), model.dimensions["time"]
        for van in model.vans:
            for index in (model.routing.Start(van), model.routing.End(van)):
                model.solver.Add(work.CumulVar(index) == time.CumulVar(index))
            work.SetSoftSpanUpperBoundForVehicle(pywrapcp.BoundCost(share_s, round(price * MILLI / 3600)), van)


def _even_share_s(instance: Instance) -> int:
    """A rough even share of the day's work: all service, and a drive to each task from its nearest, over all vans."""
    tasks = np.flatnonzero(instance.free)
    if not len(tasks):
        return 0
    seconds = instance.seconds[np.ix_(instance.place[tasks], instance.place[tasks])].astype(float)
    np.fill_diagonal(seconds, np.inf)
    nearest = np.where(np.isfinite(seconds.min(axis=1)), seconds.min(axis=1), 0)
    return int((instance.service_s[tasks].sum() + nearest.sum()) / len(instance.start))


CONSTRAINTS: tuple[Callable[[RoutingModel], None], ...] = (
    serve_or_pay,
    pay_for_the_way,
    pay_for_the_van,
    time_passes,
    zones_keep_their_hours,
    shift_bounds_the_run,
    pay_for_hours,
    way_is_bounded,
    visits_are_counted,
    legs_are_bounded,
    waiting_is_bounded,
    loads_fit,
    halves_go_together,
    nothing_stays_long_on_board,
    only_vans_that_may,
    crates_are_ready,
    back_in_time,
    drivers_rest,
    docks_hold,
    locks_hold,
    groups_stay_apart,
    reloads_in_turn,
    wishes_are_priced,
    work_is_shared,
)


# ---- building and searching


def build(instance: Instance) -> RoutingModel:
    """Return the model of the whole problem."""
    tasks = np.flatnonzero(instance.free).tolist()
    reloads = [
        (node, van)
        for van, nodes in enumerate(instance.reloads)
        for node in nodes
        for _ in range(instance.problem.vans[van].max_reloads)
    ]
    vans = len(instance.start)
    visits = len(tasks) + len(reloads)
    nodes = [*tasks, *(node for node, _ in reloads), *instance.start.tolist(), *instance.end.tolist()]
    starts, ends = list(range(visits, visits + vans)), list(range(visits + vans, visits + 2 * vans))
    manager = pywrapcp.RoutingIndexManager(len(nodes), vans, starts, ends)
    reload_van = {len(tasks) + number: van for number, (_, van) in enumerate(reloads)}
    model = RoutingModel(instance, manager, pywrapcp.RoutingModel(manager), nodes, visits, reload_van)
    for constrain in CONSTRAINTS:
        constrain(model)
    return model


def parameters(model: RoutingModel, limits: Limits) -> Any:
    """Return the recipe: iterated local search, ruin by strings and walks, recreate in random order, annealing."""
    chosen = pywrapcp.DefaultRoutingSearchParameters()
    chosen.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.LOCAL_CHEAPEST_INSERTION
    chosen.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GREEDY_DESCENT
    stalled_s = ITERATION_S_PER_NODE * len(model.nodes) * (limits.iterations or 0)
    time_s = limits.time_s if limits.iterations is None else stalled_s
    chosen.time_limit.FromMilliseconds(max(1, int(time_s * 1000)))
    if limits.iterations is not None:
        chosen.solution_limit = limits.iterations
    chosen.disable_scheduling_beware_this_may_degrade_performance = True  # its schedulers crawl where drivers rest
    chosen.use_iterated_local_search = True
    search = chosen.iterated_local_search_parameters
    search.improve_perturbed_solution = False
    _ruin_and_recreate(search.ruin_recreate_parameters)
    annealing = search.reference_solution_acceptance_strategy.simulated_annealing
    annealing.automatic_temperatures = False
    annealing.initial_temperature = _temperature(model)
    annealing.final_temperature = annealing.initial_temperature * COOLED
    return chosen


def _goes_both_ways(instance: Instance) -> bool:
    """Crates out and back, or optional work: there ruin and recreate freezes, and guided local search goes on."""
    both = instance.deliver.any() and instance.collect.any()
    return bool(both or (instance.prize_cents != MANDATORY).any())


def _ruin_and_recreate(chosen: Any) -> None:
    chosen.ClearField("ruin_strategies")
    for removed in (10, 20):
        sisr = chosen.ruin_strategies.add().sisr
        sisr.max_removed_sequence_size, sisr.avg_num_removed_visits, sisr.bypass_factor = 10, removed, 0.01
    chosen.ruin_strategies.add().random_walk.num_removed_visits = 10
    chosen.ruin_composition_strategy = routing_ils_pb2.RuinCompositionStrategy.RUN_ONE_RANDOMLY
    insertion = routing_heuristic_parameters_pb2.LocalCheapestInsertionParameters
    chosen.recreate_strategy.heuristic = routing_enums_pb2.FirstSolutionStrategy.LOCAL_CHEAPEST_INSERTION
    order = chosen.recreate_strategy.parameters.local_cheapest_insertion
    order.insertion_sorting_properties.append(insertion.InsertionSortingProperty.SORTING_PROPERTY_RANDOM)


def _temperature(model: RoutingModel) -> float:
    """Mean cost of the drives from a node to its nearest: annealing in the scale of the problem."""
    prices = _metre_prices(model.instance)
    hours = np.mean([van.hour_cents for van in model.instance.problem.vans]) * MILLI / 3600
    seconds = model.instance.seconds[np.ix_(model.place, model.place)]
    costs = np.sort(model.metres[0] * np.mean(prices) + seconds * hours, axis=1)[:, 1 : NEAREST + 1]
    return max(1.0, float(costs.mean()) if costs.size else 1.0)


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Search until a limit or until `report` answers no; report each better plan as runs of van and nodes."""
    if not instance.free.any():
        report([])
        return
    begun = monotonic()
    model = build(instance)
    chosen = parameters(model, replace(limits, time_s=limits.time_s - (monotonic() - begun)))
    watch = Watch(model, report)
    model.routing.CloseModelWithParameters(chosen)
    model.routing.AddAtSolutionCallback(watch)
    start = _assignment(model, warm or (first_plan(instance) if _goes_both_ways(instance) else None))
    if start is not None:
        chosen.use_iterated_local_search = False
        chosen.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
        found = model.routing.SolveFromAssignmentWithParameters(start, chosen)
    else:
        found = model.routing.SolveWithIteratedLocalSearch(chosen)
    if found is not None:
        watch.see(found)


def _assignment(model: RoutingModel, warm: Plan | None) -> Any:
    """Return the starting plan in OR-Tools' form, or None where it does not hold in the model."""
    if not warm:
        return None
    routes: list[list[int]] = [[] for _ in model.vans]
    spare = {van: [index for index, owner in model.reloads if owner == van] for van in model.vans}
    for van, nodes in warm:
        for node in nodes:
            if node in model.index_of:
                routes[van].append(model.index_of[node])
            elif model.instance.kind[node] == NodeKind.RELOAD and spare[van]:
                routes[van].append(spare[van].pop(0))
    return model.routing.ReadAssignmentFromRoutes(routes, True)


class Watch:
    """Receives every plan that the search accepts and passes on those cheaper than all before."""

    def __init__(self, model: RoutingModel, report: Report) -> None:
        self.model, self.report, self.best = model, report, None

    def __call__(self) -> None:
        cost = self.model.routing.CostVar().Max()  # without schedulers it need not be bound
        if self.best is None or cost < self.best:
            self.best = cost
            self._pass_on(lambda index: self.model.routing.NextVar(index).Value())

    def see(self, assignment: Any) -> None:
        if self.best is None or assignment.ObjectiveValue() < self.best:
            self._pass_on(lambda index: assignment.Value(self.model.routing.NextVar(index)))

    def _pass_on(self, following: Callable[[int], int]) -> None:
        if not self.report(_runs(self.model, following)):
            self.model.routing.solver().FinishCurrentSearch()


def _runs(model: RoutingModel, following: Callable[[int], int]) -> Plan:
    runs: Plan = []
    for van in model.vans:
        nodes, index = list[int](), following(model.routing.Start(van))
        while not model.routing.IsEnd(index):
            nodes.append(model.nodes[model.manager.IndexToNode(index)])
            index = following(index)
        if nodes or model.instance.under_way[van]:
            runs.append((van, with_breaks(model.instance, van, without_idle_reloads(model.instance, nodes))))
    return runs
