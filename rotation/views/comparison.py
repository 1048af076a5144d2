"""A day's totals beside yesterday's and the usual: anything out of the ordinary shows at a glance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import NOT_DRIVEN, listed

LOOKED_BACK_DAYS = 28  # four of each weekday
TOTALS = ("runs", "stops", "crates", "distance_m")


@dataclass(frozen=True, slots=True)
class UsualTotals:
    """Totals of the last planned day before a day, and the median of the four weeks before it, by name of TOTALS."""

    day_before: date
    before: Mapping[str, float]
    usual: Mapping[str, float]


_DAYS = text(f"""
    SELECT r.day, count(DISTINCT r.run_id), count(s.*), coalesce(sum(s.deliver_crates + s.collect_crates), 0),
        (SELECT sum(distance_m) FROM runs d WHERE d.day = r.day AND d.status NOT IN ({listed(NOT_DRIVEN)})
            AND (:hub = '' OR d.hub_id = :hub))
    FROM runs r LEFT JOIN stops s USING (run_id)
    WHERE r.day >= :since AND r.day < :day AND r.status NOT IN ({listed(NOT_DRIVEN)}) AND (:hub = '' OR r.hub_id = :hub)
    GROUP BY r.day ORDER BY r.day""")


def usual_totals(connection: Connection, day: date, hub: str = "") -> UsualTotals | None:
    """Return the totals of the days before, of a hub if asked for; None where no day before was planned."""
    values = {"day": day, "since": day - timedelta(days=LOOKED_BACK_DAYS), "hub": hub}
    rows = [(row[0], dict(zip(TOTALS, map(float, row[1:]), strict=True))) for row in connection.execute(_DAYS, values)]
    if not rows:
        return None
    usual = {name: median(totals[name] for _, totals in rows) for name in TOTALS}
    return UsualTotals(*rows[-1], usual)
