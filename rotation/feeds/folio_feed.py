"""FOLIO's Kafka into ours: its messages are followed, and read once more where the map refused them."""

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from threading import Event
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, func, select

from config import Settings
from rotation.facts.events import RejectionReason
from rotation.facts.parts import Deed
from rotation.feeds import carrying, folio, maps, staying
from rotation.feeds.carrying import FeedReport
from rotation.feeds.destinations import Destinations, Say, cursor_of, destinations, keep_cursor
from rotation.kafka.clients import consumer
from rotation.store.heartbeats import Turned, unheard
from rotation.store.tables import rejections as refusals

log = logging.getLogger(__name__)

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
# Brokers that are there answer in milliseconds, in seconds while they elect a leader.
ANSWER_MS = 5_000
# A reader that died, or could not leave its group because the brokers were away, holds its share of the group for so long.
SESSION_MS = 10_000
# A reader that waited less might end without reading anything.
SHARE_POLLS = 60


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
            reader.end_offsets(reader.assignment(), timeout_ms=ANSWER_MS)
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
    return consumer({"session_timeout_ms": SESSION_MS, **arguments}, group_id=group)


def _message(record: Any) -> folio.FolioMessage:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return folio.FolioMessage(
        record.topic, record.partition, record.offset, at, record.value or b"", tuple(record.headers or ())
    )
