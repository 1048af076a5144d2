"""Library systems' records into this system's Kafka: the adapters, the producer, the rejections and the cursors put together.

A dry run goes the whole way, and shows at its end what would be sent instead of sending it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import orjson
import pymysql
from kafka import KafkaConsumer
from sqlalchemy import Connection, Engine, Row, select

from config import Settings
from config.kafka import client
from config.settings import DEFAULTS
from rotation.adapters import feed, folio, koha, sip2, tables
from rotation.adapters.feed import Refusal, Refuse, Report, Tell, Told, Translated
from rotation.events import Edge
from rotation.movements import State
from rotation.network import Network
from rotation.store import rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.kept import keep, kept
from rotation.store.tables import copies
from streams import admin, ingest
from streams.clients import producer
from streams.topics import CIRCULATION_EVENTS

MAPS = DEFAULTS.parent / "maps"
Say = Callable[[str], None]


class Ends(NamedTuple):
    """Where facts and refusals go."""

    tell: Tell
    refuse: Refuse


@contextmanager
def ends(settings: Settings, engine: Engine, topic: str = CIRCULATION_EVENTS.name) -> Iterator[Ends]:
    """Yield where facts and refusals go: Kafka, whose topics are made where they are missing, and the rejections."""
    admin.create(client(settings), replication=settings.kafka_replication)
    sender = producer(client(settings))
    try:
        yield Ends(feed.to_kafka(sender, topic), refuse_in(engine))
    finally:
        sender.close(timeout=feed.ACK_S)


@contextmanager
def opened(settings: Settings, engine: Engine, dry_run: bool, say: Say) -> Iterator[Ends]:
    """Yield the ends of a dry run, or the real ones."""
    if dry_run:
        yield shown(say)
        return
    with ends(settings, engine) as real:
        yield real


def shown(say: Say) -> Ends:
    """Return the ends of a dry run: everything is shown as a line of JSON, nothing is sent or kept."""

    def tell(events: Sequence[Told]) -> None:
        for event in events:
            say(json.dumps(event, ensure_ascii=False))

    def refuse(refusals: Sequence[Refusal]) -> None:
        for edge, _, one in refusals:
            words = {"refused": edge, "field": one.field, "reason": one.reason, "message": one.message}
            kept = one.original.decode("utf-8", "replace")  # without what could name a reader, as it would be kept
            say(json.dumps(words | ({"event": kept} if kept else {}), ensure_ascii=False))

    return Ends(tell, refuse)


def refuse_in(engine: Engine) -> Refuse:
    """Return a `refuse` that keeps each refusal once in the database, however often it is told."""

    def refuse(refusals: Sequence[Refusal]) -> None:
        with engine.begin() as connection:
            cursor = driver(connection).cursor()
            for edge, position, one in refusals:
                rejections.add_at_edge(cursor, edge, one, position)

    return refuse


def edge_of(network: Network, connection: Connection) -> Edge:
    """Return what the worker checks events against now."""
    places, classes = frozenset(network.place), frozenset(one.id for one in network.classes)
    return Edge(places, classes, read_clock(connection).now())


# --- Lines of events ----------------------------------------------------------------------------------------------------------


def show_lines(lines: Iterable[bytes], name: str, edge: Edge, say: Say) -> Report:
    """Show what `rotation ingest` would send, and what it or the worker would refuse; nothing is sent or kept."""

    def translated() -> Iterator[Translated]:
        for piece in ingest.pieces(lines, name):
            yield from [piece] if isinstance(piece, Refusal) else orjson.loads(piece.value)

    return feed.carry(feed.checked(translated(), edge, f"file:{name}"), *shown(say))


# --- Tables -------------------------------------------------------------------------------------------------------------------


def map_file(name: str) -> Path:
    """Return the column map of that path, or the preset of that name.

    Raises
    ------
    FileNotFoundError
        When there is neither; names the presets.
    """
    presets = {path.stem: path for path in MAPS.glob("*.toml")}
    if Path(name).is_file():
        return Path(name)
    if name in presets:
        return presets[name]
    raise FileNotFoundError(f"no column map {name}; presets: {', '.join(sorted(presets))}")


def import_table(
    engine: Engine, network: Network, carried: Ends, file: Path, chosen: tables.Map, at: datetime | None = None
) -> Report:
    """Tell what a table's rows say.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read.
    """
    with engine.connect() as connection:
        edge = edge_of(network, connection)
    translated = feed.checked(tables.translate(file, chosen, at), edge, f"file:{file.name}")
    return feed.carry(map(feed.in_its_file, translated), *carried)


# --- FOLIO --------------------------------------------------------------------------------------------------------------------

FOLIO_GROUP = "rotation-folio"
POLL_MS = 500
MOST_RECORDS = 500
TOPICS_POLLS = 8  # polls after which FOLIO's Kafka can be said to hold no topic of its own
SHARE_POLLS = 120  # a killed reader holds its share of the group for 45 s; one that got none ends with nothing read


def follow_folio(
    reader: KafkaConsumer,
    chosen: folio.Map,
    carried: Ends,
    stop: Event,
    *,
    to_the_end: bool = False,
    commit: bool = True,
) -> Report:
    """Carry FOLIO's messages on until `stop`, or `to_the_end` of what is there; the group's position follows what is carried.

    A crash between the two only tells some messages again, with the same ids.
    """
    report, idle = Report(), 0
    reader.subscribe(pattern=folio.TOPIC_PATTERN)
    while not stop.is_set() and not (to_the_end and idle and _at_the_end(reader, idle)):
        records = [
            record for some in reader.poll(timeout_ms=POLL_MS, max_records=MOST_RECORDS).values() for record in some
        ]
        idle = 0 if records else idle + 1
        if not records:
            continue
        feed.carry(folio.translate(map(_message, records), chosen), *carried, report)
        if commit:
            reader.commit()
    return report


def _at_the_end(reader: KafkaConsumer, idle: int) -> bool:
    """Return whether all partitions are read; without any, whether enough polls were waited for them."""
    share = reader.assignment()
    if not share:
        return idle >= (SHARE_POLLS if reader.subscription() else TOPICS_POLLS)
    return all(reader.position(one) >= end for one, end in reader.end_offsets(share).items())


def folio_reader(arguments: Mapping[str, Any], group: str | None = FOLIO_GROUP) -> KafkaConsumer:
    """Return a consumer of FOLIO's Kafka; without a group it reads everything from the beginning and leaves no trace."""
    return KafkaConsumer(
        **arguments, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", metadata_max_age_ms=30_000
    )


def _message(record: Any) -> folio.Message:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return folio.Message(
        record.topic, record.partition, record.offset, at, record.value or b"", tuple(record.headers or ())
    )


RESUMED_WITHIN = timedelta(hours=1)  # later all that was told has long been applied, and FOLIO has gone on: begun anew


def reconcile_folio(
    engine: Engine, okapi: httpx.Client, chosen: folio.Map, carried: Ends, *, keep: bool = True
) -> Report:
    """Tell where FOLIO's items say otherwise than what is known; raises httpx.HTTPError where FOLIO does not answer.

    With `keep` the cursor follows what is carried: one that was killed goes on with its own instant, and so with the same ids.
    """
    report, name = Report(), f"folio.{chosen.source}.reconcile"
    stand: Callable[[Any], None] = partial(keep_cursor, engine, name) if keep else lambda _: None
    as_of, after = _reconciliation(engine, name)
    stand((as_of.isoformat(), after))
    for last, told in folio.reconcile(okapi, chosen, partial(_known_to_folio, engine), as_of, after):
        feed.carry(told, *carried, report)
        stand((as_of.isoformat(), last))
    stand(None)
    return report


def _reconciliation(engine: Engine, name: str) -> tuple[datetime, str]:
    """Return the instant and the last item of a reconciliation that did not come to its end; else those of a new one."""
    with engine.connect() as connection:
        now, begun = read_clock(connection).now(), kept(connection, name)
    if begun and timedelta() <= now - datetime.fromisoformat(begun[0]) < RESUMED_WITHIN:
        return datetime.fromisoformat(begun[0]), begun[1]
    return now, folio.FIRST_ITEM


def _known_to_folio(engine: Engine, ids: Sequence[str]) -> dict[str, folio.Known]:
    return {
        row.copy_id: folio.Known(
            State(row.state), row.place_id, row.to_place_id, row.occurred_at, row.source, row.title_id is not None
        )
        for row in _copies(engine, ids)
    }


OKAPI_TIMEOUT_S = 60.0  # a page of 500 items takes FOLIO a second or two, under load ten times that


def reconcile_by_api(
    engine: Engine, url: str, user: tuple[str, str], chosen: folio.Map, carried: Ends, *, keep: bool = True
) -> Report:
    """Sign in to FOLIO and tell where its items say otherwise; raises httpx.HTTPError where it does not answer."""
    headers = {"x-okapi-tenant": chosen.tenant, "accept": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=OKAPI_TIMEOUT_S) as okapi:
        if user[0]:
            folio.sign_in(okapi, *user)
        return reconcile_folio(engine, okapi, chosen, carried, keep=keep)


def _copies(engine: Engine, ids: Sequence[str]) -> Sequence[Row[Any]]:
    with engine.connect() as connection:
        return connection.execute(select(copies).where(copies.c.copy_id.in_(ids))).all()


# --- Koha ---------------------------------------------------------------------------------------------------------------------

KOHA_POLL_S = 30.0


def follow_koha(
    engine: Engine,
    connection: Any,
    chosen: koha.Map,
    carried: Ends,
    stop: Event,
    *,
    once: bool = False,
    keep: bool = True,
) -> Report:
    """Carry Koha's rows on until `stop`, or `once` through all tables; with `keep` the cursors follow what is carried."""
    report, known_of = Report(), partial(_known_to_koha, engine)
    while not stop.is_set():
        for source in koha.SOURCES:
            name = f"koha.{chosen.source}.{source.name}"
            for position, rows in koha.pages(connection, source, cursor_of(engine, name)):
                feed.carry(source.translate(rows, chosen, known_of), *carried, report)
                if keep:
                    keep_cursor(engine, name, position)
                if stop.is_set():
                    return report
        if once:
            break
        stop.wait(KOHA_POLL_S)
    return report


def _known_to_koha(engine: Engine, ids: Sequence[str]) -> dict[str, koha.Known]:
    return {
        row.copy_id: koha.Known(State(row.state), row.place_id, row.title_id, row._mapping["class"])
        for row in _copies(engine, ids)
    }


def koha_connection(url: str) -> Any:
    """Connect to Koha's database, `mysql://user:password@host:port/name` or `mysql://user@/name?socket=PATH`.

    Raises
    ------
    ValueError
        When the address is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("mysql", "mariadb") or len(parts.path) < 2:
        raise ValueError("expected mysql://user:password@host:port/database")
    where: dict[str, Any] = {"host": parts.hostname or "localhost", "port": parts.port or 3306}
    if socket := parse_qs(parts.query).get("socket"):
        where = {"unix_socket": socket[0]}
    return pymysql.connect(
        **where, user=unquote(parts.username or ""), password=unquote(parts.password or ""), database=parts.path[1:],
        charset="utf8mb4", cursorclass=pymysql.cursors.DictCursor,
    )  # fmt: skip


# --- SIP2 ---------------------------------------------------------------------------------------------------------------------


def host_port(address: str) -> tuple[str, int]:
    """Read host:port; raises ValueError where it is none."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"expected host:port, got {address!r}")
    return host, int(port)


async def serve_sip2(
    listen: str, system: str, map_path: Path, page: str, token: str, say: Say, show: Say | None = None
) -> None:
    """Serve the proxy until the process is stopped; with `show` it shows what it would change, and changes nothing.

    Raises
    ------
    ValueError
        When an address or the map cannot be used.
    """
    chosen = sip2.read_map(map_path)
    async with httpx.AsyncClient(base_url=page, headers={"authorization": f"Bearer {token}"}, timeout=1.0) as desk:
        ask = sip2.asking(desk, chosen)
        shown = (lambda one: show(json.dumps(one._asdict(), ensure_ascii=False))) if show else None
        proxy = sip2.Proxy(*host_port(system), ask, chosen.default_location, shown)
        server = await proxy.serve(*host_port(listen))
        say(f"SIP2 proxy on {listen}, library system {system}")
        async with server:
            await server.serve_forever()


# --- Cursors ------------------------------------------------------------------------------------------------------------------


def cursor_of(engine: Engine, name: str) -> Any:
    """Return where an adapter stopped, None where it never began."""
    with engine.connect() as connection:
        return kept(connection, name)


def keep_cursor(engine: Engine, name: str, value: Any) -> None:
    """Keep where an adapter stands; to be called after what it read stands in Kafka."""
    with engine.begin() as connection:
        keep(connection, name, value)
