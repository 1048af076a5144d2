"""Whether a topic is still the one that was read, while workers read on."""

import pytest

from rotation.store.progress import TopicRead
from rotation.store.topic_identity import Present, misfits

READ = TopicRead("cluster", "topic", 1)


@pytest.mark.parametrize(
    ("begin", "end", "before", "after", "codes"),
    [
        (0, 1137, 1130, 1138, []),  # a message came, and was written, after Kafka was asked for its end
        (0, 1137, 1138, 1138, ["lost_end"]),
        (5, 9, 3, 6, []),  # the worker had read on when the oldest messages went
        (5, 9, 3, 4, ["deleted_unread"]),
        (5, 9, 5, 9, []),
    ],
)
def test_a_worker_that_reads_on_while_kafka_is_asked_is_not_accused(
    begin: int, end: int, before: int, after: int, codes: list[str]
):
    now = Present(READ, {0: begin}, {0: end})
    assert [one.code for one in misfits("t", READ, now, {0: before}, {0: after})] == codes
