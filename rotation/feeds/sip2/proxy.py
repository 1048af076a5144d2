"""A proxy that puts placement's answer into the library system's check-in responses.

It passes every byte through unchanged, with one exception: a successful check-in response that traps the copy for nobody
gets the destination, its alert and its sort bin, if placement answers in time.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from rotation.feeds.sip2.messages import (
    CHECKIN,
    CHECKIN_RESPONSE,
    ENCODING,
    LONGEST_BYTES,
    Broken,
    Sip2Message,
    encode,
    parse,
)

log = logging.getLogger(__name__)

# CV: trapped for a hold here, elsewhere, for another system's reader.
HOLD_ALERTS = frozenset({"01", "02", "03"})
SEND_ELSEWHERE = "04"
# Time for placement's answer: with it the response is passed on within 100 ms of the system's own.
ANSWER_S = 0.06
# Unanswered questions in a row after which placement is left alone for a while.
SILENCES = 3
REST_S = 10.0
# Unanswered check-ins remembered for one connection.
MOST_LOCATIONS = 1_000
# For answers on their way when a machine stops sending.
LAST_ANSWER_S = 5.0


class Placed(NamedTuple):
    """Placement's answer in the library system's own words; `destination` None: the copy stays."""

    destination: str | None
    sort_bin: str | None


class Directed(NamedTuple):
    """The change that placement would make to a check-in response."""

    item: str
    at: str
    destination: str | None
    sort_bin: str | None


# Item, place's name in SIP2 -> answer; None: no change.
Ask = Callable[[str, str], Awaitable[Placed | None]]


def directed(response: Sip2Message, placed: Placed) -> Sip2Message:
    """Return a check-in response with placement's destination, alert and sort bin."""
    alert = "Y" if placed.destination else "N"
    header = response.header[:3] + alert + response.header[4:]
    new = {"CT": placed.destination, "CV": SEND_ELSEWHERE if placed.destination else None}
    if placed.sort_bin:
        new["CL"] = placed.sort_bin
    return response._replace(header=header).with_fields(**new)


def may_direct(response: Sip2Message) -> bool:
    """Whether placement may change this response: a successful check-in that traps the copy for nobody."""
    went_well = response.code == CHECKIN_RESPONSE and response.header[:1] == "1"
    return went_well and bool(response.get("AB")) and response.get("CV") not in HOLD_ALERTS


@dataclass
class Proxy:
    """Between sorters or self-service machines and the library system; `locations` maps each machine's address to its place.

    A check-in's place is its field AP if that is in use, else the machine's own by address, else `default_location`.
    """

    host: str
    port: int
    ask: Ask
    default_location: str = ""
    show: Callable[[Directed], None] | None = None  # a dry run: receives the changes, and none is made
    answer_s: float = ANSWER_S
    encoding: str = ENCODING
    passed: int = 0
    changed: int = 0
    unanswered: int = 0
    _silences: int = 0
    _rests_until: float = 0.0

    async def serve(self, listen: str, port: int) -> asyncio.Server:
        """Start listening; each connection gets its own connection to the library system."""
        return await asyncio.start_server(self._connection, listen, port, limit=LONGEST_BYTES)

    async def _connection(self, machine: asyncio.StreamReader, to_machine: asyncio.StreamWriter) -> None:
        try:
            system, to_system = await asyncio.open_connection(self.host, self.port, limit=LONGEST_BYTES)
        except OSError as error:
            log.warning("cannot reach the library system: %s", type(error).__name__)
            to_machine.close()
            return
        locations: dict[str, str] = {}
        ways = (
            asyncio.ensure_future(self._requests(machine, to_system, locations)),
            asyncio.ensure_future(self._responses(system, to_machine, locations)),
        )
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[0] in done and to_system.can_write_eof():  # the machine sends no more, but may still listen
                with contextlib.suppress(OSError):
                    to_system.write_eof()
                    await asyncio.wait(ways[1:], timeout=LAST_ANSWER_S)
        finally:
            for way in ways:
                way.cancel()
            for writer in (to_machine, to_system):
                writer.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(
        self, machine: asyncio.StreamReader, system: asyncio.StreamWriter, locations: dict[str, str]
    ) -> None:
        async for line in _lines(machine):
            _note_location(line, locations, self.encoding)
            system.write(line)
            await system.drain()

    async def _responses(
        self, system: asyncio.StreamReader, machine: asyncio.StreamWriter, locations: dict[str, str]
    ) -> None:
        async for line in _lines(system):
            machine.write(await self.answer(line, locations))
            await machine.drain()

    async def answer(self, line: bytes, locations: dict[str, str]) -> bytes:
        """Return the bytes for the machine: the system's own, or a check-in response with placement's answer."""
        self.passed += 1
        if line[:2] != CHECKIN_RESPONSE.encode():
            return line
        try:
            response = parse(line, self.encoding)
            item = response.get("AB") or ""
            location = locations.pop(item, None) or self.default_location
            if not may_direct(response) or not location:
                return line
            placed = await self._placed(item, location)
            if placed is None:
                return line
            if self.show:
                self.show(Directed(item, location, placed.destination, placed.sort_bin))
                return line
            changed = encode(directed(response, placed), self.encoding)[:-1] + line[-1:]
            self.changed += 1
            return changed
        except Broken as error:
            log.warning("passed on unchanged: %s", error)
            return line

    async def _placed(self, item: str, location: str) -> Placed | None:
        """Ask placement, within the time allowed; after several silences it is left alone for a while."""
        if monotonic() < self._rests_until:
            return None
        try:
            placed = await asyncio.wait_for(self.ask(item, location), self.answer_s)
        except Exception as error:  # whatever fails in placement, the sorter goes on
            self.unanswered += 1
            self._silences += 1
            if self._silences >= SILENCES:
                self._silences, self._rests_until = 0, monotonic() + REST_S
            log.warning("placement gave no answer: %s", type(error).__name__)
            return None
        self._silences = 0
        return placed


def _note_location(line: bytes, locations: dict[str, str], encoding: str = ENCODING) -> None:
    """Remember where a check-in takes place, by its item."""
    if line[:2] != CHECKIN.encode():
        return
    with contextlib.suppress(Broken):
        request = parse(line, encoding)
        if (item := request.get("AB")) and (location := request.get("AP")):
            if len(locations) >= MOST_LOCATIONS:
                locations.clear()
            locations[item] = location


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield all bytes in pieces that end where a message does (CR or LF); an overlong message passes in parts."""
    buffer = b""
    while got := await reader.read(LONGEST_BYTES):
        *whole, buffer = re.split(rb"(?<=[\r\n])", buffer + got)
        for line in whole:
            yield line
        if len(buffer) > LONGEST_BYTES:
            yield buffer
            buffer = b""
    if buffer:
        yield buffer
