"""A first plan in a moment: each van in turn takes the next and nearest visit, and the rest is inserted where it fits.

The idea: appending to the end of a run changes nothing before it, so a run's state is its clock and its loads, and all
candidates for the next visit are judged in a single array operation. It need not be good: engines start from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from time import monotonic

import numpy as np

from solver.breaks import with_breaks
from solver.engines import Plan
from solver.evaluate import cost_of
from solver.insertion import insertions, may_come
from solver.instance import MANDATORY, Instance, NodeKind
from solver.rules import keeps_all
from solver.schedule import drive, table
from solver.timing_kernels import NEVER_S, Bools, Ints, through_slots

# Rows tried for items that fit at the end of no run: under half a second, and the same on any machine.
INSERTED_ROWS = 20_000
# Visits dropped at most from the end of a run until it keeps all rules.
TRIED = 40


def first_plan(instance: Instance, until: float = inf) -> Plan:
    """Return a plan that breaks no rule of a run; it may leave work unserved, more of it the sooner `until` ends the search."""
    plan, waiting = dict[int, list[int]](), _appendable(instance)
    for van in _in_order(instance):
        if monotonic() > until:
            break
        nodes = _mended(instance, van, _filled(instance, van, waiting))
        waiting[nodes] = False
        if nodes or instance.under_way[van]:
            plan[van] = nodes
    _insert_rest(instance, plan, until)
    return sorted(plan.items())


def completed(instance: Instance, plan: Plan, until: float = inf, random: np.random.Generator | None = None) -> Plan:
    """Return the plan with its missing work inserted where it costs least and breaks nothing; existing visits keep their order.

    With `random`, in random order, and halves of shipments apart.
    """
    runs = {van: list(nodes) for van, nodes in plan}
    _insert_rest(instance, runs, until, random)
    return sorted(runs.items())


def _in_order(instance: Instance) -> list[int]:
    """Vans under way first, then the cheapest to send, the largest first."""
    vans = instance.problem.vans
    return sorted(
        range(len(vans)),
        key=lambda van: (not instance.under_way[van], vans[van].fixed_cents, -int(instance.capacity[van, 0])),
    )


def _appendable(instance: Instance) -> Bools:
    """N: stops, collections, and deliveries of the load on board, that are still to be made."""
    first = (instance.kind <= NodeKind.COLLECT) | ((instance.kind == NodeKind.DELIVER) & instance.aboard.any(axis=0))
    return np.asarray(first & instance.free)


@dataclass
class _State:
    clock: int
    place: int
    peak: Ints  # D: highest load so far
    load: Ints  # D: load now, were the run to end without another delivery


@dataclass
class _Appended:
    """The results of continuing with each of some nodes (N)."""

    nodes: Ints
    late: Bools  # it misses a window
    leave: Ints  # seconds
    last: Ints  # the node that the van leaves then
    peak: Ints  # N, D
    load: Ints  # N, D

    def state(self, instance: Instance, at: int) -> _State:
        return _State(int(self.leave[at]), int(instance.place[self.last[at]]), self.peak[at], self.load[at])


def _filled(instance: Instance, van: int, waiting: Bools) -> list[int]:
    """Return the van's visits, each the quickest of those that still fit."""
    nodes = list[int]()
    state = _begun(instance, van)
    candidates = np.flatnonzero(waiting & ~instance.out_of_reach[van] & (instance.ready_s <= instance.begin_s[van]))
    for node in _locked(instance, van):
        nodes.append(node)
        state = _appended(instance, van, state, np.array([node])).state(instance, 0)
    candidates = candidates[~np.isin(candidates, [*nodes, *_locked_elsewhere(instance)])]
    candidates = candidates[
        ~instance.out_of_reach[van, instance.partner[candidates]] | (instance.partner[candidates] < 0)
    ]
    candidates = candidates[~_parted(instance, van, nodes, candidates)]
    while len(candidates) and len(nodes) + instance.past_visits[van] < instance.max_visits[van]:
        after = _appended(instance, van, state, candidates)
        fits = _fits(instance, van, state, after)
        if not fits.any():
            break
        chosen = int(np.where(fits, after.leave, np.iinfo(np.int64).max).argmin())
        node, state = int(candidates[chosen]), after.state(instance, chosen)
        nodes += [node, int(instance.partner[node])] if instance.kind[node] == NodeKind.COLLECT else [node]
        candidates = np.delete(candidates, chosen)
        candidates = candidates[~_parted(instance, van, nodes, candidates)]
    return nodes


def _parted(instance: Instance, van: int, nodes: list[int], candidates: Ints) -> Bools:
    """Return which candidates must not be on a run with what the van serves."""
    parted = np.zeros(len(candidates), dtype=bool)
    for groups, so_far in zip(instance.apart, instance.group_so_far, strict=True):
        served = max(int(so_far[van]), int(groups[nodes].max(initial=-1)))
        parted |= (groups[candidates] >= 0) & (groups[candidates] != served) & (served >= 0)
    return parted


def _begun(instance: Instance, van: int) -> _State:
    load = instance.base_load[van] + instance.carried[van]
    start = instance.start[van]
    clock = max(int(instance.begin_s[van]), int(instance.open_s[instance.van_class[van], start, 0]))
    return _State(clock + int(instance.service_s[start]), int(instance.place[start]), load.copy(), load.copy())


def _locked(instance: Instance, van: int) -> list[int]:
    """Visits locked in an order to this van begin its run."""
    locks = [lock for lock in instance.problem.locks if lock.order != "free"]
    mine = [visit for lock in locks if lock.van == instance.problem.vans[van].id for visit in lock.visits]
    return [node for visit in dict.fromkeys(mine) if instance.free[node := instance.task_number[visit]]]


def _locked_elsewhere(instance: Instance) -> list[int]:
    locks = [lock for lock in instance.problem.locks if lock.order != "free"]
    return [instance.task_number[visit] for lock in locks for visit in lock.visits]


def _fits(instance: Instance, van: int, state: _State, after: _Appended) -> Bools:
    """Return which of the nodes fit next and are worth it."""
    end = instance.end[van]
    rests_s = sum(int(instance.service_s[rest]) for rest in instance.breaks[van])
    way_home_s = _drive_s(instance, van, after.leave, instance.place[after.last], instance.place[end])
    latest = min(int(instance.finish_s[van]), int(instance.begin_s[van] + instance.max_duration_s[van])) - rests_s
    in_time = after.leave + way_home_s + instance.service_s[end] <= latest
    fits = ~after.late & in_time & (after.peak <= instance.capacity[van]).all(axis=1)
    way_m = instance.kind_metres[instance.van_kind[van], state.place, instance.place[after.nodes]]
    if min(instance.max_leg_metres[van], instance.max_leg_s[van]) < NEVER_S:
        here = instance.place[after.nodes]
        fits &= _near(instance, van, state.place, here) & _near(instance, van, here, instance.place[after.last])
    return np.asarray(fits & _worth_it(instance, van, after.nodes, after.leave - state.clock, way_m))


def _near(instance: Instance, van: int, here: int | Ints, there: Ints) -> Bools:
    """Return whether each leg is one that the van may drive, outside rush hours."""
    near = instance.kind_metres[instance.van_kind[van], here, there] <= instance.max_leg_metres[van]
    return np.asarray(near & (_own_s(instance, van, here, there) <= instance.max_leg_s[van]))


def _own_s(instance: Instance, van: int, here: int | Ints, there: int | Ints) -> Ints:
    """Return the van's driving times outside rush hours."""
    seconds = instance.kind_seconds[instance.van_kind[van], here, there]
    return np.asarray(-(-seconds * instance.time_percent[van] // 100))


def _appended(instance: Instance, van: int, state: _State, nodes: Ints) -> _Appended:
    """Try each node as the next; a collection is taken with its delivery after it.

    The collect amount of a node rides to the end of the run, its deliver amount from the start.
    """
    close, last = instance.close_s[instance.van_class[van], :, -1], nodes.copy()
    begin, leave = _times(instance, van, state.clock, np.full(len(nodes), state.place), nodes)
    late, pairs = begin > close[nodes], np.flatnonzero(instance.kind[nodes] == NodeKind.COLLECT)
    last[pairs] = instance.partner[nodes[pairs]]
    begin[pairs], leave[pairs] = _times(instance, van, leave[pairs], instance.place[nodes[pairs]], last[pairs])
    late[pairs] |= begin[pairs] > close[last[pairs]]
    aboard, given, change = instance.aboard[van, nodes][:, None], instance.deliver[nodes], instance.change[nodes]
    load = state.load - np.where(aboard, given, 0) + instance.collect[nodes] + change
    peak = np.maximum(state.peak + np.where(aboard, 0, given), load)
    load[pairs] -= change[pairs]
    return _Appended(nodes, late, leave, last, peak, load)


def _worth_it(instance: Instance, van: int, nodes: Ints, taken_s: Ints, way_m: Ints) -> Bools:
    """Optional work is inserted where its prize pays for it; mandatory work always."""
    prize, price = instance.prize_cents[instance.item[nodes]], instance.problem.vans[van]
    cost = taken_s * price.hour_cents / 3600 + way_m * price.km_cents / 1000
    return np.asarray((prize == MANDATORY) | (cost <= prize))


def _times(instance: Instance, van: int, clock: int | Ints, place: Ints, nodes: Ints) -> tuple[Ints, Ints]:
    arrive = clock + _drive_s(instance, van, np.broadcast_to(clock, place.shape), place, instance.place[nodes])
    zone = instance.van_class[van]
    opened, close = instance.open_s[zone, nodes], instance.close_s[zone, nodes]
    window = np.minimum((close < arrive[:, None]).sum(axis=1), close.shape[1] - 1)
    begin = np.maximum(arrive, opened[np.arange(len(nodes)), window])
    setup_s = np.where(place == instance.place[nodes], 0, instance.setup_s[nodes])
    return begin, begin + setup_s + instance.service_s[nodes]


def _drive_s(instance: Instance, van: int, leave_s: Ints, here: Ints, there: Ints) -> Ints:
    own = _own_s(instance, van, here, there)
    return through_slots(instance.tables.slots, leave_s, own) if instance.problem.slots else own


def _mended(instance: Instance, van: int, nodes: list[int]) -> list[int]:
    """Add breaks, and drop visits from the end until the run keeps all rules."""
    for _ in range(TRIED):
        run = with_breaks(instance, van, nodes)
        if not nodes or keeps_all(drive(instance, *table(instance, [(van, run)])))[0]:
            return run if nodes else []
        nodes = [node for node in nodes[:-1] if node != instance.partner[nodes[-1]]]
    return []


def _insert_rest(
    instance: Instance, plan: dict[int, list[int]], until: float, random: np.random.Generator | None = None
) -> None:
    """Insert the remaining work where it costs least and breaks nothing, mandatory work first, up to a number of tries."""
    tried, costs = 0, _costs(instance, plan)
    made = {node for nodes in plan.values() for node in nodes}
    left = [
        item for item, nodes in enumerate(instance.item_nodes) if not made & set(nodes) and instance.free[nodes].all()
    ]
    chance = random.permutation(len(instance.items)) if random else np.arange(len(instance.items))
    left.sort(key=lambda item: (instance.prize_cents[item] != MANDATORY, -int(instance.priority[item]), chance[item]))
    for item in left:
        if tried < INSERTED_ROWS and monotonic() <= until:
            tried += _insert(instance, plan, costs, item, apart=random is not None)


def _insert(instance: Instance, plan: dict[int, list[int]], costs: dict[int, int], item: int, *, apart: bool) -> int:
    """Insert an item, halves of a shipment side by side unless `apart`; return the number of positions tried."""
    rows = list(_rows(instance, plan, instance.item_nodes[item], apart=apart))
    if not rows:
        return 0
    runs = drive(instance, *table(instance, rows))
    cost, prize = cost_of(runs), instance.prize_cents[item]
    extra = cost - np.array([costs.get(van, 0) for van, _ in rows])
    fine = keeps_all(runs) & ((prize == MANDATORY) | (extra <= prize))
    if fine.any():
        at = int(np.where(fine, extra, np.iinfo(np.int64).max).argmin())
        van, run = rows[at]
        plan[van] = run
        costs[van] = int(cost[at])
    return len(rows)


def _rows(
    instance: Instance, plan: dict[int, list[int]], nodes: list[int], *, apart: bool
) -> Iterator[tuple[int, list[int]]]:
    """Yield the runs with the nodes at every position, and the run of the first van that stays in."""
    tied = _vans_of_fellows(instance, plan, nodes)
    vans = [van for van in range(len(instance.start)) if may_come(instance, van, nodes) and (not tied or van in tied)]
    idle = next((van for van in vans if van not in plan), None)
    for van in vans:
        if van in plan:
            yield from ((van, row) for row in insertions(instance, van, plan[van], nodes, apart=apart))
        elif van == idle:
            yield from ((van, with_breaks(instance, van, row)) for row in insertions(instance, van, [], nodes))


def _vans_of_fellows(instance: Instance, plan: dict[int, list[int]], nodes: list[int]) -> set[int]:
    """Return the vans that make visits which are locked together with these, on whichever van."""
    number = instance.task_number
    ties = [
        {number[one] for one in lock.visits} for lock in instance.problem.locks if lock.order != "free" and not lock.van
    ]
    fellows = set[int]().union(*(tie for tie in ties if tie & set(nodes)))
    return {van for van, run in plan.items() if fellows & set(run)} if fellows else set()


def _costs(instance: Instance, plan: dict[int, list[int]]) -> dict[int, int]:
    """Return each run's cost in cents, by van; a van that stays in costs nothing."""
    runs = list(plan.items())
    return dict(zip(plan, cost_of(drive(instance, *table(instance, runs))).tolist(), strict=True)) if runs else {}
