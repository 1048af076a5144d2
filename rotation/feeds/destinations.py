"""Destinations of a feed's records: Kafka and the rejections, or the screen of a dry run; and the cursors that follow them."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from config import Settings
from config.kafka import client
from rotation.facts.events import Edge
from rotation.facts.parts import Part
from rotation.feeds import carrying
from rotation.feeds.carrying import EventDict, Reject, RejectedRecord, Send
from rotation.kafka import admin
from rotation.kafka.clients import MendingProducer
from rotation.kafka.topics import CIRCULATION_EVENTS, CIRCULATION_REJECTED, TOPICS
from rotation.network import Network
from rotation.store import rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.heartbeats import Pulse, Turned
from rotation.store.kept import keep, kept

Say = Callable[[str], None]


class Destinations(NamedTuple):
    """The two destinations of a translated record: the events' topic, or the rejections."""

    send: Send
    reject: Reject


@contextmanager
def destinations(settings: Settings, engine: Engine, topic: str = CIRCULATION_EVENTS.name) -> Iterator[Destinations]:
    """Yield the real destinations: Kafka, with their topic created if it is missing, and the rejections in the database."""
    wanted = [known for known in TOPICS if known.name == topic]
    admin.create(client(settings), replication=settings.kafka_replication, topics=wanted)
    sender = MendingProducer(client(settings))
    try:
        yield Destinations(carrying.to_kafka(sender, topic), reject_in(engine))
    finally:
        sender.close(timeout=carrying.ACK_S)


@contextmanager
def opened(settings: Settings, engine: Engine, dry_run: bool, say: Say) -> Iterator[Destinations]:
    """Yield the destinations of a dry run, or the real ones."""
    if dry_run:
        yield shown(say)
        return
    with destinations(settings, engine) as real:
        yield real


@contextmanager
def heard(settings: Settings, name: str) -> Iterator[Turned]:
    """Yield the heartbeat that a feed's loop calls at each turn while it follows its system."""
    with Pulse(settings.database_address(), Part.FEED, name) as pulse:
        yield pulse.turn


def shown(say: Say) -> Destinations:
    """Return the destinations of a dry run: everything is printed as a line of JSON, nothing is sent or kept."""

    def send(events: Sequence[EventDict]) -> None:
        for event in events:
            say(json.dumps(event, ensure_ascii=False))

    def reject(records: Sequence[RejectedRecord]) -> None:
        for edge, _, rejection in records:
            words = {
                "refused": edge,
                "field": rejection.field,
                "reason": rejection.reason,
                "message": rejection.message,
            }
            kept = rejection.original.decode(
                "utf-8", "replace"
            )  # without fields that could name a reader, as it would be kept
            say(json.dumps(words | ({"event": kept} if kept else {}), ensure_ascii=False))

    return Destinations(send, reject)


def reject_in(engine: Engine) -> Reject:
    """Return a function that keeps each rejected record once in the database, however often it comes."""

    def reject(records: Sequence[RejectedRecord]) -> None:
        with engine.begin() as connection:
            cursor = driver(connection).cursor()
            for edge, some in groupby(sorted(records, key=attrgetter("edge")), key=attrgetter("edge")):
                _, positions, refused = zip(*some, strict=True)
                rejections.add_at_edge(cursor, edge, refused, CIRCULATION_REJECTED.name, positions)

    return reject


def edge_of(network: Network, connection: Connection) -> Edge:
    """Return the reference data against which the worker checks events now."""
    return Edge.of(network, read_clock(connection).now())


# --- Cursors --------------------------------------------------------------------------------------------------------------


def cursor_of(engine: Engine, name: str) -> Any:
    """Return the position where an adapter stopped, None if it never ran."""
    with engine.connect() as connection:
        return kept(connection, name)


def keep_cursor(engine: Engine, name: str, value: Any) -> None:
    """Keep an adapter's position; call this once everything up to it is in Kafka."""
    with engine.begin() as connection:
        keep(connection, name, value)
