"""Files that spreadsheet programs and library systems save, known by their content and not by their name.

A .xls may be a workbook of 1997, one in XML, a page of HTML, or text with tabs; a .csv may be a workbook. All become rows of
cells.
"""

import email
import email.policy
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

from rotation.feeds import ods_workbooks, xml_workbooks

# Bytes that tell what a file is.
HEAD_BYTES = 4096
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP = b"PK\x03\x04"
# A page in one file, with its parts as those of a mail.
MIME = b"mime-version:"
# Day 0 of a spreadsheet's dates: its year 1900 has a 29 February, so that days since March 1900 count from here.
DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001
# Serial numbers of the days from 1900-03-01 to 2199-12-31; others are no dates of a library.
FIRST_SERIAL, LAST_SERIAL = 61.0, 109_575.0


class Kind(StrEnum):
    """Kinds of files by their content."""

    XLSX = "xlsx"
    # Read by calamine: the binary workbooks.
    WORKBOOK = "workbook"
    ODS = "ods"
    # Excel 2003's.
    XML = "xml"
    HTML = "html"
    TEXT = "text"


def kind_of(path: Path) -> Kind:
    """Return a file's kind."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(OLE):
        return Kind.WORKBOOK
    if head.startswith(ZIP):
        return _kind_of_zip(path)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text[:1] == b"<" and xml_workbooks.NAMESPACE in text and not text.startswith(b"<html"):
        return Kind.XML
    if text.startswith(MIME):
        return Kind.HTML
    if text.startswith((b"<html", b"<!doctype html", b"<table", b"<meta")) or (text[:1] == b"<" and b"<table" in text):
        return Kind.HTML
    named_so = path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")
    return Kind.XLSX if named_so and (not head or b"\0" in head) else Kind.TEXT


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as packed:
            names = set(packed.namelist())
    except zipfile.BadZipFile:
        return Kind.XLSX
    if ods_workbooks.CONTENT in names:
        return Kind.ODS
    return Kind.WORKBOOK if "xl/workbook.bin" in names else Kind.XLSX


def names_in(path: Path) -> list[str]:
    """Return the names of a workbook's sheets, in their order; raises ValueError where it cannot be read."""
    from python_calamine import CalamineError

    try:
        return list(_workbook(path).sheet_names)
    except CalamineError as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def _workbook(path: Path) -> Any:
    from python_calamine import CalamineWorkbook

    # By content: of a path it would believe the name.
    return CalamineWorkbook.from_filelike(BytesIO(path.read_bytes()))


def of_workbook(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a .xls or .xlsb workbook, whatever its name.

    Raises
    ------
    ValueError
        When it cannot be read, or has no such sheet.
    """
    from python_calamine import CalamineError

    try:
        book = _workbook(path)
        if sheet and sheet not in book.sheet_names:
            raise ValueError(f"{path.name}: no sheet {sheet!r}; it has {', '.join(book.sheet_names)}")
        page = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
        yield from (tuple(map(_plain, row)) for row in page.to_python(skip_empty_area=False))
    except CalamineError as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def _plain(cell: Any) -> Any:
    return datetime(cell.year, cell.month, cell.day) if type(cell) is date else cell  # noqa: DTZ001


class HtmlRows(HTMLParser):
    """Collects the rows of a page's tables."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[tuple[str, ...]] = []
        self.row: list[str] | None = None
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell; cells and rows need not be closed."""
        if tag == "tr":
            self._end_row()
            self.row = []
        elif tag in ("td", "th") and self.row is not None:
            self._end_cell()
            self.cell = []
        elif tag == "br" and self.cell is not None:
            self.cell.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """End a cell, a row, or a table."""
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table"):
            self._end_row()

    def handle_data(self, data: str) -> None:
        """Keep a cell's text."""
        if self.cell is not None:
            self.cell.append(data)

    def _end_cell(self) -> None:
        if self.cell is not None and self.row is not None:
            self.row.append(" ".join("".join(self.cell).split()))
        self.cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self.row:
            self.rows.append(tuple(self.row))
        self.row = None


def of_html(path: Path, encoding: str) -> list[tuple[str, ...]]:
    """Return the rows of a page's tables, in the encoding that the page names, else in the one given.

    Raises
    ------
    ValueError
        When it is in neither; the message names one that fits.
    """
    reader = HtmlRows()
    for page in _pages(path.read_bytes()):
        reader.feed(_page_text(page, encoding, path.name))
    reader.close()
    reader.handle_endtag("table")
    return reader.rows


# A page's own word for its encoding; gb2312 and gbk are parts of gb18030, and some pages that name them need all of it.
CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}


def _pages(content: bytes) -> Iterator[bytes]:
    if not content.lstrip()[: len(MIME)].lower().startswith(MIME):
        yield content
        return
    for part in email.message_from_bytes(content.lstrip(), policy=email.policy.default).walk():
        if part.get_content_type() == "text/html":
            page = part.get_payload(decode=True)
            yield page if isinstance(page, bytes) else b""


def _page_text(content: bytes, encoding: str, name: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    named = CHARSET.search(content[:HEAD_BYTES])
    own = named[1].decode().lower() if named else encoding
    for tried in (WIDER.get(own, own), encoding):
        try:
            return content.removeprefix(b"\xef\xbb\xbf").decode(tried)
        except (UnicodeDecodeError, LookupError):
            continue
    fits = next((one for one in ENCODINGS if is_in(content, one)), None)
    hint = f'{fits} fits: set encoding = "{fits}"' if fits else "set encoding in the map"
    raise ValueError(f"{name}: not in {encoding}; {hint}")


def is_in(content: bytes, encoding: str) -> bool:
    """Return whether text is in an encoding."""
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def of_serial(number: float) -> datetime | None:
    """Return the time of a spreadsheet's serial number, to the second; None where it can be no date."""
    if not FIRST_SERIAL <= number <= LAST_SERIAL:
        return None
    return DAY_0 + timedelta(seconds=round(number * 86_400))


# Encodings in which exports of libraries come, each tried where the map's own finds no header.
ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be", "big5", "cp1252")


def text_of(path: Path, encoding: str | None = None) -> str:
    """Return a file's text; raises ValueError where it is in none of the encodings tried."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    for tried in (encoding,) if encoding else ("utf-8-sig", "gb18030", "cp1252"):
        try:
            return content.decode(tried)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"{path.name}: text in none of the encodings tried")
