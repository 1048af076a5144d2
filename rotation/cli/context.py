"""A command's context: settings, network and database of the running system, or of servers started for this command."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from rotation.cli.errors import one_sentence
from rotation.cli.output import say

if TYPE_CHECKING:  # a command that only prints its help imports none of these
    from datetime import date, datetime

    from sqlalchemy import Connection, Engine

    from config import Settings
    from rotation.network import Network
    from rotation.system.importing import EventCounts


@dataclass(frozen=True, slots=True)
class System:
    """A system whose database is there and up to date."""

    settings: "Settings"
    network: "Network"
    engine: "Engine"

    def kafka(self) -> dict[str, Any]:
        """Return kafka-python's connection arguments; topics that are missing are created."""
        from config.kafka import client
        from rotation.kafka import admin

        admin.create(client(self.settings), replication=self.settings.kafka_replication)
        return client(self.settings)

    def today(self, connection: "Connection") -> "date":
        """Return the network's day."""
        return self.network.day_of(now(connection))


@dataclass(frozen=True, slots=True)
class Importing(System):
    """A system whose worker applies an import's events; `before` counts the events applied when it began."""

    before: "EventCounts"

    def applied(self, sent: int | None) -> dict[str, Any]:
        """Wait until everything in Kafka is applied; return the outcome of the import's events (`sent` of them, if known)."""
        from rotation.system import importing

        importing.wait_until_applied(self.settings, self.engine)
        return importing.outcome(self.engine, self.before, sent)


def now(connection: "Connection") -> "datetime":
    """Return the network's time."""
    from rotation.store.clock import read_clock

    return read_clock(connection).now()


def load_settings() -> "Settings":
    """Read the settings; a package that cannot be written to keeps compiled kernels in the data folder."""
    from config import load

    settings = load()
    if not os.access(Path(__file__).parent, os.W_OK):  # then numba cannot keep what it compiles beside the code
        os.environ.setdefault("NUMBA_CACHE_DIR", str(settings.data_dir.resolve() / "compiled"))
    return settings


@contextmanager
def beside(*, kafka: bool = False) -> Iterator[System]:
    """Yield the running system, or servers started for this command alone; with `kafka` a broker too."""
    from rotation import network as networks
    from rotation.store import migrate
    from rotation.store.engine import engine
    from rotation.system import processes

    with one_sentence():
        network = networks.read(load_settings().network_file())  # before any server is started for a file with mistakes
        with processes.beside(load_settings(), lambda message: say(message.text()), kafka=kafka) as settings:
            url = settings.database_address()
            migrate.upgrade(url)
            database = engine(url)
            yield System(settings, _held_today(database, network), database)


@contextmanager
def import_into() -> Iterator[Importing]:
    """Yield a system whose worker is listening while an import sends its events."""
    from rotation import network as networks
    from rotation.system import importing

    with one_sentence():
        network = networks.read(load_settings().network_file())
        with importing.listening(load_settings(), network, say) as (settings, engine):
            yield Importing(settings, _held_today(engine, network), engine, importing.counted(engine))


def _held_today(engine: "Engine", given: "Network") -> "Network":
    """Return the network that holds today."""
    from rotation.store.clock import read_clock
    from rotation.store.networks import in_force

    with engine.connect() as connection:
        return in_force(connection, given, given.day_of(read_clock(connection).now()))


def stop_on_signals() -> Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
