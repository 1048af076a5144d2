"""Places' notices of themselves: too full, too empty, closed on these days. The next night heeds it.

A place that is closed has no visit on those days. A place that is too full takes nothing in, and gives away as many copies of the
class as it said; a place that is too empty gives nothing away, and is filled by as many as it said.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, insert, select, update

from rotation.facts.lifecycle import PlaceNoticeKind
from rotation.network import Network
from rotation.night.world.world import NightWorld
from rotation.rebalancing.snapshot import Places, Snapshot
from rotation.store.tables import place_notices

STANDS_DAYS = 14  # how long a shelf's notice stands unless it is withdrawn: two visits of the rooms visited once a week
FARTHEST_DAYS = 366  # of a closure ahead; a longer one belongs in the network file
MOST_COPIES = 10_000


@dataclass(frozen=True, slots=True)
class PlaceNotice:
    """A notice: of a class or (empty) of the whole place, about so many copies, from a day to a day, both included."""

    place_id: str
    kind: PlaceNoticeKind
    first_day: date
    last_day: date
    title_class: str = ""
    copies: int | None = None
    why: str = ""
    notice_id: int = 0
    who: str = ""
    told_at: datetime | None = None


class NoticeNotTaken(ValueError):
    """A notice that cannot be; `fault` says why: class, days, copies."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def tell(connection: Connection, network: Network, notice: PlaceNotice, *, who: str, at: datetime) -> None:
    """Keep a notice; `at` is the network's time.

    Raises
    ------
    NoticeNotTaken
        When the class is not in the network, the days are over or end before they begin, or the number cannot be.
    """
    today = network.day_of(at)
    faults = {
        "class": bool(notice.title_class) and notice.title_class not in {one.id for one in network.classes},
        "days": not today <= notice.last_day <= today + timedelta(days=FARTHEST_DAYS)
        or notice.first_day > notice.last_day,
        "copies": notice.copies is not None and not 0 < notice.copies <= MOST_COPIES,
    }
    if fault := next((name for name, is_wrong in faults.items() if is_wrong), None):
        raise NoticeNotTaken(fault)
    names = ("place_id", "kind", "first_day", "last_day", "copies", "why")
    row = {name: getattr(notice, name) for name in names} | {"class": notice.title_class, "who": who, "told_at": at}
    connection.execute(insert(place_notices), row)


def withdraw(connection: Connection, place: str, notice_id: int, at: datetime) -> bool:
    """End a place's notice; return whether it stood."""
    mine = (place_notices.c.notice_id == notice_id) & (place_notices.c.place_id == place)
    ended = update(place_notices).where(mine, place_notices.c.withdrawn_at.is_(None)).values(withdrawn_at=at)
    return bool(connection.execute(ended).rowcount)


def standing(connection: Connection, day: date, place: str | None = None) -> list[PlaceNotice]:
    """Return the notices that stand on a day or later, the newest first; of a place, or of all."""
    columns = [
        place_notices.c[name] for name in ("place_id", "kind", "first_day", "last_day", "class", "copies", "why")
    ]
    more = [place_notices.c[name] for name in ("notice_id", "who", "told_at")]
    query = select(*columns, *more).where(place_notices.c.withdrawn_at.is_(None), place_notices.c.last_day >= day)
    mine = query if place is None else query.where(place_notices.c.place_id == place)
    return [_notice(row) for row in connection.execute(mine.order_by(place_notices.c.notice_id.desc()))]


def _notice(row: Iterable[object]) -> PlaceNotice:
    place, kind, first, last, cls, copies, why, *rest = row
    return PlaceNotice(place, PlaceNoticeKind(kind), first, last, cls, copies, why, *rest)  # type: ignore[arg-type]


# --- Heeded -------------------------------------------------------------------------------------------------------------


def with_closures(connection: Connection, network: Network, day: date) -> Network:
    """Return the network with the days closed on which places said from `day` on that they are."""
    closed: defaultdict[str, set[date]] = defaultdict(set)
    for notice in standing(connection, day):
        if notice.kind is PlaceNoticeKind.CLOSED:
            span = (notice.last_day - notice.first_day).days
            closed[notice.place_id].update(notice.first_day + timedelta(days=n) for n in range(span + 1))
    return network.also_closed(closed) if closed else network


def heeded(connection: Connection, found: NightWorld, day: date) -> NightWorld:
    """Return the night's world as places that are too full or too empty on a day want it."""
    mine = [one for one in standing(connection, day) if one.first_day <= day and one.place_id in found.names.place_row]
    shelves = [one for one in mine if one.kind is not PlaceNoticeKind.CLOSED]
    if not shelves:
        return found
    places = replace(
        found.snapshot.places,
        **{
            name: getattr(found.snapshot.places, name).copy()
            for name in ("in_copies", "out_copies", "room", "class_floor")
        },
    )
    for notice in shelves:
        _heed(places, found, notice)
    return replace(found, snapshot=replace(found.snapshot, places=places))


def _heed(places: Places, found: NightWorld, notice: PlaceNotice) -> None:
    row, full = found.names.place_row[notice.place_id], notice.kind is PlaceNoticeKind.TOO_FULL
    if not notice.title_class:
        (places.in_copies if full else places.out_copies)[row] = 0
        return
    if notice.title_class not in found.names.classes:
        return
    cls = found.names.classes.index(notice.title_class)
    have, about = _have(found.snapshot, row, cls), notice.copies or 0
    if full:
        places.room[row, cls] = max(have - about, 0)
    else:
        places.class_floor[row, cls] = max(places.class_floor[row, cls], have + about)


def _have(snapshot: Snapshot, place: int, cls: int) -> int:
    copies = snapshot.copies
    here = (copies.place == place) & (copies.title >= 0)
    return int(np.count_nonzero(snapshot.titles.cls[copies.title[here]] == cls))
