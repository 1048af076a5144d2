"""Two installations side by side on one Kafka, each under a prefix of its own. Real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from kafka.admin import KafkaAdminClient

from config import load
from rotation.facts.events import CopyAdded, cloud_event
from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.kafka.topics import TOPICS
from tests.integration.safety.test_least_privilege import count, until
from tests.web_city import DEMO, demo

PREFIXES = ("north.", "south.")


def environment(kafka: str, database: str, folder: Path, prefix: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database,
        "KAFKA_BOOTSTRAP": kafka,
        "KAFKA_TOPIC_PREFIX": prefix,
        "ROTATION_NETWORK": str(DEMO),
        "ROTATION_DATA_DIR": str(folder),
    }


@contextmanager
def running(module: str, given: dict[str, str], log: Path) -> Iterator[Callable[[], str]]:
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-m", module], env=given, stdout=said, stderr=said)
    try:
        yield log.read_text
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.timeout(150)
def test_two_prefixes_on_one_cluster_share_no_topic_no_group_and_no_event(
    kafka: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    client = {"bootstrap_servers": [kafka], "security_protocol": "PLAINTEXT"}
    databases = {prefix: new_database() for prefix in PREFIXES}
    with ExitStack() as stack:
        for prefix, database in databases.items():
            given = environment(kafka, database, tmp_path, prefix)
            subprocess.run([sys.executable, "-m", "rotation", "topics", "create"], env=given, check=True, timeout=60)
            said = stack.enter_context(running("streams.worker", given, tmp_path / f"{prefix}worker.log"))
            stack.enter_context(running("streams.relay", given, tmp_path / f"{prefix}relay.log"))
            owner = stack.enter_context(psycopg.connect(database, autocommit=True))
            send_copy(client, f"{prefix}circulation.events", f"{prefix}1")
            until(lambda owner=owner: count(owner, "copies") == 1, said)  # type: ignore[misc]
            until(lambda owner=owner: count(owner, "outbox") == 0, said)  # type: ignore[misc]
        for prefix, database in databases.items():
            with psycopg.connect(database) as owner:
                assert owner.execute("SELECT copy_id FROM copies").fetchall() == [(f"{prefix}1",)]
        asked = KafkaAdminClient(**client)
        groups = {group["group_id"] for group in asked.list_groups()}
        asked.close()
    assert {f"{prefix}rotation" for prefix in PREFIXES} <= groups
    made = {f"{prefix}{topic.name}" for prefix in PREFIXES for topic in TOPICS}
    assert made <= set(admin.names(client))


def send_copy(client: dict[str, object], topic: str, copy: str) -> None:
    event = cloud_event(
        CopyAdded(copy=copy, place=demo().places[0].id, title="t1", **{"class": "fiction"}),
        event_id=copy,
        source="city/test",
        time=datetime.now(UTC) - timedelta(minutes=1),
    )
    sender = producer(client)
    sender.send(topic, json.dumps([event]).encode()).get(30)
    sender.close()


@pytest.mark.parametrize("prefix", ["with space.", ".hidden", "a/b", "城.", "x" * 101])
def test_a_prefix_that_kafka_would_not_take_is_refused(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", prefix)
    with pytest.raises(ValueError, match="kafka_topic_prefix"):
        load()
