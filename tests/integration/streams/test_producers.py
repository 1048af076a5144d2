"""What real producers and administrators do to the events' topic: codecs, transactions, deletions, other topics. Real Kafka."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import orjson
import psycopg
import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from rotation.facts.events import CopyLoaned, CopyReturned, Rejection, RejectionReason
from rotation.kafka import admin
from rotation.kafka.clients import Deleted, gap_fetcher
from rotation.kafka.recount import end_offsets, missing_events
from rotation.kafka.topics import Topic
from rotation.store import progress, rejections
from rotation.store import topic_identity as identity
from streams.rebuild import NotKept, rebuild
from tests.streams_line import PARTITIONS, PATIENCE_S, Line
from tests.streams_process import topics
from tests.streams_world import city, counts, told

CODECS = ("gzip", "snappy", "lz4", "zstd")
SEEN_WITHIN_S = 30.0


def event(number: int, copy: str = "") -> bytes:
    return orjson.dumps(told(CopyReturned(copy=copy or f"c{number}", place="p1"), number))


def events_topic(line: Line) -> str:
    return topics(line.prefix).events


def foreign(line: Line, **settings: Any) -> confluent_kafka.Producer:
    """A producer of librdkafka, as most that are not Java's."""
    return confluent_kafka.Producer({"bootstrap.servers": line.bootstrap, "linger.ms": 50, **settings})


def transactional(line: Line, name: str) -> confluent_kafka.Producer:
    made = foreign(line, **{"transactional.id": f"{line.prefix}-{name}"})
    made.init_transactions()
    return made


def all_applied(line: Line) -> bool:
    with psycopg.connect(line.url) as connection:
        stands_at = progress.positions(connection.cursor(), events_topic(line))
    return all(
        stands_at.get(partition, 0) >= end for partition, end in end_offsets(line.client, events_topic(line)).items()
    )


def missing(line: Line) -> int:
    """Events of Kafka that nobody counted."""
    with psycopg.connect(line.url) as connection:
        counted = progress.counted(connection.cursor(), events_topic(line))
    return missing_events(line.client, counted, events_topic(line))


@contextmanager
def administrator(line: Line) -> Iterator[KafkaAdminClient]:
    made = KafkaAdminClient(**line.client)
    yield made
    made.close()


def make_anew(line: Line, partitions: int = PARTITIONS) -> None:
    with administrator(line) as admin_client:
        admin_client.delete_topics([events_topic(line)])
    line.until(lambda: events_topic(line) not in admin.names(line.client), "the topic gone")
    admin.create(line.client, topics=[Topic(events_topic(line), "", partitions, -1, False, (), (), "")])


def findings(line: Line) -> dict[str, dict[str, str]]:
    """What the worker noted, by code."""
    with psycopg.connect(line.url) as connection:
        rows = connection.execute("SELECT findings FROM topics_read WHERE topic = %s", (events_topic(line),)).fetchall()
    return {one["code"]: one for (found,) in rows for one in found}


def positions(line: Line) -> dict[int, int]:
    with psycopg.connect(line.url) as connection:
        return progress.positions(connection.cursor(), events_topic(line))


def rewind(line: Line) -> identity.Rewound:
    with psycopg.connect(line.url) as connection, connection.cursor() as cursor:
        return identity.rewind(line.client, cursor, events_topic(line))


def ended_with(line: Line, number: int) -> str:
    """Wait until a worker ended with an error, and return its log."""
    assert line.workers[number].wait(PATIENCE_S) == 1
    return (line.folder / f"worker-{number}.log").read_text()


# --- Codecs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_topic", ["producer", "zstd"])
def test_every_codec_is_read_by_worker_gap_reader_rebuild_and_recount(line: Line, of_topic: str) -> None:
    with administrator(line) as admin_client:
        admin_client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, events_topic(line), {"compression.type": of_topic})]
        )
    for at, codec in enumerate(CODECS):
        sender = foreign(line, **{"compression.type": codec})
        for number in range(20):
            sender.produce(events_topic(line), event(at * 100 + number), partition=0)
        sender.flush()
        ours = KafkaProducer(**line.client, compression_type=codec)
        ours.send(events_topic(line), event(at * 100 + 50), partition=0).get(10)
        ours.close()
    sent = len(CODECS) * 21
    line.start()
    line.until(lambda: line.heard() == sent, "all events")
    fetch = gap_fetcher(line.client, events_topic(line))
    assert [message.offset for message in fetch(0, 0, sent)][:20] == list(range(20))
    assert len(fetch(0, sent - 1, sent)) == 1
    assert missing(line) == 0
    assert rebuild(line.url, line.client, city(), lambda *_: None, topics(line.prefix)) == []
    assert counts(line.url) == {"applied": sent}


# --- Transactions -----------------------------------------------------------------------------------------------------


def test_what_a_producer_aborts_is_no_fact_and_markers_are_neither_gaps_to_fetch_nor_events_missing(line: Line) -> None:
    line.start()
    sender = transactional(line, "one")
    for number in range(30):
        sender.begin_transaction()
        sender.produce(events_topic(line), event(number, "aborted" if number % 3 == 0 else ""), partition=0)
        sender.flush()  # librdkafka never sends what is aborted while it waits
        if number % 3 == 0:
            sender.abort_transaction()
        else:
            sender.commit_transaction()
        line.send([event(100 + number)])
    line.until(lambda: line.heard() == 50, "what was committed")
    line.until(lambda: all_applied(line), "progress behind the last marker", 20)
    with psycopg.connect(line.url) as connection:
        assert connection.execute("SELECT count(*) FROM copies WHERE copy_id = 'aborted'").fetchone() == (0,)
        assert connection.execute("SELECT gap_offsets FROM progress WHERE partition = 0").fetchone() == (40,)
    assert missing(line) == 0
    assert "passed by" not in (line.folder / "worker-0.log").read_text()
    assert findings(line).keys() <= {"partitions"}


def test_progress_passes_aborted_messages_at_a_partitions_end_but_not_a_transaction_that_is_open(line: Line) -> None:
    line.start()
    sender, other = transactional(line, "one"), transactional(line, "other")
    sender.begin_transaction()
    sender.produce(events_topic(line), event(1, "aborted"), partition=1)
    sender.flush()
    sender.abort_transaction()
    line.until(lambda: positions(line).get(1) == 2, "progress behind message and marker", 20)
    other.begin_transaction()
    other.produce(events_topic(line), event(2, "open"), partition=1)
    other.flush()
    line.send([event(3), event(4)])  # partitions 0 and 1: what stands behind the open one waits for it
    line.until(lambda: line.heard() == 1, "what no transaction holds up")
    time.sleep(5)
    assert positions(line)[1] == 2
    other.commit_transaction()
    line.until(lambda: line.heard() == 3, "the committed one and what stood behind it")
    line.until(lambda: all_applied(line), "all of it", 20)


def test_one_look_ahead_answers_for_the_markers_that_follow(line: Line) -> None:
    sender = transactional(line, "one")
    for number in range(5):
        sender.begin_transaction()
        sender.produce(events_topic(line), event(number), partition=0)
        sender.commit_transaction()
    fetch = gap_fetcher(line.client, events_topic(line))
    assert fetch(0, 1, 2) == []
    line.client["bootstrap_servers"] = ["127.0.0.1:1"]  # nobody there: only what was seen can answer
    assert [fetch(0, at, at + 1) for at in (3, 5, 7)] == [[], [], []]


def test_a_rebuild_goes_through_transactions_and_equals_what_it_replaces(line: Line) -> None:
    sender = transactional(line, "one")
    for number in range(12):
        sender.begin_transaction()
        sender.produce(events_topic(line), event(number), partition=number % PARTITIONS)
        sender.flush()
        (sender.abort_transaction if number % 4 == 3 else sender.commit_transaction)()
    worker = line.start()
    line.until(lambda: line.heard() == 9, "what was committed")
    worker.terminate()
    worker.wait(10)
    assert rebuild(line.url, line.client, city(), lambda *_: None, topics(line.prefix)) == []
    assert counts(line.url) == {"applied": 9}
    assert all_applied(line)


# --- Messages deleted unread ------------------------------------------------------------------------------------------


def delete_until(line: Line, partition: int, offset: int) -> None:
    with administrator(line) as admin_client:
        admin_client.delete_records({TopicPartition(events_topic(line), partition): offset})


def test_messages_deleted_unread_stop_the_worker_with_their_count_until_it_is_rewound(line: Line) -> None:
    worker = line.start()
    line.send([event(number) for number in range(9)])
    line.until(lambda: line.heard() == 9, "what came first")
    worker.terminate()
    worker.wait(10)
    line.send([event(number) for number in range(10, 40)])
    delete_until(line, 1, 11)
    line.start()
    log = ended_with(line, 1)
    assert (
        f"8 messages of partition 1 of {events_topic(line)} (offsets 3 to 10) were deleted before they were read" in log
    )
    assert "8 messages" in findings(line)["deleted_unread"]["en"]
    assert "8 条消息" in findings(line)["deleted_unread"]["zh"]
    assert positions(line)[1] == 3
    assert rewind(line) == identity.Rewound([], {1: 8})
    line.start()
    line.until(lambda: line.heard() == 9 + 30 - 8, "what is left")
    with pytest.raises(NotKept, match="no longer holds its beginning"):
        rebuild(line.url, line.client, city(), lambda *_: None, topics(line.prefix))


def test_messages_deleted_under_a_running_worker_that_had_not_come_to_them_are_named_too(line: Line) -> None:
    line.send([event(number) for number in range(30)])
    fetch = gap_fetcher(line.client, events_topic(line))
    delete_until(line, 0, 5)
    with pytest.raises(Deleted, match="offsets 2 to 4 were deleted"):
        fetch(0, 2, 9)
    assert [message.offset for message in fetch(0, 5, 7)] == [5, 6]


def test_settings_that_are_not_as_they_were_made_are_named_and_named_no_more_when_they_are_mended(line: Line) -> None:
    line.start()
    line.send([event(1)])
    line.until(lambda: line.heard() == 1, "an event")
    assert "setting" not in findings(line)
    set_retention(line, "3600000")
    line.until(lambda: "setting" in findings(line), "the finding", SEEN_WITHIN_S)
    assert "retention.ms is 3600000 and was made as -1" in findings(line)["setting"]["en"]
    set_retention(line, "-1")
    line.until(lambda: "setting" not in findings(line), "no finding", SEEN_WITHIN_S)


def set_retention(line: Line, value: str) -> None:
    with administrator(line) as admin_client:
        admin_client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, events_topic(line), {"retention.ms": value})]
        )


# --- Other topics -----------------------------------------------------------------------------------------------------


def test_another_topic_under_the_same_name_longer_than_what_was_read_is_refused_until_it_is_rewound(line: Line) -> None:
    worker = line.start()
    line.send([event(number) for number in range(30)])
    line.until(lambda: line.heard() == 30, "what came first")
    worker.terminate()
    worker.wait(10)
    make_anew(line)
    line.send([event(number, f"other{number}") for number in range(60)])
    line.start()
    assert f"{events_topic(line)} was deleted and made anew" in ended_with(line, 1)
    assert line.heard() == 30
    with pytest.raises(identity.OtherKafka, match="rewind"):
        rebuild(line.url, line.client, city(), lambda *_: None, topics(line.prefix))
    assert rewind(line) == identity.Rewound([0, 1, 2], {})
    line.start()
    line.until(lambda: line.heard() == 90, "all of the other")
    assert not findings(line).keys() & set(identity.STOPPING)


def test_a_topic_made_anew_under_a_running_worker_is_named_within_30_s(line: Line) -> None:
    worker = line.start()
    line.send([event(number) for number in range(9)])
    line.until(lambda: line.heard() == 9, "what came first")
    make_anew(line)
    begin = time.monotonic()
    assert worker.wait(SEEN_WITHIN_S) == 1
    assert time.monotonic() - begin < SEEN_WITHIN_S
    assert "made anew" in (line.folder / "worker-0.log").read_text()
    assert "已被删除并重建" in findings(line)["other_topic"]["zh"]


def test_a_topic_that_is_gone_is_named_within_30_s(line: Line) -> None:
    worker = line.start()
    line.send([event(1)])
    line.until(lambda: line.heard() == 1, "an event")
    with administrator(line) as admin_client:
        admin_client.delete_topics([events_topic(line)])
    assert worker.wait(SEEN_WITHIN_S) == 1
    assert "does not exist any more" in findings(line)["gone"]["en"]


def test_another_cluster_is_refused_and_a_folder_of_the_version_before_takes_the_present_topic(line: Line) -> None:
    worker = line.start()
    line.send([event(1)])
    line.until(lambda: line.heard() == 1, "an event")
    worker.terminate()
    worker.wait(10)
    with psycopg.connect(line.url) as connection:
        connection.execute("UPDATE topics_read SET cluster_id = 'another'")
    line.start()
    assert "stands in another Kafka cluster" in ended_with(line, 1)
    with psycopg.connect(line.url) as connection:
        connection.execute("DELETE FROM topics_read")  # as the version before left it
    line.start()
    line.send([event(2)])
    line.until(lambda: line.heard() == 2, "one event more")
    assert not findings(line).keys() & set(identity.STOPPING)


def test_partitions_added_under_running_workers_are_read_within_30_s_and_named(line: Line) -> None:
    line.start(), line.start()
    line.send([event(number) for number in range(9)])
    line.until(lambda: line.heard() == 9, "what came first")
    with administrator(line) as admin_client:
        admin_client.create_partitions({events_topic(line): PARTITIONS + 2})
    sender = foreign(line)
    for number in range(10, 20):
        sender.produce(events_topic(line), event(number), partition=PARTITIONS + number % 2)
    sender.flush()
    line.until(lambda: line.heard() == 19, "what came to the new ones", SEEN_WITHIN_S)
    with psycopg.connect(line.url, autocommit=True) as connection:
        noted = (
            "SELECT findings::text LIKE '%%has 5 partitions and was made with 3%%' FROM topics_read WHERE topic = %s"
        )
        line.until(
            lambda: connection.execute(noted, (events_topic(line),)).fetchone() == (True,), "its name", SEEN_WITHIN_S
        )


def test_missing_counts_what_a_partition_holds_and_nobody_counted_whatever_was_refused_elsewhere(line: Line) -> None:
    line.start()
    line.send([orjson.dumps(told(CopyLoaned(copy=f"c{n}", place="p1"), n)) for n in range(9)])
    line.until(lambda: all_applied(line) and line.heard() == 9, "nine events")
    with psycopg.connect(line.url, autocommit=True) as connection:
        with connection.transaction(), connection.cursor() as cursor:
            refused = [Rejection(0, RejectionReason.NOT_JSON, "", "", b"")] * 6
            rejections.add_at_edge(cursor, "http", refused, "circulation.rejected")
        assert missing(line) == 0
        with connection.transaction(), connection.cursor() as cursor:
            progress.verified(cursor, events_topic(line), progress.counted(cursor, events_topic(line)))
            assert {one.events for one in progress.counted(cursor, events_topic(line)).values()} == {0}
        line.send([orjson.dumps(told(CopyLoaned(copy=f"c{n}", place="p2"), n)) for n in range(20, 29)])
        line.until(lambda: all_applied(line) and line.heard() == 18 + 6, "nine more")
        assert missing(line) == 0
        connection.execute("UPDATE progress SET events = events - 2 WHERE partition = 1")  # two of its events lost
        connection.execute(
            "UPDATE progress SET events = events + 6 WHERE partition = 0"
        )  # and no other makes up for them
    assert missing(line) == 2
