"""Receipt by crate: where nobody scans copies, one confirmation of a crate receives all that lie in it.

It is told as if each copy had been scanned (`transfer.received` on `circulation.events`, through the outbox), so that everything
follows from facts as always; confirmed twice, the second time finds nothing left to receive.
"""

import hashlib
from datetime import datetime
from typing import Any

from psycopg import Connection as Driver
from psycopg.rows import TupleRow

from rotation.events import TransferReceived, cloud_event
from rotation.store import outbox

SOURCE = "rotation/receipts"
TOPIC = "circulation.events"

_CRATE = "SELECT to_place_id FROM crates WHERE crate_id = %s AND to_place_id IS NOT NULL"
# Copies of the crate that are on their way to where it was closed for, each with what it travels by.
_INSIDE = """
    SELECT c.copy_id, c.event_id, (
        SELECT t.transfer_id FROM transfers t WHERE t.copy_id = c.copy_id AND t.status = 'sent'
        ORDER BY t.changed_at DESC, t.transfer_id LIMIT 1)
    FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id)
    JOIN copies c ON c.copy_id = inside.copy_id AND c.state = 'in_transit' AND c.to_place_id = r.to_place_id
    WHERE r.crate_id = %s AND jsonb_typeof(r.copies) = 'array' AND c.occurred_at <= %s ORDER BY c.copy_id"""


class UnknownCrate(ValueError):
    """No crate of that label was ever closed for a place."""


def receive(connection: Driver[TupleRow], crate: str, at: datetime) -> int:
    """Receive all copies of a crate where it was closed for, inside the caller's transaction; return how many. `at` is the
    network's time.

    Raises
    ------
    UnknownCrate
        When nobody closed such a crate for a place.
    """
    found = connection.execute(_CRATE, (crate,)).fetchone()
    if found is None:
        raise UnknownCrate(f"no crate {crate!r} was ever closed for a place")
    rows = connection.execute(_INSIDE, (crate, at)).fetchall()
    events = [(row[0], _received(crate, found[0], at, *row)) for row in rows]
    outbox.put(connection.cursor(), TOPIC, events)
    return len(events)


def _received(crate: str, place: str, at: datetime, copy: str, sent: str, transfer: str | None) -> dict[str, Any]:
    own = transfer if transfer and not transfer.startswith("own:") else None
    event_id = hashlib.sha256(f"{crate}\0{copy}\0{sent}".encode()).hexdigest()[:32]  # the same for the same journey
    return cloud_event(
        TransferReceived(copy=copy, place=place, transfer=own), event_id=event_id, source=SOURCE, time=at, subject=copy
    )
