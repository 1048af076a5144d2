"""Whatever order, batches, duplicates and delays: the database ends where a plain fold of the same set ends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.facts.events import CopyAdded, CopyCorrected, CopyReturned
from rotation.facts.movements import CopyState
from rotation.kafka.message import Message
from rotation.store.audit import audit
from rotation.store.progress import is_history
from streams.apply import Stopped, Writer, Written
from tests.streams_world import MONDAY, batches, city, counts, disturbed, fold, history, standing, told

TABLES = (
    "movements, hold_facts, transfer_facts, crate_facts, copies, holds, crates, transfers, titles, rejections, counts, "
    "progress, outbox, feeds, shelvings"
)


def no_gap(*_: int) -> list[Message]:
    return []


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    one = Writer(database, city(), no_gap)
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared_writer(module_database: str) -> Iterator[Writer]:
    one = Writer(module_database, city(), no_gap)
    yield one
    one.close()


def apply(writer: Writer, values: list[bytes], begin: int = 0, at_once: int = 3) -> list[Written]:
    messages = [Message(0, begin + number, value) for number, value in enumerate(values)]
    return [writer.write(writer.prepare(messages[at : at + at_once])) for at in range(0, len(messages), at_once)]


@given(st.integers(0, 10_000), st.integers(1, 9))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_batching_duplication_and_delay_of_a_set_gives_the_same_copies_and_spells(
    shared_writer: Writer, module_database: str, seed: int, at_once: int
) -> None:
    with psycopg.connect(module_database) as connection:
        connection.execute(f"TRUNCATE {TABLES}")
    shared_writer.positions([0], begin_anew=True)
    events = history(seed, 200)
    apply(shared_writer, batches(disturbed(events, seed, twice=0.2, late=0.3), seed), at_once=at_once)
    assert standing(module_database) == fold(events)


def test_every_event_has_exactly_one_count_and_the_audit_finds_nothing(writer: Writer, database: str) -> None:
    sent = disturbed(history(1, 400), 1, twice=0.2, late=0.2)
    apply(writer, batches(sent, 1))
    told_of = counts(database)
    assert sum(told_of.values()) == len(sent)
    assert told_of["duplicates"] == len(sent) - 400
    assert told_of["late"] > 0
    with psycopg.connect(database) as connection:
        assert audit(connection.cursor()) == []


def test_a_late_event_changes_history_and_not_the_present(writer: Writer, database: str) -> None:
    apply(writer, [orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 9))])
    assert apply(writer, [orjson.dumps(told(CopyReturned(copy="c1", place="p1"), 5))], 1) == [Written(0, 1, 0, 0)]
    found = standing(database)
    assert found.copies["c1"][1] == "p2"
    assert len(found.spells) == 2


def test_a_copy_heard_of_before_it_was_added_is_unlisted_until_then(writer: Writer, database: str) -> None:
    apply(writer, [orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 9))])
    assert standing(database).titles == {"c1": None}
    apply(writer, [orjson.dumps(told(CopyAdded(copy="c1", place="p1", title="t1", **{"class": "fiction"}), 5))], 1)
    assert standing(database).titles == {"c1": "t1"}
    assert standing(database).copies["c1"][1] == "p2"


def test_a_title_is_the_volume_that_it_was_last_told_to_be(writer: Writer, database: str) -> None:
    first, then = (
        told(CopyAdded(copy=f"c{at}", place="p1", title="t1", volume_of=work, **{"class": "fiction"}), at)
        for at, work in ((4, "w1"), (5, "w2"))
    )
    apply(writer, [orjson.dumps(then), orjson.dumps(first)])
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT title_id, volume_of FROM titles").fetchall() == [("t1", "w2")]


def test_a_batch_written_before_changes_nothing(writer: Writer, database: str) -> None:
    values = batches(history(2, 60), 2)
    apply(writer, values)
    before = counts(database)
    assert apply(writer, values, at_once=100) == [Written(0, 0, 0, 0)]
    assert counts(database) == before


def test_a_worker_that_slept_while_another_went_on_writes_nothing_of_what_was_written(database: str) -> None:
    values = batches(history(3, 60), 3)
    sleeper, other = Writer(database, city(), no_gap), Writer(database, city(), no_gap)
    messages = [Message(0, number, value) for number, value in enumerate(values)]
    sleeper.write(sleeper.prepare(messages[:1]))
    in_hand = sleeper.prepare(messages[1:3])
    other.write(other.prepare(messages))
    before = counts(database)
    assert sleeper.write(in_hand) == Written(0, 0, 0, 0)
    assert counts(database) == before
    sleeper.close(), other.close()


def test_messages_that_faust_passed_by_are_read_from_kafka_and_written_first(database: str) -> None:
    values = batches(history(4, 80), 4)
    messages = [Message(0, number, value) for number, value in enumerate(values)]
    writer = Writer(database, city(), lambda partition, begin, end: messages[begin:end][:2])
    writer.write(writer.prepare(messages[-1:]))
    assert standing(database) == fold(history(4, 80))
    writer.close()


def test_a_gap_that_kafka_confirms_is_passed_and_counted(writer: Writer, database: str) -> None:
    apply(writer, [orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 9))], begin=7)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT next_offset, gap_offsets FROM progress").fetchall() == [(8, 7)]


def test_what_was_passed_by_between_two_messages_of_a_batch_is_written_in_its_place(database: str) -> None:
    values = [orjson.dumps(told(CopyReturned(copy=f"c{n}", place="p2"), n)) for n in range(6)]
    held = [Message(0, offset, value) for offset, value in enumerate(values)]
    writer = Writer(database, city(), lambda _, begin, end: held[begin : min(end, begin + 1)])  # one at a time
    writer.write(writer.prepare([held[0], held[1], held[4], held[5]]))
    writer.close()
    assert counts(database) == {"applied": 6}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT next_offset, gap_offsets FROM progress").fetchall() == [(6, 0)]


def test_a_message_that_comes_twice_in_a_batch_is_written_once(writer: Writer, database: str) -> None:
    values = [orjson.dumps(told(CopyReturned(copy=f"c{n}", place="p2"), n)) for n in range(3)]
    messages = [Message(0, offset, value) for offset, value in enumerate(values)]
    writer.write(writer.prepare([*messages, *messages[1:]]))  # as after a rebalance that gave the partition back
    assert counts(database) == {"applied": 3}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT next_offset, gap_offsets FROM progress").fetchall() == [(3, 0)]


def test_a_gap_that_kafka_does_not_confirm_is_not_passed(database: str) -> None:
    def silent(*_: int) -> list[Message]:
        writer.stopping.set()
        raise TimeoutError("no answer")

    writer = Writer(database, city(), silent)
    with pytest.raises(Stopped):
        apply(writer, [orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 9))], begin=7)
    assert standing(database).copies == {}


def wrong(**attributes: object) -> bytes:
    """A good event but for some attributes."""
    return orjson.dumps({**told(CopyReturned(copy="c9", place="p1"), 1), **attributes})


BAD: dict[str, tuple[bytes, str]] = {
    "malformed": (b'[{"id": 1', "not_json"),
    "encoding": ('{"a": "图书"}'.encode("gb18030"), "not_utf8"),
    "place": (wrong(data={"copy": "c9", "place": "nowhere"}), "unknown_place"),
    "type": (wrong(type="copy.eaten"), "unknown_type"),
    "version": (wrong(dataschema="/copy.returned/9"), "unknown_version"),
    "future": (wrong(time="2999-01-01T00:00:00Z"), "in_the_future"),
    "zone": (wrong(time="2026-03-02T10:00:00"), "no_zone"),
    "reader": (wrong(patron="Li Lei"), "envelope"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_event_ends_in_the_rejections_and_the_good_ones_beside_it_are_applied(
    writer: Writer, database: str, kind: str
) -> None:
    bad, reason = BAD[kind]
    good = orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 2))
    beside = b"[" + good + b"," + bad + b"]" if kind not in ("malformed", "encoding") else bad
    assert apply(writer, [beside, orjson.dumps(told(CopyReturned(copy="c2", place="p2"), 3))])[0].rejected == 1
    with psycopg.connect(database) as connection:
        assert [row[0] for row in connection.execute("SELECT reason FROM rejections")] == [reason]
        assert connection.execute("SELECT count(*) FROM outbox WHERE topic = 'circulation.rejected'").fetchone() == (1,)
    assert "c2" in standing(database).copies


def test_a_header_that_lies_rejects_the_batch(writer: Writer, database: str) -> None:
    value = orjson.dumps(told(CopyReturned(copy="c1", place="p2"), 2))
    lying = Message(0, 0, value, (("content-type", b"application/json; charset=gb18030"),))
    assert writer.write(writer.prepare([lying])) == Written(0, 0, 0, 1)


def test_what_only_the_database_refuses_is_rejected_alone(writer: Writer, database: str) -> None:
    good, bad = told(CopyReturned(copy="c1", place="p2"), 1), told(CopyReturned(copy="c2", place="p2"), 2)
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE movements ALTER COLUMN event_id TYPE varchar(4)")
    bad["id"] = "too-long"
    assert apply(writer, [orjson.dumps([good, bad])]) == [Written(1, 0, 0, 1)]


def test_a_copy_that_someone_put_back_by_hand_stops_nothing_and_comes_to_its_last_movement(
    writer: Writer, database: str
) -> None:
    first, last = told(CopyReturned(copy="c1", place="p1"), 1), told(CopyReturned(copy="c1", place="p2"), 2)
    apply(writer, [orjson.dumps([first, last])])
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE copies SET occurred_at = occurred_at - interval '1 hour', place_id = 'p5'")
    apply(writer, [orjson.dumps([last, told(CopyReturned(copy="c2", place="p1"), 3)])], begin=1)
    assert standing(database).copies.keys() == {"c1", "c2"}
    assert standing(database).copies["c1"][1] == "p2"


def test_workers_on_partitions_that_share_copies_do_not_lock_each_other_up(database: str) -> None:
    events = history(5, 600)
    halves = [batches([e for n, e in enumerate(events) if n % 2 == half], 5) for half in (0, 1)]

    def run(partition: int) -> None:
        one = Writer(database, city(), no_gap)
        for number, value in enumerate(halves[partition]):
            one.write(one.prepare([Message(partition, number, value)]))
        one.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (0, 1)))
    assert standing(database) == fold(events)


def test_history_is_known_by_each_partition_and_only_while_it_is_told(writer: Writer, database: str) -> None:
    """One partition may have come to today while another is weeks behind."""
    old = orjson.dumps([told(CopyReturned(copy=f"c{n}", place="p1"), n) for n in range(9)])
    late, today = told(CopyReturned(copy="late", place="p1"), 9), 3 * 24 * 60
    new = orjson.dumps([late, *(told(CopyReturned(copy=f"d{n}", place="p1"), today + n) for n in range(9))])
    now = MONDAY + timedelta(days=3, hours=1)
    with psycopg.connect(database, autocommit=True) as connection:
        writer.write(writer.prepare([Message(0, 0, new)]))
        assert not is_history(connection.cursor(), now)
        writer.write(writer.prepare([Message(1, 0, old)]))
        writer.write(writer.prepare([Message(0, 1, new)]))
        assert is_history(connection.cursor(), now)
        connection.execute("UPDATE progress SET written_at = written_at - interval '6 seconds'")
        assert not is_history(connection.cursor(), now)


def test_the_newest_words_of_where_a_copy_stands_are_kept_in_any_order_and_the_rest_of_the_facts_leave_them(
    writer: Writer, database: str
) -> None:
    new = CopyCorrected(
        copy="c1", place="p1", now=CopyState.ON_SHELF, call_number="I247.5/9", room="Room 2", shelf="C1", barcode="B1"
    )
    sent = [
        told(new, 7),
        told(CopyAdded(copy="c1", place="p1", title="t1", call_number="I247.5/1", **{"class": "fiction"}), 1),
        told(CopyReturned(copy="c1", place="p1"), 9),
        told(CopyCorrected(copy="c1", place="p1", now=CopyState.ON_SHELF), 10),
    ]
    apply(writer, [orjson.dumps(one) for one in sent], at_once=1)
    apply(writer, [orjson.dumps(one) for one in reversed(sent)], len(sent))
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT copy_id, call_number, room, collection, shelf, barcode FROM shelvings"
        ).fetchall()
    assert found == [("c1", "I247.5/9", "Room 2", "", "C1", "B1")]
