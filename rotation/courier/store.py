"""Open transfers out of the database, and a planned day into it.

The idea: where a copy is follows from the last crate that it was closed into and that crate's last scan; a copy in no crate
waits where it was last checked in. A planned day replaces its earlier plan, in the caller's transaction, unless that is
approved or ordered.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rotation.courier import machines
from rotation.courier.crates import Crate, crate_of
from rotation.courier.day import CourierPlan
from rotation.courier.legs import Itinerary, OpenTransfer, Where
from rotation.courier.runs import HubDay, PlannedRun, Unserved
from rotation.facts.lifecycle import (
    CARRIED,
    CHANGEABLE_PLANS,
    CHANGEABLE_RUNS,
    SHIPMENT_PREFIX,
    TO_CARRY,
    CrateState,
    DayPlanState,
    LegKind,
    LegState,
    RunState,
    StopState,
    TransferKind,
    TransferState,
    listed,
)
from rotation.facts.movements import ON_ITS_WAY, CopyState
from rotation.network import Network
from rotation.store.tables import day_plans, legs, runs, stops

LOST_AFTER = timedelta(days=90)  # a crate without a scan for a quarter says nothing of where its copies are

# --- Open transfers -----------------------------------------------------------------------------------------------------

# Each copy in transit, or with a transfer that has begun or is to begin by :day, with the crate that it lies in, if the
# crate's last scan is news beside the copy's own last movement.
OPEN_TRANSFERS = text(f"""
WITH wanted AS (
    SELECT DISTINCT ON (copy_id) transfer_id, copy_id, from_place_id, to_place_id, kind, status, crate_id AS filling,
        reason ->> 'code' = 'redirected' AS redirected
    FROM transfers
    WHERE status IN ({listed(TO_CARRY)}) AND (day IS NULL OR day <= :day)
    ORDER BY copy_id, status = '{TransferState.SENT}' DESC, created_at DESC, transfer_id),
moving AS (
    SELECT c.copy_id, c.state, c.place_id, c.to_place_id, c.occurred_at, w.transfer_id, w.kind, w.status,
        w.from_place_id, w.to_place_id AS wanted_place_id, w.redirected, w.filling
    FROM copies c LEFT JOIN wanted w USING (copy_id)
    WHERE c.state = '{CopyState.IN_TRANSIT}'
        OR (w.transfer_id IS NOT NULL AND c.state IN ('{CopyState.ON_SHELF}', '{CopyState.PICKED}'))),
packed AS (
    SELECT DISTINCT ON (m.copy_id) m.copy_id, r.crate_id, r.type, r.place_id, r.to_place_id, r.occurred_at
    FROM crates r CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS in_it(copy_id)
    JOIN moving m ON m.copy_id = in_it.copy_id AND r.occurred_at >= m.occurred_at
    WHERE m.state IN ({listed(ON_ITS_WAY)}) AND jsonb_typeof(r.copies) = 'array' AND r.occurred_at > :since
    ORDER BY m.copy_id, r.occurred_at DESC, r.sequence DESC, r.source DESC, r.event_id DESC)
SELECT m.*, p.crate_id, p.type AS scan, p.place_id AS crate_place_id, p.to_place_id AS crate_to_place_id,
    p.occurred_at AS scanned_at
FROM moving m LEFT JOIN packed p USING (copy_id)
ORDER BY m.copy_id
""")


def open_transfers(connection: Connection, network: Network, day: date) -> list[OpenTransfer]:
    """Return all that is to be carried on `day` or is on its way, ours and the library system's own, where it is now."""
    since = network.instant(day - LOST_AFTER, 0)
    found = (_open_transfer(row, network) for row in connection.execute(OPEN_TRANSFERS, {"day": day, "since": since}))
    return [transfer for transfer in found if transfer is not None]


def _open_transfer(row: Row[Any], network: Network) -> OpenTransfer | None:
    """Return a copy's transfer; None where its crate was handed over at its destination and only the check-in is missing."""
    in_transit = row.state == CopyState.IN_TRANSIT and row.to_place_id is not None and not row.redirected
    to_place = row.to_place_id if in_transit else row.wanted_place_id
    where, at, crate = _stands(row, network)
    if to_place is None or (where is Where.PLACE and at == to_place):
        return None
    if (
        where is Where.SORTED
        and crate
        and row.crate_to_place_id
        not in (
            to_place,
            network.hub_of(to_place) if to_place in network.place else None,
        )
    ):
        where, crate = Where.HUB, None  # redirected on its way: the hub sorts it again
    known = row.transfer_id or SHIPMENT_PREFIX + row.copy_id
    since = row.scanned_at or row.occurred_at
    filling = where is Where.PLACE and row.crate_id is None and row.status in CARRIED
    within = row.filling if filling else crate
    return OpenTransfer(
        known, row.copy_id, to_place, where, at, since, row.kind or TransferKind.SHIPMENT, within, filling
    )


def _stands(row: Row[Any], network: Network) -> tuple[Where, str, str | None]:
    """Return where a copy stands, and the crate that is closed for its next way or waits for its van."""
    if row.crate_id is None:
        return Where.PLACE, row.place_id, None
    at, to = row.crate_place_id, row.crate_to_place_id or row.crate_place_id
    if row.scan == CrateState.DELIVERED:
        return Where.PLACE, at, None
    if row.scan == CrateState.COLLECTED:
        return _in_a_van(network, at, to, row.crate_id)
    if not _is_hub(network, at):
        return Where.PLACE, at, row.crate_id
    return (Where.HUB, at, None) if to == at else (Where.SORTED, at, row.crate_id)


def _in_a_van(network: Network, at: str, to: str, crate: str) -> tuple[Where, str, str | None]:
    """Return where a collected crate is: on its way to a hub's sorting, in the night's trunk, or out with a run."""
    if not _is_hub(network, at):
        return Where.VAN, network.hub_of(at) or at, None
    return (Where.SORTED, to, None) if _is_hub(network, to) else (Where.SORTED, at, crate)


def _is_hub(network: Network, place: str) -> bool:
    return place in network.place and network.place[place].hub is not None


# --- The planned day --------------------------------------------------------------------------------------------------

HubOfDay = tuple[date, str]


def write_days(connection: Connection, planned: CourierPlan, now: datetime) -> None:
    """Write planned days in place of their earlier plans; `now` is the network's time.

    Hubs whose day is approved or ordered, wholly or in one of its runs, keep it, with its runs and the legs on them. Runs
    in the caller's transaction, and may be repeated.
    """
    fixed = _fixed(connection, planned.days)
    versions = _forget(connection, planned.days, fixed)
    drawn = {(hub_day.day, hub_day.hub): hub_day for hub_day in planned.hubs}
    omitted = {(one.day, one.hub) for one in planned.omissions}
    for day, hub in sorted((set(drawn) | omitted) - fixed):
        _insert(connection, day_plans, [_plan_row(planned, (day, hub), drawn.get((day, hub)), versions, now)])
    free = [hub_day for at, hub_day in drawn.items() if at not in fixed]
    _insert(connection, runs, [_run_row(run, hub_day) for hub_day in free for run in hub_day.runs])
    _insert(connection, stops, [row for hub_day in free for run in hub_day.runs for row in _stop_rows(run)])
    _write_legs(connection, planned, free)


def _fixed(connection: Connection, days: Sequence[date]) -> set[HubOfDay]:
    """Return the hubs' days that are ordered, or that someone has approved, if only a single run."""
    decided = select(runs.c.day_plan_id).where(runs.c.day.in_(days), runs.c.status.not_in(CHANGEABLE_RUNS))
    told = day_plans.c.status.not_in(CHANGEABLE_PLANS) | day_plans.c.day_plan_id.in_(decided)
    rows = connection.execute(select(day_plans.c.day, day_plans.c.hub_id).where(day_plans.c.day.in_(days), told))
    return {(row.day, row.hub_id) for row in rows}


def _forget(connection: Connection, days: Sequence[date], fixed: Set[HubOfDay]) -> dict[HubOfDay, int]:
    """Delete the plans of these days that are not fixed; return their versions, by day and hub."""
    planned = select(day_plans.c.day_plan_id, day_plans.c.day, day_plans.c.hub_id, day_plans.c.version)
    rows = connection.execute(planned.where(day_plans.c.day.in_(days)))
    old = {row.day_plan_id: row for row in rows if (row.day, row.hub_id) not in fixed}
    old_runs = select(runs.c.run_id).where(runs.c.day_plan_id.in_(old))
    connection.execute(delete(legs).where(legs.c.run_id.in_(old_runs), legs.c.status == LegState.PLANNED))
    connection.execute(delete(stops).where(stops.c.run_id.in_(old_runs)))
    connection.execute(delete(runs).where(runs.c.day_plan_id.in_(old)))
    connection.execute(delete(day_plans).where(day_plans.c.day_plan_id.in_(old)))
    return {(row.day, row.hub_id): row.version for row in old.values()}


def _plan_row(
    planned: CourierPlan, at: HubOfDay, hub_day: HubDay | None, versions: Mapping[HubOfDay, int], now: datetime
) -> dict[str, Any]:
    """Return a hub's day; without runs (None) it has only the copies that wait, and why."""
    day, hub = at
    return {
        "day_plan_id": _plan_id(day, hub),
        "day": day,
        "hub_id": hub,
        "status": DayPlanState.DRAFT,
        "problem": hub_day.problem.model_dump(mode="json", exclude_defaults=True) if hub_day else {},
        "solution": hub_day.solution.model_dump(mode="json") if hub_day else {},
        "evaluation": asdict(hub_day.evaluation) | {"cost_cents": hub_day.evaluation.cost_cents} if hub_day else {},
        "unserved": [*(left_out(planned, hub_day) if hub_day else ()), *waiting(planned, at)],
        "created_at": now,
        "version": versions.get(at, 0) + 1,
    }


def _plan_id(day: date, hub: str) -> str:
    return f"{day:%Y%m%d}-{hub}"


def left_out(planned: CourierPlan, hub_day: HubDay) -> Iterator[dict[str, Any]]:
    """Yield the stops that no van of the hub serves that day, each with the crates and copies that wait for another day."""
    copies = {crate.id: len(crate.transfers) for crate in planned.crates}
    for left in hub_day.unserved:
        waiting = sum(copies[crate] for crate in left.crates)
        yield {"code": "no_van", "place": left.place, "crates": len(left.crates), "copies": waiting, "why": left.why}


def waiting(planned: CourierPlan, at: HubOfDay) -> Iterator[dict[str, Any]]:
    """Yield the copies that wait on a hub's day since a place is closed or cannot be reached, each with the next possible day."""
    for one in planned.omissions:
        if (one.day, one.hub) == at:
            then = one.next_day.isoformat() if one.next_day else None
            yield {"code": one.code.value, "place": one.place, "copies": one.copies, "next_day": then}


def _run_row(run: PlannedRun, hub_day: HubDay) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "day_plan_id": _plan_id(hub_day.day, hub_day.hub),
        "day": hub_day.day,
        "hub_id": hub_day.hub,
        "van_id": run.van,
        "status": RunState.DRAFT,
        "departs_at": run.departs_at,
        "returns_at": run.returns_at,
        "distance_m": run.distance_m,
        "cost_cents": run.cost_cents,
        "largest_load_crates": run.largest_load_crates,
    }


def _stop_rows(run: PlannedRun) -> Iterator[dict[str, Any]]:
    for stop in run.stops:
        yield {
            "run_id": run.id,
            "position": stop.position,
            "place_id": stop.place,
            "arrives_at": stop.arrives_at,
            "begins_at": stop.begins_at,
            "departs_at": stop.departs_at,
            "deliver_crates": len(stop.deliver),
            "collect_crates": len(stop.collect),
            "load_after_crates": stop.load_after_crates,
        }


# --- A hub's day changed by hand ------------------------------------------------------------------------------------------


_CRATES_OF_A_DAY = text(f"""
    SELECT crate_id, kind, from_place_id, to_place_id, array_agg(DISTINCT transfer_id ORDER BY transfer_id) AS transfers
    FROM legs WHERE day = :day AND crate_id IS NOT NULL
        AND kind IN ('{LegKind.COLLECT}', '{LegKind.DELIVER}', '{LegKind.DIRECT}')
    GROUP BY crate_id, kind, from_place_id, to_place_id ORDER BY crate_id""")


def crates_of_day(connection: Connection, network: Network, day: date, hub: str) -> tuple[Crate, ...]:
    """Return the crates that a hub's vans carry on a planned day, as the plan's legs have them."""
    rows = connection.execute(_CRATES_OF_A_DAY, {"day": day})
    carried = [
        Crate(
            row.crate_id,
            LegKind(row.kind),
            row.from_place_id,
            row.to_place_id,
            day,
            tuple(row.transfers),
            _room(row, network),
        )
        for row in rows
        if network.hub_of(row.from_place_id) == hub
    ]
    return (*carried, *machines.crates_of(connection, network, day, hub))


def _room(row: Row[Any], network: Network) -> int:
    whole = network.network.bags_per_crate
    return network.room_bags(len(row.transfers)) if row.kind == LegKind.DELIVER else whole


def rewrite_day(connection: Connection, hub_day: HubDay, changed: Set[str]) -> None:
    """Write a hub's day as people changed it, in the caller's transaction: the plan, and its runs that are `changed`.

    Stops that a van has passed stay as they were; a run without stops left is struck.
    """
    plan_id = _plan_id(hub_day.day, hub_day.hub)
    wanted = {run.id: run for run in hub_day.runs}
    _write_plan(connection, plan_id, hub_day)
    unpassed = stops.c.run_id.in_(changed) & (stops.c.status == StopState.PLANNED)
    connection.execute(delete(stops).where(unpassed))
    held = select(stops.c.run_id).where(stops.c.run_id.in_(changed))
    gone = changed - set(wanted)
    connection.execute(delete(runs).where(runs.c.run_id.in_(gone), runs.c.run_id.not_in(held)))
    for run in (wanted[one] for one in sorted(changed & set(wanted))):
        _write_run(connection, run, hub_day)
    _carry_anew(connection, hub_day)


def _write_plan(connection: Connection, plan_id: str, hub_day: HubDay) -> None:
    values = {
        "problem": hub_day.problem.model_dump(mode="json", exclude_defaults=True),
        "solution": hub_day.solution.model_dump(mode="json"),
        "evaluation": asdict(hub_day.evaluation) | {"cost_cents": hub_day.evaluation.cost_cents},
        "version": day_plans.c.version + 1,
    }
    left = [_left_by_people(one) for one in hub_day.unserved]
    waiting = connection.scalar(select(day_plans.c.unserved).where(day_plans.c.day_plan_id == plan_id)) or []
    values["unserved"] = [*left, *(one for one in waiting if one["code"] != "no_van")]
    connection.execute(update(day_plans).where(day_plans.c.day_plan_id == plan_id).values(values))


def _left_by_people(left: Unserved) -> dict[str, Any]:
    return {"code": "no_van", "place": left.place, "crates": len(left.crates), "copies": left.copies, "why": left.why}


def _write_run(connection: Connection, run: PlannedRun, hub_day: HubDay) -> None:
    row = _run_row(run, hub_day)
    known = {name: value for name, value in row.items() if name not in ("run_id", "status")}
    insertion = upsert(runs).values(row).on_conflict_do_update(index_elements=["run_id"], set_=known)
    connection.execute(insertion)
    passed = set(connection.scalars(select(stops.c.position).where(stops.c.run_id == run.id)))
    _insert(connection, stops, [row for row in _stop_rows(run) if row["position"] not in passed])


def _carry_anew(connection: Connection, hub_day: HubDay) -> None:
    """Let each planned leg of the hub's crates name the run that carries it now, or none."""
    run_of = {crate: run.id for run in hub_day.runs for crate in _carried(run)}
    of_day = (legs.c.day == hub_day.day) & (legs.c.status == LegState.PLANNED)
    for crate in hub_day.crates:
        mine = of_day & (legs.c.crate_id == crate.id) & (legs.c.kind == crate.kind)
        connection.execute(update(legs).where(mine).values(run_id=run_of.get(crate.id)))


# --- Legs -------------------------------------------------------------------------------------------------------------


def _write_legs(connection: Connection, planned: CourierPlan, hub_days: Sequence[HubDay]) -> None:
    """Replace the planned legs of every transfer, but those on runs that are fixed; legs that were done stay before them."""
    transfers = [itinerary.transfer.transfer_id for itinerary in planned.itineraries]
    of_them = legs.c.transfer_id.in_(transfers)
    on_its_way = legs.c.run_id.is_not(None) & (legs.c.day >= planned.day)
    connection.execute(delete(legs).where(of_them, legs.c.status == LegState.PLANNED, ~on_its_way))
    staying = connection.execute(select(legs.c.transfer_id, legs.c.position, legs.c.status).where(of_them)).all()
    kept = {(row.transfer_id, row.position) for row in staying}
    done = _last([(row.transfer_id, row.position) for row in staying if row.status != LegState.PLANNED])
    run_of = {crate: run.id for hub_day in hub_days for run in hub_day.runs for crate in _carried(run)}
    crate_on = crate_of(planned.crates)
    _promise(connection, planned.itineraries)
    rows = (row for itinerary in planned.itineraries for row in _leg_rows(itinerary, done, crate_on, run_of))
    _insert(connection, legs, [row for row in rows if (row["transfer_id"], row["position"]) not in kept])


_PROMISE = text("""
    UPDATE transfers t SET promised_on = v.day FROM unnest(cast(:ids AS text[]), cast(:days AS date[])) v(id, day)
    WHERE t.transfer_id = v.id AND (t.promised_on IS NULL OR t.promised_on < t.created_at - interval '1 day')""")


def _promise(connection: Connection, planned: Iterable[Itinerary]) -> None:
    """Keep the day on which each transfer should arrive, as its journey was planned first: later plans only say that it is late.

    A shipment without an id of its own has its copy's, journey after journey: the promise of an earlier journey is replaced.
    """
    arrives = {one.transfer.transfer_id: one.arrives for one in planned if one.arrives}
    connection.execute(_PROMISE, {"ids": list(arrives), "days": list(arrives.values())})


def _last(positions: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Return each transfer's last position."""
    last: dict[str, int] = defaultdict(int)
    for transfer, position in positions:
        last[transfer] = max(last[transfer], position)
    return last


def _carried(run: PlannedRun) -> Iterator[str]:
    for stop in run.stops:
        yield from stop.deliver
        yield from stop.collect


def _leg_rows(
    itinerary: Itinerary,
    positions: Mapping[str, int],
    crate_on: Mapping[tuple[str, LegKind, date], Crate],
    run_of: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    transfer = itinerary.transfer.transfer_id
    for position, leg in enumerate(itinerary.legs, positions.get(transfer, 0) + 1):
        crate = crate_on.get((transfer, leg.kind, leg.day))
        yield {
            "transfer_id": transfer,
            "position": position,
            "kind": leg.kind.value,
            "from_place_id": leg.from_place,
            "to_place_id": leg.to_place,
            "day": leg.day,
            "run_id": run_of.get(crate.id) if crate else None,
            "crate_id": crate.id if crate else None,
        }


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    if rows:
        connection.execute(insert(table), rows)
