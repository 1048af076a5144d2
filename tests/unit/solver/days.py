"""Small days that can be checked by hand: places on a line, a kilometre and two minutes apart."""

from typing import Any

import numpy as np

from solver.check import read
from solver.evaluate import evaluate
from solver.problem import Problem, Run, Travel
from solver.solution import Cause, Evaluation, Solution

KM_S = 120  # a kilometre takes two minutes
PLACES = 10  # hub at 0, places at 1..9 km


def line(places: int = PLACES) -> Travel:
    """A road with a place each kilometre: the hub is `0`."""
    away = np.abs(np.subtract.outer(np.arange(places), np.arange(places)))
    return Travel(places=[str(place) for place in range(places)], metres=away * 1000, seconds=away * KM_S)


def stop(place: int, **fields: Any) -> dict[str, Any]:
    """A stop at a kilometre of the line; its id is s and the kilometre."""
    return {"id": f"s{place}", "place": str(place), **fields}


def van(**fields: Any) -> dict[str, Any]:
    """A van that costs a cent a metre and nothing else."""
    return {"id": "v", "hour_cents": 0, "km_cents": 1000, "shift": [0, 36_000], **fields}


def day(*stops: dict[str, Any], vans: list[dict[str, Any]] | None = None, **fields: Any) -> Problem:
    """A day on the line, with one van unless said otherwise."""
    data = {
        "depots": [{"id": "hub", "place": "0"}],
        "vans": vans or [van()],
        "stops": list(stops),
        "travel": line().model_dump(),
        **fields,
    }
    return read(data)


def plan(*visits: str, van: str = "v") -> Solution:
    return Solution(runs=[Run(van=van, visits=list(visits))])


def plans(**runs: str) -> Solution:
    """A plan of several vans: v="s1 s2", w="s3"."""
    return Solution(runs=[Run(van=name, visits=visits.split()) for name, visits in runs.items()])


def judged(problem: Problem, *visits: str) -> Evaluation:
    return evaluate(problem, plan(*visits))


def wrong(evaluation: Evaluation) -> dict[Cause, int]:
    """The amounts of what is wrong, by cause."""
    amounts = dict[Cause, int]()
    for one in evaluation.violations:
        amounts[one.cause] = amounts.get(one.cause, 0) + one.amount
    return amounts


def times(evaluation: Evaluation, van: int = 0) -> dict[str, tuple[int, int, int]]:
    """Arrival, beginning and leaving of each visit of a run."""
    return {one.visit: (one.arrive_s, one.begin_s, one.leave_s) for one in evaluation.runs[van].visits}


TWO_VANS = [van(), van(id="w")]


def under_way(**fields: Any) -> dict[str, Any]:
    """The van, out since 500 s, free at kilometre 2 at 1000 s."""
    position = {"place": "2", "now_s": 1000, "started_s": 500, "metres": 2000, **fields}
    return van(under_way=position)
