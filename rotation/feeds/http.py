"""Events over HTTP: CloudEvents from a source with a token, checked at the edge as the worker would, without readers' data.

Only named fields are kept: everything else in an event, such as a reader's number, goes no further than this module.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from rotation.facts.events import (
    FACTS,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    Edge,
    Envelope,
    Event,
    Rejection,
    RejectionReason,
    parse,
)

# Zlib's way of naming a stream with gzip's header.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
GZIP = ("gzip", "x-gzip")
# Prefix of an attribute in a header: CloudEvents' binary mode.
CE = "ce-"
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
ATTRIBUTES = frozenset(Envelope.model_fields) - {
    "subject"
}  # nothing here reads a subject, and people write names into it
FIELDS = frozenset(field.alias or name for fact in FACTS for name, field in fact.model_fields.items())
# A source's sustained rate: a hundred times the peak of a large city (30,000 loans a day).
EVENTS_PER_S = 500.0
# A day's backlog after a night offline may come at once.
BURST_EVENTS = 20_000.0
# An event counts for as many as its bytes are worth.
EVENT_BYTES = 300


class TooLarge(ValueError):
    """A body is larger than a message may be."""


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a gzip-compressed body unpacked.

    Raises
    ------
    ValueError
        When it is not encoded as `encoding` says, or the encoding is unknown.
    TooLarge
        When it has more than MAX_BATCH_BYTES.
    """
    declared = encoding.strip().lower()
    if declared in ("", "identity"):
        return body
    if declared not in GZIP:
        raise ValueError(f"says {encoding!r}; expected gzip or none")
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        content = unpacker.decompress(body, MAX_BATCH_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"says {encoding!r}, but the content is not: {error}") from error
    if len(content) > MAX_BATCH_BYTES:
        raise TooLarge(f"more than {MAX_BATCH_BYTES} bytes unpacked")
    if not unpacker.eof:
        raise ValueError(f"says {encoding!r}, but the content ends in the middle")
    return content


def is_binary(headers: Mapping[str, str], kind: str) -> bool:
    """Whether the headers hold the attributes of one event, and the body its data: CloudEvents' binary mode."""
    return kind not in (STRUCTURED, BATCH) and any(name.lower().startswith(CE) for name in headers)


def structured(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return an event of binary mode in structured mode; bytes that are not JSON stay unchanged, to be rejected later."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    attributes: dict[str, Any] = {
        name.lower().removeprefix(CE): _attribute(value)
        for name, value in headers.items()
        if name.lower().startswith(CE)
    }
    if attributes.get("sequence", "").isdecimal():
        attributes["sequence"] = int(attributes["sequence"])
    return orjson.dumps(attributes | {"data": data})


def _attribute(value: str) -> str:
    """Return a header's value: percent-encoded UTF-8 by the standard, plain UTF-8 from senders that ignore it."""
    return unquote(value.encode("latin-1", "replace").decode("utf-8", "replace"))


class Checked(NamedTuple):
    """A checked body: events to send, rejections (with their index), and the names of dropped fields."""

    good: list[dict[str, Any]]
    refused: list[Rejection]
    dropped: list[str]


def check(body: bytes, content_type: str, edge: Edge, source: str | None = None) -> Checked:
    """Check a body; `source` None lets events name any source. Never raises on any bytes."""
    members, dropped = _members(body)
    if members is None:
        broken = [rejection for rejection in parse(body, edge) if isinstance(rejection, Rejection)]
        return Checked([], [rejection._replace(original=b"") for rejection in broken], [])
    wrong = _wrong_shape(content_type, body)
    if wrong:
        return Checked([], [wrong], dropped)
    good, refused = [], []
    for index, member in enumerate(members):
        rejection = _refused(member, edge, source)
        if rejection:
            refused.append(rejection._replace(index=index))
        else:
            good.append(member)
    return Checked(good, refused, dropped)


def without_readers(member: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return an event with its known fields only, and the names of the dropped fields."""
    data = member.get("data")
    kept = {key: value for key, value in member.items() if key in ATTRIBUTES and key != "data"}
    dropped = [str(key)[:64] for key in member if key not in ATTRIBUTES]
    if isinstance(data, dict):
        kept["data"] = {key: value for key, value in data.items() if key in FIELDS}
        dropped += [f"data.{str(key)[:64]}" for key in data if key not in FIELDS]
    return kept, dropped


def _members(body: bytes) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Return the events without fields that could name a reader; None where the bytes are not events."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, []
    members = value if isinstance(value, list) else [value]
    if not 0 < len(members) <= MAX_BATCH_EVENTS or not all(isinstance(member, dict) for member in members):
        return None, []
    stripped = [without_readers(member) for member in members]
    return [kept for kept, _ in stripped], sorted({name for _, dropped in stripped for name in dropped})


def _wrong_shape(content_type: str, body: bytes) -> Rejection | None:
    """Return a rejection where the content type promises one event and there are many, or the other way round."""
    kind = content_type.partition(";")[0].strip().lower()
    is_array = body.lstrip()[:1] == b"["
    if (kind == BATCH and not is_array) or (kind == STRUCTURED and is_array):
        shape = "an array of events" if is_array else "one event"
        return Rejection(
            0, RejectionReason.WRONG_HEADER, "content-type", f"says {kind!r}, but the content is {shape}", b""
        )
    return None


def _refused(member: dict[str, Any], edge: Edge, source: str | None) -> Rejection | None:
    alone = orjson.dumps(member)
    event = next(iter(parse(alone, edge)))
    if isinstance(event, Rejection):
        return event
    return _foreign(event, source, alone)


def _foreign(event: Event, source: str | None, alone: bytes) -> Rejection | None:
    if source is None or event.source == source or event.source.startswith(source + "/"):
        return None
    message = f"this token may speak for {source!r} and {source + '/...'!r} only"
    return Rejection(0, RejectionReason.ENVELOPE, "source", message, alone)


def places(refused: list[Rejection]) -> Iterator[dict[str, Any]]:
    """Yield each rejection for the response: which event, which field, why."""
    for rejection in refused:
        yield {
            "index": rejection.index,
            "field": rejection.field,
            "reason": str(rejection.reason),
            "message": rejection.message,
        }


@dataclass
class Allowance:
    """How many events each source may still send now; in this process only, so n web processes allow n times as many."""

    per_s: float = EVENTS_PER_S
    burst: float = BURST_EVENTS
    left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, source: str, events: int, size: int = 0, now: float | None = None) -> float:
        """Take `events` of `size` bytes together from the allowance of `source`.

        If they do not fit, take none and return the seconds to wait.
        """
        now = monotonic() if now is None else now
        events = max(events, size // EVENT_BYTES)
        left, at = self.left.get(source, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_s)
        wanted = min(float(events), self.burst)
        if left < wanted:
            self.left[source] = (left, now)
            return (wanted - left) / self.per_s
        self.left[source] = (left - wanted, now)
        return 0.0
