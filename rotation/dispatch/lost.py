"""Lost in transit: a copy that is on its way too long is looked for at both ends, then missing, until somebody finds it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection, text

from rotation.facts.events import TransferLost, cloud_event
from rotation.facts.lifecycle import TransferState
from rotation.facts.movements import CopyState
from rotation.store import outbox

SOURCE = "rotation/lost"
OWN = "own:"  # before the copy's id: a shipment of the library system that bears no id of its own
AT_ONCE = 500  # given up in one sweep: an old system's forgotten shipments do not flood the topic
SHOWN = 200  # of a place's list


@dataclass(frozen=True, slots=True)
class SoughtCopy:
    """A copy on its way too long: from where to where, since when, and its title and marks."""

    copy_id: str
    title: str
    call_number: str
    from_place_id: str
    to_place_id: str
    since: datetime


_SOUGHT = text(f"""
    SELECT c.copy_id, coalesce(t.name, c.title_id, c.copy_id), coalesce(s.call_number, ''), c.place_id, c.to_place_id,
        c.occurred_at
    FROM copies c LEFT JOIN titles t USING (title_id) LEFT JOIN shelvings s USING (copy_id)
    WHERE c.state = '{CopyState.IN_TRANSIT}' AND c.occurred_at < :before AND :place IN (c.place_id, c.to_place_id)
    ORDER BY c.occurred_at, c.copy_id LIMIT {SHOWN}""")


def sought(connection: Connection, place: str, now: datetime, after_days: int) -> list[SoughtCopy]:
    """Return the copies that a place sent or awaits and that are on their way for more than `after_days`, the oldest first."""
    asked = {"place": place, "before": now - timedelta(days=after_days)}
    return [SoughtCopy(*row) for row in connection.execute(_SOUGHT, asked)]


_GIVEN_UP = f"""
SELECT c.copy_id, c.place_id, c.occurred_at, t.transfer_id FROM copies c LEFT JOIN LATERAL (
    SELECT transfer_id FROM transfers t WHERE t.copy_id = c.copy_id AND t.status = '{TransferState.SENT}'
    ORDER BY changed_at DESC, transfer_id LIMIT 1) t ON true
WHERE c.state = '{CopyState.IN_TRANSIT}' AND c.occurred_at < %s ORDER BY c.occurred_at, c.copy_id LIMIT {AT_ONCE}"""


def give_up(cursor: Cursor[Any], now: datetime, after_days: int) -> int:
    """Say `transfer.lost` of copies on their way for more than `after_days`, in the caller's transaction; return of how many.

    Said twice before it has come round, it has the same id and counts once.
    """
    rows = cursor.execute(_GIVEN_UP, (now - timedelta(days=after_days),)).fetchall()
    events = [(copy, _lost(copy, place, since, transfer, now)) for copy, place, since, transfer in rows]
    outbox.put_events(cursor, events)
    return len(events)


def _lost(copy: str, place: str, since: datetime, transfer: str | None, now: datetime) -> dict[str, Any]:
    ours = None if transfer is None or transfer.startswith(OWN) else transfer
    fact = TransferLost(copy=copy, place=place, transfer=ours)
    return cloud_event(fact, event_id=f"{copy}/{since:%Y%m%dT%H%M%S}", source=SOURCE, time=now)
