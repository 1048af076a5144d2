"""Lanes: how long copies take from a place to a place, and how often the day that was promised was kept, counted from the facts.

A journey lasts from the last `transfer.sent` before its `transfer.received`. Lanes are counted anew now and then, since a count
reads a quarter's journeys; pages, API and alerts read the result.
"""

from datetime import datetime, timedelta
from typing import Any

from psycopg import Cursor

from rotation.facts.events import TransferReceived, TransferSent

LOOKED_BACK = timedelta(days=90)  # a quarter: older journeys say how it was under another timetable
COUNTED_EVERY = timedelta(hours=6)  # a lane of a quarter changes little in a day
NINE_IN_TEN = 0.9

_COUNTED = "SELECT max(counted_at) FROM lanes"
_CLEAR = "DELETE FROM lanes"
_COUNT = f"""
INSERT INTO lanes (from_place_id, to_place_id, journeys, median_s, nine_in_ten_s, promised, kept, counted_at)
SELECT from_place_id, to_place_id, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
    percentile_cont({NINE_IN_TEN}) WITHIN GROUP (ORDER BY seconds), count(promised_on),
    count(*) FILTER (WHERE (received_at AT TIME ZONE %(zone)s)::date <= promised_on), %(now)s
FROM (
    SELECT t.from_place_id, r.place_id AS to_place_id, t.promised_on, r.occurred_at AS received_at,
        extract(epoch FROM r.occurred_at - s.occurred_at) AS seconds
    FROM transfer_facts r JOIN transfers t USING (transfer_id) CROSS JOIN LATERAL (
        SELECT occurred_at FROM transfer_facts s WHERE s.transfer_id = r.transfer_id AND s.type = '{TransferSent.type}'
        AND s.occurred_at <= r.occurred_at ORDER BY s.occurred_at DESC LIMIT 1) s
    WHERE r.type = '{TransferReceived.type}' AND r.occurred_at > %(since)s AND r.place_id <> t.from_place_id) journeys
GROUP BY 1, 2"""


def count_if_due(cursor: Cursor[Any], now: datetime, zone: str) -> bool:
    """Count all lanes anew if the last count is old, in the caller's transaction; `now` is the network's time."""
    row = cursor.execute(_COUNTED).fetchone()
    if row and row[0] and abs(now - row[0]) < COUNTED_EVERY:
        return False
    cursor.execute(_CLEAR)
    cursor.execute(_COUNT, {"now": now, "since": now - LOOKED_BACK, "zone": zone})
    return True
