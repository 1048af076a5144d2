"""What all adapters share: facts in batches to whoever carries them on, and what could not be told, kept once with its place.

An adapter is a pure translation from the library system's records, of which it reads named fields alone, so that no reader
comes in. Ids and times follow from the record: told again after a crash, nothing has a second effect.
"""

import csv
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

from rotation.events import Edge, Fact, Reason, Rejection, cloud_event, parse

BATCH_EVENTS = 100
ACK_S = 30.0
T = TypeVar("T")
Told = dict[str, Any]  # one CloudEvent


def records(reader: Iterator[list[str]]) -> Iterator[list[str] | csv.Error]:
    """Yield each record of a csv.reader, or what it says of one that it cannot read; it goes on behind that."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error


class Refusal(NamedTuple):
    """A record that cannot be told: `edge` and `position` say where it stands in its system, once and for all."""

    edge: str  # "file:NAME", "folio:TOPIC", "koha:TABLE"
    position: tuple[int, int]  # partition and offset, 0 and line, 0 and id
    rejection: Rejection


Translated = Told | Refusal
Tell = Callable[[Sequence[Told]], None]  # returns when the events stand where nothing loses them
Refuse = Callable[[Sequence[Refusal]], None]


@dataclass
class Report:
    """What became of the records."""

    told: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return it for people and programs."""
        return {"events": self.told.total(), "told": dict(self.told), "refused": dict(self.refused)}


def carry(translated: Iterable[Translated], tell: Tell, refuse: Refuse, report: Report | None = None) -> Report:
    """Carry a stretch of what was translated on, in order and in batches, and count it."""
    report = report or Report()
    for some in in_batches(translated, BATCH_EVENTS):
        events = [one for one in some if isinstance(one, dict)]
        refusals = [one for one in some if isinstance(one, Refusal)]
        if events:
            tell(events)
        if refusals:
            refuse(refusals)
        report.told.update(event["type"] for event in events)
        report.refused.update(str(one.rejection.reason) for one in refusals)
    return report


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` items."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def event(fact: Fact, source: str, time: datetime, *, event_id: str, sequence: int = 0) -> Told:
    """Return a fact as a CloudEvent."""
    return cloud_event(fact, event_id=event_id, source=source, time=time, sequence=sequence)


def id_of(*parts: object) -> str:
    """Return an id that follows from the parts alone, whatever their length."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def refusal(
    edge: str, position: tuple[int, int], reason: Reason, field: str, message: str, kept: object = None, index: int = 0
) -> Refusal:
    """Return a refusal; `kept` is what of the record names no reader."""
    original = b"" if kept is None else orjson.dumps(kept, default=str)
    return Refusal(edge, position, Rejection(index, reason, field[:300], message[:1000], original))


def checked(translated: Iterable[Translated], edge: Edge, name: str) -> Iterator[Translated]:
    """Pass on what the worker would take; the rest as refusals: for dry runs, which must not promise too much."""
    for number, one in enumerate(translated, 1):
        found = next(iter(parse(orjson.dumps(one), edge))) if isinstance(one, dict) else None
        yield Refusal(name, (0, number), found) if isinstance(found, Rejection) else one


def in_its_file(one: Translated) -> Translated:
    """Tell a refusal from that of another line at its place, in a later file of the same name, by a checksum."""
    if not isinstance(one, Refusal):
        return one
    said = f"{one.rejection.field}\n{one.rejection.message}".encode("utf-8", "replace") + one.rejection.original
    return one._replace(position=(zlib.crc32(said) >> 1, one.position[1]))


class Producer(Protocol):
    """What of a kafka-python producer is used here."""

    def send(self, topic: str, value: bytes) -> Any: ...


def to_kafka(producer: Producer, topic: str) -> Tell:
    """Return a `tell` that sends a batch as one message and waits until the broker has it."""

    def tell(events: Sequence[Told]) -> None:
        producer.send(topic, orjson.dumps(list(events))).get(timeout=ACK_S)

    return tell
