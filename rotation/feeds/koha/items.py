"""Koha's tables `items` and `deleteditems`: the stock, and how each copy stands."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from rotation.facts.events import EARLIEST, CopyAdded, CopyWithdrawn, Fact, TransferSent
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import EventDict, Translated, event, id_of, title_name
from rotation.feeds.koha.mapping import KohaMap, instant_of, place_of
from rotation.feeds.koha.reading import (
    CANCELLED,
    PAGE_ROWS,
    STANDS,
    FollowedTable,
    KnownOf,
    KohaCopy,
    Row,
    each_row,
    packed,
)
from rotation.feeds.koha.standing import ITEM_TYPE, SIGNS, Standing, fact_of, standing_of, suffix

LONGEST_WORD = 128  # of an event's field; Koha's call numbers may have twice as many characters

ON_THE_WAY = """(SELECT {what} FROM branchtransfers t WHERE t.itemnumber = i.itemnumber AND t.datesent IS NOT NULL
    AND t.datearrived IS NULL AND t.datecancelled IS NULL ORDER BY t.branchtransfer_id DESC LIMIT 1)"""
KEY = {
    "at": "i.timestamp",
    "row_key": "lpad(i.itemnumber, 12, '0')",
    "itemnumber": "i.itemnumber",
    "barcode": "nullif(i.barcode, '')",
}
COLUMNS = {
    **KEY,
    "biblionumber": "i.biblionumber",
    "itype": ITEM_TYPE,
    "ccode": "i.ccode",
    "permanent_location": "i.permanent_location",
    "homebranch": "i.homebranch",
    "dateaccessioned": "i.dateaccessioned",
    "itemcallnumber": "i.itemcallnumber",
    "title": "b.title",
    "subtitle": "b.subtitle",
    "author": "b.author",
    **SIGNS,
    "on_the_way": ON_THE_WAY.format(what="t.branchtransfer_id"),
    "on_the_way_to": ON_THE_WAY.format(what="t.tobranch"),
    "waits": "IF(EXISTS (SELECT 1 FROM reserves r WHERE r.itemnumber = i.itemnumber AND r.found = 'W'), 1, NULL)",
}
ITEMS_SQL = f"""
SELECT {packed(COLUMNS)}
FROM items i LEFT JOIN biblio b ON b.biblionumber = i.biblionumber
WHERE i.timestamp >= %(at)s AND (i.timestamp > %(at)s OR i.itemnumber > %(number)s)
ORDER BY i.timestamp, i.itemnumber LIMIT {PAGE_ROWS}
"""
DELETED_COLUMNS = {**KEY, "holdingbranch": "i.holdingbranch"}
DELETED_SQL = f"""
SELECT {packed(DELETED_COLUMNS)}
FROM deleteditems i
WHERE NOT EXISTS (SELECT 1 FROM items l WHERE l.itemnumber = i.itemnumber)
    AND i.timestamp >= %(at)s AND (i.timestamp > %(at)s OR i.itemnumber > %(number)s)
ORDER BY i.timestamp, i.itemnumber LIMIT {PAGE_ROWS}
"""

# States that Koha's items do not distinguish.
_OURS = frozenset({CopyState.PICKED, CopyState.IN_TRANSIT, CopyState.ON_HOLD_SHELF})


def of_items(rows: Sequence[Row], chosen: KohaMap, known_of: KnownOf) -> Iterator[Translated]:
    """Yield new copies, and corrections where a copy stands elsewhere than known: this repairs lost events."""
    known = known_of([row["copy"] for row in rows])

    def facts_of(row: Row) -> Iterator[EventDict]:
        before = known.get(row["copy"])
        yield from _listed(row, before, chosen)
        standing, where = standing_of(row, chosen), _where(row, chosen)
        if standing and not _known_already(before, standing.state, where["place"]):
            yield _stands(row, standing, where, chosen)

    return each_row("items", rows, facts_of)


def _where(row: Row, chosen: KohaMap) -> dict[str, str]:
    return {"copy": row["copy"], "place": place_of(row["holdingbranch"], "holdingbranch", chosen)}


def _stands(row: Row, standing: Standing, where: Mapping[str, str], chosen: KohaMap) -> EventDict:
    fact = fact_of(standing.state, where)
    identity = f"items/{row['row_key']}/{row['at'].isoformat()}/{fact.type}" + suffix(standing.reason)
    return event(fact, chosen.source, instant_of(row["at"], chosen), event_id=identity, sequence=STANDS)


def _known_already(before: KohaCopy | None, state: CopyState, place: str) -> bool:
    if before is None:
        return False
    same = before.state is state and (before.place == place or state is not CopyState.ON_SHELF)
    return same or (state is CopyState.ON_SHELF and before.state in _OURS)


def _listed(row: Row, before: KohaCopy | None, chosen: KohaMap) -> Iterator[EventDict]:
    """Yield that the copy is in the stock, if that is new: from its first day, or from the row's change on."""
    title, title_class, home, fixed = listing = listing_of(row, chosen)
    name = title_name(row.get("title"), row.get("subtitle"), row.get("author"))
    told = before and (before.title, before.title_class, before.home, before.fixed) == listing
    if before and told and (before.named or not name):
        return
    first = before is None or before.title is None
    at = _first_day(row) if first else row["at"]
    listed = {"copy": row["copy"], "place": home, "title": title, "class": title_class, "fixed": fixed}
    listed |= {"title_name": name} if name else {}
    added = CopyAdded.model_validate(listed | _shelving(row))
    # A name that came later than the rest is told by an event of its own.
    also = [*(["fixed"] if fixed else []), *(["named"] if told else [])]
    identity = f"items/{row['row_key']}/added/{id_of(title, title_class, home, at, *also)}"
    yield event(added, chosen.source, instant_of(at, chosen), event_id=identity)
    if before and not first:
        yield _as_before(row, before, chosen, identity)


def listing_of(row: Row, chosen: KohaMap) -> tuple[str, str, str, bool]:
    """Return an item's title, class, home, and whether it never leaves there; raises UnmappedBranch."""
    title_class = chosen.classes.get(str(row["itype"]), chosen.default_class)
    fixed = chosen.fixed.has(row["itype"], row["permanent_location"] or row["location"], row["ccode"])
    return str(row["biblionumber"]), title_class, place_of(row["homebranch"], "homebranch", chosen), fixed


def _first_day(row: Row) -> date:
    """Return the day on which a copy entered the stock; its row's time where that day is no day, or a mistyped one."""
    day = row["dateaccessioned"]
    possible = type(day) is date and EARLIEST.date() <= day <= row["at"].date() + timedelta(days=1)
    return day if possible else row["at"]  # type: ignore[no-any-return]


def _shelving(row: Row) -> dict[str, str]:
    fields = {"call_number": "itemcallnumber", "room": "location", "collection": "ccode"}
    return {field: str(row[column])[:LONGEST_WORD] for field, column in fields.items() if row.get(column)}


def _as_before(row: Row, before: KohaCopy, chosen: KohaMap, identity: str) -> EventDict:
    """Return where a copy is that was listed anew: a listing alone would put it on the shelf of its home.

    Koha's row says it, since what is known here may be older than the row: a whole night's events may wait to be read.
    """
    standing, where = standing_of(row, chosen), _where(row, chosen)
    if standing is None:
        to = place_of(row["on_the_way_to"], "tobranch", chosen)
        known = before.state is CopyState.IN_TRANSIT and before.to == to
        place = {"place": before.place} if known else {}
        fact: Fact = TransferSent.model_validate(where | place | {"to": to, "transfer": f"koha-{row['on_the_way']}"})
    elif _knows_better(before, standing, chosen):
        where |= {"place": before.place}
        in_transit = before.state is CopyState.IN_TRANSIT and before.to
        fact = TransferSent.model_validate(where | {"to": before.to}) if in_transit else fact_of(before.state, where)
    else:
        fact = fact_of(standing.state, where)
    at = instant_of(row["at"], chosen)
    return event(fact, chosen.source, at, event_id=f"{identity}/as-before", sequence=CANCELLED + 1)


def _knows_better(before: KohaCopy, standing: Standing, chosen: KohaMap) -> bool:
    """Return whether a copy that Koha has on a shelf is at a step here that Koha does not have."""
    if standing.state is not CopyState.ON_SHELF:
        return False
    ours = before.state in _OURS and before.source != chosen.source
    return ours or before.state in (CopyState.PICKED, CopyState.UNKNOWN)


def of_deleted(rows: Sequence[Row], chosen: KohaMap, known_of: KnownOf) -> Iterator[Translated]:
    """Yield the copies that left the stock."""

    def facts_of(row: Row) -> Iterator[EventDict]:
        where = {"copy": row["copy"], "place": place_of(row["holdingbranch"], "holdingbranch", chosen)}
        identity = f"deleteditems/{row['row_key']}/{row['at'].isoformat()}"
        at = instant_of(row["at"], chosen)
        yield event(CopyWithdrawn.model_validate(where), chosen.source, at, event_id=identity, sequence=STANDS)

    return each_row("deleteditems", rows, facts_of)


ITEMS = FollowedTable("items", ITEMS_SQL, tuple(COLUMNS), of_items, utc=True)
DELETED = FollowedTable("deleteditems", DELETED_SQL, tuple(DELETED_COLUMNS), of_deleted, utc=True)
