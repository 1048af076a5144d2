"""Faust's consumer of aiokafka, but reading from where the database stands, and without two tasks for every message.

Faust's commits to Kafka are only a hint for those who look at the group's lag: on assignment each partition of the events'
topic is sought to the next offset that the database wants.
"""

import asyncio
from typing import Any, cast

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rotation.kafka.clients import COMMITTED

# A fetch asks for partitions that were empty when it began; messages elsewhere wait until it is answered. Faust waits 1500 ms.
FETCH_WAIT_MS = 25
YIELD_EVERY = 50  # messages handed over before other tasks of the worker get their turn


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Lets no fetch wait long at the broker, and reads only committed messages of transactions."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = COMMITTED[
            "isolation_level"
        ]  # Faust asks for it only where it writes transactions itself
        return consumer


class Consumer(driver.Consumer):
    """Seeks to the database's positions when partitions are assigned."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Seek every partition: those of the app's `sought_topic` to their `positions`, the others to Kafka's commits."""
        await super().perform_seek()
        app: Any = self.app
        mine = [tp for tp in self.assignment() if tp.topic == app.sought_topic]
        if mine:
            stored = await app.positions([tp.partition for tp in mine])
            await self.seek_wait({tp: stored[tp.partition] for tp in mine})
            for tp in mine:
                self._read_offset[tp] = stored[tp.partition] or None
                self._committed_offset[tp] = stored[tp.partition] or None

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand messages to their streams as Faust does, waiting for the suspension of the flow only where it is suspended."""
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self.sleep(0)
                count = 0
                async for tp, message in self.getmany(timeout=1.0):
                    count += 1
                    if count % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                    await self._hand_over(tp, message)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _hand_over(self, tp: TP, message: Any) -> None:
        read = self._read_offset[tp]
        if read is not None and message.offset < read:
            return
        if read and message.offset - read > 1 and self.app.topics.acks_enabled_for(message.topic):
            await self._add_gap(tp, read + 1, message.offset)
        if self.suspend_flow.is_set():
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
        else:
            await self.callback(message)
        self._read_offset[tp] = message.offset


class Transport(driver.Transport):
    """Faust's transport with our consumer."""

    Consumer = cast("Any", Consumer)
