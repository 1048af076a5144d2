"""People's steps about open alerts: each is kept; the last say who has an alert, and until when it is out of sight."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from rotation.facts.lifecycle import AlertStep
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import alert_steps, alerts


@dataclass(frozen=True, slots=True)
class StepTaken:
    """Something that somebody did about an alert."""

    step: AlertStep
    who: str
    at: datetime
    until: datetime | None
    assignee: str | None
    comment: str


@dataclass
class AlertHandling:
    """All that was done about an alert, in order."""

    steps: list[StepTaken] = field(default_factory=list)

    @property
    def assignee(self) -> str | None:
        """Who has it: the last to whom it was given, else the last who acknowledged it."""
        given = [one.assignee for one in self.steps if one.step is AlertStep.ASSIGNED]
        known = [one.who for one in self.steps if one.step is AlertStep.ACKNOWLEDGED]
        return next((one for one in reversed(given or known) if one), None)

    def snoozed_until(self, now: datetime) -> datetime | None:
        """Return until when it is out of sight; None where it is in sight."""
        snoozed = [one.until for one in self.steps if one.step is AlertStep.SNOOZED and one.until]
        return snoozed[-1] if snoozed and snoozed[-1] > now else None


def take(
    connection: Connection,
    alert_ids: Sequence[int],
    step: AlertStep,
    *,
    who: str,
    at: datetime,
    until: datetime | None = None,
    assignee: str | None = None,
    comment: str = "",
) -> int:
    """Keep a step about those of some alerts that are still open; return how many. Inside the caller's transaction."""
    still_open = select(alerts.c.alert_id).where(alerts.c.alert_id.in_(alert_ids), alerts.c.closed_at.is_(None))
    values = {"step": step, "who": who, "at": at, "until": until, "assignee": assignee, "comment": comment}
    rows = [{"alert_id": one, **values} for one in connection.scalars(still_open)]
    if rows:
        connection.execute(insert(alert_steps), rows)
        outbox.notify(driver(connection).cursor(), "alert")
    return len(rows)


def handling_of(connection: Connection, alert_ids: Sequence[int]) -> dict[int, AlertHandling]:
    """Return the handling of some alerts; a fresh `AlertHandling` for untouched ones."""
    found: dict[int, AlertHandling] = defaultdict(AlertHandling)
    query = select(alert_steps).where(alert_steps.c.alert_id.in_(alert_ids)).order_by(alert_steps.c.id)
    for row in connection.execute(query):
        taken = StepTaken(AlertStep(row.step), row.who, row.at, row.until, row.assignee, row.comment)
        found[row.alert_id].steps.append(taken)
    return found
