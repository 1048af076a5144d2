"""An audit: the database must equal the sum of the facts, and every difference is named."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Cursor

from rotation.facts.lifecycle import ON_ITS_WAY, AlertKind, listed
from rotation.facts.movements import ON_ITS_WAY as COPY_ON_ITS_WAY
from rotation.facts.movements import CopyState
from rotation.store.clock import clock_by
from rotation.store.retention import COUNTED_SCANS, FORGOTTEN
from rotation.store.waiting import waiting_copies

NAMED_AT_MOST = 20  # of a check; the count has the rest
ENDLESS_DAYS = 30  # an order without a scan for so long was lost by people, or by us

LAST = "ORDER BY {subject}, occurred_at DESC, sequence DESC, source DESC, event_id DESC"

SPELLS = """
SELECT copy_id, state, place_id, occurred_at AS since, lead(occurred_at) OVER own AS until, lead(state) OVER own AS ended_by
FROM movements WINDOW own AS (PARTITION BY copy_id ORDER BY occurred_at, sequence, source, event_id)
"""


class AuditDifference(NamedTuple):
    """The differences that a check found."""

    check: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a difference
    subjects: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {self.count - len(self.subjects)} more" if self.count > len(self.subjects) else ""
        return f"{self.check}: {', '.join(self.subjects)}{more}"


class LastDecision(NamedTuple):
    """The end of the chain of decisions: whoever keeps it elsewhere sees later whether decisions at the end are missing."""

    number: int
    hash: str


def _newest(facts: str, subject: str) -> str:
    return f"SELECT DISTINCT ON ({subject}) * FROM {facts} {LAST.format(subject=subject)}"


CHECKS: dict[str, str] = {
    "copies that are not where their last movement put them": f"""
        SELECT coalesce(c.copy_id, m.copy_id) FROM copies c FULL JOIN ({_newest("movements", "copy_id")}) m USING (copy_id)
        WHERE (c.occurred_at, c.sequence, c.source, c.event_id, c.state, c.place_id, c.to_place_id) IS DISTINCT FROM
              (m.occurred_at, m.sequence, m.source, m.event_id, m.state, m.place_id, m.to_place_id)""",
    "holds that are not as their last fact says": f"""
        SELECT coalesce(h.hold_id, f.hold_id) FROM holds h FULL JOIN ({_newest("hold_facts", "hold_id")}) f USING (hold_id)
        WHERE (h.type, h.title_id, h.place_id, h.copy_id) IS DISTINCT FROM (f.type, f.title_id, f.place_id, f.copy_id)""",
    "crates that are not where their last scan was": f"""
        SELECT coalesce(c.crate_id, f.crate_id) FROM crates c FULL JOIN ({_newest("crate_facts", "crate_id")}) f USING (crate_id)
        WHERE (c.type, c.place_id) IS DISTINCT FROM (f.type, f.place_id)""",
    "machines that are not as their last report says": f"""
        SELECT coalesce(c.place_id, f.place_id)
        FROM machines c FULL JOIN ({_newest("machine_facts", "place_id")}) f USING (place_id)
        WHERE (c.bin_copies, c.free_slots, c.fault) IS DISTINCT FROM (f.bin_copies, f.free_slots, f.fault)""",
    "transfers that no scan's row stands for": """
        SELECT f.transfer_id FROM transfer_facts f LEFT JOIN transfers t USING (transfer_id) WHERE t.transfer_id IS NULL""",
    "copies listed under a title that does not exist": """
        SELECT c.copy_id FROM copies c LEFT JOIN titles t USING (title_id)
        WHERE c.title_id IS NOT NULL AND t.title_id IS NULL""",
    "events counted otherwise than they stand in the sets": f"""
        SELECT format('%s counted, %s in the sets', counted, standing) FROM (
            SELECT (SELECT coalesce(sum(value), 0) FROM counts WHERE name IN ('applied', 'late')) AS counted,
                (SELECT count(*) FROM movements) + (SELECT count(*) FROM crate_facts)
                + (SELECT count(*) FROM machine_facts)
                + (SELECT count(*) FROM hold_facts WHERE type <> 'hold.filled')
                + (SELECT count(*) FROM transfer_facts WHERE type IN ({", ".join(map(repr, COUNTED_SCANS))}))
                + coalesce((SELECT (value ->> 'count')::bigint FROM settings WHERE name = '{FORGOTTEN}'), 0) AS standing) c
        WHERE counted <> standing""",
    "orders without an end": f"""
        SELECT t.transfer_id FROM transfers t, clock k WHERE t.status IN ({listed(ON_ITS_WAY)})
        AND t.reason ->> 'code' IS DISTINCT FROM 'system'
        AND t.changed_at < k.network_at - make_interval(days => {ENDLESS_DAYS})""",
    "decisions changed, removed or put between: the first whose hash or number does not follow from the decision before": """
        SELECT format('%s (%s, %s)', id, who, decided_at) FROM (
            SELECT *, row_number() OVER own AS place, lag(hash, 1, '') OVER own AS before
            FROM decisions WINDOW own AS (ORDER BY number)) d
        WHERE number IS DISTINCT FROM place OR hash IS DISTINCT FROM encode(sha256(convert_to(before || jsonb_build_array(
            number, id, decided_at AT TIME ZONE 'UTC', who, what, subject, why, details)::text, 'UTF8')), 'hex')
        ORDER BY place LIMIT 1""",
    "alerts open for a level that is in balance": f"""
        SELECT format('%s %s %s', a.kind, a.place_id, a.class) FROM alerts a JOIN targets t USING (place_id, class)
        LEFT JOIN (SELECT place_id, class, count(*) AS level FROM copies WHERE state = '{CopyState.ON_SHELF}' GROUP BY 1, 2) c
            USING (place_id, class)
        LEFT JOIN (SELECT to_place_id AS place_id, class, count(*) AS coming FROM copies
            WHERE state IN ({listed(COPY_ON_ITS_WAY)}) GROUP BY 1, 2) w USING (place_id, class)
        WHERE a.closed_at IS NULL AND (
            a.kind = '{AlertKind.SHORTAGE}' AND coalesce(level, 0) + coalesce(coming, 0) >= (t.low + t.high + 1) / 2 + 1
            OR a.kind = '{AlertKind.SURPLUS}' AND coalesce(level, 0) <= (t.low + t.high) / 2 - 1)""",
}

# Of these, by what they are about, those that say whether anything was lost or counted twice.
CONSERVED = {
    "copies": "copies that are not where their last movement put them",
    "holds": "holds that are not as their last fact says",
    "crates": "crates that are not where their last scan was",
    "machines": "machines that are not as their last report says",
    "transfers": "transfers that no scan's row stands for",
    "events": "events counted otherwise than they stand in the sets",
}
WAITS = {
    "copies that a hub has not sorted by its time": AlertKind.UNSORTED,
    "copies that a trunk should have taken": AlertKind.UNSENT,
    "copies whose van left without them": AlertKind.NOT_LEFT,
    "copies whose leg nobody did by its time": AlertKind.LEG_LATE,
    "copies longer on their way than their lane takes": AlertKind.SLOW,
}


def audit(cursor: Cursor[Any], zone: str = "UTC") -> list[AuditDifference]:
    """Return every difference; there should be none. `zone` is the network's time zone, in which days begin and end."""
    return list(_differences(cursor, zone))


def last_decision(cursor: Cursor[Any]) -> LastDecision | None:
    """Return the end of the chain of decisions; None where nobody decided anything."""
    row = cursor.execute("SELECT number, hash FROM decisions ORDER BY number DESC LIMIT 1").fetchone()
    return LastDecision(*row) if row else None


def _differences(cursor: Cursor[Any], zone: str) -> Iterator[AuditDifference]:
    found = {name: [str(subject) for (subject,) in cursor.execute(sql).fetchall()] for name, sql in CHECKS.items()}
    now = clock_by(cursor).now()
    today = now.astimezone(ZoneInfo(zone)).date()
    waits = {name: waiting_copies(cursor, now, today, zone, (kind,)) for name, kind in WAITS.items()}
    for name, subjects in (found | waits).items():
        if subjects:
            yield AuditDifference(name, len(subjects), tuple(sorted(subjects)[:NAMED_AT_MOST]))
