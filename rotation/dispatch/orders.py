"""What places, vans and hubs are told to do, as messages of `transfer.orders`; their scans come back as facts.

Each message is JSON with a `type`:

- `order.pick` (key: transfer): take a copy from the shelf and check it in for its destination
- `order.run` (key: run): a van's stops in order, with the crates to hand over and to take
- `order.sort` (key: hub): open the mixed crates, close crates by destination
- `order.trunk` (key: from hub): the night's journey of the crates for another hub
- `order.visit` (key: place): announces a visit by appointment days ahead, with what it takes and brings (`rotation.visits`)
- `order.cancel` (key: transfer): do not
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, text, update

from rotation.network import Kind, Network
from rotation.store.tables import day_plans, legs, outbox, runs, stops, transfers

TOPIC = "transfer.orders"
MORNING_SORT_S = 5 * 3600 + 1800  # 05:30: what came by trunk in the night is sorted before the first van leaves
TRUNK_ARRIVES_S = 5 * 3600  # 05:00: trunks drive through the night

Message = Mapping[str, Any]


def order_day(connection: Connection, network: Network, day: date, at: datetime) -> int:
    """Order all that is approved for a day and not ordered yet; return how many orders were written.

    Runs inside the caller's transaction. `at` is the network's time.
    """
    written = [
        *_picks(connection, network, day, at),
        *_runs(connection, network, day),
        *_sorts(network, day, hubs := _newly_ordered_hubs(connection, day)),
        *_trunks(network, day, hubs),
    ]
    _send(connection, written)
    return len(written)


def cancel(connection: Connection, transfer_ids: Iterable[str], at: datetime) -> int:
    """Call off transfers that are not on their way yet; return how many were. Inside the caller's transaction."""
    called_off = connection.execute(
        update(transfers)
        .where(transfers.c.transfer_id.in_(list(transfer_ids)))
        .where(transfers.c.status.in_(["proposed", "approved", "ordered"]))
        .values(status="cancelled", changed_at=at)
        .returning(transfers.c.transfer_id)
    ).scalars()
    messages: list[Keyed] = [(one, {"type": "order.cancel", "transfer": one}) for one in called_off]
    _send(connection, messages)
    return len(messages)


Keyed = tuple[str, Message]


# Copies that were trapped for a hold since they were chosen, and sets of volumes of which one is not on the shelf any more.
_STAY = text("""
    SELECT t.transfer_id FROM transfers t JOIN copies c ON c.copy_id = t.copy_id
    WHERE t.kind = 'pick' AND t.status = 'approved' AND c.state = 'on_hold_shelf'
    UNION SELECT t.transfer_id
    FROM transfers t JOIN titles v ON v.title_id = t.title_id
    JOIN transfers o ON o.status = 'approved'
        AND (o.plan_id, o.from_place_id, o.to_place_id) = (t.plan_id, t.from_place_id, t.to_place_id)
    JOIN titles w ON w.title_id = o.title_id AND w.volume_of = v.volume_of
    JOIN copies c ON c.copy_id = o.copy_id AND c.state <> 'on_shelf'
    WHERE t.kind = 'pick' AND t.status = 'approved'""")


def _picks(connection: Connection, network: Network, day: date, at: datetime) -> Iterator[Keyed]:
    """Order the day's picks, but none that may not be made any more: those are called off tomorrow."""
    stay = list(connection.scalars(_STAY))
    ordered = connection.execute(
        update(transfers)
        .where(transfers.c.day <= day, transfers.c.kind == "pick", transfers.c.status == "approved")
        .where(transfers.c.transfer_id.not_in(stay))
        .values(status="ordered", changed_at=at)
        .returning(*transfers.c)
    )
    for row in sorted(ordered, key=lambda row: row.transfer_id):
        yield row.transfer_id, _pick(network, row)


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
    return place in network.place and network.place[place].kind is Kind.MACHINE


def _runs(connection: Connection, network: Network, day: date) -> Iterator[Keyed]:
    ordered = connection.execute(
        update(runs).where(runs.c.day == day, runs.c.status == "approved").values(status="ordered").returning(*runs.c)
    )
    for run in sorted(ordered, key=lambda row: row.run_id):
        rows = connection.execute(select(stops).where(stops.c.run_id == run.run_id).order_by(stops.c.position))
        yield run.run_id, _run(run, [_stop(connection, network, row) for row in rows])


def _run(run: Row[Any], its_stops: list[Message]) -> Message:
    return {
        "type": "order.run",
        "run": run.run_id,
        "van": run.van_id,
        "hub": run.hub_id,
        "day": run.day.isoformat(),
        "departs_at": run.departs_at.isoformat(),
        "returns_at": run.returns_at.isoformat(),
        "stops": its_stops,
    }


def _stop(connection: Connection, network: Network, stop: Row[Any]) -> Message:
    crates = connection.execute(
        select(legs.c.crate_id)
        .where(
            legs.c.run_id == stop.run_id, legs.c.kind.in_(["deliver", "direct"]), legs.c.to_place_id == stop.place_id
        )
        .where(legs.c.crate_id.is_not(None))
        .distinct()
        .order_by(legs.c.crate_id)
    ).scalars()
    take_out = to_take_out(connection, network, stop.run_id, stop.place_id)
    return {
        "position": stop.position,
        "place": stop.place_id,
        "begins_at": stop.begins_at.isoformat(),
        "departs_at": stop.departs_at.isoformat(),
        "deliver": list(crates),
        "collect_crates": stop.collect_crates,
        **({"take_out": take_out} if take_out else {}),
    }


def to_take_out(connection: Connection, network: Network, run_id: str, place_id: str) -> list[str]:
    """Return the copies that the driver of a run takes out of a machine, where nobody else does; elsewhere none."""
    if not _is_machine(network, place_id):
        return []
    mine = (legs.c.run_id == run_id) & (legs.c.kind == "collect") & (legs.c.from_place_id == place_id)
    picked = (transfers.c.kind == "pick") & (transfers.c.status == "ordered")
    query = select(transfers.c.copy_id).join(legs, legs.c.transfer_id == transfers.c.transfer_id).where(mine, picked)
    return list(connection.scalars(query.order_by(transfers.c.copy_id)))


def _newly_ordered_hubs(connection: Connection, day: date) -> list[str]:
    """Mark the day's approved hub plans as ordered; return their hubs, whose sorting and trunks are ordered too."""
    ordered = connection.execute(
        update(day_plans)
        .where(day_plans.c.day == day, day_plans.c.status == "approved")
        .values(status="ordered")
        .returning(day_plans.c.hub_id)
    ).scalars()
    return sorted(ordered)


def _sorts(network: Network, day: date, hubs: Iterable[str]) -> Iterator[Keyed]:
    for hub_id in hubs:
        hub = network.place[hub_id].hub
        evening = network.instant(day, hub.cutoff_s if hub else 0)
        for at in (evening, network.instant(day + timedelta(days=1), MORNING_SORT_S)):
            yield hub_id, {"type": "order.sort", "hub": hub_id, "day": day.isoformat(), "at": at.isoformat()}


def _trunks(network: Network, day: date, hubs: Iterable[str]) -> Iterator[Keyed]:
    """Yield the night's trunk between each two hubs: what desks send during the day is not known in the morning."""
    for here in hubs:
        hub = network.place[here].hub
        for there in network.hubs:
            if there.id != here:
                yield (
                    here,
                    {
                        "type": "order.trunk",
                        "day": day.isoformat(),
                        "from_hub": here,
                        "to_hub": there.id,
                        "departs_at": network.instant(day, hub.trunk_departs_s if hub else 0).isoformat(),
                        "arrives_at": network.instant(day + timedelta(days=1), TRUNK_ARRIVES_S).isoformat(),
                    },
                )


def _send(connection: Connection, messages: list[Keyed]) -> None:
    if messages:
        values = [{"topic": TOPIC, "key": key, "value": orjson.dumps(message)} for key, message in messages]
        connection.execute(insert(outbox), values)
