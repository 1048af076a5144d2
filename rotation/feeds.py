"""Library systems' records into this system's Kafka: the adapters, the producer, the rejections and the cursors put together.

A dry run goes the whole way, and shows at its end what would be sent instead of sending it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from config import Settings
from config.kafka import client
from config.settings import DEFAULTS
from rotation.adapters import feed, tables
from rotation.adapters.feed import Refusal, Refuse, Report, Tell, Told
from rotation.events import Edge
from rotation.network import Network
from rotation.store import facts, rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.tables import settings as kept
from streams import admin
from streams.clients import producer
from streams.topics import CIRCULATION_EVENTS

MAPS = DEFAULTS.parent / "maps"
Say = Callable[[str], None]


class Ends(NamedTuple):
    """Where facts and refusals go."""

    tell: Tell
    refuse: Refuse


@contextmanager
def ends(settings: Settings, engine: Engine, topic: str = CIRCULATION_EVENTS.name) -> Iterator[Ends]:
    """Yield where facts and refusals go: Kafka, whose topics are made where they are missing, and the rejections."""
    admin.create(client(settings), replication=settings.kafka_replication)
    sender = producer(client(settings))
    try:
        yield Ends(feed.to_kafka(sender, topic), refuse_in(engine))
    finally:
        sender.close(timeout=feed.ACK_S)


@contextmanager
def opened(settings: Settings, engine: Engine, dry_run: bool, say: Say) -> Iterator[Ends]:
    """Yield the ends of a dry run, or the real ones."""
    if dry_run:
        yield shown(say)
        return
    with ends(settings, engine) as real:
        yield real


def shown(say: Say) -> Ends:
    """Return the ends of a dry run: everything is shown as a line of JSON, nothing is sent or kept."""

    def tell(events: Sequence[Told]) -> None:
        for event in events:
            say(json.dumps(event, ensure_ascii=False))

    def refuse(refusals: Sequence[Refusal]) -> None:
        for edge, _, one in refusals:
            words = {"refused": edge, "field": one.field, "reason": one.reason, "message": one.message}
            say(json.dumps(words, ensure_ascii=False))

    return Ends(tell, refuse)


def refuse_in(engine: Engine) -> Refuse:
    """Return a `refuse` that keeps each refusal once in the database, however often it is told."""

    def refuse(refusals: Sequence[Refusal]) -> None:
        with engine.begin() as connection:
            cursor = driver(connection).cursor()
            for edge, position, one in refusals:
                new = rejections.add(cursor, edge, [(*position, one)])
                facts.add_counts(cursor, {"rejected": new})

    return refuse


def edge_of(network: Network, connection: Connection) -> Edge:
    """Return what the worker checks events against now."""
    places, classes = frozenset(network.place), frozenset(one.id for one in network.classes)
    return Edge(places, classes, read_clock(connection).now())


# --- Tables -------------------------------------------------------------------------------------------------------------------


def map_file(name: str) -> Path:
    """Return the column map of that path, or the preset of that name.

    Raises
    ------
    FileNotFoundError
        When there is neither; names the presets.
    """
    presets = {path.stem: path for path in MAPS.glob("*.toml")}
    if Path(name).is_file():
        return Path(name)
    if name in presets:
        return presets[name]
    raise FileNotFoundError(f"no column map {name}; presets: {', '.join(sorted(presets))}")


def import_table(
    engine: Engine, network: Network, carried: Ends, file: Path, chosen: tables.Map, at: datetime | None = None
) -> Report:
    """Tell what a table's rows say.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read.
    """
    with engine.connect() as connection:
        edge = edge_of(network, connection)
    translated = feed.checked(tables.translate(file, chosen, at), edge, f"file:{file.name}")
    return feed.carry(translated, *carried)


# --- Cursors ------------------------------------------------------------------------------------------------------------------


def cursor_of(engine: Engine, name: str) -> Any:
    """Return where an adapter stopped, None where it never began."""
    with engine.connect() as connection:
        return connection.scalar(select(kept.c.value).where(kept.c.name == name))


def keep_cursor(engine: Engine, name: str, value: Any) -> None:
    """Keep where an adapter stands; to be called after what it read stands in Kafka."""
    row = insert(kept).values(name=name, value=value)
    with engine.begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
