"""Conservation: every copy, hold, crate and machine in the one state that its facts say, every event counted once.

The night counts it and keeps the result; alerts read that. `rotation audit` has these checks among others.
"""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor
from psycopg.types.json import Jsonb

from rotation.store.audit import CHECKS, CONSERVED

NAMED = 3  # subjects of a check; the audit has them all
KEPT = "conservation_check"  # in the table of settings


class BrokenCheck(NamedTuple):
    """A check that found differences: its subject, how many, the first of them, and when it was counted."""

    subject: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of it
    first: tuple[str, ...]
    at: datetime


def check(cursor: Cursor[Any], now: datetime) -> list[BrokenCheck]:
    """Count the differences and keep them for the alerts, in the caller's transaction; `now` is the network's time."""
    found = []
    for subject, name in CONSERVED.items():
        differing = sorted(str(row[0]) for row in cursor.execute(CHECKS[name]).fetchall())
        if differing:
            found.append(BrokenCheck(subject, len(differing), tuple(differing[:NAMED]), now))
    value = [{"subject": one.subject, "count": one.count, "first": one.first, "at": now.isoformat()} for one in found]
    cursor.execute(
        "INSERT INTO settings VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (KEPT, Jsonb(value)),
    )
    return found


def broken(cursor: Cursor[Any]) -> list[BrokenCheck]:
    """Return the last check's differences."""
    row = cursor.execute("SELECT value FROM settings WHERE name = %s", (KEPT,)).fetchone()
    return [
        BrokenCheck(one["subject"], one["count"], tuple(one["first"]), datetime.fromisoformat(one["at"]))
        for one in (row[0] if row else ())
    ]
