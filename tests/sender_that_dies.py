"""An adapter in a process of its own that is killed with -9 in the middle of what it reads at once.

Some of that stands in Kafka then, of which the cursor does not tell yet; the rest was never sent.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from kafka import KafkaProducer
from sqlalchemy import Engine

from config.settings import DEFAULTS
from rotation.feeds import (
    destinations,
    file_imports,
    folio_feed,
    folio_reconciliation,
    koha,
    koha_feed,
    librarieswest,
    tables,
)
from rotation.feeds.carrying import to_kafka
from rotation.feeds.destinations import Destinations
from rotation.feeds.event_lines import ingest_lines
from rotation.kafka.clients import Client, MendingProducer, producer
from rotation.store.engine import engine
from tests.folio_simulated import MAP
from tests.streams_world import MONDAY, PLACES, city

PATIENCE_S = 60.0
SESSION_MS = 6_000  # the shortest that a broker allows: after it the dead adapter's share of its group goes to the next
TABLE = tables.read_map(DEFAULTS.parent / "maps" / "interlib-stock.toml").model_copy(update={"encoding": "utf-8"})
KOHA = koha.KohaMap(branches={f"BR{place[1:]}": place for place in PLACES}, default_class="fiction")


def send(adapter: str, bootstrap: str, url: str, topic: str, where: str) -> None:
    """Send all that an adapter finds: `where` is a file, a folder, a consumer group, or the library system's address."""
    client, store = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}, engine(url)
    sender = producer(client)
    if adapter == "ingest":
        with Path(where).open("rb") as lines:
            ingest_lines(lines, Path(where).name, client, store, topic)
    elif adapter == "librarieswest":
        librarieswest.send(sender, topic, librarieswest.snapshots(Path(where)))
    else:
        ADAPTERS[adapter](
            client,
            store,
            Destinations(to_kafka(MendingProducer(client), topic), destinations.reject_in(store)),
            where,
            True,
        )
    sender.close()
    store.dispose()


def of_table(client: Client, store: Engine, ends: Destinations, where: str, keep: bool) -> None:
    file_imports.import_table(store, city(), ends, Path(where), TABLE, MONDAY)


def of_folio(client: Client, store: Engine, ends: Destinations, where: str, keep: bool) -> None:
    arguments = {**client, "session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": SESSION_MS // 3}
    reader = folio_feed.folio_reader(arguments, where if keep else None)
    folio_feed.follow_folio(reader, MAP, ends, Event(), to_the_end=True, commit=keep)
    reader.close()


def of_folios_api(client: Client, store: Engine, ends: Destinations, where: str, keep: bool) -> None:
    folio_reconciliation.reconcile_by_api(store, where, ("rotation", "secret"), MAP, ends, keep=keep)


def of_koha(client: Client, store: Engine, ends: Destinations, where: str, keep: bool) -> None:
    connection = koha_feed.koha_connection(where)
    koha_feed.follow_koha(store, connection, KOHA, ends, Event(), once=True, keep=keep)
    connection.close()


ADAPTERS: dict[str, Callable[[Client, Engine, Destinations, str, bool], None]] = {
    "table": of_table,
    "folio": of_folio,
    "folio-reconcile": of_folios_api,
    "koha": of_koha,
}


class Dying(KafkaProducer):  # type: ignore[misc]
    """Sees what it sent stand in Kafka, and is gone before the next."""

    fatal_message, sent = 0, 0

    def send(self, *arguments: Any, **more: Any) -> Any:
        Dying.sent += 1
        if Dying.sent == Dying.fatal_message:
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().send(*arguments, **more)


def send_and_die(fatal_message: int, arguments: tuple[str, ...]) -> None:
    """Send as a producer that does not live to send this message."""
    Dying.fatal_message = fatal_message
    producer.__globals__["KafkaProducer"] = Dying
    send(*arguments)


def killed(fatal_message: int, *arguments: str) -> bool:
    """Run that in a process of its own, forked from one that has imported all of this; return whether it was killed with -9."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    process = server.Process(target=send_and_die, args=(fatal_message, arguments))
    process.start()
    process.join(PATIENCE_S)
    return process.exitcode == -signal.SIGKILL
