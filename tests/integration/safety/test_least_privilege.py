"""Each process with the rights of its kind alone: what it needs it may do, what is another's is refused. Real servers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from kafka.errors import KafkaError

from infra.kafka import Kafka, Security, embedded_kafka
from infra.ports import HOST, new_port
from rotation.facts.events import CopyAdded, cloud_event
from rotation.kafka import acls, admin
from rotation.kafka.clients import consumer, producer
from rotation.kafka.topics import TOPICS, Topic
from rotation.store import topic_identity as identity
from rotation.store.tables import metadata
from rotation.system import roles
from tests.integration.infra.certificates import self_signed
from tests.web_city import DEMO, demo

UNTIL_S = 60.0
LOGINS = ("worker", "relay", "planner", "web", "solver", "feed")


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------------

A_TRANSFER = (
    "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
    " VALUES ('{id}', 'c', 'a', 'b', 'pick', '{status}', '{{}}', now(), now())"
)
A_RUN = "INSERT INTO runs VALUES ('{id}', 'd1', '2026-03-02', 'h', 'v', '{status}', now(), now(), 1, 1, 1)"
A_MOVEMENT = "INSERT INTO movements VALUES ('{id}', now(), 0, 's', 'e', 'on_shelf', 'p', NULL)"
A_MESSAGE = "INSERT INTO outbox (topic, value) VALUES ('{topic}', 'v')"
A_DECISION = "INSERT INTO decisions (who, what, subject) VALUES ('w', 'approve', 'day')"
A_BEAT = "INSERT INTO heartbeats VALUES ('{part}', '', 'm:1', now(), 'started', '', now())"
A_USER = "INSERT INTO users (name, password_hash, role) VALUES ('{id}', 'h', 'viewer')"

ALLOWED = {
    "worker": [
        A_BEAT.format(part="worker"),
        A_MOVEMENT.format(id="worker"),
        A_MESSAGE.format(topic="stock.alerts"),
        A_TRANSFER.format(id="shipment", status="sent"),
        "UPDATE transfers SET status = 'received' WHERE transfer_id = 'shipment'",
        "UPDATE runs SET status = 'done' WHERE run_id = 'seed'",
        "UPDATE runs SET status = 'incomplete' WHERE run_id = 'seed'",
        "UPDATE stops SET status = 'done', done_at = now()",
        "CREATE TEMP TABLE batch (LIKE movements)",
        "SELECT pg_advisory_xact_lock(1), pg_notify('rotation', '{}')",
    ],
    "relay": [
        A_BEAT.format(part="relay"),
        "SELECT count(*) FROM outbox",
        "INSERT INTO dead_letters (id, topic, value, created_at, reason) VALUES (1, 't', 'v', now(), 'too large')",
        "DELETE FROM outbox",
        "LISTEN outbox",
        "SELECT pg_try_advisory_lock(2)",
    ],
    "planner": [
        A_TRANSFER.format(id="planned", status="proposed"),
        "UPDATE transfers SET status = 'ordered' WHERE transfer_id = 'seed'",
        A_RUN.format(id="planned", status="draft"),
        "DELETE FROM runs WHERE run_id = 'planned'",
        A_MESSAGE.format(topic="transfer.orders"),
        A_DECISION,
        A_BEAT.format(part="planner"),
        "SELECT * FROM day_plans FOR UPDATE",
        "ANALYZE movements",
        "DELETE FROM desk_answers",
        "DELETE FROM scans WHERE at < '2000-01-01'",
        "DELETE FROM alert_steps WHERE at < '2000-01-01'",
    ],
    "feed": [
        A_BEAT.format(part="feed"),
        A_MESSAGE.format(topic="circulation.rejected"),
        "INSERT INTO settings (name, value) VALUES ('koha.koha.items', '[]')",
        "DELETE FROM settings WHERE name = 'outage.koha'",
        "SELECT version_num FROM alembic_version",
    ],
    "solver": ["SELECT * FROM heartbeats", A_BEAT.format(part="solver")],
    "web": [
        "DELETE FROM run_links WHERE ends_at < '2000-01-01'",
        A_BEAT.format(part="page"),
        A_USER.format(id="new"),
        A_DECISION,
        A_TRANSFER.format(id="from-the-desk", status="ordered"),
        A_MESSAGE.format(topic="transfer.orders"),
        A_MESSAGE.format(topic="circulation.events"),  # a crate received whole
        "UPDATE runs SET status = 'approved' WHERE run_id = 'seed'",
        "SELECT password_hash FROM users",
        "INSERT INTO desk_answers VALUES ('c', 'p', now()::date, 't', now(), 'shadow', 'p', 'q', 'stays') ON CONFLICT DO NOTHING",
    ],
}
REFUSED = {
    "worker": [
        A_MESSAGE.format(topic="transfer.orders"),
        A_TRANSFER.format(id="order", status="ordered"),
        "UPDATE transfers SET status = 'ordered' WHERE transfer_id = 'seed'",
        "UPDATE runs SET status = 'ordered' WHERE run_id = 'seed'",
        "UPDATE runs SET van_id = 'other'",
        A_RUN.format(id="more", status="done"),
        "DELETE FROM movements",
        "UPDATE movements SET place_id = 'q'",
        "DELETE FROM outbox",
        "TRUNCATE copies",
        A_DECISION,
        "SELECT password_hash FROM users",
        "SELECT hash FROM tokens",
        "CREATE TABLE mine (x int)",
    ],
    "relay": ["SELECT * FROM copies", A_MESSAGE.format(topic="stock.alerts"), "UPDATE outbox SET topic = 'x'"],
    "feed": [
        A_MOVEMENT.format(id="feed"),
        A_MESSAGE.format(topic="circulation.events"),
        A_TRANSFER.format(id="feed", status="sent"),
        "INSERT INTO settings (name, value) VALUES ('planned', '[]')",
        "UPDATE copies SET place_id = 'q'",
        "SELECT * FROM sessions",
        "SELECT * FROM runs",
        A_DECISION,
    ],
    "solver": ["SELECT * FROM copies", A_DECISION],
    "planner": [
        A_MOVEMENT.format(id="planner"),
        "UPDATE copies SET place_id = 'q'",
        A_MESSAGE.format(topic="stock.alerts"),
        "UPDATE progress SET next_offset = 0",
        "SELECT password_hash FROM users",
        "UPDATE decisions SET hash = ''",
        A_USER.format(id="planner"),
    ],
    "web": [
        A_MOVEMENT.format(id="web"),
        "DELETE FROM movements",
        "UPDATE movements SET place_id = 'q'",
        "INSERT INTO crate_facts SELECT * FROM crate_facts",
        "UPDATE copies SET place_id = 'q'",
        "UPDATE progress SET next_offset = 0",
        "UPDATE alerts SET closed_at = now()",
        A_MESSAGE.format(topic="stock.alerts"),
        "DELETE FROM decisions",
        "UPDATE decisions SET why = ''",
        "SELECT decisions_chain(1)",
        "DELETE FROM users",
    ],
}


@pytest.fixture(scope="module")
def granted(module_database: str) -> str:
    """A database whose processes each have a login of their own."""
    assert roles.grant(module_database) == roles.grant(module_database)  # again changes nothing
    with psycopg.connect(module_database) as owner:
        for name in LOGINS:
            owner.execute(f"DROP ROLE IF EXISTS the_{name}")
            owner.execute(f"CREATE ROLE the_{name} LOGIN IN ROLE rotation_{name}")
        owner.execute(A_TRANSFER.format(id="seed", status="approved"))
        owner.execute(A_RUN.format(id="seed", status="under_way"))
        owner.execute(A_MOVEMENT.format(id="seed"))
    return module_database


def url_of(database: str, name: str) -> str:
    return database.replace("postgres@", f"the_{name}@")


@pytest.mark.parametrize(("name", "statement"), [(name, one) for name in LOGINS for one in ALLOWED[name]])
def test_a_process_may_do_its_work(granted: str, name: str, statement: str) -> None:
    warnings: list[str | None] = []
    with psycopg.connect(url_of(granted, name)) as connection:
        connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        connection.execute(statement)
    assert warnings == []  # what ANALYZE may not do it only warns of


@pytest.mark.parametrize(("name", "statement"), [(name, one) for name in LOGINS for one in REFUSED[name]])
def test_a_process_may_not_do_what_is_anothers(granted: str, name: str, statement: str) -> None:
    with psycopg.connect(url_of(granted, name)) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_every_table_is_read_by_someone_and_written_by_no_one_by_accident(granted: str) -> None:
    with psycopg.connect(granted) as owner:
        found = owner.execute(
            "SELECT table_name, privilege_type, grantee FROM information_schema.role_table_grants"
            " WHERE grantee LIKE 'rotation_%' OR grantee = 'PUBLIC' AND table_schema = 'public'"
        ).fetchall()
    assert {table for table, kind, _ in found if kind == "SELECT"} == {*metadata.tables, "alembic_version"}
    assert {kind for _, kind, _ in found} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert {who for table, kind, who in found if table == "movements" and kind != "SELECT"} == {"rotation_worker"}
    assert [row for row in found if row[2] == "PUBLIC"] == []


# --- Kafka, and processes with both ---------------------------------------------------------------------------------------------


@dataclass
class Secured:
    """A broker with TLS, SCRAM and an authorizer that knows the rules of `rotation.kafka.acls`, and no others."""

    kafka: Kafka
    folder: Path
    certificate: Path

    def client(self, user: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.kafka.bootstrap.split(","),
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.certificate),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": f"of-{user}",
        }

    def environment(self, user: str, database: str) -> dict[str, str]:
        given = {
            "DATABASE_URL": url_of(database, user),
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            **({"KAFKA_TLS": "true", "SSL_CERT_FILE": str(self.certificate)} if user == "relay" else {}),
            **({"KAFKA_TLS_CA": str(self.certificate)} if user != "relay" else {}),
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": f"of-{user}",
            "ROTATION_NETWORK": str(DEMO),
            "ROTATION_DATA_DIR": str(self.folder),
        }
        return {**os.environ, **given}

    @contextmanager
    def running(self, module: str, user: str, database: str, **more: str) -> Iterator[Callable[[], str]]:
        """Run one of our processes as a user while the context lasts; yield what it has said."""
        said = self.folder / f"{user}.log"
        environment = {**self.environment(user, database), **more}
        with said.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
        try:
            yield said.read_text
        finally:
            process.terminate()
            process.wait(15)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = self_signed(folder)
    users = {user: f"of-{user}" for user in ("administrator", *acls.RIGHTS)}
    with embedded_kafka(
        folder / "kafka", security=Security(certificate, key, users, super_users=("administrator",))
    ) as kafka:
        made = Secured(kafka, folder, certificate)
        admin.create(made.client("administrator"))
        for role in acls.RIGHTS:
            acls.allow(made.client("administrator"), role, role)
        yield made


def test_each_user_sees_and_writes_the_topics_of_its_kind_alone(secured: Secured) -> None:
    for role, rights in acls.RIGHTS.items():
        assert admin.names(secured.client(role)) == sorted({*rights.reads, *rights.writes, *rights.looks_at})
    for role in ("relay", "web", "source"):
        assert {topic.name for topic in TOPICS if may_write(secured, role, topic.name)} == set(acls.RIGHTS[role].writes)


def test_topics_that_somebody_else_made_are_used_and_missing_topics_are_named(secured: Secured) -> None:
    client, missing = secured.client("worker"), Topic("not.made", "", 3, -1, False, (), (), "")
    assert admin.create(client) == []
    with pytest.raises(admin.TopicsMissing, match=r"not\.made \(3 partitions\)"):
        admin.create(client, topics=[missing])


def test_the_worker_sees_how_topics_are_kept_and_who_may_not_says_so(secured: Secured) -> None:
    assert list(identity.otherwise(secured.client("worker"), TOPICS)) == []
    assert [one.code for one in identity.otherwise(secured.client("source"), TOPICS)] == ["unseen"]


def test_the_worker_cannot_write_orders_or_events_and_the_page_cannot_read_events(secured: Secured) -> None:
    assert not may_write(secured, "worker", "transfer.orders")
    assert not may_write(secured, "worker", "circulation.events")
    assert may_read(secured, "worker", "circulation.events")
    assert not may_read(secured, "web", "circulation.events")
    assert not may_read(secured, "source", "circulation.events")


def may_write(secured: Secured, user: str, topic: str) -> bool:
    sender = producer(
        secured.client(user), max_block_ms=3_000, retries=1, delivery_timeout_ms=8_000, request_timeout_ms=4_000
    )
    try:
        sender.send(topic, b"[]", key=b"k").get(8)
    except KafkaError:
        return False
    finally:
        sender.close(timeout=1)
    return True


def may_read(secured: Secured, user: str, topic: str) -> bool:
    reader = consumer(secured.client(user))
    try:
        reader.subscribe([topic])
        reader.poll(2_000)
    except KafkaError:
        return False
    finally:
        reader.close()
    return True


def test_nobody_but_the_administrator_gives_rights(secured: Secured) -> None:
    with pytest.raises((PermissionError, KafkaError)):
        acls.allow(secured.client("worker"), "relay", "worker")
    with pytest.raises(KeyError):
        acls.allow(secured.client("administrator"), "nobody", "worker")


@pytest.mark.timeout(150)
def test_over_tls_with_passwords_and_least_rights_an_event_is_applied_and_its_place_told_of(
    secured: Secured, granted: str
) -> None:
    port = new_port("figures", set())
    event = cloud_event(
        CopyAdded(copy="safe-1", place=demo().places[0].id, title="t1", **{"class": "fiction"}),
        event_id="safe-1",
        source="city/test",
        time=datetime.now(UTC) - timedelta(minutes=1),
    )
    with (
        secured.running("streams.worker", "worker", granted, ROTATION_METRICS_PORT=str(port)) as worker_said,
        secured.running("streams.relay", "relay", granted) as relay_said,
        psycopg.connect(granted, autocommit=True) as owner,
    ):
        sender = producer(secured.client("source"))
        sender.send("circulation.events", json.dumps([event]).encode()).get(30)
        sender.close()
        until(lambda: count(owner, "copies WHERE copy_id = 'safe-1'") == 1, worker_said)
        until(lambda: count(owner, "outbox WHERE topic = 'stock.touched'") == 0, relay_said)
        until(lambda: 'outcome="applied"} 1.0' in figures(port), worker_said)
        assert "permission denied" not in worker_said() + relay_said()
        assert "of-worker" not in worker_said()
    assert end_of(secured, "stock.touched") > 0


def until(done: Callable[[], bool], said: Callable[[], str]) -> None:
    end = time.monotonic() + UNTIL_S
    while not done():
        assert time.monotonic() < end, said()[-3000:]
        time.sleep(0.2)


def count(connection: psycopg.Connection[Any], what: str) -> int:
    (found,) = connection.execute(f"SELECT count(*) FROM {what}").fetchone() or (0,)
    return int(found)


def figures(port: int) -> str:
    return httpx.get(f"http://{HOST}:{port}/metrics", timeout=20).text


def end_of(secured: Secured, topic: str) -> int:
    reader = consumer(secured.client("administrator"))
    try:
        reader.subscribe([topic])
        until(lambda: bool(reader.poll(500) or reader.assignment()), lambda: topic)
        return int(sum(reader.end_offsets(reader.assignment()).values()))
    finally:
        reader.close()
