"""The measured effect of the desk's rule: place-weeks in which it answered, compared with those held back at random.

Every copy that was placed in a place-week counts, whether the rules differed for it or not and whatever staff did with the
answer: which copies differ depends on the rule that acted before them, and leaving some out would undo the lot. Loans of all
copies of the placed titles, everywhere, count those that were only taken from other copies too; that interval is wider.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from rotation.facts.movements import CopyState
from rotation.night.uplift import CERTAIN
from rotation.store import kept
from rotation.store.desk_answers import AnsweredBy

KEPT = "placement_uplift"
FEWEST_WEEKS = 30  # place-weeks a side: the normal interval of a ratio needs about as many
FEWEST_LOANS = 30  # a side

_LENT = f"""
    SELECT count(*) AS loans FROM movements m WHERE m.copy_id = {{copy}} AND m.state = '{CopyState.ON_LOAN}'
    AND m.occurred_at >= {{since}} AND m.occurred_at < {{since}} + make_interval(weeks => :weeks)"""
_PLACE_WEEKS = text(f"""
    WITH placed AS (
        SELECT answered_by, place_id, date_trunc('week', day) AS week, copy_id, title_id, min(at) AS at FROM desk_answers
        WHERE answered_by <> '{AnsweredBy.SHADOW}' AND at + make_interval(weeks => :weeks) <= :now GROUP BY 1, 2, 3, 4, 5),
    copies_lent AS (
        SELECT answered_by, place_id, week, count(*) AS copies, sum(own.loans) AS loans
        FROM placed p CROSS JOIN LATERAL ({_LENT.format(copy="p.copy_id", since="p.at")}) own GROUP BY 1, 2, 3),
    titles_lent AS (
        SELECT t.answered_by, t.place_id, t.week, sum(every.loans) AS loans
        FROM (SELECT answered_by, place_id, week, title_id, min(at) AS at FROM placed GROUP BY 1, 2, 3, 4) t
        JOIN copies c ON c.title_id = t.title_id
        CROSS JOIN LATERAL ({_LENT.format(copy="c.copy_id", since="t.at")}) every GROUP BY 1, 2, 3)
    SELECT answered_by, copies, c.loans::int, coalesce(t.loans, 0)::int
    FROM copies_lent c LEFT JOIN titles_lent t USING (answered_by, place_id, week)""")


class PlaceWeek(NamedTuple):
    """Copies placed at a place in a week, and loans over the horizon."""

    copies: int
    loans: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Loans a copy and week that the desk's rule brought, with the half width of the 95 % interval."""

    desk_rule: float
    own_rule: float
    half_width: float

    @property
    def a_copy_week(self) -> float:
        """Loans a copy and week that the desk's rule brought."""
        return self.desk_rule - self.own_rule


@dataclass(frozen=True, slots=True)
class PlacementUplift:
    """The effect on the placed copies, and with all copies of their titles; over how many place-weeks."""

    of_copies: Effect
    of_titles: Effect
    place_weeks: int
    held_back: int


def measured(connection: Connection, *, weeks: int, now: datetime) -> PlacementUplift | None:
    """Return the effect of the desk's answers whose horizon of `weeks` is over; None while there is too little evidence."""
    rows = connection.execute(_PLACE_WEEKS, {"weeks": weeks, "now": now}).all()
    by_rule = [[row for row in rows if row[0] == rule] for rule in (AnsweredBy.DESK_RULE, AnsweredBy.OWN_RULE)]
    of_copies = effect(*([PlaceWeek(row[1], row[2]) for row in side] for side in by_rule), weeks=weeks)
    of_titles = effect(*([PlaceWeek(row[1], row[3]) for row in side] for side in by_rule), weeks=weeks)
    if of_copies is None or of_titles is None:
        return None
    return PlacementUplift(of_copies, of_titles, len(by_rule[0]), len(by_rule[1]))


def keep(connection: Connection, *, weeks: int, now: datetime) -> None:
    """Measure and keep the effect: a night does so, since a year of answers takes seconds."""
    found = measured(connection, weeks=weeks, now=now)
    kept.keep(connection, KEPT, asdict(found) if found else None)


def last(connection: Connection) -> PlacementUplift | None:
    """Return the effect as the last night measured it; None while there was too little evidence."""
    found = kept.kept(connection, KEPT)
    if not found:
        return None
    effects = {name: Effect(**found[name]) for name in ("of_copies", "of_titles")}
    return PlacementUplift(**found | effects)


def effect(desk_rule: Sequence[PlaceWeek], own_rule: Sequence[PlaceWeek], *, weeks: int) -> Effect | None:
    """Compare loans a copy and week, clustered by place-week; None with too few place-weeks or loans on a side."""
    sides = (desk_rule, own_rule)
    if min(map(len, sides)) < FEWEST_WEEKS or min(sum(one.loans for one in side) for side in sides) < FEWEST_LOANS:
        return None
    (with_rule, variance), (without, own_variance) = (_ratio(side) for side in sides)
    error = math.sqrt(variance + own_variance)
    return Effect(with_rule / weeks, without / weeks, CERTAIN * error / weeks)


def _ratio(side: Sequence[PlaceWeek]) -> tuple[float, float]:
    """Return loans a copy, and the variance of that ratio between place-weeks (linearised: the sandwich of one mean)."""
    size, copies = len(side), sum(one.copies for one in side)
    ratio = sum(one.loans for one in side) / copies
    residuals = math.fsum((one.loans - ratio * one.copies) ** 2 for one in side)
    return ratio, size / (size - 1) * residuals / copies**2
