"""The topics' contracts: writers, readers, key, retention. Together they show which part follows
which.

Keys give locality, never correctness: any event may arrive in any order, twice, on any partition.
"""

from typing import Any, NamedTuple

from config.settings import topic_prefix

TOPIC_PREFIX = (
    topic_prefix()
)  # of all topics and consumer groups, read once: a process belongs to the same installation to its end
FOREVER = -1
DAY_MS = 86_400_000
WORKERS_GROUP = f"{TOPIC_PREFIX}rotation"  # the consumer group that shares the events, and Faust's name of the app
SOLVERS_GROUP = f"{TOPIC_PREFIX}solver-workers"  # the consumer group that shares routing requests
LARGEST_MESSAGE_BYTES = 1_048_576  # the broker's default; larger input is refused at the edge and recorded there


class Topic(NamedTuple):
    """A topic; `retention_ms` FOREVER keeps everything."""

    name: str
    key: str
    partitions: int
    retention_ms: int
    compacted: bool
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    about: str


def _contract(name: str, *rest: Any) -> Topic:
    return Topic(TOPIC_PREFIX + name, *rest)


CIRCULATION_EVENTS = _contract(
    "circulation.events",
    "copy or none",
    6,
    FOREVER,
    False,
    ("adapters", "city", "scanners", "streams.relay"),
    ("streams.apply",),
    "All facts, as CloudEvents batches; the source of everything in the database.",
)
CIRCULATION_REJECTED = _contract(
    "circulation.rejected",
    "topic/partition/offset/index",
    1,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("library systems",),
    "Events that could not be applied, with the reason and where to find the original.",
)
STOCK_TOUCHED = _contract(
    "stock.touched",
    "none",
    6,
    7 * DAY_MS,
    False,
    ("streams.relay",),
    ("streams.watch",),
    "Places where copies changed, those of a batch together, with the classes whose levels may have: to be counted again.",
)
STOCK_ALERTS = _contract(
    "stock.alerts",
    "place/kind/class",
    1,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("whoever must act",),
    "Alerts as they open and close.",
)
STOCK_TARGETS = _contract(
    "stock.targets",
    "copy",
    6,
    FOREVER,
    True,
    ("streams.relay",),
    ("library systems that cannot ask",),
    "Where each copy should go when it is next in someone's hand.",
)
TRANSFER_ORDERS = _contract(
    "transfer.orders",
    "transfer",
    6,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("places", "vans", "library systems"),
    "Orders: what to pick, send, carry and receive, by when.",
)
ROUTE_REQUESTS = _contract(
    "route.requests",
    "hub",
    6,
    7 * DAY_MS,
    False,
    ("planner",),
    ("solver workers",),
    "One routing problem a message.",
)
ROUTE_RESULTS = _contract(
    "route.results",
    "hub",
    6,
    7 * DAY_MS,
    False,
    ("solver workers",),
    ("planner",),
    "Solutions, each with the id of its request.",
)

TOPICS: tuple[Topic, ...] = (
    CIRCULATION_EVENTS,
    CIRCULATION_REJECTED,
    STOCK_TOUCHED,
    STOCK_ALERTS,
    STOCK_TARGETS,
    TRANSFER_ORDERS,
    ROUTE_REQUESTS,
    ROUTE_RESULTS,
)


def contracts(events: str) -> tuple[Topic, ...]:
    """Return all contracts, that of the events under the name that they have here: tests use names of their own."""
    return tuple(topic._replace(name=events) if topic is CIRCULATION_EVENTS else topic for topic in TOPICS)
