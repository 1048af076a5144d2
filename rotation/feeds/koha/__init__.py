"""Koha: its database, read with cursors; holds are compared as a whole."""

from rotation.feeds.koha import check, holds, transfers, version
from rotation.feeds.koha.rows import (
    DELETED,
    ITEMS,
    STATISTICS,
    FollowedTable,
    KohaCopy,
    KohaMap,
    Row,
    of_deleted,
    of_items,
    of_statistics,
    pages,
    read_map,
)
from rotation.feeds.koha.transfers import TRANSFERS, of_transfers

# Items first: copies are listed before other tables mention them.
SOURCES: tuple[FollowedTable, ...] = (ITEMS, DELETED, TRANSFERS, STATISTICS)

__all__ = [
    "SOURCES",
    "FollowedTable",
    "KohaCopy",
    "KohaMap",
    "Row",
    "check",
    "holds",
    "of_deleted",
    "of_items",
    "of_statistics",
    "of_transfers",
    "pages",
    "read_map",
    "transfers",
    "version",
]
