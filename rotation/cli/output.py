"""Output of commands: answers on standard output, for people or as JSON; everything else on standard error."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

Answer = TypeVar("Answer")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def say(text: str) -> None:
    """Print a line for people on standard error, so that it never mixes with the answer."""
    print(text, file=sys.stderr, flush=True)


def answer(value: Answer, as_json: bool, show: Callable[[Answer], None]) -> None:
    """Print an answer: as a line of JSON, or the way `show` draws it."""
    if as_json:
        print(json.dumps(value, default=str, ensure_ascii=False))
    else:
        show(value)


def pairs(values: Mapping[str, Any]) -> None:
    """Draw names and values below each other."""
    table = Table(show_header=False, box=None)
    for key, value in values.items():
        table.add_row(
            key, json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
        )
    Console().print(table)


def table(*columns: str) -> Callable[[Sequence[Mapping[str, Any]]], None]:
    """Return a function that draws these columns of rows."""

    def show(rows: Sequence[Mapping[str, Any]]) -> None:
        drawn = Table(*columns)
        for row in rows:
            drawn.add_row(*(str(row[column]) for column in columns))
        Console().print(drawn)

    return show


def paragraph(*lines: str) -> None:
    """Print lines of prose; none of their words is coloured."""
    Console().print("\n".join(lines), highlight=False)
