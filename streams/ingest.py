"""Events from files to `circulation.events`, at the edge: gathered into batches; what the broker would not take is kept here."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Engine

from rotation.adapters.http import without_readers
from rotation.events import MAX_BATCH_BYTES, Edge, Reason, Rejection, parse
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
    """Bytes for one message, and how many lines of the file are in it."""

    value: bytes
    lines: int


def ingest_lines(
    lines: Iterable[bytes], name: str, client: Client, engine: Engine, topic: str = CIRCULATION_EVENTS.name
) -> tuple[int, int]:
    """Send JSON lines, each an event or a batch, in their order; return how many lines were sent and how many refused.

    Lines that are no JSON are sent as they are and end in the rejections like any others; lines too large for the broker are
    recorded there at once, with topic "file:NAME".
    """
    sender, sent, refused = producer(client), 0, 0
    waiting: list[Any] = []
    try:
        for piece in pieces(lines):
            if isinstance(piece, Rejection):
                _record(engine, f"file:{name}", piece)
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


def pieces(lines: Iterable[bytes]) -> Iterator[Piece | Rejection]:
    """Gather lines into batches; a line that is a batch itself, or no JSON, goes alone."""
    waiting: list[bytes] = []
    for number, line in enumerate(map(bytes.strip, lines), 1):
        if not line:
            continue
        if len(line) > MAX_BATCH_BYTES:
            yield Rejection(
                number, Reason.TOO_LARGE, f"line {number}", f"{len(line)} bytes; at most {MAX_BATCH_BYTES}", line
            )
        elif not (event := _event(line)):
            yield from _gathered(waiting)
            yield Piece(_batch(line), 1)
        else:
            if len(waiting) >= BATCH_EVENTS or sum(map(len, waiting)) + len(line) > BATCH_BYTES:
                yield from _gathered(waiting)
            waiting.append(event)
    yield from _gathered(waiting)


def _gathered(waiting: list[bytes]) -> Iterator[Piece]:
    if waiting:
        yield Piece(b"[" + b",".join(waiting) + b"]", len(waiting))
        waiting.clear()


def _event(line: bytes) -> bytes:
    """Return the line's one event without what could name a reader; empty where it holds none."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return b""
    return _bare(value, line) if isinstance(value, dict) else b""


def _batch(line: bytes) -> bytes:
    """Return a line that is no single event: a batch without what could name a reader, or what it is."""
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(members, list) or not all(isinstance(one, dict) for one in members):
        return line
    return b"[" + b",".join(_bare(one, orjson.dumps(one)) for one in members) + b"]"


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


def _record(engine: Engine, edge_name: str, rejection: Rejection) -> None:
    with engine.begin() as connection:
        rejections.add_at_edge(driver(connection).cursor(), edge_name, rejection)


def _acknowledged(waiting: list[Any]) -> None:
    """Wait until the broker has every message; raises where it has not."""
    for one in waiting:
        one.get(timeout=ACK_S)
    waiting.clear()
