"""Koha's tables `statistics`, `items` and `deleteditems`, read with a cursor.

Each table is read in the order of its own times, page by page, starting a little before the last position. So rows that a long
transaction committed late are found, and rows read twice get the same ids. No column of a borrower is selected.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotation.facts.events import (
    CopyAdded,
    CopyCorrected,
    CopyDamaged,
    CopyLoaned,
    CopyMissing,
    CopyRenewed,
    CopyReturned,
    CopyWithdrawn,
    Fact,
    RejectionReason,
    TransferMisrouted,
    TransferSent,
)
from rotation.facts.movements import CopyState
from rotation.feeds import maps
from rotation.feeds.carrying import EventDict, Translated, event, id_of, rejected_record

PAGE_ROWS = 2_000
OVERLAP = timedelta(
    minutes=10
)  # Koha's rows carry the time their statement ran, and its transactions commit minutes later
# Further than any zone is from UTC.
MOST_OFFSET = timedelta(days=1)
# After any row, and the last year that MariaDB's times have.
LAST = datetime(9999, 12, 31)  # noqa: DTZ001
FIRST = datetime(1970, 1, 2)  # before any row; Koha's times are local, without a zone  # noqa: DTZ001
# Order in which facts of the same second took effect.
CANCELLED, RETURNED, LOANED, SENT, STANDS = range(5)
# Written in place of a branch by renewals that no branch made (system preference OpacRenewalBranch, cron jobs).
NO_BRANCH = frozenset({"", "None", "OPACRenew"})


# A word of the map that tells why a copy cannot be picked; it becomes part of event ids.
ReasonWord = Annotated[str, Field(pattern=r"^[a-z_]{1,30}$")]


class FixedCopies(BaseModel):
    """Which copies never leave their home: those of these item types, shelving locations or collections (`ccode`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()

    def has(self, itype: object, location: object, collection: object) -> bool:
        """Return whether a copy of this type, location and collection is fixed."""
        return itype in self.types or location in self.locations or collection in self.collections


class KohaMap(BaseModel):
    """Maps Koha's branches and item types to the network's places and classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)] = "koha"
    timezone: maps.TimeZone = "Asia/Shanghai"
    branches: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str
    # Values of `notforloan` and their reasons; other negative values mean "in_process", other positive ones "not_for_loan".
    not_for_loan: dict[str, ReasonWord] = {"-1": "on_order", "1": "reference", "2": "staff"}
    # Shelving locations from which nothing can be picked, and their reasons.
    off_shelf: dict[str, ReasonWord] = {"PROC": "in_process", "CART": "cart"}
    fixed: FixedCopies = Field(default_factory=FixedCopies)


def read_map(path: Path) -> KohaMap:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, KohaMap)


Row = Mapping[str, Any]
LONGEST_WORD = 128  # of an event's field; Koha's call numbers may have twice as many characters


class KohaCopy(NamedTuple):
    """The present of a copy as Rotation knows it; title, class and home are None for an unlisted copy."""

    state: CopyState
    place: str
    to: str | None
    title: str | None
    title_class: str | None
    home: str | None
    fixed: bool = False
    source: str = ""


KnownOf = Callable[[Sequence[str]], Mapping[str, KohaCopy]]
Translate = Callable[[Sequence[Row], KohaMap, KnownOf], Iterator[Translated]]


class FollowedTable(NamedTuple):
    """A table that is followed: the SELECT of a page after (time, key), and the translation of its rows.

    `until` selects the time at which a page ends, where the table has no key of its own: an index on the time finds both.
    """

    name: str
    sql: str
    translate: Translate
    # Whether its times are TIMESTAMPs, which the session reads in UTC; Koha writes the others (DATETIME) in its own zone.
    utc: bool = False
    until: str | None = None
    # Reads the table in another way, where its times have no index.
    pages: "Pages | None" = None


# The last row's time (ISO; in UTC with its offset, else on Koha's clock) and key; around a repeated hour also the ids of the rows
# read in its first pass.
Position = tuple[str, str] | tuple[str, str, list[str]]
# From a connection, the kept position and the number of the look to pages of rows, each with the position at its end.
Pages = Callable[[Any, Any, int], Iterator[tuple[Any, list[Row]]]]


# --- Reading ------------------------------------------------------------------------------------------------------------------


def pages(
    connection: Any, source: FollowedTable, begin: Any, zone: str, look: int = 0
) -> Iterator[tuple[Any, list[Row]]]:
    """Yield pages of rows from `begin` on, each with its end position; `connection` is pymysql's with DictCursor, in UTC.

    `look` counts a feed's looks from its start.
    """
    if source.pages:
        yield from source.pages(connection, begin, look)
        return
    last = datetime.fromisoformat(begin[0]) if begin else None
    first_pass = set(begin[2]) if begin and len(begin) > 2 else set[str]()
    at, key = _begin(last, source, zone), ""
    while rows := page_after(connection, source, at, key):
        at, key = rows[-1]["at"], rows[-1]["row_key"]
        if source.utc:
            yield (
                (at.replace(tzinfo=UTC).isoformat(), key),
                [{**row, "at": row["at"].replace(tzinfo=UTC)} for row in rows],
            )
            continue
        read = [_in_its_pass(row, zone, last, first_pass) for row in rows]
        # What a clock change put behind the last position must not move it back.
        end = max(at, last) if last else at
        if not _repeated_around(end, zone):
            first_pass.clear()
        yield ((end.isoformat(), key, sorted(first_pass)) if first_pass else (end.isoformat(), key)), read


def page_after(connection: Any, source: FollowedTable, at: datetime, key: str) -> list[Row]:
    with connection.cursor() as cursor:
        after: dict[str, Any] = {"at": at, "key": key, "number": int(key) if key.isdecimal() else 0}
        if source.until:
            cursor.execute(source.until, after)
            after["until"] = (cursor.fetchone() or {"at": LAST})["at"]
        cursor.execute(source.sql, after)
        rows = list(cursor.fetchall())
    # Each page sees everything committed so far.
    connection.rollback()
    return rows


def _begin(last: datetime | None, source: FollowedTable, zone: str) -> datetime:
    """Return the time to read from: a little before the last position, an hour more where a clock change repeats one."""
    if last is None:
        return FIRST
    if source.utc:
        # Positions of before 2026-12 are on the session's clock, which was the server's.
        return (last.astimezone(UTC).replace(tzinfo=None) if last.tzinfo else last - MOST_OFFSET) - OVERLAP
    return last - OVERLAP - _repeated_around(last, zone)


def _repeated(local: datetime, zone: str) -> timedelta:
    """Return how much of the clock is repeated at a local time; mostly nothing."""
    first, second = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return max(first - second, timedelta())


def _repeated_around(local: datetime, zone: str) -> timedelta:
    return max(_repeated(local, zone), _repeated(local - OVERLAP, zone))


def _in_its_pass(row: Row, zone: str, last: datetime | None, first_pass: set[str]) -> Row:
    """Return the row, as of a repeated hour's second pass if it is behind the last position and not known from the first."""
    if not _repeated(row["at"], zone):
        return row
    identity = id_of(row["at"], row["row_key"])
    if last is None or row["at"] >= last or identity in first_pass:
        first_pass.add(identity)
        return row
    return {key: value.replace(fold=1) if isinstance(value, datetime) else value for key, value in row.items()}


# The item's own signs of where it is and whether it can be picked.
SIGNS = """
    i.damaged, i.notforloan, i.restricted, i.location, i.itemlost, i.withdrawn, i.onloan IS NOT NULL AS onloan, i.holdingbranch,
    (SELECT y.notforloan FROM itemtypes y WHERE y.itemtype = i.itype) AS type_not_for_loan"""
# A coalesced type keeps the server on the index of times: that of types would sort the whole table for each page.
STATISTICS_ROWS = """
    FROM statistics s WHERE coalesce(s.type, '') IN ('issue', 'return', 'renew') AND s.itemnumber IS NOT NULL"""
STATISTICS_UNTIL_SQL = f"""
SELECT s.datetime AS at {STATISTICS_ROWS} AND s.datetime > %(at)s ORDER BY s.datetime LIMIT 1 OFFSET {PAGE_ROWS - 1}
"""
STATISTICS_SQL = f"""
SELECT page.*, coalesce(nullif(i.barcode, ''), nullif(d.barcode, '')) AS barcode,
    {SIGNS}, i.timestamp AS item_at, w.branchtransfer_id, w.tobranch,
    IF(page.type = 'renew', (SELECT l.branch FROM statistics l WHERE l.itemnumber = page.itemnumber AND l.type = 'issue'
        AND l.datetime <= page.at ORDER BY l.datetime DESC LIMIT 1), NULL) AS lent_at
FROM (
    SELECT s.datetime AS at, concat_ws('/', s.type, s.itemnumber, s.branch) AS row_key, s.type, s.branch, s.itemnumber
    {STATISTICS_ROWS} AND s.datetime >= %(at)s AND s.datetime <= %(until)s
        AND (s.datetime > %(at)s OR concat_ws('/', s.type, s.itemnumber, s.branch) > %(key)s)
    ORDER BY at, row_key LIMIT {PAGE_ROWS}) page
LEFT JOIN items i ON i.itemnumber = page.itemnumber
LEFT JOIN deleteditems d ON d.itemnumber = page.itemnumber
LEFT JOIN branchtransfers w ON page.type = 'return' AND w.branchtransfer_id = (
    SELECT max(t.branchtransfer_id) FROM branchtransfers t WHERE t.itemnumber = page.itemnumber AND t.datesent < page.at
        AND coalesce(t.datearrived, t.datecancelled, '9999-12-31') > page.at)
ORDER BY page.at, page.row_key
"""
ITEMS_SQL = f"""
SELECT i.timestamp AS at, lpad(i.itemnumber, 12, '0') AS row_key, i.itemnumber, nullif(i.barcode, '') AS barcode,
    i.biblionumber, i.itype, i.ccode, i.permanent_location, i.homebranch, i.dateaccessioned, i.itemcallnumber, {SIGNS},
    (SELECT max(t.branchtransfer_id) FROM branchtransfers t WHERE t.itemnumber = i.itemnumber AND t.datesent IS NOT NULL
        AND t.datearrived IS NULL AND t.datecancelled IS NULL) AS on_the_way,
    (SELECT t.tobranch FROM branchtransfers t WHERE t.itemnumber = i.itemnumber AND t.datesent IS NOT NULL
        AND t.datearrived IS NULL AND t.datecancelled IS NULL ORDER BY t.branchtransfer_id DESC LIMIT 1) AS on_the_way_to,
    EXISTS (SELECT 1 FROM reserves r WHERE r.itemnumber = i.itemnumber AND r.found = 'W') AS waits
FROM items i WHERE i.timestamp >= %(at)s AND (i.timestamp > %(at)s OR i.itemnumber > %(number)s)
ORDER BY i.timestamp, i.itemnumber LIMIT {PAGE_ROWS}
"""
DELETED_SQL = f"""
SELECT i.timestamp AS at, lpad(i.itemnumber, 12, '0') AS row_key, i.itemnumber, nullif(i.barcode, '') AS barcode,
    i.holdingbranch
FROM deleteditems i
WHERE NOT EXISTS (SELECT 1 FROM items l WHERE l.itemnumber = i.itemnumber)
    AND i.timestamp >= %(at)s AND (i.timestamp > %(at)s OR i.itemnumber > %(number)s)
ORDER BY i.timestamp, i.itemnumber LIMIT {PAGE_ROWS}
"""


# --- From rows to facts -------------------------------------------------------------------------------------------------------


class UnmappedBranch(ValueError):
    """A branch that the map does not list."""

    def __init__(self, field: str, branch: object) -> None:
        super().__init__(f"branch {str(branch)[:32]!r} is not in the map's [branches]")
        self.field = field


class NoTime(ValueError):
    """Not a time, such as MariaDB's 0000-00-00."""


def place_of(branch: object, field: str, chosen: KohaMap) -> str:
    place = chosen.branches.get(str(branch)) if chosen.branches else str(branch or "")
    if not place:
        raise UnmappedBranch(field, branch)
    return place


def instant_of(local: object, chosen: KohaMap) -> datetime:
    """Return a Koha time in UTC, from its own zone if it has none, a date's beginning; raises NoTime for anything else."""
    if not isinstance(local, date):
        raise NoTime(f"expected a time, got {str(local)[:32]!r}")
    at = local if isinstance(local, datetime) else datetime(local.year, local.month, local.day)  # noqa: DTZ001
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(chosen.timezone))).astimezone(UTC)


def each_row(table: str, rows: Sequence[Row], facts_of: Callable[[Row], Iterator[EventDict]]) -> Iterator[Translated]:
    """Yield the facts of rows, and a rejected record for each row that cannot be translated."""
    for row in rows:
        kept = {key: row[key] for key in ("copy", "row_key", "at")}
        position = 0, int(id_of(row["row_key"], row["at"])[:15], 16)
        try:
            yield from facts_of(row)
        except UnmappedBranch as error:
            yield rejected_record(
                f"koha:{table}", position, RejectionReason.UNKNOWN_PLACE, error.field, str(error), kept
            )
        except NoTime as error:
            yield rejected_record(f"koha:{table}", position, RejectionReason.DATA, "time", str(error), kept)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            yield rejected_record(f"koha:{table}", position, RejectionReason.DATA, field, first["msg"], kept)


_STATISTICS: Mapping[str, tuple[type[Fact], int]] = {
    "issue": (CopyLoaned, LOANED),
    "return": (CopyReturned, RETURNED),
    "renew": (CopyRenewed, LOANED),
}


def of_statistics(rows: Sequence[Row], chosen: KohaMap, known_of: KnownOf) -> Iterator[Translated]:
    """Yield loans, returns and renewals."""

    def facts_of(row: Row) -> Iterator[EventDict]:
        _, sequence = _STATISTICS[row["type"]]
        identity = f"statistics/{id_of(row['at'].replace(fold=0), row['row_key'])}"
        at = instant_of(row["at"], chosen)
        fact = _circulated(row, chosen)
        yield event(fact, chosen.source, at, event_id=identity, sequence=sequence)
        if row["type"] == "return" and row["branchtransfer_id"] is None:
            yield from _taken_aside(row, identity, at, chosen)

    return each_row("statistics", rows, facts_of)


def _circulated(row: Row, chosen: KohaMap) -> Fact:
    """Return the fact of a row: a return of a copy that a transfer has on its way elsewhere is a misrouted transfer."""
    if row["type"] == "renew":
        return CopyRenewed.model_validate({"copy": row["copy"], "place": _renewed_at(row, chosen)})
    where = {"copy": row["copy"], "place": place_of(row["branch"], "branch", chosen)}
    if row["type"] == "return" and row["branchtransfer_id"] is not None and row["tobranch"] != row["branch"]:
        to = {"to": place_of(row["tobranch"], "tobranch", chosen), "transfer": f"koha-{row['branchtransfer_id']}"}
        return TransferMisrouted.model_validate(where | to)
    return _STATISTICS[row["type"]][0].model_validate(where)


def _renewed_at(row: Row, chosen: KohaMap) -> str:
    """Return the place of a renewal's loan: a renewal by OPAC or cron has no branch of its own."""
    branches = (row["branch"], row["lent_at"], row["holdingbranch"])
    named = [branch for branch in branches if str(branch or "") not in NO_BRANCH]
    known = [branch for branch in named if not chosen.branches or str(branch) in chosen.branches]
    return place_of((known or named or branches)[0], "branch", chosen)


def _taken_aside(row: Row, identity: str, at: datetime, chosen: KohaMap) -> Iterator[EventDict]:
    """Yield that a copy came in and cannot be picked: Koha changes the item just before it tells of the return."""
    if row["item_at"] is None or row["item_at"].replace(tzinfo=UTC) > at:
        return
    gone = CopyState.WITHDRAWN if row["withdrawn"] else CopyState.MISSING if row["itemlost"] else None
    standing = Standing(gone) if gone else at_its_branch(row, chosen)
    if standing.state is not CopyState.ON_SHELF:
        fact = fact_of(standing.state, {"copy": row["copy"], "place": place_of(row["branch"], "branch", chosen)})
        # Behind the return by its id; a transfer that begins at this check-in comes after both.
        yield event(fact, chosen.source, at, event_id=f"{identity}/aside{_suffix(standing.reason)}", sequence=RETURNED)


# States that Koha's items do not distinguish.
_OURS = frozenset({CopyState.PICKED, CopyState.IN_TRANSIT, CopyState.ON_HOLD_SHELF})
_FACT_OF_STATE = {
    CopyState.MISSING: CopyMissing,
    CopyState.WITHDRAWN: CopyWithdrawn,
    CopyState.DAMAGED: CopyDamaged,
}


class Standing(NamedTuple):
    """A copy's state by its item, and the reason why it cannot be picked, empty where the state says all."""

    state: CopyState
    reason: str = ""


def fact_of(state: CopyState, where: Mapping[str, str]) -> Fact:
    named = _FACT_OF_STATE.get(state)
    return named.model_validate(where) if named else CopyCorrected.model_validate({**where, "now": state})


def standing_of(row: Row, chosen: KohaMap) -> Standing | None:
    """Return how the item stands; None for a copy in transit, which its transfers report better."""
    signs = (
        (row["withdrawn"], Standing(CopyState.WITHDRAWN)),
        (row["itemlost"], Standing(CopyState.MISSING)),
        (row["onloan"], Standing(CopyState.ON_LOAN)),
        (row["on_the_way"], None),
        (row["waits"], Standing(CopyState.ON_HOLD_SHELF)),
    )
    return next((standing for sign, standing in signs if sign), at_its_branch(row, chosen))


def at_its_branch(row: Row, chosen: KohaMap) -> Standing:
    """Return how a copy stands that is at its branch: a copy that cannot be picked is not on the shelf."""
    if row["damaged"]:
        return Standing(CopyState.DAMAGED)
    reason = _why_not(row, chosen)
    return Standing(CopyState.WITHDRAWN, reason) if reason else Standing(CopyState.ON_SHELF)


def _why_not(row: Row, chosen: KohaMap) -> str | None:
    """Return why readers cannot have the copy, None if they can: its own sign counts before its item type's."""
    if own := row["notforloan"] or 0:
        return chosen.not_for_loan.get(str(own), "in_process" if own < 0 else "not_for_loan")
    if row["location"] in chosen.off_shelf:
        return chosen.off_shelf[row["location"]]
    if row["restricted"]:
        return "restricted"
    return "reference" if row["type_not_for_loan"] else None


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
    identity = f"items/{row['row_key']}/{row['at'].isoformat()}/{fact.type}" + _suffix(standing.reason)
    return event(fact, chosen.source, instant_of(row["at"], chosen), event_id=identity, sequence=STANDS)


def _suffix(reason: str) -> str:
    return f"/{reason}" if reason else ""


def _known_already(before: KohaCopy | None, state: CopyState, place: str) -> bool:
    if before is None:
        return False
    same = before.state is state and (before.place == place or state is not CopyState.ON_SHELF)
    return same or (state is CopyState.ON_SHELF and before.state in _OURS)


def _listed(row: Row, before: KohaCopy | None, chosen: KohaMap) -> Iterator[EventDict]:
    """Yield that the copy is in the stock, if that is new: from its first day, or from the row's change on."""
    title, title_class = str(row["biblionumber"]), chosen.classes.get(str(row["itype"]), chosen.default_class)
    home = place_of(row["homebranch"], "homebranch", chosen)
    fixed = chosen.fixed.has(row["itype"], row["permanent_location"] or row["location"], row["ccode"])
    if before and (before.title, before.title_class, before.home, before.fixed) == (title, title_class, home, fixed):
        return
    first = before is None or before.title is None
    at = row["dateaccessioned"] if first and row["dateaccessioned"] else row["at"]
    listing = {"copy": row["copy"], "place": home, "title": title, "class": title_class, "fixed": fixed}
    added = CopyAdded.model_validate(listing | _shelving(row))
    identity = f"items/{row['row_key']}/added/{id_of(title, title_class, home, at, *(['fixed'] if fixed else []))}"
    yield event(added, chosen.source, instant_of(at, chosen), event_id=identity)
    if before and not first:
        yield _as_before(row, before, chosen, identity)


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


ITEMS = FollowedTable("items", ITEMS_SQL, of_items, utc=True)
DELETED = FollowedTable("deleteditems", DELETED_SQL, of_deleted, utc=True)
STATISTICS = FollowedTable("statistics", STATISTICS_SQL, of_statistics, until=STATISTICS_UNTIL_SQL)
