"""Events over HTTP: valid events are passed on, invalid ones reported by their place, readers' data stays outside."""

from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.facts.events import Edge, RejectionReason
from rotation.feeds.http import BATCH, STRUCTURED, Allowance, check
from tests.unit.adapters.patron import CARD, NAME, named_in

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EDGE = Edge(frozenset({"centre"}), frozenset({"fiction"}), NOW)


def lent(number: int = 1, source: str = "koha", **more: object) -> dict[str, object]:
    data = {"copy": f"c{number}", "place": "centre"} | more
    time = (NOW - timedelta(hours=1)).isoformat()
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": source,
        "type": "copy.loaned",
        "time": time,
        "data": data,
    }


def test_good_events_go_on_and_a_bad_one_among_them_is_named_by_its_place():
    found = check(orjson.dumps([lent(1), lent(2, place="nowhere"), lent(3)]), BATCH, EDGE, "koha")
    assert [event["id"] for event in found.good] == ["e1", "e3"]
    assert [(one.index, one.field, one.reason) for one in found.refused] == [
        (1, "data.place", RejectionReason.UNKNOWN_PLACE)
    ]


def test_a_token_speaks_for_its_own_source_only():
    found = check(orjson.dumps([lent(1), lent(2, "folio"), lent(3, "koha/branch-2")]), BATCH, EDGE, "koha")
    assert [event["id"] for event in found.good] == ["e1", "e3"]
    assert found.refused[0].field == "source"


def test_one_event_that_says_it_is_a_batch_is_refused():
    assert check(orjson.dumps(lent()), BATCH, EDGE).refused[0].reason is RejectionReason.WRONG_HEADER
    assert check(orjson.dumps(lent()), STRUCTURED, EDGE).good


def test_what_could_name_a_reader_is_left_out_and_only_its_fields_name_is_told():
    event = lent(1, patron=CARD, borrower={"name": NAME}) | {"subject": CARD, "readername": NAME}
    found = check(orjson.dumps([event, lent(2, place="nowhere", patron=CARD)]), BATCH, EDGE)
    assert named_in(found.good, found.refused) == []
    assert found.dropped == ["data.borrower", "data.patron", "readername", "subject"]
    assert len(found.good) == 1


def test_bytes_that_cannot_be_read_are_not_kept():
    assert check(b'{"patron": "' + CARD.encode(), STRUCTURED, EDGE).refused[0].original == b""


KEYS = ("id", "type", "data", "source", "time", "other")


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
        max_leaves=12,
    ).map(lambda value: orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS) if _fits(value) else b"0")
)
@settings(max_examples=150, deadline=None)
def test_no_body_does_more_than_be_refused(body: bytes):
    found = check(body, BATCH, EDGE, "koha")
    assert found.refused
    assert not found.good


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def test_a_source_that_sends_too_fast_is_told_how_long_to_wait_and_others_are_not():
    allowance = Allowance(per_s=10, burst=100)
    assert allowance.wait_s("koha", 100, now=0.0) == 0
    assert allowance.wait_s("koha", 20, now=0.0) == 2
    assert allowance.wait_s("folio", 20, now=0.0) == 0
    assert allowance.wait_s("koha", 20, now=2.0) == 0
