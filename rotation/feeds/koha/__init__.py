"""Koha: its database, read with cursors; holds are compared as a whole."""

from rotation.feeds.koha import check, holds, transfers, vanished, version
from rotation.feeds.koha.circulation import STATISTICS, of_statistics
from rotation.feeds.koha.items import DELETED, ITEMS, of_deleted, of_items
from rotation.feeds.koha.mapping import KohaMap, read_map
from rotation.feeds.koha.reading import FollowedTable, KohaCopy, Row, pages
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
    "vanished",
    "version",
]
