"""A problem as integer arrays: the basis of the judge's and the engines' computations.

The idea: everything a run can contain is a *node* with a place, windows and a service time: stops, the two halves of a
shipment, each van's start and end, reloads, breaks. A run is then a row of node numbers, and a plan a table of rows.
The order of nodes: stops, collections, deliveries (these are *tasks*), starts, ends, reloads, breaks, the void.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.check import ProblemError, check, sites
from solver.problem import LARGEST, Amount, Ban, Call, Problem, Run, Shipment, Stop, Van, Window
from solver.solution import Cause
from solver.timing_kernels import NEVER_S, Bools, Ints, TimingTables
from solver.travel import straight_lines

MANDATORY = -1  # in `prize_cents`


class NodeKind(IntEnum):
    STOP, COLLECT, DELIVER, START, END, RELOAD, BREAK, VOID = range(8)


# Reasons why a van may never make a visit, regardless of its other work: each a rule with a table of its own.
OF_VAN_AND_VISIT = (Cause.SKILL, Cause.SIZE, Cause.ZONE, Cause.VAN, Cause.LOCK_VAN, Cause.ON_BOARD)


@dataclass(frozen=True, slots=True)
class VanPrices:
    """Costs of vans, each V."""

    fixed_cents: Ints
    hour_cents: Ints
    km_cents: Ints
    normal_s: Ints
    overtime_hour_cents: Ints
    wh_per_km: Ints
    co2_g_per_km: Ints
    cents_per_kwh: NDArray[np.float64]


@dataclass(frozen=True)
class Instance:
    """A checked problem, compiled. V vans, N nodes (the void last), D dimensions, W windows at most, Z zone classes.

    Seconds, metres, units; `place` -1 is nowhere: no road leads there and service takes no time.
    """

    problem: Problem
    keys: list[str]  # of nodes, as in `Run.visits`
    kind: Ints  # N
    place: Ints  # N, into places; len(places) is nowhere
    places: list[str]
    depot: Ints  # N, of starts, ends and reloads, else -1
    service_s: Ints  # N
    setup_s: Ints  # N: before it, where the van comes from another place
    open_s: Ints  # Z, N, W, in order of time
    close_s: Ints  # Z, N, W
    deliver: Ints  # N, D
    collect: Ints  # N, D
    change: Ints  # N, D: change of the load by a shipment's half
    partner: Ints  # N: the other half, or -1
    max_on_board_s: Ints  # N: of shipments' deliveries
    collected_s: Ints  # N: of deliveries of shipments on a van under way: when it left the collection
    apart: Ints  # A, N: the group of each task in each of the problem's `apart`, or -1
    item: Ints  # N: number of the stop or shipment, or -1
    ready_s: Ints  # N
    due_s: Ints  # N
    wanted_depot: Ints  # N, or -1
    prize_cents: Ints  # per item; MANDATORY
    priority: Ints  # per item
    kind_metres: Ints  # K kinds of vehicle, the common one first, by places + 1 squared, the last is nowhere
    kind_seconds: Ints  # the same
    van_kind: Ints  # V, into K
    van_class: Ints  # V, into Z
    start: Ints  # V, node
    end: Ints  # V, node
    begin_s: Ints  # V, earliest
    latest_begin_s: Ints  # V
    finish_s: Ints  # V, end of the shift
    capacity: Ints  # V, D
    time_percent: Ints  # V
    max_duration_s: Ints  # V
    max_metres: Ints  # V
    max_visits: Ints  # V
    max_leg_metres: Ints  # V
    max_leg_s: Ints  # V
    max_wait_s: Ints  # V
    barred: dict[Cause, Bools]  # V, N: this van may never make this visit, and why
    not_preferred: Bools  # V, N
    done: list[list[int]]  # per van: nodes of the executed part
    aboard: Bools  # V, N: the van under way carries this stop's crates (or this shipment)
    base_load: Ints  # V, D: crates on the van under way that leave it at stops or at a depot
    carried: Ints  # V, D: shipments on the van under way
    past_s: Ints  # V: seconds of the run before `begin_s`, of a van under way
    past_m: Ints  # V
    past_visits: Ints  # V
    past_wait_s: Ints  # V
    under_way: Bools  # V
    cut_off_s: Ints  # per depot

    @property
    def metres(self) -> Ints:
        """Places + 1 squared: the common ways."""
        return np.asarray(self.kind_metres[0])

    @property
    def seconds(self) -> Ints:
        """Places + 1 squared: the common driving times."""
        return np.asarray(self.kind_seconds[0])

    @cached_property
    def van_number(self) -> dict[str, int]:
        return {van.id: number for number, van in enumerate(self.problem.vans)}

    @cached_property
    def task_number(self) -> dict[str, int]:
        return {key: node for node, key in enumerate(self.keys[: self.tasks])}

    @cached_property
    def tasks(self) -> int:
        """How many nodes are tasks: they come first."""
        return int((self.kind <= NodeKind.DELIVER).sum())

    @cached_property
    def free(self) -> Bools:
        """N: tasks still to plan; executed ones are not."""
        open_tasks = self.kind <= NodeKind.DELIVER
        open_tasks[[node for done in self.done for node in done]] = False
        return open_tasks

    @cached_property
    def items(self) -> list[Stop | Shipment]:
        return [*self.problem.stops, *self.problem.shipments]

    @cached_property
    def item_nodes(self) -> list[list[int]]:
        """Each item's nodes: a node for a stop, two for a shipment, collection first."""
        stops, shipments = len(self.problem.stops), len(self.problem.shipments)
        return [[node] for node in range(stops)] + [[stops + i, stops + shipments + i] for i in range(shipments)]

    @cached_property
    def first_half(self) -> Ints:
        """Per item: its node, or the collection."""
        return np.array([nodes[0] for nodes in self.item_nodes], dtype=np.int64)

    @cached_property
    def second_half(self) -> Ints:
        """Per item: its node, or the delivery."""
        return np.array([nodes[-1] for nodes in self.item_nodes], dtype=np.int64)

    @cached_property
    def dock(self) -> Ints:
        """N: the depot at whose docks a van stands there, or -1: starts, ends, reloads, and trunks' halves at a depot's place."""
        places = {
            int(self.place[node]): int(self.depot[node]) for node in np.flatnonzero(self.kind == NodeKind.RELOAD)[::-1]
        }
        trunks = (self.kind == NodeKind.COLLECT) | (self.kind == NodeKind.DELIVER)
        there = [places.get(int(place), -1) if trunk else -1 for place, trunk in zip(self.place, trunks, strict=True)]
        return np.maximum(self.depot, np.array(there, dtype=np.int64))

    @cached_property
    def forbidden(self) -> Bools:
        """V, N: for any reason."""
        return np.asarray(np.logical_or.reduce(list(self.barred.values())), dtype=bool)

    @cached_property
    def out_of_reach(self) -> Bools:
        """V, N: forbidden, or of a depot where the van neither begins nor ends: engines leave these alone.

        A van under way has its crates on board; engines do not let a van load again elsewhere (the judge allows it).
        """
        delivers, collects, wanted = self.deliver.any(axis=1), self.collect.any(axis=1), self.wanted_depot
        begins, ends = self.depot[self.start][:, None], self.depot[self.end][:, None]
        loads = delivers & ~self.aboard
        elsewhere = (wanted >= 0) & ((loads & (begins != wanted)) | (collects & (ends != wanted)))
        never = self.grounded[:, None] & (self.kind <= NodeKind.DELIVER)
        return np.asarray(self.forbidden | elsewhere | (loads & self.under_way[:, None]) | never, dtype=bool)

    @cached_property
    def grounded(self) -> Bools:
        """V: the van can never leave: a depot where it begins or ends is not open within its shift for long enough."""
        return np.array([self._is_grounded(van) for van in range(len(self.start))], dtype=bool)

    def _is_grounded(self, van: int) -> bool:
        if self.under_way[van]:
            return False
        hours, earliest_s = (self.open_s, self.close_s), int(self.begin_s[van])
        opens, closes = (one[self.van_class[van], self.start[van]] for one in hours)
        begins_s = np.maximum(opens, earliest_s)[closes >= earliest_s]
        stays_s = int(self.service_s[self.start[van]] + self.service_s[self.end[van]])
        latest_s = min(int(self.latest_begin_s[van]), int(self.finish_s[van]) - stays_s)
        ends = (one[self.van_class[van], self.end[van]] for one in hours)
        returns = self._can_end(van, *ends)
        return not (begins_s <= latest_s).any() or not returns

    def _can_end(self, van: int, opens: Ints, closes: Ints) -> bool:
        """Whether the depot where the van ends is open within its shift, with time to unload."""
        unload_s = int(self.service_s[self.end[van]])
        hours = (opens <= self.finish_s[van] - unload_s) & (closes >= self.begin_s[van])
        return bool(hours.any())

    @cached_property
    def group_so_far(self) -> Ints:
        """A, V: the group that a van under way has served already, or -1."""
        served = [[[group for group in row[done].tolist() if group >= 0] for done in self.done] for row in self.apart]
        first = [[groups[0] if groups else -1 for groups in row] for row in served]
        return np.array(first, dtype=np.int64).reshape(len(self.apart), len(self.start))

    @cached_property
    def void(self) -> int:
        return len(self.kind) - 1

    @cached_property
    def reloads(self) -> list[list[int]]:
        """Each van's reload nodes."""
        nodes = np.flatnonzero(self.kind == NodeKind.RELOAD)
        return [
            [int(node) for node in nodes if not self.barred[Cause.RELOAD][van, node]] for van in range(len(self.start))
        ]

    @cached_property
    def breaks(self) -> list[list[int]]:
        """Each van's break nodes, in the order of the file."""
        nodes = iter(np.flatnonzero(self.kind == NodeKind.BREAK).tolist())
        return [[next(nodes) for _ in van.breaks] for van in self.problem.vans]

    @cached_property
    def item_number(self) -> dict[str, int]:
        return {item.id: number for number, item in enumerate(self.items)}

    @cached_property
    def breakable(self) -> frozenset[Cause]:
        """The rules that a run of this problem can break; rules about which the problem says nothing are skipped."""
        tests = {
            Cause.START: self.latest_begin_s < NEVER_S,
            Cause.DURATION: self.max_duration_s < NEVER_S,
            Cause.DISTANCE: self.max_metres < NEVER_S,
            Cause.VISITS: self.max_visits < NEVER_S,
            Cause.LEG_DISTANCE: self.max_leg_metres < NEVER_S,
            Cause.LEG_TIME: self.max_leg_s < NEVER_S,
            Cause.WAIT: self.max_wait_s < NEVER_S,
            Cause.DEPOT: (self.wanted_depot >= 0) & (len(self.problem.depots) > 1),
            Cause.READY: self.under_way,
            Cause.CUTOFF: np.append(self.due_s, self.cut_off_s) < NEVER_S,
            Cause.SPLIT: self.partner >= 0,
            Cause.LONG_ON_BOARD: self.max_on_board_s < NEVER_S,
            Cause.BREAK: self.kind == NodeKind.BREAK,
            Cause.BREAK_LATE: self.kind == NodeKind.BREAK,
            Cause.LOCK_ORDER: np.array([lock.order != "free" for lock in self.problem.locks]),
            Cause.APART: self.apart >= 0,
            Cause.EXECUTED: ~self.free[: self.tasks],
            **{cause: self.barred[cause] for cause in OF_VAN_AND_VISIT},
        }
        return frozenset(cause for cause in Cause if cause not in tests or tests[cause].any())

    @cached_property
    def prices(self) -> VanPrices:
        vans = self.problem.vans
        energies = [self.problem.energies[van.energy] if van.energy else None for van in vans]
        return VanPrices(
            fixed_cents=np.array([van.fixed_cents for van in vans]),
            hour_cents=np.array([van.hour_cents for van in vans]),
            km_cents=np.array([van.km_cents for van in vans]),
            normal_s=np.array([NEVER_S if van.normal_s is None else van.normal_s for van in vans]),
            overtime_hour_cents=np.array([van.overtime_hour_cents for van in vans]),
            wh_per_km=np.array([one.wh_per_km if one else 0 for one in energies]),
            co2_g_per_km=np.array([one.co2_g_per_km if one else 0 for one in energies]),
            cents_per_kwh=np.array([one.cents_per_kwh if one else 0.0 for one in energies]),
        )

    @cached_property
    def tables(self) -> TimingTables:
        """A drive's demands."""
        loads, unloads = (np.isin(self.kind, (bound, NodeKind.RELOAD)) for bound in (NodeKind.START, NodeKind.END))
        closing_s = np.append(self.cut_off_s, NEVER_S)[self.depot]
        loading_s = np.array([depot.load_s for depot in self.problem.depots] + [0])[self.depot]
        nodes = [
            self.place,
            self.service_s,
            loads,
            unloads,
            self.kind == NodeKind.BREAK,
            self.ready_s,
            self.due_s,
            closing_s,
            np.where(self.kind == NodeKind.RELOAD, loading_s, 0),
        ]
        vans = [
            self.van_class,
            self.time_percent,
            self.latest_begin_s,
            self.finish_s,
            self.under_way,
            self.van_kind,
        ]
        limited, size = (self.max_on_board_s < NEVER_S).any(), len(self.kind)
        slots = [(slot.from_s, slot.until_s, slot.percent) for slot in self.problem.slots]
        return TimingTables(
            nodes=np.array(nodes, dtype=np.int64),
            vans=np.array(vans, dtype=np.int64),
            open_s=self.open_s,
            close_s=self.close_s,
            amounts=np.array([self.deliver, self.collect, self.change]),
            aboard=np.array([self.base_load, self.carried]),
            metres=self.kind_metres,
            seconds=self.kind_seconds,
            slots=np.array(slots, dtype=np.int64).reshape(-1, 3),
            setup_s=self.setup_s if self.setup_s.any() else self.setup_s[:0],
            on_board=np.array([self.partner, self.max_on_board_s] if limited else [], dtype=np.int64).reshape(-1, size),
        )

    def node(self, van: int, key: str) -> int | None:
        """Return the node that a visit's key means on this van, or None."""
        if key in self.task_number:
            return self.task_number[key]
        special = [*self.breaks[van], *np.flatnonzero(self.kind == NodeKind.RELOAD).tolist()]
        return next((node for node in special if self.keys[node] == key), None)


def compiled(problem: Problem | Instance) -> Instance:
    """Return the problem as arrays, checked.

    Raises
    ------
    ProblemError
        With every mistake in it.
    """
    if isinstance(problem, Instance):
        return problem
    complaints = check(problem)
    if complaints:
        raise ProblemError(complaints)
    return _Compiler(problem).instance()


class _Compiler:
    """Builds the arrays; a method for each group of them."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.depots = {depot.id: number for number, depot in enumerate(problem.depots)}
        self.calls: list[tuple[str, Call]] = [(stop.id, stop) for stop in problem.stops]
        self.calls += [(f"collect:{one.id}", one.collect) for one in problem.shipments]
        self.calls += [(f"deliver:{one.id}", one.deliver) for one in problem.shipments]
        self.vans = problem.vans
        self.breaks = [(van, rest) for van in problem.vans for rest in van.breaks]
        stops, pairs, depots, vans = len(problem.stops), len(problem.shipments), len(problem.depots), len(problem.vans)
        self.collect_at, self.deliver_at = stops, stops + pairs
        self.start_at = stops + 2 * pairs
        self.end_at = self.start_at + vans
        self.reload_at = self.end_at + vans
        self.break_at = self.reload_at + depots
        self.size = self.break_at + len(self.breaks) + 1

    def instance(self) -> Instance:
        places, metres, seconds = self._travel()
        open_s, close_s, van_class = self._windows()
        nodes, items, vans = self._nodes(places), self._items(), self._vans()
        under_way = self._under_way()
        return Instance(
            problem=self.problem,
            keys=self._keys(),
            places=places,
            kind_metres=metres,
            kind_seconds=seconds,
            van_kind=self._van_kinds(),
            open_s=open_s,
            close_s=close_s,
            van_class=van_class,
            barred=self._barred(under_way["aboard"], van_class, close_s),
            not_preferred=self._not_preferred(),
            done=self._done(),
            **nodes,
            **items,
            **vans,
            **under_way,
            apart=self._apart(),
        )

    # ---- places

    def _travel(self) -> tuple[list[str], Ints, Ints]:
        problem = self.problem
        if problem.travel:
            places, ways = problem.travel.places, [problem.travel, *problem.travel.kinds.values()]
            metres, seconds = ([getattr(one, name) for one in ways] for name in ("metres", "seconds"))
        else:
            located = {name: (site.lat, site.lon) for _, name, site in sites(problem) if site.lat is not None}
            places = list(located)
            points = [(lat or 0.0, lon or 0.0) for lat, lon in located.values()]
            metres, seconds = ([one] for one in straight_lines(points, problem.roads))
        return places, _with_nowhere(metres), _with_nowhere(seconds)

    def _van_kinds(self) -> Ints:
        kinds = [None, *(self.problem.travel.kinds if self.problem.travel else ())]
        return np.array([kinds.index(van.kind) for van in self.vans], dtype=np.int64)

    def _keys(self) -> list[str]:
        starts = [f"start:{self._start(van)}" for van in self.vans]
        ends = [f"end:{self._end(van)}" for van in self.vans]
        reloads = [f"reload:{depot.id}" for depot in self.problem.depots]
        breaks = [f"break:{rest.id}" for _, rest in self.breaks]
        return [key for key, _ in self.calls] + starts + ends + reloads + breaks + [""]

    def _start(self, van: Van) -> str:
        return van.start or self.problem.depots[0].id

    def _end(self, van: Van) -> str:
        return van.end or self._start(van)

    def _nodes(self, places: list[str]) -> dict[str, Any]:
        number = {name: index for index, name in enumerate(places)}
        nowhere = len(places)
        depot_place = {one.id: number[one.place or one.id] for one in self.problem.depots}
        place, depot = self._filled(nowhere), self._filled(-1)
        for node, (key, call) in enumerate(self.calls):
            place[node] = number[call.place or key]
        for index, van in enumerate(self.vans):
            place[self.start_at + index] = nowhere if van.open_start else depot_place[self._start(van)]
            place[self.end_at + index] = nowhere if van.open_end else depot_place[self._end(van)]
            depot[self.start_at + index] = -1 if van.open_start else self.depots[self._start(van)]
            depot[self.end_at + index] = -1 if van.open_end else self.depots[self._end(van)]
            if van.under_way:
                place[self.start_at + index] = number[van.under_way.place or f"now:{van.id}"]
        for index, one in enumerate(self.problem.depots):
            place[self.reload_at + index] = depot_place[one.id]
            depot[self.reload_at + index] = index
        cut_offs = [NEVER_S if one.sort_cutoff_s is None else one.sort_cutoff_s for one in self.problem.depots]
        return {"kind": self._kinds(), "place": place, "depot": depot, "service_s": self._services()} | {
            "cut_off_s": np.array(cut_offs, dtype=np.int64),
            "setup_s": self._setups(),
        }

    def _kinds(self) -> Ints:
        kind = self._filled(NodeKind.VOID)
        bounds = [
            0,
            self.collect_at,
            self.deliver_at,
            self.start_at,
            self.end_at,
            self.reload_at,
            self.break_at,
            self.size - 1,
        ]
        for value, (first, last) in enumerate(pairwise(bounds)):
            kind[first:last] = value
        return kind

    def _services(self) -> Ints:
        service = self._filled(0)
        units = np.concatenate([self._handled(), np.zeros(self.size - self.start_at, dtype=np.int64)])
        for node, (_, call) in enumerate(self.calls):
            service[node] = call.service_s + call.service_s_per_unit * units[node]
        for index, van in enumerate(self.vans):
            start, end = (self.problem.depots[self.depots[name]] for name in (self._start(van), self._end(van)))
            service[self.start_at + index] = 0 if van.open_start or van.under_way else start.load_s
            service[self.end_at + index] = 0 if van.open_end else end.unload_s
        for index, depot in enumerate(self.problem.depots):
            service[self.reload_at + index] = depot.unload_s + depot.load_s
        for index, (_, rest) in enumerate(self.breaks):
            service[self.break_at + index] = rest.length_s
        return service

    def _setups(self) -> Ints:
        setup = self._filled(0)
        setup[: self.start_at] = [call.setup_s for _, call in self.calls]
        return setup

    def _handled(self) -> Ints:
        """Units of the first dimension handed over or taken at each task."""
        stops = [self._vector(stop.deliver)[0] + self._vector(stop.collect)[0] for stop in self.problem.stops]
        pairs = [self._vector(one.amount)[0] for one in self.problem.shipments]
        return np.array(stops + pairs + pairs, dtype=np.int64)

    def _vector(self, amount: Amount, absent: int = 0) -> list[int]:
        """Return an amount by dimension, with `absent` where it names none."""
        named = amount if isinstance(amount, dict) else {self.problem.dimensions[0]: amount}
        return [named.get(name, absent) for name in self.problem.dimensions]

    def _filled(self, value: int) -> Ints:
        return np.full(self.size, value, dtype=np.int64)

    # ---- time

    def _windows(self) -> tuple[Ints, Ints, Ints]:
        """Windows for each class of vans that zones treat alike, padded with the last window."""
        bans = [self._bans(van) for van in self.vans]
        classes = [list(one) for one in dict.fromkeys(map(tuple, bans))]
        services = self._services() + self._setups()
        lists = [[_merged(self._node_windows(node, one, services)) for node in range(self.size)] for one in classes]
        width = max(len(windows) for one in lists for windows in one)
        padded = np.array([[windows + windows[-1:] * (width - len(windows)) for windows in one] for one in lists])
        van_class = np.array([classes.index(list(one)) for one in bans], dtype=np.int64)
        return padded[..., 0].astype(np.int64), padded[..., 1].astype(np.int64), van_class

    def _bans(self, van: Van) -> tuple[tuple[str, int, int], ...]:
        """Zone, from, until of each ban that holds for this van today."""
        return tuple(
            (zone.id, window.from_s, window.until_s)
            for zone in self.problem.zones
            for ban in zone.bans
            if self._holds(ban, van)
            for window in ban.windows
        )

    def _holds(self, ban: Ban, van: Van) -> bool:
        today = not ban.weekdays or self.problem.weekday in ban.weekdays
        return today and (not ban.plate_ends or van.plate.endswith(tuple(ban.plate_ends)))

    def _node_windows(self, node: int, bans: Sequence[tuple[str, int, int]], services: Ints) -> list[tuple[int, int]]:
        if node < self.start_at:
            call = self.calls[node][1]
            windows = _pairs(call.windows)
            for zone, from_s, until_s in bans if call.zone else ():
                windows = _cut(windows, from_s - int(services[node]), until_s) if zone == call.zone else windows
            return windows or [(NEVER_S, NEVER_S)]
        if node < self.end_at and (position := self.vans[node - self.start_at].under_way):
            return [(position.now_s, NEVER_S)]
        return _pairs(self._depot_or_break(node))

    def _depot_or_break(self, node: int) -> list[Window]:
        if node < self.reload_at:
            ending = node >= self.end_at
            van = self.vans[node - (self.end_at if ending else self.start_at)]
            nowhere = van.open_end if ending else van.open_start
            depot = self.problem.depots[self.depots[self._end(van) if ending else self._start(van)]]
            return [] if nowhere else depot.windows
        if node < self.break_at:
            return self.problem.depots[node - self.reload_at].windows
        return self.breaks[node - self.break_at][1].windows if node < self.size - 1 else []

    # ---- work

    def _items(self) -> dict[str, Any]:
        stops, shipments = self.problem.stops, self.problem.shipments
        shape = (self.size, len(self.problem.dimensions))
        deliver, collect, change = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        partner, item, wanted = self._filled(-1), self._filled(-1), self._filled(-1)
        ready, due, on_board = self._filled(0), self._filled(NEVER_S), self._filled(NEVER_S)
        for node, stop in enumerate(stops):
            deliver[node], collect[node], item[node] = self._vector(stop.deliver), self._vector(stop.collect), node
            wanted[node] = self.depots[stop.depot] if stop.depot else -1
            ready[node] = stop.ready_s if deliver[node].any() else 0
            due[node] = stop.due_s if stop.due_s is not None and collect[node].any() else NEVER_S
        for index, shipment in enumerate(shipments):
            first, last = self.collect_at + index, self.deliver_at + index
            change[first], partner[first], partner[last] = self._vector(shipment.amount), last, first
            change[last] = -change[first]
            item[[first, last]] = len(stops) + index
            on_board[last] = NEVER_S if shipment.max_on_board_s is None else shipment.max_on_board_s
        work = [*stops, *shipments]
        prizes = [MANDATORY if one.prize_cents is None else one.prize_cents for one in work]
        return {
            "deliver": deliver,
            "collect": collect,
            "change": change,
            "partner": partner,
            "max_on_board_s": on_board,
            "item": item,
            "ready_s": ready,
            "due_s": due,
            "wanted_depot": wanted,
            "prize_cents": np.array(prizes, dtype=np.int64),
            "priority": np.array([one.priority for one in work], dtype=np.int64),
        }

    def _apart(self) -> Ints:
        nodes = dict[str, list[int]]()
        for node in range(self.start_at):
            nodes.setdefault(self._work(node).id, []).append(node)
        apart = np.full((len(self.problem.apart), self.size), -1, dtype=np.int64)
        for row, one in zip(apart, self.problem.apart, strict=True):
            for number, group in enumerate(one.groups):
                row[[node for name in group for node in nodes[name]]] = number
        return apart

    # ---- vans

    def _vans(self) -> dict[str, Any]:
        def column(values: Iterable[int | None], default: int = NEVER_S) -> Ints:
            return np.array([default if value is None else value for value in values], dtype=np.int64)

        vans = self.vans
        begins = [van.under_way.now_s if van.under_way else van.shift.from_s for van in vans]
        return {
            "start": np.arange(self.start_at, self.end_at),
            "end": np.arange(self.end_at, self.reload_at),
            "begin_s": column(begins),
            "latest_begin_s": column(NEVER_S if van.under_way else van.latest_start_s for van in vans),
            "finish_s": column(van.shift.until_s for van in vans),
            "capacity": np.array([self._vector(van.capacity, absent=LARGEST) for van in vans], dtype=np.int64),
            "time_percent": column(van.time_percent for van in vans),
            "max_duration_s": column(van.max_duration_s for van in vans),
            "max_metres": column(van.max_metres for van in vans),
            "max_visits": column(van.max_visits for van in vans),
            "max_leg_metres": column(van.max_leg_metres for van in vans),
            "max_leg_s": column(van.max_leg_s for van in vans),
            "max_wait_s": column(van.max_wait_s for van in vans),
        }

    def _work(self, node: int) -> Stop | Shipment:
        if node < self.collect_at:
            return self.problem.stops[node]
        return self.problem.shipments[(node - self.collect_at) % max(1, len(self.problem.shipments))]

    def _barred(self, aboard: Bools, van_class: Ints, close_s: Ints) -> dict[Cause, Bools]:
        """For each reason that does not depend on the rest of the run: which van may not make which visit."""
        causes = (*OF_VAN_AND_VISIT, Cause.RELOAD, Cause.BREAK)
        barred = {cause: np.zeros((len(self.vans), self.size), dtype=bool) for cause in causes}
        tasks = [(self._work(node), self.calls[node][1]) for node in range(self.start_at)]
        for index, van in enumerate(self.vans):
            skills, own = set(van.skills), np.s_[index, : self.start_at]
            barred[Cause.SKILL][own] = [bool(work.skills) and not skills.issuperset(work.skills) for work, _ in tasks]
            barred[Cause.VAN][own] = [bool(work.vans) and van.id not in work.vans for work, _ in tasks]
            barred[Cause.SIZE][own] = [
                any(van.sizes.get(name, 0) > most for name, most in call.sizes.items()) for _, call in tasks
            ]
            barred[Cause.RELOAD][index, self.reload_at : self.break_at] = [
                van.max_reloads == 0 or depot.id not in (van.reload_depots or [self._start(van)])
                for depot in self.problem.depots
            ]
            barred[Cause.BREAK][index, self.break_at : -1] = [owner is not van for owner, _ in self.breaks]
        shut = (close_s == NEVER_S).all(axis=2) & (self._never_opens(close_s.shape))
        barred[Cause.ZONE] |= shut[van_class]
        barred[Cause.ON_BOARD] |= aboard.any(axis=0) & ~aboard
        self._bar_by_locks(barred[Cause.LOCK_VAN])
        return barred

    def _never_opens(self, shape: tuple[int, ...]) -> Bools:
        """Z, N: nodes that a zone shuts all day for a class of vans."""
        bans = list(dict.fromkeys(map(tuple, (self._bans(van) for van in self.vans))))
        services = self._services() + self._setups()
        shut = np.zeros(shape[:2], dtype=bool)
        for number, one in enumerate(bans):
            for node, (_, call) in enumerate(self.calls):
                shut[number, node] = bool(call.zone) and self._node_windows(node, one, services) == [(NEVER_S, NEVER_S)]
        return shut

    def _bar_by_locks(self, barred: Bools) -> None:
        number = {key: node for node, (key, _) in enumerate(self.calls)}
        for lock in self.problem.locks:
            for visit in lock.visits if lock.van else []:
                barred[:, number[visit]] |= np.array([van.id != lock.van for van in self.vans])

    def _not_preferred(self) -> Bools:
        not_preferred = np.zeros((len(self.vans), self.size), dtype=bool)
        for node in range(self.start_at):
            wish = self._work(node).preferred_vans if not self.collect_at <= node < self.deliver_at else []
            if wish:
                not_preferred[:, node] = [van.id not in wish for van in self.vans]
        return not_preferred

    # ---- vans under way

    def _done(self) -> list[list[int]]:
        number = {key: node for node, (key, _) in enumerate(self.calls)}
        return [
            [number[one.visit] for one in (van.under_way.done if van.under_way else []) if one.visit in number]
            for van in self.vans
        ]

    def _under_way(self) -> dict[str, Any]:
        vans, dimensions = len(self.vans), len(self.problem.dimensions)
        base, carried = (np.zeros((vans, dimensions), dtype=np.int64) for _ in range(2))
        aboard = np.zeros((vans, self.size), dtype=bool)
        past_s, past_m, past_visits, past_wait_s = (np.zeros(vans, dtype=np.int64) for _ in range(4))
        for index, (van, done) in enumerate(zip(self.vans, self._done(), strict=True)):
            if not van.under_way:
                continue
            past_s[index], past_m[index] = van.under_way.now_s - van.under_way.started_s, van.under_way.metres
            past_visits[index] = len(done)
            past_wait_s[index] = sum(
                one.begin_s - one.arrive_s for one in van.under_way.done if not one.visit.startswith("break:")
            )
            base[index] = self._vector(van.under_way.load)
            self._load_under_way(van.under_way.on_board, done, base[index], carried[index], aboard[index])
        flags = np.array([van.under_way is not None for van in self.vans])
        return {
            "aboard": aboard,
            "collected_s": self._collected_s(),
            "base_load": base,
            "carried": carried,
            "past_s": past_s,
            "past_m": past_m,
            "past_visits": past_visits,
            "past_wait_s": past_wait_s,
            "under_way": flags,
        }

    def _collected_s(self) -> Ints:
        left_s = {one.visit: one.leave_s for van in self.vans if van.under_way for one in van.under_way.done}
        collected_s = self._filled(0)
        shipments = self.problem.shipments
        collected_s[self.deliver_at : self.start_at] = [left_s.get(f"collect:{one.id}", 0) for one in shipments]
        return collected_s

    def _load_under_way(self, on_board: list[str], done: list[int], base: Ints, carried: Ints, aboard: Bools) -> None:
        number = {stop.id: node for node, stop in enumerate(self.problem.stops)}
        for name in on_board:
            if number[name] not in done:
                base += self._vector(self.problem.stops[number[name]].deliver)
                aboard[number[name]] = True
        for node in done:
            if node < self.collect_at:
                base += self._vector(self.problem.stops[node].collect)
            elif node < self.deliver_at:
                delivered = node - self.collect_at + self.deliver_at
                if delivered not in done:
                    carried += self._vector(self.problem.shipments[node - self.collect_at].amount)
                    aboard[delivered] = True


def _with_nowhere(tables: Sequence[np.ndarray]) -> Ints:
    """Return the tables with a place more, from and to which every way is 0."""
    side = len(tables[0]) + 1
    wider = np.zeros((len(tables), side, side), dtype=np.int64)
    for one, ways in zip(wider, tables, strict=True):
        one[:-1, :-1] = ways
    return wider


def _pairs(windows: list[Window]) -> list[tuple[int, int]]:
    return [(window.from_s, window.until_s) for window in windows] or [(0, NEVER_S)]


def _merged(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the windows in order, adjacent windows merged."""
    merged = list[tuple[int, int]]()
    for from_s, until_s in sorted(windows):
        if merged and from_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until_s))
        else:
            merged.append((from_s, until_s))
    return merged


def _cut(windows: list[tuple[int, int]], from_s: int, until_s: int) -> list[tuple[int, int]]:
    """Return the windows without the seconds strictly between the two."""
    before = [(start, min(end, from_s)) for start, end in windows if start <= from_s]
    after = [(max(start, until_s), end) for start, end in windows if end >= until_s]
    return before + after


def has_rested(instance: Instance, van: int, rest: int) -> bool:
    """Whether the van is under way and has had this break."""
    position = instance.problem.vans[van].under_way
    return position is not None and any(one.visit == instance.keys[rest] for one in position.done)


def rows_of(instance: Instance, runs: Iterable[Run]) -> list[tuple[int, list[int]]]:
    """Return each run of known vans as van number and nodes ahead; unknown and done visits are left out."""
    found = list[tuple[int, list[int]]]()
    for run in runs:
        van = instance.van_number.get(run.van)
        if van is not None:
            position = instance.problem.vans[van].under_way
            done = [one.visit for one in position.done] if position else []
            past = len(done) if run.visits[: len(done)] == done else 0
            nodes = (instance.node(van, key) for key in run.visits[past:])
            found.append((van, [node for node in nodes if node is not None]))
    return found


def runs_of(instance: Instance, plan: Iterable[tuple[int, Sequence[int]]]) -> list[Run]:
    """Return a plan of vans and nodes as runs, beginning with the executed part."""
    vans = instance.problem.vans
    done = [[one.visit for one in van.under_way.done] if van.under_way else [] for van in vans]
    return [Run(van=vans[van].id, visits=[*done[van], *(instance.keys[node] for node in nodes)]) for van, nodes in plan]
