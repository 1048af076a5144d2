"""Koha's version and settings, looked at before anything is read."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pymysql.err import MySQLError

# Transfers have an end without receipt (`datecancelled`) from this release on.
OLDEST = (20, 11)
# "24.1105000": year, then month and more without a separator.
VERSION = re.compile(r"^(\d+)\.(\d{2})\d*$")
# MariaDB's errors for a table or column that the user may not read, or that is not there.
DENIED, NO_TABLE = (1142, 1143), 1146
# Columns without which the adapter cannot work.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "items": (
        "barcode",
        "biblionumber",
        "homebranch",
        "holdingbranch",
        "itemlost",
        "withdrawn",
        "damaged",
        "notforloan",
    ),
    "biblioitems": ("biblioitemnumber", "itemtype"),
    "biblio": ("biblionumber", "title", "subtitle", "author"),
    "deleteditems": ("barcode", "holdingbranch", "timestamp"),
    "statistics": ("datetime", "branch", "type", "itemnumber"),
    "branchtransfers": ("branchtransfer_id", "datesent", "datearrived", "datecancelled", "cancellation_reason"),
    "reserves": ("reserve_id", "biblionumber", "branchcode", "itemnumber", "found", "suspend", "timestamp"),
    "old_reserves": ("reserve_id", "found", "cancellationdate", "expirationdate", "timestamp"),
}
# What moves copies in Koha by itself, by its system preference, and the value with which it does not.
SWITCHES: Mapping[str, tuple[str, str]] = {
    "AutomaticItemReturn": ("0", "Koha sends every copy home that is returned elsewhere"),
    "StockRotation": ("0", "Koha's own stock rotation moves copies by its rotas"),
}
# Item types by items are what Koha is installed with; by records, an item's own type says nothing there and all here.
TYPES_OF_ITEMS = "item-level_itypes"
RETURN_RULES = "noreturn"


class Installation(NamedTuple):
    """A Koha's version, None where it may not be read, and sentences about settings that work against Rotation there."""

    version: tuple[int, int] | None
    warnings: tuple[str, ...]


def inspected(connection: Any) -> Installation:
    """Look at a Koha before it is read.

    Raises
    ------
    ValueError
        When it is older than OLDEST, or lacks tables or columns.
    """
    version = _version(_preference(connection, "Version"))
    if version and version < OLDEST:
        raise ValueError(f"this Koha is {_said(version)}; at least {_said(OLDEST)} is needed")
    if missing := sorted(_missing(connection)):
        raise ValueError(f"this Koha lacks {', '.join(missing)}, or its database user may not read them")
    return Installation(version, tuple(_warnings(connection, version)))


def _said(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:02}"


def _version(written: str | None) -> tuple[int, int] | None:
    found = VERSION.match(written or "")
    return (int(found[1]), int(found[2])) if found else None


def _missing(connection: Any) -> Iterator[str]:
    sql = "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = database()"
    there = {(str(row["t"]), str(row["c"])) for row in _rows(connection, sql) or ()}
    for table, columns in NEEDED.items():
        yield from (f"{table}.{column}" for column in columns if (table, column) not in there)


def _warnings(connection: Any, version: tuple[int, int] | None) -> Iterator[str]:
    if version is None:
        yield f"Koha's version is unknown: its database user may not read systempreferences; {_said(OLDEST)} is needed"
    for name, (quiet, what) in SWITCHES.items():
        if (_preference(connection, name) or quiet) != quiet:
            yield f"{what}: set the system preference {name} to {quiet}, or its transfers and Rotation's will differ"
    if _preference(connection, TYPES_OF_ITEMS) == "0":
        yield f"Koha takes item types from records, and here an item's own type counts first: set {TYPES_OF_ITEMS} to 1"
    rows = _rows(connection, "SELECT DISTINCT rule_value AS v FROM circulation_rules WHERE rule_name = 'returnbranch'")
    # Without any rule Koha's own default is the home library.
    policies = {str(row["v"]) for row in rows or ()} or {"homebranch"}
    if rows is not None and policies != {RETURN_RULES}:
        sending = ", ".join(sorted(policies - {RETURN_RULES}))
        yield f"Koha's return policy sends returned copies to their {sending}: let them float (noreturn)"


def _preference(connection: Any, name: str) -> str | None:
    rows = _rows(connection, "SELECT value FROM systempreferences WHERE variable = %(name)s", name=name)
    return str(rows[0]["value"]) if rows else None


def _rows(connection: Any, sql: str, **values: Any) -> list[dict[str, Any]] | None:
    """Return rows; None where the table is not there or may not be read."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    except MySQLError as error:
        if error.args and error.args[0] in (*DENIED, NO_TABLE):
            return None
        raise
    finally:
        connection.rollback()
