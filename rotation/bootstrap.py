"""Everything running together: servers, streams, page, planner and, in a demonstration, the city, as one ordered whole.

Servers start first and stop last. A process that dies ends the whole with a sentence: there is no half-running system.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from config import Settings, load
from config.kafka import client
from infra.child import Child, need_space
from infra.kafka import Kafka, embedded_kafka
from infra.messages import ServerError, Tell
from infra.ports import choose
from infra.postgres import Postgres, embedded_postgres
from rotation.network import Network
from rotation.store import migrate
from rotation.store.engine import connect, engine
from rotation.store.targets import set_targets
from streams import admin

ADDRESSES = "addresses"
FREE_MB = 16  # with less than a file of PostgreSQL's log left, nothing goes on
STOP_S = 3.0  # what a part has to finish its batch; with Kafka and PostgreSQL after them the whole stops within 10 s
SET_BY = {
    "DATABASE_URL": "database_url",
    "KAFKA_BOOTSTRAP": "kafka_bootstrap",
}  # a system's environment -> our settings
DATABASE_SETTINGS = {  # measured 1.5 times the writes of the defaults at a million copies; documented in docs/deploy.md
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
}

First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True, slots=True)
class Part:
    """One process of ours."""

    name: str
    command: tuple[str, ...]


PARTS = (
    Part("worker", ("-m", "streams.worker")),
    Part("relay", ("-m", "streams.relay")),
    Part("web", ("-m", "rotation.web")),
    Part("planner", ("-m", "rotation", "planner")),
)
CITY = Part("city", ("-m", "city"))


@dataclass
class System:
    """The running whole. `environment` is what its processes, and people's commands beside it, connect with."""

    environment: Mapping[str, str]
    logs: Path
    servers: list[Kafka | Postgres]
    parts: dict[str, Child] = field(default_factory=dict)
    ending: list[Child] = field(default_factory=list)  # those that will end by themselves

    def start(self, part: Part, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a part; its output goes to its log."""
        command = [sys.executable, *part.command, *arguments]
        log, variables = self.logs / f"{part.name}.log", {**self.environment, **(environment or {})}
        child = Child(part.name, command, log, signal.SIGTERM, STOP_S, environment=variables)
        child.start()
        self.parts[part.name] = child

    def start_named(self, *names: str) -> None:
        """Start some of PARTS."""
        for part in PARTS:
            if part.name in names:
                self.start(part)

    def ended(self, part: Part) -> Callable[[], bool]:
        """Return whether a part that ends by itself has done so; it raises server.died when that was not well."""
        child = self.parts.pop(part.name)
        self.ending.append(child)

        def has_ended() -> bool:
            if child.exit_code():
                child.check()
            return not child.alive()

        return has_ended

    def check(self) -> None:
        """Raise server.died when anything that should run does not."""
        for one in (*self.servers, *self.parts.values()):
            one.check()

    def stop(self) -> None:
        """Stop all parts at once; each finishes its batch."""
        running = [*self.parts.values(), *self.ending]
        with ThreadPoolExecutor(max_workers=max(len(running), 1)) as pool:
            list(pool.map(Child.stop, reversed(running)))
        self.parts.clear()


@contextlib.contextmanager
def running(settings: Settings, tell: Tell, *, page: bool = True) -> Iterator[System]:
    """Run the servers that are not external, and stop all of it in order at the end; `page`: a port for it is needed too.

    Raises
    ------
    ServerError
        With one sentence when a port, the disk or a server is not as needed.
    """
    logs = settings.data_dir / "logs"
    with contextlib.ExitStack() as stack:
        logs.mkdir(parents=True, exist_ok=True)
        kafka, postgres = _servers(stack, settings, tell)
        servers: list[Kafka | Postgres] = [one for one in (kafka, postgres) if one]
        port = _web_port(settings, tell) if page else {}
        system = System(_environment(settings, kafka, postgres) | port, logs.resolve(), servers)
        note_addresses(settings, system)
        stack.callback((settings.data_dir / ADDRESSES).unlink, missing_ok=True)
        stack.callback(system.stop)
        try:
            yield system
        except (ServerError, psycopg.Error, SQLAlchemyError):
            _find_the_cause(system, settings)
            raise


def _find_the_cause(system: System, settings: Settings) -> None:
    """Raise what lies behind an error: a full disk before the server that died of it, a server that died before its clients."""
    need_space(settings.data_dir, "Rotation", FREE_MB)
    system.check()


def _servers(
    stack: contextlib.ExitStack, settings: Settings, tell: Tell, *, kafka: bool = True
) -> tuple[Kafka | None, Postgres | None]:
    postgres = embedded_postgres(settings.data_dir / "postgres", settings=DATABASE_SETTINGS, tell=tell)
    broker = embedded_kafka(settings.data_dir / "kafka", tell=tell)
    nothing: AbstractContextManager[None] = contextlib.nullcontext()
    return _together(
        stack,
        broker if kafka and not settings.kafka_bootstrap else nothing,
        nothing if settings.database_url else postgres,
    )


def _together(
    stack: contextlib.ExitStack, first: AbstractContextManager[First], second: AbstractContextManager[Second]
) -> tuple[First, Second]:
    """Enter two contexts at the same time; each that was entered is left with the stack, the first one first."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first.__enter__), pool.submit(second.__enter__)
    if other.exception() is None:
        stack.push(second)
    if one.exception() is None:
        stack.push(first)
    return one.result(), other.result()


def _environment(settings: Settings, kafka: Kafka | None, postgres: Postgres | None) -> dict[str, str]:
    data_dir, network = settings.data_dir.resolve(), settings.network_file().resolve()
    found = {"ROTATION_DATA_DIR": str(data_dir), "ROTATION_NETWORK": str(network)}
    if kafka:
        found["KAFKA_BOOTSTRAP"] = kafka.bootstrap
    if postgres:
        found["DATABASE_URL"] = postgres.url
    return found


def _web_port(settings: Settings, tell: Tell) -> dict[str, str]:
    fixed = {"web": settings.web_port} if settings.web_port else {}
    ports = choose(settings.data_dir / "ports.json", "the page", ["web"], fixed, tell)
    return {"ROTATION_WEB_PORT": str(ports["web"])}


def note_addresses(settings: Settings, system: System) -> None:
    """Leave the embedded servers' addresses in data_dir, where commands beside a running system find them."""
    lines = [f"{name}={value}\n" for name, value in system.environment.items()]
    (settings.data_dir / ADDRESSES).write_text("".join(lines), encoding="utf-8")


def noted_addresses(settings: Settings) -> dict[str, str]:
    """Return the environment of the system that runs in data_dir; empty where none answers."""
    file = settings.data_dir / ADDRESSES
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = dict(line.split("=", 1) for line in lines)
    return found if "DATABASE_URL" not in found or _answers(found["DATABASE_URL"]) else {}


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), connect(url):
        return True
    return False


@contextlib.contextmanager
def beside(settings: Settings, tell: Tell, *, kafka: bool = False) -> Iterator[Settings]:
    """Yield settings whose servers answer: those set, those of the running system, or some for this command alone.

    `kafka`: the command needs Kafka too, not only the database.
    """
    with contextlib.ExitStack() as stack:
        found = noted_addresses(settings)
        if not found:
            started = _servers(stack, settings, tell, kafka=kafka)
            found = _environment(settings, *started)
        yield connected(found)


def connected(environment: Mapping[str, str]) -> Settings:
    """Return the settings with the servers of a system's environment; those that it does not name are set already."""
    return load(**{key: environment[name] for name, key in SET_BY.items() if name in environment})


def prepared(settings: Settings, network: Network) -> Engine:
    """Make tables, topics and the network's targets where the settings say; return the database."""
    url = settings.database_address()
    migrate.upgrade(url)
    admin.create(client(settings), replication=settings.kafka_replication)
    database = engine(url)
    with database.begin() as connection:
        set_targets(connection, network)
    return database
