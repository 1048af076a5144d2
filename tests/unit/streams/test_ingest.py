"""Lines of a file become messages: in order, in batches, and nothing that the broker would refuse."""

from collections.abc import Iterable

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rotation.alerts.touched import Touched
from rotation.facts.events import MAX_BATCH_BYTES, RejectionReason
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.event_lines import BATCH_BYTES, LineBatch, pieces
from streams.watch import touched

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(["place", "classes", "awaited", "id"]), some)
    ),
)


def of(lines: Iterable[bytes]) -> list[LineBatch | RejectedRecord]:
    return list(pieces(lines, "day.jsonl"))


def test_events_are_gathered_in_their_order() -> None:
    found = of(orjson.dumps({"id": str(number)}) for number in range(250))
    assert [piece.lines for piece in found if isinstance(piece, LineBatch)] == [100, 100, 50]
    ids = [event["id"] for piece in found if isinstance(piece, LineBatch) for event in orjson.loads(piece.value)]
    assert ids == [str(number) for number in range(250)]


def test_a_line_that_holds_no_event_is_refused_with_its_number_and_without_its_bytes_and_spoils_no_batch() -> None:
    *refused, batch = of([b'{"id": 1}\n', b"oops\n", b"\n", b"[1]", b"\xff", b'{"id": 2}'])
    assert batch == LineBatch(b'[{"id": 1},{"id": 2}]', 2)
    told = [(one.position[1], one.rejection.reason, one.rejection.original) for one in refused]  # type: ignore[union-attr]
    assert told == [
        (2, RejectionReason.NOT_JSON, b""),
        (4, RejectionReason.NOT_A_BATCH, b""),
        (5, RejectionReason.NOT_UTF8, b""),
    ]


def test_what_stands_at_a_line_of_another_file_of_that_name_is_another_refusal() -> None:
    (one,), (same,), (other,) = of([b"oops"]), of([b"oops"]), of([b"ouch"])
    assert one.position == same.position != other.position  # type: ignore[union-attr]


def test_a_line_too_large_for_the_broker_is_refused_with_its_number() -> None:
    (only,) = of([b'{"a": "' + b"x" * 2 * MAX_BATCH_BYTES + b'"}'])
    assert isinstance(only, RejectedRecord)
    assert (only.rejection.reason, only.rejection.field) == (RejectionReason.TOO_LARGE, "line 1")


def test_no_gathered_batch_is_larger_than_it_may_be() -> None:
    large = orjson.dumps({"a": "x" * 300_000})
    assert all(len(piece.value) < BATCH_BYTES + 1000 for piece in of([large] * 5) if isinstance(piece, LineBatch))


@given(st.lists(st.binary(max_size=30) | JSON.map(orjson.dumps)))
def test_every_line_of_a_file_is_in_one_message_or_refused(lines: list[bytes]) -> None:
    sent = sum(one.lines if isinstance(one, LineBatch) else 1 for one in of(lines))
    assert sent == sum(bool(line.strip()) for line in lines)


@given(st.lists(st.binary(max_size=30) | JSON.map(orjson.dumps)))
def test_no_notice_does_more_than_be_passed_over(notices: list[bytes]) -> None:
    assert all(isinstance(one, Touched) for one in touched(notices).values())
