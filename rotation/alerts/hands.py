"""Rules about the work of hands: picks often not found, counts that differ at a handover."""

from collections.abc import Iterator
from datetime import timedelta

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.alerts.levels import AlertVerdict
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import ANSWERED, AlertKind, TransferKind, TransferState, listed
from rotation.store.traces import NOT_FOUND

# Of the picks that each place answered since: how many it did not find, and all.
ANSWERED_PICKS = f"""
SELECT t.from_place_id, count(*) FILTER (WHERE t.status = '{TransferState.DECLINED}' AND EXISTS (
    SELECT FROM transfer_facts f WHERE f.transfer_id = t.transfer_id AND f.reason = '{NOT_FOUND}')), count(*)
FROM transfers t WHERE t.kind = '{TransferKind.PICK}' AND t.status IN ({listed(ANSWERED)}) AND t.changed_at > %s GROUP BY 1"""


def not_found(count: Count) -> Iterator[AlertFinding]:
    """A place does not find many of the copies asked for: its records are wrong."""
    since = count.now - timedelta(days=levels.FINDS_DAYS)
    for place, not_found, asked in count.cursor.execute(ANSWERED_PICKS, (since,)).fetchall():
        numbers = {"not_found": not_found, "picks": asked, "days": levels.FINDS_DAYS}
        yield AlertFinding(AlertKind.UNFOUND, place, "", levels.not_found(not_found, asked), numbers)


# The last count of each handover since, where van and place did not agree in it; of a place the newest.
DIFFERING_COUNTS = f"""
SELECT DISTINCT ON (place_id) place_id, run_id, answer -> 'values' FROM (
    SELECT DISTINCT ON (run_id, place_id) run_id, place_id, answer, at FROM scans
    WHERE work = '{HandWork.HAND_OVER}' AND at > %s ORDER BY run_id, place_id, received_at DESC) last
WHERE answer ->> 'code' = 'counts_differ' ORDER BY place_id, at DESC"""


def counts_differ(count: Count) -> Iterator[AlertFinding]:
    """Van and place counted differently at a handover; the alert lasts until they agree, or nobody can count any more."""
    since = count.now - timedelta(days=levels.COUNTS_DAYS)
    for place, run, values in count.cursor.execute(DIFFERING_COUNTS, (since,)).fetchall():
        sides = {f"{side}_{what}": number for side in ("van", "room") for what, number in values[side].items()}
        yield AlertFinding(AlertKind.COUNTS_DIFFER, place, "", AlertVerdict.OPEN, {"run": run, **sides})
