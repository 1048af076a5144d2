"""The mapped columns out of rows: the header that names them, and each row's cells as text."""

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from rotation.facts.events import (
    RejectionReason,
)
from rotation.feeds.carrying import RejectedRecord, rejected_record
from rotation.feeds.tables.mapping import Caption, ColumnNames, Rows, TableMap, TableRow
from rotation.feeds.tables.workbooks import UNCOMPUTED, NeverComputed

# Beyond it a spreadsheet's number has lost digits: the barcode must be text.
EXACT_NUMBER = 10**15
# Titles, merged heads and empty lines above the names of columns.
HEADER_ROWS = 30
# What a total or the foot of a printed page begins with; units and numbers may follow a total.
TOTAL = re.compile(
    r"^\W*(?:(?:(?:grand |sub-?)?totals?|sum|count)(?![\w-])|合\s*计|总\s*计|小\s*计|共\s*计|总\s*数|总册数|共)"
    r"(?:\W|\d|of|copies|items|books|rows|records|titles|[册本条种件数]|馆藏)*$",
    re.IGNORECASE,
)
FOOT = re.compile(
    r"^\W*(?:printed (?:by|on|at)\b|page \d+|end of \w+$|制表|打印|审核|导出时间|第\s*\d+\s*页|以下空白)", re.IGNORECASE
)
# A spreadsheet writes a long number so when it saves text.
SCIENTIFIC = re.compile(r"^\d(?:[.,]\d+E\+?|E\+)\d+$", re.IGNORECASE)
# Values that tell things apart, so that none of their digits may be lost.
IDS = ("copy", "title", "volume_of", "transfer", "barcode")
# Without these a row says nothing; a rejection names anything else that a row lacks.
NEEDED = ("copy", "place")


def below_header(
    found: Iterable[tuple[int, list[Any] | RejectedRecord]],
    chosen: TableMap,
    edge: str,
    expect: Callable[[int], None] = lambda _: None,
) -> Rows:
    """Yield the rows below the first row that names the map's columns; titles may stand above it."""
    picker: Picker | None = None
    wrong: ValueError | None = None
    above = 0
    for line, cells in found:
        if isinstance(cells, RejectedRecord):
            wrong = wrong or ValueError(f"{edge}: line {line}: {cells.rejection.message}")
            yield cells
        elif not any(str(cell or "").strip() for cell in cells):
            continue
        elif picker:
            yield from picker.rows(line, cells)
        else:
            picker, error = picker_of(cells, chosen, edge)
            wrong, above = wrong or error, above + 1
            if picker:
                expect(picker.width)
            elif above == HEADER_ROWS:
                break
    if picker is None:
        raise wrong or ValueError(f"{edge}: empty; the first line must name the columns")


def picker_of(cells: list[Any], chosen: TableMap, edge: str) -> "tuple[Picker | None, ValueError | None]":
    try:
        return Picker(cells, chosen, edge), None
    except ValueError as error:
        return None, error


def takes(value: object, chosen: TableMap) -> bool:
    """Return whether the map's [only] takes this object."""
    if not isinstance(value, dict):
        return True
    cells = _by_name(value)
    return all(cell_text(cells.get(_column_name(column))) in wanted for column, wanted in chosen.only.items())


def _by_name(value: dict[str, Any]) -> dict[str, Any]:
    return {_column_name(key): cell for key, cell in value.items()}


def demand_columns(objects: Iterable[object], chosen: TableMap, edge: str) -> None:
    """Raise ValueError where no object has the columns that every row needs: one mistake instead of one for each row."""
    names = {_column_name(key) for value in objects if isinstance(value, dict) for key in value}
    wanted = dict(_wanted(chosen))
    missing = [" or ".join(wanted[key]) for key in NEEDED if names.isdisjoint(map(_column_name, wanted[key]))]
    if names and missing:
        raise ValueError(f"{edge}: its first objects name no column {', nor '.join(missing)}")
    if names and names.isdisjoint(map(_column_name, wanted["time"])):
        demand_time(edge, chosen)


def of_object(number: int, value: object, chosen: TableMap, edge: str) -> TableRow | RejectedRecord:
    if not isinstance(value, dict):
        return rejected_record(
            edge, (0, number), RejectionReason.DATA, f"line {number}", "expected an object with the map's columns"
        )
    values, by_name = {}, _by_name(value)
    for key, names in _wanted(chosen):
        # JSON's whole numbers are exact, however long.
        cells = (by_name.get(_column_name(name)) for name in names)
        try:
            texts = [str(cell) if type(cell) is int else cell_text(cell) for cell in cells]
        except ValueError as error:
            return rejected_record(edge, (0, number), RejectionReason.DATA, key, str(error))
        values[key] = next((text for text in texts if text), "")
        if lost := _lost_digits(key, values[key]):
            return rejected_record(edge, (0, number), RejectionReason.DATA, key, lost)
    return TableRow(number, values)


def demand_time(edge: str, chosen: TableMap) -> None:
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
        self.chosen, self.edge, self.width, self.names = chosen, edge, len(names), names
        self.at = [
            (key, [names.index(name) for name in map(_column_name, wanted) if name in names])
            for key, wanted in _wanted(chosen)
        ]
        missing = [" or ".join(wanted) for key, wanted in _wanted(chosen) if key in NEEDED and not dict(self.at)[key]]
        if missing:
            raise ValueError(f"{edge}: its first lines name no column {', nor '.join(missing)}")
        if not dict(self.at)["time"]:
            demand_time(edge, chosen)
        self.only = [
            (names.index(_column_name(column)), values)
            for column, values in chosen.only.items()
            if _column_name(column) in names
        ]
        if len(self.only) < len(chosen.only):
            raise ValueError(f"{edge}: its first lines name no column {' nor '.join(chosen.only)} of the map's [only]")

    def rows(self, line: int, cells: list[Any]) -> Rows:
        """Yield the row, its rejection, or that it is none, where the map's [only] takes it."""
        if self.takes(cells):
            row = self.row(line, cells)
            yield Caption(line) if self._is_caption(row, cells) else row

    def _is_caption(self, row: TableRow | RejectedRecord, cells: list[Any]) -> bool:
        if isinstance(row, RejectedRecord):
            return False
        texts = [text for text in (str(cell if cell is not None else "").strip() for cell in cells) if text]
        if is_total(texts):
            # A copy may have such a word for its title: it has a barcode and a place then.
            return not all(row.values[key] for key in NEEDED) or row.values["copy"] == texts[0]
        return [_column_name(text) for text in texts] == [name for name in self.names if name]

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
                texts = [cell_text(cells[column]) for column in columns if column < len(cells)]
            except ValueError as error:
                return rejected_record(self.edge, (0, line), RejectionReason.DATA, key, str(error))
            values[key] = next((text for text in texts if text), "")
            if lost := _lost_digits(key, values[key]):
                return rejected_record(self.edge, (0, line), RejectionReason.DATA, key, lost)
        return TableRow(line, values)


def is_total(texts: Iterable[str]) -> bool:
    """Return whether a row's first text that is not empty begins a total or the foot of a page."""
    first = next(filter(None, texts), "")
    return bool(TOTAL.match(first) or FOOT.match(first))


def _lost_digits(key: str, value: str) -> str | None:
    """Return that a value that tells things apart has lost digits of it, None if it has not."""
    if key not in IDS or not SCIENTIFIC.match(value):
        return None
    return f"{value} is in scientific notation and has lost digits: keep the column as text"


def _column_name(word: str) -> str:
    return word.strip().lstrip("\ufeff").casefold()


def _wanted(chosen: TableMap) -> list[tuple[str, tuple[str, ...]]]:
    return [(field.alias or name, getattr(chosen.columns, name)) for name, field in ColumnNames.model_fields.items()]


def cell_text(value: Any) -> str:
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
