"""The measured effect of moves: copies whose move was held back at random, compared with moved copies of the same nights.

Chance alone decided which is which, so the difference of their loans is the effect of the moves, independent of the
planner's beliefs. Every move that was meant to be done counts as done, found on the shelf or not: the effect measured is
that of a night's decision.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import TransferKind, TransferState
from rotation.facts.movements import CopyState

CERTAIN = 1.96  # standard errors: 95 % of a normal distribution, good from some thirty copies a side on
FEWEST = 2  # copies a side without which nothing can be said

_LOANS = text(f"""
    SELECT t.status = '{TransferState.HELD_BACK}', (
        SELECT count(*) FROM movements m
        WHERE m.copy_id = t.copy_id AND m.state = '{CopyState.ON_LOAN}' AND m.occurred_at >= t.created_at
          AND m.occurred_at < t.created_at + make_interval(weeks => :weeks))
    FROM transfers t
    WHERE t.kind = '{TransferKind.PICK}' AND t.created_at + make_interval(weeks => :weeks) <= :now
      AND t.plan_id IN (SELECT plan_id FROM transfers WHERE status = '{TransferState.HELD_BACK}')""")


@dataclass(frozen=True, slots=True)
class Uplift:
    """Loans a copy over the horizon, moved and held back, and the effect of a move with its 95 % interval."""

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
    """Return the effect of the moves whose horizon is over; None where too few were held back."""
    rows = connection.execute(_LOANS, {"weeks": weeks, "now": now}).all()
    sides = [[float(loans) for back, loans in rows if back is held] for held in (False, True)]
    return uplift(*sides)


def uplift(moved: Sequence[float], held_back: Sequence[float]) -> Uplift | None:
    """Compare the loans of copies moved and held back (Welch)."""
    if min(len(moved), len(held_back)) < FEWEST:
        return None
    error = math.sqrt(variance(moved) / len(moved) + variance(held_back) / len(held_back))
    return Uplift(len(moved), len(held_back), fmean(moved), fmean(held_back), CERTAIN * error)
