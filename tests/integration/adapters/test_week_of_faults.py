"""A week of a Koha and a FOLIO with all their faults: at its end nothing stands otherwise here than there."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError
from sqlalchemy import Engine

from infra.kafka import Kafka, embedded_kafka
from rotation.feeds import folio_feed, koha_feed, staying
from rotation.feeds.carrying import FeedReport
from rotation.feeds.destinations import Destinations
from rotation.feeds.folio_reconciliation import folio_differences, reconcile_by_api
from rotation.feeds.koha import KohaMap
from rotation.feeds.staying import Outage, stay_up
from rotation.store.audit import audit
from rotation.store.engine import connect
from rotation.store.heartbeats import Turned
from rotation.views.notices import feeds_of
from tests.folio_simulated import MAP as FOLIO_MAP
from tests.folio_simulated import Folio, Publication, rest
from tests.koha_desk import BRANCHES, NEW_BRANCH, KohaDesk, night_of_the_clock_change
from tests.koha_simulated import installed, new_koha, running_in
from tests.streams_world import PLACES

ZONE = "Europe/London"
MONDAY = datetime(2026, 10, 19, 8, tzinfo=UTC)
KOHA_MAP = KohaMap(timezone=ZONE, branches=dict(zip(BRANCHES, PLACES, strict=True)), default_class="fiction")
STEPS_A_DAY = 60


@pytest.fixture
def koha_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="koha-") as short, installed(Path(short)):
        yield Path(short)


def look(engine: Engine, url: str, ends: Destinations, chosen: KohaMap, keep: bool = True) -> FeedReport:
    """One look of a feed that has just been started, as after each restart."""
    with closing(koha_feed.koha_connection(url)) as connection:
        koha_feed.take_map(engine, chosen)
        return koha_feed.follow_koha(engine, connection, chosen, ends, Event(), once=True, keep=keep)


def failing_after(ends: Destinations, batches: int) -> Destinations:
    """Ends whose Kafka goes away after some batches."""
    left = iter(range(batches))

    def send(events: Any) -> None:
        if next(left, None) is None:
            raise KafkaTimeoutError("away")
        ends.send(events)

    return Destinations(send, ends.reject)


def test_a_week_of_koha_with_all_its_faults_ends_without_a_difference(
    database: str, engine: Engine, applied: Destinations, koha_folder: Path
) -> None:
    with running_in(koha_folder) as socket:
        url = new_koha(socket, "koha")
        with closing(koha_feed.koha_connection(url)) as connection:
            desk = KohaDesk(connection, ZONE, MONDAY, seed=23, copies=60)
        look(engine, url, applied, KOHA_MAP)
    refused = 0
    for day in range(7):
        # Koha's database restarts each night, the feed with it.
        with running_in(koha_folder), closing(koha_feed.koha_connection(url)) as connection:
            desk.connection, desk.at = connection, MONDAY + timedelta(days=day)
            the_day(desk, day)
            if day == 2:
                with pytest.raises(KafkaTimeoutError):
                    look(engine, url, failing_after(applied, 1), KOHA_MAP)
            # Killed before it kept its place: what it sent is sent again.
            look(engine, url, applied, KOHA_MAP, keep=day % 3 != 1)
            refused += look(engine, url, applied, KOHA_MAP).rejected["unknown_place"]
            if day == 5:
                the_clock_changes(desk, lambda: look(engine, url, applied, KOHA_MAP))
    assert refused > 0, "nothing was refused by the map: mending it would show nothing"
    mended = KOHA_MAP.model_copy(update={"branches": {**KOHA_MAP.branches, NEW_BRANCH: PLACES[0]}})
    with running_in(koha_folder), closing(koha_feed.koha_connection(url)) as connection:
        look(engine, url, applied, mended)
        assert list(koha_feed.koha_differences(engine, connection, mended)) == []
    with connect(database) as check:
        assert audit(check.cursor()) == []


def the_day(desk: KohaDesk, day: int) -> None:
    """A day's steps, and once a day what a cataloguer or the nightly jobs do."""
    for _ in range(STEPS_A_DAY):
        desk.step()
    items = sorted(desk.homes)
    desk.delete(items[day])
    if day == 3:
        desk.merge(5, into=7)
    if day in (2, 4):
        desk.forget_readers()


def the_clock_changes(desk: KohaDesk, look_once: Callable[[], object]) -> None:
    """Returns at machines in the hour that comes twice, with a look between each two."""
    items = [item for item in sorted(desk.homes) if item not in desk.transfers][:5]
    for item, at in zip(items, night_of_the_clock_change(desk), strict=True):
        desk.at = at
        desk.bring_back(item, desk.homes[item])
        look_once()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice within a second what a feed notices within a minute."""
    monkeypatch.setattr(folio_feed, "ASK_POLLS", 2)
    monkeypatch.setattr(folio_feed, "ANSWER_MS", 1_000)
    monkeypatch.setattr(staying, "LONGEST_WAIT_S", 1.0)


@pytest.fixture
def folios_kafka(tmp_path: Path) -> Iterator[Kafka]:
    with embedded_kafka(tmp_path / "folio") as kafka:
        yield kafka


def test_a_week_of_folio_with_all_its_faults_ends_without_a_difference(
    database: str, engine: Engine, applied: Destinations, folios_kafka: Kafka
) -> None:
    folio, stop, said = Folio(23, items=60, lost=0.2, double=0.2), Event(), list[str]()
    group, publication = f"week-{uuid.uuid4().hex[:6]}", Publication(folios_kafka.bootstrap)
    arguments = {"bootstrap_servers": folios_kafka.bootstrap.split(",")}

    def attempt(well: Callable[[], None], turn: Turned) -> FeedReport:
        with closing(folio_feed.folio_reader(arguments, group)) as reader:
            return folio_feed.follow_folio(reader, FOLIO_MAP, applied, stop, well=well, turn=turn)

    feed = Thread(target=stay_up, args=(attempt, stop, Outage(engine, "folio"), said.append))
    with ExitStack() as running:
        running.callback(stop.set)
        folio.days(200)
        publication.send(folio)
        feed.start()
        until(lambda: len(stood(database)) == len(folio.items))
        # FOLIO's Kafka restarts under the feed, and the feed is stopped in the middle of what comes then.
        broker = folios_kafka.brokers[0]
        broker.stop()
        until(lambda: away(engine) is not None)
        broker.start()
        broker.wait()
        folio.days(200)
        publication.send(folio)
        until(lambda: away(engine) is None)
    feed.join(30)
    with closing(folio_feed.folio_reader(arguments, group)) as reader:
        folio_feed.follow_folio(reader, FOLIO_MAP, applied, Event(), to_the_end=True)
    for lost in sorted(folio.items)[::17]:
        del folio.items[lost]
    with rest(folio, answers_a_token=2) as address:
        user = ("rotation", "secret")
        assert folio_differences(engine, address, user, FOLIO_MAP), "nothing was lost: this would show nothing"
        reconcile_by_api(engine, address, user, FOLIO_MAP, applied)
        assert folio_differences(engine, address, user, FOLIO_MAP) == []
    assert stood(database) == folio.truth()
    assert any("cannot be reached" in sentence for sentence in said)


def stood(url: str) -> dict[str, tuple[str, str, str | None]]:
    with connect(url) as connection:
        rows = connection.execute("SELECT copy_id, state, place_id, to_place_id FROM copies WHERE state <> 'withdrawn'")
        return {copy: (state, place, to) for copy, state, place, to in rows}


def away(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return next((feed.away for feed in feeds_of(connection) if feed.source == "folio"), None)


def until(happened: Callable[[], bool]) -> None:
    waiting = Event()
    assert any(happened() or waiting.wait(0.1) for _ in range(600)), "not within a minute"
