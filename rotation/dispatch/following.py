"""Scans close what was planned: a crate taken or handed over at a stop makes the stop done, its run under way, its legs done.

Derived from the set of crate facts alone, so that order and repetition of scans do not matter.
"""

from typing import Any

from psycopg import Cursor

from rotation.store import outbox

STOPS_DONE = """
UPDATE stops s SET status = 'done', done_at = f.first_at
FROM (SELECT run_id, place_id, min(occurred_at) AS first_at FROM batch_crate_facts
      WHERE run_id IS NOT NULL AND type IN ('crate.collected', 'crate.delivered') GROUP BY run_id, place_id) f
WHERE s.run_id = f.run_id AND s.place_id = f.place_id AND (s.done_at IS NULL OR s.done_at > f.first_at)
RETURNING s.run_id
"""
LEGS_DONE = """
UPDATE legs l SET status = 'done'
FROM stops s
WHERE l.run_id = ANY(%(runs)s) AND l.status <> 'done' AND s.run_id = l.run_id AND s.status = 'done'
  AND s.place_id = CASE l.kind WHEN 'deliver' THEN l.to_place_id ELSE l.from_place_id END
"""
RUNS_GO_ON = """
UPDATE runs r SET status = CASE WHEN EXISTS (SELECT FROM stops s WHERE s.run_id = r.run_id AND s.status = 'planned')
                           THEN 'under_way' ELSE 'done' END
WHERE r.run_id = ANY(%(runs)s) AND r.status IN ('ordered', 'under_way')
"""
STOPS_MISSED = """
UPDATE stops s SET status = 'missed' FROM runs r
WHERE r.run_id = s.run_id AND r.day < %(day)s AND r.status IN ('ordered', 'under_way') AND s.status = 'planned'
"""
RUNS_OVER = "UPDATE runs SET status = 'done' WHERE day < %(day)s AND status IN ('ordered', 'under_way')"
DAYS_OVER = "UPDATE day_plans SET status = 'done' WHERE day < %(day)s AND status = 'ordered'"


def follow_scans(cursor: Cursor[Any]) -> None:
    """Bring stops, legs and runs to what the staged crate facts tell; inside the transaction that adds these facts."""
    done = {run for (run,) in cursor.execute(STOPS_DONE).fetchall()}
    if done:
        cursor.execute(LEGS_DONE, {"runs": sorted(done)})
        cursor.execute(RUNS_GO_ON, {"runs": sorted(done)})
        outbox.notify(cursor, "runs", done)


def close_days_before(cursor: Cursor[Any], day: Any) -> None:
    """Call missed what no scan of an earlier day told of, and end those days; what was missed is planned again."""
    for statement in (STOPS_MISSED, RUNS_OVER, DAYS_OVER):
        cursor.execute(statement, {"day": day})
