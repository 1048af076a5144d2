"""The crates of a day that leave a place, for their labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from rotation.facts.hand_work import bag_label
from rotation.facts.lifecycle import LegKind
from rotation.network import Network


@dataclass(frozen=True, slots=True)
class CrateLabel:
    """A label: a crate's number, where it goes, its copies, which bag of how many (0: no bag), van and stop (None: a trunk)."""

    crate_id: str
    kind: LegKind
    to_place_id: str
    copies: int
    bag: int
    bags: int
    van_id: str | None
    position: int | None

    @property
    def code(self) -> str:
        """The text of its codes."""
        return bag_label(self.crate_id, self.bag, self.bags)


_CRATES = text(f"""
    SELECT l.crate_id, l.kind, l.to_place_id, count(*) AS copies, r.van_id, min(s.position) AS position
    FROM legs l LEFT JOIN runs r USING (run_id) LEFT JOIN stops s ON s.run_id = l.run_id AND s.place_id = CASE l.kind
        WHEN '{LegKind.COLLECT}' THEN l.from_place_id ELSE l.to_place_id END
    WHERE l.from_place_id = :place AND l.day = :day AND l.crate_id IS NOT NULL AND l.kind <> '{LegKind.SORT}'
    GROUP BY l.crate_id, l.kind, l.to_place_id, r.van_id
    ORDER BY r.van_id NULLS LAST, min(s.position) DESC NULLS LAST, l.crate_id""")


def labels_of(connection: Connection, network: Network, place: str, day: date) -> list[CrateLabel]:
    """Return the labels of the crates that leave a place on a day, in the order in which they are loaded."""
    rows = connection.execute(_CRATES, {"place": place, "day": day})
    return [one for row in rows for one in _labels(network, row)]


def _labels(network: Network, row: Row[Any]) -> Iterator[CrateLabel]:
    """Yield a label for the crate, or for each of its bags."""
    many = network.bags_of(row.copies) if row.kind == LegKind.DELIVER else 0
    for bag in range(1, many + 1) if many else (0,):
        kind = LegKind(row.kind)
        yield CrateLabel(row.crate_id, kind, row.to_place_id, row.copies, bag, many, row.van_id, row.position)
