"""Receipt by crate: where nobody scans copies, confirming a crate receives every copy in it.

It is written as if each copy had been scanned (`transfer.received` on `circulation.events`, through the outbox), so that
everything follows from facts as always; a second confirmation finds nothing left to receive. The page shows the
contents of a crate before they count, and keeps who confirmed it and where among people's decisions.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg import Connection as Driver
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from rotation.dispatch import write_back
from rotation.facts.events import TransferReceived, cloud_event
from rotation.facts.lifecycle import CrateState, TransferState
from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.store import outbox

SOURCE = "rotation/receipts"

_CRATE = "SELECT type, place_id, to_place_id FROM crates WHERE crate_id = %s"
# Copies of the crate that are on their way to where it was closed for, each with its transfer.
_INSIDE = f"""
    SELECT c.copy_id, c.event_id, (
        SELECT t.transfer_id FROM transfers t WHERE t.copy_id = c.copy_id AND t.status = '{TransferState.SENT}'
        ORDER BY t.changed_at DESC, t.transfer_id LIMIT 1)
    FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id)
    JOIN copies c ON c.copy_id = inside.copy_id AND c.state = '{CopyState.IN_TRANSIT}' AND c.to_place_id = r.to_place_id
    WHERE r.crate_id = %s AND jsonb_typeof(r.copies) = 'array' AND c.occurred_at <= %s ORDER BY c.copy_id"""
_RECORD = "INSERT INTO decisions (who, what, subject, details) VALUES (%s, 'receive', %s, %s)"


class Obstacle(StrEnum):
    """Why a crate cannot be received."""

    UNKNOWN = "unknown"  # no crate of that label was ever closed for a place
    OTHER_PLACE = "other_place"  # it was closed for a place other than the receiving place
    FOR_A_HUB = "for_a_hub"  # its copies go on from a hub, which sorts them instead
    NOT_COLLECTED = "not_collected"  # no van has taken it yet: it stands where it was closed
    ELSEWHERE = "elsewhere"  # its last scan was not at the place it was closed for


SENTENCES = {
    Obstacle.UNKNOWN: "no crate {crate!r} was ever closed for a place",
    Obstacle.OTHER_PLACE: "crate {crate!r} was closed for {to!r}, which alone can receive it",
    Obstacle.FOR_A_HUB: "crate {crate!r} is for the hub {to!r}, which sorts it: scan it there",
    Obstacle.NOT_COLLECTED: "no van has collected crate {crate!r}: it stands at {at!r}",
    Obstacle.ELSEWHERE: "crate {crate!r} was scanned last at {at!r}, on its way to {to!r}",
}


class NotReceived(ValueError):
    """A crate that cannot be received; `obstacle` says why, `at` where it was scanned last, `to` where it was closed for."""

    def __init__(self, obstacle: Obstacle, crate: str, at: str = "", to: str = "") -> None:
        super().__init__(SENTENCES[obstacle].format(crate=crate, at=at, to=to))
        self.obstacle, self.crate, self.at, self.to = obstacle, crate, at, to


class ReceivableCrate(NamedTuple):
    """A crate that can be received: for which place, and how many of its copies are on their way there."""

    crate: str
    place: str
    copies: int


def arrived(
    connection: Driver[TupleRow], network: Network, crate: str, at: datetime, place: str | None = None
) -> ReceivableCrate:
    """Return the contents of a crate that can be received; `place` receives it (None: the place that it was closed for).

    Raises
    ------
    NotReceived
    """
    to = _checked(connection, network, crate, place)
    return ReceivableCrate(crate, to, len(connection.execute(_INSIDE, (crate, at)).fetchall()))


def receive(
    connection: Driver[TupleRow], network: Network, crate: str, *, who: str, at: datetime, place: str | None = None
) -> int:
    """Receive all copies of a crate where it was closed for, inside the caller's transaction; return how many. `at` is the
    network's time, `who` confirms it, `place` is where (None: the place that it was closed for).

    Raises
    ------
    NotReceived
        And nothing was changed.
    """
    to = _checked(connection, network, crate, place)
    rows = connection.execute(_INSIDE, (crate, at)).fetchall()
    events = [(row[0], _received(crate, to, at, *row)) for row in rows]
    outbox.put_events(connection.cursor(), events)
    causes = [
        write_back.WriteBackCause(event["id"], row[0], to, event["data"].get("transfer"), at)
        for (_, event), row in zip(events, rows, strict=True)
    ]
    write_back.ask(connection.cursor(), write_back.ARRIVES, causes)
    connection.execute(_RECORD, (who, f"crate:{crate}", Jsonb({"place": to, "copies": len(rows)})))
    return len(events)


def _checked(connection: Driver[TupleRow], network: Network, crate: str, place: str | None) -> str:
    """Return the place that a crate may be received at; raise NotReceived where there is none."""
    scan, at, to = connection.execute(_CRATE, (crate,)).fetchone() or ("", "", None)
    if to is None:
        raise NotReceived(Obstacle.UNKNOWN, crate)
    if obstacle := _obstacle(network, scan, at, to, place):
        raise NotReceived(obstacle, crate, at=at, to=to)
    return str(to)


def _obstacle(network: Network, scan: str, at: str, to: str, place: str | None) -> Obstacle | None:
    if place is not None and place != to:
        return Obstacle.OTHER_PLACE
    if to in network.place and network.place[to].hub is not None:
        return Obstacle.FOR_A_HUB
    if scan == CrateState.CLOSED:
        return Obstacle.NOT_COLLECTED
    if scan in (CrateState.DELIVERED, CrateState.AT_HUB) and at != to:
        return Obstacle.ELSEWHERE
    return None


def _received(crate: str, place: str, at: datetime, copy: str, sent: str, transfer: str | None) -> dict[str, Any]:
    own = transfer if transfer and not transfer.startswith("own:") else None
    event_id = hashlib.sha256(f"{crate}\0{copy}\0{sent}".encode()).hexdigest()[:32]  # the same for the same journey
    return cloud_event(
        TransferReceived(copy=copy, place=place, transfer=own), event_id=event_id, source=SOURCE, time=at, subject=copy
    )
