"""LibrariesWest's open data: a real network of 166 points, and its daily snapshots of every copy in transit."""

from rotation.feeds.librarieswest.points import network
from rotation.feeds.librarieswest.snapshots import (
    TransitRow,
    TransitSnapshot,
    class_of,
    parse_snapshot,
    read_snapshot,
    slug,
    snapshot_files,
    snapshots,
)
from rotation.feeds.librarieswest.transfers import SOURCE, CopyLedger, Import, copy_id, events, happened, send

__all__ = [
    "SOURCE",
    "CopyLedger",
    "Import",
    "TransitRow",
    "TransitSnapshot",
    "class_of",
    "copy_id",
    "events",
    "happened",
    "network",
    "parse_snapshot",
    "read_snapshot",
    "send",
    "slug",
    "snapshot_files",
    "snapshots",
]
