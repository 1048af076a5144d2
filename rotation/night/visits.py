"""Visits by appointment: a room that someone opens for the van learns days ahead when the van comes, and with which copies.

The night that lies a place's `lead_days` before a service day decides on that visit. It plans the room's swap then, and announces
it with its list if the swap, and the copies that wait for the room already, are worth the trip; a van calls on announced
days only.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Row, delete, insert, select

from rotation.courier.calendar import Calendar, Visits
from rotation.courier.legs import Where
from rotation.courier.store import open_transfers
from rotation.facts.lifecycle import TransferState
from rotation.network import Network
from rotation.night.world.world import NightWorld
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.tables import visits

WAITING_LOANS = 1.0  # what a copy that waits for a visit is worth: about the loan that it is on its way for


@dataclass(frozen=True, slots=True)
class AnnouncedVisit:
    """An announced visit, with how many copies its list takes and brings."""

    place_id: str
    day: date
    announced_at: datetime
    take: int
    bring: int


class DecidedVisits(NamedTuple):
    """A night: its plan, its day, and the day of the visit that it decides on for each place that a van calls at then."""

    plan_id: str
    day: date
    on: Mapping[str, date]


def announced(connection: Connection, since: date) -> Visits:
    """Return the places and days of the visits from a day on."""
    return frozenset((visit.place_id, visit.day) for visit in coming(connection, since))


def coming(connection: Connection, since: date) -> list[AnnouncedVisit]:
    """Return the visits from a day on, the next first."""
    columns = (visits.c.place_id, visits.c.day, visits.c.announced_at, visits.c.take, visits.c.bring)
    rows = connection.execute(select(*columns).where(visits.c.day >= since).order_by(visits.c.day, visits.c.place_id))
    return [AnnouncedVisit(*row) for row in rows]


def planned_for(network: Network, day: date) -> dict[str, date]:
    """Return the places whose copies a night may move, and the day of the visit that it decides on."""
    calendar = Calendar(network)
    then = {place.id: day + timedelta(days=place.lead_days) for place in network.places}
    return {place: visit for place, visit in then.items() if calendar.call(place, visit)}


def credited(connection: Connection, network: Network, found: NightWorld, day: date) -> NightWorld:
    """Return the world in which copies that wait for a visit, to be brought or fetched, pay their part of the trip."""
    if not any(place.by_appointment for place in network.places):
        return found
    to, there = _waiting(connection, network, day)
    places = found.snapshot.places
    paid = WAITING_LOANS * np.array([to[name] + there[name] for name in found.names.places])
    left = np.maximum(places.visit_price - paid, 0).astype(np.float32)
    return replace(found, snapshot=replace(found.snapshot, places=replace(places, visit_price=left)))


def _waiting(connection: Connection, network: Network, day: date) -> tuple[Counter[str], Counter[str]]:
    """Count by place the copies on their way there, and the copies that wait there to be fetched."""
    carried = open_transfers(connection, network, day)
    return Counter(one.to_place for one in carried), Counter(one.at for one in carried if one.where is Where.PLACE)


def announce(
    connection: Connection,
    network: Network,
    night: DecidedVisits,
    found: NightWorld,
    moves: Sequence[Mapping[str, Any]],
) -> None:
    """Announce the visits that a night decides on, in place of those of its round before; `moves` are rows of transfers."""
    connection.execute(delete(visits).where(visits.c.plan_id == night.plan_id))
    rooms = {place: day for place, day in night.on.items() if network.place[place].by_appointment}
    if not rooms:
        return
    to, there = _waiting(connection, network, night.day)
    price = dict(zip(found.names.places, found.snapshot.places.visit_price.tolist(), strict=True))
    for place, day in rooms.items():
        take, bring = _list(moves, place, "from", "to"), _list(moves, place, "to", "from")
        if take or bring or (price[place] == 0 and to[place] + there[place]):
            row = {"place_id": place, "day": day, "announced_at": found.at, "plan_id": night.plan_id}
            numbers = {"take": len(take) + there[place], "bring": len(bring) + to[place]}
            connection.execute(insert(visits), row | numbers)


def tell(connection: Connection, plan_id: str, moves: Sequence[Mapping[str, Any]]) -> None:
    """Tell each room of its visit that a night announced, with its list (`order.visit`), once the night's moves stand."""
    announced = connection.execute(select(visits).where(visits.c.plan_id == plan_id).order_by(visits.c.place_id)).all()
    messages = [(visit.place_id, _order(visit, moves)) for visit in announced]
    outbox.put_orders(driver(connection).cursor(), messages)


def _order(visit: Row[Any], moves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    place = visit.place_id
    return {
        "type": "order.visit",
        "place": place,
        "day": visit.day.isoformat(),
        "take": visit.take,
        "bring": visit.bring,
        "list": {"take": _list(moves, place, "from", "to"), "bring": _list(moves, place, "to", "from")},
    }


def _list(moves: Iterable[Mapping[str, Any]], place: str, here: str, there: str) -> list[dict[str, str]]:
    return [
        {
            "transfer": one["transfer_id"],
            "copy": one["copy_id"],
            "title": one["title_id"],
            there: one[f"{there}_place_id"],
        }
        for one in moves
        if one[f"{here}_place_id"] == place and one["status"] != TransferState.HELD_BACK
    ]
