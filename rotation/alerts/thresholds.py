"""From which figure on an alert opens: the city's usual, and people's own for a tier or class, with who and when.

Of those set, the narrowest counts: for tier and class, for the tier, for the class, for all. Each change takes effect with the
next count, since a count reads them anew; the next sweep is due with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, Row, insert, select, update

from config import Settings
from rotation.alerts.levels import STALE_PERCENT
from rotation.facts.lifecycle import AlertKind
from rotation.store.engine import driver
from rotation.store.tables import alert_thresholds


class Thresholds(NamedTuple):
    """The city's usual, from its settings."""

    overdue_days: int = 21  # PINES searches for a copy after three weeks
    silent_hours: int = 16  # two days of opening
    plan_at: str = "04:00"
    lost_days: tuple[int, int] = (21, 60)

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """Return the thresholds in the settings."""
        return cls(settings.overdue_days, settings.silent_hours, settings.plan_at, settings.lost_days)


class ThresholdRange(NamedTuple):
    """The values that a threshold may have, both included; `by_class` where alerts of its kind are of a class."""

    least: int
    most: int
    by_class: bool = False


# Percent of what should stand there at least and at most, and of a shelf; days in transit; open hours. Above the least nothing
# lacks, and below the most nothing is too much.
SETTABLE: Mapping[AlertKind, ThresholdRange] = {
    AlertKind.SHORTAGE: ThresholdRange(1, 100, by_class=True),
    AlertKind.SURPLUS: ThresholdRange(100, 1_000, by_class=True),
    AlertKind.STALE: ThresholdRange(5, 100),
    AlertKind.OVERDUE: ThresholdRange(1, 365),
    AlertKind.SILENT: ThresholdRange(1, 720),
}


class ThresholdKey(NamedTuple):
    """Alerts of a kind, at places of a tier (empty: of all) and of a class (empty: of all)."""

    kind: AlertKind
    tier: str = ""
    cls: str = ""


class UnknownThreshold(ValueError):
    """No such threshold can be set, or not to that value."""


@dataclass(frozen=True)
class AlertThresholds:
    """The thresholds in force: the usual, and those that people set."""

    usual: Thresholds
    set: Mapping[ThresholdKey, int] = field(default_factory=dict)

    def chosen(self, kind: AlertKind, tier: str, cls: str = "") -> int | None:
        """Return the threshold set by people that counts for places of a tier and a class; None: nothing."""
        keys = ((tier, cls), (tier, ""), ("", cls), ("", ""))
        return next((self.set[key] for key in (ThresholdKey(kind, *one) for one in keys) if key in self.set), None)

    def of(self, kind: AlertKind, tier: str, cls: str = "") -> int:
        """Return the threshold for places of a tier and a class."""
        chosen = self.chosen(kind, tier, cls)
        return self.usual_of(kind) if chosen is None else chosen

    def usual_of(self, kind: AlertKind) -> int:
        """Return the threshold where nobody set another."""
        return {
            AlertKind.STALE: STALE_PERCENT,
            AlertKind.OVERDUE: self.usual.overdue_days,
            AlertKind.SILENT: self.usual.silent_hours,
        }.get(kind, 100)

    def also(self, key: ThresholdKey, value: int) -> "AlertThresholds":
        """Return the same with another set."""
        return AlertThresholds(self.usual, {**self.set, key: value})


_IN_FORCE = "SELECT kind, tier, class, value FROM alert_thresholds WHERE ended_at IS NULL"


def in_force(cursor: Cursor[Any], usual: Thresholds) -> AlertThresholds:
    """Return the thresholds in force."""
    rows = cursor.execute(_IN_FORCE).fetchall()
    return AlertThresholds(usual, {ThresholdKey(AlertKind(kind), tier, cls): value for kind, tier, cls, value in rows})


def in_force_by(connection: Connection, usual: Thresholds) -> AlertThresholds:
    """Return the same by a connection of SQLAlchemy."""
    with driver(connection).cursor() as cursor:
        return in_force(cursor, usual)


def set_threshold(connection: Connection, key: ThresholdKey, value: int, who: str, at: datetime) -> None:
    """Set a threshold in place of the former, in the caller's transaction; `at` is the network's time.

    Raises
    ------
    UnknownThreshold
        When alerts of that kind have no such threshold, none by class, or not that value.
    """
    check(key, value)
    end_threshold(connection, key, who, at)
    row = {"kind": key.kind, "tier": key.tier, "class": key.cls, "value": value, "who": who, "set_at": at}
    connection.execute(insert(alert_thresholds), row)


def check(key: ThresholdKey, value: int) -> None:
    """Raise UnknownThreshold as `set_threshold` does."""
    allowed = SETTABLE.get(key.kind)
    if allowed is None or (key.cls and not allowed.by_class):
        raise UnknownThreshold(f"no threshold of {key.kind} for class {key.cls!r}")
    if not allowed.least <= value <= allowed.most:
        raise UnknownThreshold(f"{key.kind}: {allowed.least} to {allowed.most}")


def end_threshold(connection: Connection, key: ThresholdKey, who: str, at: datetime) -> bool:
    """Go back to the usual threshold; return whether it stood."""
    table = alert_thresholds.c
    same = (table.kind == key.kind, table.tier == key.tier, table["class"] == key.cls, table.ended_at.is_(None))
    ended = update(alert_thresholds).where(*same).values(ended_by=who, ended_at=at)
    return bool(connection.execute(ended).rowcount)


def history(connection: Connection, rows: int) -> list[Row[Any]]:
    """Return all that was ever set, the newest first."""
    newest = select(alert_thresholds).order_by(alert_thresholds.c.threshold_id.desc()).limit(rows)
    return list(connection.execute(newest))
