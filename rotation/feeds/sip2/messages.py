"""SIP2's messages: bytes with a checksum, a fixed part, and fields, in the library system's coding."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

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


class Broken(ValueError):
    """Bytes that are not a SIP2 message: too short, or with a wrong checksum."""


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


def now() -> str:
    """Return the local time as messages write it."""
    return datetime.now().astimezone().strftime("%Y%m%d    %H%M%S")
