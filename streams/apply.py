"""From `circulation.events` to the database: one transaction for each batch of messages, or none of it.

A batch is written only where it begins at the partition's next offset. What lies behind was written before and is skipped; what
lies ahead was missed, is read from Kafka itself and written first. So neither Faust's offsets nor its order need be right.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import Cursor

from rotation.alerts.rules import Touched, notices
from rotation.dispatch.following import follow_scans
from rotation.events import Edge, Event
from rotation.network import Network
from rotation.store import facts, outbox, progress, rejections
from rotation.store.clock import clock_by
from rotation.store.engine import Reconnecting
from rotation.store.facts import CRATES, HOLDS, NOTHING_NEW, TRANSFERS, Moved, Staged
from rotation.store.progress import Span, StaleWorker
from streams import rows as rows_
from streams.rows import Message, Refusals, Rows

log = logging.getLogger(__name__)

PAUSE_S = (0.1, 0.5, 1.0, 2.0)  # between attempts while the database refuses; the last goes on

Result = TypeVar("Result")
FetchGap = Callable[[int, int, int], list[Message]]
"""Read a partition's messages from one offset until before another, as many as come at once; none: Kafka holds none of them."""


class Topics(NamedTuple):
    """The topics that apply reads and tells on; tests use names of their own."""

    events: str = "circulation.events"
    touched: str = "stock.touched"
    rejected: str = "circulation.rejected"


class Written(NamedTuple):
    """What became of a batch's events."""

    applied: int
    late: int
    duplicates: int
    rejected: int


NOTHING_WRITTEN = Written(0, 0, 0, 0)


class Batch(NamedTuple):
    """Messages in order of partition and offset, what they say, and that packed for the database."""

    messages: tuple[Message, ...]
    rows: Rows
    staged: list[Staged]


class Stopped(Exception):
    """The worker stops while the database refuses: the batch will be read again by whoever comes next."""


class Writer:
    """Writes batches in order; one for each worker, `prepare` on one thread, `write` on another and `positions` on any.

    Each has a connection of its own: two threads in transactions of one connection would end each other's.
    """

    def __init__(self, database_url: str, network: Network, fetch_gap: FetchGap, topics: Topics = Topics()) -> None:
        """Connect at the first batch, and again whenever the connection is lost."""
        self._url, self._fetch_gap, self.topics = database_url, fetch_gap, topics
        self._places = frozenset(place.id for place in network.places)
        self._classes = frozenset(one.id for one in network.classes)
        self._reading = Reconnecting(database_url)
        self._writing = Reconnecting(database_url, facts.prepare_session)
        self._next: dict[int, int] = {}
        self._refused_before: Refusals = {}
        self.stopping = threading.Event()

    def prepare(self, messages: Sequence[Message]) -> Batch:
        """Parse messages against the network and its clock as it stands now."""
        return self._retrying(lambda: self._prepare(messages, self._reading))

    def write(self, batch: Batch) -> Written:
        """Write a batch, for as long as it takes; what was written before is left out, what was passed by is written first.

        Raises
        ------
        Stopped
            When the worker is to stop and the database does not answer.
        """
        return self._retrying(lambda: self._write(batch))

    def positions(self, partitions: Sequence[int], *, begin_anew: bool = False) -> dict[int, int]:
        """Return where each partition must be read from; `begin_anew` forgets what this worker believed of all others."""
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
        return self._packed(ordered, rows_.rows_of(ordered, self._edge(connection), self._refused_before), connection)

    def _packed(self, messages: tuple[Message, ...], rows: Rows, connection: Reconnecting) -> Batch:
        with connection.cursor() as cursor:
            return Batch(messages, rows, _staged(cursor, rows))

    def _edge(self, connection: Reconnecting) -> Edge:
        with connection.cursor() as cursor:
            return Edge(self._places, self._classes, clock_by(cursor).now())

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
            refused = rejections.refused_before(cursor, self.topics.events, list(found.items()))
        self._refused_before = {**self._refused_before, **refused}
        return found

    def _write(self, batch: Batch) -> Written:
        """Write what Faust passed by before the batch, as often as there is some, then the batch."""
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

        None where all gaps are real ones.
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

    def _write_spans(self, spans: list[Span], batch: Batch) -> Written:
        try:
            written = self._write_once(spans, batch)
        except psycopg.errors.UniqueViolation as known:
            log.error("a copy stands behind its movements: %s; looking for each", str(known).strip())
            written = self._write_once(spans, batch, trusting=False)
        except psycopg.DataError as refused:
            log.error("the database refuses a batch: %s; writing its events one by one", refused)
            written = self._write_one_by_one(spans, batch.messages)
        self._next.update({span.partition: span.end for span in spans})
        return written

    def _write_once(self, spans: list[Span], batch: Batch, *, trusting: bool = True) -> Written:
        with self._writing.cursor() as cursor:
            return write(cursor, self.topics, spans, batch.rows, batch.staged, trusting=trusting)

    def _write_one_by_one(self, spans: list[Span], messages: Sequence[Message]) -> Written:
        """Find the events that the database itself refuses, and write the rest with rejections in their place."""
        edge = self._edge(self._writing)
        refused: list[rows_.Refused] = []
        for message, index, event in rows_.events_of(messages, edge):
            with self._writing.cursor() as cursor:
                why = _why_refused(cursor, event)
            if why:
                refused.append(rows_.refusal_by_store(message, index, message.value, why))
        known: dict[tuple[int, int], set[int]] = {}
        for one in refused:
            known.setdefault(one[:2], set()).add(one.rejection.index)
        rest = rows_.rows_of(messages, edge, {**self._refused_before, **known})
        rest.refused += refused
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


def _spans(begins: dict[int, int], messages: Sequence[Message]) -> list[Span]:
    """Return what each partition moves over when these messages, in order, are written."""
    spans: dict[int, Span] = {}
    for message in messages:
        begin = begins[message.partition]
        span = spans.get(message.partition, Span(message.partition, begin, begin))
        spans[message.partition] = span._replace(end=message.offset + 1, gap=span.gap + message.offset - span.end)
    return list(spans.values())


def write(
    cursor: Cursor[Any],
    topics: Topics,
    spans: Sequence[Span],
    rows: Rows,
    staged: Sequence[Staged],
    *,
    trusting: bool = True,
) -> Written:
    """Write what a batch says in the transaction of `cursor`: all of it, or StaleWorker and nothing.

    `trusting` copies to stand where their last movement put them; see `facts.add_movements`.
    """
    facts.stage(cursor, staged)
    progress.advance(cursor, topics.events, spans, rows.middle_at)
    moved, touched = _write_copies(cursor, rows, trusting=trusting)
    others = _write_others(cursor, rows)
    rejected = rejections.add(cursor, topics.events, rows.refused, topics.rejected)
    written = _summed(rows, [moved, *others], rejected)
    outbox.put(cursor, topics.touched, [(None, said) for said in notices(touched)])
    if moved.counted:
        facts.hear_places(cursor)
    facts.add_counts(cursor, {name: count for name, count in written._asdict().items() if count})
    facts.add_heard(cursor, rows.heard)
    outbox.notify(cursor, "stock", touched, events=sum(written))
    return written


def _staged(cursor: Cursor[Any], rows: Rows) -> list[Staged]:
    """Pack what there is of each set."""
    sets = ((HOLDS, rows.holds), (TRANSFERS, rows.transfers), (CRATES, rows.crates))
    packed = [facts.staged_facts(cursor, set_, mine.rows) for set_, mine in sets if mine.rows]
    if rows.movements.rows:
        packed.append(facts.staged_movements(cursor, rows.movements.rows, rows.movements.newest))
    if rows.listings:
        packed.append(facts.staged_listings(cursor, rows.listings))
    return packed


def _write_copies(cursor: Cursor[Any], rows: Rows, *, trusting: bool = True) -> tuple[facts.New, dict[str, Touched]]:
    if not rows.movements.rows:
        return NOTHING_NEW, {}
    several = len(rows.movements.newest) < len(rows.movements.rows)
    new, moved = facts.add_movements(cursor, rows.movements.behind, several, trusting=trusting)
    return new, _touched(moved, facts.list_copies(cursor) if rows.listings else set())


def _touched(moved: Sequence[Moved], listed: Collection[tuple[str, str]]) -> dict[str, Touched]:
    """Return the places whose levels may have changed, with the classes, and whether copies began or ceased to be awaited."""
    shelves = {(place, one.cls or "") for one in moved for place in (one.from_place, one.at_place) if place}
    awaiting = {place for one in moved for place in (one.was_awaited, one.awaited) if place}
    classes: dict[str, set[str]] = {place: set() for place in awaiting}
    for place, cls in shelves.union(listed):
        classes.setdefault(place, set()).add(cls)
    return {place: Touched(frozenset(found - {""}), place in awaiting) for place, found in classes.items()}


def _write_others(cursor: Cursor[Any], rows: Rows) -> list[facts.New]:
    """Write facts of holds, transfers and crates, and bring those that are news up to date."""
    all_new = []
    for set_, mine, update in (
        (HOLDS, rows.holds, facts.update_holds),
        (TRANSFERS, rows.transfers, facts.update_transfers),
        (CRATES, rows.crates, facts.update_crates),
    ):
        new = facts.add_facts(cursor, set_, mine.behind, mine.counted) if mine.rows else NOTHING_NEW
        if new.subjects:
            update(cursor, new.subjects)
        all_new.append(new)
    if rows.crates.rows:
        follow_scans(cursor)
    return all_new


def _summed(rows: Rows, new: Sequence[facts.New], rejected: int) -> Written:
    """Give every event its one count: those that were not new to their set are duplicates."""
    counted = sum(len(set_.counted) for set_ in (rows.movements, rows.holds, rows.transfers, rows.crates))
    fresh, late = sum(one.counted for one in new), sum(one.late for one in new)
    return Written(fresh - late, late, counted - fresh + rows.duplicates, rejected)


def _why_refused(cursor: Cursor[Any], event: Event) -> str | None:
    """Try one event alone and undo it; return the database's words where it refuses."""
    rows = rows_.of_event(event)
    try:
        with cursor.connection.transaction(force_rollback=True):
            facts.stage(cursor, _staged(cursor, rows))
            _write_copies(cursor, rows, trusting=False)
            _write_others(cursor, rows)
    except psycopg.DataError as error:
        return str(error).strip()
    return None
