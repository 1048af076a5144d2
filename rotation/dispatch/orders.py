"""Orders for places, vans and hubs, as messages of `transfer.orders`; their scans come back as facts.

Each message is JSON with a `type`:

- `order.pick` (key: transfer): take a copy from the shelf and check it in for its destination
- `order.run` (key: run): a van's stops in order, with the crates to hand over and to take
- `order.sort` (key: hub): open the mixed crates, close crates by destination; `crates` are those that the day's vans take, each
  with the copies for its place, merged from all that the hub has for it
- `order.trunk` (key: from hub): the night's journey of the crates for another hub

- `order.visit` (key: place): announces a visit by appointment days ahead, with the copies it takes and brings
  (`rotation.night.visits`)
- `order.cancel` (key: transfer): do not
- `order.withdraw` (key: run): do not drive it; a later `order.run` with a higher `revision` takes its place

The plan names crates: sheet, label and scan have the same number.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import permutations
from typing import Any

from sqlalchemy import Column, Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rotation.dispatch import targets, write_back
from rotation.dispatch.write_back import WriteBackCause
from rotation.facts.lifecycle import (
    OUT,
    SHIPMENT_PREFIX,
    DayPlanState,
    LegKind,
    LegState,
    RunState,
    TransferKind,
    TransferState,
)
from rotation.facts.movements import CopyState
from rotation.facts.write_back import WriteBackKind
from rotation.network import Network, PlaceKind
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import hub_orders, legs, machine_visits, runs, stops, transfers
from rotation.store.transitions import move

MORNING_SORT_S = 5 * 3600 + 1800  # 05:30: crates that came by trunk in the night are sorted before the first van leaves
TRUNK_ARRIVES_S = 5 * 3600  # 05:00: trunks drive through the night

Message = Mapping[str, Any]


def order_day(connection: Connection, network: Network, day: date, at: datetime) -> int:
    """Order all that is approved for a day and not ordered yet; return how many orders were written.

    Runs inside the caller's transaction. `at` is the network's time.
    """
    written = [
        *_picks(connection, network, day, at),
        *_runs(connection, network, day),
    ]
    move(connection, DayPlanState.ORDERED, "own.day = %(day)s", day=day)
    _send(connection, written)
    return len(written)


def order_hubs(connection: Connection, network: Network, day: date) -> int:
    """Order each hub's sorting and trunks of a day, once; return how many orders were written.

    Nobody approves these: a hub sorts and sends on the copies that have come in, whether or not its own vans drive. Runs inside
    the caller's transaction.
    """
    wanted = [*_sorts(connection, network, day), *_trunks(network, day)]
    new = {_row_key(row) for row in _note(connection, day, [_row(message) for message in wanted])}
    written = [(_hub(message), message) for message in wanted if _row_key(_row(message)) in new]
    _send(connection, written)
    return len(written)


def cancel(connection: Connection, transfer_ids: Iterable[str], at: datetime) -> int:
    """Call off transfers that are not on their way yet; return how many were. Inside the caller's transaction.

    Only places with an order hear of it: nobody has heard of the others.
    """
    wanted = list(transfer_ids)
    were_ordered = transfers.c.transfer_id.in_(wanted) & (transfers.c.status == TransferState.ORDERED)
    ordered = set(connection.scalars(select(transfers.c.transfer_id).where(were_ordered).with_for_update()))
    called_off = move(
        connection,
        TransferState.CANCELLED,
        "own.transfer_id = ANY(%(ids)s)",
        values="changed_at = %(at)s",
        ids=wanted,
        at=at,
    )
    messages: list[Keyed] = [(one, {"type": "order.cancel", "transfer": one}) for one in called_off if one in ordered]
    if messages:
        mine = transfers.c.transfer_id.in_([one for one, _ in messages])
        rows = connection.execute(select(transfers).where(mine)).all()
        _write_back(connection, WriteBackKind.DROP_HOLD, rows, at)
    _send(connection, messages)
    return len(called_off)


def order_again(connection: Connection, network: Network, run_ids: Sequence[str]) -> int:
    """Send the orders of runs that vans drive already, as they are now; return how many. Inside the caller's transaction."""
    mine = runs.c.run_id.in_(run_ids) & runs.c.status.in_(OUT)
    again = connection.scalars(update(runs).where(mine).values(revision=runs.c.revision + 1).returning(runs.c.run_id))
    written = list(_messages(connection, network, again.all()))
    _send(connection, written)
    return len(written)


def withdraw_runs(connection: Connection, run_ids: Sequence[str]) -> int:
    """Call off runs whose order was sent; return how many. Inside the caller's transaction."""
    _send(connection, [(run, {"type": "order.withdraw", "run": run}) for run in run_ids])
    return len(run_ids)


Keyed = tuple[str, Message]


# A pick that may be made: its copy was not trapped for a hold since it was chosen, and all volumes that go with it still stand on
# the shelf.
_MAY_BE_MADE = f"""
own.kind = '{TransferKind.PICK}' AND own.day <= %(day)s
AND NOT EXISTS (SELECT FROM copies c WHERE c.copy_id = own.copy_id AND c.state = '{CopyState.ON_HOLD_SHELF}')
AND NOT EXISTS (
    SELECT FROM titles v JOIN transfers o ON o.status = '{TransferState.APPROVED}'
        AND (o.plan_id, o.from_place_id, o.to_place_id) = (own.plan_id, own.from_place_id, own.to_place_id)
    JOIN titles w ON w.title_id = o.title_id AND w.volume_of = v.volume_of
    JOIN copies c ON c.copy_id = o.copy_id AND c.state <> '{CopyState.ON_SHELF}'
    WHERE v.title_id = own.title_id)
"""


def _picks(connection: Connection, network: Network, day: date, at: datetime) -> Iterator[Keyed]:
    """Order the day's picks, but none that may not be made any more: those are called off tomorrow."""
    ordered = move(connection, TransferState.ORDERED, _MAY_BE_MADE, values="changed_at = %(at)s", day=day, at=at)
    query = select(transfers).where(transfers.c.transfer_id.in_(ordered)).order_by(transfers.c.transfer_id)
    rows = connection.execute(query).all()
    _write_back(connection, WriteBackKind.HOLD, rows, at)
    for row in rows:
        yield row.transfer_id, _pick(network, row)


def _write_back(connection: Connection, kind: WriteBackKind, rows: Iterable[Row[Any]], at: datetime) -> None:
    """Ask library systems for holds of transfers' copies at their destinations, or to drop them."""
    causes = [WriteBackCause(row.transfer_id, row.copy_id, row.to_place_id, row.transfer_id, at) for row in rows]
    write_back.ask(driver(connection).cursor(), [kind], causes)


def _pick(network: Network, row: Row[Any]) -> Message:
    return {
        "type": "order.pick",
        "transfer": row.transfer_id,
        "copy": row.copy_id,
        "title": row.title_id,
        "from": row.from_place_id,
        "to": row.to_place_id,
        "day": row.day.isoformat(),
        "reason": row.reason,
        "by": "driver" if _is_machine(network, row.from_place_id) else "staff",
    }


def _is_machine(network: Network, place: str) -> bool:
    return place in network.place and network.place[place].kind is PlaceKind.MACHINE


def _runs(connection: Connection, network: Network, day: date) -> Iterator[Keyed]:
    again = "revision = revision + 1"  # a run that is ordered again replaces what its van heard before
    ordered = move(connection, RunState.ORDERED, "own.day = %(day)s", values=again, day=day)
    yield from _messages(connection, network, ordered)


def _messages(connection: Connection, network: Network, run_ids: Sequence[str]) -> Iterator[Keyed]:
    for run in connection.execute(select(runs).where(runs.c.run_id.in_(run_ids)).order_by(runs.c.run_id)).all():
        rows = connection.execute(select(stops).where(stops.c.run_id == run.run_id).order_by(stops.c.position))
        yield run.run_id, _run(run, [_stop(connection, network, row) for row in rows])


def _run(run: Row[Any], its_stops: list[Message]) -> Message:
    return {
        "type": "order.run",
        "run": run.run_id,
        "revision": run.revision,
        "van": run.van_id,
        "hub": run.hub_id,
        "day": run.day.isoformat(),
        "departs_at": run.departs_at.isoformat(),
        "returns_at": run.returns_at.isoformat(),
        "stops": its_stops,
    }


def _stop(connection: Connection, network: Network, stop: Row[Any]) -> Message:
    crates = _crates(connection, stop, (LegKind.DELIVER, LegKind.DIRECT), legs.c.to_place_id)
    take_out = to_take_out(connection, network, stop.run_id, stop.place_id)
    return {
        "position": stop.position,
        "place": stop.place_id,
        "begins_at": stop.begins_at.isoformat(),
        "departs_at": stop.departs_at.isoformat(),
        "deliver": list(crates),
        "collect": list(_crates(connection, stop, (LegKind.COLLECT, LegKind.DIRECT), legs.c.from_place_id)),
        "collect_crates": stop.collect_crates,
        **({"take_out": take_out} if take_out else {}),
        **_machine_visit(connection, stop),
    }


def _crates(connection: Connection, stop: Row[Any], kinds: Sequence[str], at: Column[Any]) -> Sequence[str]:
    """Return the numbers of the crates of some kinds of legs that a stop hands over or takes."""
    mine = (
        (legs.c.run_id == stop.run_id) & legs.c.kind.in_(kinds) & (at == stop.place_id) & legs.c.crate_id.is_not(None)
    )
    return connection.scalars(select(legs.c.crate_id).where(mine).distinct().order_by(legs.c.crate_id)).all()


def _machine_visit(connection: Connection, stop: Row[Any]) -> Message:
    """Return why a van calls at a machine, and the crates that its bin fills; empty where there is no such reason."""
    of_run = machine_visits.c.day == select(runs.c.day).where(runs.c.run_id == stop.run_id).scalar_subquery()
    row = connection.execute(select(machine_visits).where(of_run, machine_visits.c.place_id == stop.place_id)).first()
    return {"machine": {"why": row.why, "reported": row.numbers, "bin_crates": row.crates}} if row else {}


def to_take_out(connection: Connection, network: Network, run_id: str, place_id: str) -> list[str]:
    """Return the copies that the driver of a run takes out of a machine, where nobody else does; elsewhere none."""
    if not _is_machine(network, place_id):
        return []
    mine = (legs.c.run_id == run_id) & (legs.c.kind == LegKind.COLLECT) & (legs.c.from_place_id == place_id)
    picked = (transfers.c.kind == TransferKind.PICK) & (transfers.c.status == TransferState.ORDERED)
    query = select(transfers.c.copy_id).join(legs, legs.c.transfer_id == transfers.c.transfer_id).where(mine, picked)
    return list(connection.scalars(query.order_by(transfers.c.copy_id)))


# --- Hubs -------------------------------------------------------------------------------------------------------------


def _sorts(connection: Connection, network: Network, day: date) -> Iterator[Message]:
    """Yield each hub's sortings: in the morning, before its vans leave, and at its cut-off, before its trunks do."""
    loading = _loading(connection, day)
    for place in network.hubs:
        cutoff_s = place.hub.cutoff_s if place.hub else 0
        morning, evening = (network.instant(day, second).isoformat() for second in (MORNING_SORT_S, cutoff_s))
        yield {
            "type": "order.sort",
            "hub": place.id,
            "day": day.isoformat(),
            "at": morning,
            "crates": loading[place.id],
        }
        yield {"type": "order.sort", "hub": place.id, "day": day.isoformat(), "at": evening}


def _loading(connection: Connection, day: date) -> Mapping[str, list[Message]]:
    """Return the crates that hubs make for the day's vans, by hub: number, place and copies."""
    copies = func.array_agg(_COPY.distinct().label("copy"))
    planned = (legs.c.kind == LegKind.DELIVER) & (legs.c.status == LegState.PLANNED)
    mine = (legs.c.day == day) & planned & legs.c.crate_id.is_not(None)
    query = (
        select(legs.c.from_place_id, legs.c.crate_id, legs.c.to_place_id, copies).select_from(_TRAVELLING).where(mine)
    )
    found: dict[str, list[Message]] = defaultdict(list)
    for hub, crate, to, inside in connection.execute(
        query.group_by(*query.selected_columns[:3]).order_by(legs.c.crate_id)
    ):
        found[hub].append({"crate": crate, "to": to, "copies": inside})
    return found


# A copy in transit that no transfer is known of travels under its own id (`courier.store`).
_TRAVELLING = legs.outerjoin(transfers, transfers.c.transfer_id == legs.c.transfer_id)
_COPY = func.coalesce(transfers.c.copy_id, func.substr(legs.c.transfer_id, len(SHIPMENT_PREFIX) + 1))


def _trunks(network: Network, day: date) -> Iterator[Message]:
    """Yield the night's trunk between each two hubs, since nobody knows in the morning which copies desks will send."""
    for here, there in permutations(network.hubs, 2):
        yield {
            "type": "order.trunk",
            "day": day.isoformat(),
            "from_hub": here.id,
            "to_hub": there.id,
            "departs_at": network.instant(day, here.hub.trunk_departs_s if here.hub else 0).isoformat(),
            "arrives_at": network.instant(day + timedelta(days=1), TRUNK_ARRIVES_S).isoformat(),
        }


def _hub(message: Message) -> str:
    return str(message.get("hub") or message["from_hub"])


def _row(message: Message) -> dict[str, Any]:
    """Return the row that an order to a hub is remembered by."""
    kind, due = str(message["type"]).removeprefix("order."), message.get("at") or message["departs_at"]
    key = {"kind": kind, "hub_id": _hub(message), "to_hub_id": message.get("to_hub", "")}
    return key | {"due_at": datetime.fromisoformat(str(due))}


def _row_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "hub_id", "to_hub_id", "due_at"))


def _note(connection: Connection, day: date, rows: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Remember orders to hubs; return those that were not given before."""
    if not rows:
        return []
    wanted = upsert(hub_orders).values([row | {"day": day} for row in rows]).on_conflict_do_nothing()
    return list(connection.execute(wanted.returning(*hub_orders.c)).mappings().all())  # type: ignore[arg-type]


def _send(connection: Connection, messages: list[Keyed]) -> None:
    cursor = driver(connection).cursor()
    outbox.put_orders(cursor, messages)
    targets.write(cursor, (message for _, message in messages))
