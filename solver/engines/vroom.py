"""VROOM as an engine: a good plan in a moment, of a simpler problem.

The idea: it gets only rules that it can express: windows, loads, skills, breaks, shipments. It serves everything possible
regardless of the prize, pays for driving only, and starts after loading; `solver.evaluate` judges the result.
"""

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
import vroom

from solver.breaks import with_breaks
from solver.engines import Limits, Plan, Report
from solver.instance import MANDATORY, Instance, NodeKind
from solver.timing_kernels import NEVER_S

NAME = "vroom"
VERSIONS = {"vroom": version("pyvroom")}

EXPLORATION = 5  # all that VROOM has
SOLVING_SHARE = 0.93  # of the time: the rest is for asking, answering, and VROOM's own steps between looks at the clock
FIRST_PRIORITY, LAST_PRIORITY = 100, 0
WHOLE_DAY_S = 10**8  # stands for no limit: VROOM multiplies by a hundred


def left_out(instance: Instance) -> list[str]:
    """Return the parts of the problem that VROOM does not know."""
    problem = instance.problem
    tests = {
        "prizes": bool((instance.prize_cents != MANDATORY).any()),
        "pay for waiting and service": any(van.hour_cents for van in problem.vans),
        "reloads": any(van.max_reloads for van in problem.vans),
        "longest run": bool((instance.max_duration_s < NEVER_S).any()),
        "longest time on board": bool((instance.max_on_board_s < NEVER_S).any()),
        "groups apart": bool(problem.apart),
        "longest leg": bool((np.minimum(instance.max_leg_metres, instance.max_leg_s) < NEVER_S).any()),
        "longest waiting": bool((instance.max_wait_s < NEVER_S).any()),
        "overtime": any(van.normal_s is not None for van in problem.vans),
        "slots": bool(problem.slots),
        "docks": any(depot.docks for depot in problem.depots),
        "order locks": any(lock.order != "free" or not lock.van for lock in problem.locks),
        "ready and due times": bool(instance.ready_s.any() or (instance.due_s < NEVER_S).any()),
    }
    return [name for name, found in tests.items() if found]


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Report VROOM's single plan; empty where vans are under way, whose load VROOM cannot know, or it knows none of them.

    It takes no seed and no plan to begin with, and may end early.
    """
    untold = instance.under_way.any() or not _sayable(instance)
    report([] if untold else _solved(instance, SOLVING_SHARE * limits.time_s, limits.threads))


def _solved(instance: Instance, time_s: float, threads: int) -> Plan:
    timeout = timedelta(milliseconds=max(1, int(1000 * time_s)))
    answer = _input(instance).solve(exploration_level=EXPLORATION, nb_threads=threads, timeout=timeout)
    return list(_plan(instance, answer))


def _input(instance: Instance) -> vroom.Input:
    asked = vroom.Input()
    for kind in set(instance.van_kind.tolist()):
        asked.set_durations_matrix(str(kind), instance.kind_seconds[kind, :-1, :-1])
        asked.set_distances_matrix(str(kind), instance.kind_metres[kind, :-1, :-1])
    asked.add_vehicle([_vehicle(instance, van) for van in _sayable(instance)])
    for item, nodes in enumerate(instance.item_nodes):
        asked.add_job(_job(instance, item, nodes[0]) if len(nodes) == 1 else _shipment(instance, item, *nodes))
    return asked


def _sayable(instance: Instance) -> list[int]:
    """Return the vans that VROOM can express: a van that begins and ends anywhere has no place for it."""
    return [number for number, van in enumerate(instance.problem.vans) if not (van.open_start and van.open_end)]


def _vehicle(instance: Instance, van: int) -> vroom.Vehicle:
    one, start, end = instance.problem.vans[van], int(instance.start[van]), int(instance.end[van])
    begins_s = int(instance.begin_s[van] + instance.service_s[start])
    ends_s = max(begins_s, int(min(instance.finish_s[van], WHOLE_DAY_S) - instance.service_s[end]))
    return vroom.Vehicle(
        van + 1,
        start=None if one.open_start else int(instance.place[start]),
        end=None if one.open_end else int(instance.place[end]),
        profile=str(int(instance.van_kind[van])),
        capacity=instance.capacity[van].tolist(),
        skills=_able(instance, van),
        time_window=(begins_s, ends_s),
        breaks=[rest for node in instance.breaks[van] if (rest := _rest(instance, node, begins_s, ends_s))],
        costs=vroom.VehicleCosts(one.fixed_cents, one.hour_cents, one.km_cents),
        speed_factor=100 / one.time_percent,
        max_tasks=one.max_visits,
        max_distance=int(min(instance.max_metres[van], WHOLE_DAY_S)),
    )


def _able(instance: Instance, van: int) -> set[int]:
    """Every item that some van may not serve is a skill of the others."""
    hard = {int(instance.item[node]) for node in range(instance.tasks) if instance.out_of_reach[:, node].any()}
    return {item + 1 for item in hard if not instance.out_of_reach[van, instance.item_nodes[item]].any()}


def _rest(instance: Instance, node: int, begins_s: int, ends_s: int) -> vroom.Break | None:
    """Return the break with its hours on duty; None where the van is off duty then: VROOM refuses the day for it."""
    latest_s = ends_s - int(instance.service_s[node])
    spans = [(max(opens, begins_s), min(closes, latest_s)) for opens, closes in _spans(instance, node)]
    hours = [vroom.TimeWindow(opens, closes) for opens, closes in spans if opens <= closes]
    return vroom.Break(node + 1, time_windows=hours, service=int(instance.service_s[node])) if hours else None


def _spans(instance: Instance, node: int) -> list[tuple[int, int]]:
    pairs = zip(instance.open_s[0, node].tolist(), instance.close_s[0, node].tolist(), strict=True)
    return [(opens, min(closes, WHOLE_DAY_S)) for opens, closes in dict.fromkeys(pairs)]


def _windows(instance: Instance, node: int) -> list[vroom.TimeWindow]:
    return [vroom.TimeWindow(*span) for span in _spans(instance, node)]


def _skills(instance: Instance, item: int) -> set[int]:
    return {item + 1} if instance.out_of_reach[:, instance.item_nodes[item]].any() else set()


def _priority(instance: Instance, item: int) -> int:
    """Return VROOM's priority, from 0 to 100: it serves the largest sum of them that it can, as the judge's rule has it."""
    mandatory = instance.prize_cents[item] == MANDATORY
    return 1 + int(instance.priority[item]) * (FIRST_PRIORITY - 1) // FIRST_PRIORITY if mandatory else LAST_PRIORITY


def _job(instance: Instance, item: int, node: int) -> vroom.Job:
    return vroom.Job(
        node + 1,
        int(instance.place[node]),
        default_setup=int(instance.setup_s[node]),
        default_service=int(instance.service_s[node]),
        delivery=instance.deliver[node].tolist(),
        pickup=instance.collect[node].tolist(),
        skills=_skills(instance, item),
        priority=_priority(instance, item),
        time_windows=_windows(instance, node),
    )


def _shipment(instance: Instance, item: int, first: int, last: int) -> vroom.Shipment:
    steps = [
        vroom.ShipmentStep(
            node + 1,
            int(instance.place[node]),
            default_setup=int(instance.setup_s[node]),
            default_service=int(instance.service_s[node]),
            time_windows=_windows(instance, node),
        )
        for node in (first, last)
    ]
    amount = vroom.Amount(instance.change[first].tolist())
    return vroom.Shipment(*steps, amount, _skills(instance, item), _priority(instance, item))


def _plan(instance: Instance, answer: Any) -> Iterator[tuple[int, list[int]]]:
    """Yield each used van's visits; breaks go back where the judge wants them."""
    table = answer.routes
    if table.empty:  # then it has no columns either
        return
    visits = table[table["type"].isin(["job", "pickup", "delivery"])]
    for van, nodes in visits.groupby("vehicle_id", sort=True)["id"]:
        run = [int(node) - 1 for node in nodes]
        assert all(instance.kind[node] <= NodeKind.DELIVER for node in run)
        yield int(van) - 1, with_breaks(instance, int(van) - 1, run)
