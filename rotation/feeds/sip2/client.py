"""A small client of SIP2: check-in and item information."""

import contextlib
import socket
from dataclasses import dataclass, field
from typing import NamedTuple

from rotation.feeds.sip2.messages import (
    CHECKIN,
    CHECKIN_RESPONSE,
    ENCODING,
    END,
    ITEM,
    ITEM_RESPONSE,
    LOGIN,
    LOGIN_RESPONSE,
    LONGEST_BYTES,
    RESEND,
    Broken,
    Sip2Message,
    encode,
    now,
    parse,
)

# Circulation status of an item between libraries.
IN_TRANSIT = "10"
# Tries of a request whose answer came damaged or not at all.
TRIES = 3


class NoAnswer(ConnectionError):
    """The library system did not answer, even after all tries."""


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
        header = "N" + now() * 2
        fields = (("AP", location), ("AO", self.institution), ("AB", item), ("AC", ""))
        answer = self._ask(Sip2Message(CHECKIN, header, fields), CHECKIN_RESPONSE)
        kept = (answer.get(name) or None for name in ("CT", "CL", "CV"))
        return CheckedIn(answer.header[0] == "1", answer.get("AB") or item, answer.get("AQ") or "", *kept)

    def item_information(self, item: str) -> Information:
        """Ask where an item is; raises as `checkin` does."""
        answer = self._ask(Sip2Message(ITEM, now(), (("AO", self.institution), ("AB", item))), ITEM_RESPONSE)
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
