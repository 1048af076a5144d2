"""How things stand, as figures: the one place that `rotation status`, the run's last line and the page count from."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Date, Engine, cast, exists, func, literal, select

from rotation.store.clock import read_clock
from rotation.store.tables import alerts, copies, counts, feeds, plans, progress, runs, stops, titles, transfers

OVERDUE_DAYS, YEAR_DAYS = 21, 365  # PINES searches after three weeks; after a year nobody does
OURS, NOT_ORDERED = ("pick", "placement"), ("proposed", "approved", "cancelled")
COUNTS = ("applied", "duplicates", "late", "rejected")


def figures(engine: Engine, zone: ZoneInfo) -> dict[str, Any]:
    """Return what was heard, what holds now and what was decided, all of one moment; times as ISO 8601."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return _figures(connection, zone)


def _figures(connection: Connection, zone: ZoneInfo) -> dict[str, Any]:
    now = read_clock(connection).now()
    return {
        "network_time": now.isoformat(),
        **_heard(connection),
        **_stock(connection),
        **_alerts(connection),
        **_decided(connection),
        "in_transit": _in_transit(connection, now, zone),
        "feeds": _feeds(connection, now),
        "next_offsets": sum(connection.execute(select(progress.c.next_offset)).scalars()),
    }


def _heard(connection: Connection) -> dict[str, int]:
    told = {row.name: row.value for row in connection.execute(select(counts))}
    heard = {name: told.get(name, 0) for name in COUNTS}
    return {"events_in": told.get("events_in", sum(heard.values())), **heard}


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
    open_now = alerts.c.closed_at.is_(None)
    by_kind = connection.execute(select(alerts.c.kind, func.count()).where(open_now).group_by(alerts.c.kind))
    return {
        "alerts_opened": connection.execute(select(func.count()).select_from(alerts)).scalar_one(),
        "alerts_open": connection.execute(select(func.count()).where(open_now)).scalar_one(),
        "alerts_by_kind": dict(by_kind.all()),
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
        "stops_done": number(stops.c.status == "done", of=stops),
        "orders": sum(count for counted in ours for status, count in counted.items() if status not in NOT_ORDERED),
        "delivered": sum(counted.get("received", 0) for counted in ours),
        "delivered_by_plan": by_status.get("pick", {}).get("received", 0),
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
        ).where(copies.c.state == "in_transit")
    ).one()
    return dict(row._mapping)


# That a feed is missed is an open alert: the worker alone knows how long each may be silent.
SILENT = exists().where(alerts.c.kind == "feed", alerts.c.place_id == feeds.c.source, alerts.c.closed_at.is_(None))


def _feeds(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "source": row.source,
            "events": row.events,
            "last_event_at": row.last_event_at.isoformat(),
            "behind_s": round((now - row.last_event_at).total_seconds(), 1),
            "silent": row.silent,
        }
        for row in connection.execute(select(feeds, SILENT.label("silent")).order_by(feeds.c.source))
    ]
