"""Requested sets: named titles, or a number of copies of a class that are new to a place, due by a day and until a day.

A set is gathered by the night like anything else, from a fortnight before it is due: its copies are worth more than loans alone,
and nothing else is different. Its transfers name it; from its return date on its copies have no home and are placed anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg import Connection as Driver
from sqlalchemy import Connection, Integer, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from rotation.facts.lifecycle import COMING, TransferState
from rotation.network import Network
from rotation.store.tables import sets, titles, transfers

LEAD_DAYS = 14  # before it is due a set begins to be gathered: two visits of the rooms that are visited once a week
LATE_DAYS = 30  # after it was due what is missing of it is still sought, and after its return what is left of it
COUNTED = (*COMING, TransferState.RECEIVED)  # transfers that fill a set
MOST_COPIES = 5_000  # of one set: an opening stock; more would be a branch's move, planned by itself


class SetRequest(NamedTuple):
    """A request for a set: `titles`, or `copies` of `title_class` that are new to the place."""

    place: str
    due: date
    titles: Sequence[str] = ()
    title_class: str | None = None
    copies: int = 0
    return_on: date | None = None
    note: str = ""


FAULTS: Mapping[str, tuple[str, str]] = {
    "place": ("网络中没有地点“{place}”。", "the network has no place {place!r}; see its file for the ids"),
    "what": (
        "成套图书要么列出书目，要么指定一个类别：请选其一。",
        "a set is of titles or of a class: name one of them",
    ),
    "class": ("没有类别“{title_class}”。", "there is no class {title_class!r}"),
    "titles": ("从未见过这些书目的复本：{titles}。", "no copy of these titles was ever heard of: {titles}"),
    "number": ("一套应有1至{most}册，而不是{copies}册。", "a set has 1 to {most} copies, not {copies}"),
    "due": ("到位日期是{due}，而今天是{today}。", "the set would be due on {due}, and today is {today}"),
    "return_on": ("归还日期{return_on}不晚于到位日期。", "it would go back on {return_on}, before it is due"),
    "set_id": ("没有可以取消的成套图书“{set_id}”。", "there is no set {set_id!r} to cancel"),
}  # Chinese, English


class NotPossible(ValueError):
    """A set that cannot be requested, with the reason as a sentence."""

    def __init__(self, fault: str, **about: object) -> None:
        self.fault, self.about = fault, about
        super().__init__(self.say("en"))

    def say(self, language: str) -> str:
        """Return the sentence in "zh" or "en"."""
        zh, en = FAULTS[self.fault]
        return (zh if language == "zh" else en).format_map(self.about)


@dataclass(slots=True)
class OpenSet:
    """A set that is being gathered, and how many of its copies are neither there nor on their way."""

    set_id: str
    place_id: str
    titles: list[str] | None
    title_class: str | None
    missing: int

    def wants(self, place_id: str, title_id: str, title_class: str) -> bool:
        """Whether a copy that goes there fills it."""
        fits = title_class == self.title_class if self.titles is None else title_id in self.titles
        return self.missing > 0 and place_id == self.place_id and fits


@dataclass(frozen=True, slots=True)
class SetProgress:
    """A set's progress: of its `copies`, how many are coming and how many have come; the rest is missing."""

    set_id: str
    place_id: str
    titles: list[str] | None
    title_class: str | None
    copies: int
    due: date
    return_on: date | None
    note: str
    asked_by: str
    coming: int
    come: int
    cancelled: bool


def ask(connection: Connection, network: Network, asked: SetRequest, *, who: str, at: datetime) -> str:
    """Keep a set and return its id; `at` is the network's time.

    Raises
    ------
    NotPossible
        When place, class or titles are not known, or the days or the number cannot be.
    """
    today = network.day_of(at)
    _check(connection, network, asked, today)
    wanted = sorted(set(asked.titles))
    row = {
        "place_id": asked.place,
        "titles": wanted or None,
        "class": None if wanted else asked.title_class,
        "copies": len(wanted) or asked.copies,
        "due": asked.due,
        "return_on": asked.return_on,
        "note": asked.note,
        "asked_by": who,
        "asked_at": at,
    }
    return _kept(connection, f"set-{today:%Y%m%d}-", row)


def _kept(connection: Connection, day: str, row: Mapping[str, Any]) -> str:
    """Keep a set under the day's next number; if others take that number meanwhile, the next number is tried."""
    number = cast(func.substr(sets.c.set_id, len(day) + 1), Integer)
    while True:
        last = connection.scalar(select(func.max(number)).where(sets.c.set_id.startswith(day)))
        kept = insert(sets).values({**row, "set_id": f"{day}{(last or 0) + 1}"}).on_conflict_do_nothing()
        if found := connection.scalar(kept.returning(sets.c.set_id)):
            return str(found)


def _check(connection: Connection, network: Network, asked: SetRequest, today: date) -> None:
    unknown, number = _unknown(connection, asked.titles), len(set(asked.titles)) or asked.copies
    rules = {
        "place": asked.place not in network.place,
        "what": bool(asked.titles) == bool(asked.title_class),
        "class": not asked.titles and asked.title_class not in {c.id for c in network.classes},
        "titles": bool(unknown),
        "number": not 1 <= number <= MOST_COPIES,
        "due": asked.due < today,
        "return_on": asked.return_on is not None and asked.return_on <= asked.due,
    }
    about = asked._asdict() | {"titles": ", ".join(unknown), "copies": number, "most": MOST_COPIES, "today": today}
    for fault, broken in rules.items():
        if broken:
            raise NotPossible(fault, **about)


def _unknown(connection: Connection, wanted: Iterable[str]) -> list[str]:
    asked = set(wanted)
    return sorted(asked - set(connection.scalars(select(titles.c.title_id).where(titles.c.title_id.in_(asked)))))


def cancel(connection: Connection, set_id: str, at: datetime) -> None:
    """Stop gathering a set; copies that have come become ordinary stock.

    Raises
    ------
    NotPossible
        When there is none of that id, or it was cancelled before.
    """
    which = (sets.c.set_id == set_id) & sets.c.cancelled_at.is_(None)
    if not connection.execute(update(sets).where(which).values(cancelled_at=at)).rowcount:
        raise NotPossible("set_id", set_id=set_id)


def progress(connection: Connection, *, limit: int = 200) -> list[SetProgress]:
    """Return the sets, those due last first."""
    come = func.count().filter(transfers.c.status == TransferState.RECEIVED)
    coming = func.count().filter(transfers.c.status.in_(COMING))
    query = (
        select(sets, coming.label("coming"), come.label("come"))
        .join(transfers, transfers.c.set_id == sets.c.set_id, isouter=True)
        .group_by(sets.c.set_id)
        .order_by(sets.c.due.desc(), sets.c.set_id)
        .limit(limit)
    )
    return [_progress(row._mapping) for row in connection.execute(query)]


def _progress(row: Any) -> SetProgress:
    names = ("set_id", "place_id", "titles", "copies", "due", "return_on", "note", "asked_by", "coming", "come")
    kept = {name: row[name] for name in names}
    return SetProgress(**kept, title_class=row["class"], cancelled=row["cancelled_at"] is not None)


# --- For the night ------------------------------------------------------------------------------------------------------

_OPEN = """
    SELECT s.set_id, s.place_id, s.titles, s.class, (s.copies - count(t.transfer_id))::int4
    FROM sets s LEFT JOIN transfers t ON t.set_id = s.set_id AND t.status = ANY(%(counted)s)
    WHERE s.cancelled_at IS NULL AND s.due - %(lead)s <= %(day)s
      AND CASE WHEN s.return_on IS NULL THEN s.due + %(late)s >= %(day)s ELSE s.return_on > %(day)s END
    GROUP BY s.set_id ORDER BY s.due, s.set_id"""

_PLACED = f"""
    SELECT t.copy_id, s.return_on <= %(day)s
    FROM sets s JOIN transfers t ON t.set_id = s.set_id AND t.status = '{TransferState.RECEIVED}'
    JOIN copies c ON c.copy_id = t.copy_id AND c.place_id = s.place_id
    WHERE s.cancelled_at IS NULL AND s.return_on + %(late)s >= %(day)s
      AND NOT EXISTS (SELECT FROM transfers l WHERE l.copy_id = t.copy_id AND l.created_at > t.created_at)"""


def still_open(connection: Driver[Any], day: date) -> list[OpenSet]:
    """Return the sets that are gathered on a day and lack something, the soonest due first."""
    parameters = {"counted": list(COUNTED), "lead": LEAD_DAYS, "late": LATE_DAYS, "day": day}
    found = [OpenSet(*row) for row in connection.execute(_OPEN, parameters)]
    return [one for one in found if one.missing > 0]


def placed(connection: Driver[Any], day: date) -> list[tuple[str, bool]]:
    """Return the copies that stand where a set with a return date brought them, and whether that date has come."""
    return list(connection.execute(_PLACED, {"day": day, "late": LATE_DAYS}))


def filled(open_sets: Sequence[OpenSet], place_id: str, title_id: str, title_class: str) -> str | None:
    """Return the set this copy counts towards and decrement its missing count, or None."""
    found = next((one for one in open_sets if one.wants(place_id, title_id, title_class)), None)
    if found is None:
        return None
    found.missing -= 1
    return found.set_id
