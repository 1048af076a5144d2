"""Which process may read and write which topic: the rules that an authorizer needs, and nothing more.

A topic that may be written may be described too, and whoever may write a topic may be idempotent on it: Kafka implies both.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from rotation.kafka.clients import Client
from rotation.kafka.topics import (
    CIRCULATION_EVENTS,
    ROUTE_REQUESTS,
    ROUTE_RESULTS,
    SOLVERS_GROUP,
    STOCK_TOUCHED,
    TOPICS,
    WORKERS_GROUP,
)


class Rights(NamedTuple):
    """The topics and groups of a kind of process."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()  # whether they are kept as their contracts say


OUTBOX = tuple(topic.name for topic in TOPICS if "streams.relay" in topic.writers)  # the topics that the relay sends to

RIGHTS: Mapping[str, Rights] = {
    "worker": Rights(
        reads=(CIRCULATION_EVENTS.name, STOCK_TOUCHED.name),
        groups=(WORKERS_GROUP,),
        looks_at=tuple(topic.name for topic in TOPICS),
    ),
    "relay": Rights(writes=OUTBOX),
    "planner": Rights(reads=(ROUTE_RESULTS.name,), writes=(ROUTE_REQUESTS.name,)),
    "solver": Rights(reads=(ROUTE_REQUESTS.name,), writes=(ROUTE_RESULTS.name,), groups=(SOLVERS_GROUP,)),
    "web": Rights(writes=(CIRCULATION_EVENTS.name,)),
    "source": Rights(writes=(CIRCULATION_EVENTS.name,)),
}


def allow(client: Client, role: str, user: str) -> int:
    """Give a user the rights of a role, and return how many rules that took; the same again changes nothing.

    Raises
    ------
    KeyError
        When the role does not exist.
    PermissionError
        Where the broker does not take a rule: it has no authorizer, or we are not its administrator.
    """
    wanted = [_rule(user, *one) for one in _of(RIGHTS[role])]
    admin = KafkaAdminClient(**client)
    try:
        failed = admin.create_acls(wanted)["failed"]
    finally:
        admin.close()
    if failed:
        raise PermissionError(f"{len(failed)} of {len(wanted)} rules were not taken: {failed[0].__name__}")
    return len(wanted)


def _of(rights: Rights) -> Iterable[tuple[ResourceType, str, ACLOperation]]:
    yield from ((ResourceType.TOPIC, topic, ACLOperation.READ) for topic in rights.reads)
    yield from ((ResourceType.TOPIC, topic, ACLOperation.WRITE) for topic in rights.writes)
    for operation in (ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS):
        yield from ((ResourceType.TOPIC, topic, operation) for topic in rights.looks_at)
    yield from ((ResourceType.GROUP, group, ACLOperation.READ) for group in rights.groups)


def _rule(user: str, kind: ResourceType, name: str, operation: ACLOperation) -> ACL:
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
