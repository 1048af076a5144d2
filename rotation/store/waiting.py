"""Copies that wait past their promise, by where each copy in transit lies: its last crate, and that crate's last scan.

Five kinds, each seen the same day: a hub's sorting left something (`unsorted`), a trunk did (`unsent`), a van did (`not_left`),
a leg's time is over (`leg_late`), a copy is longer on its way than its lane takes (`slow`).
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Cursor

from rotation.facts.lifecycle import (
    CARRIED,
    HUB_WORK,
    SENT_OUT,
    SET_OUT,
    STANDING,
    WAITS,
    AlertKind,
    LegKind,
    LegState,
    TransferKind,
    TransferState,
    listed,
)
from rotation.facts.movements import CopyState

GRACE = timedelta(hours=1)  # a hub sorts a day's copies in an hour or two, and scans come when people have a hand free
A_DAY = timedelta(days=1)  # each hub sorts and sends every day: copies that stand longer were left, ordered or not
LOST_AFTER = timedelta(days=90)  # as the courier takes it: older scans say nothing
USUAL_SHARE = 0.95  # of a lane's copies: the others were missed once, and that is not usual
ENOUGH_COPIES = 20  # of a lane: with fewer, one late copy would be its usual time
MARGIN_DAYS = 3  # a stop that was missed is made up for by the next visit: most places have a visit within three days


class Wait(NamedTuple):
    """Copies of a kind that wait at a place (`slow`: for it), and since when the longest of them waits."""

    kind: AlertKind
    place_id: str
    copies: int
    oldest: datetime


# The last crate of each copy in transit that was scanned since the copy was sent. Each part is computed once (MATERIALIZED):
# inlined, PostgreSQL unpacked all crates again for every order that it looked at.
LIES = f"""
travelling AS MATERIALIZED (SELECT copy_id, to_place_id, occurred_at FROM copies WHERE state = '{CopyState.IN_TRANSIT}'),
lies AS MATERIALIZED (
    SELECT DISTINCT ON (c.copy_id) c.copy_id, r.crate_id, r.type, r.place_id, r.to_place_id, r.occurred_at
    FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id)
    JOIN travelling c ON c.copy_id = inside.copy_id AND r.occurred_at >= c.occurred_at
    WHERE jsonb_typeof(r.copies) = 'array' AND r.occurred_at > %(now)s::timestamptz - %(lost)s::interval
    ORDER BY c.copy_id, r.occurred_at DESC, r.sequence DESC, r.source DESC, r.event_id DESC),
hubs AS MATERIALIZED (SELECT hub_id FROM hub_orders UNION SELECT hub_id FROM day_plans),
standing AS MATERIALIZED (SELECT * FROM lies WHERE type IN ({listed(STANDING)}) AND place_id IN (SELECT hub_id FROM hubs))"""
# Past a sorting, or past the trunk for where the crate goes, whose hour of grace is over.
LEFT = """
    (s.occurred_at < %(now)s::timestamptz - %(day)s::interval - %(grace)s::interval OR EXISTS (
        SELECT FROM hub_orders o WHERE o.hub_id = s.place_id
        AND o.to_hub_id = CASE WHEN s.to_place_id = s.place_id THEN '' ELSE s.to_place_id END
        AND o.due_at > s.occurred_at AND o.due_at < %(now)s::timestamptz - %(grace)s::interval))"""
UNSORTED = f"s.to_place_id = s.place_id AND {LEFT}"
UNSENT = f"s.to_place_id <> s.place_id AND s.to_place_id IN (SELECT hub_id FROM hubs) AND {LEFT}"
NOT_LEFT = f"""
    EXISTS (SELECT FROM legs l JOIN runs r USING (run_id) WHERE l.crate_id = s.crate_id AND l.kind = '{LegKind.DELIVER}'
        AND r.departs_at > s.occurred_at AND r.departs_at < %(now)s::timestamptz - %(grace)s::interval
        AND r.status IN ({listed(SENT_OUT)}))"""
# Legs are planned anew each night: a leg that is planned and over was not done today, or was forgotten. Legs of days before the
# copy's last check-in are history: shipments of the library system without an id share one transfer, journey after journey.
LATE = f"""
    SELECT l.from_place_id AS place_id, t.copy_id, t.changed_at AS since FROM legs l JOIN transfers t USING (transfer_id)
    LEFT JOIN runs r USING (run_id)
    WHERE l.status = '{LegState.PLANNED}' AND t.status IN ({listed(CARRIED)}) AND l.day > %(today)s - %(lost_days)s
    AND l.day >= (t.changed_at AT TIME ZONE %(zone)s)::date
    AND coalesce(r.returns_at + %(grace)s::interval < %(now)s::timestamptz, l.day < %(today)s)"""
USUAL = f"""
usual AS MATERIALIZED (
    SELECT from_place_id, to_place_id, percentile_cont(%(share)s) WITHIN GROUP (ORDER BY changed_at - created_at) AS takes
    FROM transfers WHERE status = '{TransferState.RECEIVED}' AND changed_at > %(now)s::timestamptz - %(lost)s::interval
    GROUP BY 1, 2 HAVING count(*) >= %(enough)s)"""
# A copy that came to a wrong place travels on by a transfer of its own: only its newest journey says how long it is on its way.
SLOW = f"""
    SELECT t.to_place_id AS place_id, t.copy_id, t.created_at AS since FROM transfers t
    JOIN travelling c ON c.copy_id = t.copy_id AND c.to_place_id = t.to_place_id
    LEFT JOIN usual u ON (u.from_place_id, u.to_place_id) = (t.from_place_id, t.to_place_id)
    WHERE t.status = '{TransferState.SENT}'
    AND NOT EXISTS (SELECT FROM transfers later WHERE later.copy_id = t.copy_id AND later.status = '{TransferState.SENT}'
        AND later.created_at > t.created_at)
    AND %(today)s > %(margin_days)s + greatest(
        CASE WHEN t.promised_on >= t.created_at - %(day)s::interval THEN t.promised_on END,
        ((t.created_at + u.takes) AT TIME ZONE %(zone)s)::date)"""
FOUND = f"""
WITH {LIES}, {USUAL}, found AS (
    SELECT '{AlertKind.UNSORTED}' AS kind, place_id, copy_id, occurred_at AS since FROM standing s WHERE {UNSORTED}
    UNION ALL SELECT '{AlertKind.UNSENT}', place_id, copy_id, occurred_at FROM standing s WHERE {UNSENT}
    UNION ALL SELECT '{AlertKind.NOT_LEFT}', place_id, copy_id, occurred_at FROM standing s WHERE {NOT_LEFT}
    UNION ALL SELECT '{AlertKind.LEG_LATE}', place_id, copy_id, since FROM ({LATE}) late
    UNION ALL SELECT '{AlertKind.SLOW}', place_id, copy_id, since FROM ({SLOW}) slow)
"""
WAITING = FOUND + "SELECT kind, place_id, count(DISTINCT copy_id), min(since) FROM found GROUP BY 1, 2 ORDER BY 1, 2"
SUBJECTS = FOUND + "SELECT DISTINCT copy_id FROM found WHERE kind = ANY(%(kinds)s) ORDER BY 1"


def waiting(cursor: Cursor[Any], now: datetime, today: date, zone: str) -> list[Wait]:
    """Return the copies that wait past their promise at `now`, whose day in the network's time zone is `today`."""
    rows = cursor.execute(WAITING, _values(now, today, zone))
    return [Wait(AlertKind(kind), *rest) for kind, *rest in rows]


def waiting_copies(
    cursor: Cursor[Any], now: datetime, today: date, zone: str, kinds: tuple[AlertKind, ...]
) -> list[str]:
    """Return the ids of the copies that wait past their promise in these ways."""
    return [copy for (copy,) in cursor.execute(SUBJECTS, _values(now, today, zone) | {"kinds": list(kinds)})]


def _values(now: datetime, today: date, zone: str) -> dict[str, Any]:
    return {
        "now": now,
        "today": today,
        "zone": zone,
        "grace": GRACE,
        "day": A_DAY,
        "lost": LOST_AFTER,
        "lost_days": LOST_AFTER.days,
        "share": USUAL_SHARE,
        "enough": ENOUGH_COPIES,
        "margin_days": MARGIN_DAYS,
    }


# --- Orders, and how much of them is done ---------------------------------------------------------------------------

HUB_ORDERS = f"""
WITH {LIES}
SELECT o.kind, count(*), count(*) FILTER (WHERE EXISTS (
    SELECT FROM standing s WHERE s.place_id = o.hub_id AND s.occurred_at < o.due_at AND CASE o.kind
        WHEN '{LegKind.SORT}' THEN s.to_place_id = s.place_id ELSE s.to_place_id = o.to_hub_id END))
FROM hub_orders o WHERE o.due_at < %(now)s::timestamptz - %(grace)s::interval GROUP BY 1
"""
PLACEMENTS = f"""
SELECT count(*), count(*) FILTER (WHERE status = '{TransferState.RECEIVED}') FROM transfers
WHERE kind = '{TransferKind.PLACEMENT}' AND status IN ({listed(SET_OUT)})
    AND created_at < %(now)s::timestamptz - %(aged)s::interval
"""
AGED = timedelta(
    days=6
)  # by when a placement has come: two nights, and the weekend of a place that is visited on weekdays


def way(cursor: Cursor[Any], now: datetime, today: date, zone: str) -> dict[str, Any]:
    """Return figures of copies on their way: orders to hubs and how many of them were done, placements, and waiting copies."""
    orders = {kind: (ordered, left) for kind, ordered, left in cursor.execute(HUB_ORDERS, _values(now, today, zone))}
    aged, received = cursor.execute(PLACEMENTS, {"now": now, "aged": AGED}).fetchone() or (0, 0)
    return {
        **dict(_of_orders(orders)),
        "placements_over_6_days": aged,
        "placements_over_6_days_received": received,
        "waiting": _by_kind(waiting(cursor, now, today, zone)),
    }


def _of_orders(orders: dict[str, tuple[int, int]]) -> Iterator[tuple[str, int]]:
    for kind in HUB_WORK:
        ordered, left = orders.get(kind, (0, 0))
        yield f"{kind}s_ordered", ordered
        yield f"{kind}s_done", ordered - left


def _by_kind(waits: list[Wait]) -> dict[str, int]:
    return {kind.value: sum(wait.copies for wait in waits if wait.kind == kind) for kind in WAITS}
