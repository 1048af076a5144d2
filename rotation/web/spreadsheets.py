"""Tables of pages as CSV and XLSX: whatever a page shows in a table, sorted and filtered as the address says.

A table that has `data-table="name"` is taken from the finished page (`?table=name&form=xlsx`), so that a spreadsheet never says
anything else than the page, in the same language. Tables of one name are one spreadsheet. `sort-name` is a column's number from 1
(negative: downwards), `find-name` the text that its rows must contain; the page's script (tables.js) does the same on the screen.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import Element

import tinyhtml5
from fastapi import HTTPException, Response

if TYPE_CHECKING:
    from openpyxl.cell import WriteOnlyCell

Cell = str | float | int | None
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# A page shows the first rows of a long list, a spreadsheet all: a quarter of what a sheet may hold.
MOST_ROWS = 250_000
NUMBER = re.compile(r"[-−+]?\d{1,3}(,\d{3})*(\.\d+)?|[-−+]?\d+(\.\d+)?")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet program would work out
LONGEST_CELL = 32_767  # of a workbook
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
SKIPPED = ("button", "form", "script", "svg", "select")


class SheetTable(NamedTuple):
    """A table: its head, and its rows."""

    head: list[str]
    rows: list[list[Cell]]


def rows_shown(form: str | None, usual: int) -> int:
    """Return how many rows a list has: on the page the usual number, in a spreadsheet all."""
    return MOST_ROWS if form in TYPES else usual


def of_page(html: str, name: str, query: Mapping[str, str]) -> SheetTable:
    """Return the page's table of that name, sorted and filtered as the query says.

    Raises
    ------
    HTTPException
        404 where the page has no such table.
    """
    document = tinyhtml5.parse(html, namespace_html_elements=False)
    found = [table for table in document.iter("table") if table.get("data-table") == name]
    if not found:
        raise HTTPException(404, "table")
    heads = [[_text(cell) for cell in table.iterfind(".//thead/tr[last()]/*")] for table in found]
    rows = [
        [_cell(cell) for cell in row if cell.tag in ("td", "th")] for one in found for row in one.iterfind("./tbody/tr")
    ]
    asked = query.get(f"find-{name}", "").casefold()
    kept = [row for row in rows if asked in " ".join(str(cell) for cell in row if cell is not None).casefold()]
    return SheetTable(heads[0], _sorted(kept, query.get(f"sort-{name}", "")))


def _sorted(rows: list[list[Cell]], by: str) -> list[list[Cell]]:
    if not re.fullmatch(r"-?[1-9]\d?", by):
        return rows
    column = abs(int(by)) - 1

    def key(row: Sequence[Cell]) -> tuple[bool, float, str]:
        cell = row[column] if column < len(row) else None
        return (not isinstance(cell, int | float), cell if isinstance(cell, int | float) else 0.0, str(cell or ""))

    return sorted(rows, key=key, reverse=by.startswith("-"))


def _cell(cell: Element) -> Cell:
    """Return a cell's value: `data-value` where it has one, else its text, as a number where it is one."""
    said = cell.get("data-value")
    text = _text(cell) if said is None else said
    bare = text.removesuffix("%").strip()
    if not NUMBER.fullmatch(bare) or (said is None and not _holds_numbers(cell)):
        return text or None
    number = float(bare.replace(",", "").replace("−", "-"))
    return int(number) if number.is_integer() and "." not in bare else number


def _holds_numbers(cell: Element) -> bool:
    return "n" in cell.get("class", "").split()


def _text(element: Element) -> str:
    return " ".join("".join(_pieces(element)).split())


def _pieces(element: Element) -> Iterable[str]:
    yield element.text or ""
    for child in element:
        if child.tag not in SKIPPED or (child.tag == "button" and "sort" in child.get("class", "").split()):
            yield from _pieces(child)
            yield " " if child.tag in ("small", "br", "p", "div", "li") else ""
        yield child.tail or ""


# --- Files ----------------------------------------------------------------------------------------------------------------


def answer(form: str, name: str, tables: Mapping[str, SheetTable]) -> Response:
    """Answer with tables as a file: a workbook with a sheet for each, or CSV, one below the other."""
    if form not in TYPES:
        raise HTTPException(404, "form")
    content = _workbook(tables) if form == "xlsx" else _csv(tables)
    clean = re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "table"
    disposition = f'attachment; filename="{clean}.{form}"'
    return Response(content, media_type=TYPES[form], headers={"Content-Disposition": disposition})


def _csv(tables: Mapping[str, SheetTable]) -> bytes:
    """Return CSV with a byte order mark, without which Excel takes Chinese for Latin letters."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\r\n")
    for number, (title, table) in enumerate(tables.items()):
        if len(tables) > 1:
            writer.writerows([[], [title]] if number else [[title]])
        writer.writerow(table.head)
        writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
    return lines.getvalue().encode("utf-8-sig")


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _workbook(tables: Mapping[str, SheetTable]) -> bytes:
    from openpyxl import Workbook  # 30 MB that no other page needs

    book = Workbook(write_only=True)
    for title, table in tables.items():
        sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", title)[:31] or "1")
        sheet.freeze_panes = "A2"
        sheet.append([_written(sheet, cell, bold=True) for cell in table.head])
        for row in table.rows:
            sheet.append([_written(sheet, cell) for cell in row])
    content = io.BytesIO()
    book.properties.created = book.properties.modified = datetime(2000, 1, 1)  # noqa: DTZ001, the same page is the same file
    book.save(content)
    return content.getvalue()


def _written(sheet: object, cell: Cell, *, bold: bool = False) -> "WriteOnlyCell":
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    text = ILLEGAL.sub("", cell)[:LONGEST_CELL] if isinstance(cell, str) else cell
    made = WriteOnlyCell(sheet, text)
    if isinstance(text, str):
        made.data_type = "s"  # never a formula
    if bold:
        made.font = Font(bold=True)
    return made
