"""A dispatcher's word on a plan: approve it, or send it back. One transaction each: decided, recorded, ordered, or nothing.

Whoever decides says which version of each hub's plan they saw. Two who decide at once: the second is told who was first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text, update

from rotation.dispatch.orders import order_day
from rotation.network import Network
from rotation.store.tables import day_plans, decisions, legs, runs, transfers


class Action(StrEnum):
    """What can be decided."""

    APPROVE = "approve"
    SEND_BACK = "send_back"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is decided on: a run, a hub's day, or the whole day."""

    day: date
    hub_id: str | None = None
    run_id: str | None = None

    def __str__(self) -> str:
        if self.run_id:
            return f"run:{self.run_id}"
        return f"hub:{self.day}:{self.hub_id}" if self.hub_id else f"day:{self.day}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision did."""

    runs: int
    transfers: int
    orders: int


class Plan(NamedTuple):
    """A hub's plan as it stands, locked."""

    day_plan_id: str
    status: str
    version: int


class NothingThere(LookupError):
    """No plan, or no run, of that name."""


class WhyNeeded(ValueError):
    """Who sends a plan back says why, so that the next one is better."""


class DecidedMeanwhile(Exception):
    """Another decision, or a new plan, came between looking and deciding; `by` and `at` of the last one, where known."""

    def __init__(self, by: str | None, at: datetime | None) -> None:
        super().__init__(by, at)
        self.by, self.at = by, at


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
    NothingThere, WhyNeeded, DecidedMeanwhile
        And nothing was changed.
    """
    if action is Action.SEND_BACK and not why.strip():
        raise WhyNeeded
    plans = _locked(connection, subject)
    _must_be_as_seen(connection, plans, seen)
    changed = _runs_decided(connection, action, subject, plans)
    _plans_decided(connection, action, plans)
    moved = _approve_transfers(connection, changed, plans, at) if action is Action.APPROVE else 0
    orders = order_day(connection, network, subject.day, at) if action is Action.APPROVE else 0
    outcome = Outcome(len(changed), moved, orders)
    _record(connection, action, subject, who, why.strip(), outcome)
    return outcome


def answer_owner(connection: Connection, transfer_id: str, *, agreed: bool, who: str, at: datetime) -> None:
    """Keep the answer of an owner who was asked whether a copy may go: it goes with tomorrow's plan, or stays.

    Raises
    ------
    NothingThere
        When no owner is asked about that transfer any more.
    """
    waiting = (transfers.c.transfer_id == transfer_id) & (transfers.c.status == "asked")
    values: dict[str, Any] = (
        {"status": "approved", "day": at.date() + timedelta(days=1)} if agreed else {"status": "cancelled"}
    )
    if not connection.execute(update(transfers).where(waiting).values(changed_at=at, **values)).rowcount:
        raise NothingThere(transfer_id)
    what = "agree" if agreed else "decline"
    connection.execute(
        insert(decisions), {"who": who, "what": what, "subject": f"transfer:{transfer_id}", "details": {}}
    )
    tell_pages(connection)


def _locked(connection: Connection, subject: Subject) -> Sequence[Plan]:
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
    plans = [Plan(*row) for row in locked]
    if not plans:
        raise NothingThere(str(subject))
    return plans


def _must_be_as_seen(connection: Connection, plans: Sequence[Plan], seen: Mapping[str, int] | None) -> None:
    open_plans = [plan for plan in plans if plan.status == "draft"]
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


def _runs_decided(connection: Connection, action: Action, subject: Subject, plans: Sequence[Plan]) -> list[str]:
    """Move the subject's drafts to their new status and return their ids."""
    change = update(runs).where(runs.c.status == "draft", runs.c.day_plan_id.in_([plan.day_plan_id for plan in plans]))
    if subject.run_id:
        change = change.where(runs.c.run_id == subject.run_id)
    status = "approved" if action is Action.APPROVE else "sent_back"
    changed = list(connection.scalars(change.values(status=status).returning(runs.c.run_id)))
    if subject.run_id and not changed:
        raise DecidedMeanwhile(None, None)
    return changed


def _plans_decided(connection: Connection, action: Action, plans: Sequence[Plan]) -> None:
    """Give each plan a new version; it is decided on as a whole once no run of it is left to decide on."""
    for plan in plans:
        left = set(connection.scalars(select(runs.c.status).where(runs.c.day_plan_id == plan.day_plan_id).distinct()))
        connection.execute(
            update(day_plans)
            .where(day_plans.c.day_plan_id == plan.day_plan_id)
            .values(version=day_plans.c.version + 1, status=_status(action, plan.status, left))
        )


def _status(action: Action, before: str, its_runs: set[str]) -> str:
    if before != "draft" or "draft" in its_runs:
        return before
    sent_back = its_runs == {"sent_back"} or (not its_runs and action is Action.SEND_BACK)
    return "sent_back" if sent_back else "approved"


def _approve_transfers(connection: Connection, run_ids: list[str], plans: Sequence[Plan], at: datetime) -> int:
    """Approve what the runs carry, and what a hub whose day is approved picks from its own shelves for its evening's sorting."""
    carried = select(legs.c.transfer_id).where(legs.c.run_id.in_(run_ids))
    in_the_house = (
        select(legs.c.transfer_id)
        .join(day_plans, (day_plans.c.day == legs.c.day) & (day_plans.c.hub_id == legs.c.from_place_id))
        .where(day_plans.c.day_plan_id.in_([plan.day_plan_id for plan in plans]), day_plans.c.status == "approved")
        .where(legs.c.kind == "sort", legs.c.position == 1)
    )
    taken = transfers.c.transfer_id.in_(carried) | transfers.c.transfer_id.in_(in_the_house)
    approved = connection.execute(
        update(transfers).where(transfers.c.status == "proposed", taken).values(status="approved", changed_at=at)
    )
    return approved.rowcount


def _record(connection: Connection, action: Action, subject: Subject, who: str, why: str, outcome: Outcome) -> None:
    details = {"runs": outcome.runs, "transfers": outcome.transfers, "orders": outcome.orders}
    row = {"who": who, "what": action.value, "subject": str(subject), "why": why or None, "details": details}
    connection.execute(insert(decisions), row)
    tell_pages(connection)


def tell_pages(connection: Connection) -> None:
    """Tell every open page, at commit, that plans, runs or stops are not as they were."""
    connection.execute(text("SELECT pg_notify('rotation', '{\"kind\": \"runs\"}')"))
