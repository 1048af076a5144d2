"""Koha's tables, read with a cursor.

Each table is read in the order of its own times, page by page, starting a little before the last position. So rows that a long
transaction committed late are found, and rows read twice get the same ids. No column of a borrower is selected.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from pydantic import ValidationError

from rotation.facts.events import RejectionReason
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import EventDict, RejectedRecord, Translated, id_of, rejected_record
from rotation.feeds.koha.mapping import KohaMap, NoTime, UnmappedBranch

PAGE_ROWS = 2_000
OVERLAP = timedelta(
    minutes=10
)  # Koha's rows carry the time their statement ran, and its transactions commit minutes later
# Further than any zone is from UTC.
MOST_OFFSET = timedelta(days=1)
# After any row, and the last year that MariaDB's times have.
LAST = datetime(9999, 12, 31)  # noqa: DTZ001
FIRST = datetime(1970, 1, 2)  # before any row; Koha's times are local, without a zone  # noqa: DTZ001
# Order in which facts of the same second took effect.
CANCELLED, RETURNED, LOANED, SENT, STANDS = range(5)

Row = dict[str, Any]


class KohaCopy(NamedTuple):
    """The present of a copy as Rotation knows it; title, class and home are None for an unlisted copy."""

    state: CopyState
    place: str
    to: str | None
    title: str | None
    title_class: str | None
    home: str | None
    fixed: bool = False
    source: str = ""
    # Whether its title has a name.
    named: bool = True


KnownOf = Callable[[Sequence[str]], Mapping[str, KohaCopy]]
Translate = Callable[[Sequence[Row], KohaMap, KnownOf], Iterator[Translated]]


class FollowedTable(NamedTuple):
    """A table that is followed: the SELECT of a page after (time, key), its columns, and the translation of its rows.

    The SELECT packs the columns into one (see `packed`). `until` selects the time at which a page ends, where the table has
    no key of its own: an index on the time finds both.
    """

    name: str
    sql: str
    columns: tuple[str, ...]
    translate: Translate
    # Whether its times are TIMESTAMPs, which the session reads in UTC; Koha writes the others (DATETIME) in its own zone.
    utc: bool = False
    until: str | None = None
    # Reads the table in another way, where its times have no index.
    pages: "Pages | None" = None


# The last row's time (ISO; in UTC with its offset, else on Koha's clock) and key; around a repeated hour also the ids of the rows
# read in its first pass.
Position = tuple[str, str] | tuple[str, str, list[str]]
# From a connection, the kept position and the number of the look to pages of rows, each with the position at its end.
Pages = Callable[[Any, Any, int], Iterator[tuple[Any, list[Row]]]]


def pages(
    connection: Any, source: FollowedTable, begin: Any, zone: str, look: int = 0
) -> Iterator[tuple[Any, list[Row]]]:
    """Yield pages of rows from `begin` on, each with its end position; `connection` is pymysql's with DictCursor, in UTC.

    `look` counts a feed's looks from its start.
    """
    if source.pages:
        yield from source.pages(connection, begin, look)
        return
    last = datetime.fromisoformat(begin[0]) if begin else None
    first_pass = set(begin[2]) if begin and len(begin) > 2 else set[str]()
    at, key = _begin(last, source, zone), ""
    while rows := page_after(connection, source, at, key):
        at, key = rows[-1]["at"], rows[-1]["row_key"]
        if source.utc:
            for row in rows:
                row["at"] = row["at"].replace(tzinfo=UTC)
            yield (at.replace(tzinfo=UTC).isoformat(), key), rows
            continue
        if _clock_changes(rows[0]["at"], at, zone):
            rows = [_in_its_pass(row, zone, last, first_pass) for row in rows]
        # What a clock change put behind the last position must not move it back.
        end = max(at, last) if last else at
        if not _repeated_around(end, zone):
            first_pass.clear()
        yield ((end.isoformat(), key, sorted(first_pass)) if first_pass else (end.isoformat(), key)), rows


def page_after(connection: Any, source: FollowedTable, at: datetime, key: str) -> list[Row]:
    with connection.cursor() as cursor:
        after: dict[str, Any] = {"at": at, "key": key, "number": int(key) if key.isdecimal() else 0}
        if source.until:
            cursor.execute(source.until, after)
            after["until"] = (cursor.fetchone() or {"at": LAST})["at"]
    return rows_of(connection, source.sql, source.columns, after)


# The driver decodes a column in Python, in 0.8 µs; a row of twenty in one column costs a quarter.
def packed(columns: Mapping[str, str]) -> str:
    """Return the SELECT's expression for columns (name and SQL) that `rows_of` unpacks."""
    return f"json_array({', '.join(columns.values())}) AS packed"


# Columns whose packed text is a time or a day.
TIMES = frozenset({"at", "item_at", "datesent", "datearrived", "datecancelled"})
DAYS = frozenset({"dateaccessioned"})


def rows_of(connection: Any, sql: str, columns: Sequence[str], values: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a SELECT of packed columns, as they are committed now."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = [dict(zip(columns, orjson.loads(row["packed"]), strict=True)) for row in cursor.fetchall()]
    # Each question sees everything committed so far.
    connection.rollback()
    read = [
        (name, datetime.fromisoformat if name in TIMES else date.fromisoformat)
        for name in columns
        if name in TIMES | DAYS
    ]
    for row in rows:
        for name, from_text in read:
            if row[name] is not None:
                row[name] = _or_text(row[name], from_text)
    return rows


def _or_text(text: str, from_text: Callable[[str], date]) -> date | str:
    """Return a time; text for what is none, such as MariaDB's 0000-00-00."""
    try:
        return from_text(text)
    except ValueError:
        return text


def _clock_changes(first: datetime, last: datetime, zone: str) -> bool:
    """Return whether a clock change may lie between two times; a page of more than a day is not looked at so closely."""
    offsets = {at.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for at in (first, last) for fold in (0, 1)}
    return len(offsets) > 1 or last - first > timedelta(days=1)


def _begin(last: datetime | None, source: FollowedTable, zone: str) -> datetime:
    """Return the time to read from: a little before the last position, an hour more where a clock change repeats one."""
    if last is None:
        return FIRST
    if source.utc:
        # Positions of before 2026-12 are on the session's clock, which was the server's.
        return (last.astimezone(UTC).replace(tzinfo=None) if last.tzinfo else last - MOST_OFFSET) - OVERLAP
    return last - OVERLAP - _repeated_around(last, zone)


def _repeated(local: datetime, zone: str) -> timedelta:
    """Return how much of the clock is repeated at a local time; mostly nothing."""
    first, second = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return max(first - second, timedelta())


def _repeated_around(local: datetime, zone: str) -> timedelta:
    return max(_repeated(local, zone), _repeated(local - OVERLAP, zone))


def _in_its_pass(row: Row, zone: str, last: datetime | None, first_pass: set[str]) -> Row:
    """Return the row, as of a repeated hour's second pass if it is behind the last position and not known from the first."""
    if not _repeated(row["at"], zone):
        return row
    identity = id_of(row["at"], row["row_key"])
    if last is None or row["at"] >= last or identity in first_pass:
        first_pass.add(identity)
        return row
    return {key: value.replace(fold=1) if isinstance(value, datetime) else value for key, value in row.items()}


def each_row(table: str, rows: Sequence[Row], facts_of: Callable[[Row], Iterator[EventDict]]) -> Iterator[Translated]:
    """Yield the facts of rows, and a rejected record for each row that cannot be translated."""
    for row in rows:
        try:
            yield from facts_of(row)
        except UnmappedBranch as error:
            yield _refused(table, row, RejectionReason.UNKNOWN_PLACE, error.field, str(error))
        except NoTime as error:
            yield _refused(table, row, RejectionReason.DATA, "time", str(error))
        except ValidationError as error:
            first = error.errors()[0]
            yield _refused(table, row, RejectionReason.DATA, ".".join(map(str, first["loc"])), first["msg"])


def _refused(table: str, row: Row, reason: RejectionReason, field: str, message: str) -> RejectedRecord:
    position = 0, int(id_of(row["row_key"], row["at"])[:15], 16)
    kept = {key: row[key] for key in ("copy", "row_key", "at")}
    return rejected_record(f"koha:{table}", position, reason, field, message, kept)
