"""An import of any kind: a worker listens while it goes on, and it ends when its events are applied, with their counts."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Engine, exists, func, select

from config import Settings
from config.kafka import client
from infra.messages import ServerError, ServerMessage
from rotation.facts.movements import CopyState
from rotation.kafka.recount import end_offsets
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.store.engine import engine as connect_to
from rotation.store.tables import copies, counts, movements, progress, rejections
from rotation.system import processes

# A worker that is killed is missed by its group for 8 s, and another reads on from there; on a loaded machine it takes some
# times that. Who moves by nothing for so long has stopped.
STILL_S = 60.0
LOOK_S = 0.3
RELAY_S = 2.0  # what the import opened is told before all of it stops

Say = Callable[[str], None]


@contextmanager
def listening(settings: Settings, network: Network, say: Say) -> Iterator[tuple[Settings, Engine]]:
    """Yield the settings and database of a system whose worker listens: the running system, or a system for this import alone."""

    def tell(message: ServerMessage) -> None:
        say(message.text())

    found = processes.noted_addresses(settings)
    if found:
        connected = processes.connected(found)
        yield connected, connect_to(connected.database_address())
        return
    with processes.running(settings, tell, page=False) as system:
        connected = processes.connected(system.environment)
        engine = processes.prepared(connected, network)
        system.start_named("worker", "relay")
        yield connected, engine
        time.sleep(RELAY_S)


def applied(engine: Engine) -> dict[int, int]:
    """Return the next offset of each partition of the events that the database wants."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(progress.c.partition, progress.c.next_offset).where(progress.c.topic == CIRCULATION_EVENTS.name)
        )
        return dict(rows.all())


def behind(engine: Engine, ends: Mapping[int, int]) -> int:
    """Return how many messages until `ends` are not in the database."""
    stands_at = applied(engine)
    return sum(max(end - stands_at.get(partition, 0), 0) for partition, end in ends.items())


def all_applied(engine: Engine, kafka: Mapping[str, Any]) -> bool:
    """Whether everything that stands in Kafka is in the database."""
    return behind(engine, end_offsets(kafka)) == 0


def wait_until_applied(settings: Settings, engine: Engine, still_s: float = STILL_S) -> None:
    """Wait until all messages now in Kafka are in the database.

    Raises
    ------
    ServerError
        When nothing was applied for `still_s`.
    """
    ends = end_offsets(client(settings))
    last, since = behind(engine, ends), time.monotonic()
    while left := behind(engine, ends):
        if left != last:
            last, since = left, time.monotonic()
        if time.monotonic() - since > still_s:
            raise ServerError(
                "server.slow", name="worker", seconds=still_s, log=settings.data_dir / "logs" / "worker.log"
            )
        time.sleep(LOOK_S)


class EventCounts(NamedTuple):
    """The outcome of all events until now, and the last rejection."""

    events: Counter[str]
    last_rejection: int


def counted(engine: Engine) -> EventCounts:
    """Count the outcomes of all events."""
    with engine.connect() as connection:
        rows = connection.execute(select(counts.c.name, counts.c.value)).all()
        last = connection.scalar(select(func.max(rejections.c.id))) or 0
    return EventCounts(Counter({row.name: row.value for row in rows}), last)


def outcome(engine: Engine, before: EventCounts, sent: int | None) -> dict[str, Any]:
    """Return the outcome of events since `before`, when all `sent` are applied; how many came from others meanwhile is named."""
    now, refused = counted(engine), _by_worker(engine, before)
    since = {name: now.events[name] - before.events[name] for name in ("applied", "late", "duplicates")}
    found = {
        "applied": since["applied"] + since["late"],
        "known_already": since["duplicates"],
        "refused_when_applied": dict(refused),
    }
    others = 0 if sent is None else sum(since.values()) + refused.total() - sent
    return found | ({"of_others_meanwhile": others} if others > 0 else {})


def _by_worker(engine: Engine, before: EventCounts) -> Counter[str]:
    """Count the rejections since then of the worker, by reason."""
    mine = (rejections.c.id > before.last_rejection) & (rejections.c.topic == CIRCULATION_EVENTS.name)
    with engine.connect() as connection:
        query = select(rejections.c.reason, func.count()).where(mine).group_by(rejections.c.reason)
        return Counter(dict(connection.execute(query).all()))


CATCH_UP_S = (
    10.0  # a city that lives sends all the time: what it had sent when it was asked is applied in a second or two
)


def why_not_plan(kafka: Mapping[str, Any], engine: Engine) -> str:
    """Return why a plan would be made of nothing, or of less than is known; empty where the stock is there and up to date."""
    ends, until = end_offsets(kafka), time.monotonic() + CATCH_UP_S
    while (left := behind(engine, ends)) and time.monotonic() < until:
        time.sleep(LOOK_S)
    with engine.connect() as connection:
        known = connection.execute(select(func.count()).select_from(copies)).scalar_one()
    if left:
        return f"{left} messages wait in Kafka and are not applied: let a worker catch up (`rotation serve`)"
    return "" if known else "no copy is known yet: import the stock first (docs/connect.md)"


def has_loans(engine: Engine) -> bool:
    """Return whether any copy is known to have gone from a shelf on loan, by which alone rates are estimated."""
    before = movements.alias()
    on_shelf = (before.c.copy_id == movements.c.copy_id) & (before.c.occurred_at < movements.c.occurred_at)
    lent = exists().where(movements.c.state == CopyState.ON_LOAN, on_shelf, before.c.state == CopyState.ON_SHELF)
    with engine.connect() as connection:
        return bool(connection.scalar(select(lent)))
