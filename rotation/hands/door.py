"""The door that every scan of a page for hands comes through: recorded with who and where, answered once, and sent as events.

A scan has an id made where it was scanned. The same scan sent again, by a browser on its own or from a phone's queue, gets the
answer that it got before and has no second effect. Its facts go into the outbox of `circulation.events`, in the transaction that
records it, and are applied like those of any library system.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from rotation.dispatch import write_back
from rotation.facts.clock import Clock
from rotation.facts.events import Fact, cloud_event
from rotation.facts.hand_work import HandWork
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import scans

SOURCE = "rotation/hands"
LONGEST_CODE = 128  # as an event's ids
CLOCK_TOLERANCE = timedelta(minutes=5)  # as of library systems; a phone that is further off is told so


class Tone(StrEnum):
    """How an answer looks and sounds: done, wrong, take care, or on its way."""

    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class HandScan:
    """A scan, a count or a button: its id, its purpose, the place, the code as scanned, and the person.

    `at` is the network's time when it was done, `received_at` when it reached the server.
    """

    scan_id: str
    work: HandWork
    place_id: str
    code: str
    who: str
    at: datetime
    received_at: datetime
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class HandAnswer:
    """The page's answer to a scan: a code with its tone and the words' values; the facts to send, and their subject."""

    code: str
    tone: Tone
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: Sequence[Fact] = ()
    subject: str = ""
    repeated: bool = False


class Refused(Exception):
    """A scan that cannot be followed, with the page's words; it is recorded like any other."""

    def __init__(self, code: str, tone: Tone = Tone.BAD, **values: Any) -> None:
        super().__init__(code)
        self.answer = HandAnswer(code, tone, values)


class OtherScan(ValueError):
    """The id was used for another scan."""


def answered(connection: Connection, scan: HandScan, act: Callable[[], HandAnswer]) -> HandAnswer:
    """Follow a scan and keep its answer, or return the answer that it got before; in the caller's transaction.

    Raises
    ------
    OtherScan
        When another scan has the id.
    """
    if not _is_new(connection, scan):
        return _as_before(connection, scan)
    try:
        answer = act()
    except Refused as refused:
        answer = refused.answer
    kept = {"code": answer.code, "tone": answer.tone, "values": dict(answer.values)}
    with driver(connection).pipeline():  # one round trip for all of it
        cursor = driver(connection).cursor()
        cursor.execute(_KEEP_ANSWER, (Jsonb(kept), answer.subject, scan.scan_id))
        tell(connection, scan, answer.facts)
        outbox.notify(cursor, "scans", [scan.place_id])
    return answer


_KEEP_ANSWER = "UPDATE scans SET answer = %s, subject = %s WHERE scan_id = %s"


def _is_new(connection: Connection, scan: HandScan) -> bool:
    """Record a scan without its answer; whoever sends the same at this moment waits here until we are done."""
    row = {name: getattr(scan, name) for name in HandScan.__dataclass_fields__} | {"answer": {}}
    kept = insert(scans).values(row).on_conflict_do_nothing().returning(scans.c.scan_id)
    return connection.scalar(kept) is not None


def _as_before(connection: Connection, scan: HandScan) -> HandAnswer:
    row = connection.execute(select(scans).where(scans.c.scan_id == scan.scan_id)).one()
    if (row.work, row.place_id, row.code) != (scan.work, scan.place_id, scan.code):
        raise OtherScan(f"scan {scan.scan_id!r} was {row.work} of {row.code!r} at {row.place_id!r}")
    return replace(of_row(row.answer), subject=row.subject, repeated=True)


def of_row(kept: Mapping[str, Any]) -> HandAnswer:
    """Return an answer as it was kept."""
    return HandAnswer(kept["code"], Tone(kept["tone"]), kept["values"])


def tell(connection: Connection, scan: HandScan, facts: Sequence[Fact]) -> None:
    """Send the facts of a scan; their order at one instant is the order given."""
    if not facts:
        return
    events = [
        (str(getattr(fact, "copy_id", None) or getattr(fact, "crate", "")), _event(scan, number, fact))
        for number, fact in enumerate(facts)
    ]
    cursor = driver(connection).cursor()
    outbox.put_events(cursor, events)
    write_back.follow(cursor, ((event["id"], fact) for (_, event), fact in zip(events, facts, strict=True)), scan.at)


def _event(scan: HandScan, number: int, fact: Fact) -> dict[str, Any]:
    return cloud_event(fact, event_id=f"{scan.scan_id}/{number}", source=SOURCE, time=scan.at, sequence=number)


# --- When it happened -----------------------------------------------------------------------------------------------


class ScanTime(NamedTuple):
    """When a scan was made and received, by the network's clock, and by how many minutes the phone's own clock is off."""

    at: datetime
    received_at: datetime
    clock_off_min: int


def scan_time(clock: Clock, now: datetime, scanned: datetime | None, sent: datetime | None) -> ScanTime:
    """Return when a scan was made: `sent - scanned` ago, whatever the phone's clock says; `now` is the wall clock.

    `scanned` and `sent` are by the phone's clock; without them the scan was made now.
    """
    waited = max(sent - scanned, timedelta()) if sent and scanned else timedelta()
    off = sent - now if sent else timedelta()
    minutes = round(off.total_seconds() / 60) if abs(off) > CLOCK_TOLERANCE else 0
    return ScanTime(clock.now(now - waited), clock.now(now), minutes)
