"""The city on a real Kafka and a real PostgreSQL: its past, its life by the clock, orders, and restarts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer
from sqlalchemy import Engine

from city import checkpoint, topics_driver
from city.live import HOME, PlacementAnswer
from city.model import START
from rotation.facts.clock import Clock, standing_at
from rotation.kafka import admin
from rotation.kafka.topics import CIRCULATION_EVENTS, TRANSFER_ORDERS
from rotation.store.clock import pause, set_clock
from rotation.store.engine import engine
from tests.unit.city.conftest import NETWORK, SMALL, days_orders

WEEKS = 2
DAY_LASTS_S = 4.0
SEED = 11
QUIET_S = 1.5


@pytest.fixture
def broker(kafka: str) -> dict:
    """The connection to Kafka, whose topics are there."""
    connection = {"bootstrap_servers": kafka.split(",")}
    admin.create(connection, replication=1)
    return connection


@pytest.fixture
def store(database: str) -> Iterator[Engine]:
    found = engine(database)
    yield found
    found.dispose()


@pytest.fixture
def consumer(broker: dict) -> Iterator[KafkaConsumer]:
    """Hears what comes from now on, and ends when nothing comes."""
    found = KafkaConsumer(CIRCULATION_EVENTS.name, **broker, consumer_timeout_ms=1500)
    while not found.assignment():
        found.poll(timeout_ms=100)
    for partition in found.assignment():
        found.position(partition)
    yield found
    found.close()


@pytest.fixture
def heard(consumer: KafkaConsumer) -> Callable[[], list[dict]]:
    """What this city told since it was last asked, or soon tells; others may use the topic too."""

    def read() -> list[dict]:
        messages = chain.from_iterable(consumer.poll(timeout_ms=200).values())
        events = chain.from_iterable(orjson.loads(message.value) for message in messages)
        return [event for event in events if event["id"].startswith(f"{SEED}-")]

    return read


@pytest.fixture
def told(heard: Callable[[], list[dict]]) -> Callable[[], list[dict]]:
    """What this city tells until it is quiet."""

    def read() -> list[dict]:
        facts, last = [], time.monotonic()
        while time.monotonic() < last + QUIET_S:
            if more := heard():
                facts, last = facts + more, time.monotonic()
        return facts

    return read


def by_id(events: list[dict]) -> dict[str, dict]:
    return {event["id"]: event for event in events}


def set_time(store: Engine, at: datetime, speed: float) -> None:
    with store.begin() as connection:
        set_clock(connection, Clock(at, datetime.now(UTC), speed) if speed else standing_at(at))


@contextmanager
def living(broker: dict, store: Engine, ask=lambda copy, place: HOME) -> Iterator[None]:
    """Let the city live in a thread until the block ends."""
    stop, failed = threading.Event(), []

    def run() -> None:
        try:
            topics_driver.run_live(NETWORK, SEED, broker, store, ask, stop, weeks=WEEKS, size=SMALL)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
    assert failed == []
    assert not thread.is_alive()


def gathered(
    heard: Callable[[], list[dict]], enough: Callable[[list[dict]], bool], within_s: float = 30.0
) -> list[dict]:
    """Read on until it is enough, or far too late."""
    facts, end = heard(), time.monotonic() + within_s
    while not enough(facts) and time.monotonic() < end:
        facts += heard()
    return facts


def order(broker: dict, orders: list[dict]) -> None:
    producer = KafkaProducer(**broker)
    for one in orders:
        producer.send(TRANSFER_ORDERS.name, orjson.dumps(one))
    producer.flush()
    producer.close()


END = topics_driver.history_end(NETWORK, WEEKS)


def send_history(broker: dict, store: Engine | None = None) -> int:
    return topics_driver.send_history(NETWORK, SEED, broker, weeks=WEEKS, size=SMALL, engine=store)


def test_the_past_comes_whole_and_sent_again_it_has_the_same_ids(broker, told):
    sent = send_history(broker)
    first = told()
    send_history(broker)
    again = told()
    assert len(first) == sent
    assert len(by_id(first)) == sent
    assert by_id(again) == by_id(first)


def test_messages_are_batches_that_carry_no_simulated_time(broker, told, kafka):
    consumer = KafkaConsumer(CIRCULATION_EVENTS.name, **broker, consumer_timeout_ms=1500, auto_offset_reset="earliest")
    send_history(broker)
    messages = list(consumer)
    consumer.close()
    assert max(len(orjson.loads(message.value)) for message in messages) == 100
    assert all(abs(message.timestamp / 1000 - time.time()) < 3600 for message in messages)


def test_each_copys_past_stands_in_one_partition_in_the_order_of_time(broker, consumer):
    send_history(broker)
    times: dict[tuple[str, int], list[str]] = {}
    for message in consumer:
        for fact in orjson.loads(message.value):
            times.setdefault((fact["data"].get("copy", ""), message.partition), []).append(fact["time"])
    assert len({copy for copy, _ in times}) == len(times)
    assert len({partition for _, partition in times}) == CIRCULATION_EVENTS.partitions
    assert all(of_one == sorted(of_one) for of_one in times.values())


def test_a_city_that_lives_tells_each_fact_when_its_time_has_come(broker, store, told):
    send_history(broker, store)
    told()
    set_time(store, END + timedelta(hours=8), 86_400 / DAY_LASTS_S)
    began = datetime.now(UTC)
    with living(broker, store):
        time.sleep(DAY_LASTS_S)
    clock = Clock(END + timedelta(hours=8), began, 86_400 / DAY_LASTS_S)
    facts = told()
    assert {"copy.loaned", "copy.returned", "transfer.sent"} <= {fact["type"] for fact in facts}
    assert max(datetime.fromisoformat(fact["time"]) for fact in facts) <= clock.now() + timedelta(minutes=5)
    assert min(fact["time"] for fact in facts) >= END.isoformat()


def test_orders_on_the_topic_become_scans(broker, store, told, heard):
    send_history(broker, store)
    told()
    set_time(store, END + timedelta(hours=4), 86_400 / DAY_LASTS_S)
    days = [START + timedelta(days=WEEKS * 7 + n) for n in range(2)]
    with living(broker, store):
        order(broker, [one for day in days for one in days_orders(day)])
        expected = {"crate.closed", "crate.collected", "crate.at_hub", "crate.delivered", "transfer.received"}
        scans = gathered(heard, lambda facts: expected <= {fact["type"] for fact in facts})
    assert expected <= {fact["type"] for fact in scans}


def test_a_city_that_was_stopped_goes_on_without_a_gap_or_a_double(broker, store, told, heard):
    send_history(broker, store)
    told()
    facts = []
    for hours in (6, 12, 18):
        set_time(store, END + timedelta(hours=hours), 0)
        with living(broker, store):
            facts += gathered(heard, bool)
        facts += told()
    numbers = [int(fact["id"].split("-")[1]) for fact in facts]
    assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


def test_a_city_killed_between_checkpoints_tells_the_same_facts_again(broker, store, told, heard, monkeypatch):
    """The answers of placement differ the second time: what was told must not."""
    send_history(broker, store)
    told()
    set_time(store, END + timedelta(hours=20), 0)
    with monkeypatch.context() as patched:
        patched.setattr(topics_driver.Runner, "keep", lambda self: None)  # as kill -9: nothing is kept at the end
        with living(broker, store, lambda copy, place: PlacementAnswer("hubin", f"first-{copy}")):
            facts = gathered(heard, lambda facts: any("transfer" in fact["data"] for fact in facts))
    before = by_id(facts + told())
    assert any(fact["data"].get("transfer", "").startswith("first-") for fact in before.values())
    with living(broker, store, lambda copy, place: PlacementAnswer("kechuang", f"second-{copy}")):
        again = by_id(gathered(heard, lambda facts: by_id(facts).keys() >= before.keys()))
    assert {number: again[number] for number in before} == before


def test_the_clock_waits_for_a_city_that_is_slow_to_answer(broker, store, told):
    """Each answer takes what would be minutes of the day; what is told is still of the hour that the clock shows."""
    send_history(broker, store)
    told()
    set_time(store, END + timedelta(hours=8), 86_400 / DAY_LASTS_S)

    def slowly(copy: str, place: str) -> PlacementAnswer:
        time.sleep(0.2)
        return HOME

    with living(broker, store, slowly):
        time.sleep(2 * DAY_LASTS_S)
        with store.begin() as connection:
            stands = pause(connection).network_at
    last = max(datetime.fromisoformat(fact["time"]) for fact in told())
    assert stands - last < timedelta(days=3 / DAY_LASTS_S)


def test_a_city_stops_within_two_seconds(broker, store):
    send_history(broker, store)
    set_time(store, END + timedelta(hours=8), 86_400 / 30)
    with living(broker, store):
        time.sleep(3)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 2


def test_another_seed_is_refused_where_a_city_lives_already(broker, store):
    send_history(broker, store)
    with pytest.raises(ValueError, match="begun with seed 11, not 12"):
        topics_driver.run_live(
            NETWORK, 12, broker, store, lambda c, p: HOME, threading.Event(), weeks=WEEKS, size=SMALL
        )


def test_a_checkpoint_read_back_is_what_was_kept(broker, store):
    send_history(broker, store)
    found = checkpoint.load(store)
    assert found is not None
    state = checkpoint.unpacked(found.checkpoint["state"])
    assert checkpoint.unpacked(checkpoint.packed(state)).copies.tolist() == state.copies.tolist()
