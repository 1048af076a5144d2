"""From the outbox to Kafka, in order: sent, acknowledged by every broker in sync, then deleted. `python -m streams.relay`.

Killed between sending and deleting it sends again, with the same key and the same id in the header: a duplicate, never a loss.
One relay sends at a time; others wait for its lock and take over when it is gone. What is for a topic that does not exist
waits there, told every minute, and holds up nothing else.
"""

import logging
import select
import signal
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import psycopg
import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from config import load
from config.kafka import client as client_of
from rotation.store.engine import connect
from rotation.store.outbox import CHANNEL
from streams import admin
from streams.clients import Client, producer
from streams.worker import configure_logging

log = structlog.get_logger()

AT_ONCE = 2_000  # rows sent before their acknowledgements are awaited
LISTEN_S = 1.0  # between looks at the outbox without a notice: NOTIFY wakes it at once
PAUSE_S = 1.0  # after Kafka or PostgreSQL was away
ACK_S = 30.0  # longer than a broker's restart
ONE_AT_A_TIME = 7_276_002  # key of the advisory lock
ID_HEADER = "outbox-id"
TOPICS_S = 60.0  # between questions which topics exist
WAITING = "SELECT id, topic, key, value FROM outbox WHERE topic = ANY(%s) ORDER BY id LIMIT %s"
WITHOUT_TOPIC = "SELECT topic, count(*) FROM outbox WHERE topic <> ALL(%s) GROUP BY topic ORDER BY topic"


class Row(NamedTuple):
    """One message of the outbox."""

    id: int
    topic: str
    key: str | None
    value: bytes


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
    run(settings.database_url.get_secret_value(), client_of(settings), stop)
    log.info("stopped")


def run(url: str, client: Client, stop: threading.Event) -> None:
    """Relay until `stop`; whatever is away is waited for."""
    while not stop.is_set():
        try:
            _relay(url, client, stop)
        except (psycopg.Error, KafkaError, TimeoutError) as error:
            log.warning("waiting", error=f"{type(error).__name__}: {error}".strip())
            stop.wait(PAUSE_S)


def _relay(url: str, client: Client, stop: threading.Event) -> None:
    with connect(url, autocommit=True) as connection:
        while not _alone(connection):
            if stop.wait(LISTEN_S):
                return
        connection.execute(f"LISTEN {CHANNEL}")
        sender = producer(client)
        log.info("ready")
        try:
            while not stop.is_set():
                _relay_a_while(connection, sender, existing_topics(client, connection), stop)
        finally:
            sender.close(timeout=1)


def _relay_a_while(
    connection: psycopg.Connection[Any], sender: KafkaProducer, topics: Collection[str], stop: threading.Event
) -> None:
    until = time.monotonic() + TOPICS_S
    while not stop.is_set() and time.monotonic() < until:
        if not relay_once(connection, sender, topics):
            _wait(connection)


def existing_topics(client: Client, connection: psycopg.Connection[Any]) -> list[str]:
    """Return the broker's topics; tell of what waits for one that is not there."""
    topics = admin.names(client)
    for topic, count in connection.execute(WITHOUT_TOPIC, (topics,)):
        log.error("no such topic; `rotation topics create` makes it", topic=topic, waiting=count)
    return topics


def relay_once(connection: psycopg.Connection[Any], sender: KafkaProducer, topics: Collection[str]) -> int:
    """Send what stands in the outbox for these topics, up to AT_ONCE rows; delete it once acknowledged; return how many."""
    rows = [Row(*row) for row in connection.execute(WAITING, (list(topics), AT_ONCE))]
    if rows:
        send(sender, rows)
        connection.execute("DELETE FROM outbox WHERE id = ANY(%s)", ([row.id for row in rows],))
    return len(rows)


def send(sender: KafkaProducer, rows: Sequence[Row]) -> None:
    """Send rows and wait until every one is acknowledged."""
    sent = [
        sender.send(row.topic, key=row.key.encode() if row.key else None, value=bytes(row.value),
                    headers=[(ID_HEADER, str(row.id).encode())])
        for row in rows
    ]  # fmt: skip
    sender.flush(timeout=ACK_S)
    for one in sent:
        one.get(timeout=ACK_S)


def _alone(connection: psycopg.Connection[Any]) -> bool:
    (mine,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (ONE_AT_A_TIME,)).fetchone() or (False,)
    return bool(mine)


def _wait(connection: psycopg.Connection[Any]) -> None:
    """Wait for a notice, or a second; a signal ends it at once."""
    select.select([connection.fileno()], [], [], LISTEN_S)
    for _ in connection.notifies(timeout=0):
        pass


if __name__ == "__main__":
    main()
