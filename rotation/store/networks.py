"""The network that holds on a day: ROTATION_NETWORK's file, and once a page has changed it the database's.

Changes stand in order of the day from which they hold; of two for the same day the later made stands above. A whole network (the
file at the first change, an import) takes the place of the network before it. Nothing is ever changed or removed. Once a page has
changed the network, a file that differs is offered on the page and taken only when somebody accepts it there.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

from psycopg import Cursor
from sqlalchemy import Connection, func, insert, select

from rotation.network import Network, NetworkError, NetworkMistake
from rotation.store.locks import AdvisoryLock
from rotation.store.network_text import NetworkChange, NoSuchRow, as_toml, edited, network_of, tables_of
from rotation.store.tables import decisions, network_changes

EVER = date(1, 1, 1)
KEPT_IN_MEMORY = 4  # networks that a process keeps made up
SUBJECT = "network"  # of decisions on it
UPKEEP = "upkeep"
# Whole networks and changes that hold on a day, the uppermost last.
_HOLDING = """
    SELECT version FROM network_changes WHERE holds_from <= %s AND (text IS NOT NULL OR changes <> '[]')
    ORDER BY holds_from, number"""

_OF_VERSIONS = "SELECT text, changes FROM network_changes WHERE version = ANY(%s) ORDER BY holds_from, number"
FILE = "network.toml"  # as mistakes call it


class Version(NamedTuple):
    """A line of the network's history."""

    number: int
    holds_from: date
    made_at: datetime
    who: str
    text: str | None
    changes: tuple[NetworkChange, ...]
    file_digest: str | None
    why: str


class NetworkText(NamedTuple):
    """A network as text: a whole text and the changes above it."""

    text: str
    changes: tuple[NetworkChange, ...]

    def with_changes(self, changes: Sequence[NetworkChange]) -> "NetworkText":
        """Return it with more changes above."""
        return NetworkText(self.text, (*self.changes, *changes))

    def toml(self) -> str:
        """Return it as a file."""
        return edited(self.text, self.changes)

    def tables(self) -> dict[str, Any]:
        """Return its tables as a TOML parser gives them."""
        return tables_of(self.text, self.changes)


class ChangedMeanwhile(RuntimeError):
    """Somebody else changed the same row since it was looked at."""

    def __init__(self, version: Version) -> None:
        super().__init__(f"{version.who} changed it on {version.made_at:%Y-%m-%d %H:%M}")
        self.version = version


# --- Reading ----------------------------------------------------------------------------------------------------------------


def in_force(connection: Connection, given: Network, day: date) -> Network:
    """Return the network that holds on a day: `given`, the file's, until a page has changed it."""
    return _in_force(lambda query, value: connection.exec_driver_sql(query, (value,)).fetchall(), given, day)


def in_force_by(cursor: Cursor[Any], given: Network, day: date) -> Network:
    """Return the network as `in_force` does, for those who speak psycopg."""
    return _in_force(lambda query, value: cursor.execute(query, (value,)).fetchall(), given, day)


_made_up: dict[tuple[str, ...], Network] = {}
_making = Lock()
Ask = Callable[[str, Any], Sequence[Any]]


def _in_force(ask: Ask, given: Network, day: date) -> Network:
    versions = tuple(row[0] for row in ask(_HOLDING, day))
    if not versions:
        return given
    made = _made_up.get(versions)
    if made is not None:
        return made
    with _making:
        rows = [(text, _changes(changes)) for text, changes in ask(_OF_VERSIONS, list(versions))]
        whole = _folded(rows)
        made = network_of(whole.text, whole.changes, FILE)
        while len(_made_up) >= KEPT_IN_MEMORY:
            del _made_up[next(iter(_made_up))]
        _made_up[versions] = made
    return made


def _folded(rows: Sequence[tuple[str | None, tuple[NetworkChange, ...]]]) -> NetworkText:
    base = max(n for n, (text, _) in enumerate(rows) if text is not None)
    return NetworkText(rows[base][0] or "", tuple(change for _, some in rows[base:] for change in some))


def _changes(rows: Sequence[Sequence[Any]]) -> tuple[NetworkChange, ...]:
    return tuple(NetworkChange(*row) for row in rows)


def history(connection: Connection) -> list[Version]:
    """Return all versions in the order in which they were made."""
    columns = [network_changes.c[name] for name in Version._fields]
    rows = connection.execute(select(*columns).order_by(network_changes.c.number))
    return [Version(**{**row._mapping, "changes": _changes(row.changes)}) for row in rows]


def standing(connection: Connection, file: Path, day: date, seen: int | None = None) -> NetworkText:
    """Return the network that holds on a day as text; the file's where no page has changed it.

    `seen`: as whoever saw that version as the last saw it.
    """
    return _standing([one for one in history(connection) if seen is None or one.number <= seen], file, day)


def _standing(versions: Sequence[Version], file: Path, day: date) -> NetworkText:
    holding = sorted((one for one in versions if one.holds_from <= day), key=lambda one: (one.holds_from, one.number))
    rows = [(one.text, one.changes) for one in holding]
    return _folded(rows if any(text is not None for text, _ in rows) else [(_toml(file), ()), *rows])


def _toml(file: Path) -> str:
    return _toml_of(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _toml_of(file: Path, _changed_ns: int) -> str:
    with file.open(encoding="utf-8", newline="") as lines:  # bytes as they are: ends of lines too
        return as_toml(lines.read(), file.name)


def offered(connection: Connection, file: Path) -> str | None:
    """Return the file's text (TOML) where it is not the file that was taken or left last, and a page has changed the network."""
    seen = [one.file_digest for one in history(connection) if one.file_digest]
    text = _toml(file)
    return text if seen and seen[-1] != _digest(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- Changing ---------------------------------------------------------------------------------------------------------------


class Author(NamedTuple):
    """Who changes the network, when (the network's time), and why."""

    who: str
    at: datetime
    why: str = ""


def change(
    connection: Connection, file: Path, changes: Sequence[NetworkChange], holds_from: date, by: Author, seen: int
) -> None:
    """Make changes that hold from a day on; `seen` is the number of the last version that they were made on sight of.

    Raises
    ------
    NetworkError
        With every mistake that the network would have, on that day or on a later day for which changes stand already.
    ChangedMeanwhile
        When somebody changed one of the rows since.
    """
    versions = _alone(connection, file, by)
    rows = {(one.table, one.id) for one in changes}
    for version in versions:
        is_same = version.text is not None or any((one.table, one.id) in rows for one in version.changes)
        if version.number > seen and version.who and is_same:
            raise ChangedMeanwhile(version)
    _write(connection, versions, file, {"holds_from": holds_from, "changes": list(map(list, changes))}, by)


def replace(
    connection: Connection, file: Path, text: str, holds_from: date, by: Author, seen: int, *, is_file: bool = False
) -> None:
    """Let a whole text (TOML) hold from a day on; raises as `change` does. `is_file`: the text of ROTATION_NETWORK's file."""
    versions = _alone(connection, file, by)
    if newer := [one for one in versions if one.number > seen and one.who]:
        raise ChangedMeanwhile(newer[-1])
    digest = _digest(text) if is_file else None
    row = {"holds_from": holds_from, "changes": [], "text": text, "file_digest": digest}
    _write(connection, versions, file, row, by)


def leave_file(connection: Connection, file: Path, by: Author) -> None:
    """Keep that the file as it is now was looked at and left."""
    _alone(connection, file, by)
    row = {"holds_from": EVER, "changes": [], "file_digest": _digest(_toml(file))}
    connection.execute(insert(network_changes), _row(row, by))


def _alone(connection: Connection, file: Path, by: Author) -> list[Version]:
    """Wait until nobody else changes the network; return its history, begun with the file."""
    connection.execute(select(func.pg_advisory_xact_lock(AdvisoryLock.NETWORK)))
    versions = history(connection)
    if not versions:
        text = _toml(file)
        row = {"holds_from": EVER, "changes": [], "text": text, "file_digest": _digest(text)}
        connection.execute(insert(network_changes), _row(row, Author("", by.at, "")))
        versions = history(connection)
    return versions


def _row(row: dict[str, Any], by: Author) -> dict[str, Any]:
    return {
        "text": None,
        "file_digest": None,
        **row,
        "version": uuid4().hex,
        "made_at": by.at,
        "who": by.who,
        "why": by.why,
    }


def _write(connection: Connection, versions: list[Version], file: Path, row: dict[str, Any], by: Author) -> None:
    """Write a version that makes no mistake on any day, and the decision."""
    made = _row(row, by)
    columns = {name: made[name] for name in Version._fields if name not in ("number", "changes")}
    new = Version(number=versions[-1].number + 1, changes=_changes(made["changes"]), **columns)
    days = {new.holds_from, *(one.holds_from for one in versions if one.holds_from > new.holds_from)}
    for day in sorted(days):
        _check([*versions, new], file, day)
    connection.execute(insert(network_changes), made)
    details = {"holds_from": str(new.holds_from), "changes": made["changes"], "whole": new.text is not None}
    said = {"who": by.who, "what": UPKEEP, "subject": SUBJECT, "why": by.why or None, "details": details}
    connection.execute(insert(decisions), said)


def _check(versions: list[Version], file: Path, day: date) -> None:
    try:
        whole = _standing(versions, file, day)
        network_of(whole.text, whole.changes, FILE)
    except NoSuchRow as error:
        raise NetworkError([NetworkMistake(FILE, 1, "file", f"{error}, from {day} on")]) from error


# --- Plans that it touches --------------------------------------------------------------------------------------------------


def touching(connection: Connection, given: Network, day: date, planned_at: datetime) -> Version | None:
    """Return the last change made since a day was planned (the network's time) if another network holds on that day now."""
    newer = (network_changes.c.made_at > planned_at) & (network_changes.c.holds_from <= day)
    if connection.scalar(select(network_changes.c.number).where(newer).limit(1)) is None:
        return None  # as nearly always: no text is read
    versions = [one for one in history(connection) if one.holds_from <= day]
    since = [one for one in versions if one.who and one.made_at > planned_at]
    if not since:
        return None
    before = _network([one for one in versions if one.made_at <= planned_at], given)
    return since[-1] if _differ(before, _network(versions, given), day) else None


def _network(versions: Sequence[Version], given: Network) -> Network:
    in_order = sorted(versions, key=lambda one: (one.holds_from, one.number))
    if not any(one.text is not None for one in in_order):
        return given
    whole = _folded([(one.text, one.changes) for one in in_order])
    return network_of(whole.text, whole.changes, FILE)


def _differ(one: Network, other: Network, day: date) -> bool:
    hours = [{place.id: place.weekday_on(day) for place in network.places} for network in (one, other)]
    rest = [network.model_dump(exclude={"exceptions"}) for network in (one, other)]
    return hours[0] != hours[1] or rest[0] != rest[1]
