"""HTTP at the socket: a request whose head does not arrive ends, and no address holds more than its share of connections.

uvicorn waits for ever for the rest of a head: a program that opens connections and says nothing would hold them all.
"""

import asyncio
from collections import Counter
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0  # a browser sends a request's head in one packet
MOST_CONNECTIONS = 500  # of one address: a large office behind one address, with some streams each


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with an end to its patience; `trusted` proxies may hold as many connections as they like."""

    head_s: ClassVar[float] = HEAD_S
    most: ClassVar[int] = MOST_CONNECTIONS
    trusted: ClassVar[frozenset[str]] = frozenset()
    _open: ClassVar[Counter[str]] = Counter()
    _until_head: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and begin to wait for its first request."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._open[self._address] += 1
        if self._open[self._address] > self.most and self._address not in self.trusted:
            transport.abort()
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it off."""
        super().connection_lost(exc)
        self._stop_waiting()
        self._open[self._address] -= 1
        if not self._open[self._address]:
            del self._open[self._address]

    def data_received(self, data: bytes) -> None:
        """Take bytes; while they are no whole head, wait on."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def _wait_for_head(self) -> None:
        if self._until_head is None:
            self._until_head = self.loop.call_later(self.head_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._until_head:
            self._until_head.cancel()
        self._until_head = None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()
