"""A dispatcher's decision on a plan: approve it, or send it back. A transaction decides, records and orders, or does nothing.

A decision names the version of each hub's plan that it rests on. Of two decisions at once the second fails, and its error names
who was first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from rotation.dispatch.orders import order_day, withdraw_runs
from rotation.facts.lifecycle import DayPlanState, LegKind, RunState, StopState, TransferState
from rotation.network import Network
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import day_plans, decisions, runs
from rotation.store.transitions import move

# A van may be approved this long after its hour: it leaves late, and the page says so.
MAY_LEAVE_LATE = timedelta(minutes=30)


class Action(StrEnum):
    """Decisions on a plan; an approval can be taken back until the van leaves."""

    APPROVE = "approve"
    SEND_BACK = "send_back"
    TAKE_BACK = "take_back"


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a decision: a run, a hub's day, or the whole day."""

    day: date
    hub_id: str | None = None
    run_id: str | None = None

    def __str__(self) -> str:
        if self.run_id:
            return f"run:{self.run_id}"
        return f"hub:{self.day}:{self.hub_id}" if self.hub_id else f"day:{self.day}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The number of runs and transfers that a decision changed, and of orders that it gave."""

    runs: int
    transfers: int
    orders: int


class LockedPlan(NamedTuple):
    """A hub's plan as it stands, locked."""

    day_plan_id: str
    status: str
    version: int


class NothingThere(LookupError):
    """No plan, or no run, of that name."""


class WhyNeeded(ValueError):
    """Sending a plan back needs a reason, so that the next plan is better."""


class TooLate(ValueError):
    """The day is over, or the hour of every run that could be approved has gone."""


class DecidedMeanwhile(Exception):
    """Another decision, or a new plan, came in between; `by` and `at` are those of the last decision, where known."""

    def __init__(self, by: str | None, at: datetime | None) -> None:
        super().__init__(by, at)
        self.by, self.at = by, at


NOT_DECIDED = (NothingThere, WhyNeeded, DecidedMeanwhile, TooLate)


def decide(
    connection: Connection,
    network: Network,
    action: Action,
    subject: Subject,
    *,
    who: str,
    why: str,
    at: datetime,
    seen: Mapping[str, int] | None = None,
) -> Outcome:
    """Approve or send back, inside the caller's transaction; `at` is the network's time.

    `seen` are the versions of the hubs' plans that the decision rests on, by day_plan_id; None (the automatic approval of a
    plan just made) checks nothing.

    Raises
    ------
    NothingThere, WhyNeeded, DecidedMeanwhile, TooLate
        And nothing was changed.
    """
    if action is Action.SEND_BACK and not why.strip():
        raise WhyNeeded
    plans = _locked(connection, subject)
    _must_be_as_seen(connection, plans, seen, action)
    if action is Action.TAKE_BACK:
        return _take_back(connection, subject, plans, who=who, why=why.strip(), at=at)
    if action is Action.APPROVE:
        _expire_runs_whose_hour_has_gone(connection, network, subject, plans, at)
    changed = _runs_decided(connection, action, subject, plans)
    _plans_decided(connection, action, plans)
    moved = _approve_transfers(connection, changed, plans, at) if action is Action.APPROVE else 0
    orders = order_day(connection, network, subject.day, at) if action is Action.APPROVE else 0
    outcome = Outcome(len(changed), moved, orders)
    _record(connection, action, subject, who, why.strip(), outcome)
    return outcome


def _take_back(
    connection: Connection, subject: Subject, plans: Sequence[LockedPlan], *, who: str, why: str, at: datetime
) -> Outcome:
    """Make drafts of approved runs whose vans have not left, and withdraw their orders.

    Places go on picking: the copies wait for the run that is approved in its stead, or for the next plan.
    """
    ids = _ids(subject, plans)
    ordered = set(connection.scalars(select(runs.c.run_id).where(runs.c.status == RunState.ORDERED)))
    changed = move(
        connection,
        RunState.DRAFT,
        f"{_OF_SUBJECT} AND {_APPROVED} AND own.departs_at > %(at)s AND {_UNTOUCHED}",
        at=at,
        **ids,
    )
    if not changed:
        raise TooLate
    for plan in plans:
        mine = day_plans.c.day_plan_id == plan.day_plan_id
        connection.execute(update(day_plans).where(mine).values(version=day_plans.c.version + 1))
    reopen(connection, ids["plans"])
    outcome = Outcome(len(changed), 0, withdraw_runs(connection, sorted(ordered & set(changed))))
    _record(connection, Action.TAKE_BACK, subject, who, why, outcome)
    return outcome


def reopen(connection: Connection, plan_ids: Sequence[str]) -> None:
    """Let plans that have drafts again be decided on."""
    move(connection, DayPlanState.DRAFT, _HAS_DRAFTS, plans=plan_ids)


def answer_owner(connection: Connection, transfer_id: str, *, agreed: bool, who: str, at: datetime) -> None:
    """Keep the answer of an owner who was asked whether a copy may go: it goes with tomorrow's plan, or stays.

    Raises
    ------
    NothingThere
        When no owner is asked about that transfer any more.
    """
    moved = move(
        connection,
        TransferState.APPROVED if agreed else TransferState.CANCELLED,
        f"own.transfer_id = %(transfer)s AND own.status = '{TransferState.ASKED}'",
        values="changed_at = %(at)s" + (", day = %(tomorrow)s" if agreed else ""),
        transfer=transfer_id,
        at=at,
        tomorrow=at.date() + timedelta(days=1),
    )
    if not moved:
        raise NothingThere(transfer_id)
    what = "agree" if agreed else "decline"
    connection.execute(
        insert(decisions), {"who": who, "what": what, "subject": f"transfer:{transfer_id}", "details": {}}
    )
    outbox.notify(driver(connection).cursor(), "runs")


def _locked(connection: Connection, subject: Subject) -> Sequence[LockedPlan]:
    """Return the plans that the subject is part of; who comes second waits here until the first is through."""
    query = select(day_plans.c.day_plan_id, day_plans.c.status, day_plans.c.version).where(
        day_plans.c.day == subject.day
    )
    if subject.hub_id:
        query = query.where(day_plans.c.hub_id == subject.hub_id)
    if subject.run_id:
        its_plan = select(runs.c.day_plan_id).where(runs.c.run_id == subject.run_id)
        query = query.where(day_plans.c.day_plan_id.in_(its_plan))
    locked = connection.execute(query.order_by(day_plans.c.day_plan_id).with_for_update())
    plans = [LockedPlan(*row) for row in locked]
    if not plans:
        raise NothingThere(str(subject))
    return plans


def _must_be_as_seen(
    connection: Connection, plans: Sequence[LockedPlan], seen: Mapping[str, int] | None, action: Action
) -> None:
    open_plans = [plan for plan in plans if plan.status == DayPlanState.DRAFT or action is Action.TAKE_BACK]
    if open_plans and (seen is None or all(seen.get(plan.day_plan_id) == plan.version for plan in plans)):
        return
    subjects = _subjects_of(connection, [plan.day_plan_id for plan in plans])
    last = connection.execute(
        select(decisions.c.who, decisions.c.decided_at)
        .where(decisions.c.subject.in_(subjects))
        .order_by(decisions.c.id.desc())
    ).first()
    raise DecidedMeanwhile(*(last or (None, None)))


def _subjects_of(connection: Connection, plan_ids: list[str]) -> list[str]:
    """Return the names under which decisions on these plans are recorded: the day, the hub, each run."""
    plans = connection.execute(
        select(day_plans.c.day, day_plans.c.hub_id).where(day_plans.c.day_plan_id.in_(plan_ids))
    ).all()
    its_runs = connection.scalars(select(runs.c.run_id).where(runs.c.day_plan_id.in_(plan_ids)))
    subjects = [name for day, hub in plans for name in (Subject(day), Subject(day, hub_id=hub))]
    return [str(subject) for subject in subjects] + [f"run:{run}" for run in its_runs]


def _expire_runs_whose_hour_has_gone(
    connection: Connection, network: Network, subject: Subject, plans: Sequence[LockedPlan], at: datetime
) -> None:
    """Expire the subject's drafts that should have left, so that no van is sent out to a plan of the morning.

    Raises
    ------
    TooLate
        When the day is over, or no run is left to approve.
    """
    if subject.day < network.day_of(at):
        raise TooLate
    ids, latest = _ids(subject, plans), at - MAY_LEAVE_LATE
    expired = move(connection, RunState.EXPIRED, f"{_OF_SUBJECT} AND own.departs_at < %(latest)s", latest=latest, **ids)
    if expired and not connection.exec_driver_sql(_DRAFTS, ids).first():
        raise TooLate


_OF_SUBJECT = "own.day_plan_id = ANY(%(plans)s) AND coalesce(own.run_id = %(run)s, true)"
_APPROVED = f"own.status IN ('{RunState.APPROVED}', '{RunState.ORDERED}')"
# No scan has reached it.
_UNTOUCHED = f"NOT EXISTS (SELECT FROM stops s WHERE s.run_id = own.run_id AND s.status <> '{StopState.PLANNED}')"
_HAS_DRAFTS = (
    "own.day_plan_id = ANY(%(plans)s) AND EXISTS (SELECT FROM runs r WHERE r.day_plan_id = own.day_plan_id"
    f" AND r.status = '{RunState.DRAFT}')"
)
_DRAFTS = f"SELECT own.run_id FROM runs own WHERE own.status = '{RunState.DRAFT}' AND {_OF_SUBJECT}"


def _ids(subject: Subject, plans: Sequence[LockedPlan]) -> dict[str, Any]:
    """Return the values of _OF_SUBJECT."""
    return {"plans": [plan.day_plan_id for plan in plans], "run": subject.run_id}


def _runs_decided(connection: Connection, action: Action, subject: Subject, plans: Sequence[LockedPlan]) -> list[str]:
    """Move the subject's drafts to their new state and return their ids."""
    state = RunState.APPROVED if action is Action.APPROVE else RunState.SENT_BACK
    changed = move(connection, state, _OF_SUBJECT, **_ids(subject, plans))
    if subject.run_id and not changed:
        raise DecidedMeanwhile(None, None)
    return changed


def _plans_decided(connection: Connection, action: Action, plans: Sequence[LockedPlan]) -> None:
    """Give each plan a new version; it is decided on as a whole once no run of it is left to decide on."""
    for plan in plans:
        mine = day_plans.c.day_plan_id == plan.day_plan_id
        connection.execute(update(day_plans).where(mine).values(version=day_plans.c.version + 1))
        left = set(connection.scalars(select(runs.c.status).where(runs.c.day_plan_id == plan.day_plan_id).distinct()))
        if RunState.DRAFT not in left:
            move(connection, _state(action, left), "own.day_plan_id = %(plan)s", plan=plan.day_plan_id)


def _state(action: Action, its_runs: set[str]) -> DayPlanState:
    """Return the state of a plan whose runs are all decided on."""
    sent_back = its_runs == {RunState.SENT_BACK} or (not its_runs and action is Action.SEND_BACK)
    return DayPlanState.SENT_BACK if sent_back else DayPlanState.APPROVED


# Copies that the runs carry, and copies that a hub whose day is approved picks from its own shelves for its evening's sorting.
_TAKEN = f"""
own.status = '{TransferState.PROPOSED}' AND own.transfer_id IN (
    SELECT transfer_id FROM legs WHERE run_id = ANY(%(runs)s)
    UNION ALL SELECT l.transfer_id FROM legs l
    JOIN day_plans p ON p.day = l.day AND p.hub_id = l.from_place_id
    WHERE p.day_plan_id = ANY(%(plans)s) AND p.status = '{DayPlanState.APPROVED}'
    AND l.kind = '{LegKind.SORT}' AND l.position = 1)
"""


def _approve_transfers(connection: Connection, run_ids: list[str], plans: Sequence[LockedPlan], at: datetime) -> int:
    """Approve the transfers that runs carry and that hubs pick from their own shelves; return how many."""
    of = [plan.day_plan_id for plan in plans]
    return len(
        move(connection, TransferState.APPROVED, _TAKEN, values="changed_at = %(at)s", at=at, runs=run_ids, plans=of)
    )


def _record(connection: Connection, action: Action, subject: Subject, who: str, why: str, outcome: Outcome) -> None:
    details = {"runs": outcome.runs, "transfers": outcome.transfers, "orders": outcome.orders}
    row = {"who": who, "what": action.value, "subject": str(subject), "why": why or None, "details": details}
    connection.execute(insert(decisions), row)
    outbox.notify(driver(connection).cursor(), "runs")
