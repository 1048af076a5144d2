"""The map of a table: its columns, states, places and classes, written as a TOML file."""

import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from config.settings import DEFAULTS
from rotation.facts.clock import InstantInFile
from rotation.facts.events import (
    FACT_OF_TYPE,
)
from rotation.facts.movements import CopyState
from rotation.feeds import maps
from rotation.feeds.carrying import RejectedRecord

STATES = frozenset(CopyState)
MAPPED_FACTS = tuple(name for name in FACT_OF_TYPE if name.startswith(("copy.", "transfer.")) and name != "copy.added")
# In the map: a place that takes no part, and the beginning of one in which copies only wait for a van.
NO_PLACE, VIA = "-", "via:"


class TableRow(NamedTuple):
    """The mapped columns of one row as text; empty cells are left out."""

    line: int
    values: dict[str, str]


class Caption(NamedTuple):
    """A line among the rows that is no record: a total, a printed page's foot, the header once more."""

    line: int


Rows = Iterator[TableRow | Caption | RejectedRecord]


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


# The first of these columns with a value counts.
Names = Annotated[tuple[str, ...], BeforeValidator(_list)]


class ColumnNames(BaseModel):
    """Which columns hold which data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    copy_id: Names = Field(alias="copy")
    place: Names
    location: Names = ()
    says: Names = ()
    to: Names = ()
    time: Names = ()
    title: Names = ()
    title_class: Names = Field(default=(), alias="class")
    title_name: Names = Field(default=(), alias="name")
    author: Names = ()
    volume_of: Names = ()
    owner: Names = ()
    home: Names = ()
    home_location: Names = ()
    added: Names = ()
    returned: Names = ()
    returned_place: Names = ()
    transfer: Names = ()
    call_number: Names = ()
    room: Names = ()
    collection: Names = ()
    shelf: Names = ()
    barcode: Names = ()


class TableMap(BaseModel):
    """How to read a table; written as a TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)]
    rows: Literal["stock", "events"]
    encoding: Literal["utf-8", "gb18030", "utf-16-le", "utf-16-be", "big5", "cp1252"] = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    sheet: str | None = None
    timezone: maps.TimeZone = "Asia/Shanghai"
    # Formats of times as in "%d/%m/%Y %H:%M", tried before the usual ones; "excel" for a spreadsheet's serial numbers.
    times: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    # Rows to read: a column and the values that it must have one of.
    only: dict[str, tuple[str, ...]] = {}
    as_of: InstantInFile | None = None
    columns: ColumnNames
    # An installation whose table of states (config/states) gives the words that [says] has not.
    city: str | None = None
    # Words of states; a pattern with * stands for all words of its form (借出-应还日期:*).
    says: dict[str, str] = {}
    default_says: str | None = None
    # By a code, a code and a location below it (CODE/LOCATION), or a pattern of these with * and ?; to a place, to "-" (takes no
    # part) or to "via:PLACE" (a store in which copies wait for a van).
    places: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_its_city(cls, values: Any) -> Any:
        city = values.get("city") if isinstance(values, dict) else None
        if not isinstance(city, str) or not isinstance(values.get("says", {}), dict):
            return values
        return values | {"says": states_of(city) | values.get("says", {})}

    @field_validator("says")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for word, meaning in value.items():
            if meaning not in STATES and meaning not in MAPPED_FACTS and meaning != "skip":
                raise ValueError(f"{word}: {meaning!r} is not a state, an event of a copy, or skip")
        return value


STATES_OF_CITIES = DEFAULTS.parent / "states" / "interlib.toml"


def states_of(city: str) -> dict[str, str]:
    """Return a city's states by word and code; raises ValueError for an unknown one, and names those that are known."""
    known: dict[str, dict[str, str]] = tomllib.loads(STATES_OF_CITIES.read_text(encoding="utf-8"))
    if city not in known:
        raise ValueError(f"no table of states for the city {city[:64]!r}; there are {', '.join(sorted(known))}")
    return known[city]


def state_word(word: str, chosen: TableMap) -> str | None:
    """Return the map's meaning of a word of a state or movement, None for an unknown word."""
    own = word if word in STATES or word in MAPPED_FACTS else None
    return chosen.says.get(word, own) or by_pattern(word, chosen.says)


def read_map(path: Path) -> TableMap:
    """Read a column map.

    Raises
    ------
    ValueError
        With every mistake, each with the file and the key.
    """
    return maps.read(path, TableMap)


def by_pattern(word: str, values: Mapping[str, str]) -> str | None:
    """Return the value of the first pattern that a word has."""
    patterns = (key for key in values if ("*" in key or "?" in key) and fnmatchcase(word, key))
    return next((values[key] for key in patterns), None)
