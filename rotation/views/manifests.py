"""Manifests: each crate of a run, or a crate alone, with the copies in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, text

from rotation.facts.lifecycle import SHIPMENT_PREFIX, CrateState, LegKind


@dataclass(frozen=True, slots=True)
class ManifestCopy:
    """A copy in a crate."""

    code: str
    title: str
    call_number: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A crate with its copies: from where to where, and by which van (None: a trunk, or not planned)."""

    crate_id: str
    from_place_id: str
    to_place_id: str
    van_id: str | None
    copies: list[ManifestCopy] = field(default_factory=list)


_COPY = """
    coalesce(i.barcode, nullif(s.barcode, ''), inside.copy_id) AS code,
    coalesce(t.name, c.title_id, inside.copy_id) AS title, coalesce(s.call_number, '') AS call_number"""
_ABOUT = """
    LEFT JOIN copies c ON c.copy_id = inside.copy_id LEFT JOIN titles t ON t.title_id = c.title_id
    LEFT JOIN shelvings s ON s.copy_id = inside.copy_id
    LEFT JOIN LATERAL (SELECT barcode FROM item_copies k WHERE k.copy_id = inside.copy_id LIMIT 1) i ON true"""
# What the plan puts into each crate of a run. A direct crate has two legs of the same kind in one run, so copies are distinct.
_PLANNED = f"""
    SELECT DISTINCT l.crate_id, l.from_place_id, l.to_place_id, r.van_id, {_COPY} FROM legs l
    LEFT JOIN runs r ON r.run_id = l.run_id LEFT JOIN transfers tr ON tr.transfer_id = l.transfer_id
    CROSS JOIN LATERAL (SELECT coalesce(tr.copy_id, substr(l.transfer_id, {len(SHIPMENT_PREFIX) + 1})) AS copy_id) inside {_ABOUT}
    WHERE l.crate_id IS NOT NULL AND l.kind <> '{LegKind.SORT}' AND"""
_ORDER = " ORDER BY 1, 3, call_number, code"
_OF_RUN = text(f"{_PLANNED} l.run_id = :run {_ORDER}")
_OF_CRATE = text(f"{_PLANNED} l.crate_id = :crate {_ORDER}")
# What was scanned into a crate that was closed.
_CLOSED = text(f"""
    SELECT r.crate_id, f.place_id AS from_place_id, r.to_place_id, u.van_id, {_COPY} FROM crates r
    JOIN LATERAL (SELECT place_id FROM crate_facts f WHERE f.crate_id = r.crate_id AND f.type = '{CrateState.CLOSED}'
        ORDER BY f.occurred_at DESC LIMIT 1) f ON true
    LEFT JOIN runs u ON u.run_id = r.run_id
    CROSS JOIN LATERAL jsonb_array_elements_text(r.copies) AS inside(copy_id) {_ABOUT}
    WHERE r.crate_id = :crate AND jsonb_typeof(r.copies) = 'array' AND r.to_place_id IS NOT NULL {_ORDER}""")


def of_run(connection: Connection, run_id: str) -> list[Manifest]:
    """Return the manifests of a run's crates, as planned."""
    return list(_manifests(connection.execute(_OF_RUN, {"run": run_id})))


def of_crate(connection: Connection, crate_id: str) -> Manifest | None:
    """Return a crate's manifest: its scanned copies once it is closed, its planned copies before."""
    for query in (_CLOSED, _OF_CRATE):
        if found := list(_manifests(connection.execute(query, {"crate": crate_id}))):
            return found[0]
    return None


def _manifests(rows: Iterable[Row[Any]]) -> Iterator[Manifest]:
    for crate_id, some in groupby(rows, key=attrgetter("crate_id")):
        inside = list(some)
        first = inside[0]
        copies = dict.fromkeys(ManifestCopy(row.code, row.title, row.call_number) for row in inside)
        yield Manifest(crate_id, first.from_place_id, first.to_place_id, first.van_id, list(copies))
