"""One door to each thing: topics' names, advisory locks, NOTIFY, the outbox, the earth's radius."""

import re
from pathlib import Path

import pytest

from rotation.kafka.topics import TOPICS
from rotation.store.locks import AdvisoryLock, LockSpace

ROOT = Path(__file__).parents[2]
PACKAGES = ("rotation", "streams", "solver", "city", "config", "infra")
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
}
TOPIC_NAMES = "|".join(re.escape(topic.name) for topic in TOPICS)
DOORS = {
    rf"""["']({TOPIC_NAMES})["']""": "rotation/kafka/topics.py",
    r"\b7_?27[67](_?\d{3})?\b": "rotation/store/locks.py",
    r"pg_notify|NOTIFY (outbox|rotation)": "rotation/store/outbox.py",
    r"INSERT INTO outbox|insert\(outbox\)": "rotation/store/outbox.py",
    r"\b6_?371_?\d{3}\b": "solver/earth.py",
}


@pytest.mark.parametrize(("pattern", "door"), DOORS.items(), ids=DOORS.values())
def test_each_thing_has_one_door(pattern: str, door: str):
    assert {name for name, text in SOURCES.items() if re.search(pattern, text)} == {door}


def test_no_two_locks_share_a_key():
    keys = [*AdvisoryLock.__members__.values(), *LockSpace.__members__.values()]
    assert len(set(keys)) == len(keys)
