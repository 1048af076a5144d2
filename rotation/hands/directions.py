"""Where a copy goes from a desk, and the transfer that brings it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from rotation.dispatch import write_back
from rotation.dispatch.write_back import WriteBackCause
from rotation.facts.lifecycle import TransferKind, TransferState
from rotation.facts.write_back import WriteBackKind
from rotation.store.engine import driver
from rotation.store.tables import transfers
from rotation.store.transitions import move


@dataclass(frozen=True, slots=True)
class Direction:
    """Where a copy goes, by which transfer (None: it stays), and why."""

    to: str
    transfer: str | None
    reason: Mapping[str, Any]
    gain_loans: float


def ordered(connection: Connection, copy: Row[Any], place_id: str, direction: Direction, now: datetime) -> Direction:
    """Write the answer as a transfer; an open transfer of the copy from elsewhere is superseded.

    Library systems hold the copy for its place, unless they do so for a reader already.
    """
    transfer_id = f"desk-{now:%Y%m%d%H%M%S}-{copy.copy_id}"
    of_copy = "own.copy_id = %(copy)s"
    cancelled = {"copy": copy.copy_id, "at": now}
    superseded = move(connection, TransferState.CANCELLED, of_copy, values="changed_at = %(at)s", **cancelled)
    row = {
        "transfer_id": transfer_id,
        "copy_id": copy.copy_id,
        "title_id": copy.title_id,
        "from_place_id": place_id,
        "to_place_id": direction.to,
        "kind": TransferKind.PLACEMENT,
        "status": TransferState.ORDERED,
        "day": now.date(),
        "gain_loans": direction.gain_loans,
        "reason": dict(direction.reason),
        "created_at": now,
        "changed_at": now,
    }
    connection.execute(insert(transfers), row)
    _write_back(connection, superseded, Direction(direction.to, transfer_id, direction.reason, 0.0), copy.copy_id, now)
    return Direction(direction.to, transfer_id, direction.reason, direction.gain_loans)


def _write_back(connection: Connection, superseded: list[str], placed: Direction, copy_id: str, now: datetime) -> None:
    cursor = driver(connection).cursor()
    if superseded:
        mine = select(transfers.c.transfer_id, transfers.c.to_place_id).where(transfers.c.transfer_id.in_(superseded))
        dropped = [WriteBackCause(one, copy_id, to, one, now) for one, to in connection.execute(mine)]
        write_back.ask(cursor, [WriteBackKind.DROP_HOLD], dropped)
    if "hold" not in placed.reason and placed.transfer:
        held = WriteBackCause(placed.transfer, copy_id, placed.to, placed.transfer, now)
        write_back.ask(cursor, [WriteBackKind.HOLD], [held])
