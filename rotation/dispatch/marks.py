"""A dispatcher's own will about transfers that the night chose: pinned, so that they are served, or kept back until released.

A copy has one owner. A hold comes first: a copy that is trapped for a reader, or has left its shelf, is not picked, pinned or
not. A pin comes before the night's own choice: the copy is not decided on again while its pinned transfer is open, its visits
must be made and outweigh all others where not all fit, and what was not carried is carried over to the next day.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, update

from rotation.courier.problems import HIGHEST_PRIORITY, place_of
from rotation.dispatch.orders import cancel
from rotation.facts.lifecycle import COMING, MAY_BE_CANCELLED, PLANNED, LegKind, LegState, TransferMarkKind
from rotation.facts.movements import CopyState
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import copies, day_plans, decisions, legs, transfer_marks, transfers

RELEASED = "release"  # of a decision; the others are the marks' kinds


@dataclass(frozen=True, slots=True)
class TransferMark:
    """A transfer that a person pinned or kept back; its places are None once the transfer itself is forgotten."""

    transfer_id: str
    copy_id: str
    kind: TransferMarkKind
    who: str
    why: str
    marked_at: datetime
    from_place_id: str | None
    to_place_id: str | None


class NotMarked(Exception):
    """The transfer has gone its way, or has ended, or is none that the night chose: there is nothing to pin or keep back."""


def mark(connection: Connection, transfer_id: str, kind: TransferMarkKind, *, who: str, why: str, at: datetime) -> None:
    """Pin a transfer or keep it back, in the caller's transaction; it takes the place of an earlier mark of the copy.

    Raises
    ------
    NotMarked
        And nothing was changed.
    """
    may = PLANNED if kind is TransferMarkKind.PINNED else MAY_BE_CANCELLED
    mine = (transfers.c.transfer_id == transfer_id) & transfers.c.status.in_(may)
    row = connection.execute(select(transfers).where(mine).with_for_update()).first()
    if row is None:
        raise NotMarked(transfer_id)
    _end(connection, row.copy_id, at)
    new = {"transfer_id": transfer_id, "copy_id": row.copy_id, "kind": kind, "who": who, "why": why, "marked_at": at}
    connection.execute(insert(transfer_marks), new)
    if kind is TransferMarkKind.PINNED:
        _must_be_served(connection, row)
    else:
        cancel(connection, [transfer_id], at)
        connection.execute(delete(legs).where(legs.c.transfer_id == transfer_id, legs.c.status == LegState.PLANNED))
    _record(connection, kind, transfer_id, who, why)


def release(connection: Connection, transfer_id: str, *, who: str, at: datetime) -> None:
    """Leave a transfer's copy to the next plan again, in the caller's transaction.

    Raises
    ------
    NotMarked
        When nobody marked it, or somebody released it already.
    """
    copy_id = connection.scalar(
        select(transfer_marks.c.copy_id).where(_STANDS, transfer_marks.c.transfer_id == transfer_id)
    )
    if copy_id is None or not _end(connection, copy_id, at):
        raise NotMarked(transfer_id)
    _record(connection, RELEASED, transfer_id, who, "")


_STANDS = transfer_marks.c.released_at.is_(None)


def _end(connection: Connection, copy_id: str, at: datetime) -> bool:
    ended = update(transfer_marks).where(_STANDS, transfer_marks.c.copy_id == copy_id).values(released_at=at)
    return bool(connection.execute(ended).rowcount)


def _must_be_served(connection: Connection, row: Row[Any]) -> None:
    """Let the plans of the transfer's day say that its visits must be made: the next search around them makes them."""
    its_legs = select(legs).where(legs.c.transfer_id == row.transfer_id, legs.c.day == row.day)
    places = {place for leg in connection.execute(its_legs) for place in _visited(leg)}
    of_day = select(day_plans.c.day_plan_id, day_plans.c.problem).where(day_plans.c.day == row.day)
    for plan in connection.execute(of_day.order_by(day_plans.c.day_plan_id).with_for_update()).all():
        problem: dict[str, Any] = plan.problem
        stops = [stop for stop in problem.get("stops", ()) if place_of(stop["id"]) in places]
        for stop in stops:
            stop.pop("prize_cents", None)
            stop["priority"] = HIGHEST_PRIORITY
        if stops:
            mine = day_plans.c.day_plan_id == plan.day_plan_id
            connection.execute(update(day_plans).where(mine).values(problem=problem))


def _visited(leg: Row[Any]) -> set[str]:
    """Return the places at which a van calls for a leg."""
    ends = {LegKind.COLLECT: {leg.from_place_id}, LegKind.DELIVER: {leg.to_place_id}}
    return ends.get(leg.kind, {leg.from_place_id, leg.to_place_id} if leg.kind == LegKind.DIRECT else set())


def _record(connection: Connection, what: str, transfer_id: str, who: str, why: str) -> None:
    row = {"who": who, "what": what, "subject": f"transfer:{transfer_id}", "why": why or None}
    connection.execute(insert(decisions), row)
    outbox.notify(driver(connection).cursor(), "runs")


# --- Read -------------------------------------------------------------------------------------------------------------


def standing(connection: Connection) -> list[TransferMark]:
    """Return the marks that stand, the newest first: pins of transfers that have not ended, and copies kept back."""
    open_pin = transfers.c.status.in_(COMING)
    which = or_(transfer_marks.c.kind == TransferMarkKind.KEPT_BACK, open_pin)
    rows = connection.execute(_marks().where(_STANDS, which).order_by(transfer_marks.c.mark_id.desc())).all()
    return [TransferMark(*row) for row in rows]


def pinned(connection: Connection) -> frozenset[str]:
    """Return the transfers that are pinned."""
    return frozenset(one.transfer_id for one in standing(connection) if one.kind == TransferMarkKind.PINNED)


def _marks() -> Select[Any]:
    own = [transfer_marks.c[name] for name in ("transfer_id", "copy_id", "kind", "who", "why", "marked_at")]
    joined = transfer_marks.outerjoin(transfers, transfers.c.transfer_id == transfer_marks.c.transfer_id)
    return select(*own, transfers.c.from_place_id, transfers.c.to_place_id).select_from(joined)


# --- The night --------------------------------------------------------------------------------------------------------


def carry_over(connection: Connection, before: date, to: date) -> int:
    """Give pinned transfers of days before `before` that were not ordered the day `to`; return how many.

    Those whose copy is on its shelf no longer are left to be called off: a reader, or the copy's own way, comes first.
    """
    on_shelf = select(copies.c.copy_id).where(
        copies.c.copy_id == transfers.c.copy_id,
        copies.c.state == CopyState.ON_SHELF,
        copies.c.place_id == transfers.c.from_place_id,
    )
    mine = transfers.c.transfer_id.in_(pinned(connection)) & transfers.c.status.in_(PLANNED)
    late = update(transfers).where(mine, transfers.c.day < before, on_shelf.exists()).values(day=to)
    return connection.execute(late).rowcount
