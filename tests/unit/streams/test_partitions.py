"""A broker that was started a moment ago does not know its topics at once."""

import pytest

from config.kafka import partitions


class Young:
    """A consumer whose broker knows a topic at the third question."""

    asked = 0

    def partitions_for_topic(self, topic: str) -> set[int]:
        self.asked += 1
        return {1, 0} if self.asked > 2 and topic == "known" else set()


def test_a_topic_that_is_not_known_yet_is_asked_for_again():
    assert [(one.topic, one.partition) for one in partitions(Young(), "known")] == [("known", 0), ("known", 1)]


def test_a_topic_that_does_not_come_is_an_error_and_no_empty_list():
    with pytest.raises(TimeoutError, match="no topic unknown"):
        partitions(Young(), "unknown", within_s=0.2)
