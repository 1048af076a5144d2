"""The simulated city of bench.alerts: counted every hour as the worker does, with events and orders that go astray."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text

from city.database_driver import Days
from rotation.alerts import rules
from rotation.alerts.rules import Thresholds
from rotation.facts.events import Fact, cloud_event
from rotation.facts.lifecycle import AlertKind as Kind
from rotation.kafka.topics import STOCK_TOUCHED
from rotation.store.engine import driver
from streams.watch import Watcher, touched

HOUR_S = 3_600


class WatchedDays(Days):
    """The city, counted every hour as the worker does, with events and orders that go astray."""

    event_is_lost: Callable[[Mapping[str, Any]], bool] = staticmethod(lambda event: False)
    order_is_lost: Callable[[Mapping[str, Any]], bool] = staticmethod(lambda order: False)
    watcher: Watcher | None = None

    def _until(self, second: int) -> None:
        while self.live.now_s < second:
            super()._until(min(second, self.live.now_s + HOUR_S))
            if self.watcher:
                asyncio.run(self.watcher.sweep_if_due())

    def _write(self, events: list[str]) -> None:
        super()._write([one for one in events if not self.event_is_lost(orjson.loads(one))])

    def _orders(self) -> list[Mapping[str, Any]]:
        return [one for one in super()._orders() if not self.order_is_lost(one)]

    def tell(self, facts: Iterable[Fact]) -> None:
        """Write facts of now, and count what they touch, as the worker does when it hears of it."""
        events = [
            orjson.dumps(
                cloud_event(fact, event_id=self.city.teller.next_id(), source=self.city.teller.source, time=self.now())
            ).decode()
            for fact in facts
        ]
        self._write(events)
        with self.engine.begin() as connection:
            sql = text("DELETE FROM outbox WHERE topic = :topic RETURNING value")
            messages = [bytes(value) for (value,) in connection.execute(sql, {"topic": STOCK_TOUCHED.name})]
            cursor = driver(connection).cursor()
            rules.recount(cursor, self.network, Thresholds.of(self.settings), touched(messages))

    def opened(self, since: datetime, kinds: Iterable[Kind]) -> list[tuple[str, str, datetime]]:
        """Return the alerts of some kinds that opened since: kind, subject, and when."""
        sql = text(
            "SELECT kind, place_id, opened_at FROM alerts WHERE opened_at >= :since AND kind = ANY(:kinds) ORDER BY 3"
        )
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sql, {"since": since, "kinds": list(kinds)})]

    def do(self, sql: str, **values: Any) -> list[Any]:
        """Run a statement and return its rows, if any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return list(result.all()) if result.returns_rows else []
