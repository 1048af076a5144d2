"""Workbooks (XLSX): cells as they are shown, and formulas that no program has computed."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rotation.feeds import number_formats

# Unpacked: a sheet of a million rows has half of it; a larger file is not a table.
LARGEST_XLSX_BYTES = 2_000_000_000
# Rows in which formulas without a value are looked for.
FORMULA_ROWS = 20


def workbook_names(path: Path) -> list[str]:
    """Return the names of the sheets, in their order; raises ValueError where the workbook cannot be read."""
    from openpyxl import load_workbook

    with _readable(path), path.open("rb") as file:
        return list(load_workbook(file, read_only=True).sheetnames)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise ValueError where a workbook is too large, or cannot be read meanwhile."""
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > LARGEST_XLSX_BYTES:
            raise ValueError(f"{path.name}: {size} bytes unpacked; at most {LARGEST_XLSX_BYTES}")
        yield
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, IndexError, SyntaxError) as error:
        raise ValueError(f"{path.name}: no workbook that can be read: {str(error)[:200]}") from error


def workbook_rows(path: Path, sheet: str | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sheet, or of the first; raises ValueError where the workbook cannot be read or has no such sheet."""
    with _readable(path):
        rows = (tuple(map(_shown, cells)) for cells in _cells_in(path, sheet, values=True))
        first = list(islice(rows, FORMULA_ROWS))
        if any(cell is None for row in first for cell in row):
            first = [
                tuple(map(_computed, *pair)) for pair in zip(first, _cells_in(path, sheet, values=False), strict=False)
            ]
        yield from chain(first, rows)


def _cells_in(path: Path, sheet: str | None, *, values: bool) -> Iterator[tuple[Any, ...]]:
    """Yield a sheet's rows of cells, formulas as their values or as themselves."""
    from openpyxl import load_workbook

    # By content: of a path it would believe the name.
    with path.open("rb") as file:
        book = load_workbook(file, read_only=True, data_only=values)
        if sheet and sheet not in book.sheetnames:
            raise ValueError(f"{path.name}: no sheet {sheet!r}; it has {', '.join(book.sheetnames)}")
        yield from (book[sheet] if sheet else book.worksheets[0]).iter_rows()


class NeverComputed(Exception):
    """A cell that the map names holds a formula without a value: a program wrote it, and none has computed it."""


# In place of a cell's value.
UNCOMPUTED = object()


def _computed(value: Any, cell: Any) -> Any:
    return UNCOMPUTED if value is None and cell.data_type == "f" else value


def _shown(cell: Any) -> Any:
    """Return a cell's value, a whole number as its format shows it (00000000: a barcode)."""
    return number_formats.shown(cell.value, cell.number_format)
