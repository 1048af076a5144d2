"""FOLIO: its Kafka topics as published, and its REST API for the changes that its fire-and-forget publishing lost."""

from rotation.feeds.folio.mapping import FolioMap, read_map
from rotation.feeds.folio.reconcile import FIRST_ITEM, FolioCopy, Okapi, reconcile
from rotation.feeds.folio.topics import CHECK_IN_LEAD, TOPIC_PATTERN, FolioMessage, translate

__all__ = [
    "CHECK_IN_LEAD",
    "FIRST_ITEM",
    "TOPIC_PATTERN",
    "FolioCopy",
    "FolioMap",
    "FolioMessage",
    "Okapi",
    "read_map",
    "reconcile",
    "translate",
]
