"""Findings: the judgement of a rule on a place or source, and the count in which it is made."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor

from config import Settings
from rotation.alerts.levels import AlertVerdict
from rotation.alerts.touched import Touched
from rotation.facts.lifecycle import AlertKind
from rotation.network import Network


class Thresholds(NamedTuple):
    """Thresholds that a city may set."""

    overdue_days: int = 21  # PINES searches for a copy after three weeks
    silent_hours: int = 16  # two days of opening
    plan_at: str = "04:00"
    lost_days: tuple[int, int] = (21, 60)

    @classmethod
    def of(cls, settings: Settings) -> "Thresholds":
        """Return the thresholds in the settings."""
        return cls(settings.overdue_days, settings.silent_hours, settings.plan_at, settings.lost_days)


class AlertFinding(NamedTuple):
    """The judgement on a possible alert, with the numbers that decided it."""

    kind: AlertKind
    place_id: str
    cls: str
    verdict: AlertVerdict
    numbers: dict[str, Any]


class Count(NamedTuple):
    """A recount at these places (None: everywhere) as of `now`, the network's time."""

    cursor: Cursor[Any]
    network: Network
    thresholds: Thresholds
    now: datetime
    places: list[str] | None
    touched: Mapping[str, Touched]
