"""Koha's table `statistics`: loans, returns and renewals."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rotation.facts.events import CopyLoaned, CopyRenewed, CopyReturned, Fact, TransferMisrouted
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import EventDict, Translated, event, id_of
from rotation.feeds.koha.mapping import NO_BRANCH, KohaMap, instant_of, place_of
from rotation.feeds.koha.reading import LOANED, PAGE_ROWS, RETURNED, FollowedTable, KnownOf, Row, each_row, packed
from rotation.feeds.koha.standing import SIGNS, Standing, at_its_branch, fact_of, suffix

# A coalesced type keeps the server on the index of times: that of types would sort the whole table for each page.
STATISTICS_ROWS = """
    FROM statistics s WHERE coalesce(s.type, '') IN ('issue', 'return', 'renew') AND s.itemnumber IS NOT NULL"""
STATISTICS_UNTIL_SQL = f"""
SELECT s.datetime AS at {STATISTICS_ROWS} AND s.datetime > %(at)s ORDER BY s.datetime LIMIT 1 OFFSET {PAGE_ROWS - 1}
"""
COLUMNS = {
    "at": "page.at",
    "row_key": "page.row_key",
    "type": "page.type",
    "branch": "page.branch",
    "itemnumber": "page.itemnumber",
    "barcode": "coalesce(nullif(i.barcode, ''), nullif(d.barcode, ''))",
    **SIGNS,
    "item_at": "i.timestamp",
    "branchtransfer_id": "w.branchtransfer_id",
    "tobranch": "w.tobranch",
    "lent_at": """IF(page.type = 'renew', (SELECT l.branch FROM statistics l WHERE l.itemnumber = page.itemnumber
        AND l.type = 'issue' AND l.datetime <= page.at ORDER BY l.datetime DESC LIMIT 1), NULL)""",
}
STATISTICS_SQL = f"""
SELECT {packed(COLUMNS)}
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
        yield event(fact, chosen.source, at, event_id=f"{identity}/aside{suffix(standing.reason)}", sequence=RETURNED)


STATISTICS = FollowedTable("statistics", STATISTICS_SQL, tuple(COLUMNS), of_statistics, until=STATISTICS_UNTIL_SQL)
