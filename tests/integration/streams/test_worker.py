"""Workers as processes on real Kafka and PostgreSQL: killed, frozen, fed with what is bad, and none the worse for it."""

import os
import random
import signal
import subprocess
import sys
import time
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psycopg

from config.kafka import partitions as partitions_of
from rotation.facts.events import CopyReturned
from rotation.kafka import admin
from rotation.kafka.clients import consumer, gap_fetcher
from rotation.kafka.topics import TRANSFER_ORDERS, Topic
from rotation.store import topic_identity as identity
from rotation.store.audit import audit
from rotation.store.dead_letters import dead_letters
from rotation.store.engine import connect
from rotation.store.outbox import put_back
from rotation.store.standstill import standing_still
from streams import relay
from tests.chaos.orders import DAYS, ORDERS, Carriers, approve, copies, each_order_once, order
from tests.streams_line import PARTITIONS, PATIENCE_S, Line
from tests.streams_process import topics
from tests.streams_world import batches, counts, disturbed, fold, history, standing, told


def test_kill_9_in_the_middle_of_a_stream_and_a_restart_end_as_if_nothing_had_happened(line: Line) -> None:
    events, draw = history(11, 3000, copies=300), random.Random(11)
    sent = disturbed(events, 11)
    values = batches(sent, 11, largest=10)
    for number in range(3):
        worker = line.start()
        line.send(values[number * len(values) // 3 : (number + 1) * len(values) // 3])
        target = len(sent) * (number + 0.5 + 0.4 * draw.random()) / 3
        line.until(lambda target=target: line.heard() >= target, "some of the events")  # type: ignore[misc]
        if number < 2:
            worker.kill()
            worker.wait()
    line.until(lambda: line.heard() >= len(sent), "all events")
    assert line.heard() == len(sent)
    assert standing(line.url) == fold(events)
    with psycopg.connect(line.url) as connection:
        assert audit(connection.cursor()) == []


def test_a_worker_frozen_past_its_session_and_woken_writes_nothing_twice(line: Line) -> None:
    events = history(12, 1200, copies=200)
    values = batches(events, 12, largest=10)
    frozen = line.start()
    line.send(values[: len(values) // 2])
    line.until(lambda: line.heard() > 50, "some of the events")
    os.kill(frozen.pid, signal.SIGSTOP)
    line.start()
    line.send(values[len(values) // 2 :])
    line.until(lambda: line.heard() >= len(events), "all events by the second worker")
    os.kill(frozen.pid, signal.SIGCONT)
    line.send([orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 5000))])
    line.until(lambda: line.heard() > len(events), "one event more")
    time.sleep(1)
    assert line.heard() == len(events) + 1
    assert counts(line.url)["duplicates"] == 0


def test_a_worker_stops_within_three_seconds_of_sigterm(line: Line) -> None:
    worker = line.start()
    line.send([orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 1))])
    line.until(lambda: line.heard() == 1, "the event")
    begin = time.monotonic()
    worker.terminate()
    assert worker.wait(10) == 0
    assert time.monotonic() - begin < 4.0  # the signal's own way on a loaded machine included


def test_a_kafka_that_lost_its_end_stops_the_worker_with_a_sentence_until_it_is_rewound(line: Line) -> None:
    events = [orjson.dumps(told(CopyReturned(copy=f"c{n}", place="p1"), n)) for n in range(6)]
    worker = line.start()
    line.send([*events, b"no event"])
    line.until(lambda: line.heard() == 7, "all of it")
    worker.terminate()
    worker.wait(10)
    with psycopg.connect(
        line.url
    ) as connection:  # as if Kafka had lost the last message of partition 0, and was told another since
        connection.execute("UPDATE progress SET next_offset = next_offset + 2 WHERE partition = 0")
    line.send([orjson.dumps(told(CopyReturned(copy="c9", place="p1"), 9))])
    assert line.start().wait(PATIENCE_S) == 1
    assert "rotation topics rewind" in (line.folder / "worker-1.log").read_text()
    with psycopg.connect(line.url) as connection, connection.cursor() as cursor:
        assert identity.rewind(line.client, cursor, topics(line.prefix).events) == identity.Rewound([0], {})
    line.start()
    line.until(lambda: "c9" in _copies(line.url), "what came since")
    assert counts(line.url) == {"applied": 7, "duplicates": 2, "rejected": 2}


def _copies(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {copy for (copy,) in connection.execute("SELECT copy_id FROM copies")}


def test_gaps_are_read_from_kafka_itself(line: Line) -> None:
    line.send([b"a", b"b", b"c", b"d", b"e", b"f"])
    fetch = gap_fetcher(line.client, topics(line.prefix).events)
    assert [message.value for message in fetch(0, 0, 2)] == [b"a", b"d"]
    assert fetch(0, 5, 9) == []


def test_an_alert_opens_once_and_closes_once_as_copies_come_and_go(line: Line) -> None:
    with psycopg.connect(line.url) as connection:
        connection.execute("INSERT INTO targets (place_id, class, low, high) VALUES ('p1', 'fiction', 3, 10)")
        connection.execute("INSERT INTO clock VALUES (1, '2026-03-02T12:00Z', now(), 0)")  # not history being replayed
    line.start()
    line.relay()
    added = [{**event, "data": {**event["data"], "place": "p1"}} for event in history(13, 8, copies=8)]
    line.send([orjson.dumps(added[:1])])
    line.until(lambda: _shortages(line.url) == [False], "an open alert")
    line.send([orjson.dumps([event]) for event in added[1:]])
    line.until(lambda: _shortages(line.url) == [True], "the alert closed")


def _shortages(url: str) -> list[bool]:
    """Whether each alert is closed."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT closed_at IS NOT NULL FROM alerts WHERE kind = 'shortage' ORDER BY alert_id"
        ).fetchall()
    return [closed for (closed,) in rows]


def test_orders_that_a_killed_relay_sent_and_did_not_mark_come_again_with_the_same_ids_and_take_effect_once(
    line: Line,
) -> None:
    carriers = Carriers(line, approve(line))
    line.send([orjson.dumps(copies())])
    written = sum(order(line.url, number, carriers.at) for number in range(DAYS))
    with connect(line.url, autocommit=True) as connection:
        killed = subprocess.run([sys.executable, "-m", "tests.relay_that_dies", line.bootstrap, line.url], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert relay.relay_once(connection, line.sender, [TRANSFER_ORDERS.name]) == written
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    line.start()
    carriers.start()
    carriers.finish()
    assert len(carriers.told) == 2 * ORDERS
    line.until(lambda: line.heard() == len(copies()) + len(carriers.scanned), "all scans")
    assert each_order_once(line, carriers) == ORDERS
    assert standing(line.url) == fold([*copies(), *carriers.scanned])


def test_what_is_for_a_topic_that_does_not_exist_waits_and_holds_up_nothing_else(line: Line) -> None:
    there, nowhere = topics(line.prefix).touched, f"{line.prefix}.nowhere"
    with connect(line.url, autocommit=True) as connection:
        connection.execute("INSERT INTO outbox (topic, value) VALUES (%s, 'v'), (%s, 'v')", (nowhere, there))
        line.relay()
        line.until(lambda: _waiting(connection) == [nowhere], "all but what has no topic")


def test_what_kafka_refuses_for_good_is_set_aside_by_name_and_holds_up_nothing_else(line: Line) -> None:
    there = topics(line.prefix).touched
    with connect(line.url, autocommit=True) as connection, connection.cursor() as cursor:
        connection.execute(
            "INSERT INTO outbox (topic, key, value) SELECT %s, 'k', convert_to(CASE WHEN n = 50 THEN repeat('x', 2000000)"
            " ELSE n::text END, 'UTF8') FROM generate_series(1, 100) n",
            (there,),
        )
        line.relay()
        line.until(lambda: _waiting(connection) == [], "all but the one that is too large")
        (letter,) = dead_letters(cursor)
        assert (letter.topic, letter.key, letter.bytes) == (there, "k", 2_000_000)
        assert "MessageSizeTooLarge" in letter.reason
        sent = values(line, there)
        assert set(sent) == {str(n).encode() for n in range(1, 101) if n != 50}
        connection.execute("INSERT INTO heartbeats VALUES ('relay', '', 'm:1', now(), 'started', '', now())")
        still = standing_still(cursor, ZoneInfo("UTC"), "04:00")[0]
        assert still.words()["en"].startswith(f"1 messages for {there} were refused by Kafka")
        connection.execute("UPDATE dead_letters SET value = 'smaller'")
        assert put_back(cursor, None) == 1
        line.until(lambda: b"smaller" in values(line, there), "the mended one")
        assert dead_letters(cursor) == []


def values(line: Line, topic: str) -> list[bytes]:
    """Return all that the topic holds."""
    reader = consumer(line.client)
    try:
        partitions = partitions_of(reader, topic)
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        ends, found = reader.end_offsets(partitions), []
        while any(reader.position(at) < end for at, end in ends.items()):
            found += [record.value for records in reader.poll(500).values() for record in records]
    finally:
        reader.close()
    return found


def _waiting(connection: psycopg.Connection[Any]) -> list[str]:
    return [topic for (topic,) in connection.execute("SELECT topic FROM outbox")]


def test_topics_are_compared_with_their_contracts_and_left_alone(line: Line) -> None:
    names = topics(line.prefix)
    agreed = Topic(names.events, "", PARTITIONS, -1, False, (), (), "")
    assert admin.check(line.client, topics=[agreed]) == []
    assert [d.what for d in admin.check(line.client, topics=[agreed._replace(partitions=9, retention_ms=5)])] == [
        "partitions",
        "retention.ms",
    ]
    assert [d.found for d in admin.check(line.client, topics=[agreed._replace(name="missing")])] == ["missing"]
