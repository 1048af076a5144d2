"""The town's three days as a file that a person has checked by hand: a change in it must be meant."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rotation.courier.day import SIDE_BY_SIDE
from rotation.courier.routes import schedule
from solver.engines import Limits
from solver.generate import courier_day
from solver.solve import solve
from tests.unit.courier.town import MONDAY, town, waiting

FILE = Path(__file__).parent / "routes" / "town.json"
COPIES = [
    *(waiting("mill", "quay", number) for number in range(3)),
    *(waiting("quay", "mill", number) for number in range(6)),
    waiting("hill", "mill"),
    waiting("mill", "west"),
    waiting("late", "hill"),
    waiting("mill", "nowhere"),
]


def test_the_towns_routes_are_as_checked_by_hand():
    with ThreadPoolExecutor(
        SIDE_BY_SIDE
    ) as pool:  # a busy machine takes longer to start processes than a hub may search
        list(pool.map(lambda seed: solve(courier_day(6, seed), Limits(iterations=1)), range(SIDE_BY_SIDE)))
    report = schedule(town(), COPIES, MONDAY, 3, time_s=30.0, seed=1, iterations=30, direct_fill_copies=4)
    assert report == json.loads(FILE.read_text(encoding="utf-8"))
