"""Which process may read and write which topic: what an authorizer must be told, and nothing more.

What may be written may be described too, and whoever may write a topic may be idempotent on it: Kafka implies both.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from streams.clients import Client

GROUP = "rotation"  # of the workers, as streams.app names it
SOLVERS = "solver-workers"  # as rotation.courier.worker names it


class Rights(NamedTuple):
    """The topics and groups of a kind of process."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


RIGHTS: Mapping[str, Rights] = {
    "worker": Rights(reads=("circulation.events", "stock.touched"), groups=(GROUP,)),
    "relay": Rights(
        writes=("circulation.rejected", "stock.touched", "stock.alerts", "stock.targets", "transfer.orders")
    ),
    "planner": Rights(reads=("route.results",), writes=("route.requests",)),
    "solver": Rights(reads=("route.requests",), writes=("route.results",), groups=(SOLVERS,)),
    "web": Rights(writes=("circulation.events",)),
    "source": Rights(writes=("circulation.events",)),
}


def allow(client: Client, role: str, user: str) -> int:
    """Give a user what a role needs, and return how many rules that took; the same again changes nothing.

    Raises
    ------
    KeyError
        Where there is no such role.
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
    yield from ((ResourceType.GROUP, group, ACLOperation.READ) for group in rights.groups)


def _rule(user: str, kind: ResourceType, name: str, operation: ACLOperation) -> ACL:
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
