"""A past day three times: as planned, as people changed it, and as the scans say that it was done."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotation.dispatch.drafts import CHANGED, PlannedVisit, visits_before
from rotation.views.day import DecisionLine, RunLine


@dataclass(frozen=True, slots=True)
class PastStop:
    """A stop of a past day: when it was to begin as planned and as changed (None: not of that plan), and when it was done."""

    run_id: str
    place_id: str
    planned_at: datetime | None
    changed_at: datetime | None
    status: str | None
    done_at: datetime | None

    @property
    def is_changed(self) -> bool:
        """Whether people changed it."""
        return self.planned_at != self.changed_at


def past_stops(runs: Iterable[RunLine], decisions: Iterable[DecisionLine]) -> list[PastStop]:
    """Return the stops of a day's runs, by run and time; `decisions` are those on the day's hubs, in any order."""
    planned = _as_planned(decisions)
    now = {run.run_id: run for run in runs}
    rows = [
        row for run_id in (*now, *sorted(planned.keys() - now)) for row in _of_run(run_id, now.get(run_id), planned)
    ]
    order = {run_id: number for number, run_id in enumerate(dict.fromkeys(row.run_id for row in rows))}
    return sorted(rows, key=lambda row: (order[row.run_id], row.changed_at or row.planned_at))


def _as_planned(decisions: Iterable[DecisionLine]) -> dict[str, Sequence[PlannedVisit]]:
    """Return the visits of each run that people changed, as they were before the first change."""
    found: dict[str, Sequence[PlannedVisit]] = {}
    for decision in sorted(decisions, key=lambda one: one.decided_at):
        if decision.what == CHANGED:
            found = visits_before(decision.details) | found
    return found


def _of_run(run_id: str, run: RunLine | None, planned: Mapping[str, Sequence[PlannedVisit]]) -> list[PastStop]:
    stops = run.stops if run else ()
    if run_id not in planned:
        return [PastStop(run_id, one.place_id, one.begins_at, one.begins_at, one.status, one.done_at) for one in stops]
    left: defaultdict[str, list[datetime]] = defaultdict(list)
    for visit in planned[run_id]:
        left[visit.place_id].append(visit.begins_at)
    kept = [
        PastStop(
            run_id,
            one.place_id,
            left[one.place_id].pop(0) if left[one.place_id] else None,
            one.begins_at,
            one.status,
            one.done_at,
        )
        for one in stops
    ]
    gone = [PastStop(run_id, place, at, None, None, None) for place, times in left.items() for at in times]
    return kept + gone
