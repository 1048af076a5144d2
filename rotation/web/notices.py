"""What asks for attention: alerts, rejected events, silent feeds. Read by the pages and by the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from rotation.status import SILENT
from rotation.store.tables import alerts, counts, feeds, rejections

ROWS = 200  # of a list on a page; what is older is reached by its filters
SHOWN_BYTES = 2_000  # of a rejected original: enough to see what is wrong with it


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert from its opening to its closing."""

    alert_id: int
    kind: str
    place_id: str
    title_class: str
    opened_at: datetime
    closed_at: datetime | None
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that could not be applied."""

    id: int
    topic: str
    partition: int
    offset: int
    index: int
    reason: str
    field: str
    message: str
    original: str
    rejected_at: datetime
    replayed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Feed:
    """A source of events: its last event by its own time, when it was heard last, whether its silence is an open alert."""

    source: str
    last_event_at: datetime
    last_heard_at: datetime
    events: int
    silent: bool


def alerts_of(
    connection: Connection, *, is_open: bool, kind: str = "", place: str = "", limit: int = ROWS, offset: int = 0
) -> list[Alert]:
    """Return open alerts by the time they opened, or closed ones by the time they closed; the newest first."""
    newest = alerts.c.opened_at if is_open else alerts.c.closed_at
    query = (
        select(alerts).where(*_alert_conditions(is_open, kind, place)).order_by(newest.desc(), alerts.c.alert_id.desc())
    )
    return [
        Alert(row.alert_id, row.kind, row.place_id, row._mapping["class"], row.opened_at, row.closed_at, row.numbers)
        for row in connection.execute(query.limit(limit).offset(offset))
    ]


def count_alerts(connection: Connection, *, is_open: bool, kind: str = "", place: str = "") -> int:
    """Return how many alerts `alerts_of` would give without limit."""
    return (
        connection.scalar(select(func.count()).select_from(alerts).where(*_alert_conditions(is_open, kind, place))) or 0
    )


def open_alerts_by_kind(connection: Connection) -> dict[str, int]:
    """Return how many alerts are open, by kind."""
    query = select(alerts.c.kind, func.count()).where(alerts.c.closed_at.is_(None)).group_by(alerts.c.kind)
    return dict(connection.execute(query.order_by(alerts.c.kind)).all())


def _alert_conditions(is_open: bool, kind: str, place: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        alerts.c.closed_at.is_(None) if is_open else alerts.c.closed_at.is_not(None)
    ]
    if kind:
        conditions.append(alerts.c.kind == kind)
    if place:
        conditions.append(alerts.c.place_id == place)
    return conditions


def rejections_of(connection: Connection, *, reason: str = "", limit: int = ROWS, offset: int = 0) -> list[Rejected]:
    """Return rejected events, the newest first."""
    query = select(rejections).order_by(rejections.c.id.desc()).limit(limit).offset(offset)
    if reason:
        query = query.where(rejections.c.reason == reason)
    return [Rejected(**{**row._mapping, "original": _readable(row.original)}) for row in connection.execute(query)]


def rejections_by_reason(connection: Connection) -> dict[str, int]:
    """Return how many events were rejected, by reason, the most first."""
    query = select(rejections.c.reason, func.count()).group_by(rejections.c.reason).order_by(func.count().desc())
    return dict(connection.execute(query).all())


def _readable(original: bytes) -> str:
    return original[:SHOWN_BYTES].decode("utf-8", errors="backslashreplace")


def feeds_of(connection: Connection) -> list[Feed]:
    """Return every source that was ever heard, by name."""
    columns = (feeds.c.source, feeds.c.last_event_at, feeds.c.last_heard_at, feeds.c.events, SILENT)
    query = select(*columns).order_by(feeds.c.source)
    return [Feed(*row) for row in connection.execute(query)]


def counts_of(connection: Connection) -> dict[str, int]:
    """Return what became of every event read: applied, duplicates, late, rejected."""
    query = select(counts.c.name, counts.c.value).order_by(counts.c.name)
    return dict(connection.execute(query).all())
