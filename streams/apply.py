"""From `circulation.events` to the database: a transaction for each batch of messages, all of it or none.

A batch is written only where it begins at the partition's next offset. Messages behind it were written before and are
skipped; messages ahead were missed, are read from Kafka itself and written first. So neither Faust's offsets nor its order need
be right.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import Cursor

from rotation.alerts.touched import Touched, notices
from rotation.dispatch.scans import follow_check_ins, follow_scans
from rotation.facts.events import Edge, Event
from rotation.kafka.clients import FetchGap
from rotation.kafka.message import Message
from rotation.kafka.topics import CIRCULATION_EVENTS, CIRCULATION_REJECTED, STOCK_TOUCHED
from rotation.network import Network
from rotation.store import facts, outbox, progress, rejections
from rotation.store.clock import clock_by
from rotation.store.engine import Reconnecting
from rotation.store.facts import CRATES, HOLDS, MACHINES, NOTHING_NEW, TRANSFERS, ClassMove, Staged
from rotation.store.networks import in_force_by
from rotation.store.progress import OffsetRange, StaleWorker
from streams import rows as rows_
from streams.rows import RejectedIndexes, Rows

log = logging.getLogger(__name__)

PAUSE_S = (0.1, 0.5, 1.0, 2.0)  # between attempts while the database refuses; the last goes on

Result = TypeVar("Result")


class Topics(NamedTuple):
    """The topics that apply reads and writes; tests use names of their own."""

    events: str = CIRCULATION_EVENTS.name
    touched: str = STOCK_TOUCHED.name
    rejected: str = CIRCULATION_REJECTED.name


class Written(NamedTuple):
    """The outcomes of a batch's events."""

    applied: int
    late: int
    duplicates: int
    rejected: int


ONLY_REPORTED = Touched(frozenset(), awaited=False)  # a machine; its copies are where they were
NOTHING_WRITTEN = Written(0, 0, 0, 0)


class Batch(NamedTuple):
    """Messages in order of partition and offset, their rows, and the rows packed for the database."""

    messages: tuple[Message, ...]
    rows: Rows
    staged: list[Staged]


class Stopped(Exception):
    """The worker stops while the database refuses: the next worker will read the batch again."""


class Writer:
    """Writes batches in order; a Writer for each worker, `prepare` on a thread, `write` on another and `positions` on any.

    Each has a connection of its own: two threads in transactions of the same connection would end each other's.
    """

    def __init__(self, database_url: str, network: Network, fetch_gap: FetchGap, topics: Topics = Topics()) -> None:
        """Connect at the first batch, and again whenever the connection is lost."""
        self._url, self._fetch_gap, self.topics = database_url, fetch_gap, topics
        self._network = network
        self._reading = Reconnecting(database_url)
        self._writing = Reconnecting(database_url, facts.prepare_session)
        self._next: dict[int, int] = {}
        self._rejected_before: RejectedIndexes = {}
        self.stopping = threading.Event()

    def prepare(self, messages: Sequence[Message]) -> Batch:
        """Parse messages against the network and its clock as it stands now."""
        return self._retrying(lambda: self._prepare(messages, self._reading))

    def write(self, batch: Batch) -> Written:
        """Write a batch, for as long as it takes; messages written before are left out, messages passed by are written first.

        Raises
        ------
        Stopped
            When the worker is to stop and the database does not answer.
        """
        return self._retrying(lambda: self._write(batch))

    def positions(self, partitions: Sequence[int], *, begin_anew: bool = False) -> dict[int, int]:
        """Return where each partition must be read from; `begin_anew` forgets this worker's view of all others."""
        if begin_anew:
            self._next = {}
        return self._retrying(lambda: self._asked_anew(partitions))

    def close(self) -> None:
        """Close the connections."""
        self.stopping.set()
        self._reading.close()
        self._writing.close()

    def _prepare(self, messages: Sequence[Message], connection: Reconnecting) -> Batch:
        # Of a partition that was given back to us some come twice.
        each = {message[:2]: message for message in messages}
        ordered = tuple(each[at] for at in sorted(each))
        return self._packed(ordered, rows_.rows_of(ordered, self._edge(connection), self._rejected_before), connection)

    def _packed(self, messages: tuple[Message, ...], rows: Rows, connection: Reconnecting) -> Batch:
        with connection.cursor() as cursor:
            return Batch(messages, rows, _staged(cursor, rows))

    def _edge(self, connection: Reconnecting) -> Edge:
        with connection.cursor() as cursor:
            now = clock_by(cursor).now()
            return Edge.of(in_force_by(cursor, self._network, self._network.day_of(now)), now)

    def _positions(self, messages: Sequence[Message]) -> dict[int, int]:
        partitions = {message.partition for message in messages}
        unknown = partitions - self._next.keys()
        if unknown:
            self._next.update(self._read_positions(sorted(unknown), self._writing))
        return {partition: self._next[partition] for partition in partitions}

    def _asked_anew(self, partitions: Sequence[int]) -> dict[int, int]:
        """Ask on a connection of its own: a second rebalance asks while the first still does."""
        connection = Reconnecting(self._url)
        try:
            return self._read_positions(partitions, connection)
        finally:
            connection.close()

    def _read_positions(self, partitions: Sequence[int], connection: Reconnecting) -> dict[int, int]:
        with connection.cursor() as cursor:
            found = progress.read(cursor, self.topics.events, partitions)
            rejected = rejections.rejected_before(cursor, self.topics.events, list(found.items()))
        self._rejected_before = {**self._rejected_before, **rejected}
        return found

    def _write(self, batch: Batch) -> Written:
        """Write the messages that Faust passed by before the batch, as often as there are some, then the batch."""
        while True:
            begins = self._positions(batch.messages)
            todo = [message for message in batch.messages if message.offset >= begins[message.partition]]
            missed = self._missed(begins, todo)
            try:
                if missed:
                    self._write_spans(_spans(begins, missed), self._prepare(missed, self._writing))
                elif todo:
                    mine = batch if len(todo) == len(batch.messages) else self._prepare(todo, self._writing)
                    return self._write_spans(_spans(begins, todo), mine)
                else:
                    return NOTHING_WRITTEN
            except StaleWorker as stale:
                log.warning("stale: %s; reading the positions again", stale)
                self._next = {}

    def _missed(self, begins: dict[int, int], messages: Sequence[Message]) -> list[Message]:
        """Return messages that Kafka holds before or between these, after those of the same partition that come before them.

        None where all gaps are real.
        """
        ends = dict(begins)
        for message in messages:
            begin = ends[message.partition]
            missed = self._fetch_gap(message.partition, begin, message.offset) if message.offset > begin else []
            if missed:
                log.warning(
                    "%d messages passed by from offset %d of partition %d",
                    len(missed),
                    missed[0].offset,
                    message.partition,
                )
                before = [one for one in messages if one.partition == message.partition and one.offset < begin]
                return before + missed
            ends[message.partition] = message.offset + 1
        return []

    def _write_spans(self, spans: list[OffsetRange], batch: Batch) -> Written:
        try:
            written = self._write_once(spans, batch)
        except psycopg.errors.UniqueViolation as known:
            log.error("a copy stands behind its movements: %s; looking for each", str(known).strip())
            written = self._write_once(spans, batch, trusting=False)
        except psycopg.DataError as rejected:
            log.error("the database rejects a batch: %s; writing its events one by one", rejected)
            written = self._write_one_by_one(spans, batch.messages)
        self._next.update({span.partition: span.end for span in spans})
        return written

    def _write_once(self, spans: list[OffsetRange], batch: Batch, *, trusting: bool = True) -> Written:
        with self._writing.cursor() as cursor:
            return write(cursor, self.topics, spans, batch.rows, batch.staged, trusting=trusting)

    def _write_one_by_one(self, spans: list[OffsetRange], messages: Sequence[Message]) -> Written:
        """Find the events that the database itself rejects, and write the rest with rejections in their place."""
        edge = self._edge(self._writing)
        rejected: list[rows_.RejectedEvent] = []
        for message, index, event in rows_.events_of(messages, edge):
            with self._writing.cursor() as cursor:
                why = _why_rejected(cursor, event)
            if why:
                rejected.append(rows_.rejection_by_store(message, index, message.value, why))
        known: dict[tuple[int, int], set[int]] = {}
        for one in rejected:
            known.setdefault(one[:2], set()).add(one.rejection.index)
        rest = rows_.rows_of(messages, edge, {**self._rejected_before, **known})
        rest.rejected += rejected
        with self._writing.cursor() as cursor:
            return write(cursor, self.topics, spans, rest, _staged(cursor, rest), trusting=False)

    def _retrying(self, step: Callable[[], Result]) -> Result:
        """Do `step` until the database takes it; an error that is no batch's fault must pass by itself or be mended by people."""
        for attempt in range(1_000_000_000):
            try:
                return step()
            except Stopped:
                raise
            except Exception as error:
                log.error("attempt %d: %s: %s", attempt + 1, type(error).__name__, str(error).strip())
                self._next = {}
                if self.stopping.wait(PAUSE_S[min(attempt, len(PAUSE_S) - 1)]):
                    raise Stopped from error
        raise Stopped


def _spans(begins: dict[int, int], messages: Sequence[Message]) -> list[OffsetRange]:
    """Return the span that each partition moves over when these messages, in order, are written."""
    spans: dict[int, OffsetRange] = {}
    for message in messages:
        begin = begins[message.partition]
        span = spans.get(message.partition, OffsetRange(message.partition, begin, begin))
        spans[message.partition] = span._replace(end=message.offset + 1, gap=span.gap + message.offset - span.end)
    return list(spans.values())


def write(
    cursor: Cursor[Any],
    topics: Topics,
    spans: Sequence[OffsetRange],
    rows: Rows,
    staged: Sequence[Staged],
    *,
    trusting: bool = True,
) -> Written:
    """Write a batch in the transaction of `cursor`: all of it, or StaleWorker and nothing.

    `trusting` copies to stand where their last movement put them; see `facts.add_movements`.
    """
    facts.stage(cursor, staged)
    progress.advance(cursor, topics.events, spans, rows.middle_at, rows.members)
    moved, touched = _write_copies(cursor, rows, trusting=trusting)
    others = _write_others(cursor, rows)
    touched = {**dict.fromkeys(others[-1].subjects, ONLY_REPORTED), **touched}
    rejected = rejections.add(cursor, topics.events, rows.rejected, topics.rejected)
    written = _summed(rows, [moved, *others], rejected)
    outbox.put(cursor, topics.touched, [(None, said) for said in notices(touched)])
    if moved.counted:
        facts.hear_places(cursor)
    facts.add_counts(cursor, {name: count for name, count in written._asdict().items() if count})
    facts.add_heard(cursor, rows.heard)
    outbox.notify(cursor, "stock", touched, events=sum(written))
    return written


def _staged(cursor: Cursor[Any], rows: Rows) -> list[Staged]:
    """Pack the rows of each set."""
    sets = ((HOLDS, rows.holds), (TRANSFERS, rows.transfers), (CRATES, rows.crates), (MACHINES, rows.machines))
    packed = [facts.staged_facts(cursor, set_, mine.rows) for set_, mine in sets if mine.rows]
    if rows.movements.rows:
        packed.append(facts.staged_movements(cursor, rows.movements.rows, rows.movements.newest))
    if rows.listings:
        packed.append(facts.staged_listings(cursor, rows.listings))
    if rows.shelvings:
        packed.append(facts.staged_shelvings(cursor, rows.shelvings))
    return packed


def _write_copies(
    cursor: Cursor[Any], rows: Rows, *, trusting: bool = True
) -> tuple[facts.NewFacts, dict[str, Touched]]:
    if not rows.movements.rows:
        return NOTHING_NEW, {}
    several = len(rows.movements.newest) < len(rows.movements.rows)
    new, moved = facts.add_movements(cursor, rows.movements.behind, several, trusting=trusting)
    if rows.shelvings:
        facts.shelve_copies(cursor)
    return new, _touched(moved, facts.list_copies(cursor) if rows.listings else set())


def _touched(moved: Sequence[ClassMove], listed: Collection[tuple[str, str]]) -> dict[str, Touched]:
    """Return the places whose levels may have changed, with the classes, and whether copies began or ceased to be awaited."""
    ends = ((one.cls or "", one.from_place, one.at_place, one.was_awaited, one.awaited) for one in moved)
    shelves = {(place, cls) for cls, *places in ends for place in places if place}
    awaiting = {place for one in moved for place in (one.was_awaited, one.awaited) if place}
    classes: dict[str, set[str]] = {place: set() for place in awaiting}
    for place, cls in shelves.union(listed):
        classes.setdefault(place, set()).add(cls)
    return {place: Touched(frozenset(found - {""}), place in awaiting) for place, found in classes.items()}


def _write_others(cursor: Cursor[Any], rows: Rows) -> list[facts.NewFacts]:
    """Write facts of holds, transfers, crates and, last, machines, and bring those that are news up to date."""
    all_new = []
    for set_, mine, update in (
        (HOLDS, rows.holds, facts.update_holds),
        (TRANSFERS, rows.transfers, facts.update_transfers),
        (CRATES, rows.crates, facts.update_crates),
        (MACHINES, rows.machines, facts.update_machines),
    ):
        new = facts.add_facts(cursor, set_, mine.behind, mine.counted) if mine.rows else NOTHING_NEW
        if new.subjects:
            update(cursor, new.subjects)
        all_new.append(new)
    if rows.transfers.rows:
        follow_check_ins(cursor)
    if rows.crates.rows:
        follow_scans(cursor)
    return all_new


def _summed(rows: Rows, new: Sequence[facts.NewFacts], rejected: int) -> Written:
    """Give every event a single count: those that were not new to their set are duplicates."""
    counted = sum(
        len(set_.counted) for set_ in (rows.movements, rows.holds, rows.transfers, rows.crates, rows.machines)
    )
    fresh, late = sum(one.counted for one in new), sum(one.late for one in new)
    return Written(fresh - late, late, counted - fresh + rows.duplicates, rejected)


def _why_rejected(cursor: Cursor[Any], event: Event) -> str | None:
    """Try an event alone and undo it; return the database's error where it rejects the event."""
    rows = rows_.of_event(event)
    try:
        with cursor.connection.transaction(force_rollback=True):
            facts.stage(cursor, _staged(cursor, rows))
            _write_copies(cursor, rows, trusting=False)
            _write_others(cursor, rows)
    except psycopg.DataError as error:
        return str(error).strip()
    return None
