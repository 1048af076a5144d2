"""Figures of standards and of published practice, from `standards/*.toml`: with source, date, and value where it is known."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).with_name("standards")


class Words(BaseModel):
    """A text in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str
    en: str


class Figure(BaseModel):
    """A figure; a floor that names a figure without a value is not set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    about: Words
    unit: Words
    value: float | None = Field(default=None, ge=0)
    source: str
    date: str


def known() -> dict[str, float | None]:
    """Return every figure's value by its id; None: not known."""
    return {figure.id: figure.value for figure in figures().values()}


@cache
def figures(folder: Path = FOLDER) -> dict[str, Figure]:
    """Return every figure by its id.

    Raises
    ------
    ValueError
        When a file cannot be used, or an id stands twice.
    """
    found: dict[str, Figure] = {}
    for file in sorted(folder.glob("*.toml")):
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["figure"]:
            figure = Figure.model_validate(row)
            if figure.id in found:
                raise ValueError(f"{file.name}: the figure {figure.id!r} stands twice")
            found[figure.id] = figure
    return found
