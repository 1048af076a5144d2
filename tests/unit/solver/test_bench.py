"""How peers are measured: a single run of a steady peer answers every limit, each by its plan at that time."""

from argparse import Namespace
from typing import Any

import pytest

from bench import solver as bench
from solver.engines import Plan
from solver.instance import compiled, rows_of
from tests.unit.solver.days import day, plan, stop

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
