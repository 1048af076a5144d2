"""A place's pick-list of today: copies to take from the shelves, in their order, and copies to look for once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, text

from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import CARRIED, TransferKind, TransferState, listed
from rotation.facts.shelf_order import shelf_key
from rotation.network import Network
from rotation.store.engine import driver
from rotation.store.traces import Trace, traces_of


class PickProgress(StrEnum):
    """How far a line of the list is."""

    OPEN = "open"
    FOUND = "found"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class PickLine:
    """A copy to take from the shelf: where it stands, where it goes and why.

    `looked` says how often it was looked for without being found, `again_on` when it will be asked for next (None: never).
    """

    transfer_id: str
    copy_id: str
    barcode: str
    title: str
    call_number: str
    room: str
    collection: str
    shelf: str
    to_place_id: str
    reason: Mapping[str, Any]
    set_note: str
    crate_id: str | None
    progress: PickProgress
    looked: int = 0
    again_on: date | None = None

    @property
    def first(self) -> bool:
        """Whether a reader waits for it."""
        return self.reason.get("code") == "readers_wait"

    @property
    def once_more(self) -> bool:
        """Whether it was looked for before today, in vain."""
        return self.looked > 0 and self.progress is PickProgress.OPEN


@dataclass(frozen=True, slots=True)
class PickRoom:
    """A room's part of the list."""

    name: str
    lines: tuple[PickLine, ...]


@dataclass(frozen=True, slots=True)
class PickList:
    """A place's list of a day, by room."""

    place_id: str
    day: date
    rooms: tuple[PickRoom, ...]

    @property
    def lines(self) -> tuple[PickLine, ...]:
        """All lines, in order."""
        return tuple(line for room in self.rooms for line in room.lines)

    def count(self, progress: PickProgress) -> int:
        """Return how many lines are so far."""
        return sum(line.progress is progress for line in self.lines)

    @property
    def crates(self) -> tuple[str, ...]:
        """The crates that the plan has for them."""
        return tuple(sorted({line.crate_id for line in self.lines if line.crate_id}))


# What a page has answered stands before its fact has come round through Kafka.
_LINES = text(f"""
    SELECT t.transfer_id, t.copy_id, coalesce(nullif(s.barcode, ''), t.copy_id) AS barcode,
        coalesce(i.name, t.title_id, t.copy_id) AS title, coalesce(s.call_number, '') AS call_number,
        coalesce(s.room, '') AS room, coalesce(s.collection, '') AS collection, coalesce(s.shelf, '') AS shelf,
        t.to_place_id, t.reason, coalesce(w.note, '') AS set_note, t.status, t.changed_at, (
            SELECT l.crate_id FROM legs l WHERE l.transfer_id = t.transfer_id AND l.from_place_id = t.from_place_id
            ORDER BY l.position LIMIT 1) AS crate_id, (
            SELECT x.answer ->> 'code' FROM scans x WHERE x.subject = t.transfer_id AND x.place_id = t.from_place_id
                AND x.work IN ({listed((HandWork.PICK, HandWork.NOT_FOUND, HandWork.ANY_FIT))}) AND x.at >= :since
            ORDER BY x.received_at DESC LIMIT 1) AS said
    FROM transfers t LEFT JOIN titles i USING (title_id) LEFT JOIN shelvings s USING (copy_id)
        LEFT JOIN sets w USING (set_id)
    WHERE t.kind = '{TransferKind.PICK}' AND t.from_place_id = :place AND (t.transfer_id = ANY(:traced)
        OR t.status = '{TransferState.ORDERED}' AND (t.day IS NULL OR t.day <= :day)
        OR t.status IN ({listed((*CARRIED, TransferState.RECEIVED, TransferState.DECLINED))}) AND t.changed_at >= :since)""")
_SAID = {
    "taken": PickProgress.FOUND,
    "fits": PickProgress.FOUND,
    "found_again": PickProgress.FOUND,
    "not_found": PickProgress.NOT_FOUND,
    "given_up": PickProgress.NOT_FOUND,
}


def pick_list(
    connection: Connection, network: Network, place: str, now: datetime, after_days: Sequence[int]
) -> PickList:
    """Return the list of the network's present day; places look again `after_days` days after they did not find a copy."""
    day = network.day_of(now)
    traces = {trace.transfer_id: trace for trace in traces_of(driver(connection).cursor(), place)}
    again = {key: trace.due(after_days, network.day_of(trace.first_at)) for key, trace in traces.items()}
    since = network.instant(day, 0)
    asked = [key for key, due in again.items() if due and due <= day]
    rows = connection.execute(_LINES, {"place": place, "day": day, "since": since, "traced": asked})
    lines = [_line(row, traces.get(row.transfer_id), again.get(row.transfer_id), since) for row in rows]
    return PickList(place, day, _rooms(network, place, lines))


def _line(row: Row[Any], trace: Trace | None, again_on: date | None, since: datetime) -> PickLine:
    fields = {name: value for name, value in row._mapping.items() if name not in ("status", "changed_at", "said")}
    looked = trace.times if trace else 0
    return PickLine(**fields, progress=_progress(row, trace, since), looked=looked, again_on=again_on)


def _progress(row: Row[Any], trace: Trace | None, since: datetime) -> PickProgress:
    if row.said in _SAID:
        return _SAID[row.said]
    if row.status == TransferState.DECLINED:
        looked_today = row.changed_at >= since if trace is None else trace.last_at >= since
        return PickProgress.NOT_FOUND if looked_today else PickProgress.OPEN
    return PickProgress.OPEN if row.status == TransferState.ORDERED else PickProgress.FOUND


def _rooms(network: Network, place: str, lines: list[PickLine]) -> tuple[PickRoom, ...]:
    """Put lines in the order of the place's rooms, and in each as its shelves stand."""
    order, scheme = {room: n for n, room in enumerate(network.rooms_of(place))}, network.scheme_of(place)

    def walk(line: PickLine) -> tuple[Any, ...]:
        known = order.get(line.room, len(order) + (line.room == ""))
        return known, line.room, shelf_key(scheme, line.call_number), line.title, line.copy_id

    rooms = groupby(sorted(lines, key=walk), key=lambda line: line.room)
    return tuple(PickRoom(room, tuple(own)) for room, own in rooms)
