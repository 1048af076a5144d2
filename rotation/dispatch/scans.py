"""Scans close stops, legs and runs.

A crate that is taken or handed over at a stop makes the stop done, its run under way and its legs done. A crate that a hub
closes, or that a trunk takes or brings, closes the legs of the copies in it. All of it follows from the set of crate facts
alone, so that order and repetition of scans do not matter.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Cursor

from rotation.facts.events import TransferReceived
from rotation.facts.lifecycle import (
    NOT_MADE,
    OUT,
    STANDING,
    CrateState,
    DayPlanState,
    LegKind,
    LegState,
    RunState,
    StopState,
    listed,
)
from rotation.store import outbox
from rotation.store.transitions import move

# A van may come back this much late before the stops without a scan count as missed.
BACK_LATE = timedelta(hours=1)

FIRST_SCANS = f"""(
    SELECT run_id, place_id, min(occurred_at) AS first_at FROM batch_crate_facts
    WHERE run_id IS NOT NULL AND type IN ('{CrateState.COLLECTED}', '{CrateState.DELIVERED}') GROUP BY run_id, place_id) f"""
SCANNED = "own.run_id = f.run_id AND own.place_id = f.place_id AND (own.done_at IS NULL OR own.done_at > f.first_at)"
AT_A_DONE_STOP = f"""
own.run_id = ANY(%(runs)s) AND s.run_id = own.run_id AND s.status = '{StopState.DONE}'
AND s.place_id = CASE own.kind WHEN '{LegKind.DELIVER}' THEN own.to_place_id ELSE own.from_place_id END
AND (own.kind <> '{LegKind.DELIVER}' OR NOT EXISTS (
    SELECT FROM crates c WHERE c.crate_id = own.crate_id AND c.type IN ({listed(STANDING)})))
"""
# A crate that was closed at a hub was sorted there; a crate that a trunk took from there, or set down there, drove. All scans of
# a batch's crates are read, since a closing that comes last is the first to list the copies in the crate. A copy
# travels by the last transfer that began before the scan: earlier and later journeys keep their own scans.
HUB_SCANS = f"""
SELECT DISTINCT t.transfer_id, f.type, f.place_id FROM (SELECT DISTINCT crate_id FROM batch_crate_facts) b
JOIN crates r ON r.crate_id = b.crate_id AND jsonb_typeof(r.copies) = 'array'
JOIN crate_facts f ON f.crate_id = b.crate_id
CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id)
CROSS JOIN LATERAL (
    SELECT transfer_id FROM transfers t WHERE t.copy_id = inside.copy_id AND t.created_at <= f.occurred_at
    AND t.status NOT IN ({listed(NOT_MADE)}) ORDER BY t.created_at DESC, t.transfer_id LIMIT 1) t
WHERE f.type IN ({listed(STANDING)}) OR (f.type = '{CrateState.COLLECTED}' AND f.run_id IS NULL)
"""
SCANNED_AT_A_HUB = f"""
own.transfer_id = ANY(%(transfers)s) AND own.transfer_id = s.transfer_id AND (
    own.kind = '{LegKind.SORT}' AND s.type = '{CrateState.CLOSED}' AND own.from_place_id = s.place_id
    OR own.kind = '{LegKind.TRUNK}' AND s.type = '{CrateState.COLLECTED}' AND own.from_place_id = s.place_id
    OR own.kind = '{LegKind.TRUNK}' AND s.type = '{CrateState.AT_HUB}' AND own.to_place_id = s.place_id)
"""
# Copies that a hub takes out for its own shelves lie in no crate: their check-in is the last sign of the sorting.
SORTED_FOR_THE_HUB = f"""
b.type = '{TransferReceived.type}' AND own.transfer_id = b.transfer_id
AND own.kind = '{LegKind.SORT}' AND own.from_place_id = b.place_id
"""
# A van that was scanned at a later stop has passed the earlier ones by; their own scans may still come.
PASSED_BY = f"""
own.run_id = ANY(%(runs)s) AND EXISTS (
    SELECT FROM stops later
    WHERE later.run_id = own.run_id AND later.position > own.position AND later.status = '{StopState.DONE}')
"""
# A van that should be back has passed the stops that nobody scanned.
SHOULD_BE_BACK = f"r.run_id = own.run_id AND r.returns_at < %(until)s AND r.status IN ({listed(OUT)})"
HAS_STOPS = "EXISTS (SELECT FROM stops s WHERE s.run_id = own.run_id AND s.status = '{}')"
TO_COME, MISSED = HAS_STOPS.format(StopState.PLANNED), HAS_STOPS.format(StopState.MISSED)
# The state of a run by those of its stops.
RUNS_GO_ON = {
    RunState.UNDER_WAY: TO_COME,
    RunState.INCOMPLETE: f"NOT {TO_COME} AND {MISSED}",
    RunState.DONE: f"NOT {TO_COME} AND NOT {MISSED}",
}


def follow_scans(cursor: Cursor[Any]) -> None:
    """Bring stops, legs and runs up to the staged crate facts; inside the transaction that adds these facts."""
    if scans := cursor.execute(HUB_SCANS).fetchall():
        _close_hub_legs(cursor, scans)
    done = set(move(cursor, StopState.DONE, SCANNED, beside=FIRST_SCANS, values="done_at = f.first_at"))
    if done:
        runs = sorted(done)
        move(cursor, LegState.DONE, AT_A_DONE_STOP, beside="stops s", runs=runs)
        move(cursor, StopState.MISSED, PASSED_BY, runs=runs)
        go_on(cursor, runs)


def _close_hub_legs(cursor: Cursor[Any], scans: Sequence[tuple[str, str, str]]) -> None:
    transfers, types, places = [list(column) for column in zip(*scans, strict=True)]
    of_scans = "unnest(%(transfers)s::text[], %(types)s::text[], %(places)s::text[]) s(transfer_id, type, place_id)"
    move(cursor, LegState.DONE, SCANNED_AT_A_HUB, beside=of_scans, transfers=transfers, types=types, places=places)


def go_on(cursor: Cursor[Any], runs: Sequence[str]) -> None:
    """Give runs the state that their stops say, and notify the pages."""
    for state, by_its_stops in RUNS_GO_ON.items():
        move(cursor, state, f"own.run_id = ANY(%(runs)s) AND {by_its_stops}", runs=runs)
    outbox.notify(cursor, "runs", runs)


def follow_check_ins(cursor: Cursor[Any]) -> None:
    """Close the sorting of copies for a hub itself, by the staged transfer facts."""
    move(cursor, LegState.DONE, SORTED_FOR_THE_HUB, beside="batch_transfer_facts b")


def miss_overdue_stops(cursor: Cursor[Any], now: datetime) -> None:
    """Mark stops as missed that have no scan though their van should be back; `now` is the network's time."""
    missed = set(move(cursor, StopState.MISSED, SHOULD_BE_BACK, beside="runs r", until=now - BACK_LATE))
    if missed:
        go_on(cursor, sorted(missed))


def close_days_before(cursor: Cursor[Any], day: date, now: datetime) -> None:
    """End earlier days: unscanned stops are missed and planned again, drafts that nobody approved expire."""
    miss_overdue_stops(cursor, now)
    for state in (RunState.EXPIRED, DayPlanState.EXPIRED, DayPlanState.DONE):
        move(cursor, state, "own.day < %(day)s", day=day)
