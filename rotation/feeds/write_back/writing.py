"""The process that writes back to one library system: each write-back once, in its copy's order, until it is done or refused.

Begun is noted, with the system's answer before, ahead of the request. Killed at any moment or without an answer, the
system is asked whether it is done before it is asked to do it.
"""

import threading
from typing import Any

import psycopg
import structlog

from rotation.facts.parts import Deed
from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.feeds.write_back.system import ANSWER_LENGTH, LibrarySystem, NotWritten, WriteBackDone, WriteBackTask
from rotation.store.engine import connect
from rotation.store.heartbeats import TURN_S, Turned, unheard
from rotation.store.locks import LockSpace
from rotation.store.outbox import WRITE_BACKS

log = structlog.get_logger()

# Seconds after each try that got no answer; the last again and again, since the work stays to be done.
RETRIES_S = (5, 15, 60, 300, 900)
LOOK_S = 1.0
PAUSE_S = 2.0  # after the database was away
AT_ONCE = 100
KEPT_DAYS = 30  # of what was done

_SWITCH = """
INSERT INTO write_back_switches (system, kinds, places) VALUES (%s, %s, %s)
ON CONFLICT (system) DO UPDATE SET kinds = excluded.kinds, places = excluded.places"""
_FORGET = "DELETE FROM write_backs WHERE system = %s AND done_at < now() - %s * interval '1 day'"
# A copy's write-backs of all systems are done in their order.
_DUE = f"""
SELECT w.write_back_id, w.kind, w.copy_id, coalesce(i.barcode, nullif(s.barcode, ''), w.copy_id), i.item, w.place_id,
    w.transfer_id, w.at, (SELECT h.answer_id FROM write_backs h WHERE h.system = w.system AND h.transfer_id = w.transfer_id
        AND h.kind = '{WriteBackKind.HOLD}' ORDER BY h.write_back_id DESC LIMIT 1), w.before
FROM write_backs w LEFT JOIN shelvings s USING (copy_id)
LEFT JOIN LATERAL (SELECT item, barcode FROM item_copies c WHERE c.copy_id = w.copy_id LIMIT 1) i ON true
WHERE w.system = %s AND w.done_at IS NULL AND w.refused_at IS NULL AND w.next_at <= now() AND NOT EXISTS (
    SELECT FROM write_backs f WHERE f.copy_id = w.copy_id AND f.done_at IS NULL AND f.write_back_id < w.write_back_id)
ORDER BY w.write_back_id LIMIT %s"""
_BEGIN = "UPDATE write_backs SET before = %s WHERE write_back_id = %s"
_DONE = """
UPDATE write_backs SET done_at = now(), tries = tries + 1, fault = NULL, answer = %s, answer_id = %s
WHERE write_back_id = %s AND done_at IS NULL"""
_NOT_DONE = """
UPDATE write_backs SET tries = tries + 1, fault = %(fault)s, answer = %(words)s, next_at = now() + make_interval(secs => greatest(
    %(wait)s, (%(retries)s::float8[])[least(tries + 1, cardinality(%(retries)s::float8[]))])),
    refused_at = CASE WHEN %(refused)s THEN now() END WHERE write_back_id = %(one)s"""


def run(url: str, system: LibrarySystem, stop: threading.Event, turn: Turned = unheard) -> None:
    """Write back until `stop`, waiting for the database where it is away."""
    while not stop.is_set():
        try:
            with connect(url, autocommit=True) as connection:
                switch(connection, system)
                connection.execute(f"LISTEN {WRITE_BACKS}")
                while not stop.is_set():
                    turn()
                    if written := write(connection, system, turn):
                        turn(deed=Deed.SENT, about=written)
                    next(connection.notifies(timeout=LOOK_S, stop_after=1), None)
        except psycopg.Error as error:
            log.warning("waiting", error=str(error).strip())
            turn(deed=Deed.WAITS)
            stop.wait(PAUSE_S)


def switch(connection: psycopg.Connection[Any], system: LibrarySystem) -> None:
    """Choose the kinds that are written back to a system from now on."""
    kinds, places = [str(kind) for kind in system.kinds], list(system.places)
    connection.execute(_SWITCH, (system.name, kinds, places))
    connection.execute(_FORGET, (system.name, KEPT_DAYS))


def write(connection: psycopg.Connection[Any], system: LibrarySystem, turn: Turned = unheard) -> int:
    """Do the due write-backs; return how many were done. One process at a time writes to a system; an absent system is left."""
    if not _mine(connection, system):
        return 0
    written = 0
    for row in connection.execute(_DUE, (system.name, AT_ONCE)).fetchall():
        turn(within_s=2 * TURN_S)
        task = WriteBackTask(row[0], WriteBackKind(row[1]), *row[2:])
        try:
            done = _do(connection, system, task)
        except NotWritten as not_done:
            _note(connection, task, not_done)
            if not_done.fault is WriteBackFault.AWAY:
                break
        else:
            connection.execute(_DONE, (done.words[:ANSWER_LENGTH], done.answer_id, task.write_back_id))
            written += 1
    return written


def _mine(connection: psycopg.Connection[Any], system: LibrarySystem) -> bool:
    lock = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LockSpace.WRITE_BACK, system.name))
    row = lock.fetchone()
    return bool(row and row[0])


def _do(connection: psycopg.Connection[Any], system: LibrarySystem, task: WriteBackTask) -> WriteBackDone:
    if task.before is not None and (done := system.done(task)):
        return done
    if task.before is None:
        connection.execute(_BEGIN, (system.before(task), task.write_back_id))
    return system.write(task)


def _note(connection: psycopg.Connection[Any], task: WriteBackTask, not_done: NotWritten) -> None:
    noted = {
        "one": task.write_back_id,
        "fault": not_done.fault,
        "words": str(not_done)[:ANSWER_LENGTH].replace("\0", ""),
        "wait": not_done.wait_s,
        "retries": list(map(float, RETRIES_S)),
        "refused": not_done.fault is not WriteBackFault.AWAY,
    }
    connection.execute(_NOT_DONE, noted)
