"""Write-backs to library systems: requested in the transaction that orders or scans, seen and decided on a page.

A cause asks once, however often it comes. Copies' write-backs are done in their order, those of all systems together, so that
nothing that failed is overtaken: a copy that is checked in before its home is changed would be sent back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg import Cursor
from psycopg.rows import TupleRow
from sqlalchemy import Connection, text

from rotation.facts.events import CopyFound, Fact, TransferReceived, TransferSent
from rotation.facts.lifecycle import OURS, listed
from rotation.facts.write_back import WriteBackKind
from rotation.store import outbox
from rotation.store.engine import driver


class WriteBackCause(NamedTuple):
    """The cause of a write-back: its id, the copy, the place, the transfer if there is one, and when."""

    cause_id: str
    copy_id: str
    place_id: str
    transfer_id: str | None
    at: datetime


# A hold is dropped where one was asked for, and a home changed by transfers that Rotation decided on.
_MAY = f"""
    CASE v.kind WHEN '{WriteBackKind.DROP_HOLD}' THEN EXISTS (
        SELECT FROM write_backs h WHERE h.system = s.system AND h.transfer_id = v.transfer_id AND h.kind = '{WriteBackKind.HOLD}')
    WHEN '{WriteBackKind.RELOCATE}' THEN EXISTS (
        SELECT FROM transfers t WHERE t.transfer_id = v.transfer_id AND t.kind IN ({listed(OURS)}))
    ELSE true END"""
_ASK = f"""
INSERT INTO write_backs (system, kind, copy_id, place_id, transfer_id, cause, at)
SELECT s.system, v.kind, v.copy_id, v.place_id, v.transfer_id, v.cause, v.at
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    WITH ORDINALITY v(kind, cause, copy_id, place_id, transfer_id, at, n)
JOIN write_back_switches s ON v.kind = ANY(s.kinds) AND v.place_id = ANY(s.places)
WHERE {_MAY} ORDER BY v.n, s.system ON CONFLICT DO NOTHING"""


def ask(cursor: Cursor[TupleRow], kinds: Sequence[WriteBackKind], causes: Iterable[WriteBackCause]) -> None:
    """Ask each system that has them switched on for some kinds of write-backs, in the caller's transaction."""
    rows = [(kind, *cause) for cause in causes for kind in kinds]
    if rows and cursor.execute(_ASK, [list(column) for column in zip(*rows, strict=True)]).rowcount:
        outbox.wake(cursor, outbox.WRITE_BACKS)


ARRIVES = (WriteBackKind.RELOCATE, WriteBackKind.DROP_HOLD, WriteBackKind.CHECK_IN)
CHECKS_IN = (WriteBackKind.CHECK_IN,)


def follow(cursor: Cursor[TupleRow], facts: Iterable[tuple[str, Fact]], at: datetime) -> None:
    """Request the write-backs that follow from our own pages' facts, each with its event's id."""
    for event_id, fact in facts:
        if isinstance(fact, TransferReceived):
            ask(cursor, ARRIVES, [WriteBackCause(event_id, fact.copy_id, fact.place, fact.transfer, at)])
        elif isinstance(fact, TransferSent):
            ask(cursor, CHECKS_IN, [WriteBackCause(event_id, fact.copy_id, fact.place, fact.transfer, at)])
        elif isinstance(fact, CopyFound):
            ask(cursor, CHECKS_IN, [WriteBackCause(event_id, fact.copy_id, fact.place, None, at)])


# --- How it goes --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WrittenSystem:
    """A library system: the kinds that are on, and how many write-backs wait, were refused, and are done."""

    system: str
    kinds: Sequence[str]
    waiting: int
    refused: int
    done: int
    without_id: int


@dataclass(frozen=True, slots=True)
class OpenWriteBack:
    """A write-back that is not done."""

    write_back_id: int
    system: str
    kind: str
    copy_id: str
    place_id: str
    transfer_id: str | None
    asked_at: datetime
    tries: int
    fault: str | None
    answer: str
    refused: bool
    behind: bool


_SYSTEMS = text("""
    SELECT s.system, s.kinds, count(w.*) FILTER (WHERE w.done_at IS NULL AND w.refused_at IS NULL),
        count(w.*) FILTER (WHERE w.done_at IS NULL AND w.refused_at IS NOT NULL), count(w.*) FILTER (WHERE w.done_at IS NOT NULL),
        count(w.*) FILTER (WHERE w.done_at IS NOT NULL AND w.answer_id IS NULL)
    FROM write_back_switches s LEFT JOIN write_backs w USING (system) GROUP BY s.system, s.kinds ORDER BY s.system""")
_OPEN = text("""
    SELECT w.write_back_id, w.system, w.kind, w.copy_id, w.place_id, w.transfer_id, w.asked_at, w.tries, w.fault, w.answer,
        w.refused_at IS NOT NULL, EXISTS (SELECT FROM write_backs f
            WHERE f.copy_id = w.copy_id AND f.done_at IS NULL AND f.write_back_id < w.write_back_id)
    FROM write_backs w WHERE w.done_at IS NULL ORDER BY w.refused_at IS NULL, w.write_back_id LIMIT :most""")


def systems(connection: Connection) -> list[WrittenSystem]:
    """Return the library systems that are written back to."""
    return [WrittenSystem(*row) for row in connection.execute(_SYSTEMS)]


def not_done(connection: Connection, most: int) -> list[OpenWriteBack]:
    """Return at most so many write-backs that are not done, those that a person must look at first."""
    return [OpenWriteBack(*row) for row in connection.execute(_OPEN, {"most": most})]


_AGAIN = text("""
    UPDATE write_backs SET refused_at = NULL, next_at = now() WHERE done_at IS NULL
    AND (CAST(:one AS bigint) IS NULL OR write_back_id = :one)""")
_LEAVE = text("""
    UPDATE write_backs SET done_at = now(), left_by = :who WHERE write_back_id = :one AND done_at IS NULL""")


def try_again(connection: Connection, one: int | None = None) -> int:
    """Let a write-back (None: all that are not done) be tried at once; return how many."""
    again = connection.execute(_AGAIN, {"one": one}).rowcount
    outbox.wake(driver(connection).cursor(), outbox.WRITE_BACKS)
    return again


def leave(connection: Connection, one: int, who: str) -> bool:
    """Leave a write-back undone, since a person did it there or it is not needed; return whether it was open."""
    left = bool(connection.execute(_LEAVE, {"one": one, "who": who}).rowcount)
    outbox.wake(driver(connection).cursor(), outbox.WRITE_BACKS)
    return left
