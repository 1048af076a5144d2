"""The promise that a tier's places lend no less than before: a weight on the loans of each, raised while it lends less.

Each night steers once: a place below its promise counts a little more in every decision, one above it a little less, until 1.
The weight is the promise's price: a loan there is worth so many loans elsewhere. Loans are counted as they are made, without
correction for the season.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from config.figures import known
from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.night.world.world import GUARD
from rotation.store.kept import keep, kept
from rotation.store.tables import movements

BEFORE_WEEKS, LATELY_WEEKS = 26, 8  # before the promise begins, and how long a place's present loans are counted
# A night's step: a place that lends nothing any more doubles in about a month. Steps are as in the twin's trial, by the day.
STEP = 0.15 / 7
STEP_MOST = 0.5  # of the shortfall that one night heeds
WEIGHT_MOST = 6.0  # no loan counts for more
LOANS_ALIKE = 1.0  # a week: in a place that lends less, chance alone would steer


def steer(connection: Connection, network: Network, now: datetime) -> None:
    """Take the night's step for each place that is promised its loans; without such a promise nothing is kept."""
    promised = shares(network)
    state: Mapping[str, Any] = kept(connection, GUARD) or {}
    if not promised:
        if state:
            keep(connection, GUARD, {})
        return
    lately = _loans_a_week(connection, now, LATELY_WEEKS)
    first = _loans_a_week(connection, now, BEFORE_WEEKS) if promised.keys() - state.keys() else {}
    keep(
        connection,
        GUARD,
        {
            place: _stepped(
                state.get(place) or {"before": first.get(place, 0.0), "weight": 1.0}, lately.get(place, 0.0), share
            )
            for place, share in promised.items()
        },
    )


def shares(network: Network) -> dict[str, float]:
    """Return the share of its loans before that each place is promised, where any."""
    figures = known()

    def value(figure: float | str | None) -> float:
        return (figures.get(figure) or 0.0) if isinstance(figure, str) else (figure or 0.0)

    promised = {place.id: value(network.floors.loans_of_before.get(place.tier)) for place in network.places}
    return {place: share for place, share in promised.items() if share > 0}


def standings(connection: Connection) -> list[dict[str, Any]]:
    """Return loans a week before and lately, the promise's share and its price for each place, the dearest first."""
    rows = [{"place": place, **one} for place, one in (kept(connection, GUARD) or {}).items()]
    return sorted(rows, key=lambda row: (-row["weight"], row["place"]))


def _stepped(one: Mapping[str, float], lately: float, share: float) -> dict[str, float]:
    due = share * one["before"]
    short = (due - lately) / (lately + LOANS_ALIKE)
    step = 1 + STEP * max(-STEP_MOST, min(short, STEP_MOST))
    weight = min(max(one["weight"] * step, 1.0), WEIGHT_MOST)
    return {"before": one["before"], "lately": round(lately, 2), "share": share, "weight": round(weight, 4)}


def _loans_a_week(connection: Connection, now: datetime, weeks: int) -> dict[str, float]:
    since = now - timedelta(weeks=weeks)
    m = movements.c
    query = (
        select(m.place_id, func.count())
        .where(m.state == CopyState.ON_LOAN, m.occurred_at > since, m.occurred_at <= now, m.place_id.is_not(None))
        .group_by(m.place_id)
    )
    return {place: round(number / weeks, 2) for place, number in connection.execute(query).all()}
