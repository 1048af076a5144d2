"""Tables from any library system: CSV, XLSX and JSON lines, read by a column map.

The map names the columns that are read; all others, readers' among them, never leave the file. A "stock" table says of each
row where a copy is now, an "events" table what happened to it.
"""

import codecs
import csv
import math
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from rotation.adapters import maps
from rotation.adapters.feed import Refusal, Told, Translated, event, id_of, records, refusal
from rotation.events import FACT_OF_TYPE, CopyAdded, CopyCorrected, Fact, Reason, TransferSent
from rotation.movements import State

LONGEST_LINE_BYTES = 100_000  # of a row; longer ones are damaged files
LARGEST_XLSX_BYTES = 2_000_000_000  # unpacked: a sheet of a million rows has half of it; more is no table
EXACT_NUMBER = 10**15  # beyond it a spreadsheet's number has lost digits: the barcode must be text
TIME_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日",
    "%Y%m%d%H%M%S",
)
STATES = frozenset(State)
NEEDED = ("copy", "place")  # without them no row says anything; what else a row lacks, its refusal names
MAPPED_FACTS = tuple(name for name in FACT_OF_TYPE if name.startswith(("copy.", "transfer.")) and name != "copy.added")


class Row(NamedTuple):
    """The mapped columns of one row as text; what is empty is missing."""

    line: int
    values: dict[str, str]


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_list)]  # the first of these columns that is not empty counts


class Columns(BaseModel):
    """Which columns are read for what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    copy_id: Names = Field(alias="copy")
    place: Names
    says: Names = ()
    to: Names = ()
    time: Names = ()
    title: Names = ()
    title_class: Names = Field(default=(), alias="class")
    title_name: Names = Field(default=(), alias="name")
    volume_of: Names = ()
    owner: Names = ()
    home: Names = ()
    added: Names = ()
    transfer: Names = ()


class Map(BaseModel):
    """How a table is read; the file that says so is TOML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)]
    rows: Literal["stock", "events"]
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    sheet: str | None = None
    timezone: maps.TimeZone = "Asia/Shanghai"
    as_of: AwareDatetime | None = None
    columns: Columns
    says: dict[str, str] = {}
    default_says: str | None = None
    places: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str | None = None

    @field_validator("says")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for word, meaning in value.items():
            if meaning not in STATES and meaning not in MAPPED_FACTS and meaning != "skip":
                raise ValueError(f"{word}: {meaning!r} is no state, no event of a copy and not skip")
        return value


def read_map(path: Path) -> Map:
    """Read a column map.

    Raises
    ------
    ValueError
        With every mistake, each with the file and the key.
    """
    return maps.read(path, Map)


def translate(path: Path, chosen: Map, at: datetime | None = None) -> Iterator[Translated]:
    """Yield what the file's rows say, in their order; `at` is when a stock table was taken, where no column says.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read: no header, not the columns that the map names, no workbook.
    """
    edge = f"file:{path.name}"
    for row in read(path, chosen):
        yield from [row] if isinstance(row, Refusal) else told(row, chosen, edge, at)


# --- Rows of a file -----------------------------------------------------------------------------------------------------------


def read(path: Path, chosen: Map) -> Iterator[Row | Refusal]:
    """Yield the file's rows; what cannot be read is refused with its line, and the rest goes on. Raises as `translate` does."""
    edge, kind = f"file:{path.name}", path.suffix.lower()
    if kind == ".xlsx":
        yield from _of_cells(_sheet(path, chosen.sheet), chosen, edge)
        return
    with path.open("rb") as file:
        lines = _text(file, chosen.encoding, edge)
        yield from (
            of_json_lines(lines, chosen, edge)
            if kind in (".jsonl", ".ndjson", ".json")
            else of_csv(lines, chosen, edge)
        )


def of_csv(lines: Iterable[str | Refusal], chosen: Map, edge: str) -> Iterator[Row | Refusal]:
    """Yield the rows of CSV text whose first line names the columns."""
    refused: list[Refusal] = []
    reader = csv.reader(_only_text(lines, refused), delimiter=chosen.delimiter)
    picker = None
    for cells in records(reader):
        if isinstance(cells, csv.Error):
            at = reader.line_num
            refused.append(refusal(edge, (0, at), Reason.DATA, f"line {at}", str(cells)))
        elif picker is None:
            picker = Picker(cells, chosen, edge)
        elif any(cell.strip() for cell in cells):
            yield picker.row(reader.line_num, cells)
        yield from refused
        refused.clear()
    yield from refused
    if picker is None:
        raise ValueError(f"{edge}: empty; the first line must name the columns")


def of_json_lines(lines: Iterable[str | Refusal], chosen: Map, edge: str) -> Iterator[Row | Refusal]:
    """Yield the rows of JSON lines, each an object."""
    for number, line in enumerate(lines, 1):
        if isinstance(line, Refusal):
            yield line
        elif line.strip():
            yield _of_json(number, line, chosen, edge)


def _of_json(number: int, line: str, chosen: Map, edge: str) -> Row | Refusal:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return refusal(edge, (0, number), Reason.NOT_JSON, f"line {number} column {error.colno}", error.msg)
    if not isinstance(value, dict):
        return refusal(edge, (0, number), Reason.DATA, f"line {number}", "expected an object with the map's columns")
    found = {}
    for key, names in _wanted(chosen):
        texts = (_cell(value.get(name), chosen) for name in names)
        found[key] = next((text for text in texts if text), "")
    return Row(number, found)


class Picker:
    """Takes the mapped columns out of a row's cells."""

    def __init__(self, header: list[Any], chosen: Map, edge: str) -> None:
        names = [str(cell or "").strip().lstrip("\ufeff") for cell in header]
        self.chosen, self.edge, self.width = chosen, edge, len(names)
        self.at = [(key, [names.index(name) for name in wanted if name in names]) for key, wanted in _wanted(chosen)]
        missing = [" or ".join(wanted) for key, wanted in _wanted(chosen) if key in NEEDED and not dict(self.at)[key]]
        if missing:
            raise ValueError(f"{edge}: its first line names no column {', nor '.join(missing)}")

    def row(self, line: int, cells: list[Any]) -> Row | Refusal:
        """Return the row, or why it is none."""
        if len(cells) > self.width and any(str(cell or "").strip() for cell in cells[self.width :]):
            return refusal(
                self.edge, (0, line), Reason.DATA, "line", f"{len(cells)} cells; the first line names {self.width}"
            )
        found = {}
        for key, columns in self.at:
            try:
                texts = [_cell(cells[column], self.chosen) for column in columns if column < len(cells)]
            except ValueError as error:
                return refusal(self.edge, (0, line), Reason.DATA, key, str(error))
            found[key] = next((text for text in texts if text), "")
        return Row(line, found)


def _wanted(chosen: Map) -> list[tuple[str, tuple[str, ...]]]:
    return [(field.alias or name, getattr(chosen.columns, name)) for name, field in Columns.model_fields.items()]


def _cell(value: Any, chosen: Map) -> str:
    """Return a cell as text; raises ValueError where a spreadsheet has lost digits of it."""
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


def _text(lines: Iterable[bytes], encoding: str, edge: str) -> Iterator[str | Refusal]:
    """Decode line by line as declared; a line of other bytes is refused alone (0x0A is no part of a sign in either encoding)."""
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LONGEST_LINE_BYTES:
                raise ValueError(f"{len(line)} bytes; at most {LONGEST_LINE_BYTES}")
            yield line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode(encoding)
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not {encoding}; declare the encoding in the map"
            yield refusal(edge, (0, number), Reason.NOT_UTF8, f"line {number}", message)
        except ValueError as error:
            yield refusal(edge, (0, number), Reason.TOO_LARGE, f"line {number}", str(error))


def _only_text(lines: Iterable[str | Refusal], refused: list[Refusal]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, Refusal):
            refused.append(line)
            yield "\n"  # an empty line in its place keeps the count
        else:
            yield line.replace("\0", "")


def _sheet(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > LARGEST_XLSX_BYTES:
            raise ValueError(f"{path.name}: {size} bytes unpacked; at most {LARGEST_XLSX_BYTES}")
        book = load_workbook(path, read_only=True, data_only=True)
        found = book[sheet] if sheet else book.worksheets[0]
        yield from found.iter_rows(values_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, IndexError, SyntaxError) as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def _of_cells(rows: Iterator[tuple[Any, ...]], chosen: Map, edge: str) -> Iterator[Row | Refusal]:
    header = next(rows, None)
    if header is None:
        raise ValueError(f"{edge}: empty; the first row must name the columns")
    picker = Picker(list(header), chosen, edge)
    for line, cells in enumerate(rows, 2):
        if any(cell is not None for cell in cells):
            yield picker.row(line, list(cells))


# --- From rows to facts -------------------------------------------------------------------------------------------------------


class Wrong(Exception):
    """What of a row cannot be told: column, reason, words."""

    def __init__(self, column: str, message: str, reason: Reason = Reason.DATA) -> None:
        super().__init__(message)
        self.column, self.reason = column, reason


def told(row: Row, chosen: Map, edge: str, at: datetime | None = None) -> Iterator[Translated]:
    """Yield the facts of one row, or its refusal; nothing where the map says to skip it."""
    try:
        meaning = _meaning(row, chosen)
        if meaning == "skip":
            return
        made = list(_stock(row, chosen, meaning, at) if chosen.rows == "stock" else _happened(row, chosen, meaning, at))
    except Wrong as wrong:
        yield refusal(edge, (0, row.line), wrong.reason, f"line {row.line} {wrong.column}", str(wrong), row.values)
    except ValidationError as error:
        first = error.errors()[0]
        column = f"line {row.line} {'.'.join(map(str, first['loc']))}"
        yield refusal(edge, (0, row.line), Reason.DATA, column, first["msg"], row.values)
    else:
        yield from made


def _meaning(row: Row, chosen: Map) -> str:
    word = row.values.get("says", "")
    meaning = chosen.says.get(word, word if word in STATES or word in MAPPED_FACTS else None)
    if meaning is None and not word:
        meaning = chosen.default_says
    if meaning is None:
        raise Wrong("says", f"{word!r} stands in no line of the map's [says]")
    return meaning


def _stock(row: Row, chosen: Map, meaning: str, at: datetime | None) -> Iterator[Told]:
    """Yield that the copy is in the stock, and where it is now."""
    time = _time(row, chosen, at)
    if meaning not in STATES:
        raise Wrong("says", f"{meaning!r} is no state; a stock table says where copies are")
    if row.values.get("title"):
        yield _added(row, chosen, time)
    yield _event(_corrected(row, chosen, State(meaning)), row, chosen, time, sequence=1)


def _added(row: Row, chosen: Map, time: datetime) -> Told:
    values = row.values
    word = values.get("class", "")
    title_class = chosen.classes.get(word) or chosen.default_class or word
    added = CopyAdded.model_validate(
        {
            "copy": values["copy"],
            "place": _place(values.get("home") or values["place"], chosen),
            "title": values["title"],
            "class": title_class,
            "title_name": values.get("name", "")[:300] or None,
            "volume_of": values.get("volume_of") or None,
            "owner": values.get("owner") or None,
        }
    )
    return _event(added, row, chosen, _instant(values["added"], chosen, "added") if values.get("added") else time)


def _corrected(row: Row, chosen: Map, state: State) -> Fact:
    where = {"copy": row.values["copy"], "place": _place(row.values["place"], chosen)}
    if state is State.IN_TRANSIT:
        return TransferSent.model_validate(where | _destination(row, chosen))
    return CopyCorrected.model_validate(where | {"now": state})


def _destination(row: Row, chosen: Map) -> dict[str, str]:
    to = row.values.get("to") or row.values.get("home")
    if not to:
        raise Wrong("to", "a copy in transit needs a destination (column to, or home)")
    return {"to": _place(to, chosen)}


def _happened(row: Row, chosen: Map, meaning: str, at: datetime | None) -> Iterator[Told]:
    time = _time(row, chosen, at)
    if meaning in STATES:
        yield _event(_corrected(row, chosen, State(meaning)), row, chosen, time)
        return
    fact = FACT_OF_TYPE[meaning]
    values: dict[str, Any] = {"copy": row.values["copy"], "place": _place(row.values["place"], chosen)}
    if "to" in fact.model_fields:
        values |= _destination(row, chosen)
    if "transfer" in fact.model_fields and row.values.get("transfer"):
        values["transfer"] = row.values["transfer"]
    yield _event(fact.model_validate(values), row, chosen, time)


def _place(word: str, chosen: Map) -> str:
    if not word:
        raise Wrong("place", "empty", Reason.UNKNOWN_PLACE)
    found = chosen.places.get(word) if chosen.places else word
    if found is None:
        raise Wrong("place", f"{word!r} stands in no line of the map's [places]", Reason.UNKNOWN_PLACE)
    return found


def _time(row: Row, chosen: Map, at: datetime | None) -> datetime:
    word = row.values.get("time", "")
    if word:
        return _instant(word, chosen, "time")
    known = at or chosen.as_of
    if known is None:
        raise Wrong("time", "no time: name its column, or say when the table was taken")
    return known


def _instant(word: str, chosen: Map, column: str) -> datetime:
    """Read a time as libraries write it; without a zone it is in the map's."""
    for read_as in (datetime.fromisoformat, *(lambda w, f=f: datetime.strptime(w, f) for f in TIME_FORMATS)):  # noqa: DTZ007
        try:
            found = read_as(word)
            return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(chosen.timezone))
        except (ValueError, OverflowError):
            continue
    raise Wrong(column, f"{word!r} is no time such as 2026-03-01 09:30:00")


def _event(fact: Fact, row: Row, chosen: Map, time: datetime, sequence: int = 0) -> Told:
    told_of = fact.model_dump(by_alias=True, exclude_none=True)
    identity = id_of(chosen.source, fact.type, sequence, time.isoformat(), *(v for _, v in sorted(told_of.items())))
    return event(fact, chosen.source, time, event_id=identity, sequence=sequence)
