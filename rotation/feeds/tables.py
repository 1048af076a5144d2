"""Tables from any library system: CSV, XLSX and JSON lines, read by a column map.

The map names the columns to read; all others, readers' data among them, never leave the file. A "stock" table says in each
row where a copy is now, an "events" table its movements.
"""

import codecs
import csv
import math
import re
import tomllib
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from config.settings import DEFAULTS
from rotation.facts.clock import InstantInFile
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
from rotation.feeds import maps, sheets
from rotation.feeds.carrying import EventDict, RejectedRecord, Translated, event, id_of, rejected_record

# Bytes of a row; longer rows mean a damaged file.
LONGEST_LINE_BYTES = 100_000
# Unpacked: a sheet of a million rows has half of it; a larger file is not a table.
LARGEST_XLSX_BYTES = 2_000_000_000
# Beyond it a spreadsheet's number has lost digits: the barcode must be text.
EXACT_NUMBER = 10**15
TIME_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日",
    "%Y%m%d%H%M%S",
)
# Titles, merged heads and empty lines above the names of columns.
HEADER_ROWS = 10
# Lines of a record: titles and notes of more have not been seen.
RECORD_LINES = 50
# Excel's own first line of a CSV: the separator that follows.
SEPARATOR = re.compile(r"^sep=(.)\r?\n?$", re.IGNORECASE)
# A spreadsheet writes a long number so when it saves text.
SCIENTIFIC = re.compile(r"^\d(?:[.,]\d+)?E\+\d+$", re.IGNORECASE)
# A number's format that shows it with zeros in front.
ZEROS = re.compile(r"^0{2,}$")
# Values that tell things apart, so that none of their digits may be lost.
IDS = ("copy", "title", "volume_of", "transfer")
JSON_KINDS = (".jsonl", ".ndjson", ".json")
STATES = frozenset(CopyState)
# Without these a row says nothing; a rejection names anything else that a row lacks.
NEEDED = ("copy", "place")
MAPPED_FACTS = tuple(name for name in FACT_OF_TYPE if name.startswith(("copy.", "transfer.")) and name != "copy.added")


class TableRow(NamedTuple):
    """The mapped columns of one row as text; empty cells are left out."""

    line: int
    values: dict[str, str]


Rows = Iterator[TableRow | RejectedRecord]


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


# The first of these columns with a value counts.
Names = Annotated[tuple[str, ...], BeforeValidator(_list)]


class ColumnNames(BaseModel):
    """Which columns hold which data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    copy_id: Names = Field(alias="copy")
    place: Names
    location: Names = ()
    says: Names = ()
    to: Names = ()
    time: Names = ()
    title: Names = ()
    title_class: Names = Field(default=(), alias="class")
    title_name: Names = Field(default=(), alias="name")
    volume_of: Names = ()
    owner: Names = ()
    home: Names = ()
    home_location: Names = ()
    added: Names = ()
    returned: Names = ()
    returned_place: Names = ()
    transfer: Names = ()
    call_number: Names = ()
    room: Names = ()
    collection: Names = ()
    shelf: Names = ()
    barcode: Names = ()


class TableMap(BaseModel):
    """How to read a table; written as a TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)]
    rows: Literal["stock", "events"]
    encoding: Literal["utf-8", "gb18030", "utf-16-le", "utf-16-be", "big5", "cp1252"] = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    sheet: str | None = None
    timezone: maps.TimeZone = "Asia/Shanghai"
    # Formats of times as in "%d/%m/%Y %H:%M", tried before the usual ones; "excel" for a spreadsheet's serial numbers.
    times: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    # Rows to read: a column and the values that it must have one of.
    only: dict[str, tuple[str, ...]] = {}
    as_of: InstantInFile | None = None
    columns: ColumnNames
    # An installation whose table of states (config/states) gives the words that [says] has not.
    city: str | None = None
    # Words of states; a pattern with * stands for all words of its form (借出-应还日期:*).
    says: dict[str, str] = {}
    default_says: str | None = None
    # By a code, a code and a location below it (CODE/LOCATION), or a pattern of these with * and ?; to a place, to "-" (takes no
    # part) or to "via:PLACE" (a store in which copies wait for a van).
    places: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_its_city(cls, values: Any) -> Any:
        city = values.get("city") if isinstance(values, dict) else None
        if not isinstance(city, str) or not isinstance(values.get("says", {}), dict):
            return values
        return values | {"says": states_of(city) | values.get("says", {})}

    @field_validator("says")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for word, meaning in value.items():
            if meaning not in STATES and meaning not in MAPPED_FACTS and meaning != "skip":
                raise ValueError(f"{word}: {meaning!r} is not a state, an event of a copy, or skip")
        return value


STATES_OF_CITIES = DEFAULTS.parent / "states" / "interlib.toml"


def states_of(city: str) -> dict[str, str]:
    """Return a city's states by word and code; raises ValueError for an unknown one, and names those that are known."""
    known: dict[str, dict[str, str]] = tomllib.loads(STATES_OF_CITIES.read_text(encoding="utf-8"))
    if city not in known:
        raise ValueError(f"no table of states for the city {city[:64]!r}; there are {', '.join(sorted(known))}")
    return known[city]


def state_word(word: str, chosen: TableMap) -> str | None:
    """Return what a word of a state or movement means by the map, None for an unknown word."""
    own = word if word in STATES or word in MAPPED_FACTS else None
    return chosen.says.get(word, own) or _by_pattern(word, chosen.says)


def read_map(path: Path) -> TableMap:
    """Read a column map.

    Raises
    ------
    ValueError
        With every mistake, each with the file and the key.
    """
    return maps.read(path, TableMap)


def translate(
    path: Path, chosen: TableMap, at: datetime | None = None, counted: Callable[[Rows], Rows] = iter
) -> Iterator[Translated]:
    """Yield the facts of the file's rows, in their order; `at` is the time of a stock table without a time column.

    `counted` sees every row, for callers that count them.

    Raises
    ------
    ValueError
        When the file as a whole cannot be used: no header, none of the map's columns, not a workbook, no time.
    """
    edge, seen = f"file:{path.name}", dict[int, tuple[int, str]]()
    for row in counted(_with_times(read(path, chosen, at), chosen, edge)):
        if isinstance(row, RejectedRecord):
            yield row
        elif wrong := _elsewhere(row, chosen, edge, seen):
            yield wrong
        else:
            yield from facts_of(row, chosen, edge, at)


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


def _elsewhere(row: TableRow, chosen: TableMap, edge: str, seen: dict[int, tuple[int, str]]) -> RejectedRecord | None:
    """Return the rejection of a row that has a copy at one instant at another place than a row before; `seen` is by hash."""
    values = row.values
    said = values.get("says", "") if chosen.rows == "events" else ""
    key = hash((values.get("copy"), values.get("time"), said))
    place = "/".join(filter(None, (values.get("place", ""), values.get("location", ""))))
    line, before = seen.setdefault(key, (row.line, place))
    if before == place or not values.get("copy"):
        return None
    message = f"line {line} has this copy at {before[:100]!r} at the same time"
    return rejected_record(edge, (0, row.line), RejectionReason.DATA, f"line {row.line} place", message, values)


# --- Rows of a file -----------------------------------------------------------------------------------------------------------


def read(path: Path, chosen: TableMap, at: datetime | None = None) -> Iterator[TableRow | RejectedRecord]:
    """Yield the file's rows; an unreadable row is rejected with its line, and the rest continues. Raises as `translate` does."""
    edge, kind = f"file:{path.name}", path.suffix.lower()
    chosen = chosen if at is None else chosen.model_copy(update={"as_of": at})
    if not chosen.columns.time:
        _some_time(edge, chosen)
    found = sheets.Kind.TEXT if kind in JSON_KINDS else sheets.kind_of(path)
    if cells := _cells_of(path, found, chosen):
        yield from _of_cells(iter(cells), chosen, edge)
        return
    with path.open("rb") as file:
        lines = _decoded(file, chosen.encoding, edge)
        if kind not in JSON_KINDS:
            yield from _of_text(path, lines, chosen, edge)
        elif (array := _json_array(file, edge, kind)) is not None:
            taken = ((number, value) for number, value in enumerate(array, 1) if _takes(value, chosen))
            yield from (_of_object(number, value, chosen, edge) for number, value in taken)
        else:
            yield from of_json_lines(lines, chosen, edge)


# For readers of a table who ask no time of it.
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def plain_rows(path: Path, encoding: str | None = None) -> Iterator[tuple[int, list[Any]]]:
    """Yield the rows of any table, whatever its columns: text in the encoding given, else in the first that fits.

    Raises
    ------
    ValueError
        When it is text in none of the encodings, or no workbook that can be read.
    """
    kind = sheets.kind_of(path)
    if kind is sheets.Kind.TEXT:
        text = sheets.text_of(path, encoding)
        sample = "\n".join(text.splitlines()[:HEADER_ROWS])
        delimiter = max(",;\t", key=sample.count)
        yield from enumerate(csv.reader(text.splitlines(), delimiter=delimiter), 1)
        return
    cells = sheets.of_html(path, encoding or "utf-8") if kind is sheets.Kind.HTML else None
    whole = cells or (_sheet(path, None) if kind is sheets.Kind.XLSX else sheets.of_workbook(path, None))
    yield from ((number, list(row)) for number, row in enumerate(whole, 1))


def _cells_of(path: Path, kind: sheets.Kind, chosen: TableMap) -> Iterable[tuple[Any, ...]] | None:
    """Return the rows of a workbook or a page; None for text."""
    if kind is sheets.Kind.XLSX:
        return _sheet(path, chosen.sheet)
    if kind is sheets.Kind.WORKBOOK:
        return sheets.of_workbook(path, chosen.sheet)
    return sheets.of_html(path, chosen.encoding) if kind is sheets.Kind.HTML else None


def _of_text(
    path: Path, lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str
) -> Iterator[TableRow | RejectedRecord]:
    """Yield the rows of text; where no header is found in the map's encoding, name the one in which there is."""
    # Many systems export text with tabs under the name .xls.
    tabbed = path.suffix.lower() == ".xls" and "delimiter" not in chosen.model_fields_set
    told = chosen.model_copy(update={"delimiter": "\t"}) if tabbed else chosen
    try:
        yield from of_csv(lines, told, edge)
    except ValueError as error:
        if likely := _likely_encoding(path, told, edge):
            message = f'{edge}: not in {chosen.encoding}: in {likely} its first lines name the columns; set encoding = "{likely}"'
            raise ValueError(message) from error
        raise


def _likely_encoding(path: Path, chosen: TableMap, edge: str) -> str | None:
    """Return the encoding in which one of the first lines names the columns, None where there is none."""
    with path.open("rb") as file:
        head = file.read(sheets.HEAD_BYTES)
    for encoding in sheets.ENCODINGS:
        text = head.decode(encoding, "ignore")
        rows = csv.reader(text.splitlines()[:HEADER_ROWS], delimiter=chosen.delimiter)
        if encoding != chosen.encoding and any(_picker(list(row), chosen, edge)[0] for row in rows):
            return encoding
    return None


def of_csv(lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str) -> Iterator[TableRow | RejectedRecord]:
    """Yield the rows of CSV text of which one of the first lines names the columns."""
    found = CsvRecords(lines, chosen.delimiter, edge)
    yield from _below_header(found, chosen, edge, found.expect)


def _below_header(
    found: Iterable[tuple[int, list[Any] | RejectedRecord]],
    chosen: TableMap,
    edge: str,
    expect: Callable[[int], None] = lambda _: None,
) -> Iterator[TableRow | RejectedRecord]:
    """Yield the rows below the first row that names the map's columns; titles may stand above it."""
    picker: Picker | None = None
    wrong: ValueError | None = None
    above = 0
    for line, cells in found:
        if isinstance(cells, RejectedRecord):
            yield cells
        elif not any(str(cell or "").strip() for cell in cells):
            continue
        elif picker:
            yield from picker.rows(line, cells)
        else:
            picker, error = _picker(cells, chosen, edge)
            wrong, above = wrong or error, above + 1
            if picker:
                expect(picker.width)
            elif above == HEADER_ROWS:
                break
    if picker is None:
        raise wrong or ValueError(f"{edge}: empty; the first line must name the columns")


def _picker(cells: list[Any], chosen: TableMap, edge: str) -> "tuple[Picker | None, ValueError | None]":
    try:
        return Picker(cells, chosen, edge), None
    except ValueError as error:
        return None, error


class CsvRecords:
    """The records of CSV text with their last lines; an unclosed quotation mark costs its own line and no other."""

    def __init__(self, lines: Iterable[str | RejectedRecord], delimiter: str, edge: str) -> None:
        self.lines, self.delimiter, self.edge = iter(lines), delimiter, edge
        self.number, self.ahead = 0, deque[str | RejectedRecord]()
        self.width: int | None = None

    def expect(self, width: int) -> None:
        """Say how many cells a row has, once the header is known."""
        self.width = width

    def __iter__(self) -> Iterator[tuple[int, list[str] | RejectedRecord]]:
        """Yield each record with the number of its last line, or its rejection."""
        while (line := self._next()) is not None:
            self.number += 1
            if isinstance(line, RejectedRecord):
                yield self.number, line
            elif self.number == 1 and (named := SEPARATOR.match(line)):
                self.delimiter = named[1]
            else:
                cells = self._record(line)
                yield self.number, cells

    def _next(self) -> str | RejectedRecord | None:
        return self.ahead.popleft() if self.ahead else next(self.lines, None)

    def _record(self, line: str) -> list[str] | RejectedRecord:
        if '"' not in line:
            return self._cells([line])
        cells = self._quoted(line)
        if cells is not None:
            return cells
        if line.count('"') % 2 == 0:
            return self._cells([line])
        return self._rejected("the quotation mark of this line is not closed")

    def _quoted(self, line: str) -> list[str] | None:
        """Return a record whose quoted cells may go over lines; None where its quotation marks do not close as rows need it."""
        taken = [line]
        while True:
            try:
                cells = next(csv.reader(taken, delimiter=self.delimiter, strict=True))
                break
            except csv.Error as error:
                further = self._next() if "unexpected end" in str(error) and len(taken) < RECORD_LINES else None
            if further is None:
                self.ahead.extendleft(reversed(taken[1:]))
                return None
            if isinstance(further, RejectedRecord) or self._is_row(further):
                self.ahead.extendleft(reversed([*taken[1:], further]))
                return None
            taken.append(further)
        self.number += len(taken) - 1
        return cells

    def _is_row(self, line: str) -> bool:
        """Return whether a line is a whole row by itself, so that no cell of the line before goes on in it."""
        try:
            return (
                self.width is not None
                and len(next(csv.reader([line], delimiter=self.delimiter, strict=True))) == self.width
            )
        except (csv.Error, StopIteration):
            return False

    def _cells(self, lines: list[str]) -> list[str] | RejectedRecord:
        try:
            return next(csv.reader(lines, delimiter=self.delimiter), [])
        except csv.Error as error:
            return self._rejected(str(error))

    def _rejected(self, message: str) -> RejectedRecord:
        return rejected_record(self.edge, (0, self.number), RejectionReason.DATA, f"line {self.number}", message)


def _json_array(file: BufferedReader, edge: str, kind: str) -> list[Any] | None:
    """Return a file's JSON array; None for JSON lines; raises ValueError where a .json file begins as an array and is none."""
    if file.peek(1).lstrip()[:1] != b"[":
        return None
    content = file.read()
    file.seek(0)
    try:
        found: list[Any] = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if kind != ".json":
            return None
        raise ValueError(f"{edge}: begins as a JSON array and is none: line {error.lineno}, {error.msg}") from error
    return found


def of_json_lines(
    lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str
) -> Iterator[TableRow | RejectedRecord]:
    """Yield the rows of JSON lines, each an object."""
    for number, line in enumerate(lines, 1):
        if isinstance(line, RejectedRecord):
            yield line
        elif line.strip() and (row := _of_json(number, line, chosen, edge)):
            yield row


def _of_json(number: int, line: str, chosen: TableMap, edge: str) -> TableRow | RejectedRecord | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return rejected_record(
            edge, (0, number), RejectionReason.NOT_JSON, f"line {number} column {error.colno}", error.msg
        )
    return _of_object(number, value, chosen, edge) if _takes(value, chosen) else None


def _takes(value: object, chosen: TableMap) -> bool:
    """Return whether the map's [only] takes this object."""
    return not isinstance(value, dict) or all(
        _cell(value.get(column)) in wanted for column, wanted in chosen.only.items()
    )


def _of_object(number: int, value: object, chosen: TableMap, edge: str) -> TableRow | RejectedRecord:
    if not isinstance(value, dict):
        return rejected_record(
            edge, (0, number), RejectionReason.DATA, f"line {number}", "expected an object with the map's columns"
        )
    values = {}
    for key, names in _wanted(chosen):
        texts = (_cell(value.get(name)) for name in names)
        values[key] = next((text for text in texts if text), "")
    return TableRow(number, values)


def _some_time(edge: str, chosen: TableMap) -> None:
    """Raise ValueError where neither a column nor `at` dates the rows: one mistake instead of one for each row."""
    if chosen.as_of is None:
        columns = (
            f"no column {' or '.join(chosen.columns.time)}" if chosen.columns.time else "the map names no column for it"
        )
        raise ValueError(
            f"{edge}: nothing says when this table was taken ({columns}): add --at, such as --at 2026-03-05"
        )


class Picker:
    """Takes the mapped columns out of a row's cells."""

    def __init__(self, header: list[Any], chosen: TableMap, edge: str) -> None:
        names = [_column_name(str(cell or "")) for cell in header]
        self.chosen, self.edge, self.width = chosen, edge, len(names)
        self.at = [
            (key, [names.index(name) for name in map(_column_name, wanted) if name in names])
            for key, wanted in _wanted(chosen)
        ]
        missing = [" or ".join(wanted) for key, wanted in _wanted(chosen) if key in NEEDED and not dict(self.at)[key]]
        if missing:
            raise ValueError(f"{edge}: its first lines name no column {', nor '.join(missing)}")
        if not dict(self.at)["time"]:
            _some_time(edge, chosen)
        self.only = [
            (names.index(_column_name(column)), values)
            for column, values in chosen.only.items()
            if _column_name(column) in names
        ]
        if len(self.only) < len(chosen.only):
            raise ValueError(f"{edge}: its first lines name no column {' nor '.join(chosen.only)} of the map's [only]")

    def rows(self, line: int, cells: list[Any]) -> Iterator[TableRow | RejectedRecord]:
        """Yield the row, or its rejection, where the map's [only] takes it."""
        if self.takes(cells):
            yield self.row(line, cells)

    def takes(self, cells: list[Any]) -> bool:
        """Return whether the map's [only] takes this row."""
        return all(column < len(cells) and str(cells[column] or "").strip() in values for column, values in self.only)

    def row(self, line: int, cells: list[Any]) -> TableRow | RejectedRecord:
        """Return the row, or its rejection."""
        if len(cells) > self.width and any(str(cell or "").strip() for cell in cells[self.width :]):
            return rejected_record(
                self.edge,
                (0, line),
                RejectionReason.DATA,
                "line",
                f"{len(cells)} cells; the first line names {self.width}",
            )
        values = {}
        for key, columns in self.at:
            try:
                texts = [_cell(cells[column]) for column in columns if column < len(cells)]
            except ValueError as error:
                return rejected_record(self.edge, (0, line), RejectionReason.DATA, key, str(error))
            values[key] = next((text for text in texts if text), "")
            if key in IDS and SCIENTIFIC.match(values[key]):
                message = f"{values[key]} is in scientific notation and has lost digits: keep the column as text"
                return rejected_record(self.edge, (0, line), RejectionReason.DATA, key, message)
        return TableRow(line, values)


def _column_name(word: str) -> str:
    return word.strip().lstrip("\ufeff").casefold()


def _wanted(chosen: TableMap) -> list[tuple[str, tuple[str, ...]]]:
    return [(field.alias or name, getattr(chosen.columns, name)) for name, field in ColumnNames.model_fields.items()]


def _cell(value: Any) -> str:
    """Return a cell as text; raises ValueError where a spreadsheet has lost digits of it."""
    if value is UNCOMPUTED:
        raise NeverComputed
    if value is None or isinstance(value, bool | dict | list):
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number(value)
    return str(value).strip()


def _number(value: float) -> str:
    if not math.isfinite(value) or abs(value) >= EXACT_NUMBER:
        raise ValueError("a number of more than 15 digits has lost some: keep the column as text")
    return str(int(value)) if value == int(value) else str(value)


def _text(lines: Iterable[bytes], encoding: str, edge: str) -> Iterator[str | RejectedRecord]:
    """Decode line by line; a line in another encoding is rejected alone (0x0A is part of no character in either encoding)."""
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LONGEST_LINE_BYTES:
                raise ValueError(f"{len(line)} bytes; at most {LONGEST_LINE_BYTES}")
            yield line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode(encoding)
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not {encoding}; declare the encoding in the map"
            yield rejected_record(edge, (0, number), RejectionReason.NOT_UTF8, f"line {number}", message)
        except ValueError as error:
            yield rejected_record(edge, (0, number), RejectionReason.TOO_LARGE, f"line {number}", str(error))


def _decoded(file: BufferedReader, encoding: str, edge: str) -> Iterator[str | RejectedRecord]:
    """Yield a file's lines as text without NULs: in UTF-16 where its first bytes say so, else in the map's encoding."""
    marked = file.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    utf16 = "utf-16" if marked else encoding if encoding.startswith("utf-16") else None
    lines = _of_utf16(file, utf16, edge) if utf16 else _text(file, encoding, edge)
    return (line if isinstance(line, RejectedRecord) else line.replace("\0", "") for line in lines)


def _of_utf16(file: BufferedReader, encoding: str, edge: str) -> Iterator[str | RejectedRecord]:
    for number, line in enumerate(TextIOWrapper(file, encoding, errors="replace", newline="\n"), 1):
        if "\ufffd" in line:
            yield rejected_record(edge, (0, number), RejectionReason.NOT_UTF8, f"line {number}", "not UTF-16")
        else:
            yield line


def _sheet(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > LARGEST_XLSX_BYTES:
            raise ValueError(f"{path.name}: {size} bytes unpacked; at most {LARGEST_XLSX_BYTES}")
        rows = (tuple(map(_shown, cells)) for cells in _cells_in(path, sheet, values=True))
        first = list(islice(rows, LOOKED_AT))
        if any(cell is None for row in first for cell in row):
            first = [
                tuple(map(_computed, *pair)) for pair in zip(first, _cells_in(path, sheet, values=False), strict=False)
            ]
        yield from chain(first, rows)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, IndexError, SyntaxError) as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def _cells_in(path: Path, sheet: str | None, *, values: bool) -> Iterator[tuple[Any, ...]]:
    """Yield a sheet's rows of cells, formulas as their values or as themselves."""
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=values)
    yield from (book[sheet] if sheet else book.worksheets[0]).iter_rows()


class NeverComputed(Exception):
    """A cell that the map names holds a formula without a value: a program wrote it, and none has computed it."""


# In place of a cell's value.
UNCOMPUTED = object()


def _computed(value: Any, cell: Any) -> Any:
    return UNCOMPUTED if value is None and cell.data_type == "f" else value


def _shown(cell: Any) -> Any:
    """Return a cell's value, a whole number with the zeros that its format shows in front (00000000: a barcode)."""
    value, shown_as = cell.value, cell.number_format
    zeros = isinstance(value, int | float) and shown_as and ZEROS.match(shown_as) and value == int(value) >= 0
    return str(int(value)).zfill(len(shown_as)) if zeros else value


def _of_cells(rows: Iterator[tuple[Any, ...]], chosen: TableMap, edge: str) -> Iterator[TableRow | RejectedRecord]:
    try:
        yield from _below_header(((line, list(cells)) for line, cells in enumerate(rows, 1)), chosen, edge)
    except NeverComputed as error:
        message = (
            f"{edge}: its cells hold formulas that no program has computed: open it in one, save it, and import that"
        )
        raise ValueError(message) from error


# --- From rows to facts -------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    """The part of a row that cannot be translated: column, reason, message."""

    def __init__(self, column: str, message: str, reason: RejectionReason = RejectionReason.DATA) -> None:
        super().__init__(message)
        self.column, self.reason = column, reason


def facts_of(row: TableRow, chosen: TableMap, edge: str, at: datetime | None = None) -> Iterator[Translated]:
    """Yield the facts of one row, or its rejection; nothing where the map says to skip it."""
    try:
        meaning = _meaning(row, chosen)
        if meaning == "skip":
            return
        made = list(_stock(row, chosen, meaning, at) if chosen.rows == "stock" else _happened(row, chosen, meaning, at))
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
    title_class = chosen.classes.get(word) or _by_pattern(word, chosen.classes) or chosen.default_class or word
    added = CopyAdded.model_validate(
        {
            "copy": values["copy"],
            "place": _home(row, chosen),
            "title": values["title"],
            "class": title_class,
            "title_name": values.get("name", "")[:300] or None,
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


def _happened(row: TableRow, chosen: TableMap, meaning: str, at: datetime | None) -> Iterator[EventDict]:
    time = _time(row, chosen, at)
    if meaning in STATES:
        yield _event(_corrected(row, chosen, CopyState(meaning)), chosen, time)
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
    yield _event(fact.model_validate(values), chosen, time)
    if row.values.get("returned"):
        # One row holds a loan and its return.
        back = _place(row.values.get("returned_place") or row.values["place"], chosen, row.values.get("location", ""))
        returned = CopyReturned.model_validate({"copy": row.values["copy"], "place": back.removeprefix(VIA)})
        yield _event(returned, chosen, _instant(row.values["returned"], chosen, "returned"), sequence=1)


# In the map: a place that takes no part, and the beginning of one in which copies only wait for a van.
NO_PLACE, VIA = "-", "via:"


def _place(word: str, chosen: TableMap, location: str = "") -> str:
    """Return the place of a code and a location below it: by both, by a pattern, by the code alone."""
    if not word:
        raise Wrong("place", "empty", RejectionReason.UNKNOWN_PLACE)
    if not chosen.places:
        return word
    both = f"{word}/{location}"
    found = chosen.places.get(both) or _by_pattern(both, chosen.places) or chosen.places.get(word)
    if found is None:
        named = both if location else word
        raise Wrong("place", f"{named!r} is not in the map's [places]", RejectionReason.UNKNOWN_PLACE)
    return found


def _by_pattern(word: str, values: Mapping[str, str]) -> str | None:
    """Return the value of the first pattern that a word has."""
    patterns = (key for key in values if ("*" in key or "?" in key) and fnmatchcase(word, key))
    return next((values[key] for key in patterns), None)


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
    own = (_as(written) for written in chosen.times)
    for read_as in (*own, datetime.fromisoformat, *map(_as, TIME_FORMATS)):
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
        return lambda word: datetime.strptime(word, written)  # noqa: DTZ007

    def read_serial(word: str) -> datetime:
        found = sheets.of_serial(float(word))
        if found is None:
            raise ValueError("no serial number of a date")
        return found

    return read_serial


def _event(fact: Fact, chosen: TableMap, time: datetime, sequence: int = 0) -> EventDict:
    told_of = fact.model_dump(by_alias=True, exclude_none=True)
    identity = id_of(chosen.source, fact.type, sequence, time.isoformat(), *(v for _, v in sorted(told_of.items())))
    return event(fact, chosen.source, time, event_id=identity, sequence=sequence)
