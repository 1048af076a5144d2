"""Koha's present beside Rotation's, copy by copy: every difference, and nothing sent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rotation.facts.movements import CopyState
from rotation.feeds.koha.items import ITEMS, listing_of
from rotation.feeds.koha.mapping import KohaMap, UnmappedBranch, place_of
from rotation.feeds.koha.reading import FIRST, KohaCopy, Row, page_after
from rotation.feeds.koha.standing import standing_of

# States that Koha's items do not tell apart: a copy on its shelf there may be at one of these steps here.
FINER_HERE = frozenset({CopyState.PICKED, CopyState.ON_HOLD_SHELF, CopyState.UNKNOWN})

# Koha's item names the place of these copies truly; others have left it, and a copy on the hold shelf stands where its hold says.
PLACED = frozenset({CopyState.ON_SHELF})


class Difference(NamedTuple):
    """A copy that stands otherwise in Koha than here; a side that does not know it is None."""

    copy: str
    theirs: str | None
    here: str | None


def pages(connection: Any) -> Iterator[list[Row]]:
    """Yield all items in pages."""
    at, key = FIRST, ""
    while rows := page_after(connection, ITEMS, at, key):
        at, key = rows[-1]["at"], rows[-1]["row_key"]
        yield rows


def differences(
    rows: Sequence[Row], copies_of: Mapping[int, str], known: Mapping[str, KohaCopy], chosen: KohaMap
) -> Iterator[Difference]:
    """Yield the items that stand otherwise than the copies known here."""
    for row in rows:
        copy = copies_of.get(row["itemnumber"]) or row["barcode"] or str(row["itemnumber"])
        theirs, here = _theirs(row, chosen), known.get(copy)
        if not _same(theirs, here):
            yield Difference(copy, _words(*theirs), _words(here.state, here.place) if here else None)
        elif here and (listed := _listed(row, chosen)) != _listed_here(here):
            yield Difference(copy, listed, _listed_here(here))


def _listed(row: Row, chosen: KohaMap) -> str:
    try:
        return _listing_words(*listing_of(row, chosen))
    except UnmappedBranch:
        return f"home unmapped {row['homebranch']}"


def _listed_here(here: KohaCopy) -> str:
    return _listing_words(here.title, here.title_class, here.home, here.fixed)


def _listing_words(title: str | None, title_class: str | None, home: str | None, fixed: object) -> str:
    return f"title {title}, class {title_class}, home {home}{', fixed' if fixed else ''}"


def _theirs(row: Row, chosen: KohaMap) -> tuple[CopyState, str]:
    try:
        place = place_of(row["holdingbranch"], "holdingbranch", chosen)
    except UnmappedBranch:
        place = f"unmapped {row['holdingbranch']}"
    standing = standing_of(row, chosen)
    return (standing.state if standing else CopyState.IN_TRANSIT), place


def _same(theirs: tuple[CopyState, str], here: KohaCopy | None) -> bool:
    if here is None:
        return False
    state, place = theirs
    if state is CopyState.ON_SHELF and here.state in FINER_HERE:
        return True
    return here.state is state and (state not in PLACED or here.place == place)


def _words(state: CopyState, place: str) -> str:
    return f"{state} at {place}"
