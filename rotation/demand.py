"""How often a title would be borrowed at a place if it stood there: Gamma-Poisson rates over weeks on the shelf.

A week without the copy on the shelf is no evidence of no interest, so shelf-weeks are the exposure, and what is on loan or
elsewhere adds none. Rates are a title's factor times its class's rate at the place; each borrows from the level above it.
"""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from rotation.rebalancing.snapshot import Exposure, Floats, Settings, Snapshot

YEARLY_DISCOUNT = 0.7  # what evidence a year older weighs; measured best around it on held-out weeks (bench/demand)


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Loans a week of a title at a place: `of_title[t] * of_class[cls[t], place]`, before freshness."""

    of_title: Floats  # T
    of_class: Floats  # K x P
    title_spread: Floats  # T: relative standard deviation of the title's factor
    class_spread: Floats  # K x P


def rates(snapshot: Snapshot, settings: Settings | None = None) -> Rates:
    """Estimate rates from the snapshot's exposure and holds."""
    raise NotImplementedError


def observed(
    title: ArrayLike, place: ArrayLike, begin_week: ArrayLike, end_week: ArrayLike, lent: ArrayLike, now_week: float
) -> Exposure:
    """Make exposure of shelf spells (one row a copy's stay on a shelf): discounted loans, and weeks with at least one copy there.

    `lent` says whether the spell ended in a loan; spells of several copies of a title that overlap count once; an open spell
    ends now. Weeks are numbers on any common scale.
    """
    raise NotImplementedError
