"""Koha's table `branchtransfers`, read by its numbers: it has no index on its times.

New transfers have higher numbers; those still open are asked for by theirs. So a quiet look costs the open transfers, not all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from rotation.facts.events import Fact, TransferCancelled, TransferLost, TransferReceived, TransferSent
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import EventDict, Translated, event, in_batches
from rotation.feeds.koha.mapping import NO_BRANCH, KohaMap, instant_of, place_of
from rotation.feeds.koha.reading import (
    CANCELLED,
    RETURNED,
    SENT,
    STANDS,
    FollowedTable,
    KnownOf,
    Row,
    each_row,
    packed,
    rows_of,
)
from rotation.feeds.koha.standing import SIGNS, at_its_branch, fact_of

# MariaDB turns a list of 1,000 values or more into a table of its own, and then scans the whole table of transfers for it
# (in_predicate_conversion_threshold): pages and questions stay below.
PAGE_ROWS = 900
ASKED = 900
# The newest open transfers are asked for in each look; of older ones, most of them forgotten by all, some in turn.
RECENT, OLD_A_LOOK = 800, 100
# Numbers are given before a transaction commits; those of the last minutes are looked at again.
LATE_NUMBERS = 200
# Koha's own reasons (ReturnToHome, Reserve ...); free text may name people.
REASONS = re.compile(r"^[A-Za-z]{1,40}$")
# Koha changes an item and its transfer in one step, which takes seconds at most.
SAME_STEP = timedelta(seconds=5)
# Ended within this, a transfer ended at the desk that began it, before anybody carried the copy away.
AT_THE_DESK = timedelta(minutes=10)
# Circulations after which a copy is on loan.
LENT = ("issue", "renew")
# Koha's own reason for a transfer that ends because its copy is lost.
ITEM_LOST = "ItemLost"
# How far a transfer has come: asked for, sent, ended.
REQUESTED, ON_THE_WAY, ENDED = "r", "s", "e"
# The last number read, and how far each transfer was that is open or recent, by its number.
Position = tuple[int, dict[str, str]]

# What happened last with the copy since a transfer that was cancelled had been sent.
LAST_BEFORE_END = """(SELECT {what} FROM statistics l WHERE l.itemnumber = page.itemnumber AND page.datecancelled IS NOT NULL
        AND l.type IN ('issue', 'return', 'renew') AND l.datetime > page.datesent AND l.datetime <= page.datecancelled
        ORDER BY l.datetime DESC, l.type = 'return' LIMIT 1)"""
OF_TRANSFERS = (
    "at",
    "row_key",
    "branchtransfer_id",
    "itemnumber",
    "frombranch",
    "tobranch",
    "datesent",
    "datearrived",
    "datecancelled",
    "reason",
    "cancellation_reason",
)
COLUMNS = {name: f"page.{name}" for name in OF_TRANSFERS} | {
    "barcode": "nullif(i.barcode, '')",
    **SIGNS,
    "item_at": "i.timestamp",
    "last_seen": LAST_BEFORE_END.format(what="concat_ws('/', l.type, l.branch)"),
    "seen_since": "IF(i.datelastseen > page.datesent + INTERVAL %(same_step)s SECOND, 1, NULL)",
}
TRANSFERS_SQL = f"""
SELECT {packed(COLUMNS)}
FROM (
    SELECT greatest(t.datesent, coalesce(t.datearrived, t.datesent), coalesce(t.datecancelled, t.datesent)) AS at,
        lpad(t.branchtransfer_id, 12, '0') AS row_key, t.branchtransfer_id, t.itemnumber, t.frombranch, t.tobranch, t.datesent,
        t.datearrived, t.datecancelled, t.reason, t.cancellation_reason
    FROM branchtransfers t WHERE t.datesent IS NOT NULL AND t.branchtransfer_id IN %(numbers)s) page
LEFT JOIN items i ON i.itemnumber = page.itemnumber
ORDER BY page.branchtransfer_id
"""

STAGE = f"""IF(t.datearrived IS NOT NULL OR t.datecancelled IS NOT NULL, '{ENDED}',
    IF(t.datesent IS NOT NULL, '{ON_THE_WAY}', '{REQUESTED}'))"""
NEW_SQL = f"""
SELECT t.branchtransfer_id AS number, {STAGE} AS stage FROM branchtransfers t
WHERE t.branchtransfer_id > %(after)s ORDER BY t.branchtransfer_id LIMIT {PAGE_ROWS}
"""
CHANGED_SQL = f"""
SELECT t.branchtransfer_id AS number, {STAGE} AS stage FROM branchtransfers t
WHERE t.branchtransfer_id IN %(numbers)s AND (t.datearrived IS NOT NULL OR t.datecancelled IS NOT NULL{{or_sent}})
"""


def pages(connection: Any, begin: Any, look: int = 0) -> Iterator[tuple[Position, list[Row]]]:
    """Yield the transfers that are new or have gone on since `begin`, in pages, each with its end position.

    `look` counts a feed's looks: the first asks for all open transfers, the others for recent ones and some of the old.
    """
    last, stages = _position(begin)
    ended = {number for number, stage in stages.items() if stage == ENDED}
    for changed in in_batches(_changed(connection, stages, look), PAGE_ROWS):
        _advance(stages, ended, changed, last)
        yield (last, stages.copy()), _whole(connection, changed)
    after = max(last - LATE_NUMBERS, 0)
    while found := _asked(connection, NEW_SQL, after=after):
        new = [(number, stage) for number, stage in found if stages.get(number) != stage]
        after = int(found[-1][0])
        last = max(last, after)
        _advance(stages, ended, new, last)
        if new:
            yield (last, stages.copy()), _whole(connection, new)


def _position(begin: Any) -> Position:
    """Return a kept position; one of before 2026-12, on a clock, begins anew: events sent before have the same ids."""
    if begin and isinstance(begin[0], int):
        return begin[0], dict(begin[1])
    return 0, {}


def _advance(stages: dict[str, str], ended: set[str], changed: Iterable[tuple[str, str]], last: int) -> None:
    """Take new stages in; forget transfers that ended and are no longer recent, without a pass over all that are open."""
    for number, stage in changed:
        stages[number] = stage
        if stage == ENDED:
            ended.add(number)
    for number in [number for number in ended if int(number) <= last - LATE_NUMBERS]:
        ended.remove(number)
        if stages[number] == ENDED:
            del stages[number]


def _changed(connection: Any, stages: Mapping[str, str], look: int) -> list[tuple[str, str]]:
    """Return the open transfers that have gone on, each with its stage now."""
    found: list[tuple[str, str]] = []
    open_ones: dict[str, list[int]] = {REQUESTED: [], ON_THE_WAY: [], ENDED: []}
    for number, stage in stages.items():
        open_ones[stage].append(int(number))
    for stage, or_sent in ((REQUESTED, " OR t.datesent IS NOT NULL"), (ON_THE_WAY, "")):
        for numbers in in_batches(due(sorted(open_ones[stage]), look), ASKED):
            found += _asked(connection, CHANGED_SQL.format(or_sent=or_sent), numbers=numbers)
    return found


def due(open_ones: Sequence[int], look: int) -> Sequence[int]:
    """Return the open transfers that a look asks for."""
    old, recent = open_ones[:-RECENT], open_ones[-RECENT:]
    if look == 0 or not old:
        return open_ones
    begin = look % ceil(len(old) / OLD_A_LOOK) * OLD_A_LOOK
    return [*old[begin : begin + OLD_A_LOOK], *recent]


def _asked(connection: Any, sql: str, **values: Any) -> list[tuple[str, str]]:
    return [(str(row["number"]), row["stage"]) for row in _rows(connection, sql, **values)]


def _whole(connection: Any, some: Iterable[tuple[str, str]]) -> list[Row]:
    """Return the rows of transfers that were sent: one that never was has moved nothing."""
    sent = [int(number) for number, stage in some if stage != REQUESTED]
    if not sent:
        return []
    values = {"numbers": sent, "same_step": SAME_STEP.total_seconds()}
    return rows_of(connection, TRANSFERS_SQL, tuple(COLUMNS), values)


def _rows(connection: Any, sql: str, **values: Any) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = list(cursor.fetchall())
    # Each question sees everything committed so far.
    connection.rollback()
    return rows


# --- From rows to facts -------------------------------------------------------------------------------------------------------


def of_transfers(rows: Sequence[Row], chosen: KohaMap, known_of: KnownOf) -> Iterator[Translated]:
    """Yield the stages of transfers, each with Koha's reason; a transfer that was never sent has moved nothing."""

    def facts_of(row: Row) -> Iterator[EventDict]:
        number, to = row["branchtransfer_id"], place_of(row["tobranch"], "tobranch", chosen)
        start = place_of(row["frombranch"], "frombranch", chosen)
        what = {"copy": row["copy"], "transfer": f"koha-{number}"}
        sent = TransferSent.model_validate(what | {"place": start, "to": to, "reason": _reason(row["reason"])})
        yield _dated(sent, row["datesent"], SENT, number, chosen)
        if row["datearrived"]:
            received = TransferReceived.model_validate(what | {"place": to, "reason": _reason(row["reason"])})
            # A check-in ends a transfer first, and then tells of the return (an id that begins with "statistics").
            later = instant_of(row["datearrived"], chosen) > instant_of(row["datesent"], chosen)
            sequence = RETURNED if later else STANDS
            yield _dated(received, row["datearrived"], sequence, number, chosen)
        elif row["datecancelled"]:
            yield from _cancelled(row, what, chosen)

    return each_row("branchtransfers", rows, facts_of)


def _cancelled(row: Row, what: Mapping[str, str], chosen: KohaMap) -> Iterator[EventDict]:
    """Yield the end of a transfer without receipt: the copy is where it was last known, which may be no shelf."""
    number, at = row["branchtransfer_id"], row["datecancelled"]
    last, _, branch = (row["last_seen"] or "").partition("/")
    place = place_of(branch if branch not in NO_BRANCH else row["frombranch"], "frombranch", chosen)
    where = {**what, "place": place, "reason": _reason(row["cancellation_reason"]) or _reason(row["reason"])}
    if row["cancellation_reason"] == ITEM_LOST or (row["itemlost"] and _unchanged_since(row, at, chosen)):
        yield _dated(TransferLost.model_validate(where), at, CANCELLED, number, chosen)
        return
    yield _dated(TransferCancelled.model_validate(where), at, CANCELLED, number, chosen)
    state = CopyState.ON_LOAN if last in LENT else _set_aside(row, at, chosen)
    if state is None and not _seen_since(row, last, instant_of(at, chosen) - instant_of(row["datesent"], chosen)):
        state = CopyState.UNKNOWN
    if state:
        # Of one second, so that what the copy did in it (an id that begins with "statistics") comes after this.
        yield _dated(fact_of(state, {"copy": row["copy"], "place": place}), at, RETURNED, number, chosen)


def _seen_since(row: Row, last: str, under_way: timedelta) -> bool:
    """Return whether anybody can have had the copy in hand since it was sent; if not, nobody knows where it is."""
    return bool(last) or bool(row["seen_since"]) or under_way <= AT_THE_DESK


def _set_aside(row: Row, at: datetime, chosen: KohaMap) -> CopyState | None:
    """Return the state of a copy that cannot be picked at its transfer's end; None if it can, or has changed since."""
    if row["item_at"] is None or not _unchanged_since(row, at, chosen):
        return None
    state = CopyState.WITHDRAWN if row["withdrawn"] else at_its_branch(row, chosen).state
    return None if state is CopyState.ON_SHELF else state


def _unchanged_since(row: Row, at: datetime, chosen: KohaMap) -> bool:
    return row["item_at"] is not None and row["item_at"].replace(tzinfo=UTC) <= instant_of(at, chosen) + SAME_STEP


def _dated(fact: Fact, at: datetime, sequence: int, number: int, chosen: KohaMap) -> EventDict:
    instant = instant_of(at, chosen)
    identity = f"branchtransfers/{number}/{fact.type}/{at.isoformat()}"
    return event(fact, chosen.source, instant, event_id=identity, sequence=sequence)


def _reason(word: object) -> str | None:
    return str(word) if word and REASONS.match(str(word)) else None


TRANSFERS = FollowedTable("branchtransfers", TRANSFERS_SQL, tuple(COLUMNS), of_transfers, pages=pages)
