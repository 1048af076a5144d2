"""Rows of a batch: each event once, in one set, whatever stands beside it."""

from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rotation.facts.events import CopyAdded, CopyReturned, Event, Rejection, TransferSent, parse
from rotation.kafka.message import Message
from streams.rows import Rows, rows_of
from tests.streams_world import EDGE, MONDAY, batches, disturbed, history, told


def of(*values: bytes) -> Rows:
    return rows_of([Message(0, offset, value) for offset, value in enumerate(values)], EDGE)


@given(st.integers(0, 1000))
def test_every_event_of_a_batch_is_counted_once(seed: int) -> None:
    sent = disturbed(history(seed, 60, copies=10), seed, twice=0.3)
    rows = of(*batches(sent, seed))
    counted = sum(len(facts.counted) for facts in (rows.movements, rows.holds, rows.transfers, rows.crates))
    assert counted + rows.duplicates + len(rows.rejected) == len(sent)


def test_the_newest_of_a_copy_is_the_last_that_happened_not_the_last_that_came() -> None:
    rows = of(
        orjson.dumps([told(CopyReturned(copy="c1", place="p2"), 9), told(CopyReturned(copy="c1", place="p1"), 5)])
    )
    assert rows.movements.newest["c1"][4] == "e9"
    assert {key[4] for key in rows.movements.behind} == {"e5"}


def test_a_shipment_without_an_id_bears_its_copys() -> None:
    rows = of(orjson.dumps(told(TransferSent(copy="c1", place="p1", to="p2"), 1)))
    assert list(rows.transfers.newest) == ["own:c1"]


def test_of_two_listings_at_one_instant_every_order_keeps_the_same() -> None:
    one = told(CopyAdded(copy="c1", place="p1", title="t1", **{"class": "fiction"}), 1, MONDAY)
    two = told(CopyAdded(copy="c1", place="p2", title="t2", **{"class": "fiction"}), 2, MONDAY)
    assert of(orjson.dumps([one, two])).listings == of(orjson.dumps([two, one])).listings


def test_what_was_refused_before_stays_refused_in_a_replay() -> None:
    value = orjson.dumps([told(CopyReturned(copy="c1", place="p1"), 1), told(CopyReturned(copy="c2", place="p1"), 2)])
    rows = rows_of([Message(3, 7, value)], EDGE, {(3, 7): {0}})
    assert list(rows.movements.newest) == ["c2"]


@given(st.binary(max_size=300), st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=40)), max_size=3))
def test_no_bytes_and_no_headers_make_the_parser_raise(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    assert all(isinstance(one, Event | Rejection) for one in parse(value, EDGE, headers))


names = st.sampled_from(["id", "source", "type", "time", "data", "copy", "place"])
json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
)


@given(json, st.sampled_from(["copy.added", "copy.returned", "transfer.sent", "crate.closed", "?"]))
def test_no_json_makes_the_parser_raise(data: object, kind: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": kind, "time": MONDAY.isoformat(), "data": data}
    assert len(list(parse(orjson.dumps(event), EDGE))) == 1


def test_nul_in_an_id_is_refused_at_the_edge() -> None:
    event = told(CopyReturned(copy="c1", place="p1"), 1)
    event["data"]["copy"] = "c\x00"
    (one,) = parse(orjson.dumps(event), EDGE)
    assert isinstance(one, Rejection)


def test_a_time_at_the_end_of_the_calendar_is_refused_not_raised() -> None:
    for time in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        (one,) = parse(orjson.dumps({**told(CopyReturned(copy="c1", place="p1"), 1), "time": time}), EDGE)
        assert isinstance(one, Rejection)


def test_clocks_a_little_ahead_are_believed() -> None:
    event = told(CopyReturned(copy="c1", place="p1"), 1, EDGE.now + timedelta(minutes=4))
    (one,) = parse(orjson.dumps(event), EDGE)
    assert isinstance(one, Event)
