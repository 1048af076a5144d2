"""Events from files to `circulation.events`, at the edge: gathered into batches; lines that hold no events are refused here.

Of what is no event nobody knows which part names a reader: such a line is recorded by its place, without its bytes.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Engine

from rotation.adapters.feed import Refusal
from rotation.adapters.http import without_readers
from rotation.events import MAX_BATCH_BYTES, Edge, Reason, Rejection, members, parse
from rotation.network import Network
from rotation.store import rejections
from rotation.store.clock import clock_by
from rotation.store.engine import driver
from streams.clients import Client, producer
from streams.topics import CIRCULATION_EVENTS

BATCH_EVENTS = 100  # beyond it batches gain nothing, and one bad header costs more events
BATCH_BYTES = MAX_BATCH_BYTES // 2
ACK_S = 30.0
IN_FLIGHT = 500  # messages sent before their acknowledgements are awaited


class Piece(NamedTuple):
    """A batch for one message, and how many lines of the file are in it."""

    value: bytes
    lines: int


def ingest_lines(
    lines: Iterable[bytes], name: str, client: Client, engine: Engine, topic: str = CIRCULATION_EVENTS.name
) -> tuple[int, int]:
    """Send JSON lines, each an event or a batch, in their order; return how many lines were sent and how many refused.

    A refused line is recorded once, however often its file is read, with topic "file:NAME" and its number as offset.
    """
    sender, sent, refused = producer(client), 0, 0
    waiting: list[Any] = []
    try:
        for piece in pieces(lines, name):
            if isinstance(piece, Refusal):
                _record(engine, piece)
                refused += 1
            else:
                waiting.append(sender.send(topic, piece.value))
                sent += piece.lines
            if len(waiting) >= IN_FLIGHT:
                _acknowledged(waiting)
        _acknowledged(waiting)
    finally:
        sender.close(timeout=ACK_S)
    return sent, refused


def pieces(lines: Iterable[bytes], name: str) -> Iterator[Piece | Refusal]:
    """Gather lines into batches, in their order and without what could name a reader; a line that is a batch goes alone."""
    waiting: list[bytes] = []
    for number, line in enumerate(map(bytes.strip, lines), 1):
        if not line:
            continue
        events, rejection = _events(line)
        if rejection:
            kept = rejection._replace(field=f"line {number}", original=b"")
            yield Refusal(f"file:{name}", (zlib.crc32(line) >> 1, number), kept)
        elif line.startswith(b"["):
            yield from _gathered(waiting)
            yield Piece(b"[" + b",".join(events) + b"]", 1)
        else:
            if len(waiting) >= BATCH_EVENTS or sum(map(len, waiting)) + len(line) > BATCH_BYTES:
                yield from _gathered(waiting)
            waiting += events
    yield from _gathered(waiting)


def _gathered(waiting: list[bytes]) -> Iterator[Piece]:
    if waiting:
        yield Piece(b"[" + b",".join(waiting) + b"]", len(waiting))
        waiting.clear()


def _events(line: bytes) -> tuple[list[bytes], Rejection | None]:
    """Return the line's events, each without what could name a reader, or why there are none."""
    if len(line) > MAX_BATCH_BYTES:
        return [], Rejection(0, Reason.TOO_LARGE, "", f"{len(line)} bytes; at most {MAX_BATCH_BYTES}", b"")
    found, rejection = members(line)
    as_it_is = line if line.startswith(b"{") else None
    return [_bare(event, as_it_is or orjson.dumps(event)) for event in found], rejection


def _bare(event: dict[str, Any], as_it_is: bytes) -> bytes:
    kept, dropped = without_readers(event)
    return orjson.dumps(kept) if dropped else as_it_is


def replay(
    engine: Engine, client: Client, number: int, mended: bytes | None, network: Network | None = None,
    topic: str = CIRCULATION_EVENTS.name,
) -> None:  # fmt: skip
    """Send a rejected event again through Kafka, mended or as it was, and mark its rejection as replayed.

    Raises
    ------
    LookupError
        When there is no such rejection.
    StillWrong
        When the bytes would be rejected again, as far as `network` and its clock tell; nothing is sent.
    """
    with engine.begin() as connection:
        cursor = driver(connection).cursor()
        value = mended if mended is not None else rejections.original(cursor, number)
        _check(value, network, clock_by(cursor).now())
        sender = producer(client)
        try:
            sender.send(topic, value).get(timeout=ACK_S)
        finally:
            sender.close(timeout=ACK_S)
        rejections.mark_replayed(cursor, number)


def _check(value: bytes, network: Network | None, now: datetime) -> None:
    if network is None and len(value) <= MAX_BATCH_BYTES:
        return
    places = frozenset(place.id for place in network.places) if network else frozenset()
    classes = frozenset(one.id for one in network.classes) if network else frozenset()
    wrong = [one for one in parse(value, Edge(places, classes, now)) if isinstance(one, Rejection)]
    if wrong:
        raise rejections.StillWrong(wrong)


def _record(engine: Engine, one: Refusal) -> None:
    with engine.begin() as connection:
        rejections.add_at_edge(driver(connection).cursor(), one.edge, one.rejection, one.position)


def _acknowledged(waiting: list[Any]) -> None:
    """Wait until the broker has every message; raises where it has not."""
    for one in waiting:
        one.get(timeout=ACK_S)
    waiting.clear()
