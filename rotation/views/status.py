"""The system's figures, counted once for `rotation status`, the last line of `rotation run` and the page."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Date, Engine, cast, func, literal, select

from rotation.facts.lifecycle import NOT_ORDERED, OURS, StopState, TransferKind, TransferState
from rotation.facts.movements import CopyState
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.heartbeats import heartbeats
from rotation.store.rejections import REFUSED_AT_EDGE
from rotation.store.standstill import standing_still
from rotation.store.tables import (
    copies,
    plans,
    progress,
    runs,
    stops,
    titles,
    topics_read,
    transfers,
)
from rotation.store.waiting import way
from rotation.views import notices

# PINES searches for a copy after three weeks in transit; after a year nobody does.
OVERDUE_DAYS, YEAR_DAYS = 21, 365
COUNTS = ("applied", "duplicates", "late", "rejected")


def figures(engine: Engine, zone: ZoneInfo, plan_at: str) -> dict[str, Any]:
    """Return the figures of events, stock, alerts, decisions, feeds and parts, all of one moment; times as ISO 8601."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return _figures(connection, zone, plan_at)


def _figures(connection: Connection, zone: ZoneInfo, plan_at: str) -> dict[str, Any]:
    now = read_clock(connection).now()
    return {
        "network_time": now.isoformat(),
        **_heard(connection),
        **_stock(connection),
        **_alerts(connection),
        **_decided(connection),
        "in_transit": _in_transit(connection, now, zone),
        "way": way(driver(connection).cursor(), now, now.astimezone(zone).date(), str(zone)),
        "feeds": _feeds(connection, now),
        "kafka": kafka_findings(connection),
        "parts": parts(connection),
        "standing_still": standstill(connection, zone, plan_at),
        "next_offsets": sum(connection.execute(select(progress.c.next_offset)).scalars()),
    }


def kafka_findings(connection: Connection) -> list[dict[str, str]]:
    """Return the differences that a worker found in Kafka when it last looked: a code, and a sentence in each language."""
    rows = connection.execute(select(topics_read.c.findings).order_by(topics_read.c.topic)).scalars()
    return [finding for findings in rows for finding in findings]


def parts(connection: Connection) -> list[dict[str, Any]]:
    """Return each part that runs, or was killed: how long it has been silent, its last deed, and how long ago."""
    return [
        one._asdict() | {"silent_s": round(one.silent_s, 1), "deed_s": round(one.deed_s, 1)}
        for one in heartbeats(driver(connection).cursor())
    ]


def standstill(connection: Connection, zone: ZoneInfo, plan_at: str) -> list[dict[str, str]]:
    """Return the standstills: subject, and a sentence in each language."""
    return [one.words() for one in standing_still(driver(connection).cursor(), zone, plan_at)]


def _heard(connection: Connection) -> dict[str, int]:
    counted = notices.counts_of(connection)
    heard = {name: counted.get(name, 0) for name in COUNTS}
    counted_apart = {REFUSED_AT_EDGE: counted.get(REFUSED_AT_EDGE, 0)}
    return {"events_in": counted.get("events_in", sum(heard.values())), **heard, **counted_apart}


def _stock(connection: Connection) -> dict[str, Any]:
    unlisted = func.count().filter(copies.c.title_id.is_(None)).label("unlisted")
    query = select(copies.c.state, func.count().label("copies"), unlisted).group_by(copies.c.state)
    rows = connection.execute(query.order_by(copies.c.state)).all()
    return {
        "copies": sum(row.copies for row in rows),
        "by_state": {row.state: row.copies for row in rows},
        "unlisted": sum(row.unlisted for row in rows),
        "titles": connection.execute(select(func.count()).select_from(titles)).scalar_one(),
    }


def _alerts(connection: Connection) -> dict[str, Any]:
    by_kind = notices.open_alerts_by_kind(connection)
    return {
        "alerts_opened": notices.count_alerts(connection, is_open=None),
        "alerts_open": sum(by_kind.values()),
        "alerts_by_kind": by_kind,
    }


def _decided(connection: Connection) -> dict[str, Any]:
    def number(*conditions: Any, of: Any) -> int:
        return int(connection.execute(select(func.count()).select_from(of).where(*conditions)).scalar_one())

    rows = connection.execute(select(transfers.c.kind, transfers.c.status, func.count()).group_by("kind", "status"))
    by_status: dict[str, dict[str, int]] = {}
    for kind, status, count in rows:
        by_status.setdefault(kind, {})[status] = count
    ours = [by_status.get(kind, {}) for kind in OURS]
    return {
        "plans": number(of=plans),
        "transfers": sum(sum(counted.values()) for counted in by_status.values()),
        "transfers_by_status": by_status,
        "runs": number(of=runs),
        "stops_done": number(stops.c.status == StopState.DONE, of=stops),
        "orders": sum(count for counted in ours for status, count in counted.items() if status not in NOT_ORDERED),
        "delivered": sum(counted.get(TransferState.RECEIVED, 0) for counted in ours),
        "delivered_by_plan": by_status.get(TransferKind.PICK, {}).get(TransferState.RECEIVED, 0),
    }


def _in_transit(connection: Connection, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Count the copies in transit, those sent on the network's present day, and those sent over 21 and 365 days before."""
    days = cast(literal(now.astimezone(zone).date()), Date) - cast(func.timezone(str(zone), copies.c.occurred_at), Date)
    row = connection.execute(
        select(
            func.count().label("copies"),
            func.count().filter(days == 0).label("sent_today"),
            func.count().filter(days > OVERDUE_DAYS).label("over_21_days"),
            func.count().filter(days > YEAR_DAYS).label("over_365_days"),
        ).where(copies.c.state == CopyState.IN_TRANSIT)
    ).one()
    return dict(row._mapping)


def _feeds(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "source": feed.source,
            "events": feed.events,
            "last_event_at": feed.last_event_at and feed.last_event_at.isoformat(),
            "behind_s": feed.last_event_at and round((now - feed.last_event_at).total_seconds(), 1),
            "silent": feed.silent,
            **({"away": feed.away} if feed.away else {}),
        }
        for feed in notices.feeds_of(connection)
    ]
