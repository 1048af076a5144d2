"""Alerts through a fault: each opened once and closed once, in the database and on its topic."""

from collections import defaultdict

import orjson
import psycopg
from kafka import TopicPartition

from rotation.kafka.clients import consumer
from rotation.kafka.topics import STOCK_ALERTS
from streams import relay
from tests.streams_line import Line
from tests.streams_world import MONDAY, PLACES

ON_SHELF = 0.42  # the share of copies that stand on shelves, of the kinds of facts in `streams_world.KINDS`
BAND = 4  # copies between too few and too many: levels of some fifty swing through it again and again


def set_targets(url: str, copies: int, events: int, always: int) -> None:
    """Watch all places closely, `always` copies never lent among them, with the clock standing at the end of the history."""
    low = round((ON_SHELF * copies + always) / len(PLACES))
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO targets SELECT p, 'fiction', %s, %s FROM unnest(%s::text[]) p", (low, low + BAND, list(PLACES))
        )
        connection.execute(
            "INSERT INTO clock VALUES (1, %s + make_interval(mins => %s), now(), 0)", (MONDAY, events - 1)
        )


def end_of_alerts(line: Line) -> int:
    """How many alerts were told before."""
    reader = consumer(line.client)
    (end,) = reader.end_offsets([TopicPartition(STOCK_ALERTS.name, 0)]).values()
    reader.close()
    return int(end)


def each_alert_once(line: Line, begin: int) -> int:
    """Assert that what was told from `begin` on is what stands in the database; return how many alerts there were."""
    told = defaultdict(list)
    for what in _told(line, begin).values():
        told[what["alert"]].append(what["what"])
    with psycopg.connect(line.url) as connection:
        rows = connection.execute("SELECT alert_id, closed_at IS NOT NULL FROM alerts").fetchall()
        assert connection.execute(TWO_AT_ONCE).fetchall() == []
    assert told == {alert: ["opened", "closed"] if closed else ["opened"] for alert, closed in rows}
    return len(rows)


TWO_AT_ONCE = """
SELECT a.alert_id, b.alert_id FROM alerts a JOIN alerts b USING (kind, place_id, class)
WHERE a.alert_id < b.alert_id AND a.closed_at IS NULL"""


def _told(line: Line, begin: int) -> dict[bytes, dict[str, str]]:
    """What the topic says, by outbox id: what was sent twice counts once."""
    reader, whole = consumer(line.client), TopicPartition(STOCK_ALERTS.name, 0)
    reader.assign([whole])
    reader.seek(whole, begin)
    end, found = reader.end_offsets([whole])[whole], {}
    while reader.position(whole) < end:
        for record in (record for some in reader.poll(500).values() for record in some):
            found[dict(record.headers)[relay.ID_HEADER]] = orjson.loads(record.value)
    reader.close()
    return found
