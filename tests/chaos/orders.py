"""Orders through a fault: those of two approved days, carried out as often as they are told, take effect once.

A carrier's scans have ids that follow from the order, so an order that comes twice is scanned twice and told of once.
"""

import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import psycopg
from kafka import TopicPartition
from sqlalchemy import Connection, insert

from rotation import dispatch
from rotation.facts.events import (
    CopyAdded,
    CrateCollected,
    Fact,
    TransferPicked,
    TransferReceived,
    TransferSent,
    cloud_event,
)
from rotation.kafka.clients import consumer
from rotation.kafka.topics import TRANSFER_ORDERS
from rotation.store.clock import read_clock
from rotation.store.engine import engine
from rotation.store.tables import day_plans, runs, stops, transfers
from streams import relay
from tests.streams_line import PATIENCE_S, Line
from tests.streams_world import MONDAY, PLACES, city, told

DAYS = 2
PICKS = 30  # of a day
ORDERS = DAYS * (PICKS + 1)  # with a run a day; what hubs are to sort has no effect that a scan could tell


def copies() -> list[dict[str, Any]]:
    """Events that put the orders' copies on the shelves, before all others."""
    return [
        told(CopyAdded(copy=f"o{n}", place=PLACES[n % 6], title=f"o{n}", **{"class": "fiction"}), n, MONDAY, "orders")
        for n in range(DAYS * PICKS)
    ]


def approve(line: Line) -> datetime:
    """Approve the picks of two days and a run for each that comes by all places; return the network's time."""
    with engine(line.url).begin() as connection:
        at = read_clock(connection).now()
        for number in range(DAYS):
            _approve(connection, line.prefix, number, at)
    return at


def _approve(connection: Connection, prefix: str, number: int, at: datetime) -> None:
    day, run, same = _day(at, number), f"{prefix}-run-{number}", {"created_at": at}
    plan = {"problem": {}, "solution": {}, "evaluation": {}, "unserved": []}
    money = {"distance_m": 1, "cost_cents": 1, "largest_load_crates": 1, "departs_at": at, "returns_at": at}
    stop = {"arrives_at": at, "begins_at": at, "departs_at": at, "deliver_crates": 1, "collect_crates": 1}
    where = {"day_plan_id": run, "day": day, "hub_id": "p0", "status": "approved"}
    connection.execute(insert(day_plans), where | plan | same)
    connection.execute(insert(runs), where | money | {"run_id": run, "van_id": "v1"})
    connection.execute(
        insert(stops),
        [
            stop | {"run_id": run, "position": n, "place_id": place, "load_after_crates": 1}
            for n, place in enumerate(PLACES)
        ],
    )
    picks = {"kind": "pick", "status": "approved", "day": day, "reason": {"code": "stale_here"}, "changed_at": at}
    connection.execute(
        insert(transfers),
        [
            picks
            | same
            | {"transfer_id": f"{prefix}-{n}", "copy_id": f"o{n}", "plan_id": run}
            | {"from_place_id": PLACES[n % 6], "to_place_id": PLACES[(n + 1) % 6]}
            for n in range(number * PICKS, (number + 1) * PICKS)
        ],
    )


def order(url: str, number: int, at: datetime) -> int:
    """Order all that is approved until that day; return how many messages the outbox got. Twice does nothing."""
    with engine(url).begin() as connection:
        return dispatch.order_day(connection, city(), _day(at, number), at)


def second_day(url: str) -> date:
    """Return the second day that `approve` approved."""
    with engine(url).begin() as connection:
        return _day(read_clock(connection).now(), 1)


def _day(at: datetime, number: int) -> date:
    return (at + timedelta(days=number + 1)).date()  # from tomorrow on: no day ends while it is carried out


def scans(message: dict[str, Any], at: datetime) -> Iterator[dict[str, Any]]:
    """Yield what those who carry an order out scan: ids follow from the order."""
    if message["type"] == "order.pick":
        name, copy = message["transfer"], message["copy"]
        here, there = {"copy": copy, "place": message["from"], "transfer": name}, message["to"]
        yield _scan(TransferPicked(**here), name, at - timedelta(minutes=3))
        yield _scan(TransferSent(**here, to=there), name, at - timedelta(minutes=2))
        yield _scan(TransferReceived(**here | {"place": there}), name, at - timedelta(minutes=1))
    else:
        for stop in message["stops"]:
            crate = f"{message['run']}-{stop['place']}"
            yield _scan(CrateCollected(crate=crate, place=stop["place"], run=message["run"]), crate, at)


def _scan(fact: Fact, what: str, at: datetime) -> dict[str, Any]:
    return cloud_event(fact, event_id=f"{what}/{fact.type}", source="scanners", time=at)


class Carriers(threading.Thread):
    """Do what each message of `transfer.orders` says, whenever and as often as it comes."""

    def __init__(self, line: Line, at: datetime) -> None:
        super().__init__(daemon=True)
        self.line, self.at, self.over = line, at, threading.Event()
        self.told: list[tuple[bytes, bytes]] = []  # key and outbox id of every message
        self.scanned: list[dict[str, Any]] = []

    def run(self) -> None:
        """Go on until all is done that stood on the topic when it was over."""
        reader = consumer(self.line.client)
        parts = [TopicPartition(TRANSFER_ORDERS.name, n) for n in range(TRANSFER_ORDERS.partitions)]
        reader.assign(parts)
        while not (
            self.over.is_set() and all(reader.position(p) >= end for p, end in reader.end_offsets(parts).items())
        ):
            for record in (record for some in reader.poll(200).values() for record in some):
                if (record.key or b"").startswith(self.line.prefix.encode()):  # other tests share the topic
                    self._carry_out(record)
        reader.close()

    def _carry_out(self, record: Any) -> None:
        headers = dict(record.headers)
        assert headers["ce_type"].decode() == orjson.loads(record.value)["type"]
        self.told.append((record.key, (headers[relay.ID_HEADER], headers["ce_id"])))
        events = list(scans(orjson.loads(record.value), self.at))
        self.line.send([orjson.dumps(events)])
        self.scanned += events

    def finish(self) -> None:
        """Carry the rest out, and end."""
        self.over.set()
        self.join(PATIENCE_S)
        assert not self.is_alive()


def each_order_once(line: Line, carriers: Carriers) -> int:
    """Assert that each order reached its topic with one id and took effect once; return how many there were."""
    assert len(set(carriers.told)) == len({key for key, _ in carriers.told}) == ORDERS
    with psycopg.connect(line.url) as connection:
        assert connection.execute(EFFECTS, {"run": f"{line.prefix}-run-%"}).fetchone() == (
            DAYS * PICKS,
            3 * DAYS * PICKS,
            4 * DAYS * PICKS,
            DAYS,
            DAYS * len(PLACES),
        )
    return len(set(carriers.told))


EFFECTS = """
SELECT (SELECT count(*) FROM transfers WHERE kind = 'pick' AND status = 'received'),
    (SELECT count(*) FROM transfer_facts WHERE source = 'scanners'),
    (SELECT count(*) FROM movements WHERE copy_id LIKE 'o%%'),
    (SELECT count(*) FROM runs WHERE status = 'done'),
    (SELECT count(*) FROM stops WHERE run_id LIKE %(run)s AND status = 'done')"""
