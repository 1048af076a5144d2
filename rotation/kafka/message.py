"""A message of the events' topic, as Kafka's readers pass it on."""

from typing import NamedTuple

from rotation.facts.events import Headers


class Message(NamedTuple):
    """A message with its position in the topic."""

    partition: int
    offset: int
    value: bytes
    headers: Headers = ()
    sent_at_s: float = 0.0  # by Kafka's timestamp, for figures alone; 0: not known


class CountedPartition(NamedTuple):
    """The events of a partition from `begin` until before `end` whose outcome is known: applied, duplicate, late or rejected."""

    begin: int
    end: int
    events: int
