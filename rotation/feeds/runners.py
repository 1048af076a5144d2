"""Library systems' records into Kafka: adapters, producer, rejections and cursors put together.

A dry run goes the whole way, but prints its events at the end and sends none.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, groupby
from operator import attrgetter
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import httpx
import orjson
import pymysql
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Connection, Engine, Row, exists, func, select, true

from config import Settings
from config.kafka import client
from config.settings import DEFAULTS
from rotation.facts.events import Edge, RejectionReason
from rotation.facts.movements import CopyState
from rotation.facts.parts import Deed, Part
from rotation.feeds import carrying, event_lines, folio, koha, maps, sip2, staying, tables
from rotation.feeds.carrying import EventDict, FeedReport, Reject, RejectedRecord, Send, Translated
from rotation.kafka import admin
from rotation.kafka.clients import MendingProducer, consumer
from rotation.kafka.topics import CIRCULATION_EVENTS, CIRCULATION_REJECTED, TOPICS
from rotation.network import Network
from rotation.store import items, rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.heartbeats import Pulse, Turned, unheard
from rotation.store.items import Barcodes
from rotation.store.kept import keep, kept
from rotation.store.tables import copies, holds, item_copies, movements
from rotation.store.tables import rejections as refusals

log = logging.getLogger(__name__)

MAPS = DEFAULTS.parent / "maps"
Say = Callable[[str], None]


class Destinations(NamedTuple):
    """The two destinations of a translated record: the events' topic, or the rejections."""

    send: Send
    reject: Reject


@contextmanager
def destinations(settings: Settings, engine: Engine, topic: str = CIRCULATION_EVENTS.name) -> Iterator[Destinations]:
    """Yield the real destinations: Kafka, with their topic created if it is missing, and the rejections in the database."""
    wanted = [known for known in TOPICS if known.name == topic]
    admin.create(client(settings), replication=settings.kafka_replication, topics=wanted)
    sender = MendingProducer(client(settings))
    try:
        yield Destinations(carrying.to_kafka(sender, topic), reject_in(engine))
    finally:
        sender.close(timeout=carrying.ACK_S)


@contextmanager
def opened(settings: Settings, engine: Engine, dry_run: bool, say: Say) -> Iterator[Destinations]:
    """Yield the destinations of a dry run, or the real ones."""
    if dry_run:
        yield shown(say)
        return
    with destinations(settings, engine) as real:
        yield real


@contextmanager
def heard(settings: Settings, name: str) -> Iterator[Turned]:
    """Yield the heartbeat that a feed's loop calls at each turn while it follows its system."""
    with Pulse(settings.database_address(), Part.FEED, name) as pulse:
        yield pulse.turn


def shown(say: Say) -> Destinations:
    """Return the destinations of a dry run: everything is printed as a line of JSON, nothing is sent or kept."""

    def send(events: Sequence[EventDict]) -> None:
        for event in events:
            say(json.dumps(event, ensure_ascii=False))

    def reject(records: Sequence[RejectedRecord]) -> None:
        for edge, _, rejection in records:
            words = {
                "refused": edge,
                "field": rejection.field,
                "reason": rejection.reason,
                "message": rejection.message,
            }
            kept = rejection.original.decode(
                "utf-8", "replace"
            )  # without fields that could name a reader, as it would be kept
            say(json.dumps(words | ({"event": kept} if kept else {}), ensure_ascii=False))

    return Destinations(send, reject)


def reject_in(engine: Engine) -> Reject:
    """Return a function that keeps each rejected record once in the database, however often it comes."""

    def reject(records: Sequence[RejectedRecord]) -> None:
        with engine.begin() as connection:
            cursor = driver(connection).cursor()
            for edge, some in groupby(sorted(records, key=attrgetter("edge")), key=attrgetter("edge")):
                _, positions, refused = zip(*some, strict=True)
                rejections.add_at_edge(cursor, edge, refused, CIRCULATION_REJECTED.name, positions)

    return reject


def edge_of(network: Network, connection: Connection) -> Edge:
    """Return the reference data against which the worker checks events now."""
    return Edge.of(network, read_clock(connection).now())


# --- Lines of events ----------------------------------------------------------------------------------------------------------


def show_lines(lines: Iterable[bytes], name: str, edge: Edge, say: Say) -> FeedReport:
    """Print the events that `rotation ingest` would send, and the lines that it or the worker would reject; keep nothing."""

    def translated() -> Iterator[Translated]:
        for piece in event_lines.pieces(lines, name):
            yield from [piece] if isinstance(piece, RejectedRecord) else orjson.loads(piece.value)

    return carrying.carry(carrying.checked(translated(), edge, f"file:{name}"), *shown(say))


# --- Tables -------------------------------------------------------------------------------------------------------------------


def map_file(name: str) -> Path:
    """Return the column map at that path, or the preset of that name.

    Raises
    ------
    FileNotFoundError
        When there is neither; the message lists the presets.
    """
    presets = {path.stem: path for path in MAPS.glob("*.toml")}
    if Path(name).is_file():
        return Path(name)
    if name in presets:
        return presets[name]
    raise FileNotFoundError(f"no column map {name}; presets: {', '.join(sorted(presets))}")


def table_map(name: str, network: Network) -> tables.TableMap:
    """Read a column map by path or preset; without a zone of its own, times are in the network's."""
    chosen = tables.read_map(map_file(name))
    named = "timezone" in chosen.model_fields_set
    return chosen if named else chosen.model_copy(update={"timezone": network.network.timezone})


def import_table(
    engine: Engine,
    network: Network,
    carried: Destinations,
    file: Path,
    chosen: tables.TableMap,
    at: datetime | None = None,
) -> FeedReport:
    """Send the facts of a table's rows.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read.
    """
    with engine.connect() as connection:
        edge = edge_of(network, connection)
    report, name = FeedReport(), f"file:{file.name}"
    translated = tables.translate(file, chosen, at, report.reading)
    return carrying.carry(map(carrying.in_its_file, carrying.checked(translated, edge, name)), *carried, report)


def check_table(file: Path, chosen: tables.TableMap, at: datetime | None) -> None:
    """Raise ValueError where the file as a whole cannot be used, before anything is started for it."""
    next(tables.translate(file, chosen, at), None)


# --- FOLIO --------------------------------------------------------------------------------------------------------------------

FOLIO_GROUP = "rotation-folio"


def folio_group(chosen: folio.FolioMap) -> str:
    """Return the consumer group of a tenant and source: two feeds of one group would share the partitions of both."""
    return ".".join((FOLIO_GROUP, *chosen.tenant, chosen.source))


POLL_MS = 500
MOST_RECORDS = 500
# Polls without a matching topic after which FOLIO's Kafka counts as empty.
TOPICS_POLLS = 8
# Idle polls after which the brokers are asked whether they are there: 10 s.
ASK_POLLS = 20
# A killed reader holds its share of the group for 45 s; a reader that waited less might end without reading anything.
SHARE_POLLS = 120


def follow_folio(
    reader: KafkaConsumer,
    chosen: folio.FolioMap,
    carried: Destinations,
    stop: Event,
    *,
    to_the_end: bool = False,
    commit: bool = True,
    well: Callable[[], None] = lambda: None,
    turn: Turned = unheard,
    rewind: "Rewind | None" = None,
) -> FeedReport:
    """Send the facts of FOLIO's messages until `stop`, or `to_the_end` of the topics; the group's position follows them.

    After a crash between the two, some messages are sent again, with the same ids. `well` is called while FOLIO's Kafka answers.
    `rewind` says from where messages are read once more.
    """
    report, idle, ids = FeedReport(), 0, dict[str, object]()
    reader.subscribe(pattern=folio.TOPIC_PATTERN)
    while not stop.is_set() and not (to_the_end and idle and _at_the_end(reader, idle)):
        turn()
        begin_anew(reader, ids)
        records = [
            record for some in reader.poll(timeout_ms=POLL_MS, max_records=MOST_RECORDS).values() for record in some
        ]
        if rewind:
            rewind.apply(reader)
        idle = 0 if records else idle + 1
        if idle % ASK_POLLS == 1 and reader.assignment():
            # A consumer whose brokers are away just returns nothing.
            reader.end_offsets(reader.assignment())
            well()
        if not records:
            continue
        carrying.carry(folio.translate(map(_message, records), chosen), *carried, report)
        if commit:
            reader.commit()
        turn(deed=Deed.CARRIED, about=len(records))
    return report


class Rewind:
    """From where a feed reads messages once more: an offset by topic and partition, and an instant; each partition once."""

    def __init__(
        self, offsets: Mapping[tuple[str, int], int] | None = None, begin: datetime | None = None, skip: bool = False
    ) -> None:
        """`skip` passes over older messages too, for a dry run, which would read everything."""
        self.offsets, self.begin, self.skip = dict(offsets or {}), begin, skip
        self.done = set[TopicPartition]()

    def apply(self, reader: KafkaConsumer) -> None:
        """Go back on the partitions that have become this reader's."""
        for partition in reader.assignment() - self.done:
            self.done.add(partition)
            offset = self._offset(reader, partition)
            if offset is not None and (self.skip or offset < reader.position(partition)):
                reader.seek(partition, offset)

    def _offset(self, reader: KafkaConsumer, partition: TopicPartition) -> int | None:
        known = [self.offsets.get((partition.topic, partition.partition))]
        if self.begin:
            found = reader.offsets_for_times({partition: int(self.begin.timestamp() * 1000)}).get(partition)
            known.append(found.offset if found else None)
        return min((offset for offset in known if offset is not None), default=None)


def take_folio_map(engine: Engine, chosen: folio.FolioMap) -> tuple[list[str], dict[tuple[str, int], int]]:
    """Return in what a map differs from the one before, and where the first messages stand that the one before refused."""
    name = f"folio.{chosen.source}.map"
    before, now = cursor_of(engine, name), maps.said(chosen)
    if before == now:
        return [], {}
    keep_cursor(engine, name, now)
    return (list(maps.changes(before, now)), _refused_by_map(engine)) if before else ([], {})


def _refused_by_map(engine: Engine) -> dict[tuple[str, int], int]:
    first = func.min(refusals.c.offset)
    query = select(refusals.c.topic, refusals.c.partition, first).group_by(refusals.c.topic, refusals.c.partition)
    mine = (refusals.c.topic.startswith(FOLIO_EDGE)) & (refusals.c.reason == RejectionReason.UNKNOWN_PLACE)
    with engine.connect() as connection:
        rows = connection.execute(query.where(mine)).all()
    return {(topic.removeprefix(FOLIO_EDGE), partition): offset for topic, partition, offset in rows}


# Before a topic of FOLIO's in the list of rejections.
FOLIO_EDGE = "folio:"


def folio_follower(
    settings: Settings,
    engine: Engine,
    chosen: folio.FolioMap,
    arguments: Mapping[str, Any],
    stop: Event,
    say: Say,
    begin: datetime | None = None,
) -> staying.Attempt[FeedReport]:
    """Return an attempt to follow FOLIO's Kafka, with a consumer of its own: see `staying.stay_up`.

    Messages are read again from `begin` on, once for all attempts.
    """
    rewind = Rewind(begin=begin)

    def attempt(well: Callable[[], None], turn: Turned) -> FeedReport:
        with destinations(settings, engine) as ends, closing(folio_reader(arguments, folio_group(chosen))) as reader:
            changed, offsets = take_folio_map(engine, chosen)
            rewind.offsets.update(offsets)
            for sentence in changed:
                say(sentence)
            return follow_folio(reader, chosen, ends, stop, well=well, turn=turn, rewind=rewind)

    return attempt


def begin_anew(reader: KafkaConsumer, ids: dict[str, object]) -> None:
    """Read recreated topics from their beginning: kafka-python would continue at its old position.

    `ids` holds the topics' ids at the last call; a new id is noticed within the consumer's `metadata_max_age_ms`.
    """
    now = {at.topic: topic_id for at in reader.assignment() if (topic_id := reader._cluster.topic_id(at.topic))}
    anew = [at for at in reader.assignment() if at.topic in now and ids.get(at.topic, now[at.topic]) != now[at.topic]]
    ids.update(now)
    if anew:
        log.warning("recreated, reading from the beginning: %s", ", ".join(sorted({at.topic for at in anew})))
        reader.seek_to_beginning(*anew)


def _at_the_end(reader: KafkaConsumer, idle: int) -> bool:
    """Return whether all partitions are read; without partitions, whether enough polls have passed."""
    share = reader.assignment()
    if not share:
        return idle >= (SHARE_POLLS if reader.subscription() else TOPICS_POLLS)
    return all(reader.position(partition) >= end for partition, end in reader.end_offsets(share).items())


def folio_reader(arguments: Mapping[str, Any], group: str | None = FOLIO_GROUP) -> KafkaConsumer:
    """Return a consumer of FOLIO's Kafka; without a group it reads everything from the beginning and leaves no trace."""
    return consumer(arguments, group_id=group)


def _message(record: Any) -> folio.FolioMessage:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return folio.FolioMessage(
        record.topic, record.partition, record.offset, at, record.value or b"", tuple(record.headers or ())
    )


# After this, all earlier facts have long been applied and FOLIO has moved on: the reconciliation starts over.
RESUMED_WITHIN = timedelta(hours=1)


def reconcile_folio(
    engine: Engine, okapi: folio.Okapi, chosen: folio.FolioMap, carried: Destinations, *, keep: bool = True
) -> FeedReport:
    """Send facts where FOLIO's items differ from the copies known here; raises httpx.HTTPError where FOLIO does not answer.

    With `keep` the cursor follows the sent facts: a killed reconciliation continues with its own instant, so with the same ids.
    """
    report, name = FeedReport(), f"folio.{chosen.source}.reconcile"
    stand: Callable[[Any], None] = partial(keep_cursor, engine, name) if keep else lambda _: None
    as_of, after, tenants = _reconciliation(engine, name, chosen)
    known_between = partial(_folio_copies_between, engine, chosen.source) if _is_alone(engine, chosen) else None
    for tenant in tenants:
        stand((as_of.isoformat(), after, tenant))
        pages = folio.reconcile(
            okapi, chosen, partial(_known_to_folio, engine), as_of, after, tenant, known_between=known_between
        )
        for last, translated_page in pages:
            carrying.carry(translated_page, *carried, report)
            stand((as_of.isoformat(), last, tenant))
        after = folio.FIRST_ITEM
    stand(None)
    return report


def _reconciliation(engine: Engine, name: str, chosen: folio.FolioMap) -> tuple[datetime, str, Sequence[str]]:
    """Return the instant, the last item and the tenants left of an unfinished reconciliation, else those of a new one."""
    with engine.connect() as connection:
        now, begun = read_clock(connection).now(), kept(connection, name)
    if begun and timedelta() <= now - datetime.fromisoformat(begun[0]) < RESUMED_WITHIN:
        tenant = begun[2] if len(begun) > 2 else chosen.tenant[0]
        if tenant in chosen.tenant:
            return datetime.fromisoformat(begun[0]), begun[1], chosen.tenant[chosen.tenant.index(tenant) :]
    return now, folio.FIRST_ITEM, chosen.tenant


def _is_alone(engine: Engine, chosen: folio.FolioMap) -> bool:
    """Return whether no other tenant's feed has this map's source: only then are its copies surely of these tenants."""
    name = f"folio.{chosen.source}.tenants"
    with engine.begin() as connection:
        heard = {*(kept(connection, name) or ()), *chosen.tenant}
        keep(connection, name, sorted(heard))
    if heard == set(chosen.tenant):
        return True
    log.warning("source %s is shared by tenants %s: lost deletions are not searched", chosen.source, sorted(heard))
    return False


# The ids of FOLIO's items, which copies of other systems do not have.
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def _folio_copies_between(engine: Engine, source: str, after: str, last: str | None) -> dict[str, folio.FolioCopy]:
    """Return copies with ids after `after` and up to `last` of which this source has told anything."""
    told = exists().where(movements.c.copy_id == copies.c.copy_id, movements.c.source == source)
    upto = copies.c.copy_id <= last if last is not None else true()
    query = select(copies).where(copies.c.copy_id > after, upto, copies.c.copy_id.regexp_match(UUID), told)
    with engine.connect() as connection:
        return {row.copy_id: _folio_copy(row) for row in connection.execute(query)}


def _folio_copy(row: Row[Any]) -> folio.FolioCopy:
    return folio.FolioCopy(
        CopyState(row.state), row.place_id, row.to_place_id, row.occurred_at, row.source, row.title_id is not None
    )


def _known_to_folio(engine: Engine, ids: Sequence[str]) -> dict[str, folio.FolioCopy]:
    return {row.copy_id: _folio_copy(row) for row in _copies(engine, ids)}


# A page of 500 items takes FOLIO a second or two, under load ten times that.
OKAPI_TIMEOUT_S = 60.0


def reconcile_by_api(
    engine: Engine, url: str, user: tuple[str, str], chosen: folio.FolioMap, carried: Destinations, *, keep: bool = True
) -> FeedReport:
    """Sign in to FOLIO and reconcile; raises httpx.HTTPError where it does not answer."""
    headers = {"x-okapi-tenant": chosen.tenant[0], "accept": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=OKAPI_TIMEOUT_S) as client:
        return reconcile_folio(engine, folio.Okapi(client, *user), chosen, carried, keep=keep)


def folio_differences(
    engine: Engine, url: str, user: tuple[str, str], chosen: folio.FolioMap
) -> list[dict[str, str | None]]:
    """Return every copy that stands otherwise in FOLIO than here: what a reconciliation would mend, and what it would reject."""
    events, refused = list[EventDict](), list[RejectedRecord]()
    reconcile_by_api(engine, url, user, chosen, Destinations(events.extend, refused.extend), keep=False)
    told = {event["data"]["copy"]: event for event in events}
    known = _known_to_folio(engine, list(told))
    rows: list[dict[str, str | None]] = [
        {
            "copy": copy,
            "theirs": f"{event['type']} {event['data'].get('now', '')} at {event['data']['place']}",
            "here": f"{known[copy].state} at {known[copy].place}" if copy in known else None,
        }
        for copy, event in sorted(told.items())
    ]
    return rows + [
        {"copy": record.rejection.original.decode(), "theirs": record.rejection.message, "here": None}
        for record in refused
    ]


def _copies(engine: Engine, ids: Sequence[str]) -> Sequence[Row[Any]]:
    with engine.connect() as connection:
        return connection.execute(select(copies).where(copies.c.copy_id.in_(ids))).all()


# --- Koha ---------------------------------------------------------------------------------------------------------------------

KOHA_POLL_S = 30.0


def koha_follower(
    settings: Settings, engine: Engine, chosen: koha.KohaMap, url: str, stop: Event, say: Say
) -> staying.Attempt[FeedReport]:
    """Return an attempt to follow Koha, with connections of its own: see `staying.stay_up`."""

    def attempt(well: Callable[[], None], turn: Turned) -> FeedReport:
        with destinations(settings, engine) as ends, closing(koha_connection(url)) as connection:
            for sentence in (*koha_inspected(connection), *take_map(engine, chosen)):
                say(sentence)
            return follow_koha(engine, connection, chosen, ends, stop, well=well, turn=turn)

    return attempt


def koha_inspected(connection: Any) -> Iterator[str]:
    """Yield sentences about a Koha before it is followed; raises ValueError where it is too old or not whole."""
    found = koha.version.inspected(connection)
    if found.version:
        yield f"Koha {found.version[0]}.{found.version[1]:02}"
    yield from found.warnings


def follow_koha(
    engine: Engine,
    connection: Any,
    chosen: koha.KohaMap,
    carried: Destinations,
    stop: Event,
    *,
    once: bool = False,
    keep: bool = True,
    well: Callable[[], None] = lambda: None,
    turn: Turned = unheard,
) -> FeedReport:
    """Send the facts of Koha's rows until `stop`, or `once` through all tables; with `keep` the cursors follow the sent facts.

    `well` is called after each round.
    """
    report, looks = FeedReport(), count()
    while not stop.is_set():
        turn()
        look = next(looks)
        for source in koha.SOURCES:
            _follow_table(engine, connection, source, chosen, carried, report, stop, look=look, keep=keep, turn=turn)
        if not stop.is_set():
            _follow_holds(engine, connection, chosen, carried, report, keep=keep)
        well()
        if once:
            break
        stop.wait(KOHA_POLL_S)
    return report


def _follow_table(
    engine: Engine,
    connection: Any,
    source: koha.FollowedTable,
    chosen: koha.KohaMap,
    carried: Destinations,
    report: FeedReport,
    stop: Event,
    *,
    look: int,
    keep: bool,
    turn: Turned,
) -> None:
    name, known_of = f"koha.{chosen.source}.{source.name}", partial(_known_to_koha, engine)
    before = cursor_of(engine, name)
    for position, rows in koha.pages(connection, source, before, chosen.timezone, look):
        copies_of = _koha_copies(engine, chosen, {row["itemnumber"]: row["barcode"] for row in rows}, keep=keep)
        for row in rows:
            row["copy"] = copies_of[row["itemnumber"]]
        refused = report.rejected.total()
        carrying.carry(source.translate(rows, chosen, known_of), *carried, report)
        turn(deed=Deed.CARRIED, about=len(rows))
        if keep and report.rejected.total() > refused and cursor_of(engine, name + REFUSED) is None:
            keep_cursor(engine, name + REFUSED, [before])
        if keep and list(position) != before:
            keep_cursor(engine, name, position)
        before = list(position)
        if stop.is_set():
            return


# Behind a cursor's name: where its table was before the first row that the present map refused.
REFUSED = ".refused"


def map_changes(engine: Engine, chosen: koha.KohaMap) -> list[str]:
    """Return in what a map differs from the one that this source had last."""
    before = cursor_of(engine, f"koha.{chosen.source}.map")
    return list(maps.changes(before, maps.said(chosen))) if before else []


def take_map(engine: Engine, chosen: koha.KohaMap) -> list[str]:
    """Return in what a map differs from the one that this source had last; then rows that the old one refused are read again.

    What they say is dated as it was, and what was sent before has its ids, so nothing happens twice.
    """
    name = f"koha.{chosen.source}.map"
    before, now = cursor_of(engine, name), maps.said(chosen)
    if before == now:
        return []
    sentences = map_changes(engine, chosen)
    for source in koha.SOURCES if before else ():
        cursor = f"koha.{chosen.source}.{source.name}"
        if refused := cursor_of(engine, cursor + REFUSED):
            keep_cursor(engine, cursor, refused[0])
            keep_cursor(engine, cursor + REFUSED, None)
            sentences.append(f"{source.name} is read again from the first row that the map before refused")
    keep_cursor(engine, name, now)
    return sentences


def read_koha_from(engine: Engine, chosen: koha.KohaMap, day: datetime) -> None:
    """Let the next round read Koha's rows again from a day on, in Koha's own time; transfers and holds as a whole."""
    for source in koha.SOURCES:
        local = day.replace(tzinfo=ZoneInfo(chosen.timezone)).astimezone(UTC) if source.utc else day
        position = None if source.pages else (local.isoformat(), "")
        keep_cursor(engine, f"koha.{chosen.source}.{source.name}", position)
    keep_cursor(engine, f"koha.{chosen.source}.reserves", None)


def _koha_copies(engine: Engine, chosen: koha.KohaMap, barcodes: Barcodes, *, keep: bool) -> dict[int, str]:
    """Return which copy each item is; a dry run gives new items theirs and keeps nothing."""
    with engine.connect() as connection, connection.begin() as transaction:
        copies_of = items.copies_of(connection, chosen.source, barcodes)
        if not keep:
            transaction.rollback()
    return copies_of


def _follow_holds(
    engine: Engine, connection: Any, chosen: koha.KohaMap, carried: Destinations, report: FeedReport, *, keep: bool
) -> None:
    """Compare the holds where Koha's or the map differ from the last time."""
    name = f"koha.{chosen.source}.reserves"
    checksum = f"{koha.holds.checksum(connection, chosen)}/{maps.digest(chosen)}"
    if cursor_of(engine, name) == checksum:
        return
    with engine.connect() as database:
        told = items.holds_told(database, chosen.source)
    read = koha.holds.compared(connection, chosen, told, partial(_koha_copies, engine, chosen, keep=keep))
    carrying.carry(read.translated, *carried, report)
    if keep:
        with engine.begin() as database:
            items.keep_holds_told(database, chosen.source, read.told, read.ended)
        keep_cursor(engine, name, checksum)


def _known_to_koha(engine: Engine, ids: Sequence[str]) -> dict[str, koha.KohaCopy]:
    return {
        row.copy_id: koha.KohaCopy(
            CopyState(row.state),
            row.place_id,
            row.to_place_id,
            row.title_id,
            row._mapping["class"],
            row.home_place_id,
            row.fixed,
            row.source,
        )
        for row in _copies(engine, ids)
    }


def koha_differences(engine: Engine, connection: Any, chosen: koha.KohaMap) -> Iterator[koha.check.Difference]:
    """Yield every copy and hold that stands otherwise in Koha than here; nothing is sent or kept."""
    seen = set[str]()
    for rows in koha.check.pages(connection):
        copies_of = _koha_copies(engine, chosen, {row["itemnumber"]: row["barcode"] for row in rows}, keep=False)
        known = _known_to_koha(engine, list(copies_of.values()))
        seen.update(copies_of.values())
        yield from koha.check.differences(rows, copies_of, known, chosen)
    with engine.connect() as database:
        ours = database.execute(
            select(item_copies.c.copy_id, copies.c.state, copies.c.place_id)
            .join(copies, copies.c.copy_id == item_copies.c.copy_id)
            .where(item_copies.c.source == chosen.source, copies.c.state != CopyState.WITHDRAWN)
        )
        yield from (
            koha.check.Difference(row.copy_id, None, f"{row.state} at {row.place_id}")
            for row in ours
            if row.copy_id not in seen
        )
        stood = database.execute(select(holds).where(holds.c.source == chosen.source)).all()
    here = {row.hold_id: [row.type, row.title_id, row.place_id, row.copy_id] for row in stood if row.type in OPEN_HOLDS}
    read = koha.holds.compared(connection, chosen, {}, partial(_koha_copies, engine, chosen, keep=False))
    theirs = {f"{chosen.source}-{number}": told.stand for number, told in read.told.items()}
    for hold in sorted({*here, *theirs}):
        if here.get(hold) != theirs.get(hold):
            yield koha.check.Difference(hold, _hold_words(theirs.get(hold)), _hold_words(here.get(hold)))


OPEN_HOLDS = ("hold.placed", "hold.suspended", "hold.filled")


def _hold_words(stand: Sequence[str | None] | None) -> str | None:
    return " ".join(str(part) for part in stand if part) if stand else None


def koha_connection(url: str) -> Any:
    """Connect to Koha's database, `mysql://user:password@host:port/name` or `mysql://user@/name?socket=PATH`.

    Raises
    ------
    ValueError
        When the address is invalid.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("mysql", "mariadb") or len(parts.path) < 2:
        raise ValueError("expected mysql://user:password@host:port/database")
    where: dict[str, Any] = {"host": parts.hostname or "localhost", "port": parts.port or 3306}
    if socket := parse_qs(parts.query).get("socket"):
        where = {"unix_socket": socket[0]}
    return pymysql.connect(
        **where,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        charset="utf8mb4",
        # TIMESTAMP columns come in UTC, whatever the server's zone; DATETIME columns as Koha wrote them.
        init_command="SET time_zone = '+00:00'",
        cursorclass=pymysql.cursors.DictCursor,
    )


# --- SIP2 ---------------------------------------------------------------------------------------------------------------------


def host_port(address: str) -> tuple[str, int]:
    """Read host:port; raises ValueError for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"expected host:port, got {address!r}")
    return host, int(port)


async def serve_sip2(
    listen: str, system: str, map_path: Path, page: str, token: str, say: Say, show: Say | None = None
) -> None:
    """Serve the proxy until the process is stopped; with `show` it prints the changes it would make, and changes nothing.

    Raises
    ------
    ValueError
        When an address or the map is invalid.
    """
    chosen = sip2.read_map(map_path)
    async with httpx.AsyncClient(base_url=page, headers={"authorization": f"Bearer {token}"}, timeout=1.0) as desk:
        ask = sip2.asking(desk, chosen)
        shown = (lambda change: show(json.dumps(change._asdict(), ensure_ascii=False))) if show else None
        proxy = sip2.Proxy(*host_port(system), ask, chosen.default_location, shown, encoding=chosen.encoding)
        server = await proxy.serve(*host_port(listen))
        say(f"SIP2 proxy on {listen}, library system {system}")
        async with server:
            await server.serve_forever()


# --- Cursors ------------------------------------------------------------------------------------------------------------------


def cursor_of(engine: Engine, name: str) -> Any:
    """Return the position where an adapter stopped, None if it never ran."""
    with engine.connect() as connection:
        return kept(connection, name)


def keep_cursor(engine: Engine, name: str, value: Any) -> None:
    """Keep an adapter's position; call this once everything up to it is in Kafka."""
    with engine.begin() as connection:
        keep(connection, name, value)
