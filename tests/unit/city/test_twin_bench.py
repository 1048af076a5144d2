"""The twin's comparison: it goes on run by run where it stopped, and sets ours beside others at equal kilometres."""

from argparse import Namespace
from typing import Any

import pytest

from bench import twin, twin_report

ASKED = Namespace(seeds=1, scenarios=["as_found", "growing"], budgets=None, policies=["placement", "greedy"])


def test_what_was_run_is_not_run_again():
    asked = list(twin.jobs(twin.WHOLE, ASKED, set()))
    assert [(job.scenario, job.policy, job.moves) for job in asked] == [
        ("as_found", "placement", 160),
        *(("as_found", "greedy", moves) for moves in (40, 80, 160, 320)),
        ("growing", "placement", 160),
        ("growing", "greedy", 160),
    ]
    done = {(job.scenario, job.seed, job.policy, job.moves) for job in asked[:3]}
    assert list(twin.jobs(twin.WHOLE, ASKED, done)) == asked[3:]


def ran(policy: str, moves: int, km: float, loans: float) -> dict[str, Any]:
    return {"policy": policy, "moves_a_week": moves, "seed": 10, "copy_km": km, "loans": loans}


OURS = [ran("both", 40, 1_000, 100), ran("both", 80, 2_000, 140)]


@pytest.mark.parametrize(("km", "lead"), [(1_500, 20.0), (2_000, 40.0), (9_000, 40.0), (999, None)])
def test_ours_is_set_beside_another_at_its_kilometres_or_fewer(km: float, lead: float | None):
    assert twin_report._lead(ran("greedy", 40, km, 100), OURS) == (lead if lead is None else pytest.approx(lead))


def test_a_policy_that_drives_less_than_ours_ever_does_is_named():
    table = twin_report._at_equal_km([*OURS, ran("greedy", 40, 1_500, 100), ran("rota", 40, 900, 90)])
    assert "| greedy | 40 | 1 of 1 | +20.0 % |" in table
    assert "| rota | 40 | 0 of 1 | drives less than ours ever does |" in table


def test_both_is_set_beside_what_was_asked_of_it():
    seen = {
        "rooms_per_head": 1.0,
        "unmet": 1.0,
        "hold_days": 1.0,
        "staff_minutes": 1.0,
        "gini": 0.5,
        "stale_share": 0.0,
    }
    more = seen | {"scenario": "as_found", "middle": 80, "ping_pong_share": 0.01, "floor_copies_missing": 0, "picks": 1}
    loans = {"none": 100, "proportional": 105, "greedy": 110, "both": 120, "oracle": 140}
    table = twin_report._asked([more | ran(policy, 80, 1_000, found) for policy, found in loans.items()])
    assert "| as found | +9.1 % (greedy) | 4.0 | 0.50 (of 1) | 0 | 0 | +0.000 | 1.0% |" in table
