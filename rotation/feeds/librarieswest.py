"""LibrariesWest's open data: a real network of 166 points, and its daily snapshots of every copy in transit.

A snapshot's row has no item number, so equal rows are interchangeable. For each row two numbers suffice: how many copies it has
stood for, and how many of these have arrived; the first sent arrive first. All ids follow from a row and such a number,
so importing twice, or in any order of batches, changes nothing.
"""

import csv
import gzip
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import orjson

from rotation.facts.events import CopyAdded, CopyCorrected, TransferReceived, TransferSent, cloud_event
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import ACK_S, BATCH_EVENTS, in_batches, records
from rotation.network import WEEKDAYS, Network, NetworkMistake, from_tables

SOURCE = "librarieswest"
TIMEZONE = ZoneInfo("Europe/London")
# A snapshot shows a day's end; with this time, "over 21 days" counts whole days.
END_OF_DAY = time(23, 59, 59)
# Characters of a place or class in an event.
LONGEST_ID = 128
DAY_COLUMNS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# --- The network ------------------------------------------------------------------------------------------------------


def network(folder: Path, choices: Path) -> Network:
    """Make the network from the tables in `folder`, with the hubs, vans and default hours of `choices` (TOML).

    Raises
    ------
    NetworkError
        With every mistake in the result.
    KeyError
        When `choices` lacks a table, or names a hub that is not in branches.csv.
    """
    chosen = tomllib.loads(choices.read_text(encoding="utf-8"))
    hubs = {authority["name"]: authority for authority in chosen["authority"]}
    branches = _table(folder / "branches.csv")
    hours = _hours_by_point(branches, _hours_table(folder), chosen["hours_under"])
    _demand_hubs(hubs, branches)
    raw = {
        "network": chosen["network"],
        "class": [{"id": key, "name": name} for key, name in _item_types(folder).items()],
        "owner": [{"id": authority["id"], "name": authority["name"]} for authority in chosen["authority"]],
        "place": [
            _place(branch, hubs[branch["authority"]], hours, chosen["default_receiving"])
            | {"closed": chosen["bank_holidays"]}
            for branch in branches
        ],
        "van": list(chain.from_iterable(map(_vans, chosen["authority"]))),
    }
    return from_tables(raw, choices.name)


@cache
def slug(name: str) -> str:
    """Return a name as an id: "Severn Beach & Pilning Library" is severn-beach-pilning-library."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def _hours_table(folder: Path) -> list[dict[str, str]]:
    """Return the table of hours; without it every point gets its tier's window, flagged."""
    return _table(folder / "hours.csv") if (folder / "hours.csv").is_file() else []


def class_of(item_type: str) -> str:
    """Return an item type as a class; the placeholder in some rows is the stock list's "Unknown"."""
    return "unknown" if item_type.startswith("$<") else slug(item_type)


def _item_types(folder: Path) -> dict[str, str]:
    """Return the stock list's item types by class; spellings that differ in spaces are merged."""
    names = {row["item_type"] for row in _table(folder / "items_summary.csv")}
    return {class_of(name): name for name in sorted(names)}


def _demand_hubs(hubs: Mapping[str, Mapping[str, Any]], branches: list[dict[str, str]]) -> None:
    known = {branch["library"] for branch in branches}
    for authority in hubs.values():
        if authority["hub"] not in known:
            raise KeyError(f"the hub {authority['hub']!r} of {authority['name']} is not in branches.csv")


def _place(
    branch: Mapping[str, str], authority: Mapping[str, Any], hours: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a point as a `place` table; a point without coordinates is kept, though no van can be sent there."""
    is_hub = branch["library"] == authority["hub"]
    tier = "district" if is_hub else "subdistrict" if branch["type"] == "LAL" else "room"
    place: dict[str, Any] = {
        "id": slug(branch["library"]),
        "name": branch["library"],
        "tier": tier,
        "kind": _kind(branch["library"]),
        "owner": authority["id"],
        "population": int(branch["population"] or 0),
    }
    if branch["lat"]:
        place |= {"lat": float(branch["lat"]), "lon": float(branch["lng"])}
    if branch["income_deprivation"]:
        place["special"] = {"income_deprived": float(branch["income_deprivation"]) / 100}
    place |= {"hub": _hub(authority)} if is_hub else {"parent": slug(authority["hub"])}
    return place | _when(hours.get(branch["library"]), defaults[tier], located=bool(branch["lat"]))


def _kind(name: str) -> str:
    """Return the kind of a point from the words of its name: the data says no more."""
    if re.search(r"\b(mobile|at home)\b", name, re.IGNORECASE):
        return "mobile_stop"
    return "store" if re.search(r"\b(reserve|stack|stock|store)\b", name, re.IGNORECASE) else "staffed"


def _hub(authority: Mapping[str, Any]) -> dict[str, Any]:
    return {key: authority[key] for key in ("cutoff", "trunk_departs", "copies_per_hour")}


def _when(hours: Mapping[str, Any] | None, default: Mapping[str, Any], *, located: bool) -> dict[str, Any]:
    """Return the hours of a point; a located point without usable hours gets its tier's receiving window, flagged."""
    if hours:
        return {"hours": hours}
    return {"receiving": default, "default_hours": True} if located else {}


def _vans(authority: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    number = 0
    for group in authority["vans"]:
        for _ in range(group["count"]):
            number += 1
            rest = {key: value for key, value in group.items() if key != "count"}
            yield {"id": f"{authority['id']}-{number}", "hub": slug(authority["hub"]), **rest}


# --- Hours, joined by name, then by postcode --------------------------------------------------------------------------

_COMMON_WORDS = r"\b(library|community|information|centre|learning|childrens|lending|and)\b"


def _hours_by_point(
    branches: list[dict[str, str]], rows: list[dict[str, str]], under: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """Return each point's week by its name, from a row with any hours that joins it."""
    usable = [row for row in rows if any(row[day] for day in DAY_COLUMNS)]
    by_name = {(_authority(row), _bare(row["library"])): row for row in usable}
    by_postcode = {_bare_postcode(row["postcode"]): row for row in usable}
    joined = {}
    for branch in branches:
        names = (under.get(branch["library"], branch["library"]), branch["matched_name"])
        row = next((by_name[key] for n in names if n and (key := (branch["authority"], _bare(n))) in by_name), None)
        row = row or by_postcode.get(_bare_postcode(branch["postcode"]) or "none")
        if row:
            joined[branch["library"]] = _week(row)
    return joined


def _authority(row: Mapping[str, str]) -> str:
    return re.sub(r"( City)?\s+Council$", "", row["authority"])


def _bare(name: str) -> str:
    """Return a library's name in a common spelling: "St. Pauls" is "St Pauls Library"."""
    plain = re.sub(r"\(.*?\)|@.*|['.]", "", name.lower())
    return slug(re.sub(_COMMON_WORDS, " ", plain))


def _bare_postcode(postcode: str) -> str:
    return postcode.replace(" ", "").upper()


def _week(row: Mapping[str, str]) -> dict[str, list[str]]:
    days = zip(WEEKDAYS, DAY_COLUMNS, strict=True)
    return {day: row[column].split(",") for day, column in days if row[column]}


# --- Snapshots --------------------------------------------------------------------------------------------------------


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
        return _end_of(self.day)


@cache
def _end_of(day: date) -> datetime:
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


# --- From snapshots to facts ------------------------------------------------------------------------------------------


@dataclass
class CopyLedger:
    """How many copies each row has stood for so far (`sent`), and how many of these have arrived (`arrived`).

    `places` are the network's; None: none is asked for.
    """

    places: frozenset[str] | None = None
    sent: Counter[TransitRow] = field(default_factory=Counter)
    arrived: Counter[TransitRow] = field(default_factory=Counter)

    def in_transit(self) -> Counter[TransitRow]:
        """Return the rows of the last snapshot with their counts."""
        return self.sent - self.arrived


def events(ledger: CopyLedger, snapshot: TransitSnapshot) -> Iterator[dict[str, Any]]:
    """Yield the events between the ledger's state and the snapshot's, as CloudEvents, and advance the ledger.

    A row that is new, or appears more often than before, was sent at its own date (so back-dated rows count from it);
    a row that appears less often has arrived by the snapshot's day.
    """
    out = ledger.in_transit()
    for row in sorted(out.keys() | snapshot.rows.keys()):
        for _ in range(snapshot.rows[row] - out[row]):
            ledger.sent[row] += 1
            yield from _sent(row, ledger.sent[row], ledger.places)
        for _ in range(out[row] - snapshot.rows[row]):
            ledger.arrived[row] += 1
            yield _received(row, ledger.arrived[row], snapshot.clock)


def copy_id(row: TransitRow, number: int) -> str:
    """Return the repeatable id of the `number`-th copy of a row."""
    return f"lw-{hashlib.blake2b('|'.join(row).encode(), digest_size=8).hexdigest()}-{number}"


def _sent(row: TransitRow, number: int, places: frozenset[str] | None) -> Iterator[dict[str, Any]]:
    """Yield that the copy exists and was checked in for its destination; rows lack titles, so each copy gets its own.

    A transfer to a place that the network has not is refused when it is applied: its copy is unknown, not on the sender's shelf.
    """
    copy, at, place = copy_id(row, number), _end_of(date.fromisoformat(row.date_transited)), slug(row.from_library)
    added = CopyAdded.model_validate({"copy": copy, "place": place, "title": copy, "class": class_of(row.item_type)})
    yield cloud_event(added, event_id=f"{copy}-added", source=SOURCE, time=at)
    if places is not None and slug(row.to_library) not in places:
        away = CopyCorrected.model_validate({"copy": copy, "place": place, "now": CopyState.UNKNOWN})
        yield cloud_event(away, event_id=f"{copy}-away", source=SOURCE, time=at, sequence=1)
    sent = TransferSent.model_validate({"copy": copy, "place": place, "to": slug(row.to_library)})
    yield cloud_event(sent, event_id=f"{copy}-sent", source=SOURCE, time=at, sequence=1)


def _received(row: TransitRow, number: int, at: datetime) -> dict[str, Any]:
    copy = copy_id(row, number)
    received = TransferReceived.model_validate({"copy": copy, "place": slug(row.to_library)})
    return cloud_event(received, event_id=f"{copy}-received", source=SOURCE, time=at, sequence=2)


# --- Sending ----------------------------------------------------------------------------------------------------------


class BatchProducer(Protocol):
    """The methods of a kafka-python producer that are used here."""

    def send(self, topic: str, value: bytes) -> Any: ...
    def flush(self) -> Any: ...


class Import(NamedTuple):
    """Counts of an import, and the mistakes in its files."""

    files: int
    events: int
    batches: int
    clock: datetime
    faults: tuple[NetworkMistake, ...]


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


def happened(snapshots: Iterable[TransitSnapshot], ledger: CopyLedger | None = None) -> Iterator[dict[str, Any]]:
    """Yield the events of consecutive snapshots, starting from a given ledger or an empty one."""
    known = CopyLedger() if ledger is None else ledger
    return chain.from_iterable(events(known, snapshot) for snapshot in snapshots)


def send(
    producer: BatchProducer, topic: str, shown: Iterable[TransitSnapshot], places: frozenset[str] | None = None
) -> Import:
    """Send consecutive snapshots to a topic, wait until the broker has all of it, and return the counts.

    Raises
    ------
    KafkaError
        When the broker did not accept a batch; sending it again has no second effect.
    """
    shown = list(shown)
    waiting, events_sent = [], 0
    for batch in in_batches(happened(shown, CopyLedger(places)), BATCH_EVENTS):
        waiting.append(producer.send(topic, orjson.dumps(batch)))
        events_sent += len(batch)
    producer.flush()
    for acknowledgement in waiting:
        acknowledgement.get(timeout=ACK_S)
    faults = tuple(chain.from_iterable(snapshot.faults for snapshot in shown))
    return Import(len(shown), events_sent, len(waiting), shown[-1].clock, faults)
