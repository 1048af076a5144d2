"""LibrariesWest's real days in this system, imported through Kafka like any other events.

An import makes the folder's network, keeps it beside the data, and lets the network's clock stand at the end of the last
day imported. Imported twice, or further, nothing counts twice.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from config import Settings, load
from config.kafka import client
from config.settings import DEFAULTS, KEPT_NETWORK
from rotation import network as networks
from rotation.facts.events import Edge
from rotation.feeds import carrying, destinations, librarieswest
from rotation.kafka import clients
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.night.historic_days import advance_clock, judge
from rotation.system.importing import listening, wait_until_applied
from rotation.views.status import figures

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
    with listening(load(), network, say) as (connected, engine):
        advance_clock(engine, librarieswest.SOURCE, max(snapshot.clock for snapshot in shown))
        say(f"Sending {len(shown)} days through Kafka / 通过 Kafka 发送 {len(shown)} 天的数据")
        producer = clients.producer(client(connected), linger_ms=20)
        sent = librarieswest.send(producer, CIRCULATION_EVENTS.name, shown, frozenset(network.place))
        producer.close()
        for fault in sent.faults:
            say(str(fault))
        wait_until_applied(connected, engine)
        say("All of it is applied / 全部入库")
        judge(connected, network, engine)
        return figures(engine, network.timezone, settings.plan_at) | {"files": sent.files, "events_sent": sent.events}


def show_days(folder: Path, until: str | None, say: Say) -> Mapping[str, Any]:
    """Show the events that `import_days` would send, and those the worker would reject; nothing is sent or kept.

    Raises
    ------
    ValueError, NetworkError
        When the folder's tables or snapshots cannot be used.
    """
    network = librarieswest.network(folder, CHOICES)
    shown = list(librarieswest.snapshots(folder, until))
    edge = Edge.of(network, shown[-1].clock)
    told = librarieswest.happened(shown, librarieswest.CopyLedger(edge.places))
    report = carrying.carry(carrying.checked(told, edge, librarieswest.SOURCE), *destinations.shown(say))
    for snapshot in shown:
        for fault in snapshot.faults:
            say(str(fault))
    return report.as_dict() | {"files": len(shown), "bad_lines": sum(len(snapshot.faults) for snapshot in shown)}


def _keep_network(settings: Settings, network: Network) -> None:
    kept, database = settings.data_dir / KEPT_NETWORK, settings.data_dir / "postgres"
    if database.exists() and not kept.exists():
        raise OtherNetwork(
            f"{settings.data_dir} holds another network's data: choose a folder for this one, such as "
            f"ROTATION_DATA_DIR={settings.data_dir}/librarieswest rotation import librarieswest ..."
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    networks.write(network, kept)
