"""When a van sets out: as late as saves waiting, also past a lunch closure, and never so late that something is missed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.generate import courier_day
from solver.instance import compiled
from solver.problem import Depot, Problem, Stop, Travel, Van, Window
from solver.schedule import drive, table

TEN_MINUTES_S = 600
TRAVEL = Travel(places=["hub", "a", "b", "c"], metres=1 - np.eye(4), seconds=TEN_MINUTES_S * (1 - np.eye(4)))


def problem(*hours: list[tuple[int, int]]) -> Problem:
    """Return a day with stops a, b, c that receive in these windows (hours)."""
    stops = [
        Stop(id=name, service_s=60, windows=[Window(from_s=a * 3600, until_s=b * 3600) for a, b in windows])
        for name, windows in zip("abc", hours, strict=False)
    ]
    return Problem(depots=[Depot(id="hub")], vans=[Van(id="van")], stops=stops, travel=TRAVEL)


def in_order(day: Problem) -> tuple[int, int]:
    """Return begin and end of the run that serves the stops in order."""
    runs = drive(compiled(day), *table(compiled(day), [(0, list(range(len(day.stops))))]))
    return int(runs.begin_s[0, 0]), int(runs.ended_s[0])


def test_a_van_waits_for_the_afternoon_at_home():
    begin_s, end_s = in_order(problem([(9, 12), (14, 17)], [(15, 17)]))
    assert (begin_s, end_s) == (15 * 3600 - 2 * TEN_MINUTES_S - 60, 15 * 3600 + 60 + TEN_MINUTES_S)


def test_a_morning_that_fits_stays_a_morning():
    assert in_order(problem([(9, 12), (14, 17)], [(9, 12)]))[1] < 12 * 3600


def test_a_last_window_is_not_missed_to_save_waiting():
    begin_s, _ = in_order(problem([(9, 10)], [(15, 17)]))
    assert begin_s <= 10 * 3600


windows = st.sampled_from([[(8, 12), (14, 17)], [(9, 11)], [(13, 16)], [(8, 17)], [(8, 9), (11, 12), (15, 16)]])


@settings(max_examples=60, deadline=None)
@given(st.lists(windows, min_size=1, max_size=3))
def test_no_other_departure_makes_a_shorter_run(hours):
    day = problem(*hours)
    begin_s, end_s = in_order(day)
    lengths = [length for start_s in range(0, 17 * 3600, 300) if (length := _length(hours, start_s))]
    if lengths:
        assert end_s - begin_s <= min(lengths)


def _length(hours: list[list[tuple[int, int]]], start_s: int) -> int | None:
    """Return how long the run takes when it starts then, or None when it misses a stop."""
    clock_s = start_s
    for one in hours:
        clock_s += TEN_MINUTES_S
        opening = next(((a * 3600, b * 3600) for a, b in one if clock_s <= b * 3600), None)
        if opening is None:
            return None
        clock_s = max(clock_s, opening[0]) + 60
    return clock_s + TEN_MINUTES_S - start_s


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_run_has_the_same_times_alone_as_among_many(seed, random):
    day = compiled(courier_day(12, seed))
    orders = [random.sample(range(day.tasks), k=random.randint(0, 9)) for _ in range(20)]
    among_many = drive(day, *table(day, [(0, order) for order in orders]))
    for row, order in enumerate(orders):
        alone = drive(day, *table(day, [(0, order)]))
        columns = alone.rows.shape[1]
        for times in ("arrive_s", "begin_s", "leave_s"):
            assert (getattr(alone, times)[0] == getattr(among_many, times)[row, :columns]).all()


def test_a_plan_without_runs_takes_no_time():
    day = compiled(courier_day(3, seed=1))
    assert len(drive(day, *table(day, [])).ended_s) == 0
