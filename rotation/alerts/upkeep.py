"""Rules about Rotation itself: parts that stand still, facts that do not add up, write-backs not taken."""

from collections.abc import Iterator

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.alerts.levels import AlertVerdict
from rotation.facts.lifecycle import AlertKind
from rotation.store.conservation import broken
from rotation.store.standstill import standing_still

# By library system: write-backs that were refused, or wait for longer than they may, by the wall clock.
NOT_WRITTEN = """
SELECT system, count(*) FILTER (WHERE refused_at IS NULL), count(*) FILTER (WHERE refused_at IS NOT NULL), min(asked_at)
FROM write_backs WHERE done_at IS NULL GROUP BY 1
HAVING bool_or(refused_at IS NOT NULL) OR min(asked_at) < now() - make_interval(secs => %s)"""


def not_written(count: Count) -> Iterator[AlertFinding]:
    """A library system has not taken orders or scans of ours."""
    for system, waits, refused, oldest in count.cursor.execute(NOT_WRITTEN, (levels.WRITE_BACK_S,)).fetchall():
        numbers = {"waiting": waits, "refused": refused, "oldest": oldest.isoformat()}
        yield AlertFinding(AlertKind.UNWRITTEN, system, "", AlertVerdict.OPEN, numbers)


def standstill(count: Count) -> Iterator[AlertFinding]:
    """A part of Rotation, the outbox or the plan stands still; where the workers do, page and status alone can say so."""
    for one in standing_still(count.cursor, count.network.timezone, count.thresholds.usual.plan_at):
        yield AlertFinding(AlertKind.STANDSTILL, one.subject, "", AlertVerdict.OPEN, one.words())


def conservation(count: Count) -> Iterator[AlertFinding]:
    """The last night found that copies, crates or events do not add up; the alert lasts until a night finds that they do."""
    for one in broken(count.cursor):
        numbers = {"count": one.count, "first": ", ".join(one.first), "counted": one.at.isoformat()}
        yield AlertFinding(AlertKind.CONSERVATION, one.subject, "", AlertVerdict.OPEN, numbers)
