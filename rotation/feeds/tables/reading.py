"""A table's file by its content: CSV, a workbook, a page, JSON; whatever it is, rows come out."""

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from rotation.facts.events import (
    RejectionReason,
)
from rotation.feeds import ods_workbooks, sheets, xml_workbooks
from rotation.feeds.carrying import RejectedRecord, rejected_record
from rotation.feeds.tables.mapping import Rows, TableMap, TableRow
from rotation.feeds.tables.picking import (
    HEADER_ROWS,
    below_header,
    demand_columns,
    demand_time,
    of_object,
    picker_of,
    takes,
)
from rotation.feeds.tables.text import CsvRecords, decoded
from rotation.feeds.tables.workbooks import NeverComputed, workbook_names, workbook_rows

JSON_KINDS = (".jsonl", ".ndjson", ".json")


def read(path: Path, chosen: TableMap, at: datetime | None = None) -> Rows:
    """Yield the file's rows; an unreadable row is rejected with its line, and the rest continues. Raises as `translate` does."""
    edge, kind = f"file:{path.name}", path.suffix.lower()
    chosen = chosen if at is None else chosen.model_copy(update={"as_of": at})
    if not chosen.columns.time:
        demand_time(edge, chosen)
    found = sheets.Kind.TEXT if kind in JSON_KINDS else sheets.kind_of(path)
    if found is sheets.Kind.TEXT and kind not in JSON_KINDS and _is_json(path):
        kind = ".json"
    if cells := _cells_of(path, found, chosen):
        yield from _of_cells(iter(cells), chosen, edge)
        return
    with path.open("rb") as file:
        lines = decoded(file, chosen.encoding, edge)
        if kind not in JSON_KINDS:
            _demand_encoding(path, chosen, edge)
            yield from _of_text(path, lines, chosen, edge)
        elif (array := _json_array(file, edge, kind)) is not None:
            demand_columns(array[:LOOKED_AT], chosen, edge)
            taken = ((number, value) for number, value in enumerate(array, 1) if takes(value, chosen))
            yield from (of_object(number, value, chosen, edge) for number, value in taken)
        else:
            yield from of_json_lines(lines, chosen, edge)


# Objects whose names are looked at before any is read: enough to tell another table from a slip.
LOOKED_AT = 20
JSON_BEGINS = re.compile(rb'\[\s*\{\s*"|\{\s*"')


def _is_json(path: Path) -> bool:
    """Return whether a file of another name begins as rows of JSON."""
    with path.open("rb") as file:
        return bool(JSON_BEGINS.match(_as_utf8(file.read(sheets.HEAD_BYTES))))


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
    whole = cells if cells is not None else ROWS_OF[kind](path, None)
    yield from ((number, list(row)) for number, row in enumerate(whole, 1))


ROWS_OF: dict[sheets.Kind, Callable[[Path, str | None], Iterator[tuple[Any, ...]]]] = {
    sheets.Kind.XLSX: workbook_rows,
    sheets.Kind.WORKBOOK: sheets.of_workbook,
    sheets.Kind.ODS: ods_workbooks.rows_of,
    sheets.Kind.XML: xml_workbooks.rows_of,
}
NAMES_IN: dict[sheets.Kind, Callable[[Path], list[str]]] = {
    sheets.Kind.XLSX: workbook_names,
    sheets.Kind.WORKBOOK: sheets.names_in,
    sheets.Kind.ODS: ods_workbooks.names_in,
    sheets.Kind.XML: xml_workbooks.names_in,
}


class SheetChoice(NamedTuple):
    """The sheet of a workbook that is read, and the others; `also` names those of them that have the map's columns too."""

    sheet: str | None
    others: list[str]
    also: list[str]


def sheet_choice(path: Path, chosen: TableMap) -> SheetChoice | None:
    """Return which sheet of a workbook is read: the map's, or the first with its columns; None for any other file."""
    kind = sheets.kind_of(path)
    if kind not in ROWS_OF or path.suffix.lower() in JSON_KINDS:
        return None
    names = NAMES_IN[kind](path)
    chosen = chosen.model_copy(update={"as_of": ANY_TIME})
    fitting = [name for name in names if len(names) > 1 and _names_columns(ROWS_OF[kind](path, name), chosen)]
    sheet = chosen.sheet or next(iter(fitting or names), None)
    others = [name for name in names if name != sheet]
    return SheetChoice(sheet, others, [name for name in others if name in fitting])


def _cells_of(path: Path, kind: sheets.Kind, chosen: TableMap) -> Iterable[tuple[Any, ...]] | None:
    """Return the rows of a workbook or a page; None for text."""
    if kind is sheets.Kind.HTML:
        return sheets.of_html(path, chosen.encoding)
    choice = sheet_choice(path, chosen) if kind in ROWS_OF else None
    return choice and ROWS_OF[kind](path, choice.sheet)


def _names_columns(rows: Iterable[Iterable[Any]], chosen: TableMap) -> bool:
    return any(picker_of(list(row), chosen, "")[0] for row in islice(rows, HEADER_ROWS))


def _of_text(path: Path, lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str) -> Rows:
    """Yield the rows of text; where no header is found in the map's encoding, name the one in which there is."""
    told = chosen if "delimiter" in chosen.model_fields_set else _with_its_delimiter(path, chosen)
    try:
        yield from of_csv(lines, told, edge)
    except ValueError as error:
        if likely := _likely_encoding(path, told, edge):
            message = f'{edge}: not in {chosen.encoding}: in {likely} its first lines name the columns; set encoding = "{likely}"'
            raise ValueError(message) from error
        raise


# Between cells where the map does not say it: many systems export text with tabs, under the name .xls too.
DELIMITERS = (",", "\t", ";", "|")


def _with_its_delimiter(path: Path, chosen: TableMap) -> TableMap:
    """Return the map with the delimiter by which one of the first lines names the columns."""
    with path.open("rb") as file:
        head = file.read(sheets.HEAD_BYTES)
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    lines = head.decode("utf-16" if utf16 else chosen.encoding, "ignore").replace("\0", "").splitlines()[:HEADER_ROWS]
    for delimiter in DELIMITERS:
        if _names_columns(csv.reader(lines, delimiter=delimiter), chosen):
            return chosen.model_copy(update={"delimiter": delimiter})
    return chosen


def _demand_encoding(path: Path, chosen: TableMap, edge: str) -> None:
    """Raise ValueError where no line beyond ASCII is in the map's encoding: one mistake, not one for each row."""
    with path.open("rb") as file:
        head = file.read(sheets.HEAD_BYTES)
    if chosen.encoding.startswith("utf-16") or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return
    # The last line may be cut in a character.
    beyond = [line for line in head.split(b"\n")[:-1] if not line.isascii()]
    if len(beyond) > 1 and not any(sheets.is_in(line, chosen.encoding) for line in beyond):
        fitting = (name for name in sheets.ENCODINGS if all(sheets.is_in(line, name) for line in beyond))
        likely = _likely_encoding(path, chosen, edge) or next(fitting, None)
        hint = f'{likely} fits: set encoding = "{likely}"' if likely else "set encoding in the map"
        raise ValueError(f"{edge}: its lines are not in {chosen.encoding}; {hint}")


def _likely_encoding(path: Path, chosen: TableMap, edge: str) -> str | None:
    """Return the encoding in which one of the first lines names the columns, None where there is none."""
    with path.open("rb") as file:
        head = file.read(sheets.HEAD_BYTES)
    for encoding in sheets.ENCODINGS:
        text = head.decode(encoding, "ignore")
        rows = csv.reader(text.splitlines()[:HEADER_ROWS], delimiter=chosen.delimiter)
        if encoding != chosen.encoding and any(picker_of(list(row), chosen, edge)[0] for row in rows):
            return encoding
    return None


def of_csv(lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str) -> Rows:
    """Yield the rows of CSV text of which one of the first lines names the columns."""
    found = CsvRecords(lines, chosen.delimiter, edge)
    yield from below_header(found, chosen, edge, found.expect)


def _json_array(file: BufferedReader, edge: str, kind: str) -> list[Any] | None:
    """Return a file's JSON array, which may be the only one in an object; None for JSON lines.

    Raises
    ------
    ValueError
        When a .json file begins as an array and is none, or is an object over many lines without an array.
    """
    begins = _as_utf8(file.peek(sheets.HEAD_BYTES))[:1]
    if begins != b"[" and kind != ".json":
        return None
    content = _as_utf8(file.read())
    file.seek(0)
    try:
        found: Any = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if kind != ".json" or begins != b"[":
            return None
        raise ValueError(f"{edge}: begins as a JSON array and is none: line {error.lineno}, {error.msg}") from error
    if isinstance(found, list):
        return found
    arrays = list(_arrays_in(found))
    if len(arrays) == 1:
        return arrays[0]
    if b"\n" not in content.rstrip():
        return None
    raise ValueError(f"{edge}: a JSON object with {len(arrays)} arrays; expected an array of rows, or a row a line")


def _arrays_in(value: Any) -> Iterator[list[Any]]:
    """Yield the arrays in an object and in the objects below it."""
    for below in value.values() if isinstance(value, dict) else ():
        if isinstance(below, list):
            yield below
        else:
            yield from _arrays_in(below)


def _as_utf8(content: bytes) -> bytes:
    """Return JSON without its mark and the spaces before it, in UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8).lstrip()


def of_json_lines(lines: Iterable[str | RejectedRecord], chosen: TableMap, edge: str) -> Rows:
    """Yield the rows of JSON lines, each an object."""
    numbered = enumerate(lines, 1)
    first = list(islice(numbered, LOOKED_AT))
    demand_columns((_object_in(line) for _, line in first), chosen, edge)
    for number, line in chain(first, numbered):
        if isinstance(line, RejectedRecord):
            yield line
        elif line.strip() and (row := _of_json(number, line, chosen, edge)):
            yield row


def _object_in(line: str | RejectedRecord) -> object:
    try:
        return None if isinstance(line, RejectedRecord) else orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _of_json(number: int, line: str, chosen: TableMap, edge: str) -> TableRow | RejectedRecord | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return rejected_record(
            edge, (0, number), RejectionReason.NOT_JSON, f"line {number} column {error.colno}", error.msg
        )
    return of_object(number, value, chosen, edge) if takes(value, chosen) else None


def _of_cells(rows: Iterator[tuple[Any, ...]], chosen: TableMap, edge: str) -> Rows:
    try:
        yield from below_header(((line, list(cells)) for line, cells in enumerate(rows, 1)), chosen, edge)
    except NeverComputed as error:
        message = (
            f"{edge}: its cells hold formulas that no program has computed: open it in one, save it, and import that"
        )
        raise ValueError(message) from error
