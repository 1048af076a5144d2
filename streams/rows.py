"""From messages to rows: every event of a batch is parsed once and becomes rows of the facts' sets, or a rejection.

Each event is counted in a single set, that of its subject: the copy where it moves a copy, else the hold, transfer or crate.
Within a batch as in the database: the same fact twice is a duplicate, an earlier fact after a later fact is behind.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from rotation.facts.events import FACT_OF_TYPE, Edge, Event, Rejection, RejectionReason, ShelvedFact, parse
from rotation.facts.lifecycle import CrateState
from rotation.kafka.message import Message

OWN = "own:"  # before the copy's id: a shipment of the library system that bears no id of its own
LOOKED_AT = 100
Row = tuple[Any, ...]
Key = tuple[
    str, datetime, int, str, str
]  # subject, occurred_at, sequence, source, event id: a fact's identity and order


class RejectedEvent(NamedTuple):
    """A rejection with the position of its message."""

    partition: int
    offset: int
    rejection: Rejection


@dataclass(slots=True)
class Facts:
    """Rows of a set of facts by identity, in order of arrival, and which of them are the newest of their subject."""

    rows: dict[Key, Row] = field(default_factory=dict)
    newest: dict[str, Key] = field(default_factory=dict)
    behind: set[Key] = field(default_factory=set)
    counted: set[Key] = field(default_factory=set)

    def add(self, key: Key, rest: Row, counted: bool) -> bool:
        """Add a fact; return whether it is new to this batch."""
        if key in self.rows:
            return False
        self.rows[key] = rest
        newest = self.newest.get(key[0])
        if newest is None or key > newest:
            self.newest[key[0]] = key
        else:
            self.behind.add(key)
        if counted:
            self.counted.add(key)
        return True


@dataclass(slots=True)
class Rows:
    """The rows of a batch of messages, ready to be written."""

    movements: Facts = field(default_factory=Facts)
    holds: Facts = field(default_factory=Facts)
    transfers: Facts = field(default_factory=Facts)
    crates: Facts = field(default_factory=Facts)
    machines: Facts = field(default_factory=Facts)
    listings: dict[str, Row] = field(
        default_factory=dict
    )  # by the newest copy.added; of two at once, the greater words
    shelvings: dict[str, Row] = field(default_factory=dict)  # by the newest fact that says any, as listings
    rejected: list[RejectedEvent] = field(default_factory=list)
    heard: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    duplicates: int = 0
    members: Counter[int] = field(default_factory=Counter)  # by partition: all that `parse` found

    @property
    def middle_at(self) -> datetime | None:
        """When the middle event that moves a copy happened; of many, a sample is looked at."""
        moves = self.movements.rows
        times = sorted(key[1] for key in islice(moves, 0, None, max(1, len(moves) // LOOKED_AT)))
        return times[len(times) // 2] if times else None


RejectedIndexes = Mapping[
    tuple[int, int], Collection[int]
]  # partition, offset -> indexes of events that were rejected before


def rows_of(messages: Iterable[Message], edge: Edge, rejected_before: RejectedIndexes | None = None) -> Rows:
    """Return the rows of the messages; events in `rejected_before` stay rejected, even if they would be valid by now."""
    rows = Rows()
    for message in messages:
        known = (rejected_before or {}).get((message.partition, message.offset), ())
        for index, member in enumerate(parse(message.value, edge, message.headers)):
            rows.members[message.partition] += 1
            if isinstance(member, Rejection):
                rows.rejected.append(RejectedEvent(message.partition, message.offset, _storable(member)))
            elif index not in known:
                _add(rows, member)
    return rows


def events_of(messages: Iterable[Message], edge: Edge) -> Iterator[tuple[Message, int, Event]]:
    """Yield the valid events, each with its message and its index there."""
    for message in messages:
        for index, member in enumerate(parse(message.value, edge, message.headers)):
            if not isinstance(member, Rejection):
                yield message, index, member


def of_event(event: Event) -> Rows:
    """Return the rows of a single event."""
    rows = Rows()
    _add(rows, event)
    return rows


def _add(rows: Rows, event: Event) -> None:
    last, heard = rows.heard.get(event.source, (event.time, 0))
    rows.heard[event.source] = (max(last, event.time), heard + 1)
    if not _ADDERS[event.fact.type](rows, event):
        rows.duplicates += 1


def _key(subject: str, event: Event) -> Key:
    return subject, event.time, event.sequence, event.source, event.id


def _add_movement(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    state = fact.now if fact.type == "copy.corrected" else fact.state
    to = fact.to if "to" in fact.place_fields else None
    return rows.movements.add(_key(fact.copy_id, event), (state, fact.place, to), True)


def _add_copy_fact(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    if fact.type == "copy.added":
        listing = (
            event.time,
            fact.title,
            fact.title_class,
            fact.owner or "",
            fact.place,
            fact.fixed,
            fact.title_name or "",
            fact.volume_of or "",
        )
        rows.listings[fact.copy_id] = max(listing, rows.listings.get(fact.copy_id, listing))
    if isinstance(fact, ShelvedFact) and fact.shelving:
        shelving = (event.time, *fact.shelving)
        rows.shelvings[fact.copy_id] = max(shelving, rows.shelvings.get(fact.copy_id, shelving))
    return _add_movement(rows, event)


def _add_hold_fact(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    moves = fact.state is not None
    new = rows.holds.add(_key(fact.hold, event), (fact.type, fact.title, fact.place, fact.copy_id), not moves)
    return _add_movement(rows, event) if moves else new


def _add_transfer_fact(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    moves = fact.state is not None
    rest = (
        fact.type,
        fact.copy_id,
        fact.place,
        getattr(fact, "to", None),
        getattr(fact, "crate", None),
        getattr(fact, "reason", None),
    )
    new = rows.transfers.add(_key(fact.transfer or OWN + fact.copy_id, event), rest, not moves)
    return _add_movement(rows, event) if moves else new


def _add_crate_fact(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    copies = Jsonb(list(fact.copies)) if fact.type == CrateState.CLOSED else None
    rest = (fact.type, fact.place, getattr(fact, "to", None), getattr(fact, "run", None), copies)
    return rows.crates.add(_key(fact.crate, event), rest, True)


def _add_machine_fact(rows: Rows, event: Event) -> bool:
    fact: Any = event.fact
    return rows.machines.add(_key(fact.place, event), (fact.bin_copies, fact.free_slots, fact.fault), True)


_ADDERS_OF: dict[str, Callable[[Rows, Event], bool]] = {
    "copy": _add_copy_fact,
    "hold": _add_hold_fact,
    "transfer": _add_transfer_fact,
    "crate": _add_crate_fact,
    "machine": _add_machine_fact,
}
_ADDERS = {name: _ADDERS_OF[name.partition(".")[0]] for name in FACT_OF_TYPE}


def _storable(rejection: Rejection) -> Rejection:
    """Return the rejection without NUL in its words, which PostgreSQL's text cannot hold; the original bytes stay."""
    return rejection._replace(
        field=rejection.field.replace("\x00", "\\0"), message=rejection.message.replace("\x00", "\\0")
    )


def rejection_by_store(message: Message, index: int, original: bytes, why: str) -> RejectedEvent:
    """Return the rejection of an event that the database itself will not take."""
    rejection = Rejection(index, RejectionReason.REFUSED_BY_STORE, "", why, original)
    return RejectedEvent(message.partition, message.offset, _storable(rejection))
