"""Notices: alerts, rejected events, silent feeds. Pages, API and commands read them here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, func, select

from rotation.facts.lifecycle import AlertKind
from rotation.store.kept import OUTAGE
from rotation.store.tables import alerts, counts, feeds, rejections, settings
from rotation.views.forms import form_of_refused, message_without_values

# Rows of a list on a page; its filters reach older ones.
ROWS = 200
# Bytes of a rejected original: enough to see what is wrong with it.
SHOWN_BYTES = 2_000
# A feed counts as silent if an alert about it is open: only the worker knows how long each feed may be silent.
SILENT = exists().where(
    alerts.c.kind == AlertKind.FEED, alerts.c.place_id == feeds.c.source, alerts.c.closed_at.is_(None)
)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert from its opening to its closing."""

    alert_id: int
    kind: str
    place_id: str
    title_class: str
    opened_at: datetime
    closed_at: datetime | None
    changed_at: datetime
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RejectionLine:
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
class FeedStatus:
    """A source of events: the time of its last event, when that arrived, and whether its silence is an open alert.

    `away` says that its feed cannot reach the system `away_needed`, since `away_since`. A source that is away may not have sent
    anything yet.
    """

    source: str
    last_event_at: datetime | None
    last_heard_at: datetime | None
    events: int
    silent: bool
    away: str | None = None
    away_since: datetime | None = None
    away_needed: str = ""


def alerts_of(
    connection: Connection,
    *,
    is_open: bool | None,
    kind: str = "",
    place: str = "",
    limit: int | None = ROWS,
    offset: int = 0,
) -> list[Alert]:
    """Return alerts, the newest first: closed ones (`is_open` False) by the time they closed, others by the time they opened."""
    newest = alerts.c.closed_at if is_open is False else alerts.c.opened_at
    query = (
        select(alerts).where(*_alert_conditions(is_open, kind, place)).order_by(newest.desc(), alerts.c.alert_id.desc())
    )
    return [
        Alert(**{("title_class" if name == "class" else name): value for name, value in row.items()})
        for row in connection.execute(query.limit(limit).offset(offset)).mappings()
    ]


def count_alerts(connection: Connection, *, is_open: bool | None, kind: str = "", place: str = "") -> int:
    """Return how many alerts `alerts_of` would give without limit."""
    return (
        connection.scalar(select(func.count()).select_from(alerts).where(*_alert_conditions(is_open, kind, place))) or 0
    )


def open_alerts_by_kind(connection: Connection) -> dict[str, int]:
    """Return how many alerts are open, by kind."""
    query = select(alerts.c.kind, func.count()).where(alerts.c.closed_at.is_(None)).group_by(alerts.c.kind)
    return dict(connection.execute(query.order_by(alerts.c.kind)).all())


def _alert_conditions(is_open: bool | None, kind: str, place: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if is_open is not None:
        conditions.append(alerts.c.closed_at.is_(None) if is_open else alerts.c.closed_at.is_not(None))
    if kind:
        conditions.append(alerts.c.kind == kind)
    if place:
        conditions.append(alerts.c.place_id == place)
    return conditions


def rejections_of(
    connection: Connection,
    *,
    content: bool,
    reason: str = "",
    limit: int = ROWS,
    offset: int = 0,
    shown_bytes: int = SHOWN_BYTES,
) -> list[RejectionLine]:
    """Return rejected events, the newest first, each with the first `shown_bytes` of its original.

    Without `content` each is shown by the names of its fields and the forms of their values: anybody may be named in it.
    """
    query = select(rejections).order_by(rejections.c.id.desc()).limit(limit).offset(offset)
    if reason:
        query = query.where(rejections.c.reason == reason)
    shown = partial(_with_content, shown_bytes=shown_bytes) if content else _by_form
    return [RejectionLine(**dict(row._mapping) | shown(row)) for row in connection.execute(query)]


def rejections_by_reason(connection: Connection) -> dict[str, int]:
    """Return how many events were rejected, by reason, the most first."""
    query = select(rejections.c.reason, func.count()).group_by(rejections.c.reason).order_by(func.count().desc())
    return dict(connection.execute(query).all())


def _with_content(row: Row[Any], shown_bytes: int) -> dict[str, str]:
    return {"original": row.original[:shown_bytes].decode("utf-8", errors="backslashreplace")}


def _by_form(row: Row[Any]) -> dict[str, str]:
    return {"original": form_of_refused(row.original), "message": message_without_values(row.message)}


def feeds_of(connection: Connection) -> list[FeedStatus]:
    """Return every source that ever sent an event or is away, by name."""
    columns = (feeds.c.source, feeds.c.last_event_at, feeds.c.last_heard_at, feeds.c.events, SILENT)
    rows = connection.execute(select(settings.c.name, settings.c.value).where(settings.c.name.startswith(OUTAGE)))
    away = {
        name.removeprefix(OUTAGE): (value["message"], datetime.fromisoformat(value["since"]), value.get("needed", ""))
        for name, value in rows
    }
    heard = [FeedStatus(*row, *away.pop(row.source, ())) for row in connection.execute(select(*columns))]
    never = [FeedStatus(source, None, None, 0, False, *told) for source, told in away.items()]
    return sorted([*heard, *never], key=lambda feed: feed.source)


def counts_of(connection: Connection) -> dict[str, int]:
    """Return how many events were read, and how many of them applied, duplicate, late and rejected."""
    query = select(counts.c.name, counts.c.value).order_by(counts.c.name)
    return dict(connection.execute(query).all())
