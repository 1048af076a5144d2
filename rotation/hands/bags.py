"""Bags: copies for one place fill several under their crate's number, each with a label and a scan of its own, NUMBER/BAG."""

import re
from typing import NamedTuple

from sqlalchemy import Connection, text

from rotation.facts.hand_work import HandWork, bag_label
from rotation.facts.lifecycle import LegKind
from rotation.hands.door import HandScan
from rotation.network import Network

_LABEL = re.compile(r"(?P<crate>.+)/(?P<bag>[1-9][0-9]?)")


class BagLabel(NamedTuple):
    """A bag's label: its crate's number and its own, from 1."""

    crate_id: str
    number: int


# By the plan, which the labels were printed from, else as it was closed.
_COPIES = text(f"""
    SELECT coalesce(
        (SELECT count(*) FROM legs WHERE crate_id = :crate AND kind = '{LegKind.DELIVER}' GROUP BY crate_id),
        (SELECT jsonb_array_length(copies) FROM crates WHERE crate_id = :crate AND jsonb_typeof(copies) = 'array'))""")
_SCANNED = text(f"""
    SELECT code FROM scans WHERE subject = :crate AND run_id = :run AND place_id = :place AND work = '{HandWork.CRATE}'""")


def read(connection: Connection, code: str) -> BagLabel | None:
    """Return the bag whose label was scanned; None for any other code, such as a barcode with a slash in it."""
    written = _LABEL.fullmatch(code)
    if written is None or connection.scalar(_COPIES, {"crate": written["crate"]}) is None:
        return None
    return BagLabel(written["crate"], int(written["bag"]))


def crate_of(connection: Connection, code: str) -> str:
    """Return the number of the crate that a label names: a bag's is its crate's."""
    bag = read(connection, code)
    return bag.crate_id if bag else code


def to_come(connection: Connection, network: Network, scan: HandScan, bag: BagLabel) -> list[int]:
    """Return the bags of a crate that were not scanned yet at this stop of the run, after `bag` is."""
    asked = {"crate": bag.crate_id, "run": scan.run_id, "place": scan.place_id}
    bags = network.bags_of(connection.scalar(_COPIES, asked) or 0)
    scanned = {*connection.scalars(_SCANNED, asked), bag_label(*bag, bags)}
    return [number for number in range(1, bags + 1) if bag_label(bag.crate_id, number, bags) not in scanned]
