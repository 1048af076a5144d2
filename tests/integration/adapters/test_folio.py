"""FOLIO over a real Kafka with FOLIO's faults, and its REST API for what they lost."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event
from typing import Any

import orjson
import psycopg
import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from sqlalchemy import Engine

from rotation.feeds import carrying, destinations, folio_feed, folio_reconciliation
from rotation.feeds.destinations import Destinations
from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.kafka.topics import Topic
from rotation.store.audit import audit
from rotation.store.engine import connect
from tests.folio_simulated import MAP, TOKEN, Folio, published, rest
from tests.streams_world import counts
from tests.unit.adapters.patron import named_in


def producer_of(client: dict[str, Any]) -> KafkaProducer:
    """A plain producer, as FOLIO's modules have."""
    return KafkaProducer(**client)


@pytest.fixture
def publish(kafka: str) -> Iterator[Callable[[Folio], None]]:
    """Publish what FOLIO told to topics of its own, which go with the test."""
    with ExitStack() as topics:
        yield lambda folio: topics.enter_context(published(folio, kafka))


@pytest.fixture
def reader(kafka: str) -> Callable[[], Any]:
    """Make consumers of one group of the test's own."""
    group = f"test-{uuid.uuid4().hex[:8]}"
    return lambda: folio_feed.folio_reader({"bootstrap_servers": kafka.split(",")}, group)


def follow(reader: Callable[[], Any], ends: Destinations) -> carrying.FeedReport:
    consumer = reader()
    try:
        return folio_feed.follow_folio(consumer, MAP, ends, Event(), to_the_end=True)
    finally:
        consumer.close()


def stands(url: str) -> dict[str, tuple[str, str, str | None]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT copy_id, state, place_id, to_place_id FROM copies WHERE state <> 'withdrawn'"
        ).fetchall()
    return {copy: (state, place, to) for copy, state, place, to in rows}


def differing(engine: Engine, folio: Folio) -> list[dict[str, str | None]]:
    """What `rotation feed check folio` lists."""
    with rest(folio) as url:
        return folio_reconciliation.folio_differences(engine, url, ("rotation", "secret"), MAP)


def test_with_nothing_lost_every_item_stands_where_folio_has_it_whatever_the_order_of_topics(
    database: str, engine: Engine, applied: Destinations, publish: Callable[[Folio], None], reader: Callable[[], Any]
) -> None:
    folio = Folio(1, lost=0.0)
    folio.days(300)
    folio.deleted(folio.items[min(folio.items)])
    publish(folio)
    report = follow(reader, applied)
    assert not report.rejected
    assert stands(database) == folio.truth()
    assert differing(engine, folio) == []
    with connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_what_fire_and_forget_lost_is_mended_by_the_rest_api_and_then_there_is_nothing_to_mend(
    database: str, engine: Engine, applied: Destinations, publish: Callable[[Folio], None], reader: Callable[[], Any]
) -> None:
    folio = Folio(2, lost=0.3)
    folio.days(300)
    publish(folio)
    follow(reader, applied)
    assert stands(database) != folio.truth(), "nothing was lost: this test would show nothing"
    assert differing(engine, folio) != []
    with rest(folio) as url:
        mended = folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
        again = folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    assert stands(database) == folio.truth()
    assert (mended.sent.total() > 0, again.sent.total()) == (True, 0)
    assert differing(engine, folio) == []


def test_a_token_that_ends_in_the_middle_is_renewed_and_lost_deletions_are_found(
    database: str, engine: Engine, applied: Destinations
) -> None:
    folio = Folio(4, items=30)
    with rest(folio) as url:
        folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    gone = [sorted(folio.items)[at] for at in (0, 13, -1)]
    for number in gone:
        del folio.items[number]
    with rest(folio, answers_a_token=1) as url:
        report = folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
        again = folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    assert (report.sent, again.sent.total()) == ({"copy.withdrawn": 3}, 0)
    assert stands(database) == folio.truth()
    assert differing(engine, folio) == []


def test_copies_of_another_tenants_feed_of_the_same_source_are_never_withdrawn(
    engine: Engine, applied: Destinations
) -> None:
    folio = Folio(5, items=10)
    with rest(folio) as url:
        folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    folio_reconciliation._is_alone(engine, MAP.model_copy(update={"tenant": ("other",)}))
    folio.items.clear()
    with rest(folio) as url:
        report = folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    assert report.sent == {}


def test_two_tenants_on_one_topic_are_both_read_whole_by_their_feeds(
    database: str, engine: Engine, applied: Destinations, kafka: str
) -> None:
    name = f"folio.ALL{uuid.uuid4().hex[:6]}.inventory.item"
    client = {"bootstrap_servers": kafka.split(",")}
    admin.create(client, topics=[Topic(name, "", 3, -1, False, (), (), "")])
    sender = producer_of(client)
    for number in range(100):
        tenant = f"t{number % 2}"
        new = {
            "id": f"i{number:03}",
            "instanceId": "x",
            "status": {"name": "Available"},
            "effectiveLocationId": "loc-p1",
        }
        value = orjson.dumps({"type": "CREATE", "tenant": tenant, "eventTs": 1_772_000_000_000, "new": new})
        sender.send(name, value, key=str(number).encode())
    sender.close()
    started = [
        (MAP.model_copy(update={"tenant": (tenant,)}), Event(), carrying.FeedReport()) for tenant in ("t0", "t1")
    ]
    groups = [folio_feed.folio_group(chosen) for chosen, _, _ in started]
    assert len(set(groups)) == 2
    for chosen, stop, _ in started:
        reader = folio_feed.folio_reader(client, f"{folio_feed.folio_group(chosen)}.{uuid.uuid4().hex[:6]}")
        report = folio_feed.follow_folio(reader, chosen, applied, stop, to_the_end=True)
        reader.close()
        assert report.sent["copy.added"] == 50
    remover = KafkaAdminClient(**client)
    remover.delete_topics([name])
    remover.close()


def test_what_a_map_refused_is_read_again_once_the_map_has_it(
    database: str, engine: Engine, applied: Destinations, kafka: str
) -> None:
    name = f"folio.x{uuid.uuid4().hex[:6]}.inventory.item"
    client = {"bootstrap_servers": kafka.split(",")}
    admin.create(client, topics=[Topic(name, "", 1, -1, False, (), (), "")])
    sender = producer_of(client)
    for number, location in enumerate(("loc-p1", "loc-new", "loc-p1")):
        new = {"id": f"i{number}", "instanceId": "x", "status": {"name": "Available"}, "effectiveLocationId": location}
        sender.send(name, orjson.dumps({"type": "CREATE", "tenant": "diku", "eventTs": 1_772_000_000_000, "new": new}))
    sender.close()
    group = uuid.uuid4().hex
    mended = MAP.model_copy(update={"locations": {**MAP.locations, "loc-new": "p4"}})
    for chosen, stands_there in ((MAP, {"i0", "i2"}), (mended, {"i0", "i1", "i2"})):
        changed, offsets = folio_feed.take_folio_map(engine, chosen)
        reader = folio_feed.folio_reader(client, group)
        rewind = folio_feed.Rewind(offsets)
        folio_feed.follow_folio(reader, chosen, applied, Event(), to_the_end=True, rewind=rewind)
        reader.close()
        assert set(stands(database)) == stands_there
    assert changed == ["the map has changed: locations.loc-new was not there, now 'p4'"]
    remover = KafkaAdminClient(**client)
    remover.delete_topics([name])
    remover.close()


def test_messages_are_read_again_from_a_day_on_and_have_no_effect_twice(
    database: str, engine: Engine, applied: Destinations, kafka: str
) -> None:
    name = f"folio.x{uuid.uuid4().hex[:6]}.inventory.item"
    client = {"bootstrap_servers": kafka.split(",")}
    admin.create(client, topics=[Topic(name, "", 1, -1, False, (), (), "")])
    sender = producer_of(client)
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (2, 3, 4, 5)]
    for number, day in enumerate(days):
        new = {"id": f"i{number}", "instanceId": "x", "status": {"name": "Available"}, "effectiveLocationId": "loc-p1"}
        at_ms = int(day.timestamp() * 1000)
        body = {"type": "CREATE", "tenant": "diku", "eventId": f"e{number}", "eventTs": at_ms, "new": new}
        sender.send(name, orjson.dumps(body), timestamp_ms=at_ms)
    sender.close()
    group, read = uuid.uuid4().hex, list[int]()
    for rewind in (None, folio_feed.Rewind(begin=datetime(2026, 3, 4, tzinfo=UTC)), None):
        reader = folio_feed.folio_reader(client, group)
        read.append(folio_feed.follow_folio(reader, MAP, applied, Event(), to_the_end=True, rewind=rewind).sent.total())
        reader.close()
    assert (read, counts(database)["applied"]) == ([8, 4, 0], 8)
    remover = KafkaAdminClient(**client)
    remover.delete_topics([name])
    remover.close()


def test_a_first_reconciliation_lists_all_items_with_their_titles(
    database: str, engine: Engine, applied: Destinations
) -> None:
    folio = Folio(3, items=20)
    with rest(folio) as url:
        folio_reconciliation.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT copy_id, title_id FROM copies").fetchall()
    assert dict(rows) == {item["id"]: item["instanceId"] for item in folio.items.values()}


def names(url: str) -> set[str | None]:
    with psycopg.connect(url) as connection:
        return {
            name for (name,) in connection.execute("SELECT DISTINCT name FROM titles WHERE title_id < 'instance-2'")
        }


def test_titles_are_named_with_their_author_once_they_may_be_read_and_no_copy_moves(
    database: str, engine: Engine, applied: Destinations
) -> None:
    folio, user = Folio(3, items=4), ("rotation", "secret")
    with rest(folio, names=False) as url:
        folio_reconciliation.reconcile_by_api(engine, url, user, MAP, applied)
        again = folio_reconciliation.reconcile_by_api(engine, url, user, MAP, applied)
    assert (names(database), again.sent.total()) == ({None}, 0)
    before = stands(database)
    with rest(folio) as url:
        folio_reconciliation.reconcile_by_api(engine, url, user, MAP, applied)
        again = folio_reconciliation.reconcile_by_api(engine, url, user, MAP, applied)
    assert (names(database), again.sent.total()) == ({"Title 0 / Ende, Michael", "Title 1 / Ende, Michael"}, 0)
    assert stands(database) == before == folio.truth()


def test_a_dry_run_reads_to_the_end_shows_what_it_would_send_and_leaves_the_groups_place(
    database: str, applied: Destinations, publish: Callable[[Folio], None], kafka: str, reader: Callable[[], Any]
) -> None:
    folio = Folio(6, lost=0.0, double=0.0)
    folio.days(30)
    publish(folio)
    shown: list[str] = []
    consumer = folio_feed.folio_reader({"bootstrap_servers": kafka.split(",")}, None)
    report = folio_feed.follow_folio(
        consumer, MAP, destinations.shown(shown.append), Event(), to_the_end=True, commit=False
    )
    consumer.close()
    assert sum("specversion" in line for line in shown) == report.sent.total() > 0
    assert named_in(*shown) == []
    assert stands(database) == {}
    assert follow(reader, applied).sent == report.sent


def test_no_reader_no_member_of_staff_and_no_token_stands_in_any_table_log_or_error(
    engine: Engine,
    applied: Destinations,
    publish: Callable[[Folio], None],
    reader: Callable[[], Any],
    everything: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    folio = Folio(5)
    folio.days(60)
    item = folio.items[min(folio.items)]
    folio.request(item, "Open - Not yet filled", 1)
    folio.request(item, "Closed - Filled", 1)
    for status in ("no such status", "Available"):
        folio.change(item, status, effectiveLocationId="loc-unknown")
    publish(folio)
    shown: list[str] = []
    assert follow(reader, applied).rejected
    with rest(folio) as url:
        user, screen = ("rotation", "secret"), destinations.shown(shown.append)
        folio_reconciliation.reconcile_by_api(engine, url, user, MAP, screen, keep=False)
    assert named_in(everything(), caplog.text, *shown) == []
    assert TOKEN not in everything() + caplog.text


def test_a_topic_made_anew_under_a_feed_is_read_from_its_beginning(kafka: str) -> None:
    name, client = f"t{uuid.uuid4().hex[:8]}.anew", {"bootstrap_servers": kafka.split(",")}
    contract = Topic(name, "", 1, -1, False, (), (), "")
    consumer, ids = folio_feed.folio_reader(client | {"metadata_max_age_ms": 1_000}, None), dict[str, object]()
    admin.create(client, topics=[contract])
    send(client, name, 5)
    consumer.assign([TopicPartition(name, 0)])
    assert read(consumer, ids, 5) == set(range(5))
    asked = KafkaAdminClient(**client)
    asked.delete_topics([name])
    asked.close()
    while name in admin.names(client):
        time.sleep(0.1)
    admin.create(client, topics=[contract])
    send(client, name, 8)
    assert read(consumer, ids, 8) == set(range(8))  # what came at its old place, and all before it
    consumer.close()


def send(client: dict[str, Any], topic: str, messages: int) -> None:
    sender = producer(client)
    for number in range(messages):
        sender.send(topic, str(number).encode())
    sender.close()


def read(consumer: Any, ids: dict[str, object], messages: int) -> set[int]:
    """Read as a feed does until so many came, or 20 s are over; return their offsets."""
    come, until = set[int](), time.monotonic() + 20
    while len(come) < messages and time.monotonic() < until:
        folio_feed.begin_anew(consumer, ids)
        come |= {record.offset for records in consumer.poll(timeout_ms=200).values() for record in records}
    return come
