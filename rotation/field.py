"""What moves bring in the field: copies whose move was left undone at random, beside those of the same nights that were not.

Chance alone decided which is which, so the difference of their loans is what the moves did, whatever the planner believed. Every
move that was meant to be done counts as done, found on the shelf or not: that is what a night's decision brings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from sqlalchemy import Connection, text

CERTAIN = 1.96  # standard errors: 95 % of a normal distribution, good from some thirty copies a side on
FEWEST = 2  # copies a side without which nothing can be said

_LOANS = text("""
    SELECT t.status = 'held_back', (
        SELECT count(*) FROM movements m
        WHERE m.copy_id = t.copy_id AND m.state = 'on_loan' AND m.occurred_at >= t.created_at
          AND m.occurred_at < t.created_at + make_interval(weeks => :weeks))
    FROM transfers t
    WHERE t.kind = 'pick' AND t.created_at + make_interval(weeks => :weeks) <= :now
      AND t.plan_id IN (SELECT plan_id FROM transfers WHERE status = 'held_back')""")


@dataclass(frozen=True, slots=True)
class Uplift:
    """Loans a copy over the horizon, moved and held back, and what a move brings with its 95 % interval."""

    moved: int
    held_back: int
    loans_moved: float
    loans_held_back: float
    half_width: float

    @property
    def a_move(self) -> float:
        """Loans that a move brought."""
        return self.loans_moved - self.loans_held_back


def measured(connection: Connection, *, weeks: int, now: object) -> Uplift | None:
    """Return what moves brought whose horizon is over; None where too few were held back."""
    rows = connection.execute(_LOANS, {"weeks": weeks, "now": now}).all()
    sides = [[float(loans) for back, loans in rows if back is held] for held in (False, True)]
    return uplift(*sides)


def uplift(moved: Sequence[float], held_back: Sequence[float]) -> Uplift | None:
    """Compare the loans of copies moved and held back (Welch)."""
    if min(len(moved), len(held_back)) < FEWEST:
        return None
    error = math.sqrt(variance(moved) / len(moved) + variance(held_back) / len(held_back))
    return Uplift(len(moved), len(held_back), fmean(moved), fmean(held_back), CERTAIN * error)
