"""Natural order: "van-2" before "van-10", since people read numbers as numbers."""

import re

from sqlalchemy import ColumnElement, func

PARTS = re.compile(r"(\d+)")
# Digits that a number is filled up to where a database sorts; longer numbers sort as text.
DIGITS = 20


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return the key under which a text is sorted: its numbers by value, the rest without regard to case."""
    parts = (part for part in PARTS.split(text) if part)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in parts)


def natural_sql(column: ColumnElement[str]) -> ColumnElement[str]:
    """Return the same order for a database: each number filled up with zeros."""
    filled = func.regexp_replace(column, r"(\d+)", "0" * DIGITS + r"\1", "g")
    return func.regexp_replace(filled, rf"\d*(\d{{{DIGITS}}})", r"\1", "g")
