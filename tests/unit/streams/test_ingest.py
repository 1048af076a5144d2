"""Lines of a file become messages: in order, in batches, and nothing that the broker would refuse."""

import orjson

from rotation.events import MAX_BATCH_BYTES, Reason, Rejection
from streams.ingest import BATCH_BYTES, Piece, pieces


def test_events_are_gathered_in_their_order() -> None:
    found = list(pieces(orjson.dumps({"id": str(number)}) for number in range(250)))
    assert [piece.lines for piece in found if isinstance(piece, Piece)] == [100, 100, 50]
    ids = [event["id"] for piece in found if isinstance(piece, Piece) for event in orjson.loads(piece.value)]
    assert ids == [str(number) for number in range(250)]


def test_a_line_that_is_no_json_goes_alone_and_spoils_no_batch() -> None:
    assert list(pieces([b'{"id": 1}\n', b"oops\n", b"\n", b'{"id": 2}'])) == [
        Piece(b'[{"id": 1}]', 1),
        Piece(b"oops", 1),
        Piece(b'[{"id": 2}]', 1),
    ]


def test_a_line_too_large_for_the_broker_is_refused_with_its_number() -> None:
    (only,) = pieces([b'{"a": "' + b"x" * 2 * MAX_BATCH_BYTES + b'"}'])
    assert isinstance(only, Rejection)
    assert (only.reason, only.field) == (Reason.TOO_LARGE, "line 1")


def test_no_gathered_batch_is_larger_than_it_may_be() -> None:
    large = orjson.dumps({"a": "x" * 300_000})
    assert all(len(piece.value) < BATCH_BYTES + 1000 for piece in pieces([large] * 5) if isinstance(piece, Piece))
