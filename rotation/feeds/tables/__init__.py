"""Tables from any library system: CSV, XLSX and JSON lines, read by a column map.

The map names the columns to read; all others, readers' data among them, never leave the file. A "stock" table says in each
row where a copy is now, an "events" table its movements.
"""

from rotation.feeds.tables.facts import translate
from rotation.feeds.tables.mapping import (
    NO_PLACE,
    VIA,
    Caption,
    Rows,
    TableMap,
    TableRow,
    read_map,
    state_word,
    states_of,
)
from rotation.feeds.tables.picking import cell_text, is_total
from rotation.feeds.tables.reading import ANY_TIME, SheetChoice, plain_rows, read, sheet_choice

__all__ = [
    "ANY_TIME",
    "NO_PLACE",
    "VIA",
    "Caption",
    "Rows",
    "SheetChoice",
    "TableMap",
    "TableRow",
    "cell_text",
    "is_total",
    "plain_rows",
    "read",
    "read_map",
    "sheet_choice",
    "state_word",
    "states_of",
    "translate",
]
