"""The city straight into a database, its days as fast as they can be computed: for tests and measurements.

Everything is the running system's own (the worker's writer, the desk, the night, the orders), except Kafka, which the outbox and
a counter of offsets replace, and the clock, which is set by hand.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Engine, delete, select

from city import history
from city.facts import batches
from city.live import LiveCity, PlacementAnswer
from city.model import DAY_S, START, CitySize
from config import Settings
from rotation.alerts import rules
from rotation.alerts.rules import Thresholds
from rotation.facts.clock import standing_at
from rotation.hands.desk import Desk
from rotation.kafka.message import Message
from rotation.kafka.topics import TRANSFER_ORDERS
from rotation.network import Network
from rotation.night.moves import Memory
from rotation.night.run import NightReport, plan_night
from rotation.store.clock import set_clock
from rotation.store.engine import driver
from rotation.store.tables import outbox
from streams.apply import Writer

# As the city on the topics catches up: a stop is known before the next order.
STEP_S = 600
MESSAGES_A_BATCH = 100  # events come in batches of 100: 10,000 events a transaction


class Days:
    """A city that lives in a database: its history is written when it is made, then `live` lets a day go by."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        network: Network,
        settings: Settings,
        *,
        weeks: int,
        size: CitySize | None = None,
        start: date = START,
        plans: Callable[..., NightReport] = plan_night,
    ) -> None:
        self.engine, self.network, self.settings = engine, network, settings
        self._writer, self._offset, self._memory, self._plans = Writer(url, network, _no_gaps), 0, Memory(), plans
        self.city = history.found(network, settings.seed, size, start)
        self._set_clock(self._instant(weeks * history.DAYS_A_WEEK * DAY_S))
        for events in history.days(self.city, weeks):
            self._write(events)
        self.desk = Desk(engine, network, settings)
        self.live = LiveCity(network, self.city, weeks * history.DAYS_A_WEEK * DAY_S, self._ask)

    def day(self) -> NightReport:
        """Let a day pass, from midnight to midnight, with its night's plan at the planning time; return the plan's report."""
        midnight_s = self.live.now_s
        report = self.night()
        self._until(midnight_s + DAY_S)
        return report

    def night(self) -> NightReport:
        """Let the time from midnight to the planning time pass, and plan; return the plan's report."""
        hours, minutes = map(int, self.settings.plan_at.split(":"))
        self._until(self.live.now_s + hours * 3600 + minutes * 60)
        report = self._plans(self.engine, self.network, self.settings, self.today(), self._memory)
        self.desk.refresh()
        return report

    def today(self) -> date:
        """Return the city's day."""
        return self.network.day_of(self.now())

    def now(self) -> datetime:
        """Return the city's time."""
        return self._instant(self.live.now_s)

    def sweep(self) -> None:
        """Count all alerts again, as the worker does every minute."""
        with self.engine.begin() as connection:
            rules.sweep(driver(connection).cursor(), self.network, Thresholds.of(self.settings))

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()

    def _until(self, second: int) -> None:
        while self.live.now_s < second:
            self.live.take(self._orders())
            events = self.live.advance(min(second, self.live.now_s + STEP_S))
            self._set_clock(self.now())
            self._write(events)

    def _instant(self, second: int) -> datetime:
        return self.city.teller.instant(second)

    def _set_clock(self, at: datetime) -> None:
        with self.engine.begin() as connection:
            set_clock(connection, standing_at(at))

    def _ask(self, copy: str, place: str) -> PlacementAnswer:
        found = self.desk.place(copy, place)
        return PlacementAnswer(found.to, found.transfer)

    def _write(self, events: list[str]) -> None:
        values = list(batches(events))
        for first in range(0, len(values), MESSAGES_A_BATCH):
            some = values[first : first + MESSAGES_A_BATCH]
            self._writer.write(self._writer.prepare([self._message(value) for value in some]))

    def _message(self, value: bytes) -> Message:
        self._offset += 1
        return Message(0, self._offset - 1, value)

    def _orders(self) -> list[Mapping[str, Any]]:
        with self.engine.begin() as connection:
            rows = connection.execute(select(outbox.c.topic, outbox.c.value).order_by(outbox.c.id)).all()
            connection.execute(delete(outbox))
        return [orjson.loads(row.value) for row in rows if row.topic == TRANSFER_ORDERS.name]


def _no_gaps(partition: int, begin: int, end: int) -> list[Message]:
    return []
