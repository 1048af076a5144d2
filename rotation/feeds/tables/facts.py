"""Rows of a table as facts: a "stock" row says where a copy is, an "events" row an event of it."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rotation.facts.events import (
    FACT_OF_TYPE,
    CopyAdded,
    CopyCorrected,
    CopyReturned,
    Fact,
    RejectionReason,
    TransferSent,
)
from rotation.facts.movements import CopyState
from rotation.feeds import sheets
from rotation.feeds.carrying import (
    EventDict,
    RejectedRecord,
    Translated,
    event,
    id_of,
    rejected_record,
    title_name,
)
from rotation.feeds.tables.mapping import (
    NO_PLACE,
    STATES,
    VIA,
    Caption,
    Rows,
    TableMap,
    TableRow,
    by_pattern,
    state_word,
)
from rotation.feeds.tables.reading import read

TIME_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日",
)
# A word of digits by its length; any other number, such as seconds since 1970, would be read as a year before our time.
DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def translate(
    path: Path,
    chosen: TableMap,
    at: datetime | None = None,
    counted: Callable[[Rows], Rows] = iter,
    passed_over: Callable[[TableRow], None] = lambda _: None,
) -> Iterator[Translated]:
    """Yield the facts of the file's rows, in their order; `at` is the time of a stock table without a time column.

    `counted` sees every row, for callers that count them; `passed_over` each row that says nothing: the map skips its state, or
    its home takes no part.

    Raises
    ------
    ValueError
        When the file as a whole cannot be used: no header, none of the map's columns, not a workbook, no time.
    """
    edge, seen, turns = f"file:{path.name}", dict[int, Seen](), Turns()
    for row in counted(_with_times(read(path, chosen, at), chosen, edge)):
        if isinstance(row, RejectedRecord):
            yield row
        elif isinstance(row, Caption):
            continue
        elif wrong := _differs(row, chosen, edge, seen):
            yield wrong
        else:
            made = list(facts_of(row, chosen, edge, at, turns.of(row) if chosen.rows == "events" else 0))
            yield from made
            if not made:
                passed_over(row)


class Turns:
    """The turn of each event of a copy among those at its instant, by their rows' order; a row that comes twice has one turn."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[str, int, int]] = {}

    def of(self, row: TableRow) -> int:
        """Return a row's turn, from 0."""
        copy, time = row.values.get("copy", ""), row.values.get("time", "")
        row_hash = hash(tuple(row.values.items()))
        last_time, last_hash, turn = self.last.get(copy, (None, 0, 0))
        turn = 0 if last_time != time else turn + (last_hash != row_hash)
        self.last[copy] = time, row_hash, turn
        return turn


# Rows whose times are looked at before any is translated: enough to tell a format from a slip.
LOOKED_AT = 20


def _with_times(rows: Rows, chosen: TableMap, edge: str) -> Rows:
    """Pass rows on; raise ValueError where no time of the first rows can be read: one mistake, not one for each row."""
    first = list(islice(rows, LOOKED_AT))
    words = [row.values["time"] for row in first if isinstance(row, TableRow) and row.values.get("time")]
    unread = [word for word in words if _unread(word, chosen)]
    if len(unread) > 1 and unread == words:
        raise ValueError(f"{edge}: {_unread(unread[0], chosen)}")
    return chain(first, rows)


def _unread(word: str, chosen: TableMap) -> str | None:
    try:
        _instant(word, chosen, "time")
    except Wrong as wrong:
        return str(wrong)
    return None


# A time without its hour, as a text or as a spreadsheet's cell.
A_DAY = re.compile(r"^[^:]{0,11}$|[ T]0?0:00(:00)?$")


class Seen(NamedTuple):
    """The first row of a copy at an instant: its line, place, and the hashes of its state and title."""

    line: int
    place: str
    state: int
    title: int


def _differs(row: TableRow, chosen: TableMap, edge: str, seen: dict[int, Seen]) -> RejectedRecord | None:
    """Return the rejection of a row that says otherwise of a copy at an instant than a row before; `seen` is by hash.

    A stock row differs by its place, state or title; an event by the place of the same operation, unless its time is a day alone.
    """
    values, stock = row.values, chosen.rows == "stock"
    if not stock and A_DAY.search(values.get("time", "")):
        return None
    key = hash((values.get("copy"), values.get("time"), "" if stock else values.get("says", "")))
    place = "/".join(filter(None, (values.get("place", ""), values.get("location", ""))))
    now = Seen(row.line, place, hash(values.get("says", "")) if stock else 0, hash(values.get("title")) if stock else 0)
    before = seen.setdefault(key, now)
    if before[1:] == now[1:] or not values.get("copy"):
        return None
    field, message = "place", f"line {before.line} has this copy at {before.place[:100]!r} at the same time"
    if before.place == place:
        field = "says" if before.state != now.state else "title"
        message = (
            f"line {before.line} has this copy with another {'state' if field == 'says' else 'title'} at the same time"
        )
    return rejected_record(edge, (0, row.line), RejectionReason.DATA, f"line {row.line} {field}", message, values)


class Wrong(Exception):
    """The part of a row that cannot be translated: column, reason, message."""

    def __init__(self, column: str, message: str, reason: RejectionReason = RejectionReason.DATA) -> None:
        super().__init__(message)
        self.column, self.reason = column, reason


def facts_of(
    row: TableRow, chosen: TableMap, edge: str, at: datetime | None = None, turn: int = 0
) -> Iterator[Translated]:
    """Yield the facts of one row, or its rejection; nothing where the map says to skip it. `turn` orders events of an instant."""
    try:
        meaning = _meaning(row, chosen)
        if meaning == "skip":
            return
        made = list(
            _stock(row, chosen, meaning, at) if chosen.rows == "stock" else _happened(row, chosen, meaning, at, turn)
        )
    except Wrong as wrong:
        yield rejected_record(
            edge, (0, row.line), wrong.reason, f"line {row.line} {wrong.column}", str(wrong), row.values
        )
    except ValidationError as error:
        first = error.errors()[0]
        column = f"line {row.line} {'.'.join(map(str, first['loc']))}"
        yield rejected_record(edge, (0, row.line), RejectionReason.DATA, column, first["msg"], row.values)
    else:
        yield from made


def _meaning(row: TableRow, chosen: TableMap) -> str:
    word = row.values.get("says", "")
    meaning = state_word(word, chosen)
    if meaning is None and not word:
        meaning = chosen.default_says
    if meaning is None:
        raise Wrong("says", f"{word!r} is not in the map's [says]")
    return meaning


def _stock(row: TableRow, chosen: TableMap, meaning: str, at: datetime | None) -> Iterator[EventDict]:
    """Yield that the copy is in the stock, and where it is now."""
    time = _time(row, chosen, at)
    if meaning not in STATES:
        raise Wrong("says", f"{meaning!r} is not a state; a stock table says where copies are")
    if _home(row, chosen) == NO_PLACE:
        # Neither its home nor where it is takes part.
        return
    if row.values.get("title"):
        yield _added(row, chosen, time)
    yield _event(_corrected(row, chosen, CopyState(meaning)), chosen, time, sequence=1)


def _added(row: TableRow, chosen: TableMap, time: datetime) -> EventDict:
    values = row.values
    word = values.get("class", "")
    title_class = chosen.classes.get(word) or by_pattern(word, chosen.classes) or chosen.default_class or word
    added = CopyAdded.model_validate(
        {
            "copy": values["copy"],
            "place": _home(row, chosen),
            "title": values["title"],
            "class": title_class,
            "title_name": title_name(values.get("name"), author=values.get("author")) or None,
            "volume_of": values.get("volume_of") or None,
            "owner": values.get("owner") or None,
        }
        | _shelving(values)
    )
    return _event(added, chosen, _instant(values["added"], chosen, "added") if values.get("added") else time)


def _corrected(row: TableRow, chosen: TableMap, state: CopyState) -> Fact:
    here = _here(row, chosen)
    where = {"copy": row.values["copy"], "place": here.removeprefix(VIA)}
    if here == NO_PLACE:
        # At a place that takes no part: no plan may count on it.
        return CopyCorrected.model_validate(where | {"place": _home(row, chosen), "now": CopyState.WITHDRAWN})
    if here.startswith(VIA) and state is CopyState.ON_SHELF:
        to = _home(row, chosen)
        if to == where["place"]:
            return CopyCorrected.model_validate(where | {"now": CopyState.UNKNOWN})
        return TransferSent.model_validate(where | {"to": to})
    if state is CopyState.IN_TRANSIT:
        return TransferSent.model_validate(where | _destination(row, chosen))
    return CopyCorrected.model_validate(where | {"now": state} | _shelving(row.values))


def _shelving(values: dict[str, str]) -> dict[str, str]:
    names = ("call_number", "room", "collection", "shelf", "barcode")
    return {name: values[name] for name in names if values.get(name)}


def _destination(row: TableRow, chosen: TableMap) -> dict[str, str]:
    if to := row.values.get("to"):
        return {"to": _place(to, chosen).removeprefix(VIA)}
    if not row.values.get("home"):
        raise Wrong("to", "a copy in transit needs a destination (column to, or home)")
    return {"to": _home(row, chosen)}


def _happened(row: TableRow, chosen: TableMap, meaning: str, at: datetime | None, turn: int) -> Iterator[EventDict]:
    # Two sequence numbers a row: the second is for a return in the same row.
    time, sequence = _time(row, chosen, at), 2 * turn
    if meaning in STATES:
        yield _event(_corrected(row, chosen, CopyState(meaning)), chosen, time, sequence)
        return
    fact = FACT_OF_TYPE[meaning]
    place = _here(row, chosen)
    if place == NO_PLACE:
        return
    values: dict[str, Any] = {"copy": row.values["copy"], "place": place.removeprefix(VIA)}
    if "to" in fact.model_fields:
        values |= _destination(row, chosen)
    if "transfer" in fact.model_fields and row.values.get("transfer"):
        values["transfer"] = row.values["transfer"]
    yield _event(fact.model_validate(values), chosen, time, sequence)
    if row.values.get("returned"):
        # One row holds a loan and its return.
        back = _place(row.values.get("returned_place") or row.values["place"], chosen, row.values.get("location", ""))
        returned = CopyReturned.model_validate({"copy": row.values["copy"], "place": back.removeprefix(VIA)})
        yield _event(returned, chosen, _instant(row.values["returned"], chosen, "returned"), sequence + 1)


def _place(word: str, chosen: TableMap, location: str = "") -> str:
    """Return the place of a code and a location below it: by both, by a pattern, by the code alone."""
    if not word:
        raise Wrong("place", "empty", RejectionReason.UNKNOWN_PLACE)
    if not chosen.places:
        return word
    both = f"{word}/{location}"
    found = chosen.places.get(both) or by_pattern(both, chosen.places) or chosen.places.get(word)
    if found is None:
        named = both if location else word
        raise Wrong("place", f"{named!r} is not in the map's [places]", RejectionReason.UNKNOWN_PLACE)
    return found


def _here(row: TableRow, chosen: TableMap) -> str:
    return _place(row.values["place"], chosen, row.values.get("location", ""))


def _home(row: TableRow, chosen: TableMap) -> str:
    """Return where a copy belongs: its home, and where that takes no part or is none, where it is."""
    home = row.values.get("home")
    found = _place(home, chosen, row.values.get("home_location", "")) if home else NO_PLACE
    return (found if found != NO_PLACE else _here(row, chosen)).removeprefix(VIA)


def _time(row: TableRow, chosen: TableMap, at: datetime | None) -> datetime:
    word = row.values.get("time", "")
    if word:
        return _instant(word, chosen, "time")
    known = at or chosen.as_of
    if known is None:
        raise Wrong("time", "no time: name its column, or say when the table was taken")
    return known


def _instant(word: str, chosen: TableMap, column: str) -> datetime:
    """Read a time as libraries write it; without a zone it is in the map's zone."""
    digits = [_as(DIGITS[len(word)])] if len(word) in DIGITS else []
    usual = digits if word.isdecimal() else [datetime.fromisoformat, *map(_as, TIME_FORMATS)]
    for read_as in (*map(_as, chosen.times), *usual):
        try:
            instant = read_as(word)
            return instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(chosen.timezone))
        except (ValueError, OverflowError):
            continue
    hint = "" if chosen.times else '; set its format in the map, such as times = ["%d/%m/%Y"]'
    raise Wrong(column, f"{word!r} is not a time such as 2026-03-01 09:30:00{hint}")


# In a map's times: the serial numbers of a spreadsheet.
EXCEL = "excel"


def _as(written: str) -> Callable[[str], datetime]:
    """Return a function that reads a time in a format, and raises ValueError for any other."""
    if written != EXCEL:
        return lambda word: datetime.strptime(word.replace("上午", "AM").replace("下午", "PM"), written)  # noqa: DTZ007

    def read_serial(word: str) -> datetime:
        found = sheets.of_serial(float(word.replace(",", ".")))
        if found is None:
            raise ValueError("no serial number of a date")
        return found

    return read_serial


def _event(fact: Fact, chosen: TableMap, time: datetime, sequence: int = 0) -> EventDict:
    told_of = fact.model_dump(by_alias=True, exclude_none=True)
    identity = id_of(chosen.source, fact.type, sequence, time.isoformat(), *(v for _, v in sorted(told_of.items())))
    return event(fact, chosen.source, time, event_id=identity, sequence=sequence)
