"""A world read again is the world read anew, and what nobody touched is not read."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import psycopg
import pytest

from rotation.facts.events import CopyReturned
from rotation.kafka.message import Message
from rotation.night.world import touched_rows
from rotation.night.world.world import NightWorld, world
from rotation.store.engine import connect
from streams.apply import Writer
from tests.streams_world import MONDAY, batches, city, disturbed, history, told

NETWORK = city()
COPIES = 150
EMPTIED = "movements, copies, titles, holds, hold_facts, transfers, transfer_facts, crates, crate_facts, progress"
ORDERS = """
    INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)
    SELECT status || copy_id, copy_id, place_id, 'p3', 'pick', status, '{}', occurred_at, occurred_at
    FROM copies, (VALUES ('ordered'), ('received')) s(status) WHERE copy_id LIKE %s ON CONFLICT DO NOTHING"""


@pytest.fixture(scope="module")
def writer(module_database: str) -> Iterator[Writer]:
    one = Writer(module_database, NETWORK, lambda *_: [])
    yield one
    one.close()


def write(writer: Writer, values: list[bytes], begin: int) -> None:
    writer.write(writer.prepare([Message(0, begin + number, value) for number, value in enumerate(values)]))


def read(url: str, minutes: int, last: NightWorld | None = None) -> NightWorld:
    """The world, whose history begins in the middle of what was told."""
    at = MONDAY + timedelta(weeks=1, minutes=minutes)
    with connect(url) as connection:
        return world(connection, NETWORK, at, history_weeks=1, loans_per_km=0.03, visited=NETWORK.place, last=last)


def arrays(one: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every array of a snapshot, in order."""
    for field in fields(one):
        value = getattr(one, field.name)
        if is_dataclass(value):
            yield from arrays(value)
        elif value is not None:
            yield value


def assert_same(one: NightWorld, other: NightWorld) -> None:
    assert one.names == other.names
    for mine, others in zip(arrays(one.snapshot), arrays(other.snapshot), strict=True):
        np.testing.assert_array_equal(mine, others)


@pytest.mark.parametrize("seed", range(6))
def test_a_world_read_again_is_the_same_as_one_read_anew(writer: Writer, module_database: str, seed: int) -> None:
    begin, passed = 60 * seed, 50 * (seed % 3)
    with psycopg.connect(module_database) as connection:
        connection.execute(f"TRUNCATE {EMPTIED}")
    writer.positions([0], begin_anew=True)
    values = batches(disturbed(history(seed, 400, COPIES), seed, twice=0.1, late=0.5), seed)
    seen = (
        len(values) * 3 // 4
    )  # titles and copies that come later stand between the others; late facts mend what was read
    write(writer, values[:seen], 0)
    first = read(module_database, begin)
    write(writer, values[seen:], seen)
    with psycopg.connect(module_database) as connection:
        connection.execute(ORDERS, (f"c{seed % 4}%",))
    anew = read(module_database, begin + passed)
    assert_same(read(module_database, begin + passed, first), anew)
    assert_same(read(module_database, begin, anew), read(module_database, begin))  # time that goes back is read anew


def test_only_what_was_touched_is_read_again(
    writer: Writer, module_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(module_database) as connection:
        connection.execute(f"TRUNCATE {EMPTIED}")
    writer.positions([0], begin_anew=True)
    write(writer, batches(history(1, 400, COPIES), 1), 0)
    first, fetched = read(module_database, 300), touched_rows.fetched
    write(writer, [orjson.dumps(told(CopyReturned(copy="c7", place="p1"), 350)) for _ in range(2)], 1000)
    sizes: dict[str, int] = {}

    def counting(connection: Any, query: str, *arguments: Any) -> touched_rows.Rows:
        rows = fetched(connection, query, *arguments)
        sizes["movements" if "FROM movements" in query else "copies" if "FROM copies" in query else "others"] = len(
            rows
        )
        return rows

    monkeypatch.setattr(touched_rows, "fetched", counting)
    again = read(module_database, 300, first)
    assert sizes["copies"] == 1
    assert 0 < sizes["movements"] < len(again.read.moves) / 4


def test_what_was_being_written_while_the_world_was_read_is_read_the_next_time(module_database: str) -> None:
    with psycopg.connect(module_database) as slow:
        slow.execute("UPDATE copies SET place_id = 'p5' WHERE copy_id = 'c9'")
        first = read(module_database, 300)
        slow.commit()
    anew = read(module_database, 300)
    assert_same(read(module_database, 300, first), anew)
    with pytest.raises(AssertionError):
        assert_same(first, anew)


def test_copies_that_are_gone_are_gone_from_the_world(writer: Writer, module_database: str) -> None:
    first = read(module_database, 300)
    with psycopg.connect(module_database) as connection:
        connection.execute("DELETE FROM movements WHERE copy_id = 'c7'")
        connection.execute("DELETE FROM copies WHERE copy_id = 'c7'")
    assert_same(read(module_database, 300, first), read(module_database, 300))


def test_movements_at_one_instant_come_in_the_order_of_their_keys(writer: Writer, module_database: str) -> None:
    with psycopg.connect(module_database) as connection:
        connection.execute(f"TRUNCATE {EMPTIED}")
    writer.positions([0], begin_anew=True)
    for offset, numbers in enumerate([(103, 101), (102, 100)]):  # the second batch stands before the first
        at_once = [
            told(CopyReturned(copy="c1", place=f"p{n - 99}"), n, MONDAY + timedelta(minutes=100)) for n in numbers
        ]
        write(writer, [orjson.dumps(at_once)], offset)
    found, names = (one := read(module_database, 50)).read, one.names
    assert [names.places[place] for place in found.moves["place"]] == ["p1", "p2", "p3", "p4"]


ALIKE = """
    CREATE FUNCTION hashtextextended(id text, seed int) RETURNS bigint LANGUAGE sql
    RETURN CASE seed WHEN 0 THEN 7 ELSE -ascii(id) END"""


def test_ids_of_which_hashes_are_alike_get_others(module_database: str) -> None:
    with psycopg.connect(module_database) as connection:
        connection.execute(ALIKE)
        ids = touched_rows._ids(connection, "VALUES ('a'), ('b')")
        connection.rollback()
    assert (ids.names, ids.seed) == (["a", "b"], 1)
    assert ids.rows(np.array([-ord("b"), -ord("a"), 7])).tolist() == [1, 0, -1]
