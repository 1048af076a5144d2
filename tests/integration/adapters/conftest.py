"""A database of the small city with the worker's own writer, and everything in it as text, to be searched for readers."""

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from rotation.facts.clock import standing_at
from rotation.feeds.carrying import EventDict, messages
from rotation.feeds.destinations import Destinations, reject_in
from rotation.kafka import admin
from rotation.kafka.message import Message
from rotation.kafka.topics import Topic
from rotation.store.clock import set_clock
from rotation.store.engine import engine as engine_of
from streams.apply import Writer
from tests.streams_world import EDGE, city


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """The test's database, with its clock standing in the city's time."""
    made = engine_of(database)
    with made.begin() as connection:
        set_clock(connection, standing_at(EDGE.now))
    yield made
    made.dispose()


@pytest.fixture
def applied(database: str, engine: Engine) -> Iterator[Destinations]:
    """Ends whose events are in the database at once, as the worker writes them."""
    writer, numbers = Writer(database, city(), lambda *_: []), iter(range(10**6))

    def tell(events: list[EventDict]) -> None:
        writer.write(writer.prepare([Message(0, next(numbers), value) for value in messages(events)]))

    yield Destinations(tell, reject_in(engine))
    writer.close()


@pytest.fixture
def everything(database: str) -> Callable[[], str]:
    """Return every row of every table as text."""

    def read() -> str:
        with psycopg.connect(database) as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            rows = [connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names]
        return "\n".join(str(row) for table in rows for row in table)

    return read


@pytest.fixture
def topic(kafka: str) -> str:
    """Name of a topic of the test's own, of one partition."""
    name = f"f{uuid.uuid4().hex[:8]}.events"
    admin.create({"bootstrap_servers": kafka.split(",")}, topics=[Topic(name, "", 1, -1, False, (), (), "")])
    return name
