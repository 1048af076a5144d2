"""From the outbox to Kafka, in order: sent, acknowledged by every broker in sync, then deleted. `python -m streams.relay`.

Killed between sending and deleting it sends again, with the same key and the same id in the header: a duplicate, never a loss.
A single relay sends at a time; others wait for its lock and take over when it is gone. A message for a topic that does not exist,
or that we may not write to, waits there, with a log line every minute; one that Kafka refuses for good is set aside
(`rotation.store.dead_letters`). Neither holds up anything else.
"""

import logging
import select
import signal
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from config import load
from config.kafka import client as client_of
from rotation.facts.parts import Deed, Part
from rotation.kafka import admin, orders
from rotation.kafka.clients import Client, MendingProducer, RefusedByKafka, producer
from rotation.kafka.topics import TRANSFER_ORDERS
from rotation.store.dead_letters import set_aside
from rotation.store.engine import connect
from rotation.store.heartbeats import Pulse, Turned, unheard
from rotation.store.locks import AdvisoryLock
from rotation.store.outbox import CHANNEL
from streams.json_logs import configure_logging

log = structlog.get_logger()

AT_ONCE = 2_000  # rows sent before their acknowledgements are awaited
LISTEN_S = 1.0  # between looks at the outbox without a notice: NOTIFY wakes it at once
PAUSE_S = 1.0  # after Kafka or PostgreSQL was away
ACK_S = 30.0  # longer than a broker's restart
ID_HEADER = "outbox-id"
TOPICS_S = 60.0  # between questions which topics exist
WAITING = "SELECT id, topic, key, value, created_at FROM outbox WHERE topic = ANY(%s) ORDER BY id LIMIT %s"
WITHOUT_TOPIC = "SELECT topic, count(*) FROM outbox WHERE topic <> ALL(%s) GROUP BY topic ORDER BY topic"


class OutboxMessage(NamedTuple):
    """A message of the outbox."""

    id: int
    topic: str
    key: str | None
    value: bytes
    created_at: datetime


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    logging.getLogger("kafka").setLevel(logging.ERROR)
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    settings = load()
    if settings.database_url is None:
        raise SystemExit("no database: start `rotation run`, or set DATABASE_URL")
    url = settings.database_url.get_secret_value()
    with Pulse(url, Part.RELAY) as pulse:
        run(url, client_of(settings), stop, pulse.turn)
    log.info("stopped")


def run(url: str, client: Client, stop: threading.Event, turn: Turned = unheard) -> None:
    """Relay until `stop`, waiting for Kafka and the database where they are away."""
    careful = False
    while not stop.is_set():
        try:
            _relay(url, client, stop, turn, careful=careful)
        except (psycopg.Error, KafkaError, TimeoutError) as error:
            careful = isinstance(error, KafkaError)
            turn(deed=Deed.WAITS)
            log.warning("waiting", error=f"{type(error).__name__}: {error}".strip())
            stop.wait(PAUSE_S)


def _relay(url: str, client: Client, stop: threading.Event, turn: Turned, *, careful: bool) -> None:
    with connect(url, autocommit=True) as connection:
        while not _alone(connection):
            turn(deed=Deed.WAITS)
            if stop.wait(LISTEN_S):
                return
        connection.execute(f"LISTEN {CHANNEL}")
        topics = existing_topics(client, connection)
        if careful:
            one_at_a_time(connection, client, topics, turn)
        sender = producer(client)
        log.info("ready")
        try:
            while not stop.is_set():
                _relay_a_while(connection, sender, topics, stop, turn)
                topics = existing_topics(client, connection)
        finally:
            sender.close(timeout=1)


def _relay_a_while(
    connection: psycopg.Connection[Any],
    sender: KafkaProducer,
    topics: Sequence[str],
    stop: threading.Event,
    turn: Turned,
) -> None:
    until = time.monotonic() + TOPICS_S
    while not stop.is_set() and time.monotonic() < until:
        turn()
        if sent := relay_once(connection, sender, topics):
            turn(deed=Deed.SENT, about=sent)
        else:
            _wait(connection)


def existing_topics(client: Client, connection: psycopg.Connection[Any]) -> list[str]:
    """Return the broker's topics; log messages that wait for a topic that is not there."""
    topics = admin.names(client)
    for topic, count in connection.execute(WITHOUT_TOPIC, (topics,)):
        log.error("no such topic; `rotation topics create` makes it", topic=topic, waiting=count)
    return topics


def relay_once(connection: psycopg.Connection[Any], sender: KafkaProducer, topics: Sequence[str]) -> int:
    """Send the outbox's messages for these topics, up to AT_ONCE rows; delete it once acknowledged; return how many."""
    rows = _waiting(connection, topics)
    if rows:
        send(sender, rows)
        _delete(connection, rows)
    return len(rows)


def one_at_a_time(
    connection: psycopg.Connection[Any], client: Client, topics: list[str], turn: Turned = unheard
) -> None:
    """Send up to AT_ONCE messages each by itself, after a failure of many: messages that Kafka refuses for good are set aside.

    A topic that we may not write to is taken out of `topics`, and its messages wait.
    """
    sender = MendingProducer(client)
    try:
        for row in _waiting(connection, topics):
            turn()
            if row.topic in topics:
                _send_or_set_aside(connection, sender, row, topics)
    finally:
        sender.close(timeout=1)


def _send_or_set_aside(
    connection: psycopg.Connection[Any], sender: MendingProducer, row: OutboxMessage, topics: list[str]
) -> None:
    try:
        sender.send(row.topic, bytes(row.value), ACK_S, **_record(row))
    except RefusedByKafka as refused:
        if isinstance(refused.__cause__, TopicAuthorizationFailedError):
            topics.remove(row.topic)
            log.error("not allowed; `rotation topics allow relay USER` gives the right", topic=row.topic)
        else:
            set_aside(connection.cursor(), row.id, str(refused))
            log.error("refused by Kafka and set aside", topic=row.topic, id=row.id, reason=str(refused))
    else:
        _delete(connection, [row])


def _waiting(connection: psycopg.Connection[Any], topics: Sequence[str]) -> list[OutboxMessage]:
    return [OutboxMessage(*row) for row in connection.execute(WAITING, (list(topics), AT_ONCE))]


def _delete(connection: psycopg.Connection[Any], rows: Sequence[OutboxMessage]) -> None:
    connection.execute("DELETE FROM outbox WHERE id = ANY(%s)", ([row.id for row in rows],))


def _record(row: OutboxMessage) -> dict[str, Any]:
    """Return key and headers as kafka-python wants them; an order is a CloudEvent by its headers."""
    of_order = orders.headers(row.id, bytes(row.value), row.created_at) if row.topic == TRANSFER_ORDERS.name else []
    headers = [(ID_HEADER, str(row.id).encode()), *of_order]
    return {"key": row.key.encode() if row.key else None, "headers": headers}


def send(sender: KafkaProducer, rows: Sequence[OutboxMessage]) -> None:
    """Send rows and wait until all are acknowledged."""
    sent = [sender.send(row.topic, bytes(row.value), **_record(row)) for row in rows]
    sender.flush(timeout=ACK_S)
    for one in sent:
        one.get(timeout=ACK_S)


def _alone(connection: psycopg.Connection[Any]) -> bool:
    (mine,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (AdvisoryLock.RELAY,)).fetchone() or (False,)
    return bool(mine)


def _wait(connection: psycopg.Connection[Any]) -> None:
    """Wait for a notice, or a second; a signal ends it at once."""
    select.select([connection.fileno()], [], [], LISTEN_S)
    for _ in connection.notifies(timeout=0):
        pass


if __name__ == "__main__":
    main()
