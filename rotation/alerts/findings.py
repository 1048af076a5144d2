"""Findings: the judgement of a rule on a place or source, and the count in which it is made."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor

from rotation.alerts.levels import AlertVerdict
from rotation.alerts.thresholds import AlertThresholds
from rotation.alerts.touched import Touched
from rotation.facts.lifecycle import AlertKind
from rotation.network import Network


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
    thresholds: AlertThresholds
    now: datetime
    places: list[str] | None
    touched: Mapping[str, Touched]

    def threshold(self, kind: AlertKind, place_id: str, cls: str = "") -> int:
        """Return from which figure on an alert of that kind opens at a place."""
        place = self.network.place.get(place_id)
        return self.thresholds.of(kind, place.tier if place else "", cls)
