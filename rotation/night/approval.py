"""Automatic approval by the policy that a city sets: a usual plan goes by itself, any other waits for a person until a time.

A hub's day goes by itself when its plan breaks no limit, costs no more than a share above the usual, and the whole day moves no
more copies than the cap. Each answer is a decision like a person's, with its reason in both languages.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, text

from config import Settings
from rotation.dispatch.review import NOT_DECIDED, Action, Subject, decide
from rotation.facts.lifecycle import DayPlanState, RunState, TransferKind, TransferState
from rotation.language.catalogues import CHINESE, ENGLISH, language
from rotation.language.labels import N_
from rotation.network import Network
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import decisions
from solver.solution import Cause

WHO = "policy"
WAITS = "wait"  # what is decided where a person must look
USUAL_DAYS = 28  # over which the usual cost is taken
LEAST_DAYS = 5  # with fewer no cost is usual yet

Reason = tuple[str, dict[str, object]]
BREAKS = N_("The plan breaks limits: %(n)s.")
NO_USUAL = N_("No usual cost is known yet: %(n)s days of this hub in four weeks.")
COSTLY = N_("It costs %(cost)s; the usual is %(usual)s, and %(share)s %% more is allowed.")
MANY = N_("The day moves %(moves)s copies; at most %(most)s go by themselves.")
AS_USUAL = N_(
    "No limit is broken; it costs %(cost)s, the usual is %(usual)s; the day moves %(moves)s copies, at most %(most)s."
)
TIME_IS_UP = N_("Nobody decided by %(until)s.")


@dataclass(frozen=True, slots=True)
class HubDraft:
    """A hub's draft of a day: the limits that it breaks, its cost, and the usual cost over so many days."""

    hub_id: str
    broken: int
    cost_cents: int
    usual_cents: float | None
    days: int


# What no van can take stands on the page as unserved and is planned again: it breaks no limit of this plan.
_DRAFTS = text(f"""
    SELECT p.hub_id, jsonb_array_length(jsonb_path_query_array(
            p.evaluation, '$.violations[*] ? (@.cause != "{Cause.UNSERVED}")')) AS broken,
        coalesce((p.evaluation ->> 'cost_cents')::bigint, 0) AS cost_cents, u.usual, u.days
    FROM day_plans p CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (o.evaluation ->> 'cost_cents')::bigint) AS usual, count(*) AS days
        FROM day_plans o WHERE o.hub_id = p.hub_id AND o.day < p.day AND o.day >= p.day - {USUAL_DAYS}
        AND o.status IN ('{DayPlanState.APPROVED}', '{DayPlanState.ORDERED}', '{DayPlanState.DONE}')
        AND o.evaluation ? 'cost_cents') u
    WHERE p.day = :day AND p.status = '{DayPlanState.DRAFT}' ORDER BY p.hub_id""")
_MOVES = text(f"""
    SELECT count(*) FROM transfers WHERE day = :day AND kind = '{TransferKind.PICK}'
    AND status IN ('{TransferState.PROPOSED}', '{TransferState.APPROVED}', '{TransferState.ORDERED}')""")
_WAITING = text(f"""
    SELECT p.hub_id FROM day_plans p WHERE p.day = :day AND p.status = '{DayPlanState.DRAFT}'
    AND EXISTS (SELECT FROM runs r WHERE r.day_plan_id = p.day_plan_id AND r.status = '{RunState.DRAFT}') ORDER BY p.hub_id""")


def judge(connection: Connection, network: Network, settings: Settings, day: date, at: datetime) -> int:
    """Approve each hub's draft that is as usual and say why the others wait, in the caller's transaction; return the orders."""
    moves, orders = connection.scalar(_MOVES, {"day": day}) or 0, 0
    for draft in [HubDraft(*row) for row in connection.execute(_DRAFTS, {"day": day}).all()]:
        subject, against = Subject(day, hub_id=draft.hub_id), _against(draft, moves, settings)
        if against:
            _note(connection, subject, " ".join(map(_said, against)))
            continue
        why = _said((AS_USUAL, _numbers(draft, settings) | {"moves": moves, "most": settings.policy_moves}))
        with suppress(*NOT_DECIDED):
            orders += decide(connection, network, Action.APPROVE, subject, who=WHO, why=why, at=at).orders
    return orders


def _against(draft: HubDraft, moves: int, settings: Settings) -> list[Reason]:
    """Return the reasons against approving a draft unseen."""
    found: list[Reason] = []
    if draft.broken:
        found.append((BREAKS, {"n": draft.broken}))
    if draft.usual_cents is None or draft.days < LEAST_DAYS:
        found.append((NO_USUAL, {"n": draft.days}))
    elif draft.cost_cents > draft.usual_cents * (1 + settings.policy_cost_share):
        found.append((COSTLY, _numbers(draft, settings)))
    if moves > settings.policy_moves:
        found.append((MANY, {"moves": moves, "most": settings.policy_moves}))
    return found


def _numbers(draft: HubDraft, settings: Settings) -> dict[str, object]:
    usual = draft.usual_cents or 0
    return {
        "cost": f"{draft.cost_cents / 100:.2f}",
        "usual": f"{usual / 100:.2f}",
        "share": round(settings.policy_cost_share * 100),
    }


def _said(reason: Reason) -> str:
    """Return a reason in both languages, as decisions are kept for all who read them."""
    message, numbers = reason
    return " ".join(language(code).say(message, **numbers) for code in (ENGLISH, CHINESE))


def _note(connection: Connection, subject: Subject, why: str) -> None:
    row = {"who": WHO, "what": WAITS, "subject": str(subject), "why": why, "details": {}}
    connection.execute(insert(decisions), row)
    outbox.notify(driver(connection).cursor(), "runs")


def when_time_is_up(connection: Connection, network: Network, settings: Settings, now: datetime) -> int:
    """Apply the setting to drafts that nobody decided on in time, in the caller's transaction; return of how many hubs."""
    local = now.astimezone(network.timezone)
    if settings.policy_then == WAITS or f"{local:%H:%M}" < settings.policy_until:
        return 0
    why, decided = _said((TIME_IS_UP, {"until": settings.policy_until})), 0
    for hub in connection.scalars(_WAITING, {"day": local.date()}).all():
        with suppress(*NOT_DECIDED), connection.begin_nested():
            subject = Subject(local.date(), hub_id=hub)
            decide(connection, network, Action(settings.policy_then), subject, who=WHO, why=why, at=now)
            decided += 1
    return decided
