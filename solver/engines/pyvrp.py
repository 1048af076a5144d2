"""PyVRP as an engine: the problem, or a part of it, in its terms, and a search of our own from its moves.

The idea: a place is a location, a depot is a location of its own whose inbound drives include the unloading, alike vans share
a type, and a place that a van may never visit lies infinitely far away for it. Rules that this cannot express (`left_out`) are
not given to PyVRP: `solver.evaluate` judges every plan that comes from here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from time import monotonic
from typing import Any, NamedTuple, cast

import numpy as np
import pyvrp

from solver.alone import servable
from solver.breaks import with_breaks
from solver.engines import Limits, Plan, Report
from solver.instance import MANDATORY, Instance, NodeKind
from solver.problem import DAY_S
from solver.schedule import drive, table
from solver.timing_kernels import NEVER_S, Bools, Ints

NAME = "pyvrp"
VERSIONS = {"pyvrp": version("pyvrp")}

FAR = 50 * DAY_S  # seconds, metres: no shift is so long
# In a cent: hours and kilometres then cost whole numbers by the second and the metre.
COST_UNITS = 36_000
# For leaving out mandatory work, where not all can be served: with a van, more than any run costs.
SOFT_CENTS = 1_000_000
Hours = tuple[int, int]  # from and until, seconds
NO_HOURS: Hours = (NEVER_S, NEVER_S)  # no van is at work then
# Matrices of vans that differ in speed or in permitted visits: memory grows with each.
MOST_PROFILES = 12


class Profile(NamedTuple):
    """What distinguishes the ways of vans: those of one profile share a matrix."""

    kind: int
    time_percent: int
    max_leg_metres: int
    max_leg_s: int
    barred: tuple[int, ...]  # tasks that they may not do


def left_out(instance: Instance) -> list[str]:
    """Return the parts of the problem that PyVRP does not know: its plans may break or ignore them, and are judged for it."""
    problem = instance.problem
    tests = {
        "breaks": any(van.breaks for van in problem.vans),
        "slots": bool(problem.slots),
        "docks": any(depot.docks for depot in problem.depots),
        "order locks": any(lock.order != "free" for lock in problem.locks),
        "locks together": any(not lock.van for lock in problem.locks),
        "hours of zones by plate": instance.open_s.shape[0] > 1,
        "several depot windows": any(len(depot.windows) > 1 for depot in problem.depots),
        "due times of stops": bool((instance.due_s < NEVER_S).any()),
        "setup at a place of several visits": _setups_at_shared_places(instance),
        "groups apart": bool(problem.apart),
        "imbalance": problem.costs.imbalance_hour_cents > 0,
        "preferred vans": problem.costs.not_preferred_cents > 0 and bool(instance.not_preferred.any()),
        "least change": problem.costs.change_cents > 0 and bool(problem.baseline),
        "priorities": bool(instance.priority.any()),
        "several windows of a shipment": _shipments_choose(instance),
        "most visits, with shipments or reloads": bool((instance.max_visits < NEVER_S).any())
        and (bool(problem.shipments) or any(van.max_reloads for van in problem.vans)),
        "longest time on board": bool((instance.max_on_board_s < NEVER_S).any()),
        "longest waiting": bool((instance.max_wait_s < NEVER_S).any()),
        "shipments over a reload": bool(problem.shipments) and any(van.max_reloads for van in problem.vans),
    }
    return [name for name, found in tests.items() if found]


def _setups_at_shared_places(instance: Instance) -> bool:
    """Whether a visit may need no setup: its hours are then off by it, as the setup is part of the drive to it."""
    places = instance.place[: instance.tasks]
    shared = np.isin(places, [*instance.place[instance.start], *instance.place[instance.depot >= 0]])
    shared |= np.bincount(places, minlength=len(instance.places) + 1)[places] > 1
    return bool((shared & (instance.setup_s[: instance.tasks] > 0)).any())


def _shipments_choose(instance: Instance) -> bool:
    halves = instance.partner >= 0
    return bool((instance.open_s[:, halves, :1] != instance.open_s[:, halves, -1:]).any())


def refused(instance: Instance) -> list[str]:
    """Return why PyVRP cannot take the problem at all; empty: it can."""
    tests = {
        "vans under way": bool(instance.under_way.any()),
        "own depots of stops with reloads": bool((instance.wanted_depot >= 0).any())
        and any(van.max_reloads for van in instance.problem.vans),
        "vans of too many kinds": len({_profile(instance, van) for van in range(len(instance.start))}) > MOST_PROFILES,
    }
    return [name for name, found in tests.items() if found]


@dataclass(frozen=True)
class SubProblem:
    """Some of the items, and the vans that may serve them.

    `soft`: not all mandatory work can be served; it is left out at a price higher than any run, by priority.
    """

    items: tuple[int, ...]
    vans: tuple[int, ...]
    soft: bool = False

    @classmethod
    def whole(cls, instance: Instance) -> "SubProblem":
        return cls(tuple(range(len(instance.items))), tuple(range(len(instance.start))))

    def possible(self, instance: Instance, servable: Bools) -> "SubProblem":
        """Return the part without items that no van could serve alone, and without vans that can never leave."""
        items = tuple(item for item in self.items if servable[item])
        return replace(self, items=items, vans=tuple(van for van in self.vans if not instance.grounded[van]))


class PyvrpModel:
    """A part of an instance as PyVRP's data, and plans in both directions."""

    def __init__(self, instance: Instance, part: SubProblem, kinds: Sequence[int] | None = None) -> None:
        """`kinds` is `alike(instance)`, if available."""
        self.instance, self.part = instance, part
        self.types = _types(kinds or alike(instance), part.vans)
        self.profiles = list(dict.fromkeys(_profile(instance, vans[0]) for vans in self.types))
        self.location, self.node_place, self.node_setup_s, self.depot_at = self._locate()
        self.units = _cost_units(instance, part)
        # Visits of stops are counted as a dimension of what is collected, where any van's are.
        self.counts = int((instance.max_visits < NEVER_S).any())
        self.soft_cents = SOFT_CENTS + max(instance.problem.vans[van].fixed_cents for van in part.vans)
        self.client_node: list[int] = []
        self.shipment_item: list[int] = []
        self.data = self._data()
        self.client_of = {node: index for index, node in reversed(list(enumerate(self.client_node)))}
        self.shipment_of = {item: index for index, item in enumerate(self.shipment_item)}

    # ---- to PyVRP

    def _locate(self) -> tuple[dict[int, int], list[int], list[int], dict[tuple[int, int], int]]:
        """Return each node's location, each location's place and setup, and the locations of depots.

        Nodes that some van may not visit stand alone, others with the same setup at the same place share it.
        """
        instance, location, places, setups = self.instance, dict[int, int](), list[int](), list[int]()
        shared = dict[tuple[int, int], int]()
        for item in self.part.items:
            for node in instance.item_nodes[item]:
                place, setup_s = int(instance.place[node]), int(instance.setup_s[node])
                alone = bool(instance.out_of_reach[list(self.part.vans), node].any())
                if alone or (place, setup_s) not in shared:
                    places.append(place)
                    setups.append(setup_s)
                location[node] = len(places) - 1 if alone else shared.setdefault((place, setup_s), len(places) - 1)
        depots = dict[tuple[int, int], int]()
        for node in self._depot_nodes():
            key = (int(instance.place[node]), int(instance.depot[node]))
            if key not in depots:
                depots[key] = len(places)
                places.append(key[0])
                setups.append(0)
        return location, places, setups, depots

    def _depot_nodes(self) -> list[int]:
        instance, vans = self.instance, list(self.part.vans)
        ends = [int(node) for van in vans for node in (instance.start[van], instance.end[van])]
        return ends + [node for van in vans for node in instance.reloads[van]]

    def _depot(self, node: int) -> int:
        """Number of the PyVRP depot where this start, end or reload is."""
        key = (int(self.instance.place[node]), int(self.instance.depot[node]))
        return list(self.depot_at).index(key)

    def _data(self) -> pyvrp.ProblemData:
        clients, groups = self._clients()
        matrices = [self._matrices(profile) for profile in self.profiles]
        return pyvrp.ProblemData(
            [pyvrp.Location(0, 0) for _ in self.node_place],
            clients,
            self._depots(),
            [self._vehicle_type(vans) for vans in self.types],
            cast(Any, [metres for metres, _ in matrices]),
            cast(Any, [seconds for _, seconds in matrices]),
            groups,
            self._shipments(),
        )

    def _matrices(self, profile: Profile) -> tuple[Ints, Ints]:
        """Return metres and seconds between the locations for vans of a kind."""
        instance, places = self.instance, self.node_place
        metres = instance.kind_metres[profile.kind][np.ix_(places, places)].copy()
        seconds = -(-instance.kind_seconds[profile.kind][np.ix_(places, places)] * profile.time_percent // 100)
        too_long = (metres > profile.max_leg_metres) | (seconds > profile.max_leg_s)
        metres[too_long], seconds[too_long] = FAR, FAR
        elsewhere = np.array(places)[:, None] != np.array(places)
        seconds += np.where(elsewhere, self.node_setup_s, 0)
        for (_, depot), at in self.depot_at.items():
            if depot >= 0:
                seconds[:, at] += instance.problem.depots[depot].unload_s
        far = [self.location[node] for node in profile.barred if node in self.location]
        metres[:, far], seconds[:, far] = FAR, FAR
        np.fill_diagonal(metres, 0)
        np.fill_diagonal(seconds, 0)
        return metres, seconds

    def _depots(self) -> list[pyvrp.Depot]:
        return [self._one_depot(depot, at) for (_, depot), at in self.depot_at.items()]

    def _one_depot(self, number: int, at: int) -> pyvrp.Depot:
        if number < 0:
            return pyvrp.Depot(at)
        depot = self.instance.problem.depots[number]
        opens_s = min((window.from_s for window in depot.windows), default=0)
        closes_s = max((window.until_s for window in depot.windows), default=NEVER_S) + depot.unload_s
        return pyvrp.Depot(at, opens_s, closes_s, depot.load_s)

    def _clients(self) -> tuple[list[pyvrp.Client], list[pyvrp.ClientGroup]]:
        """Return a client for each stop and window; a stop's windows are alternatives."""
        clients, groups = list[pyvrp.Client](), list[pyvrp.ClientGroup]()
        for item in self.part.items:
            nodes = self.instance.item_nodes[item]
            windows = self._windows(nodes[0]) if len(nodes) == 1 else []
            if len(windows) > 1:
                alternatives = list(range(len(clients), len(clients) + len(windows)))
                groups.append(pyvrp.ClientGroup(alternatives, required=self._required(item)))
            for window in windows:
                group = len(groups) - 1 if len(windows) > 1 else None
                clients.append(self._client(nodes[0], item, window, group))
                self.client_node.append(nodes[0])
        return clients, groups

    def _client(self, node: int, item: int, window: tuple[int, int], group: int | None) -> pyvrp.Client:
        instance = self.instance
        return pyvrp.Client(
            self.location[node],
            [*instance.deliver[node].tolist(), *[0] * self.counts],
            [*instance.collect[node].tolist(), *[1] * self.counts],
            int(instance.service_s[node]),
            *_after(window, int(instance.setup_s[node])),
            release_time=int(instance.ready_s[node]),
            prize=self._prize(item),
            required=self._required(item) and group is None,
            group=group,
        )

    def _shipments(self) -> list[pyvrp.Shipment]:
        return [self._shipment(item) for item in self.part.items if len(self.instance.item_nodes[item]) == 2]

    def _shipment(self, item: int) -> pyvrp.Shipment:
        instance, (first, last) = self.instance, self.instance.item_nodes[item]
        self.shipment_item.append(item)
        windows = self._windows_of_shipment(first, last)
        service_s = [int(instance.service_s[node]) for node in (first, last)]
        return pyvrp.Shipment(
            self.location[first],
            self.location[last],
            *_after(windows[0], int(instance.setup_s[first])),
            service_s[0],
            *_after(windows[1], int(instance.setup_s[last])),
            service_s[1],
            [*instance.change[first].tolist(), *[0] * self.counts],
            self._prize(item),
            self._required(item),
        )

    def _windows_of_shipment(self, first: int, last: int) -> tuple[Hours, Hours]:
        """Return a window of each half: PyVRP knows no alternatives here, so the pair that leaves most choice.

        A pair in which the delivery closes before the van can have come from the collection leaves none.
        """
        instance = self.instance
        stay_s = instance.setup_s[first] + instance.service_s[first]
        way_s = int(stay_s + instance.kind_seconds[:, instance.place[first], instance.place[last]].min())
        pairs = [
            ((opens, min(closes, until - way_s)), (max(from_s, opens + way_s), until))
            for opens, closes in self._windows(first)
            for from_s, until in self._windows(last)
        ]
        held = [pair for pair in pairs if all(opens <= closes for opens, closes in pair)]
        return max(held, key=lambda pair: sum(closes - opens for opens, closes in pair), default=(NO_HOURS, NO_HOURS))

    def _windows(self, node: int) -> list[Hours]:
        """Return the node's windows for the first van here, shortened by its due and its ready time; at least one.

        A window that closes before the crates can be loaded is none.
        """
        instance = self.instance
        zone = int(instance.van_class[self.part.vans[0]])
        pairs = zip(instance.open_s[zone, node].tolist(), instance.close_s[zone, node].tolist(), strict=True)
        stay_s = instance.setup_s[node] + instance.service_s[node]
        due_s, ready_s = max(0, int(instance.due_s[node] - stay_s)), int(instance.ready_s[node])
        clipped = dict.fromkeys((max(opens, ready_s), min(closes, due_s)) for opens, closes in pairs)
        return [(opens, closes) for opens, closes in clipped if opens <= closes] or [NO_HOURS]

    def _required(self, item: int) -> bool:
        return bool(self.instance.prize_cents[item] == MANDATORY) and not self.part.soft

    def _prize(self, item: int) -> int:
        """The price of leaving the item out, in PyVRP's units."""
        if self.instance.prize_cents[item] != MANDATORY:
            return int(self.instance.prize_cents[item]) * self.units
        return self.soft_cents * (1 + int(self.instance.priority[item])) * self.units if self.part.soft else 0

    def _vehicle_type(self, vans: Sequence[int]) -> pyvrp.VehicleType:
        instance, van = self.instance, self.instance.problem.vans[vans[0]]
        number, end_s = vans[0], min(int(instance.finish_s[vans[0]]), self._cut_off_s(vans[0]))
        longest_s = int(instance.max_duration_s[number])
        normal_s = longest_s if van.normal_s is None else min(van.normal_s, longest_s)
        per_second, per_metre, per_overtime = (value * self.units // COST_UNITS for value in _rates(instance, number))
        return pyvrp.VehicleType(
            len(vans),
            [*instance.capacity[number].tolist(), *[int(instance.max_visits[number])] * self.counts],
            self._depot(int(instance.start[number])),
            self._depot(int(instance.end[number])),
            van.fixed_cents * self.units,
            int(instance.begin_s[number]),
            max(end_s, int(instance.begin_s[number])),
            normal_s,
            int(instance.max_metres[number]),
            per_metre,
            per_second,
            self.profiles.index(_profile(instance, number)),
            start_late=max(int(instance.begin_s[number]), min(int(instance.latest_begin_s[number]), end_s)),
            reload_depots=[self._depot(node) for node in instance.reloads[number]],
            max_reloads=van.max_reloads,
            max_overtime=longest_s - normal_s,
            unit_overtime_cost=per_overtime,
        )

    def _cut_off_s(self, van: int) -> int:
        """When the van must be unloaded for the sorting, where anything here is collected for it without its own due time."""
        instance = self.instance
        nodes = [node for item in self.part.items for node in instance.item_nodes[item]]
        collected = bool((instance.collect[nodes].any(axis=1) & (instance.due_s[nodes] == NEVER_S)).any())
        depot = int(instance.depot[instance.end[van]])
        return int(instance.cut_off_s[depot]) if collected and depot >= 0 else NEVER_S

    # ---- plans

    def encode(self, plan: Plan) -> pyvrp.Solution:
        """Return the plan's runs as a PyVRP solution; alternatives are chosen by the times of the run.

        Left out, since PyVRP cannot express them: other parts' items, and shipments over a reload.
        """
        kind_of = {van: number for number, vans in enumerate(self.types) for van in vans}
        plan = [(van, self._expressible(van, nodes)) for van, nodes in plan if van in kind_of]
        plan = [(van, nodes) for van, nodes in plan if nodes]
        begins = drive(self.instance, *table(self.instance, plan)).begin_s[:, 1:].tolist() if plan else []
        visits = [
            [self._activity(node, at_s) for node, at_s in zip(nodes, times, strict=False)]
            for (_, nodes), times in zip(plan, begins, strict=True)
        ]
        routes = [pyvrp.Route(self.data, one, kind_of[van]) for (van, _), one in zip(plan, visits, strict=True)]
        return pyvrp.Solution(self.data, routes)

    def _expressible(self, van: int, nodes: Sequence[int]) -> list[int]:
        """Return the nodes of this part's items, both halves on the same trip, and the van's reloads, as many as it may."""
        instance, items = self.instance, {*self.part.items}
        trips = np.cumsum(instance.kind[list(nodes)] == NodeKind.RELOAD).tolist()
        trip_of = {node: trip for node, trip in zip(nodes, trips, strict=True) if instance.item[node] >= 0}
        kept, reloads = list[int](), instance.problem.vans[van].max_reloads
        for node in nodes:
            if node in instance.reloads[van]:
                kept += [node] * (reloads > 0)
                reloads -= 1
            elif int(instance.item[node]) in items and self._is_whole(node, trip_of):
                kept.append(node)
        return kept if any(instance.item[node] >= 0 for node in kept) else []

    def _is_whole(self, node: int, trip_of: dict[int, int]) -> bool:
        other = int(self.instance.partner[node])
        return other < 0 or trip_of.get(other) == trip_of[node]

    def _activity(self, node: int, at_s: int) -> pyvrp.Activity:
        instance, kind = self.instance, self.instance.kind[node]
        if kind == NodeKind.RELOAD:
            return pyvrp.Activity(pyvrp.ActivityType.DEPOT, self._depot(node))
        if kind == NodeKind.STOP:
            windows = self._windows(node)
            which = next((number for number, (_, closes) in enumerate(windows) if at_s <= closes), len(windows) - 1)
            return pyvrp.Activity(pyvrp.ActivityType.CLIENT, self.client_of[node] + which)
        kinds = {NodeKind.COLLECT: pyvrp.ActivityType.PICKUP, NodeKind.DELIVER: pyvrp.ActivityType.DELIVERY}
        return pyvrp.Activity(kinds[NodeKind(kind)], self.shipment_of[int(instance.item[node])])

    def decode(self, solution: pyvrp.Solution) -> Plan:
        """Return a solution's routes with vans of their types; alike vans are interchangeable."""
        free = [list(vans) for vans in self.types]
        return [(free[route.vehicle_type()].pop(0), self.nodes(route)) for route in solution.routes()]

    def nodes(self, route: pyvrp.Route) -> list[int]:
        """Return the nodes that a route visits."""
        reloads = {self._depot(node): node for van in self.part.vans for node in self.instance.reloads[van]}
        visits = list(route)[1:-1]
        return [self._node(visit, reloads) for visit in visits]

    def _node(self, visit: pyvrp.Activity, reloads: dict[int, int]) -> int:
        if visit.is_depot():
            return reloads[visit.idx]
        if visit.is_client():
            return self.client_node[visit.idx]
        return self.instance.item_nodes[self.shipment_item[visit.idx]][int(visit.is_delivery())]


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Let PyVRP solve the whole as its authors tuned it, with a single seed on a single core; our own search is `solver.race`.

    Raises
    ------
    ValueError
        When PyVRP cannot take the problem.
    """
    reasons = refused(instance)
    if reasons:
        raise ValueError(f"PyVRP cannot take {', '.join(reasons)}")
    whole = SubProblem.whole(instance).possible(instance, servable(instance, alike(instance)))
    if not whole.items:
        return
    stop, model = _Stop(limits), PyvrpModel(instance, whole)
    watch = _Watch(model, report)
    params = pyvrp.SolveParams(ils=pyvrp.IteratedLocalSearchParams(callbacks=watch))
    found = pyvrp.solve(model.data, stop, limits.seed, False, False, params, model.encode(warm) if warm else None)
    if found.is_feasible():  # where the first plan is the best, the callback never hears of it
        watch.on_best(found.best)


class _Watch(pyvrp.IteratedLocalSearchCallbacks):
    """Reports each better plan, with breaks where drivers have them."""

    def __init__(self, model: PyvrpModel, report: Report) -> None:
        self.model, self.report = model, report

    def on_best(self, best: pyvrp.Solution) -> None:
        self.report(with_breaks_of(self.model.instance, self.model.decode(best)))


class _Stop:
    """Ends a search by the clock, or after iterations."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.until, self.iterations = limits, monotonic() + limits.time_s, 0

    def __call__(self, best_cost: float) -> bool:
        self.iterations += 1
        if self.limits.iterations is not None:
            return self.iterations > self.limits.iterations
        return monotonic() >= self.until


def with_breaks_of(instance: Instance, plan: Plan) -> Plan:
    """Return the plan with each driver's breaks."""
    return [(van, with_breaks(instance, van, nodes)) for van, nodes in plan]


def _after(hours: Hours, setup_s: int) -> Hours:
    """Return when the service begins where the setup, which is part of the drive to it, begins in these hours."""
    return hours[0] + setup_s, hours[1] + setup_s


def _rates(instance: Instance, van: int) -> tuple[int, int, int]:
    """Return the price of a second, a metre and a second of overtime, in cents / COST_UNITS."""
    one, costs = instance.problem.vans[van], instance.problem.costs
    per_km = float(one.km_cents)
    if one.energy:
        energy = instance.problem.energies[one.energy]
        per_km += energy.wh_per_km * energy.cents_per_kwh / 1000 + energy.co2_g_per_km * costs.co2_cents_per_kg / 1000
    per_hour = COST_UNITS // 3600
    overtime = 0 if one.normal_s is None else one.overtime_hour_cents
    return one.hour_cents * per_hour, round(per_km * COST_UNITS / 1000), overtime * per_hour


def _cost_units(instance: Instance, part: SubProblem) -> int:
    """Return PyVRP's units in a cent: as few as make every rate whole, because its penalties are of fixed size."""
    rates = [rate for van in part.vans for rate in _rates(instance, van)]
    return COST_UNITS // math.gcd(COST_UNITS, *rates)


def _profile(instance: Instance, van: int) -> Profile:
    tasks = np.flatnonzero(instance.out_of_reach[van, : instance.tasks])
    percent, leg_metres, leg_s = instance.time_percent[van], instance.max_leg_metres[van], instance.max_leg_s[van]
    return Profile(int(instance.van_kind[van]), int(percent), int(leg_metres), int(leg_s), tuple(tasks.tolist()))


def alike(instance: Instance) -> list[int]:
    """Return a number for each van that vans share where nothing distinguishes them but the driver's breaks."""
    exclude = {"id", "skills", "sizes", "plate", "breaks", "under_way"}
    marks = [
        (one.model_dump_json(exclude=exclude), _profile(instance, van)) for van, one in enumerate(instance.problem.vans)
    ]
    return [marks.index(mark) for mark in marks]


def _types(kinds: Sequence[int], vans: Sequence[int]) -> list[list[int]]:
    groups = dict[int, list[int]]()
    for van in vans:
        groups.setdefault(kinds[van], []).append(van)
    return list(groups.values())
