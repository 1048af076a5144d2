"""LibrariesWest's snapshots as facts: the copies sent and received between two of them.

A snapshot's row has no item number, so equal rows are interchangeable. For each row two numbers suffice: how many copies it has
stood for, and how many of these have arrived; the first sent arrive first. All ids follow from a row and such a number,
so importing twice, or in any order of batches, changes nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from typing import Any, NamedTuple, Protocol

import orjson

from rotation.facts.events import CopyAdded, CopyCorrected, TransferReceived, TransferSent, cloud_event
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import ACK_S, BATCH_EVENTS, in_batches
from rotation.feeds.librarieswest.snapshots import TransitRow, TransitSnapshot, class_of, end_of_day, slug
from rotation.network import NetworkMistake

SOURCE = "librarieswest"


@dataclass
class CopyLedger:
    """How many copies each row has stood for so far (`sent`), and how many of these have arrived (`arrived`).

    `places` are the network's; None: none is asked for.
    """

    places: frozenset[str] | None = None
    sent: Counter[TransitRow] = field(default_factory=Counter)
    arrived: Counter[TransitRow] = field(default_factory=Counter)

    def in_transit(self) -> Counter[TransitRow]:
        """Return the rows of the last snapshot with their counts."""
        return self.sent - self.arrived


def events(ledger: CopyLedger, snapshot: TransitSnapshot) -> Iterator[dict[str, Any]]:
    """Yield the events between the ledger's state and the snapshot's, as CloudEvents, and advance the ledger.

    A row that is new, or appears more often than before, was sent at its own date (so back-dated rows count from it);
    a row that appears less often has arrived by the snapshot's day.
    """
    out = ledger.in_transit()
    for row in sorted(out.keys() | snapshot.rows.keys()):
        for _ in range(snapshot.rows[row] - out[row]):
            ledger.sent[row] += 1
            yield from _sent(row, ledger.sent[row], ledger.places)
        for _ in range(out[row] - snapshot.rows[row]):
            ledger.arrived[row] += 1
            yield _received(row, ledger.arrived[row], snapshot.clock)


def copy_id(row: TransitRow, number: int) -> str:
    """Return the repeatable id of the `number`-th copy of a row."""
    return f"lw-{hashlib.blake2b('|'.join(row).encode(), digest_size=8).hexdigest()}-{number}"


def _sent(row: TransitRow, number: int, places: frozenset[str] | None) -> Iterator[dict[str, Any]]:
    """Yield that the copy exists and was checked in for its destination; rows lack titles, so each copy gets its own.

    A transfer to a place that the network has not is refused when it is applied: its copy is unknown, not on the sender's shelf.
    """
    copy, at, place = copy_id(row, number), end_of_day(date.fromisoformat(row.date_transited)), slug(row.from_library)
    added = CopyAdded.model_validate({"copy": copy, "place": place, "title": copy, "class": class_of(row.item_type)})
    yield cloud_event(added, event_id=f"{copy}-added", source=SOURCE, time=at)
    if places is not None and slug(row.to_library) not in places:
        away = CopyCorrected.model_validate({"copy": copy, "place": place, "now": CopyState.UNKNOWN})
        yield cloud_event(away, event_id=f"{copy}-away", source=SOURCE, time=at, sequence=1)
    sent = TransferSent.model_validate({"copy": copy, "place": place, "to": slug(row.to_library)})
    yield cloud_event(sent, event_id=f"{copy}-sent", source=SOURCE, time=at, sequence=1)


def _received(row: TransitRow, number: int, at: datetime) -> dict[str, Any]:
    copy = copy_id(row, number)
    received = TransferReceived.model_validate({"copy": copy, "place": slug(row.to_library)})
    return cloud_event(received, event_id=f"{copy}-received", source=SOURCE, time=at, sequence=2)


# --- Sending ----------------------------------------------------------------------------------------------------------


class BatchProducer(Protocol):
    """The methods of a kafka-python producer that are used here."""

    def send(self, topic: str, value: bytes) -> Any: ...
    def flush(self) -> Any: ...


class Import(NamedTuple):
    """Counts of an import, and the mistakes in its files."""

    files: int
    events: int
    batches: int
    clock: datetime
    faults: tuple[NetworkMistake, ...]


def happened(snapshots: Iterable[TransitSnapshot], ledger: CopyLedger | None = None) -> Iterator[dict[str, Any]]:
    """Yield the events of consecutive snapshots, starting from a given ledger or an empty one."""
    known = CopyLedger() if ledger is None else ledger
    return chain.from_iterable(events(known, snapshot) for snapshot in snapshots)


def send(
    producer: BatchProducer, topic: str, shown: Iterable[TransitSnapshot], places: frozenset[str] | None = None
) -> Import:
    """Send consecutive snapshots to a topic, wait until the broker has all of it, and return the counts.

    Raises
    ------
    KafkaError
        When the broker did not accept a batch; sending it again has no second effect.
    """
    shown = list(shown)
    waiting, events_sent = [], 0
    for batch in in_batches(happened(shown, CopyLedger(places)), BATCH_EVENTS):
        waiting.append(producer.send(topic, orjson.dumps(batch)))
        events_sent += len(batch)
    producer.flush()
    for acknowledgement in waiting:
        acknowledgement.get(timeout=ACK_S)
    faults = tuple(chain.from_iterable(snapshot.faults for snapshot in shown))
    return Import(len(shown), events_sent, len(waiting), shown[-1].clock, faults)
