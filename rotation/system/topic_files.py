"""A topic's messages in files, and back, for backups and purges.

DIR/NAME-N.jsonl.gz   partition N: offset, time in ms, key, value (base64), headers, a message a line
"""

import base64
import contextlib
import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaProducer, TopicPartition

from rotation.kafka import admin
from rotation.kafka.clients import Client, consumer, producer
from rotation.kafka.recount import end_offsets
from rotation.kafka.topics import Topic

PRIVATE_FILE = 0o600  # every event is in it: for its owner alone
PACKED = 6  # gzip's own default: events shrink to a tenth
POLL_MS, AT_ONCE = 500, 5_000
SENT_S = 60.0  # for what is under way at the end of a partition

Line = dict[str, Any]
Edit = Callable[[bytes | None], bytes | None]


class TopicMismatch(ValueError):
    """The topic cannot take the messages: it has another number of partitions."""


def save_topic(client: Client, topic: str, file_of: Callable[[int], Path]) -> dict[int, int]:
    """Write each partition's messages, as far as no transaction is open, into its file; return their counts."""
    return {
        partition: _save_partition(client, file_of(partition), TopicPartition(topic, partition), end)
        for partition, end in sorted(end_offsets(client, topic).items())
    }


def records(client: Client, at: TopicPartition, end: int) -> Iterator[Any]:
    """Yield a partition's messages from its beginning up to the offset `end`."""
    reader = consumer(client, max_poll_records=AT_ONCE)
    try:
        reader.assign([at])
        reader.seek_to_beginning(at)
        while reader.position(at) < end:
            yield from (record for record in reader.poll(POLL_MS).get(at, []) if record.offset < end)
    finally:
        reader.close()


def make_topic(client: Client, contract: Topic, partitions: int, replication: int) -> None:
    """Make the topic with as many partitions as it had, so that each message finds its own again.

    Raises
    ------
    TopicMismatch
        When it is there with fewer.
    """
    admin.create(client, replication=replication, topics=[contract._replace(partitions=partitions)])
    have = len(end_offsets(client, contract.name))
    if have < partitions:
        raise TopicMismatch(f"{contract.name} has {have} partitions and its files {partitions}: delete the topic")


def send_partition(client: Client, file: Path, at: TopicPartition, known: int, edit: Edit = lambda value: value) -> int:
    """Send a partition's messages, each key, value and header as `edit` returns it.

    Return where those before offset `known` end now: offsets differ where the old topic had holes.
    """
    sender, before = producer(client), 0
    try:
        with gzip.open(file) as lines:
            for line in map(orjson.loads, lines):
                _send(sender, at, line, edit)
                before += line["offset"] < known
        sender.flush(SENT_S)
    finally:
        sender.close()
    return before


def private(file: Path) -> Path:
    """Return the file, made for its owner alone where it was not there."""
    with contextlib.suppress(FileExistsError):
        file.touch(mode=PRIVATE_FILE, exist_ok=False)
    return file


def decoded(value: str | None) -> bytes | None:
    """Return the bytes of a line's key, value or header."""
    return None if value is None else base64.b64decode(value)


def _save_partition(client: Client, file: Path, at: TopicPartition, end: int) -> int:
    messages = 0
    with gzip.open(private(file), "wb", compresslevel=PACKED) as out:
        for record in records(client, at, end):
            out.write(orjson.dumps(_line(record)) + b"\n")
            messages += 1
    return messages


def _line(record: Any) -> Line:
    return {
        "offset": record.offset,
        "at": record.timestamp,
        "key": _encoded(record.key),
        "value": _encoded(record.value),
        "headers": [[name, _encoded(value)] for name, value in record.headers or ()],
    }


def _send(sender: KafkaProducer, at: TopicPartition, line: Mapping[str, Any], edit: Edit) -> None:
    headers = [(name, edit(decoded(value))) for name, value in line["headers"]]
    record = {"key": edit(decoded(line["key"])), "value": edit(decoded(line["value"])), "timestamp_ms": line["at"]}
    sender.send(at.topic, partition=at.partition, headers=headers, **record)


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
