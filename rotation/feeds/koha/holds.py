"""Koha's holds: the table `reserves`, compared as a whole with the last comparison.

A hold can vanish or change and leave no trace: a deleted reader or title takes its holds along, a deleted item leaves its number
out, and neither moves the row's timestamp. So a checksum of the whole table says whether anything differs, and then all rows are
read. No column of a borrower is selected.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rotation.facts.events import (
    HoldCancelled,
    HoldExpired,
    HoldFact,
    HoldFilled,
    HoldPlaced,
    HoldSuspended,
    RejectionReason,
)
from rotation.feeds.carrying import EventDict, Translated, event, id_of, in_batches, rejected_record
from rotation.feeds.koha.mapping import KohaMap, UnmappedBranch, place_of
from rotation.feeds.koha.reading import STANDS, Row
from rotation.store.items import Barcodes, ToldHold

PAGE_ROWS = 5_000
# Numbers in one question about holds that ended.
ASKED = 500
# Koha's word for a hold whose copy stands on the hold shelf; T (in transit) and P (being processed) still wait.
WAITING = "W"
FILLED = "F"

# The checksum changes with the day, since a hold that begins on a later day begins unseen.
CHECKSUM_SQL = """
SELECT concat_ws('/', %(today)s, count(*), coalesce(sum(crc32(concat_ws('/', r.reserve_id, r.biblionumber, r.branchcode,
    coalesce(r.itemnumber, ''), coalesce(r.found, ''), coalesce(r.suspend, 0), coalesce(r.reservedate, '')))), 0)) AS checksum
FROM reserves r
"""
HOLDS_SQL = f"""
SELECT r.reserve_id, r.biblionumber, r.branchcode, r.itemnumber, r.found, coalesce(r.suspend, 0) AS suspend, r.reservedate,
    r.timestamp, nullif(i.barcode, '') AS barcode, utc_timestamp() AS now
FROM reserves r LEFT JOIN items i ON i.itemnumber = r.itemnumber
WHERE r.reserve_id > %(after)s ORDER BY r.reserve_id LIMIT {PAGE_ROWS}
"""
ENDED_SQL = """
SELECT r.reserve_id, r.found, r.cancellationdate, r.expirationdate, r.timestamp
FROM old_reserves r WHERE r.reserve_id IN %(numbers)s
"""
NOW_SQL = "SELECT utc_timestamp() AS now"


class HoldsRead(NamedTuple):
    """A comparison: records to send, and the open and ended holds as sent with them."""

    translated: list[Translated]
    told: dict[int, ToldHold]
    ended: list[int]


CopiesOf = Callable[[Barcodes], Mapping[int, str]]


def checksum(connection: Any, chosen: KohaMap) -> str:
    """Return a text that differs when any hold does."""
    today = datetime.now(ZoneInfo(chosen.timezone)).date()
    return str(_rows(connection, CHECKSUM_SQL, today=today.isoformat())[0]["checksum"])


def compared(connection: Any, chosen: KohaMap, told: Mapping[int, ToldHold], copies_of: CopiesOf) -> HoldsRead:
    """Read all holds, and return the facts in which they differ from those sent."""
    read, seen, after = HoldsRead([], {}, []), set[int](), 0
    while rows := _rows(connection, HOLDS_SQL, after=after):
        after = rows[-1]["reserve_id"]
        copies = copies_of({row["itemnumber"]: row["barcode"] for row in rows if row["itemnumber"]})
        for row in rows:
            seen.add(row["reserve_id"])
            _compare(row, copies.get(row["itemnumber"]), told.get(row["reserve_id"]), chosen, read)
    _end(connection, {hold: one for hold, one in told.items() if hold not in seen}, chosen, read)
    return read


def _compare(row: Row, copy: str | None, before: ToldHold | None, chosen: KohaMap, read: HoldsRead) -> None:
    try:
        fact = _fact(row, copy, chosen)
    except (UnmappedBranch, ValidationError) as error:
        read.translated.append(_rejected(row, error))
        return
    stand = [fact.type, fact.title, fact.place, fact.copy_id]
    if before and before.stand == stand:
        return
    at = _instant_of(row, before, fact, chosen)
    read.translated.append(_event(fact, row["reserve_id"], at, chosen))
    read.told[row["reserve_id"]] = ToldHold(stand, at)


def _fact(row: Row, copy: str | None, chosen: KohaMap) -> HoldFact:
    """Return how a hold stands; a hold for a copy names it, whether the reader asked for it or it was trapped."""
    kind: type[HoldFact] = HoldPlaced
    if row["found"] == WAITING and copy:
        kind = HoldFilled
    elif row["suspend"] or (row["reservedate"] and row["reservedate"] > _today(row, chosen)):
        kind = HoldSuspended
    values = {
        "hold": f"{chosen.source}-{row['reserve_id']}",
        "title": str(row["biblionumber"]),
        "place": place_of(row["branchcode"], "branchcode", chosen),
        "copy": copy,
    }
    return kind.model_validate(values)


def _today(row: Row, chosen: KohaMap) -> date:
    return row["now"].replace(tzinfo=UTC).astimezone(ZoneInfo(chosen.timezone)).date()  # type: ignore[no-any-return]


def _instant_of(row: Row, before: ToldHold | None, fact: HoldFact, chosen: KohaMap) -> datetime:
    """Return when the hold came to stand so: by its row, or now where the row's time tells of no change."""
    written: datetime = row["timestamp"].replace(tzinfo=UTC)
    if before is None and isinstance(fact, HoldPlaced) and isinstance(row["reservedate"], date):
        placed = row["reservedate"]
        local = datetime(placed.year, placed.month, placed.day, tzinfo=ZoneInfo(chosen.timezone))
        return min(local.astimezone(UTC), written)
    if before is None or written > before.at:
        return written
    return row["now"].replace(tzinfo=UTC)  # type: ignore[no-any-return]


def _end(connection: Any, gone: Mapping[int, ToldHold], chosen: KohaMap, read: HoldsRead) -> None:
    """Tell the end of holds that are no longer open: as Koha's archive says, and now where it says nothing."""
    for numbers in in_batches(sorted(gone), ASKED):
        archived = {row["reserve_id"]: row for row in _rows(connection, ENDED_SQL, numbers=numbers)}
        now: datetime = _rows(connection, NOW_SQL)[0]["now"].replace(tzinfo=UTC)
        for number in numbers:
            row, (_, title, place, copy) = archived.get(number), gone[number].stand
            written = row["timestamp"].replace(tzinfo=UTC) if row else now
            at = written if written > gone[number].at else now
            values = {"hold": f"{chosen.source}-{number}", "title": title, "place": place, "copy": copy}
            read.translated.append(_event(_ending(row).model_validate(values), number, at, chosen))
            read.ended.append(number)


def _ending(row: Row | None) -> type[HoldFact]:
    """Return how a hold ended: a fetched one is cancelled too, since nobody waits any more."""
    if row is None or row["found"] == FILLED or not (row["cancellationdate"] and row["expirationdate"]):
        return HoldCancelled
    return HoldExpired if row["cancellationdate"] >= row["expirationdate"] else HoldCancelled


def _event(fact: HoldFact, number: int, at: datetime, chosen: KohaMap) -> EventDict:
    told = id_of(fact.type, fact.title, fact.place, fact.copy_id, at.isoformat())
    return event(fact, chosen.source, at, event_id=f"reserves/{number}/{told}", sequence=STANDS)


def _rejected(row: Row, error: UnmappedBranch | ValidationError) -> Translated:
    unmapped = isinstance(error, UnmappedBranch)
    reason = RejectionReason.UNKNOWN_PLACE if unmapped else RejectionReason.DATA
    field = error.field if isinstance(error, UnmappedBranch) else "hold"
    kept = {key: row[key] for key in ("reserve_id", "biblionumber", "branchcode", "timestamp")}
    return rejected_record("koha:reserves", (0, row["reserve_id"]), reason, field, str(error), kept)


def _rows(connection: Any, sql: str, **values: Any) -> Sequence[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = list(cursor.fetchall())
    # Each question sees everything committed so far.
    connection.rollback()
    return rows
