"""Lines of benchmark files as numbers, with each mistake named by its line."""

import math
import re
from collections.abc import Sequence

from solver.check import Complaint, ProblemError

SCALE = 1000  # units of a file become thousandths, as published distances have two decimals

Line = tuple[int, list[str]]  # its number, and its words


def lines_of(text: str) -> list[Line]:
    """Return the lines that are not empty."""
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def numeric(row: Sequence[str]) -> bool:
    """Whether all words are numbers."""
    return all(re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", word) for word in row)


def floats(line: Line, columns: int) -> list[float]:
    """Return the numbers of a line.

    Raises
    ------
    ProblemError
        Where it has fewer than `columns`, or a word that is no number.
    """
    number, row = line
    if len(row) < columns or not numeric(row):
        raise wrong(f"{columns} numbers in a line", repr(" ".join(row)[:60]), number)
    return [float(word) for word in row]


def units(value: float) -> int:
    """Return thousandths; of infinity, more than any day has."""
    return 10**9 if math.isinf(value) else round(value * SCALE)


def wrong(expected: str, given: str, line: int = 0) -> ProblemError:
    """Return the error of a file that is not as its format says; line 0: the file as a whole."""
    at = f":{line}" if line else ""
    return ProblemError([Complaint(at, "format", given, expected, {"reason": expected})])
