"""What the night believes of a shelf: loans by holds count where they are made, and fading counts once."""

import numpy as np
import pytest

from rotation.facts.movements import CopyState
from rotation.night.world.spells import (
    WEEK_S,
    Arrivals,
    Stays,
    arrivals,
    arrived_weeks,
    exposure,
    reservable,
    stays_of,
)
from rotation.night.world.touched_rows import STATES, Rows
from rotation.rebalancing.snapshot import AGE_BANDS_WEEKS, NEVER_WEEKS, OLD

NOW_WEEK, PLACES = 300.0, 3

Movement = tuple[float, CopyState, int]  # week, state, place


def copies(*now: tuple[CopyState, int]) -> Rows:
    rows = [(0, place, STATES.index(state), 0.0) for state, place in now]
    return np.array(rows, [("title", "i4"), ("place", "i4"), ("state", "i4"), ("at_s", "f8")])


def stays(*of_copies: list[Movement], since_week: float = 0.0) -> Stays:
    """Make spells as the store reads them: of the movements before the history, each copy's last alone."""
    rows: list[tuple[int, float, int, int]] = []
    for copy, moves in enumerate(of_copies):
        read = [m for m in moves if m[0] >= since_week] or moves[-1:]
        rows += [(copy, week * WEEK_S, STATES.index(state), place) for week, state, place in read]
    moved = np.array(rows, [("copy", "i4"), ("at_s", "f8"), ("state", "i4"), ("place", "i4")])
    return stays_of(moved, since_week * WEEK_S, NOW_WEEK * WEEK_S)


def lent_regularly(arrived_week: float, every: float, away: float) -> list[Movement]:
    moves: list[Movement] = [(arrived_week, CopyState.ON_SHELF, 0)]
    for week in np.arange(arrived_week + every - away, NOW_WEEK - away, every):
        moves += [(week, CopyState.ON_LOAN, 0), (week + away, CopyState.ON_SHELF, 0)]
    return moves


def read(rows: Rows, moves: Stays, since_week: float = 0.0) -> Arrivals:
    return arrivals(rows, moves, PLACES, since_week * WEEK_S)


@pytest.mark.parametrize(("arrived_week", "every", "away"), [(0.0, 10.0, 3.0), (130.0, 6.0, 2.0), (10.0, 26.0, 4.0)])
def test_what_is_believed_of_a_steady_shelf_does_not_hang_on_how_far_back_is_read(arrived_week, every, away):
    rows, moves = copies((CopyState.ON_SHELF, 0)), lent_regularly(arrived_week, every, away)
    for weeks in (8, 26, 52, 104, 260, 300):
        spells = stays(moves, since_week=NOW_WEEK - weeks)
        came = read(rows, spells, NOW_WEEK - weeks)
        assert arrived_weeks(rows, spells, came, NOW_WEEK * WEEK_S)[0] >= AGE_BANDS_WEEKS[-1]
        if weeks <= 104:  # the oldest of these arrivals is not in the records, the youngest is old by then
            assert (exposure(rows, spells, came, NOW_WEEK * WEEK_S).band == OLD).all()


def moved(week: float) -> list[Movement]:
    return [(0.0, CopyState.ON_SHELF, 1), (week - 1, CopyState.IN_TRANSIT, 1), (week, CopyState.ON_SHELF, 0)]


def test_a_copy_that_came_lately_is_as_young_as_it_is():
    rows = copies((CopyState.ON_SHELF, 0), (CopyState.ON_SHELF, 2))
    spells = stays(moved(288.0), [(0.0, CopyState.ON_SHELF, 2)], since_week=248.0)
    [age, _] = arrived_weeks(rows, spells, read(rows, spells, 248.0), NOW_WEEK * WEEK_S)
    assert age == pytest.approx(12)


def test_records_that_reach_back_too_little_show_no_arrival():
    rows = copies((CopyState.ON_SHELF, 0), (CopyState.ON_SHELF, 2))
    spells = stays(moved(288.0), [(0.0, CopyState.ON_SHELF, 2)], since_week=270.0)
    [age, _] = arrived_weeks(rows, spells, read(rows, spells, 270.0), NOW_WEEK * WEEK_S)
    assert age == NEVER_WEEKS


def test_a_copy_beside_others_of_its_title_is_as_old_as_they_are():
    rows = copies((CopyState.ON_SHELF, 0), (CopyState.ON_SHELF, 0))
    spells = stays([(0.0, CopyState.ON_SHELF, 0)], moved(288.0))
    assert arrived_weeks(rows, spells, read(rows, spells), NOW_WEEK * WEEK_S).tolist() == [NEVER_WEEKS] * 2


def test_weeks_on_the_shelf_are_told_by_the_age_of_the_title_there():
    rows, spells = copies((CopyState.ON_SHELF, 0)), stays(moved(240.0))
    found = exposure(rows, spells, read(rows, spells), NOW_WEEK * WEEK_S)
    here = found.place == 0
    assert found.band[here].tolist() == [0, 1, 2, 3, OLD]
    assert found.shelf_weeks[here] == pytest.approx([8, 8, 10, 26, 8], rel=0.4)
    assert found.shelf_weeks[here].sum() == pytest.approx(60 * 0.82, rel=0.05)


def evidence(rows: Rows, spells: Stays) -> dict[int, tuple[float, float, float]]:
    found = exposure(rows, spells, read(rows, spells), NOW_WEEK * WEEK_S)
    total = np.zeros((3, PLACES))
    for row, column in zip(total, (found.loans, found.shelf_weeks, found.holds), strict=True):
        np.add.at(row, found.place, column)
    return {place: tuple(numbers) for place, numbers in enumerate(total.T.tolist()) if any(numbers)}


def reserved(week: float, place: int, waits: float) -> list[Movement]:
    return [
        (week, CopyState.IN_TRANSIT, 0),
        (week + 0.5, CopyState.ON_HOLD_SHELF, place),
        (week + 0.5 + waits, CopyState.ON_LOAN, place),
    ]


def test_a_loan_by_a_hold_is_demand_where_the_reader_fetched_the_copy():
    moves = [(290.0, CopyState.ON_SHELF, 0), *reserved(294.0, 1, 0.4), *reserved(297.0, 2, 0.2)]
    found = evidence(copies((CopyState.ON_LOAN, 2)), stays(moves))
    assert found[0] == (0, pytest.approx(4, rel=0.1), 0)
    assert found[1] == (0, 0, pytest.approx(1, rel=0.1))
    assert found[2] == (0, 0, pytest.approx(1, rel=0.1))


def test_a_loan_by_a_hold_counts_once_and_not_before_it_is_made():
    trapped: list[Movement] = [(290.0, CopyState.ON_SHELF, 0), (298.0, CopyState.ON_HOLD_SHELF, 0)]
    never_fetched = evidence(copies((CopyState.ON_HOLD_SHELF, 0)), stays(trapped))
    assert never_fetched == {0: (0, pytest.approx(8, rel=0.1), 0)}
    lent = evidence(copies((CopyState.ON_LOAN, 0)), stays([*trapped, (299.0, CopyState.ON_LOAN, 0)]))
    assert lent == {0: (0, pytest.approx(8, rel=0.1), pytest.approx(1, rel=0.1))}


def test_readers_can_reserve_a_title_since_the_records_know_a_copy_of_it():
    rows = copies((CopyState.ON_SHELF, 0))
    spells = stays([(280.0, CopyState.ON_SHELF, 0)], since_week=200.0)
    came = read(rows, spells, 200.0)
    [weeks] = reservable(rows, spells, came, 1, NOW_WEEK * WEEK_S)
    assert weeks == pytest.approx(20, rel=0.1)
