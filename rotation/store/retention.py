"""Retention of old rows: working lists, traces, and transfers that have ended with their scans.

Movements, holds, crates and decisions stay, and so does every event in Kafka. Scans of transfers and reports of machines are
forgotten by their age alone, and counted, so that audit and rebuild add up: a rebuild brings them back from Kafka and forgets
them again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Cursor
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, text

from rotation.facts.lifecycle import ENDED, listed

SESSION_DAYS = 30  # of an ended session: settings allow seven days
PHOTO_DAYS = 90  # of what was wrong at a stop: a quarter, in which a claim is made
COUNTED_SCANS = ("transfer.declined", "transfer.missed")  # the others are counted as movements of their copies
AT_ONCE = 50_000  # rows of a table in one transaction; the next day takes the rest

# By table, the condition by which a row is old: `before` is an instant of the network's time, `wall` of the wall clock.
OF_THE_NIGHT: Mapping[str, str] = {
    "alerts": "closed_at < :before",
    "alert_steps": "NOT EXISTS (SELECT FROM alerts a WHERE a.alert_id = alert_steps.alert_id)",
    "scans": "at < :before",
    "legs": "day < CAST(:before AS timestamptz)::date",
    "hub_orders": "due_at < :before",
    "machine_visits": "day < CAST(:before AS timestamptz)::date",
    # A set that stays counts its copies for ever; those of scans alone go with their scans.
    "transfers": f"changed_at < :before AND set_id IS NULL AND (status IN ({listed(ENDED)}) OR reason ->> 'code' = 'system')"
    " AND NOT EXISTS (SELECT FROM transfer_facts f WHERE f.transfer_id = transfers.transfer_id)",
    "desk_answers": "at < :before",
    "rejections": "rejected_at < :wall AND (topic = 'http' OR topic ~ '^(file|folio|koha):')",
}
OF_THE_PAGE: Mapping[str, str] = {
    "sessions": f"since < now() - interval '{SESSION_DAYS} days'",
    "security_log": "minute < :wall",
    "photos": f"received_at < now() - interval '{PHOTO_DAYS} days'",
    "run_links": "ends_at < :wall",
    "tokens": "least(revoked_at, expires_at) < :wall",
}


# How many scans were forgotten, and of before which instant: in the table of settings.
FORGOTTEN = "forgotten_scans"
OLD_SCANS = (
    "DELETE FROM {schema}transfer_facts WHERE transfer_id IN (SELECT transfer_id FROM {schema}transfer_facts"
    " GROUP BY 1 HAVING max(occurred_at) < %s) RETURNING type"
)

# Of each machine the last report stays.
OLD_REPORTS = (
    "DELETE FROM {schema}machine_facts f WHERE occurred_at < %s AND EXISTS (SELECT FROM {schema}machine_facts n"
    " WHERE n.place_id = f.place_id AND (n.occurred_at, n.sequence, n.source, n.event_id)"
    " > (f.occurred_at, f.sequence, f.source, f.event_id))"
)


def forget_scans(cursor: Cursor[Any], before: datetime) -> int:
    """Delete scans of transfers that nobody scanned since `before`, and machines' reports; return how many counted as events."""
    cursor.execute(OLD_SCANS.format(schema=""), (before,))
    count = sum(kind in COUNTED_SCANS for (kind,) in cursor.fetchall())
    count += cursor.execute(OLD_REPORTS.format(schema=""), (before,)).rowcount
    cursor.execute(
        "INSERT INTO settings AS s VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = jsonb_build_object("
        "'before', excluded.value -> 'before', 'count', (s.value ->> 'count')::bigint + (excluded.value ->> 'count')::bigint)",
        (FORGOTTEN, Jsonb({"before": before.isoformat(), "count": count})),
    )
    return count


def forget_again(cursor: Cursor[Any], replaced: str) -> None:
    """After a replay of every event, forget the same again; in the schema `replaced` too, as far as it was not yet."""
    row = cursor.execute("SELECT value ->> 'before' FROM settings WHERE name = %s", (FORGOTTEN,)).fetchone()
    if row is None:
        return
    before = datetime.fromisoformat(row[0])
    cursor.execute("DELETE FROM settings WHERE name = %s", (FORGOTTEN,))
    forget_scans(cursor, before)
    for old in (OLD_SCANS, OLD_REPORTS):
        cursor.execute(old.format(schema=f"{replaced}."), (before,))
    condition = OF_THE_NIGHT["transfers"].replace(":before", "%s")
    cursor.execute(f"DELETE FROM transfers WHERE {condition}", (before,))
    cursor.execute(
        f"DELETE FROM {replaced}.transfers r WHERE NOT EXISTS (SELECT FROM transfers t WHERE t.transfer_id = r.transfer_id)"
        " AND changed_at < %s",
        (before,),
    )


def forget(connection: Connection, old: Mapping[str, str], before: datetime, wall: datetime) -> dict[str, int]:
    """Delete old rows in the caller's transaction; return how many of each table."""
    found = {}
    for table, condition in old.items():
        some = f"SELECT ctid FROM {table} WHERE {condition} LIMIT {AT_ONCE}"
        statement = text(f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({some}))")
        found[table] = connection.execute(statement, _named(condition, before, wall)).rowcount
    return {table: count for table, count in found.items() if count}


def _named(condition: str, before: datetime, wall: datetime) -> dict[str, datetime]:
    return {name: value for name, value in (("before", before), ("wall", wall)) if f":{name}" in condition}
