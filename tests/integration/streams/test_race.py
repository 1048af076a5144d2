"""Sessions of writers: two that hear of a new copy at the same time, and what one leaves behind from batch to batch."""

from typing import Any

import orjson
import psycopg

from rotation.facts.events import CopyLoaned, CopyReturned
from rotation.kafka.message import Message
from rotation.store import facts
from rotation.store.engine import connect
from rotation.store.progress import OffsetRange
from streams.apply import Topics, _staged, write
from streams.rows import rows_of
from tests.streams_world import EDGE, fold, history, standing, told

FIRST, THEN = told(CopyReturned(copy="c1", place="p1"), 1), told(CopyLoaned(copy="c1", place="p2"), 2)


def apply(cursor: Any, partition: int, event: dict[str, Any]) -> None:
    rows = rows_of([Message(partition, 0, orjson.dumps([event]))], EDGE)
    staged = _staged(cursor, rows)
    cursor.execute("INSERT INTO progress (topic, partition, next_offset) VALUES ('t', %s, 0)", (partition,))
    write(cursor, Topics("t"), [OffsetRange(partition, 0, 1)], rows, staged)


def test_a_copy_that_another_worker_adds_between_two_statements_has_its_last_movement(database: str) -> None:
    class Interrupted(psycopg.Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **more: Any) -> Any:
            if query in (facts.INSERT_COPIES, facts.ADD_OTHER_COPIES):
                with connect(database) as other:
                    facts.prepare_session(other.cursor())
                    apply(other.cursor(), 1, FIRST)
            return super().execute(query, *arguments, **more)

    with connect(database) as connection:
        with connection.cursor() as cursor:
            facts.prepare_session(cursor)
        connection.commit()
        connection.cursor_factory = Interrupted
        with connection.cursor() as cursor:
            apply(cursor, 0, THEN)
    assert standing(database).copies == fold([FIRST, THEN]).copies


def test_what_a_session_deletes_from_its_temporary_tables_does_not_pile_up(database: str) -> None:
    rows = rows_of([Message(0, 0, orjson.dumps(history(1, 400, copies=400)))], EDGE)
    with connect(database) as connection, connection.cursor() as cursor:
        staged = _staged(cursor, rows)
        facts.prepare_session(cursor)
        for _ in range(40):
            facts.stage(cursor, staged)
            connection.commit()
        found = cursor.execute("SELECT count(*), pg_relation_size('batch_movements') FROM batch_movements").fetchone()
    assert found
    assert (found[0], found[1] < 2 * facts.DEAD_ROWS_BYTES) == (400, True)
