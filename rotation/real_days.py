"""LibrariesWest's real days in this system: imported through Kafka like any other events, and their runs scheduled.

An import makes the folder's network, keeps it beside the data, and lets the network's clock stand at the end of the last
day imported. Imported twice, or further, nothing counts twice.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from config import Settings, load
from config.kafka import client
from config.settings import DEFAULTS, KEPT_NETWORK
from infra.messages import Message, ServerError
from rotation import bootstrap, feeds
from rotation import network as networks
from rotation.adapters import feed, librarieswest
from rotation.alerts.rules import Thresholds, sweep
from rotation.clock import standing_at
from rotation.courier.routes import DIRECT_FILL_COPIES, as_plan, planned, report, share_s
from rotation.courier.store import write_days
from rotation.courier.ways import ways
from rotation.demonstration import all_applied
from rotation.events import Edge
from rotation.network import Network
from rotation.past import mark, to_carry
from rotation.planner import alone, searching
from rotation.review import tell_pages
from rotation.status import figures
from rotation.store.clock import read_clock, set_clock
from rotation.store.engine import driver
from rotation.store.engine import engine as connect_to
from rotation.store.tables import clock as clock_table
from streams import clients
from streams.topics import CIRCULATION_EVENTS

CHOICES = (
    DEFAULTS.parent / "networks" / "librarieswest.toml"
)  # hubs, fleet and default hours, which the data does not tell
APPLY_S = 600.0
LOOK_S = 0.3

Say = Callable[[str], None]


class OtherNetwork(ValueError):
    """The folder's data is of another network."""


def import_days(settings: Settings, folder: Path, until: str | None, say: Say) -> Mapping[str, Any]:
    """Bring the snapshots of `folder` into the database through Kafka and return the figures then.

    Raises
    ------
    OtherNetwork
        When settings.data_dir holds another network's data.
    ValueError, NetworkError
        When the folder's tables or snapshots cannot be used.
    """
    network = librarieswest.network(folder, CHOICES)
    shown = list(librarieswest.snapshots(folder, until))
    _keep_network(settings, network)
    with _listening(load(), network, say) as (connected, engine):
        _advance_clock(engine, shown)
        say(f"Sending {len(shown)} days through Kafka / 通过 Kafka 发送 {len(shown)} 天的数据")
        producer = clients.producer(client(connected), linger_ms=20)
        sent = librarieswest.send(producer, CIRCULATION_EVENTS.name, shown)
        producer.close()
        for fault in sent.faults:
            say(str(fault))
        _wait_until_applied(connected, engine, say)
        _judge(connected, network, engine)
        return figures(engine, network.timezone) | {"files": sent.files, "events_sent": sent.events}


def show_days(folder: Path, until: str | None, say: Say) -> Mapping[str, Any]:
    """Show what `import_days` would send, and what of it the worker would refuse; nothing is sent or kept.

    Raises
    ------
    ValueError, NetworkError
        When the folder's tables or snapshots cannot be used.
    """
    network = librarieswest.network(folder, CHOICES)
    shown = list(librarieswest.snapshots(folder, until))
    edge = Edge(frozenset(network.place), frozenset(one.id for one in network.classes), shown[-1].clock)
    told = librarieswest.happened(shown)
    report = feed.carry(feed.checked(told, edge, librarieswest.SOURCE), *feeds.shown(say))
    for snapshot in shown:
        for fault in snapshot.faults:
            say(str(fault))
    return report.as_dict() | {"files": len(shown), "bad_lines": sum(len(snapshot.faults) for snapshot in shown)}


def _judge(settings: Settings, network: Network, engine: Engine) -> None:
    """Open and close the alerts of what is told: a worker waits a while before it judges days of the past."""
    with engine.begin() as connection, driver(connection).cursor() as cursor:
        sweep(cursor, network, Thresholds.of(settings))


def _keep_network(settings: Settings, network: Network) -> None:
    kept, database = settings.data_dir / KEPT_NETWORK, settings.data_dir / "postgres"
    if database.exists() and not kept.exists():
        raise OtherNetwork(
            f"{settings.data_dir} holds another network's data: choose a folder for this one, such as "
            f"ROTATION_DATA_DIR={settings.data_dir}/librarieswest rotation import librarieswest ..."
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    networks.write(network, kept)


@contextmanager
def _listening(settings: Settings, network: Network, say: Say) -> Iterator[tuple[Settings, Engine]]:
    """Yield the settings and database of a system whose worker listens: the running one, or one for this import alone."""

    def tell(message: Message) -> None:
        say(message.text())

    found = bootstrap.noted_addresses(settings)
    if found:
        connected = bootstrap.connected(found)
        yield connected, connect_to(connected.database_address())
        return
    with bootstrap.running(settings, tell, page=False) as system:
        connected = bootstrap.connected(system.environment)
        engine = bootstrap.prepared(connected, network)
        system.start_named("worker", "relay")
        yield connected, engine
        time.sleep(RELAY_S)


RELAY_S = 2.0  # what the import opened is told before all of it stops


def _advance_clock(engine: Engine, shown: list[librarieswest.Snapshot]) -> None:
    """Let the clock stand at the end of the last day shown; a later day that was imported before stays."""
    latest = max(snapshot.clock for snapshot in shown)
    with engine.begin() as connection:
        stood = connection.execute(select(clock_table.c.id)).first() is not None
        now = read_clock(connection).now()
        set_clock(connection, standing_at(max(latest, now) if stood else latest))
        mark(connection, librarieswest.SOURCE)


def _wait_until_applied(settings: Settings, engine: Engine, say: Say) -> None:
    begin = time.monotonic()
    while not all_applied(engine, client(settings)):
        if time.monotonic() - begin > APPLY_S:
            raise ServerError(
                "server.slow", name="worker", seconds=APPLY_S, log=settings.data_dir / "logs" / "worker.log"
            )
        time.sleep(LOOK_S)
    say("All of it is applied / 全部入库")


def schedule_days(
    engine: Engine, network: Network, settings: Settings, first: date, days: int, *, keep: bool = False
) -> dict[str, Any]:
    """Schedule what waits from the day `first` on, over `days` days; nothing is ordered.

    With `keep` the days' runs are written as drafts, in place of the drafts that they had: the page shows them. Hubs whose
    day someone has approved, or that is ordered, keep theirs.

    Raises
    ------
    AnotherPlans
        When runs are to be kept and a planner is at work.
    TravelError
        When the routing service that is set does not answer, and nothing may stand in for it.
    """
    begin, travel = time.perf_counter(), ways(network, settings)
    with engine.connect() as connection, alone(connection) if keep else nullcontext():
        waiting = to_carry(connection, network, first)
        with searching(settings, share_s(network, days, settings.route_seconds)) as search:
            found = planned(network, waiting, first, days, search, DIRECT_FILL_COPIES, travel)
        if keep:
            write_days(connection, as_plan(found), read_clock(connection).now())
            tell_pages(connection)
            connection.commit()
    return report(found) | {"kept": keep, "seconds": round(time.perf_counter() - begin, 2)}
