"""Events from files to `circulation.events`, in batches; lines without valid events are rejected here, before Kafka.

A line that is not an event could hold reader data anywhere, so only its position is recorded.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Engine

from rotation.facts.events import MAX_BATCH_BYTES, Edge, Rejection, RejectionReason, members, parse
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.http import without_readers
from rotation.kafka.clients import Client, MendingProducer, producer
from rotation.kafka.topics import CIRCULATION_EVENTS, CIRCULATION_REJECTED
from rotation.network import Network
from rotation.store import rejections
from rotation.store.clock import clock_by
from rotation.store.engine import driver

# Larger batches gain nothing, and a bad header costs more events.
BATCH_EVENTS = 100
BATCH_BYTES = MAX_BATCH_BYTES // 2
ACK_S = 30.0
REASONS_SHOWN = 10
IN_FLIGHT = 500  # messages sent before their acknowledgements are awaited


class LineBatch(NamedTuple):
    """A batch for one message, and its number of lines in the file."""

    value: bytes
    lines: int


def ingest_lines(
    lines: Iterable[bytes], name: str, client: Client, engine: Engine, topic: str = CIRCULATION_EVENTS.name
) -> tuple[int, int]:
    """Send JSON lines, each an event or a batch, in their order; return how many lines were sent and how many rejected.

    A rejected line is recorded once, however often its file is read, with topic "file:NAME" and its number as offset.
    """
    sender, sent, rejected = producer(client), 0, 0
    waiting: list[Any] = []
    try:
        for piece in pieces(lines, name):
            if isinstance(piece, RejectedRecord):
                _record(engine, piece)
                rejected += 1
            else:
                waiting.append(sender.send(topic, piece.value))
                sent += piece.lines
            if len(waiting) >= IN_FLIGHT:
                _acknowledged(waiting)
        _acknowledged(waiting)
    finally:
        sender.close(timeout=ACK_S)
    return sent, rejected


def pieces(lines: Iterable[bytes], name: str) -> Iterator[LineBatch | RejectedRecord]:
    """Gather lines into batches, in order and without fields that could name a reader; a line that is a batch goes alone."""
    waiting: list[bytes] = []
    for number, line in enumerate(map(bytes.strip, lines), 1):
        if not line:
            continue
        events, rejection = _events(line)
        if rejection:
            kept = rejection._replace(field=f"line {number}", original=b"")
            yield RejectedRecord(f"file:{name}", (zlib.crc32(line) >> 1, number), kept)
        elif line.startswith(b"["):
            yield from _gathered(waiting)
            yield LineBatch(b"[" + b",".join(events) + b"]", 1)
        else:
            if len(waiting) >= BATCH_EVENTS or sum(map(len, waiting)) + len(line) > BATCH_BYTES:
                yield from _gathered(waiting)
            waiting += events
    yield from _gathered(waiting)


def _gathered(waiting: list[bytes]) -> Iterator[LineBatch]:
    if waiting:
        yield LineBatch(b"[" + b",".join(waiting) + b"]", len(waiting))
        waiting.clear()


def _events(line: bytes) -> tuple[list[bytes], Rejection | None]:
    """Return the line's events, each without fields that could name a reader, or the reason why there are none."""
    if len(line) > MAX_BATCH_BYTES:
        return [], Rejection(0, RejectionReason.TOO_LARGE, "", f"{len(line)} bytes; at most {MAX_BATCH_BYTES}", b"")
    events, rejection = members(line)
    as_it_is = line if line.startswith(b"{") else None
    return [_bare(event, as_it_is or orjson.dumps(event)) for event in events], rejection


def _bare(event: dict[str, Any], as_it_is: bytes) -> bytes:
    kept, dropped = without_readers(event)
    return orjson.dumps(kept) if dropped else as_it_is


def replay(
    engine: Engine,
    client: Client,
    number: int,
    mended: bytes | None,
    network: Network | None = None,
    topic: str = CIRCULATION_EVENTS.name,
) -> None:
    """Send a rejected event again through Kafka, mended or as it was, and mark its rejection as replayed.

    Raises
    ------
    LookupError
        When there is no such rejection.
    StillWrong
        When the bytes would be rejected again, as far as `network` and its clock tell; nothing is sent.
    """
    sender = MendingProducer(client)
    try:
        _send_again(engine, sender, number, mended, network, topic)
    finally:
        sender.close(timeout=ACK_S)


def _send_again(
    engine: Engine, sender: MendingProducer, number: int, mended: bytes | None, network: Network | None, topic: str
) -> None:
    with engine.begin() as connection:
        cursor = driver(connection).cursor()
        value = mended if mended is not None else rejections.original(cursor, number)
        _check(value, network, clock_by(cursor).now())
        sender.send(topic, value, ACK_S)
        rejections.mark_replayed(cursor, number)


class SentAgain(NamedTuple):
    """How many rejections were sent again, how many would be rejected again, and why, of the first few."""

    sent: int
    still_wrong: int
    why: list[str]


def replay_all(
    engine: Engine,
    client: Client,
    chosen: rejections.ReplayChoice,
    network: Network | None = None,
    topic: str = CIRCULATION_EVENTS.name,
) -> SentAgain:
    """Send the chosen rejections again, each as it was; those that would be rejected again stay."""
    with engine.begin() as connection:
        numbers = rejections.waiting(driver(connection).cursor(), chosen)
    sender, why = MendingProducer(client), []
    for number in numbers:
        try:
            _send_again(engine, sender, number, None, network, topic)
        except rejections.StillWrong as wrong:
            why.append(f"{number}: {wrong}")
    sender.close(timeout=ACK_S)
    return SentAgain(len(numbers) - len(why), len(why), why[:REASONS_SHOWN])


def _check(value: bytes, network: Network | None, now: datetime) -> None:
    if network is None and len(value) <= MAX_BATCH_BYTES:
        return
    edge = Edge.of(network, now) if network else Edge(frozenset(), frozenset(), now)
    wrong = [parsed for parsed in parse(value, edge) if isinstance(parsed, Rejection)]
    if wrong:
        raise rejections.StillWrong(wrong)


def _record(engine: Engine, record: RejectedRecord) -> None:
    with engine.begin() as connection:
        rejections.add_at_edge(
            driver(connection).cursor(), record.edge, [record.rejection], CIRCULATION_REJECTED.name, [record.position]
        )


def _acknowledged(waiting: list[Any]) -> None:
    """Wait until the broker has every message; raises where it has not."""
    for sent in waiting:
        sent.get(timeout=ACK_S)
    waiting.clear()
