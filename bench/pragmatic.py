"""vrp-cli as a peer of `bench.solver`, where its pragmatic format can say the problem.

The idea: its wheel exists for few versions of Python, so it stands in no list of ours: `pip install vrp-cli==1.22.1` into the
environment of the benchmark, and `--peers vrp_cli`. It gets the problem whole or not at all (`unsayable`), the judge's own costs
to minimise after what is left unserved, and both cores; it reports its plan at the end.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from solver.engines import Limits, Plan, Report
from solver.engines.pyvrp import SubProblem, alike
from solver.engines.vroom import left_out
from solver.instance import MANDATORY, Instance, NodeKind
from solver.timing_kernels import NEVER_S

NAME = "vrp_cli"
VERSIONS = {"vrp_cli": "1.22.1"}

KNOWN = {"pay for waiting and service", "longest run"}  # to it, of what VROOM does not know
OBJECTIVES = [[{"type": "minimize-unassigned"}], [{"type": "minimize-cost"}]]


def unsayable(instance: Instance) -> list[str]:
    """Return the parts of the problem for which it has no words, or others than the judge's."""
    problem = instance.problem
    tests = {
        "collecting and delivering at once": bool((instance.deliver.any(axis=1) & instance.collect.any(axis=1)).any()),
        "prizes": bool((instance.prize_cents != MANDATORY).any()),
        "breaks": any(van.breaks for van in problem.vans),
        "vans that may not come": bool(instance.out_of_reach[:, : instance.tasks].any()),
        "setup": bool(instance.setup_s.any()),
        "most visits": bool((instance.max_visits < NEVER_S).any()),
    }
    return [
        *(name for name in left_out(instance) if name not in {*KNOWN, "prizes"}),
        *(n for n, wrong in tests.items() if wrong),
    ]


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Report its plan at the limit, an empty one where its format cannot say the problem; it takes no seed.

    Raises
    ------
    ModuleNotFoundError
        When it is not installed.
    """
    peer = import_module("vrp_cli")
    report([] if unsayable(instance) else _solved(instance, limits, peer))


def _solved(instance: Instance, limits: Limits, peer: Any) -> Plan:
    termination = {"maxTime": max(1, round(limits.time_s))}
    cores = {"numThreadPools": 1, "threadsPerPool": limits.threads}
    config = {"termination": termination, "environment": {"parallelism": cores}}
    matrices = [json.dumps(_matrix(instance, kind)) for kind in sorted(set(instance.van_kind.tolist()))]
    asked = json.dumps(_problem(instance)), matrices, json.dumps(config)
    return list(_plan(instance, json.loads(peer.solve_pragmatic(*asked))))


def _matrix(instance: Instance, kind: int) -> dict[str, Any]:
    seconds, metres = (ways[kind, :-1, :-1].ravel().tolist() for ways in (instance.kind_seconds, instance.kind_metres))
    return {"profile": str(kind), "travelTimes": seconds, "distances": metres}


def _problem(instance: Instance) -> dict[str, Any]:
    kinds, vans = alike(instance), SubProblem.whole(instance).vans
    fleets = [[van for van in vans if kinds[van] == kind] for kind in sorted(set(kinds))]
    profiles = [{"name": str(kind)} for kind in sorted(set(instance.van_kind.tolist()))]
    return {
        "plan": {"jobs": [_job(instance, item) for item in range(len(instance.items))]},
        "fleet": {"vehicles": [_vehicles(instance, fleet) for fleet in fleets], "profiles": profiles},
        "objectives": OBJECTIVES,
    }


def _job(instance: Instance, item: int) -> dict[str, Any]:
    nodes = instance.item_nodes[item]
    if len(nodes) == 2:
        first, last = (_task(instance, node, instance.change[nodes[0]].tolist()) for node in nodes)
        return {"id": str(item), "pickups": [first], "deliveries": [last]}
    collected = instance.collect[nodes[0]]
    kind, demand = ("pickups", collected) if collected.any() else ("deliveries", instance.deliver[nodes[0]])
    return {"id": str(item), kind: [_task(instance, nodes[0], demand.tolist())]}


def _task(instance: Instance, node: int, demand: list[int]) -> dict[str, Any]:
    spans = zip(instance.open_s[0, node].tolist(), instance.close_s[0, node].tolist(), strict=True)
    hours = [[_clock(opens), _clock(closes)] for opens, closes in dict.fromkeys(spans)]
    place = {
        "location": {"index": int(instance.place[node])},
        "duration": float(instance.service_s[node]),
        "times": hours,
    }
    return {"places": [place], "demand": demand}


def _vehicles(instance: Instance, vans: list[int]) -> dict[str, Any]:
    van, one = vans[0], instance.problem.vans[vans[0]]
    start, end = int(instance.start[van]), int(instance.end[van])
    begins_s = int(instance.begin_s[van] + instance.service_s[start])
    ends_s = max(begins_s, int(min(instance.finish_s[van], NEVER_S) - instance.service_s[end]))
    begin = {"earliest": _clock(begins_s), "location": {"index": int(instance.place[start])}}
    finish = {"latest": _clock(ends_s), "location": {"index": int(instance.place[end])}}
    duration, metres = int(instance.max_duration_s[van]), int(instance.max_metres[van])
    limits = {name: most for name, most in {"shiftTime": duration, "maxDistance": metres}.items() if most < NEVER_S}
    return {
        "typeId": f"like {van}",
        "vehicleIds": [str(number) for number in vans],
        "profile": {"matrix": str(int(instance.van_kind[van])), "scale": one.time_percent / 100},
        "costs": {"fixed": float(one.fixed_cents), "distance": one.km_cents / 1000, "time": one.hour_cents / 3600},
        "shifts": [{"start": begin, **({} if one.open_end else {"end": finish})}],
        "capacity": instance.capacity[van].tolist(),
        **({"limits": limits} if limits else {}),
    }


def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plan(instance: Instance, answer: dict[str, Any]) -> Iterator[tuple[int, list[int]]]:
    """Yield each tour's visits."""
    for tour in answer["tours"]:
        done = [activity for stop in tour["stops"] for activity in stop["activities"] if activity["jobId"].isdigit()]
        nodes = [instance.item_nodes[int(one["jobId"])][-1 if one["type"] == "delivery" else 0] for one in done]
        assert all(instance.kind[node] <= NodeKind.DELIVER for node in nodes)
        yield int(tour["vehicleId"]), nodes
