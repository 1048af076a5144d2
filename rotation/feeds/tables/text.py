"""Text of a table: its lines in their encoding, and the records of CSV."""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from io import BufferedReader, TextIOWrapper

from rotation.facts.events import (
    RejectionReason,
)
from rotation.feeds.carrying import RejectedRecord, rejected_record
from rotation.feeds.sheets import HEAD_BYTES

# Bytes of a row; longer rows mean a damaged file.
LONGEST_LINE_BYTES = 100_000
# Lines of a record: titles and notes of more have not been seen.
RECORD_LINES = 50
# Excel's own first line of a CSV: the separator that follows.
SEPARATOR = re.compile(r"^sep=(.)\r?\n?$", re.IGNORECASE)


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


def decoded(file: BufferedReader, encoding: str, edge: str) -> Iterator[str | RejectedRecord]:
    """Yield a file's lines as text without NULs: in UTF-16 where its first bytes say so, else in the map's encoding."""
    head = file.peek(HEAD_BYTES)
    marked = head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    utf16 = "utf-16" if marked else encoding if encoding.startswith("utf-16") else None
    # Some programs end lines by a carriage return alone ("CSV (Macintosh)").
    ends = file.read().splitlines(keepends=True) if b"\r" in head and b"\n" not in head else file
    lines = _of_utf16(file, utf16, edge) if utf16 else _text(ends, encoding, edge)
    return (line if isinstance(line, RejectedRecord) else line.replace("\0", "") for line in lines)


def _of_utf16(file: BufferedReader, encoding: str, edge: str) -> Iterator[str | RejectedRecord]:
    for number, line in enumerate(TextIOWrapper(file, encoding, errors="replace", newline="\n"), 1):
        if "\ufffd" in line:
            yield rejected_record(edge, (0, number), RejectionReason.NOT_UTF8, f"line {number}", "not UTF-16")
        else:
            yield line


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
