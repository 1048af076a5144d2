"""FOLIO over a real Kafka with FOLIO's faults, and its REST API for what they lost."""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from rotation import feeds
from rotation.feeds import Ends
from rotation.store.audit import audit
from rotation.store.engine import connect
from tests.folio_simulated import MAP, TOKEN, Folio, published, rest
from tests.unit.adapters.patron import named_in


@pytest.fixture
def publish(kafka: str) -> Iterator[Callable[[Folio], None]]:
    """Publish what FOLIO told to topics of its own, which go with the test."""
    with ExitStack() as topics:
        yield lambda folio: topics.enter_context(published(folio, kafka))


@pytest.fixture
def reader(kafka: str) -> Callable[[], Any]:
    """Make consumers of one group of the test's own."""
    group = f"test-{uuid.uuid4().hex[:8]}"
    return lambda: feeds.folio_reader({"bootstrap_servers": kafka.split(",")}, group)


def follow(reader: Callable[[], Any], ends: Ends) -> feeds.Report:
    consumer = reader()
    try:
        return feeds.follow_folio(consumer, MAP, ends, Event(), to_the_end=True)
    finally:
        consumer.close()


def stands(url: str) -> dict[str, tuple[str, str, str | None]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT copy_id, state, place_id, to_place_id FROM copies WHERE state <> 'withdrawn'"
        ).fetchall()
    return {copy: (state, place, to) for copy, state, place, to in rows}


def test_with_nothing_lost_every_item_stands_where_folio_has_it_whatever_the_order_of_topics(
    database: str, applied: Ends, publish: Callable[[Folio], None], reader: Callable[[], Any]
) -> None:
    folio = Folio(1, lost=0.0)
    folio.days(300)
    folio.deleted(folio.items[min(folio.items)])
    publish(folio)
    report = follow(reader, applied)
    assert not report.refused
    assert stands(database) == folio.truth()
    with connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_what_fire_and_forget_lost_is_mended_by_the_rest_api_and_then_there_is_nothing_to_mend(
    database: str, engine: Engine, applied: Ends, publish: Callable[[Folio], None], reader: Callable[[], Any]
) -> None:
    folio = Folio(2, lost=0.3)
    folio.days(300)
    publish(folio)
    follow(reader, applied)
    assert stands(database) != folio.truth(), "nothing was lost: this test would show nothing"
    with rest(folio) as url:
        mended = feeds.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
        again = feeds.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    assert stands(database) == folio.truth()
    assert (mended.told.total() > 0, again.told.total()) == (True, 0)


def test_a_first_reconciliation_lists_all_items_with_their_titles(database: str, engine: Engine, applied: Ends) -> None:
    folio = Folio(3, items=20)
    with rest(folio) as url:
        feeds.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, applied)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT copy_id, title_id FROM copies").fetchall()
    assert dict(rows) == {item["id"]: item["instanceId"] for item in folio.items.values()}


def test_a_dry_run_reads_to_the_end_shows_what_it_would_send_and_leaves_the_groups_place(
    database: str, applied: Ends, publish: Callable[[Folio], None], kafka: str, reader: Callable[[], Any]
) -> None:
    folio = Folio(6, lost=0.0, double=0.0)
    folio.days(30)
    publish(folio)
    shown: list[str] = []
    consumer = feeds.folio_reader({"bootstrap_servers": kafka.split(",")}, None)
    report = feeds.follow_folio(consumer, MAP, feeds.shown(shown.append), Event(), to_the_end=True, commit=False)
    consumer.close()
    assert sum("specversion" in line for line in shown) == report.told.total() > 0
    assert named_in(*shown) == []
    assert stands(database) == {}
    assert follow(reader, applied).told == report.told


def test_no_reader_no_member_of_staff_and_no_token_stands_in_any_table_log_or_error(
    engine: Engine,
    applied: Ends,
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
    assert follow(reader, applied).refused
    with rest(folio) as url:
        feeds.reconcile_by_api(engine, url, ("rotation", "secret"), MAP, feeds.shown(shown.append), keep=False)
    assert named_in(everything(), caplog.text, *shown) == []
    assert TOKEN not in everything() + caplog.text
