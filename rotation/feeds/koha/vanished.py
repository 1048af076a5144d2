"""Items that went without a trace: a title deleted past Koha's own code takes its items along by a cascade.

No row, timestamp or trigger tells of them, so the numbers of known items are asked for from time to time.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

from rotation.facts.events import CopyWithdrawn
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import EventDict, event
from rotation.feeds.koha.mapping import KohaMap
from rotation.feeds.koha.reading import STANDS, KohaCopy

# Numbers in one question.
ASKED = 10_000
# Of Koha's numbers: the order of the indexes, so that millions take seconds.
THERE_SQL = """
SELECT itemnumber FROM items WHERE itemnumber IN %(numbers)s
UNION ALL SELECT itemnumber FROM deleteditems WHERE itemnumber IN %(numbers)s
"""
NOW_SQL = "SELECT utc_timestamp() AS now, EXISTS (SELECT 1 FROM items) AS any_item"


def withdrawn(
    connection: Any, copies_of: Mapping[int, str], known: Mapping[str, KohaCopy], chosen: KohaMap
) -> Iterator[EventDict]:
    """Yield that copies have left whose items are in neither of Koha's tables; none where Koha has no item at all.

    `copies_of` has the copy of each item asked about, at most ASKED; `known` their present here.
    """
    with connection.cursor() as cursor:
        cursor.execute(NOW_SQL)
        asked_at = cursor.fetchone()
        there = _there(cursor, copies_of)
    connection.rollback()
    if not asked_at["any_item"]:
        return
    at = asked_at["now"].replace(tzinfo=UTC)
    for number in sorted(copies_of.keys() - there):
        here = known.get(copies_of[number])
        if here and here.state is not CopyState.WITHDRAWN:
            fact = CopyWithdrawn.model_validate({"copy": copies_of[number], "place": here.place})
            identity = f"items/{number}/{at.isoformat()}/vanished"
            yield event(fact, chosen.source, at, event_id=identity, sequence=STANDS)


def _there(cursor: Any, numbers: Iterable[int]) -> set[int]:
    asked = list(numbers)
    if not asked:
        return set()
    cursor.execute(THERE_SQL, {"numbers": asked})
    return {row["itemnumber"] for row in cursor.fetchall()}
