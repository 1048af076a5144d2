"""The topics' contracts: who writes, who reads, what the key is, how long it is kept. What follows what stands here.

Keys give locality, never correctness: any event may arrive in any order, twice, on any partition.
"""

from typing import NamedTuple

FOREVER = -1
DAY_MS = 86_400_000
LARGEST_MESSAGE_BYTES = 1_048_576  # the broker's default; larger input is refused at the edge and recorded there


class Topic(NamedTuple):
    """One topic; `retention_ms` FOREVER keeps everything."""

    name: str
    key: str
    partitions: int
    retention_ms: int
    compacted: bool
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    about: str


CIRCULATION_EVENTS = Topic(
    "circulation.events",
    "copy or none",
    6,
    FOREVER,
    False,
    ("adapters", "city", "scanners"),
    ("streams.apply",),
    "All facts, as CloudEvents batches; the source of everything in the database.",
)
CIRCULATION_REJECTED = Topic(
    "circulation.rejected",
    "topic/partition/offset/index",
    1,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("library systems",),
    "Events that could not be applied, with the reason and where to find the original.",
)
STOCK_TOUCHED = Topic(
    "stock.touched",
    "none",
    6,
    7 * DAY_MS,
    False,
    ("streams.relay",),
    ("streams.watch",),
    "Places where copies changed, those of a batch together, with the classes whose levels may have: to be counted again.",
)
STOCK_ALERTS = Topic(
    "stock.alerts",
    "place/kind/class",
    1,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("whoever must act",),
    "Alerts as they open and close.",
)
STOCK_TARGETS = Topic(
    "stock.targets",
    "copy",
    6,
    FOREVER,
    True,
    ("streams.relay",),
    ("library systems that cannot ask",),
    "Where each copy should go when it is next in someone's hand.",
)
TRANSFER_ORDERS = Topic(
    "transfer.orders",
    "transfer",
    6,
    365 * DAY_MS,
    False,
    ("streams.relay",),
    ("places", "vans", "library systems"),
    "Orders: what to pick, send, carry and receive, by when.",
)
ROUTE_REQUESTS = Topic(
    "route.requests",
    "hub",
    6,
    7 * DAY_MS,
    False,
    ("planner",),
    ("solver workers",),
    "One routing problem a message.",
)
ROUTE_RESULTS = Topic(
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
