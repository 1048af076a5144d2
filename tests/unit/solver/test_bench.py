"""How peers are measured: a single run of a steady peer answers every limit, each by its plan at that time."""

from argparse import Namespace
from typing import Any

import pytest

from bench import pragmatic
from bench import solver as bench
from solver.engines import Plan
from solver.instance import compiled, rows_of
from solver.problem import Problem
from tests.unit.solver.days import day, plan, stop, van

TWO_STOPS = day(stop(1), stop(2))


def rows(*visits: str) -> Plan:
    return rows_of(compiled(TWO_STOPS), plan(*visits).runs)


@pytest.mark.parametrize(("by_s", "served"), [(0.5, 0), (1.0, 1), (4.9, 1), (5.0, 2), (60.0, 2)])
def test_at_each_limit_the_last_plan_that_came_by_then_counts(by_s: float, served: int):
    found = [(1.0, rows("s1")), (5.0, rows("s1", "s2"))]
    assert bench._judged(compiled(TWO_STOPS), found, by_s).totals.served == served


def test_a_steady_peer_runs_once_to_the_longest_limit_that_it_lacks(monkeypatch: pytest.MonkeyPatch):
    def known() -> list[dict[str, Any]]:
        return [{"case": "c", "seed": 1, "engine": "pyvrp", "time_s": 30, "commit": "before"}]

    monkeypatch.setattr(bench, "_results", known)
    options = Namespace(peers=["pyvrp", "vroom"], seconds=[10, 30, 60], again=False)
    assert list(bench._left("c", 1, options)) == [
        *(("race", [limit]) for limit in (10, 30, 60)),
        ("pyvrp", [10, 60]),
        *(("vroom", [limit]) for limit in (10, 30, 60)),
    ]


DIRECT = {"id": "d", "amount": 2, "collect": {"place": "3"}, "deliver": {"place": "4"}}
SAYABLE = compiled(day(stop(1, deliver=2, windows=["08:00-09:00"]), stop(2, collect=1), shipments=[DIRECT]))


def test_vrp_cli_gets_each_item_as_a_job_of_its_kind():
    first, second, third = pragmatic._problem(SAYABLE)["plan"]["jobs"]
    (place,) = first["deliveries"][0]["places"]
    assert place["times"] == [["1970-01-01T08:00:00Z", "1970-01-01T09:00:00Z"]]
    assert (first["deliveries"][0]["demand"], second["pickups"][0]["demand"]) == ([2], [1])
    assert [third[half][0]["demand"] for half in ("pickups", "deliveries")] == [[2], [2]]


def test_vrp_clis_tours_are_read_as_runs():
    kinds = [("departure", "departure"), ("2", "pickup"), ("0", "delivery"), ("2", "delivery"), ("1", "pickup")]
    stops = [{"activities": [{"jobId": job, "type": kind}]} for job, kind in kinds]
    (run,) = pragmatic._plan(SAYABLE, {"tours": [{"vehicleId": "0", "stops": stops}]})
    assert run == (0, rows_of(SAYABLE, plan("collect:d", "s1", "deliver:d", "s2").runs)[0][1])


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (day(stop(1, deliver=1, collect=1)), ["collecting and delivering at once"]),
        (day(stop(1, prize_cents=5)), ["prizes"]),
        (day(stop(1, setup_s=5), vans=[van(max_reloads=1)]), ["reloads", "setup"]),
    ],
)
def test_vrp_cli_is_not_asked_what_its_format_cannot_say(problem: Problem, why: list[str]):
    assert pragmatic.unsayable(SAYABLE) == []
    assert pragmatic.unsayable(compiled(problem)) == why
