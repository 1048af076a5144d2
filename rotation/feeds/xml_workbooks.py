"""Workbooks in the XML of Excel 2003 (SpreadsheetML), which many library systems export under the name .xls."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from rotation.feeds.number_formats import shown

# Text that says what the file is.
NAMESPACE = b"urn:schemas-microsoft-com:office:spreadsheet"
NAMED = f"{{{NAMESPACE.decode()}}}"
# Of a sheet: a row or cell that says that it stands further off is a mistake.
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384


def names_in(path: Path) -> list[str]:
    """Return the names of the sheets, in their order; raises ValueError where the workbook cannot be read."""
    return [name for name, _ in _sheets(path, wanted="")]


def rows_of(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sheet, or of the first, numbers with the zeros that they show.

    Raises
    ------
    ValueError
        When the workbook cannot be read, or has no such sheet.
    """
    names = list[str]()
    for name, row in _sheets(path, sheet):
        if row is None:
            names.append(name)
        elif sheet in (None, name):
            yield row
    if not names or (sheet and sheet not in names):
        raise ValueError(f"{path.name}: no sheet {sheet!r}; it has {', '.join(names)}")


def _sheets(path: Path, wanted: str | None) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Yield each sheet's name alone, then with each row of the wanted sheet (None: the first, "": of none)."""
    formats, name, number = dict[str, str](), "", 0
    try:
        # Expat itself limits what entities expand to.
        for event, element in Xml.iterparse(path, events=("start", "end")):  # noqa: S314
            tag = element.tag.removeprefix(NAMED)
            if event == "start":
                if tag == "Worksheet":
                    name, number = element.get(f"{NAMED}Name", ""), 0
                    wanted = name if wanted is None else wanted
                    yield name, None
                continue
            if tag == "Style":
                found = element.find(f"{NAMED}NumberFormat")
                formats[element.get(f"{NAMED}ID", "")] = "" if found is None else found.get(f"{NAMED}Format", "")
            elif tag == "Row" and name == wanted:
                at = _index(element, number, LAST_ROW)
                yield from ((name, ()) for _ in range(at - number - 1))
                yield name, tuple(_cells(element, formats))
                number = at
            if tag in ("Row", "Worksheet"):
                element.clear()
    except (Xml.ParseError, LookupError, UnicodeError) as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {error}") from error


def _index(element: Xml.Element, before: int, last: int) -> int:
    """Return the number of a row or cell: its own, or the next."""
    at = int(element.get(f"{NAMED}Index", before + 1))
    if not before < at <= last:
        raise LookupError(f"number {at} after {before}")
    return at


def _cells(row: Xml.Element, formats: dict[str, str]) -> Iterator[Any]:
    number = 0
    for cell in row.iter(f"{NAMED}Cell"):
        at = _index(cell, number, LAST_COLUMN)
        yield from (None for _ in range(at - number - 1))
        style = cell.get(f"{NAMED}StyleID") or row.get(f"{NAMED}StyleID") or ""
        yield _value(cell.find(f"{NAMED}Data"), formats.get(style, ""))
        merged = int(cell.get(f"{NAMED}MergeAcross", 0))
        if at + merged > LAST_COLUMN:
            raise LookupError(f"{merged} merged cells")
        yield from (None for _ in range(merged))
        number = at + merged


def _value(data: Xml.Element | None, number_format: str) -> Any:
    if data is None:
        return None
    text, kind = "".join(data.itertext()), data.get(f"{NAMED}Type")
    try:
        if kind == "Number":
            return shown(float(text) if set(text) & set(".eE") else int(text), number_format)
        return datetime.fromisoformat(text) if kind == "DateTime" else text
    except ValueError:
        return text
