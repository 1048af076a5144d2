"""Everything running together: servers, streams, page, planner and, in a demonstration, the city, as an ordered whole.

Servers start first and stop last. A process that dies ends the whole with a sentence: there is no half-running system.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from config import Settings, load
from config.kafka import client
from infra.child import Child, need_space
from infra.kafka import Kafka, embedded_kafka
from infra.memory import MB, memory_bytes
from infra.messages import ServerError, Tell
from infra.ports import choose
from infra.postgres import Postgres, embedded_postgres
from rotation.kafka import admin
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.store import migrate
from rotation.store.clock import read_clock
from rotation.store.engine import connect, driver, engine
from rotation.store.heartbeats import SILENT_S, forget_dead
from rotation.store.networks import in_force
from rotation.store.targets import set_targets
from rotation.store.topic_identity import Guard
from rotation.system.frozen import FrozenParts
from rotation.system.interrupt import heeded

ADDRESSES = "addresses"
FREE_MB = 16  # with less than a file of PostgreSQL's log left, nothing goes on
STOP_S = 2.0  # what a part has to finish its batch; seen: 0.3 s, and 1.3 s beside other work
SET_BY = {
    "DATABASE_URL": "database_url",
    "KAFKA_BOOTSTRAP": "kafka_bootstrap",
}  # a system's environment -> our settings
# PostgreSQL's own memory, at most this and at most a sixteenth of the machine's: 2 GB are enough for the demonstration.
SHARED_BUFFERS_MB, BUFFERS_SHARE = 512, 16
# Each thread of a process gets a heap of its own else, and what a night or a checkpoint has freed stays in them.
ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "1048576"}
# PostgreSQL keeps its log up to this and uses it again: 1.2 GB stood beside a database of 370 MB when it was 2 GB.
WAL_MB = 512
DATABASE_SETTINGS = {
    "shared_buffers": f"{min(SHARED_BUFFERS_MB, memory_bytes() // MB // BUFFERS_SHARE)}MB",
    "max_wal_size": f"{WAL_MB}MB",
}

First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process of ours."""

    name: str
    command: tuple[str, ...]


PARTS = (
    ProcessSpec("worker", ("-m", "streams.worker")),
    ProcessSpec("relay", ("-m", "streams.relay")),
    ProcessSpec("web", ("-m", "rotation.web")),
    ProcessSpec("planner", ("-m", "rotation", "planner")),
    ProcessSpec("deliver", ("-m", "rotation", "deliver")),
)
# Library systems that can be followed beside the page.
FOLLOWED = ("koha", "folio")
# Library systems that can be written back to.
WRITTEN_BACK = ("sip2", "koha", "folio")


def feeds_of(settings: Settings) -> tuple[ProcessSpec, ...]:
    """Return the feeds and write-backs that the settings name, as parts of the whole.

    Raises
    ------
    ValueError
        When a setting is not as described, or a map is not there.
    """
    return (
        *_of_systems("feeds", settings.feeds, FOLLOWED, "feed"),
        *_of_systems("write_back", settings.write_back, WRITTEN_BACK, "write-back"),
    )


def _of_systems(setting: str, written: str, known: Sequence[str], command: str) -> Iterator[ProcessSpec]:
    for one in filter(None, (part.strip() for part in written.split(","))):
        system, _, chosen = one.partition("=")
        if system not in known:
            raise ValueError(
                f"ROTATION_{setting.upper()}: {one!r} is not SYSTEM=MAP.toml with one of {', '.join(known)}"
            )
        if not Path(chosen).is_file():
            raise ValueError(f"ROTATION_{setting.upper()}: there is no map {chosen!r}")
        name = f"{command}-{system}-{Path(chosen).stem}"
        yield ProcessSpec(name, ("-m", "rotation", command, system, "--map", str(Path(chosen).resolve())))


CITY = ProcessSpec("city", ("-m", "city"))


@dataclass
class RunningSystem:
    """The running whole. `environment` holds the addresses that its processes, and people's commands beside it, connect to."""

    environment: Mapping[str, str]
    logs: Path
    servers: list[Kafka | Postgres]
    tell: Tell
    parts: dict[str, Child] = field(default_factory=dict)
    ending: list[Child] = field(default_factory=list)  # those that will end by themselves
    watch: FrozenParts | None = None

    def start(self, part: ProcessSpec, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a part; its output goes to its log."""
        command = [sys.executable, *part.command, *arguments]
        log, variables = self.logs / f"{part.name}.log", {**ALLOCATOR, **self.environment, **(environment or {})}
        child = Child(part.name, command, log, signal.SIGTERM, STOP_S, environment=variables)
        child.start()
        self.parts[part.name] = child

    def start_named(self, *names: str) -> None:
        """Start some of PARTS."""
        for part in PARTS:
            if part.name in names:
                self.start(part)

    def ended(self, part: ProcessSpec) -> Callable[[], bool]:
        """Return whether a part that ends by itself has done so; it raises server.died when that was not well."""
        child = self.parts.pop(part.name)
        self.ending.append(child)

        def has_ended() -> bool:
            if child.exit_code():
                child.check()
            return not child.alive()

        return has_ended

    def check(self) -> None:
        """Raise server.died when anything that should run does not; a frozen part is started again."""
        for one in (*self.servers, *self.parts.values()):
            one.check()
        for child in self.watch.take() if self.watch else ():
            child.replace(self.tell, SILENT_S)

    def watch_hearts(self) -> None:
        """From now on, start frozen parts again."""
        url = self.environment.get("DATABASE_URL") or load().database_address()
        self.watch = FrozenParts(url, self.parts)
        self.watch.start()

    def stop(self, *names: str) -> None:
        """Stop some parts, or all, at once; each finishes its batch."""
        if self.watch and not names:
            self.watch.stop.set()
        chosen = [name for name in self.parts if name in names or not names]
        running = [*(self.parts.pop(name) for name in chosen), *(() if names else self.ending)]
        with ThreadPoolExecutor(max_workers=max(len(running), 1)) as pool:
            list(pool.map(Child.stop, reversed(running)))


@contextlib.contextmanager
def running(settings: Settings, tell: Tell, *, page: bool = True) -> Iterator[RunningSystem]:
    """Run the servers that are not external, and stop all of it in order at the end; `page`: a port for it is needed too.

    Raises
    ------
    ServerError
        With a sentence when a port, the disk or a server is not as needed.
    """
    logs = settings.data_dir / "logs"
    with contextlib.ExitStack() as stack:
        logs.mkdir(parents=True, exist_ok=True)
        kafka, postgres = _servers(stack, settings, tell)
        servers: list[Kafka | Postgres] = [one for one in (kafka, postgres) if one]
        port = _web_port(settings, tell) if page else {}
        system = RunningSystem(_environment(settings, kafka, postgres) | port, logs.resolve(), servers, tell)
        note_addresses(settings, system)
        stack.callback((settings.data_dir / ADDRESSES).unlink, missing_ok=True)
        stack.callback(system.stop)
        stack.callback(heeded)
        try:
            yield system
        except (ServerError, psycopg.Error, SQLAlchemyError):
            _find_the_cause(system, settings)
            raise


def _find_the_cause(system: RunningSystem, settings: Settings) -> None:
    """Raise the cause behind an error: a full disk before the server that died of it, a server that died before its clients."""
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
    """Enter two contexts at the same time; those that were entered are left with the stack, at the same time too."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first.__enter__), pool.submit(second.__enter__)
    pairs: tuple[tuple[AbstractContextManager[Any], Future[Any]], ...] = ((first, one), (second, other))
    stack.callback(_leave, [context for context, entered in pairs if entered.exception() is None])
    return one.result(), other.result()


def _leave(contexts: Sequence[AbstractContextManager[Any]]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda context: context.__exit__(None, None, None), contexts))


def _environment(settings: Settings, kafka: Kafka | None, postgres: Postgres | None) -> dict[str, str]:
    data_dir, network = settings.data_dir.resolve(), settings.network_file().resolve()
    found = {"ROTATION_DATA_DIR": str(data_dir), "ROTATION_NETWORK": str(network)}
    if kafka:
        found["KAFKA_BOOTSTRAP"] = kafka.bootstrap
    if postgres:
        found["DATABASE_URL"] = postgres.url
    return found


def _web_port(settings: Settings, tell: Tell) -> dict[str, str]:
    wanted = {"web": settings.web_port} | ({"lan": settings.lan_port} if settings.lan_host else {})
    fixed = {role: port for role, port in wanted.items() if port}
    ports = choose(settings.data_dir / "ports.json", "the page", list(wanted), fixed, tell)
    lan = {"ROTATION_LAN_HOST": settings.lan_host, "ROTATION_LAN_PORT": str(ports["lan"])} if "lan" in ports else {}
    return {"ROTATION_WEB_PORT": str(ports["web"])} | lan


def note_addresses(settings: Settings, system: RunningSystem) -> None:
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
    """Make tables, topics and the network's targets where the settings say; return the database.

    Raises
    ------
    OtherKafka
        When Kafka is behind the database, or another: a worker would stop at its first look.
    """
    url = settings.database_address()
    migrate.upgrade(url)
    admin.create(client(settings), replication=settings.kafka_replication)
    with contextlib.closing(Guard(client(settings), url, CIRCULATION_EVENTS.name)) as guard:
        guard.look()
    database = engine(url)
    with database.begin() as connection:
        today = network.day_of(read_clock(connection).now())
        set_targets(connection, in_force(connection, network, today))
        forget_dead(driver(connection).cursor())
    return database
