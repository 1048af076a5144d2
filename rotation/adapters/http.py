"""What comes over HTTP: CloudEvents from a source with a token, checked at the edge as the worker would, readers left out.

Only named fields are kept: whatever else an event carries, a reader's number among it, goes no further than this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import orjson

from rotation.events import FACTS, Edge, Envelope, Event, Reason, Rejection, parse

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
ATTRIBUTES = frozenset(Envelope.model_fields) - {
    "subject"
}  # nothing here reads a subject, and people write names into it
FIELDS = frozenset(one.alias or name for fact in FACTS for name, one in fact.model_fields.items())
EVENTS_PER_S = 500.0  # a source's lasting rate: a hundred times the peak of a large city's (30,000 loans a day)
BURST_EVENTS = 20_000.0  # a day's backlog after a night without a line may come at once


class Checked(NamedTuple):
    """A body as it may go on: events to send, what is refused (with its place), and the names of fields left out."""

    good: list[dict[str, Any]]
    refused: list[Rejection]
    dropped: list[str]


def check(body: bytes, content_type: str, edge: Edge, source: str | None = None) -> Checked:
    """Check a body; `source` None lets events name any source. Never raises on any bytes."""
    members, dropped = _members(body)
    if members is None:
        broken = [one for one in parse(body, edge) if isinstance(one, Rejection)]
        return Checked([], [one._replace(original=b"") for one in broken], [])
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
    """Return an event with its known fields alone, and the names of those left out."""
    data = member.get("data")
    kept = {key: value for key, value in member.items() if key in ATTRIBUTES and key != "data"}
    dropped = [str(key)[:64] for key in member if key not in ATTRIBUTES]
    if isinstance(data, dict):
        kept["data"] = {key: value for key, value in data.items() if key in FIELDS}
        dropped += [f"data.{str(key)[:64]}" for key in data if key not in FIELDS]
    return kept, dropped


def _members(body: bytes) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Return the events without what could name a reader; None where the bytes are no events at all."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, []
    members = value if isinstance(value, list) else [value]
    if not members or not all(isinstance(member, dict) for member in members):
        return None, []
    stripped = [without_readers(member) for member in members]
    return [kept for kept, _ in stripped], sorted({name for _, dropped in stripped for name in dropped})


def _wrong_shape(content_type: str, body: bytes) -> Rejection | None:
    """Return what is wrong where the content type says one event and there are many, or the other way round."""
    kind = content_type.partition(";")[0].strip().lower()
    is_array = body.lstrip()[:1] == b"["
    if (kind == BATCH and not is_array) or (kind == STRUCTURED and is_array):
        shape = "an array of events" if is_array else "one event"
        return Rejection(0, Reason.WRONG_HEADER, "content-type", f"says {kind!r}, but the content is {shape}", b"")
    return None


def _refused(member: dict[str, Any], edge: Edge, source: str | None) -> Rejection | None:
    alone = orjson.dumps(member)
    found = next(iter(parse(alone, edge)))
    if isinstance(found, Rejection):
        return found
    return _foreign(found, source, alone)


def _foreign(event: Event, source: str | None, alone: bytes) -> Rejection | None:
    if source is None or event.source == source or event.source.startswith(source + "/"):
        return None
    message = f"this token may speak for {source!r} and {source + '/...'!r} only"
    return Rejection(0, Reason.ENVELOPE, "source", message, alone)


def places(refused: list[Rejection]) -> Iterator[dict[str, Any]]:
    """Yield each refusal for the answer: which event, which field, why."""
    for one in refused:
        yield {"index": one.index, "field": one.field, "reason": str(one.reason), "message": one.message}


@dataclass
class Allowance:
    """How many events each source may still send now; in this process only, so n web processes allow n times as many."""

    per_s: float = EVENTS_PER_S
    burst: float = BURST_EVENTS
    left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, source: str, events: int, now: float | None = None) -> float:
        """Take so many events from the allowance of `source`; where they do not fit, take none and return the seconds to wait."""
        now = monotonic() if now is None else now
        left, at = self.left.get(source, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_s)
        wanted = min(float(events), self.burst)
        if left < wanted:
            self.left[source] = (left, now)
            return (wanted - left) / self.per_s
        self.left[source] = (left - wanted, now)
        return 0.0
