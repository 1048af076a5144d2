"""Shared by all adapters: facts go out in batches, and records that cannot be translated are kept once, with their position.

An adapter is a pure translation of the library system's records. It reads named fields alone, so that no reader's data comes in.
Ids and times follow from the record, so sending it again after a crash has no second effect.
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

from rotation.facts.events import Edge, Fact, Rejection, RejectionReason, cloud_event, parse

BATCH_EVENTS = 100  # of a message
# Sent before the brokers' answers are waited for: a wait a message would be most of a large system's first load.
WINDOW_EVENTS = 2_000
ACK_S = 30.0
# A word that a map lacks is named with its count; so many of them show what to mend.
MOST_WORDS = 100
NOT_IN_THE_MAP = "is not in the map"
T = TypeVar("T")
# A CloudEvent as a dictionary.
EventDict = dict[str, Any]


def records(reader: Iterator[list[str]]) -> Iterator[list[str] | csv.Error]:
    """Yield each record of a csv.reader, or the reader's error about an unreadable record, and continue behind it."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error


class RejectedRecord(NamedTuple):
    """A record that cannot be translated: `edge` and `position` identify it within its system for good."""

    edge: str  # "file:NAME", "folio:TOPIC", "koha:TABLE"
    position: tuple[int, int]  # partition and offset, 0 and line, 0 and id
    rejection: Rejection


Translated = EventDict | RejectedRecord
# Returns when the events, at most WINDOW_EVENTS, are safe.
Send = Callable[[Sequence[EventDict]], None]
Reject = Callable[[Sequence[RejectedRecord]], None]


@dataclass
class FeedReport:
    """Counts of an adapter's records: sent as events by type, rejected by reason."""

    sent: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    read: int = 0  # records, where the adapter counts them
    # Lines of a table that are no records: totals, feet of pages.
    captions: int = 0
    # Rows of a table that say nothing: the map skips their state, or their home takes no part.
    passed_over: int = 0
    # The sheet of a workbook that was read, and the others.
    sheets: dict[str, str | list[str]] = field(default_factory=dict)
    # Words that a map lacks, each with its count.
    lacking: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for people and programs."""
        counts = {"events": self.sent.total(), "told": dict(self.sent), "refused": dict(self.rejected)}
        lacking = {"not_in_the_map": dict(self.lacking.most_common(MOST_WORDS))} if self.lacking else {}
        rows = {"captions": self.captions, "passed_over": self.passed_over}
        table = {name: count for name, count in rows.items() if count}
        return ({"read": self.read} if self.read else {}) | table | self.sheets | counts | lacking

    def reading(self, records: Iterable[T]) -> Iterator[T]:
        """Pass records on and count them."""
        for record in records:
            self.read += 1
            yield record


def carry(translated: Iterable[Translated], send: Send, reject: Reject, report: FeedReport | None = None) -> FeedReport:
    """Send translated records in order and in windows, and count them."""
    report = report or FeedReport()
    for some in in_batches(translated, WINDOW_EVENTS):
        events = [record for record in some if isinstance(record, dict)]
        rejected = [record for record in some if isinstance(record, RejectedRecord)]
        if events:
            send(events)
        if rejected:
            reject(rejected)
        report.sent.update(event["type"] for event in events)
        report.rejected.update(str(record.rejection.reason) for record in rejected)
        messages = (record.rejection.message for record in rejected)
        report.lacking.update(message for message in messages if NOT_IN_THE_MAP in message)
    return report


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` items."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def event(fact: Fact, source: str, time: datetime, *, event_id: str, sequence: int = 0) -> EventDict:
    """Return a fact as a CloudEvent."""
    return cloud_event(fact, event_id=event_id, source=source, time=time, sequence=sequence)


def id_of(*parts: object) -> str:
    """Return an id that follows from the parts alone, of any length."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


LONGEST_NAME = 300  # of a title
# What cataloguing rules put behind a title, a subtitle and an author.
PUNCTUATION = " /:;,.="


def title_name(title: object, subtitle: object = None, author: object = None) -> str:
    """Return a title as lists show it, `title : subtitle / author`; empty without a title."""
    parts = [
        " ".join(str(part or "").replace("\0", "").split()).strip(PUNCTUATION) for part in (title, subtitle, author)
    ]
    if not parts[0]:
        return ""
    named = parts[0] + (f" : {parts[1]}" if parts[1] else "") + (f" / {parts[2]}" if parts[2] else "")
    return named[:LONGEST_NAME]


def rejected_record(
    edge: str,
    position: tuple[int, int],
    reason: RejectionReason,
    field: str,
    message: str,
    kept: object = None,
    index: int = 0,
) -> RejectedRecord:
    """Return a rejected record; `kept` is the part of the record that names no reader."""
    original = b"" if kept is None else orjson.dumps(kept, default=str)
    return RejectedRecord(edge, position, Rejection(index, reason, field[:300], message[:1000], original))


def checked(translated: Iterable[Translated], edge: Edge, name: str) -> Iterator[Translated]:
    """Pass on the events that the worker would accept, and reject the others: for dry runs, which must not overpromise."""
    for number, record in enumerate(translated, 1):
        parsed = next(iter(parse(orjson.dumps(record), edge))) if isinstance(record, dict) else None
        yield RejectedRecord(name, (0, number), parsed) if isinstance(parsed, Rejection) else record


def in_its_file(record: Translated) -> Translated:
    """Distinguish a rejection from that of another line at the same position, in a later file of the same name, by a checksum."""
    if not isinstance(record, RejectedRecord):
        return record
    rejection = record.rejection
    content = f"{rejection.field}\n{rejection.message}".encode("utf-8", "replace") + rejection.original
    return record._replace(position=(zlib.crc32(content) >> 1, record.position[1]))


class Producer(Protocol):
    """A sender of messages that waits until the brokers have them all (`rotation.kafka.clients.MendingProducer`)."""

    def send_all(self, topic: str, values: Iterable[bytes], within_s: float) -> None: ...


def messages(events: Sequence[EventDict]) -> Iterator[bytes]:
    """Yield events in their order as messages of BATCH_EVENTS."""
    return (orjson.dumps(some) for some in in_batches(events, BATCH_EVENTS))


def to_kafka(producer: Producer, topic: str) -> Send:
    """Return a function that sends events as messages and waits until the brokers have them."""

    def send(events: Sequence[EventDict]) -> None:
        producer.send_all(topic, messages(events), ACK_S)

    return send
