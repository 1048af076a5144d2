"""The plan of a city of five places that a person can check with a pocket calculator."""

import json
from pathlib import Path

import numpy as np
import pytest

from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import Copies, Exposure, Places, PlanningSettings, Snapshot, Titles

CASE = json.loads((Path(__file__).parent / "planning" / "five_places.json").read_text())
CHOSEN = PlanningSettings(move_price=0.1, equity=0.0, gap=0.0)


def test_three_copies_leave_the_central_library():
    enough_weeks = 1e6
    seen = Exposure.of([0] * 5, range(5), np.array(CASE["rates"]) * enough_weeks, enough_weeks)
    places = Places.of([0, 1, 2, 2, 3], 1000, classes=1, in_cost=0.05, out_cost=0.05)
    decided = plan(Snapshot(Titles.of([0]), places, Copies.of([0] * 6, [0] * 6), seen), CHOSEN)
    assert sorted([m.origin, m.destination] for m in decided.moves) == CASE["moves"]
    assert decided.value == pytest.approx(CASE["value"], abs=2e-4)
    assert decided.bound == pytest.approx(CASE["value"], abs=5e-4)
    losses = sorted(m.reason.numbers["loss_here"] for m in decided.moves)
    assert losses == pytest.approx([CASE["central_loses"][k] for k in ("sixth", "fifth", "fourth")], abs=2e-4)
