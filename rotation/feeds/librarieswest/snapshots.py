"""LibrariesWest's snapshots: every copy in transit at a day's end, as counted rows without item numbers."""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rotation.feeds.carrying import records
from rotation.network import NetworkMistake

TIMEZONE = ZoneInfo("Europe/London")
# A snapshot shows a day's end; with this time, "over 21 days" counts whole days.
END_OF_DAY = time(23, 59, 59)
# Characters of a place or class in an event.
LONGEST_ID = 128


@cache
def slug(name: str) -> str:
    """Return a name as an id: "Severn Beach & Pilning Library" is severn-beach-pilning-library."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def class_of(item_type: str) -> str:
    """Return an item type as a class; the placeholder in some rows is the stock list's "Unknown"."""
    return "unknown" if item_type.startswith("$<") else slug(item_type)


class TransitRow(NamedTuple):
    """One line of a snapshot: a copy in transit, without a number."""

    date_transited: str
    item_type: str
    from_library: str
    from_authority: str
    to_library: str
    to_authority: str


class NoLines(ValueError):
    """A snapshot without any line below its header: a day on which the export failed."""


@dataclass(frozen=True)
class TransitSnapshot:
    """Every copy in transit at the end of `day`, as counted rows, and the unreadable lines."""

    day: date
    rows: Counter[TransitRow]
    faults: tuple[NetworkMistake, ...] = ()

    @property
    def clock(self) -> datetime:
        """The instant that the snapshot shows, in the network's time."""
        return end_of_day(self.day)


@cache
def end_of_day(day: date) -> datetime:
    """Return the instant that a snapshot of a day shows."""
    return datetime.combine(day, END_OF_DAY, TIMEZONE)


def snapshot_files(folder: Path) -> list[Path]:
    """Return the folder's snapshots in the order of their names, which is the order of their days."""
    return sorted((folder / "in_transit").glob("*.csv*"))


def read_snapshot(path: Path) -> TransitSnapshot:
    """Read a file as it was published (gzip or plain); bad lines become faults, the rest goes on.

    Raises
    ------
    ValueError
        When no line is readable, so that the file shows no day.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
        return parse_snapshot(lines, path.name)


def parse_snapshot(lines: Iterable[str], file: str) -> TransitSnapshot:
    """Read a snapshot's lines, of which the first names the columns; raises as `read_snapshot` does."""
    reader = csv.reader(lines)
    next(reader, None)
    rows: Counter[TransitRow] = Counter()
    faults: list[NetworkMistake] = []
    for line, values in enumerate(records(reader), 2):
        if isinstance(values, csv.Error):
            faults.append(NetworkMistake(file, line, "line", str(values)))
        elif wrong := _wrong(values):
            faults.append(NetworkMistake(file, line, *wrong))
        else:
            rows[TransitRow(*values)] += 1
    if not rows:
        expected = ", ".join(TransitRow._fields)
        raise ValueError(f"{file}: no line with {expected}") if faults else NoLines(f"{file}: empty: skipped")
    return TransitSnapshot(date.fromisoformat(max(row.date_transited for row in rows)), rows, tuple(faults))


def _wrong(values: list[str]) -> tuple[str, str] | None:
    """Return the field and its mistake, if any; the value is not quoted, as it could come from another column."""
    if len(values) != len(TransitRow._fields):
        return "line", f"expected {len(TransitRow._fields)} fields, got {len(values)}"
    if not _is_day(values[0]):
        return "date_transited", "expected a date such as 2020-03-09"
    for name, value in zip(TransitRow._fields, values, strict=True):
        if not 0 < len(slug(value)) <= LONGEST_ID:
            return name, f"expected letters or digits, up to {LONGEST_ID}"
    return None


def _is_day(word: str) -> bool:
    try:
        return date.fromisoformat(word).isoformat() == word
    except ValueError:
        return False


def snapshots(folder: Path, until: str | None = None) -> Iterator[TransitSnapshot]:
    """Yield the folder's snapshots in the order of the days they show, up to the file whose name begins with `until`.

    Raises
    ------
    ValueError
        When no file's name begins with it, or the folder has no snapshot.
    """
    files = snapshot_files(folder)
    last = [number for number, path in enumerate(files) if until is None or path.name.startswith(until)]
    if not last:
        raise ValueError(f"{folder / 'in_transit'}: no snapshot{f' named {until}…' if until else ''}")
    shown: TransitSnapshot | None = None
    skipped: list[NetworkMistake] = []
    for path in files[: last[-1] + 1]:
        try:
            following = read_snapshot(path)
        except NoLines as error:
            skipped.append(NetworkMistake(path.name, 1, "file", str(error)))
            continue
        if shown:
            yield shown
        shown = replace(following, faults=(*skipped, *following.faults))
        skipped.clear()
    if shown is None:
        raise ValueError(f"{folder / 'in_transit'}: every snapshot is empty")
    yield replace(shown, faults=(*shown.faults, *skipped))


def rows_of(folder: Path) -> Iterator[TransitRow]:
    """Yield the rows of all of a folder's snapshots, each once a snapshot; of none where the folder has none."""
    for path in snapshot_files(folder):
        try:
            yield from read_snapshot(path).rows
        except NoLines:
            continue
