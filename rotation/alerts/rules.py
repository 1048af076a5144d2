"""Alerts, recounted: levels are counted from `copies`, judged by `levels`, and compared with the open alerts.

Nothing is added up from event to event, so nothing can drift: the next count or the sweep mends a missed notice. A
lock lets recounts decide in turn; a unique index allows a single open alert of a kind for a place and class.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import Cursor

from rotation.alerts import hands, machines, shelves, silence, under_way, upkeep, vans
from rotation.alerts.findings import AlertFinding, Count
from rotation.alerts.settling import Changes, settle
from rotation.alerts.thresholds import Thresholds, in_force
from rotation.alerts.touched import Touched
from rotation.network import Network
from rotation.store.clock import clock_by
from rotation.store.locks import AdvisoryLock

__all__ = ["Changes", "Thresholds", "Touched", "recount", "sweep"]

# Rules that a touched place is judged by at once.
AT_EACH_TOUCH = (shelves.touched_levels, under_way.touched_overdue, silence.heard_again, machines.reported)
# Rules of the sweep, beside those that share its count of all shelves.
RULES = (
    under_way.overdue,
    silence.silent_places,
    silence.silent_feeds,
    vans.late,
    vans.missed,
    under_way.waits,
    upkeep.standstill,
    hands.not_found,
    hands.counts_differ,
    shelves.drained,
    vans.infeasible,
    under_way.lost,
    upkeep.not_written,
    upkeep.conservation,
    machines.reported,
)


def recount(cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched]) -> Changes:
    """Recount the changes at some places, open and close their alerts and publish them, in the caller's transaction."""
    count = _begin(cursor, network, thresholds, touched)
    return settle(count, [finding for rule in AT_EACH_TOUCH for finding in rule(count)], complete=False)


def sweep(cursor: Cursor[Any], network: Network, thresholds: Thresholds) -> Changes:
    """Recount everything, with the rules that time alone can trigger; alerts whose subject is gone are closed."""
    count = _begin(cursor, network, thresholds, None)
    return settle(count, list(_everything(count)), complete=True)


def _begin(
    cursor: Cursor[Any], network: Network, thresholds: Thresholds, touched: Mapping[str, Touched] | None
) -> Count:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (AdvisoryLock.ALERTS,))
    places = None if touched is None else sorted(touched)
    return Count(cursor, network, in_force(cursor, thresholds), clock_by(cursor).now(), places, touched or {})


def _everything(count: Count) -> Iterator[AlertFinding]:
    """Yield the findings of all rules at all places."""
    on_shelves = shelves.count_shelves(count)
    yield from shelves.all_levels(count, on_shelves)
    yield from shelves.stale(count, on_shelves)
    yield from shelves.unfair(count, on_shelves)
    for rule in RULES:
        yield from rule(count)
