"""SIP2: messages, a small client, and a proxy that puts placement's answer into the library system's check-in responses.

The proxy passes every byte through unchanged, with one exception: a successful check-in response that traps the copy for nobody
gets the destination, its alert and its sort bin, if placement answers in time.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

import httpx
from pydantic import BaseModel, ConfigDict

from rotation.feeds import maps

log = logging.getLogger(__name__)

# The coding of the standard's own texts: every byte is a character.
ENCODING = "latin-1"
# Bytes that are no text in the coding pass unharmed.
UNHARMED = "surrogateescape"
END = b"\r"
# Bytes of a message; the standard's longest messages have a few hundred.
LONGEST_BYTES = 65_536
CHECKIN, CHECKIN_RESPONSE, ITEM, ITEM_RESPONSE, LOGIN, LOGIN_RESPONSE, RESEND = "09", "10", "17", "18", "93", "94", "96"
# Characters of fixed width behind the code, by the standard (3M SIP2 2.00, 2006).
HEADERS: Mapping[str, int] = {
    CHECKIN: 37,
    CHECKIN_RESPONSE: 22,
    ITEM: 18,
    ITEM_RESPONSE: 24,
    LOGIN: 2,
    LOGIN_RESPONSE: 1,
}
# CV: trapped for a hold here, elsewhere, for another system's reader.
HOLD_ALERTS = frozenset({"01", "02", "03"})
SEND_ELSEWHERE = "04"
# Circulation status of an item between libraries.
IN_TRANSIT = "10"
# Time for placement's answer: with it the response is passed on within 100 ms of the system's own.
ANSWER_S = 0.06
# Unanswered questions in a row after which placement is left alone for a while.
SILENCES = 3
REST_S = 10.0
# For answers on their way when a machine stops sending.
LAST_ANSWER_S = 5.0
# Tries of a request whose answer came damaged or not at all.
TRIES = 3


class Broken(ValueError):
    """Bytes that are not a SIP2 message: too short, or with a wrong checksum."""


class NoAnswer(ConnectionError):
    """The library system did not answer, even after all tries."""


class Sip2Message(NamedTuple):
    """One message: its code, the fixed part, fields in their order, and its sequence if it has one."""

    code: str
    header: str
    fields: tuple[tuple[str, str], ...]
    sequence: str | None = None

    def get(self, name: str) -> str | None:
        """Return the first field of that name."""
        return next((value for key, value in self.fields if key == name), None)

    def with_fields(self, **new: str | None) -> "Sip2Message":
        """Return the message with fields set in place, added at the end, or (None) left out."""
        kept = [(key, new.get(key, value)) for key, value in self.fields]
        added = [(key, value) for key, value in new.items() if self.get(key) is None]
        return self._replace(fields=tuple((key, value) for key, value in [*kept, *added] if value is not None))


def checksum(text: bytes) -> str:
    """Return the four digits that make the sum of all bytes zero."""
    return f"{-sum(text) & 0xFFFF:04X}"


def parse(line: bytes, encoding: str = ENCODING) -> Sip2Message:
    """Read one message without its end, in a coding in which half of a character may look like the separator.

    Raises
    ------
    Broken
        When it is too short, or its checksum is wrong.
    """
    whole, sequence = _checked(line.strip(b"\r\n"))
    body = whole.decode(encoding, UNHARMED)
    width = HEADERS.get(body[:2], 0)
    if len(body) < 2 + width:
        raise Broken(f"message {body[:2]!r} of {len(body)} signs")
    fields = tuple((part[:2], part[2:]) for part in body[2 + width :].split("|") if len(part) >= 2)
    return Sip2Message(body[:2], body[2 : 2 + width], fields, sequence)


def _checked(text: bytes) -> tuple[bytes, str | None]:
    """Return the message without its error detection, and its sequence number if it has one; sums are of bytes."""
    at = len(text) - 9
    if at < 0 or text[at : at + 2] != b"AY" or text[at + 3 : at + 5] != b"AZ":
        return text, None
    if checksum(text[: at + 5]).encode() != text[at + 5 :].upper():
        raise Broken("the checksum is wrong")
    return text[:at], chr(text[at + 2])


def encode(message: Sip2Message, encoding: str = ENCODING) -> bytes:
    """Return a message's bytes with its end, and with error detection if it has a sequence.

    Raises
    ------
    Broken
        When a field has a character that the coding has not: nothing else is sent in its place.
    """
    fields = "".join(f"{key}{value.replace('|', ' ')}|" for key, value in message.fields)
    try:
        text = f"{message.code}{message.header}{fields}".encode(encoding, UNHARMED)
    except UnicodeEncodeError as error:
        raise Broken(f"{error.object[error.start : error.end]!r} cannot be written in {encoding}") from error
    if message.sequence is not None:
        text += f"AY{message.sequence}AZ".encode()
        text += checksum(text).encode()
    return text + END


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y%m%d    %H%M%S")


# --- The client ---------------------------------------------------------------------------------------------------------------


class CheckedIn(NamedTuple):
    """A check-in response without any reader's data: `alert` is CV, `destination` CT, `sort_bin` CL."""

    ok: bool
    item: str
    permanent_location: str
    destination: str | None
    sort_bin: str | None
    alert: str | None


class Information(NamedTuple):
    """An item information response; `status` is SIP2's circulation status, two digits."""

    item: str
    status: str
    permanent_location: str | None
    current_location: str | None
    destination: str | None
    sort_bin: str | None
    holds: int | None

    @property
    def in_transit(self) -> bool:
        """Whether the item is between two libraries."""
        return self.status == IN_TRANSIT


@dataclass
class Client:
    """A self-check's side of one connection; of responses only the fields above are kept."""

    host: str
    port: int
    institution: str = ""
    timeout_s: float = 10.0
    encoding: str = ENCODING
    _socket: socket.socket | None = None
    _sequence: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> "Client":
        self._socket = socket.create_connection((self.host, self.port), self.timeout_s)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket:
            self._socket.close()

    def login(self, user: str, password: str, location: str = "") -> bool:
        """Log in; return whether the system accepted."""
        fields = (("CN", user), ("CO", password), ("CP", location))
        return self._ask(Sip2Message(LOGIN, "00", fields), LOGIN_RESPONSE).header == "1"

    def checkin(self, item: str, location: str) -> CheckedIn:
        """Check an item in at `location`.

        Raises
        ------
        NoAnswer
            When the system did not answer.
        """
        header = "N" + _now() * 2
        fields = (("AP", location), ("AO", self.institution), ("AB", item), ("AC", ""))
        answer = self._ask(Sip2Message(CHECKIN, header, fields), CHECKIN_RESPONSE)
        kept = (answer.get(name) or None for name in ("CT", "CL", "CV"))
        return CheckedIn(answer.header[0] == "1", answer.get("AB") or item, answer.get("AQ") or "", *kept)

    def item_information(self, item: str) -> Information:
        """Ask where an item is; raises as `checkin` does."""
        answer = self._ask(Sip2Message(ITEM, _now(), (("AO", self.institution), ("AB", item))), ITEM_RESPONSE)
        permanent, current, to, sort_bin = (answer.get(name) or None for name in ("AQ", "AP", "CT", "CL"))
        waiting = answer.get("CF") or ""
        holds = int(waiting) if waiting.isdecimal() else None
        return Information(answer.get("AB") or item, answer.header[:2], permanent, current, to, sort_bin, holds)

    def _ask(self, request: Sip2Message, expected: str) -> Sip2Message:
        """Send a request until an undamaged answer with its sequence comes."""
        request = request._replace(sequence=str(self._sequence))
        self._sequence = (self._sequence + 1) % 10
        for _ in range(TRIES):
            self._connected().sendall(encode(request, self.encoding))
            with contextlib.suppress(Broken, TimeoutError):
                while True:
                    answer = parse(self._line(), self.encoding)
                    if answer.code == RESEND:
                        break
                    if answer.code == expected and answer.sequence in (request.sequence, None):
                        return answer
        raise NoAnswer(f"{self.host}:{self.port} gave no answer to message {request.code}")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise NoAnswer("not connected")
        return self._socket

    def _line(self) -> bytes:
        while END not in self._buffer:
            got = self._connected().recv(4096)
            if not got or len(self._buffer) > LONGEST_BYTES:
                raise NoAnswer(f"{self.host}:{self.port} closed the connection")
            self._buffer += got
        line, _, rest = bytes(self._buffer).partition(END)
        self._buffer = bytearray(rest)
        return line.strip(b"\r\n")


# --- The proxy ----------------------------------------------------------------------------------------------------------------


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


class Sip2Map(BaseModel):
    """Maps SIP2's location names to the network's places, and places to their sort bins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # How the library system and its machines write texts.
    encoding: Literal["latin-1", "utf-8", "gb18030", "big5"] = "latin-1"
    locations: dict[str, str]
    bins: dict[str, str] = {}
    default_location: str = ""


def read_map(path: Path) -> Sip2Map:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, Sip2Map)


def asking(page: httpx.AsyncClient, chosen: Sip2Map) -> Ask:
    """Return a function that asks `POST /placement`, in SIP2's names; `page` carries the page's address and a desk's token."""
    location_of = {place: location for location, place in reversed(chosen.locations.items())}

    async def ask(item: str, location: str) -> Placed | None:
        place = chosen.locations.get(location)
        if place is None:
            return None
        answer = await page.post("/placement", json={"copy": item, "place": place})
        if answer.status_code == httpx.codes.NOT_FOUND:  # an unknown copy
            return None
        to = str(answer.raise_for_status().json()["to"])
        if to != place and to not in location_of:
            return None
        return Placed(location_of[to] if to != place else None, chosen.bins.get(to))

    return ask


# Unanswered check-ins remembered for one connection.
MOST_LOCATIONS = 1_000


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
