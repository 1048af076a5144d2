"""Koha: what its tables `statistics`, `branchtransfers` and `items` say, read from its database with a cursor.

Each table is read in the order of its own times, a page at a time, and from a little before where it stopped: what a long
transaction wrote meanwhile is found, and what is read twice has the same ids. No column of a borrower is selected.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotation.adapters import maps
from rotation.adapters.feed import Told, Translated, event, id_of, refusal
from rotation.events import (
    CopyAdded,
    CopyCorrected,
    CopyDamaged,
    CopyLoaned,
    CopyMissing,
    CopyRenewed,
    CopyReturned,
    CopyWithdrawn,
    Fact,
    Reason,
    TransferCancelled,
    TransferReceived,
    TransferSent,
)
from rotation.movements import State

PAGE_ROWS = 500
OVERLAP = timedelta(
    minutes=10
)  # Koha's rows carry the time their statement ran, and its transactions commit minutes later
FIRST = datetime(1970, 1, 2)  # before any row; Koha's times are local, without a zone  # noqa: DTZ001
REASONS = re.compile(
    r"^[A-Za-z]{1,40}$"
)  # Koha's own words for them (ReturnToHome, Reserve ...); free text may name people
CANCELLED, RETURNED, LOANED, SENT, STANDS = range(5)  # facts of one second in the order in which they took effect


class Map(BaseModel):
    """Which of Koha's branches and item types are which of the network's places and classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)] = "koha"
    timezone: maps.TimeZone = "Asia/Shanghai"
    branches: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str


def read_map(path: Path) -> Map:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, Map)


Row = Mapping[str, Any]


class Known(NamedTuple):
    """What is known of a copy here; title and class None where it is not listed."""

    state: State
    place: str
    title: str | None
    title_class: str | None


KnownOf = Callable[[Sequence[str]], Mapping[str, Known]]
Translate = Callable[[Sequence[Row], Map, KnownOf], Iterator[Translated]]


class Source(NamedTuple):
    """A table that is followed: the SELECT of a page after (time, key), and what its rows say."""

    name: str
    sql: str
    translate: Translate


Position = tuple[str, str]  # the last row's time (ISO, Koha's own clock) and key


# --- Reading ------------------------------------------------------------------------------------------------------------------


def pages(connection: Any, source: Source, begin: Position | None) -> Iterator[tuple[Position, list[Row]]]:
    """Yield pages of rows from `begin` on, each with the position behind it; `connection` is pymysql's with DictCursor."""
    at = datetime.fromisoformat(begin[0]) - OVERLAP if begin else FIRST
    key = ""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(source.sql, {"at": at, "key": key, "most": PAGE_ROWS})
            rows = list(cursor.fetchall())
        connection.rollback()  # each page sees what was committed until then
        if not rows:
            return
        at, key = rows[-1]["at"], rows[-1]["row_key"]
        yield (at.isoformat(), key), rows


COPY_ID = "coalesce(nullif(i.barcode, ''), concat('koha-', {item}))"
STATISTICS_SQL = f"""
SELECT * FROM (
    SELECT s.datetime AS at, concat_ws('/', s.type, s.itemnumber, s.branch) AS row_key, s.type, s.branch,
        {COPY_ID.format(item="s.itemnumber")} AS copy
    FROM statistics s LEFT JOIN (
        SELECT itemnumber, barcode FROM items UNION ALL SELECT itemnumber, barcode FROM deleteditems) i
        ON i.itemnumber = s.itemnumber
    WHERE s.type IN ('issue', 'return', 'renew') AND s.itemnumber IS NOT NULL AND s.datetime >= %(at)s) told
WHERE (at, row_key) > (%(at)s, %(key)s) ORDER BY at, row_key LIMIT %(most)s
"""
TRANSFERS_SQL = f"""
SELECT * FROM (
    SELECT greatest(t.datesent, coalesce(t.datearrived, t.datesent), coalesce(t.datecancelled, t.datesent)) AS at,
        lpad(t.branchtransfer_id, 12, '0') AS row_key, t.branchtransfer_id, t.frombranch, t.tobranch, t.datesent, t.datearrived,
        t.datecancelled, t.reason, t.cancellation_reason, {COPY_ID.format(item="t.itemnumber")} AS copy
    FROM branchtransfers t LEFT JOIN items i ON i.itemnumber = t.itemnumber WHERE t.datesent IS NOT NULL) told
WHERE (at, row_key) > (%(at)s, %(key)s) ORDER BY at, row_key LIMIT %(most)s
"""
ITEMS_SQL = f"""
SELECT i.timestamp AS at, lpad(i.itemnumber, 12, '0') AS row_key, {COPY_ID.format(item="i.itemnumber")} AS copy,
    i.biblionumber, i.itype, i.homebranch, i.holdingbranch, i.dateaccessioned, i.itemlost, i.withdrawn, i.damaged,
    i.onloan IS NOT NULL AS onloan,
    EXISTS (SELECT 1 FROM branchtransfers t WHERE t.itemnumber = i.itemnumber AND t.datesent IS NOT NULL
        AND t.datearrived IS NULL AND t.datecancelled IS NULL) AS on_the_way,
    EXISTS (SELECT 1 FROM reserves r WHERE r.itemnumber = i.itemnumber AND r.found = 'W') AS waits
FROM items i WHERE (i.timestamp, lpad(i.itemnumber, 12, '0')) > (%(at)s, %(key)s)
ORDER BY i.timestamp, row_key LIMIT %(most)s
"""

DELETED_SQL = f"""
SELECT i.timestamp AS at, lpad(i.itemnumber, 12, '0') AS row_key, {COPY_ID.format(item="i.itemnumber")} AS copy, i.holdingbranch
FROM deleteditems i WHERE (i.timestamp, lpad(i.itemnumber, 12, '0')) > (%(at)s, %(key)s)
ORDER BY i.timestamp, row_key LIMIT %(most)s
"""


# --- From rows to facts -------------------------------------------------------------------------------------------------------


class Unmapped(ValueError):
    """A branch that the map does not know."""

    def __init__(self, field: str, branch: object) -> None:
        super().__init__(f"branch {str(branch)[:32]!r} stands in no line of the map's [branches]")
        self.field = field


class NoTime(ValueError):
    """A time that is none, such as MariaDB's 0000-00-00."""


def _place(branch: object, field: str, chosen: Map) -> str:
    found = chosen.branches.get(str(branch)) if chosen.branches else str(branch or "")
    if not found:
        raise Unmapped(field, branch)
    return found


def _instant(local: object, chosen: Map) -> datetime:
    """Return a time of Koha's with its zone; a date alone is the day's beginning; raises NoTime where it is none."""
    if not isinstance(local, date):
        raise NoTime(f"expected a time, got {str(local)[:32]!r}")
    at = local if isinstance(local, datetime) else datetime(local.year, local.month, local.day)  # noqa: DTZ001
    return at.replace(tzinfo=ZoneInfo(chosen.timezone)).astimezone(UTC)


def _each(table: str, rows: Sequence[Row], facts_of: Callable[[Row], Iterator[Told]]) -> Iterator[Translated]:
    """Yield the facts of rows, and a refusal for a row that cannot be told."""
    for row in rows:
        kept = {key: row[key] for key in ("copy", "row_key", "at")}
        position = 0, int(id_of(row["row_key"], row["at"])[:15], 16)
        try:
            yield from facts_of(row)
        except Unmapped as error:
            yield refusal(f"koha:{table}", position, Reason.UNKNOWN_PLACE, error.field, str(error), kept)
        except NoTime as error:
            yield refusal(f"koha:{table}", position, Reason.DATA, "time", str(error), kept)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            yield refusal(f"koha:{table}", position, Reason.DATA, field, first["msg"], kept)


_STATISTICS: Mapping[str, tuple[type[Fact], int]] = {
    "issue": (CopyLoaned, LOANED),
    "return": (CopyReturned, RETURNED),
    "renew": (CopyRenewed, LOANED),
}


def of_statistics(rows: Sequence[Row], chosen: Map, known_of: KnownOf) -> Iterator[Translated]:
    """Yield loans, returns and renewals."""

    def facts_of(row: Row) -> Iterator[Told]:
        kind, sequence = _STATISTICS[row["type"]]
        fact = kind.model_validate({"copy": row["copy"], "place": _place(row["branch"], "branch", chosen)})
        identity = f"statistics/{id_of(row['at'], row['row_key'])}"
        yield event(fact, chosen.source, _instant(row["at"], chosen), event_id=identity, sequence=sequence)

    return _each("statistics", rows, facts_of)


def of_transfers(rows: Sequence[Row], chosen: Map, known_of: KnownOf) -> Iterator[Translated]:
    """Yield what became of transfers, each with Koha's reason; one that was never sent has moved nothing."""

    def facts_of(row: Row) -> Iterator[Told]:
        number, to = row["branchtransfer_id"], _place(row["tobranch"], "tobranch", chosen)
        start = _place(row["frombranch"], "frombranch", chosen)
        what = {"copy": row["copy"], "transfer": f"koha-{number}"}
        sent = TransferSent.model_validate(what | {"place": start, "to": to, "reason": _reason(row["reason"])})
        yield _dated(sent, row["datesent"], SENT, number, chosen)
        if row["datearrived"]:
            received = TransferReceived.model_validate(what | {"place": to, "reason": _reason(row["reason"])})
            yield _dated(received, row["datearrived"], STANDS, number, chosen)
        elif row["datecancelled"]:
            reason = _reason(row["cancellation_reason"]) or _reason(row["reason"])
            cancelled = TransferCancelled.model_validate(what | {"place": start, "reason": reason})
            yield _dated(cancelled, row["datecancelled"], CANCELLED, number, chosen)

    return _each("branchtransfers", rows, facts_of)


def _dated(fact: Fact, at: datetime, sequence: int, number: int, chosen: Map) -> Told:
    instant = _instant(at, chosen)
    identity = f"branchtransfers/{number}/{fact.type}/{at.isoformat()}"
    return event(fact, chosen.source, instant, event_id=identity, sequence=sequence)


def _reason(word: object) -> str | None:
    return str(word) if word and REASONS.match(str(word)) else None


def of_items(rows: Sequence[Row], chosen: Map, known_of: KnownOf) -> Iterator[Translated]:
    """Yield which copies there are, and where one stands otherwise than what is known: the truth that mends what was lost."""
    known = known_of([row["copy"] for row in rows])

    def facts_of(row: Row) -> Iterator[Told]:
        before = known.get(row["copy"])
        yield from _listed(row, before, chosen)
        fact = _stands(row, before, chosen)
        if fact:
            identity = f"items/{row['row_key']}/{row['at'].isoformat()}/{fact.type}"
            yield event(fact, chosen.source, _instant(row["at"], chosen), event_id=identity, sequence=STANDS)

    return _each("items", rows, facts_of)


def _listed(row: Row, before: Known | None, chosen: Map) -> Iterator[Told]:
    """Yield that the copy is in the stock, where that is news: from its first day, or from the row's change on."""
    title, title_class = str(row["biblionumber"]), chosen.classes.get(str(row["itype"]), chosen.default_class)
    if before and (before.title, before.title_class) == (title, title_class):
        return
    first = before is None or before.title is None
    at = row["dateaccessioned"] if first and row["dateaccessioned"] else row["at"]
    added = CopyAdded.model_validate(
        {
            "copy": row["copy"],
            "place": _place(row["homebranch"], "homebranch", chosen),
            "title": title,
            "class": title_class,
        }
    )
    identity = f"items/{row['row_key']}/added/{id_of(title, title_class, at)}"
    yield event(added, chosen.source, _instant(at, chosen), event_id=identity)


def _stands(row: Row, before: Known | None, chosen: Map) -> Fact | None:
    """Return where the copy is, None where that is known, or where its loans and transfers tell it better."""
    state = _state(row)
    if state is None:
        return None
    where = {"copy": row["copy"], "place": _place(row["holdingbranch"], "holdingbranch", chosen)}
    if before and (_same(before, state, where["place"]) or (state is State.ON_SHELF and before.state in _OURS)):
        return None
    named = {State.MISSING: CopyMissing, State.WITHDRAWN: CopyWithdrawn, State.DAMAGED: CopyDamaged}.get(state)
    return named.model_validate(where) if named else CopyCorrected.model_validate(where | {"now": state})


def _same(before: Known, state: State, place: str) -> bool:
    return before.state is state and (before.place == place or state is not State.ON_SHELF)


def of_deleted(rows: Sequence[Row], chosen: Map, known_of: KnownOf) -> Iterator[Translated]:
    """Yield which copies left the stock."""

    def facts_of(row: Row) -> Iterator[Told]:
        where = {"copy": row["copy"], "place": _place(row["holdingbranch"], "holdingbranch", chosen)}
        identity = f"deleteditems/{row['row_key']}/{row['at'].isoformat()}"
        at = _instant(row["at"], chosen)
        yield event(CopyWithdrawn.model_validate(where), chosen.source, at, event_id=identity, sequence=STANDS)

    return _each("deleteditems", rows, facts_of)


_OURS = frozenset({State.PICKED, State.IN_TRANSIT, State.ON_HOLD_SHELF})  # what Koha's items do not tell apart


def _state(row: Row) -> State | None:
    signs = (
        (row["withdrawn"], State.WITHDRAWN),
        (row["itemlost"], State.MISSING),
        (row["onloan"], State.ON_LOAN),
        (row["on_the_way"], None),
        (row["waits"], State.ON_HOLD_SHELF),
        (row["damaged"], State.DAMAGED),
    )
    return next((state for sign, state in signs if sign), State.ON_SHELF)


SOURCES: tuple[Source, ...] = (  # items first: copies are listed before they are heard of
    Source("items", ITEMS_SQL, of_items),
    Source("deleteditems", DELETED_SQL, of_deleted),
    Source("branchtransfers", TRANSFERS_SQL, of_transfers),
    Source("statistics", STATISTICS_SQL, of_statistics),
)
