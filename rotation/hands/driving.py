"""A driver's run: crates loaded at the hub, handed over and taken at stops by scan or by count, and brought back to the hub."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from rotation.dispatch.scans import go_on
from rotation.facts.events import CrateAtHub, CrateCollected, CrateDelivered, Fact
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import STANDING, CrateState, LegKind, StopState, listed
from rotation.hands import bags
from rotation.hands.door import HandAnswer, HandScan, Refused, Tone
from rotation.network import Network
from rotation.store.engine import driver
from rotation.store.tables import crates, runs
from rotation.store.transitions import move

WHY_NOT = ("closed_door", "nobody_there", "no_access", "refused_crates", "other")


class StopWork(NamedTuple):
    """The crates to hand over and to take at a stop, by number; those done already are in `done`."""

    hand_over: list[str]
    take: list[str]
    done: set[str]
    at_hub: bool = False

    @property
    def left(self) -> int:
        """How many crates are still to be handed over or taken."""
        return len({*self.hand_over, *self.take} - self.done)


class Counts(NamedTuple):
    """A side's counts at a handover."""

    handed: int
    taken: int
    empties: int


# Planned for the stop; beside them what stands closed there for a hub.
_WORK = text(f"""
    SELECT DISTINCT crate_id, kind IN ('{LegKind.DELIVER}', '{LegKind.DIRECT}') AND to_place_id = :place AS hand_over
    FROM legs WHERE run_id = :run AND crate_id IS NOT NULL AND (
        kind IN ('{LegKind.DELIVER}', '{LegKind.DIRECT}') AND to_place_id = :place
        OR kind IN ('{LegKind.COLLECT}', '{LegKind.DIRECT}') AND from_place_id = :place)
    UNION SELECT crate_id, false FROM crates WHERE place_id = :place AND type = '{CrateState.CLOSED}' AND to_place_id <> :place
    UNION SELECT c.crate_id, true FROM crate_facts f JOIN crates c USING (crate_id)
        WHERE f.run_id = :run AND f.type = '{CrateState.COLLECTED}' AND f.place_id <> :place AND c.to_place_id = :place
    ORDER BY 1""")
# At the hub: what stands closed there for the run's stops is loaded, with what was; what it collected for the hub is set down.
_HUB_WORK = text(f"""
    SELECT crate_id, false AS hand_over FROM crates WHERE place_id = :place AND type IN ({listed(STANDING)})
        AND to_place_id IN (SELECT place_id FROM stops WHERE run_id = :run AND status = '{StopState.PLANNED}')
    UNION SELECT crate_id, false FROM crate_facts
        WHERE run_id = :run AND type = '{CrateState.COLLECTED}' AND place_id = :place
    UNION SELECT c.crate_id, true FROM crate_facts f JOIN crates c USING (crate_id)
        WHERE f.run_id = :run AND f.type = '{CrateState.COLLECTED}' AND f.place_id <> :place AND c.to_place_id = :place
    ORDER BY 1""")
_DONE = text(f"""
    SELECT c.crate_id FROM crate_facts c WHERE c.run_id = :run AND c.place_id = :place
    AND c.type IN ({listed((CrateState.COLLECTED, CrateState.DELIVERED))})
    UNION SELECT jsonb_array_elements_text(s.answer -> 'values' -> 'crates') FROM scans s
    WHERE s.run_id = :run AND s.place_id = :place AND s.answer -> 'values' ? 'crates'
    UNION SELECT crate_id FROM crates WHERE place_id = :place AND to_place_id = :place AND type = '{CrateState.AT_HUB}'""")


def hub_of(connection: Connection, run: str | None) -> str | None:
    """Return the hub where a run begins and ends."""
    hub: str | None = connection.scalar(select(runs.c.hub_id).where(runs.c.run_id == run))
    return hub


_CALLS_THERE = text("""
    SELECT 1 FROM stops WHERE run_id = :run AND place_id = :place
    UNION ALL SELECT 1 FROM runs WHERE run_id = :run AND hub_id = :place LIMIT 1""")


def stop_work(connection: Connection, run: str, place: str) -> StopWork:
    """Return the work of a run at a stop, or at its hub."""
    asked, at_hub = {"run": run, "place": place}, hub_of(connection, run) == place
    rows = connection.execute(_HUB_WORK if at_hub else _WORK, asked).all()
    over = [row.crate_id for row in rows if row.hand_over]
    take = [row.crate_id for row in rows if not row.hand_over and row.crate_id not in over]
    return StopWork(over, take, set(connection.scalars(_DONE, asked)), at_hub)


def crate(connection: Connection, network: Network, scan: HandScan) -> HandAnswer:
    """Hand over or take the crate or bag of a label, as the plan and its last scan say."""
    work = stop_work(connection, checked(connection, scan), scan.place_id)
    bag = bags.read(connection, scan.code)
    made = replace(scan, code=bag.crate_id) if bag else scan
    if made.code in work.done:
        return HandAnswer("crate_done", Tone.INFO, {"crate": scan.code}, subject=made.code)
    if bag and (rest := bags.to_come(connection, network, scan, bag)):
        return HandAnswer("bag_noted", Tone.GOOD, {"crate": scan.code, "rest": rest}, subject=bag.crate_id)
    return _as_planned(made, work) or _unplanned(connection, made, work)


def _as_planned(scan: HandScan, work: StopWork) -> HandAnswer | None:
    if scan.code in work.hand_over:
        return _done(scan, "handed_over", [_over(scan, scan.code, work)], [scan.code])
    if scan.code in work.take:
        return _done(scan, "crate_taken", [_taken(scan, scan.code)], [scan.code])
    return None


def _unplanned(connection: Connection, scan: HandScan, work: StopWork) -> HandAnswer:
    """Answer a crate that nobody planned for this stop: for here, for elsewhere, or never heard of."""
    known = connection.execute(select(crates).where(crates.c.crate_id == scan.code)).first()
    if known is not None and known.to_place_id == scan.place_id:
        return _done(scan, "handed_over", [_over(scan, scan.code, work)], [scan.code])
    if known is not None and known.type == CrateState.COLLECTED:
        raise Refused("crate_of_another_stop", crate=scan.code, to=known.to_place_id or "")
    if planned := connection.scalar(_PLANNED, {"run": scan.run_id, "crate": scan.code}):
        raise Refused("crate_of_another_stop", crate=scan.code, to=planned)
    if known is not None:
        answer = _done(scan, "crate_taken_here", [_taken(scan, scan.code)], [scan.code], Tone.WARN)
        return replace(answer, values={**answer.values, "at": known.place_id})
    return _done(scan, "unknown_crate_taken", [_taken(scan, scan.code)], [scan.code], Tone.WARN)


_PLANNED = text("SELECT to_place_id FROM legs WHERE run_id = :run AND crate_id = :crate ORDER BY position DESC LIMIT 1")


def _over(scan: HandScan, crate_id: str, work: StopWork) -> Fact:
    if work.at_hub:
        return CrateAtHub(crate=crate_id, place=scan.place_id)
    return CrateDelivered(crate=crate_id, place=scan.place_id, run=scan.run_id)


def _taken(scan: HandScan, crate_id: str) -> Fact:
    return CrateCollected(crate=crate_id, place=scan.place_id, run=scan.run_id)


def _done(scan: HandScan, code: str, facts: list[Fact], done: list[str], tone: Tone = Tone.GOOD) -> HandAnswer:
    return HandAnswer(code, tone, {"crate": scan.code, "to": scan.place_id, "crates": done}, facts, scan.code)


def checked(connection: Connection, scan: HandScan) -> str:
    """Return the scan's run; refuse a place that is neither its hub nor a stop of it."""
    asked = {"run": scan.run_id, "place": scan.place_id}
    if scan.run_id is None or connection.scalar(_CALLS_THERE, asked) is None:
        raise Refused("not_on_this_run", to=scan.place_id)
    return scan.run_id


def hand_over(connection: Connection, scan: HandScan, van: Counts, room: Counts) -> HandAnswer:
    """Keep both sides' counts; unscanned crates count as handed over or taken where both agree with the plan."""
    run = checked(connection, scan)
    work = stop_work(connection, run, scan.place_id)
    agreed = {"van": van._asdict(), "room": room._asdict(), "to": scan.place_id}
    if van != room:
        return HandAnswer("counts_differ", Tone.WARN, agreed, subject=run)
    over = [one for one in work.hand_over if one not in work.done] if van.handed == len(work.hand_over) else []
    take = [one for one in work.take if one not in work.done] if van.taken == len(work.take) else []
    facts = [*(_over(scan, one, work) for one in over), *(_taken(scan, one) for one in take)]
    if not facts and not work.done:
        served = "own.run_id = %(run)s AND own.place_id = %(place)s"
        move(connection, StopState.DONE, served, values="done_at = %(at)s", run=run, place=scan.place_id, at=scan.at)
        go_on(driver(connection).cursor(), [run])
    return HandAnswer("counts_agree", Tone.GOOD, {**agreed, "crates": [*over, *take]}, facts, run)


def not_served(connection: Connection, scan: HandScan) -> HandAnswer:
    """Note that a stop could not be served; `scan.code` says why. Its crates are planned again."""
    run = checked(connection, scan)
    if scan.code not in WHY_NOT:
        raise Refused("not_understood")
    mine = "own.run_id = %(run)s AND own.place_id = %(place)s"
    if not move(connection, StopState.MISSED, mine, run=run, place=scan.place_id):
        raise Refused("stop_is_over", Tone.INFO, to=scan.place_id)
    go_on(driver(connection).cursor(), [run])
    return HandAnswer("stop_missed", Tone.WARN, {"to": scan.place_id, "why_not": scan.code}, subject=run)


_REASONS = text(f"""
    SELECT DISTINCT ON (place_id) place_id, code FROM scans
    WHERE run_id = :run AND work = '{HandWork.NOT_SERVED}' AND answer ->> 'code' = 'stop_missed'
    ORDER BY place_id, received_at DESC""")


def reasons_not_served(connection: Connection, run: str) -> Mapping[str, str]:
    """Return why stops of a run were not served, by place."""
    rows: Any = connection.execute(_REASONS, {"run": run})
    return {row.place_id: row.code for row in rows}
