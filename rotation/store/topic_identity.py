"""Whether the topic is still the same as before, and kept as it was made.

Progress is a number of offsets. It means nothing in another topic of the same name, nor where messages were deleted unread: there
a worker stops with a sentence, until a person says `rotation topics rewind`. A topic that only differs from its contract is
named.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError
from psycopg import Cursor

from rotation.kafka import admin
from rotation.kafka.clients import Client, Deleted, gap_fetcher
from rotation.kafka.topics import CIRCULATION_EVENTS, Topic, contracts
from rotation.store import outbox, progress
from rotation.store.engine import Reconnecting
from rotation.store.progress import TopicRead

log = logging.getLogger(__name__)

# A broker that starts may not know its topics at once; two looks in a row that find none are 10 s apart.
LOOKS_UNTIL_GONE = 2
NO_ID = UUID(int=0)  # of a topic on brokers before 2.8

SENTENCES: Mapping[str, tuple[str, str]] = {
    "other_topic": (
        "{topic} was deleted and made anew: it is another topic than the one that was read",
        "{topic} 已被删除并重建：它不是先前读取的主题",
    ),
    "other_cluster": (
        "{topic} stands in another Kafka cluster ({found}) than the one that was read ({expected})",
        "{topic} 位于另一个 Kafka 集群（{found}），而先前读取的是 {expected}",
    ),
    "gone": ("{topic} does not exist any more", "{topic} 已不存在"),
    "lost_end": (
        "partition {partition} of {topic} ends at {end}, and the database has read to {position}",
        "{topic} 的分区 {partition} 止于 {end}，而数据库已读到 {position}",
    ),
    "deleted_unread": (
        "{count} messages of partition {partition} of {topic} (offsets {position} to {last}) were deleted before they were read",
        "{topic} 的分区 {partition} 有 {count} 条消息（偏移量 {position} 至 {last}）未读取即被删除",
    ),
    "partitions": (
        "{topic} has {found} partitions and was made with {expected}",
        "{topic} 现有 {found} 个分区，创建时为 {expected} 个",
    ),
    "setting": (
        "{topic}: {what} is {found} and was made as {expected}; until it is mended, messages may be deleted",
        "{topic}：{what} 为 {found}，创建时为 {expected}；改正之前消息可能被删除",
    ),
    "unseen": (
        "the settings of {topic} cannot be seen: `rotation topics allow worker USER` lets the worker look",
        "无法查看 {topic} 的设置：请用 `rotation topics allow worker USER` 授权",
    ),
}
STOPPING = ("other_topic", "other_cluster", "gone", "lost_end", "deleted_unread")
WHAT_TO_DO = (
    "Nothing further is read. Restore what was there, or run `rotation topics rewind`: another topic is read from its "
    "beginning, where what is known counts as duplicate, and what was deleted is passed by and counted",
    "已停止读取。请恢复原有内容，或运行 `rotation topics rewind`：其他主题将从头读取（已知事件计为重复），"
    "已删除的消息将被跳过并计数",
)


class TopicFinding(NamedTuple):
    """A difference from the topic as read, or as made: a code of SENTENCES with its facts."""

    code: str
    facts: Mapping[str, object]

    def words(self) -> dict[str, str]:
        """Return code and sentences for those who show it."""
        en, zh = (sentence.format_map(self.facts) for sentence in SENTENCES[self.code])
        more = WHAT_TO_DO if self.code in STOPPING else ("", "")
        return {
            "code": self.code,
            "en": ". ".join(filter(None, (en, more[0]))),
            "zh": "。".join(filter(None, (zh, more[1]))),
        }


class OtherKafka(RuntimeError):
    """Progress does not fit the topic: going on would skip unread messages."""

    def __init__(self, findings: Iterable[TopicFinding]) -> None:
        """Say how the topic differs, and how to go on."""
        said = [SENTENCES[one.code][0].format_map(one.facts) for one in findings]
        super().__init__(f"{'; '.join(said)}. {WHAT_TO_DO[0]}")


class Present(NamedTuple):
    """The topic as Kafka holds it: its ids, and by partition the first offset and the next offset."""

    read: TopicRead
    begins: Mapping[int, int]
    ends: Mapping[int, int]


def present(client: Client, topic: str) -> Present | None:
    """Return the topic that Kafka holds under a name now; None if the topic does not exist."""
    asked = KafkaAdminClient(**client)
    try:
        return _present(asked, topic)
    finally:
        asked.close()


def _present(asked: KafkaAdminClient, topic: str) -> Present | None:
    (described,) = asked.describe_topics([topic])
    at = [TopicPartition(topic, one["partition_index"]) for one in described["partitions"]]
    if not at:
        return None
    topic_id = described["topic_id"] or NO_ID
    cluster_id = asked.describe_cluster()["cluster_id"] or ""
    read = TopicRead(str(cluster_id), "" if topic_id == NO_ID else str(topic_id), len(at))
    begins, ends = (
        asked.list_partition_offsets(dict.fromkeys(at, one)) for one in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return Present(read, *({tp.partition: one.offset for tp, one in found.items()} for found in (begins, ends)))


def misfits(
    topic: str, read: TopicRead, now: Present, before: Mapping[int, int], after: Mapping[int, int]
) -> Iterator[TopicFinding]:
    """Yield why positions in the topic that was read mean nothing in the present topic.

    They stood `before` and `after` Kafka was asked for `now`: workers go on meanwhile.
    """
    if read.cluster_id != now.read.cluster_id:
        yield TopicFinding("other_cluster", {"topic": topic, "found": now.read.cluster_id, "expected": read.cluster_id})
    elif "" not in (read.topic_id, now.read.topic_id) and read.topic_id != now.read.topic_id:
        yield TopicFinding("other_topic", {"topic": topic})
    else:
        for partition, position in sorted(before.items()):
            yield from _misfit(topic, partition, position, after.get(partition, position), now)


def _misfit(topic: str, partition: int, before: int, after: int, now: Present) -> Iterator[TopicFinding]:
    begin, end = now.begins.get(partition, 0), now.ends.get(partition, 0)
    facts = {"topic": topic, "partition": partition}
    if end < before:
        yield TopicFinding("lost_end", facts | {"position": before, "end": end})
    if begin > after:
        lost = {"position": after, "count": begin - after, "last": begin - 1}
        yield TopicFinding("deleted_unread", facts | lost)


def otherwise(client: Client, topics: Iterable[Topic]) -> Iterator[TopicFinding]:
    """Yield the differences between existing topics and their contracts."""
    for one in admin.check(client, topics=topics):
        if one.what != admin.MISSING:
            yield TopicFinding(
                {admin.UNSEEN: "unseen", admin.PARTITIONS: "partitions"}.get(one.what, "setting"), one._asdict()
            )


class Guard:
    """Looks, from time to time, whether the topic of the events is still the same."""

    def __init__(self, client: Client, database_url: str, topic: str) -> None:
        """Connect at the first look. Looks may overlap: a rebalance does not wait for the timer's."""
        self._client, self._topic = client, topic
        self._database, self._one_at_a_time = Reconnecting(database_url), threading.Lock()
        self._fetch_gap = gap_fetcher(client, topic)
        self._looks_without = 0
        self._stood_at: dict[int, int] = {}

    def look(self) -> None:
        """Compare the present topic with the topic that was read, and note differences for status and page.

        Raises
        ------
        OtherKafka
            When nothing further may be read.
        """
        with self._cursor() as cursor:
            before = progress.positions(cursor, self._topic)
        now = present(self._client, self._topic)
        self._looks_without = 0 if now else self._looks_without + 1
        if now or self._looks_without >= LOOKS_UNTIL_GONE:
            self._judge(now, before)

    def look_if_it_answers(self) -> None:
        """Look, and leave it to the next look where Kafka or the database does not answer; raises OtherKafka as `look` does."""
        try:
            self.look()
        except (KafkaError, TimeoutError, psycopg.Error) as error:
            log.warning("no look at Kafka: %s: %s", type(error).__name__, str(error).strip())

    @contextmanager
    def _cursor(self) -> Iterator[Cursor[Any]]:
        with self._one_at_a_time, self._database.cursor() as cursor:
            yield cursor

    def _judge(self, now: Present | None, before: Mapping[int, int]) -> None:
        settings = list(otherwise(self._client, contracts(self._topic))) if now else []
        with self._cursor() as cursor:
            stopping, others = self._found(cursor, now, before)
            words = [one.words() for one in (*stopping, *others, *settings)]
            if progress.note_findings(cursor, self._topic, words):
                outbox.notify(cursor, "alerts")
        if stopping:
            raise OtherKafka(stopping)

    def _found(
        self, cursor: Cursor[Any], now: Present | None, before: Mapping[int, int]
    ) -> tuple[list[TopicFinding], list[TopicFinding]]:
        if now is None:
            return [TopicFinding("gone", {"topic": self._topic})], []
        read = progress.topic_read(cursor, self._topic, now.read)
        stopping = list(misfits(self._topic, read, now, before, progress.positions(cursor, self._topic)))
        if stopping or read.partitions == now.read.partitions:
            return stopping, []
        facts = {"topic": self._topic, "found": now.read.partitions, "expected": read.partitions}
        return [], [TopicFinding("partitions", facts)]

    def pass_by_holes(self, read_to: Mapping[int, int]) -> None:
        """Move progress behind offsets at a partition's end that hold no event: markers of transactions, aborted messages.

        `read_to` is how far the consumer is. A partition whose progress moves by itself is left alone.
        """
        try:
            self._pass_by_holes(read_to)
        except (KafkaError, TimeoutError, psycopg.Error, Deleted) as error:  # the next look says what is wrong
            log.warning("no look behind the last event: %s: %s", type(error).__name__, str(error).strip())

    def _pass_by_holes(self, read_to: Mapping[int, int]) -> None:
        with self._cursor() as cursor:
            stands_at = progress.positions(cursor, self._topic)
        for partition, end in read_to.items():
            begin = stands_at.get(partition, end)
            rests = begin < end and self._stood_at.get(partition) == begin
            if rests and not self._fetch_gap(partition, begin, end):
                with self._cursor() as cursor:
                    progress.pass_by(cursor, self._topic, partition, begin, end)
        self._stood_at = stands_at

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


class Rewound(NamedTuple):
    """The result of `rewind`: partitions that are read from their beginning, and how many messages of others are passed by."""

    anew: list[int]
    passed_by: dict[int, int]


def rewind(client: Client, cursor: Cursor[Any], topic: str = CIRCULATION_EVENTS.name) -> Rewound:
    """Let reading go on in the topic as it is now.

    Partitions of another topic, and those that lost their end, are read from their beginning; deleted messages are passed by.

    Raises
    ------
    LookupError
        When the topic does not exist.
    """
    now = present(client, topic)
    if now is None:
        raise LookupError(f"no topic {topic}: `rotation topics create` makes it")
    positions, read = progress.positions(cursor, topic), progress.topic_read(cursor, topic, now.read)
    another = any(misfits(topic, read, now, {}, {}))
    anew = {
        at: now.begins.get(at, 0) for at, position in positions.items() if another or position > now.ends.get(at, 0)
    }
    passed_by = {at: begin for at, begin in now.begins.items() if at not in anew and positions.get(at, begin) < begin}
    progress.rewind(cursor, topic, anew, datetime.now(UTC))
    for partition, begin in passed_by.items():
        progress.pass_by(cursor, topic, partition, positions[partition], begin)
    progress.forget_topic(cursor, topic)
    return Rewound(sorted(anew), {at: begin - positions[at] for at, begin in passed_by.items()})
