"""Traces: picks that were not found, until something is heard of the copy. They follow from the facts alone.

A place declines a pick with the reason `not_found`, and again each time that it has looked without finding. While nothing else is
heard of the copy the trace stands, and the copy is in no plan.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from psycopg import Cursor

from rotation.facts.lifecycle import TransferKind, TransferState
from rotation.facts.movements import CopyState

NOT_FOUND = "not_found"  # reason of transfer.declined

# A place looked for these and did not find them, and nothing has been heard of the copy since.
TRACES = f"""
    SELECT t.transfer_id, t.copy_id, t.from_place_id AS place_id, looked.times, looked.first_at, looked.last_at
    FROM transfers t JOIN copies c USING (copy_id) CROSS JOIN LATERAL (
        SELECT count(*) AS times, min(f.occurred_at) AS first_at, max(f.occurred_at) AS last_at FROM transfer_facts f
        WHERE f.transfer_id = t.transfer_id AND f.type = 'transfer.declined' AND f.reason = '{NOT_FOUND}') looked
    WHERE t.status = '{TransferState.DECLINED}' AND t.kind = '{TransferKind.PICK}' AND c.state = '{CopyState.ON_SHELF}'
      AND looked.times > 0 AND c.occurred_at <= looked.last_at"""


class Trace(NamedTuple):
    """A copy that was looked for, where, how often, and when first and last."""

    transfer_id: str
    copy_id: str
    place_id: str
    times: int
    first_at: datetime
    last_at: datetime

    def due(self, after_days: Sequence[int], day_of_first: date) -> date | None:
        """Return the day on which its place looks again, by `after_days` from the first look; None after the last time."""
        asked = self.times - 1
        return day_of_first + timedelta(days=after_days[asked]) if asked < len(after_days) else None


def traces_of(cursor: Cursor[tuple[object, ...]], place: str) -> list[Trace]:
    """Return a place's traces, the oldest first."""
    rows = cursor.execute(f"{TRACES} AND t.from_place_id = %s ORDER BY looked.first_at, t.transfer_id", (place,))
    return [Trace(*row) for row in rows.fetchall()]  # type: ignore[arg-type]
