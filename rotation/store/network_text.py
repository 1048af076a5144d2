"""A network file's text with changes made in it: comments, order and all that nobody changed stay as they were."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from datetime import date
from typing import Any, NamedTuple

import tomlkit
from tomlkit.items import Table

from rotation.network import Network, from_tables, parsed

# Tables that stand once; all others are lists of rows with ids.
SINGLE = ("network", "floors")
# A line that begins a table or a row of one.
HEADER = re.compile(r"(\[\[?[^\[\]]+\]\]?)\s*(?:#.*)?$")
# Fields whose values are days: written as TOML's own.
DAYS = ("first", "last")


class NetworkChange(NamedTuple):
    """A change of a table's row: new values by field (null: the field goes), or `values` None: the row goes."""

    table: str
    id: str
    values: Mapping[str, Any] | None


class NoSuchRow(LookupError):
    """The row that a change is about is not there."""


def as_toml(text: str, file: str) -> str:
    """Return a network file's text as TOML: as it is, or written anew from the JSON of an import."""
    return tomlkit.dumps(_without_nulls(json.loads(text))) if file.endswith(".json") else text


def edited(text: str, changes: Iterable[NetworkChange]) -> str:
    """Return a TOML text with changes made in it; without any, the same text."""
    some = list(changes)
    if not some:
        return text
    document = tomlkit.parse(text)
    for change in some:
        at = _place_of(document, change) if change.values is None else None
        shorter = None if at is None else _without_row(tomlkit.dumps(document), change.table, at)
        _apply(document, change, _written)
        if shorter is not None and tomllib.loads(shorter) == {
            name: rows for name, rows in document.unwrap().items() if rows
        }:
            document = tomlkit.parse(shorter)
    return tomlkit.dumps(document).rstrip("\n") + "\n"


def network_of(text: str, changes: Iterable[NetworkChange], file: str) -> Network:
    """Return the network of a text with changes made in it; raises NetworkError as `rotation.network.read` does."""
    some = list(changes)
    return from_tables(tables_of(text, some), file) if some else parsed(text, file)


def tables_of(text: str, changes: Iterable[NetworkChange]) -> dict[str, Any]:
    """Return the tables of a text with changes made in it, as a TOML parser gives them."""
    raw = tomllib.loads(text)
    for change in changes:
        _apply(raw, change, lambda _, value: value)
    return raw


def row_of(tables: Mapping[str, Any], table: str, row_id: str) -> Mapping[str, Any] | None:
    """Return a row by table and id; None where there is none."""
    if table in SINGLE:
        return tables.get(table, {})  # type: ignore[no-any-return]
    return next((row for row in tables.get(table, ()) if row.get("id") == row_id), None)


def _apply(document: MutableMapping[str, Any], change: NetworkChange, written: Any) -> None:
    if change.table in SINGLE:
        if change.table not in document:
            document[change.table] = {}
        row = document[change.table]
    else:
        row = _row(document, change)
    if row is None:
        return
    is_new = not row
    for field, value in (change.values or {}).items():
        if value is None:
            row.pop(field, None)
        else:
            row[field] = written(field, value)
    if is_new and isinstance(row, Table):
        row.add(tomlkit.nl())  # an empty line between rows


def _place_of(document: MutableMapping[str, Any], change: NetworkChange) -> int | None:
    return next((n for n, row in enumerate(document.get(change.table, ())) if row.get("id") == change.id), None)


def _without_row(text: str, table: str, at: int) -> str | None:
    """Return a text without a table's row and the comment directly above it; None where the rows have no headers of their own.

    tomlkit 0.15 gives the lines above a header to the row before: removed with it goes the next row's comment.
    """
    lines = text.splitlines(keepends=True)
    headers = [(n, header[1]) for n, line in enumerate(lines) if (header := HEADER.match(line))]
    begins = [n for n, header in headers if header == f"[[{table}]]"]
    if at >= len(begins):
        return None
    own = (f"[{table}.", f"[[{table}.")
    end = next((n for n, header in headers if n > begins[at] and not header.startswith(own)), len(lines))
    return "".join(lines[: _with_comment(lines, begins[at])] + lines[_with_comment(lines, end) :])


def _with_comment(lines: Sequence[str], header: int) -> int:
    """Return the first line of the comment directly above a header, or the header's own."""
    while header and header < len(lines) and lines[header - 1].startswith("#"):
        header -= 1
    return header


def _row(document: MutableMapping[str, Any], change: NetworkChange) -> Any:
    """Return the row to change: found, or new where the change names its id; None where it was removed."""
    is_text = isinstance(document, tomlkit.TOMLDocument)
    if change.table not in document:
        if is_text:
            document.add(tomlkit.nl())  # type: ignore[attr-defined]
        document[change.table] = tomlkit.aot() if is_text else []
    rows: MutableSequence[Any] = document[change.table]
    at = _place_of(document, change)
    if change.values is None:
        if at is None:
            raise NoSuchRow(f"no {change.table} {change.id!r}")
        del rows[at]
        return None
    if at is not None:
        return rows[at]
    if change.values.get("id") != change.id:
        raise NoSuchRow(f"no {change.table} {change.id!r}")
    if is_text and rows and not rows[-1].as_string().endswith("\n\n"):
        rows[-1].add(tomlkit.nl())
    rows.append(tomlkit.table() if is_text else {})
    return rows[-1]


def _written(field: str, value: Any) -> Any:
    """Return a value as TOML: tables in a line, days as days."""
    if isinstance(value, Mapping):
        line = tomlkit.inline_table()
        for key, one in value.items():
            line[key] = _written(key, one)
        return line
    if isinstance(value, list):
        return [_written(field, one) for one in value]
    return date.fromisoformat(value) if field in DAYS and isinstance(value, str) else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
