"""Drafts: people's changes to a hub's plan before they accept it, apart from the approved plan.

A hub's plan has at most one draft, which everyone sees. An edit names the draft's version that it was made on: of two people who
change a plan at once, the second learns who was first, and nothing of either is lost. Accepting writes the changed runs in
place, records each change with its author, and lets the changes be approved and ordered by `rotation.dispatch.review`.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from rotation.courier.calendar import Calendar
from rotation.courier.edits import (
    ChangedPlan,
    Edit,
    EditKind,
    JudgedChange,
    PlanFigures,
    begun,
    changed,
    figures,
    judged,
)
from rotation.courier.runs import HubDay, seen_by_people
from rotation.courier.store import crates_of_day, rewrite_day
from rotation.dispatch import review
from rotation.dispatch.orders import order_again
from rotation.facts.lifecycle import OUT, DayPlanState, RunState
from rotation.network import Network
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import day_plans, decisions, plan_drafts, runs, stops
from rotation.store.transitions import move
from solver.problem import Problem
from solver.solution import Solution

CHANGED = "change"  # of a decision
DAY_S = 86_400


class NothingToChange(LookupError):
    """No plan of that name, or one without runs or vans, so that there is nothing to move."""


class EditedMeanwhile(Exception):
    """Somebody else changed the draft, or the plan, in between; `by` and `at` say who and when, where known."""

    def __init__(self, by: str | None, at: datetime | None) -> None:
        super().__init__(by, at)
        self.by, self.at = by, at


@dataclass(frozen=True)
class Draft:
    """A hub's plan with people's changes: `edits` in order, of which the first `applied` count."""

    day_plan_id: str
    day: date
    hub_id: str
    status: str
    plan_version: int
    # Of the plan that the draft began from.
    began_from: int
    version: int
    edits: tuple[Edit, ...]
    applied: int
    who: str | None
    changed_at: datetime | None
    base: ChangedPlan
    co2_g_per_km: Mapping[str, int]
    # The network's time at which it was read.
    at: datetime

    @property
    def plan_has_changed(self) -> bool:
        """Whether the plan is no longer the one that the first edit was made on."""
        return bool(self.edits) and self.began_from != self.plan_version

    @property
    def may_undo(self) -> bool:
        """Whether an edit counts that could be taken back."""
        return self.applied > 0

    @property
    def may_redo(self) -> bool:
        """Whether an edit was taken back."""
        return self.applied < len(self.edits)

    @cached_property
    def plan(self) -> ChangedPlan:
        """The plan as it would be."""
        return changed(self.base, self.edits[: self.applied])

    @cached_property
    def judged(self) -> JudgedChange:
        """The plan before and after."""
        return judged(self.base, self.plan)

    @property
    def figures(self) -> tuple[PlanFigures, PlanFigures]:
        """The plan's figures, before and after."""
        return figures(self.judged.before, self.co2_g_per_km), figures(self.judged.after, self.co2_g_per_km)

    @cached_property
    def changed_vans(self) -> set[str]:
        """The vans whose run is another than it was."""
        told = {edit.van for edit in self.edits[: self.applied] if edit.kind in (EditKind.LATE, EditKind.BROKEN)}
        vans = set(self.base.runs) | set(self.plan.runs)
        return told | {van for van in vans if self._run(self.base, van) != self._run(self.plan, van)}

    @staticmethod
    def _run(of: ChangedPlan, van: str) -> tuple[list[str], int]:
        return of.visits(van), of.runs[van].not_before_s if van in of.runs else 0


def read(connection: Connection, network: Network, plan_id: str, at: datetime, *, lock: bool = False) -> Draft:
    """Return the draft of a hub's plan as it stands at `at`, the network's time; with `lock` nobody else changes it meanwhile.

    Raises
    ------
    NothingToChange
        When there is no such plan, or it has no vans to drive it.
    """
    query = select(day_plans).where(day_plans.c.day_plan_id == plan_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None or not row["problem"]:
        raise NothingToChange(plan_id)
    kept = connection.execute(select(plan_drafts).where(plan_drafts.c.day_plan_id == plan_id)).mappings().first()
    base = begun(
        Problem.model_validate(row["problem"]),
        Solution.model_validate(row["solution"]),
        _second_of_day(connection, network, row["day"], plan_id, at),
    )
    edits = tuple(Edit.model_validate(edit) for edit in kept["edits"]) if kept else ()
    return Draft(
        plan_id,
        row["day"],
        row["hub_id"],
        row["status"],
        row["version"],
        kept["plan_version"] if kept else row["version"],
        kept["version"] if kept else 0,
        edits,
        kept["applied"] if kept else 0,
        kept["who"] if kept else None,
        kept["changed_at"] if kept else None,
        base,
        {van.id: van.co2_g_per_km for van in network.vans},
        at,
    )


def _second_of_day(connection: Connection, network: Network, day: date, plan_id: str, at: datetime) -> int | None:
    """Return the second of the plan's day that it is; None before any of its vans has left."""
    out = runs.c.status.in_((*OUT, RunState.DONE, RunState.INCOMPLETE)) & (runs.c.departs_at <= at)
    left = connection.scalar(select(runs.c.run_id).where(runs.c.day_plan_id == plan_id, out).limit(1))
    return max(0, int((at - network.instant(day, 0)).total_seconds())) if left else None


def add(connection: Connection, draft: Draft, edit: Edit, *, who: str, seen: int) -> None:
    """Add an edit to a draft read with its lock; edits undone before it are gone.

    Raises
    ------
    EditedMeanwhile
        When the draft is no longer at the version that was `seen`.
    """
    edits = (*draft.edits[: draft.applied], edit)
    _write(connection, draft, edits, len(edits), who, seen)


def step(connection: Connection, draft: Draft, by: int, *, who: str, seen: int) -> None:
    """Undo (-1) or do again (+1) an edit; where there is none, nothing happens.

    Raises
    ------
    EditedMeanwhile
        When the draft is no longer at the version that was `seen`.
    """
    _write(connection, draft, draft.edits, min(max(draft.applied + by, 0), len(draft.edits)), who, seen)


def discard(connection: Connection, draft: Draft, *, seen: int) -> None:
    """Throw a draft away.

    Raises
    ------
    EditedMeanwhile
        When the draft is no longer at the version that was `seen`.
    """
    _must_be_at(draft, seen)
    _forget(connection, draft)


def _must_be_at(draft: Draft, seen: int) -> None:
    if draft.version != seen:
        raise EditedMeanwhile(draft.who, draft.changed_at)


def _write(connection: Connection, draft: Draft, edits: tuple[Edit, ...], applied: int, who: str, seen: int) -> None:
    _must_be_at(draft, seen)
    values = {
        "plan_version": draft.began_from if draft.applied else draft.plan_version,
        "version": draft.version + 1,
        "edits": [edit.model_dump(mode="json", exclude_defaults=True) for edit in edits],
        "applied": applied,
        "who": who,
        "changed_at": draft.at,
    }
    row = upsert(plan_drafts).values(day_plan_id=draft.day_plan_id, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["day_plan_id"], set_=values))
    _tell(connection)


def _forget(connection: Connection, draft: Draft) -> None:
    connection.execute(delete(plan_drafts).where(plan_drafts.c.day_plan_id == draft.day_plan_id))
    _tell(connection)


def _tell(connection: Connection) -> None:
    outbox.notify(driver(connection).cursor(), "runs")


# --- Accepting --------------------------------------------------------------------------------------------------------


def accept(
    connection: Connection,
    network: Network,
    draft: Draft,
    *,
    who: str,
    why: str,
    at: datetime,
    seen: int,
    plan: int,
    order: bool,
) -> None:
    """Make a draft the plan, in the caller's transaction; `at` is the network's time, `plan` the plan's version that was seen.

    Vans that have their orders already get new ones at once; with `order` the hub's other runs are approved and ordered too.

    Raises
    ------
    EditedMeanwhile
        When draft or plan are no longer at the versions that were seen.
    TooLate
        When the day is over.
    """
    _must_be_at(draft, seen)
    if draft.plan_version != plan:
        raise EditedMeanwhile(None, None)
    if draft.day < network.day_of(at):
        raise review.TooLate
    hub_day, touched = as_hub_day(connection, network, draft), {_run_id(draft, van) for van in draft.changed_vans}
    was = _visits_of(connection, touched)
    rewrite_day(connection, hub_day, touched)
    _record(connection, draft, who, why, was)
    _forget(connection, draft)
    ordered = _order(connection, network, draft, touched)
    if order or ordered:
        _approve(connection, network, draft, who=who, at=at)


def as_hub_day(connection: Connection, network: Network, draft: Draft) -> HubDay:
    """Return a draft as the runs and stops that people would see."""
    crates = crates_of_day(connection, network, draft.day, draft.hub_id)
    plan = draft.plan
    return seen_by_people(
        Calendar(network), draft.day, draft.hub_id, crates, plan.problem, plan.solution, draft.judged.after
    )


def _run_id(draft: Draft, van: str) -> str:
    return f"{draft.day:%Y%m%d}-{van}"


def _order(connection: Connection, network: Network, draft: Draft, touched: Set[str]) -> int:
    """Let changed runs be decided on again, and send new orders to vans that have theirs; return how many."""
    move(
        connection,
        RunState.DRAFT,
        f"own.run_id = ANY(%(runs)s) AND own.status = '{RunState.SENT_BACK}'",
        runs=list(touched),
    )
    review.reopen(connection, [draft.day_plan_id])
    return order_again(connection, network, sorted(touched))


def _approve(connection: Connection, network: Network, draft: Draft, *, who: str, at: datetime) -> None:
    status = connection.scalar(select(day_plans.c.status).where(day_plans.c.day_plan_id == draft.day_plan_id))
    if status == DayPlanState.DRAFT:
        subject = review.Subject(draft.day, hub_id=draft.hub_id)
        review.decide(connection, network, review.Action.APPROVE, subject, who=who, why="", at=at)


class PlannedVisit(NamedTuple):
    """A stop of a run as it was planned: its place, and when its service was to begin."""

    place_id: str
    begins_at: datetime


def visits_before(details: Mapping[str, Any] | None) -> dict[str, list[PlannedVisit]]:
    """Return by run the visits before a change, from its decision's `details`; a new run has none."""
    was = (details or {}).get("was", {})
    return {run: [PlannedVisit(at, datetime.fromisoformat(begins)) for at, begins in rows] for run, rows in was.items()}


def _visits_of(connection: Connection, run_ids: Set[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the runs' visits as `visits_before` reads them."""
    found: dict[str, list[tuple[str, str]]] = {run: [] for run in sorted(run_ids)}
    query = select(stops.c.run_id, stops.c.place_id, stops.c.begins_at).where(stops.c.run_id.in_(run_ids))
    for run, place, begins_at in connection.execute(query.order_by(stops.c.run_id, stops.c.position)):
        found[run].append((place, begins_at.isoformat()))
    return found


def _record(connection: Connection, draft: Draft, who: str, why: str, was: Mapping[str, list[tuple[str, str]]]) -> None:
    before, after = draft.figures
    details: dict[str, Any] = {
        "edits": [edit.model_dump(mode="json", exclude_defaults=True) for edit in draft.edits[: draft.applied]],
        "metres": [before.metres, after.metres],
        "work_s": [before.work_s, after.work_s],
        "cost_cents": [before.cost_cents, after.cost_cents],
        "co2_g": [before.co2_g, after.co2_g],
        "was": was,
    }
    subject = str(review.Subject(draft.day, hub_id=draft.hub_id))
    connection.execute(
        insert(decisions), {"who": who, "what": CHANGED, "subject": subject, "why": why or None, "details": details}
    )
