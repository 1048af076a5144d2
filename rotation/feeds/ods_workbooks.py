"""OpenDocument's workbooks (.ods): a cell has its value and the text that it shows, so that a barcode keeps its zeros."""

import math
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
# The part of the file that has the sheets, and its largest size unpacked: a sheet of a million rows has half of it.
CONTENT, LARGEST_BYTES = "content.xml", 2_000_000_000
# A number shown as an id: fixed letters, digits and hyphens, and nothing that a date, a price or a share has.
AS_ID = re.compile(r"[A-Za-z-]*[0-9][0-9/-]*")
# Of a sheet: what is said to be repeated beyond it is only its empty rest.
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384


def names_in(path: Path) -> list[str]:
    """Return the names of the sheets, in their order; raises ValueError where the workbook cannot be read."""
    return [name for name, row in _sheets(path) if row is None]


def rows_of(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sheet, or of the first.

    Raises
    ------
    ValueError
        When the workbook cannot be read, or has no such sheet.
    """
    names = list[str]()
    for name, row in _sheets(path):
        if row is None:
            names.append(name)
        elif name == (sheet or names[0]):
            yield row
    if sheet and sheet not in names:
        raise ValueError(f"{path.name}: no sheet {sheet!r}; it has {', '.join(names)}")


def _sheets(path: Path) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Yield each sheet's name alone, then with each of its rows; empty rows only where others follow."""
    name, empty, number = "", 0, 0
    try:
        with zipfile.ZipFile(path) as packed, packed.open(CONTENT) as content:
            if packed.getinfo(CONTENT).file_size > LARGEST_BYTES:
                raise ValueError(f"more than {LARGEST_BYTES} bytes unpacked")
            # Expat itself limits what entities expand to.
            for event, element in Xml.iterparse(content, events=("start", "end")):  # noqa: S314
                if event == "start" and element.tag == f"{TABLE}table":
                    name, empty, number = element.get(f"{TABLE}name", ""), 0, 0
                    yield name, None
                elif event == "end" and element.tag == f"{TABLE}table-row":
                    row, times = tuple(_cells(element)), int(element.get(f"{TABLE}number-rows-repeated", 1))
                    number += times
                    if row and number <= LAST_ROW:
                        yield from ((name, ()) for _ in range(empty))
                        yield from ((name, row) for _ in range(times))
                        empty = 0
                    else:
                        empty += times
                    element.clear()
    except (zipfile.BadZipFile, Xml.ParseError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def _cells(row: Xml.Element) -> Iterator[Any]:
    empty, number = 0, 0
    for cell in row:
        if cell.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
            continue
        value, times = _value(cell), int(cell.get(f"{TABLE}number-columns-repeated", 1))
        number += times
        if value is None or number > LAST_COLUMN:
            empty += times
            continue
        yield from (None for _ in range(empty))
        yield from (value for _ in range(times))
        empty = 0


def _value(cell: Xml.Element) -> Any:
    kind, text = cell.get(f"{OFFICE}value-type"), "\n".join("".join(one.itertext()) for one in cell.findall(f"{TEXT}p"))
    if kind == "float":
        return _number(cell.get(f"{OFFICE}value", ""), text.strip())
    if kind == "date":
        return _instant(cell.get(f"{OFFICE}date-value", "")) or text
    return text or None


def _number(written: str, text: str) -> Any:
    """Return a number, or the text that it shows where that has all its digits and is an id's."""
    try:
        value = float(written)
    except ValueError:
        return text or None
    if not math.isfinite(value):
        return text or None
    if AS_ID.fullmatch(text) and int(re.sub("[^0-9]", "", text)) == value:
        return text
    return int(value) if value == int(value) else value


def _instant(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None
