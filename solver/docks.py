"""Vans that share a depot's docks take turns: a van that would find none free starts later.

The idea: engines say who goes where, not when each van starts. So the starts are set here in turn, each as
early as a dock is free, and only if the run still keeps every rule.
"""

import numpy as np

from solver.evaluate import ahead
from solver.instance import Instance
from solver.problem import Run
from solver.rules import keeps_all
from solver.schedule import Schedule, drive, table
from solver.timing_kernels import Ints

Stay = tuple[int, int]  # from and until, seconds


def taking_turns(instance: Instance, runs: list[Run]) -> list[Run]:
    """Return the runs with later starts where docks need them; unchanged where no depot counts its docks."""
    docks = [depot.docks for depot in instance.problem.depots]
    if not any(docks) or not runs:
        return runs
    vans = [instance.van_number[run.van] for run in runs]
    rows = [(van, ahead(instance, van, run)[0]) for van, run in zip(vans, runs, strict=True)]
    times = drive(instance, *table(instance, rows))
    stays = [_stays(times, row) for row in range(len(runs))]
    for row in np.argsort(times.begin_s[:, 0], kind="stable").tolist():
        taken = [stay for other, list_ in enumerate(stays) if other != row for stay in list_]
        for start_s in sorted({times.begin_s[row, 0], *(until for _, (_, until) in taken)}):
            tried = _tried(instance, rows[row], int(start_s))
            if start_s >= times.begin_s[row, 0] and keeps_all(tried)[0] and _fits(_stays(tried, 0), taken, docks):
                if start_s > times.begin_s[row, 0]:
                    runs[row] = runs[row].model_copy(update={"not_before_s": int(start_s)})
                    stays[row] = _stays(tried, 0)
                break
    return runs


def _tried(instance: Instance, row: tuple[int, list[int]], start_s: int) -> Schedule:
    return drive(instance, *table(instance, [row]), np.array([start_s]))


def _stays(times: Schedule, row: int) -> list[tuple[int, Stay]]:
    """Return depot and time of each stay of a run at a depot."""
    depot: Ints = times.instance.dock[times.rows[row]]
    columns = np.flatnonzero((depot >= 0) & (times.leave_s[row] > times.begin_s[row]))
    return [(int(depot[at]), (int(times.begin_s[row, at]), int(times.leave_s[row, at]))) for at in columns]


def _fits(mine: list[tuple[int, Stay]], taken: list[tuple[int, Stay]], docks: list[int | None]) -> bool:
    """Whether each of my stays finds a dock: at any moment of it, fewer others are there than docks."""
    for depot, (begin, end) in mine:
        others = [stay for at, stay in taken if at == depot and stay[0] < end and begin < stay[1]]
        moments = [begin, *(stay[0] for stay in others if stay[0] > begin)]
        busiest = max(sum(stay[0] <= moment < stay[1] for stay in others) for moment in moments)
        if busiest >= (docks[depot] or len(taken) + 1):
            return False
    return True
