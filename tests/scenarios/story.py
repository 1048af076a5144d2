"""A small city whose facts, night and orders run through the system's own parts; only Kafka is left out.

A fact goes the way of a worker's batch, an order is read where the relay would read it, and the clock is set by hand.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, select

from config import Settings, load
from rotation.alerts import rules
from rotation.alerts.rules import Thresholds
from rotation.facts.clock import standing_at
from rotation.facts.events import Fact, cloud_event
from rotation.kafka.message import Message
from rotation.kafka.orders import ORDERS
from rotation.network import Network
from rotation.store.clock import set_clock
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, outbox, transfers
from rotation.views import notices
from streams.apply import Writer, Written


class Story:
    """A city in a database, told fact by fact."""

    def __init__(self, url: str, network: Network, **settings: Any) -> None:
        self.network, self.engine = network, engine(url)
        self.settings: Settings = load(data_dir=Path("unused"), route_seconds=0.2, **settings)
        self._writer, self._facts = Writer(url, network, lambda *_: []), 0

    def at(self, now: datetime) -> None:
        """Set the network's clock."""
        with self.engine.begin() as connection:
            set_clock(connection, standing_at(now))

    def happens(self, *facts: Fact, at: datetime) -> Written:
        """Let facts happen, one second after the other, and apply them as a worker does; the clock stands at `at` then."""
        self.at(at)
        batch = [self._event(fact, at.replace(second=second)) for second, fact in enumerate(facts)]
        message = Message(0, self._facts, orjson.dumps(batch))
        self._facts += 1
        return self._writer.write(self._writer.prepare([message]))

    def _event(self, fact: Fact, at: datetime) -> dict[str, Any]:
        return cloud_event(fact, event_id=f"{fact.type}-{at:%Y%m%d%H%M%S}", source="koha", time=at)

    def messages(self) -> list[tuple[str, Any]]:
        """Return (topic, value) of what waits for Kafka, and empty the outbox as the relay does."""
        with self.engine.begin() as connection:
            rows = connection.execute(select(outbox.c.topic, outbox.c.value).order_by(outbox.c.id)).all()
            connection.execute(delete(outbox))
        return [(topic, orjson.loads(value)) for topic, value in rows]

    def orders(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the orders of a kind that wait for Kafka; the outbox is empty then."""
        orders = [value for topic, value in self.messages() if topic == "transfer.orders"]
        for order in orders:
            ORDERS.validate_python(order)
        return [order for order in orders if order["type"] == kind]

    def copy(self, copy_id: str) -> tuple[str, str]:
        """Return a copy's state and place."""
        with self.engine.connect() as connection:
            row = connection.execute(select(copies).where(copies.c.copy_id == copy_id)).one()
        return row.state, row.place_id

    def transfer(self, copy_id: str) -> str:
        """Return the status of a copy's newest transfer."""
        of_copy = select(transfers.c.status).where(transfers.c.copy_id == copy_id)
        with self.engine.connect() as connection:
            return str(connection.scalar(of_copy.order_by(transfers.c.created_at.desc()).limit(1)))

    def alerts(self) -> list[tuple[str, str]]:
        """Count all levels, as the worker does, and return the open alerts: kind and place."""
        with self.engine.begin() as connection:
            rules.sweep(driver(connection).cursor(), self.network, Thresholds.of(self.settings))
        with self.engine.connect() as connection:
            return sorted((alert.kind, alert.place_id) for alert in notices.alerts_of(connection, is_open=True))

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self.engine.dispose()
