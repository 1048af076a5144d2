"""FOLIO's messages: both envelopes and vocabularies, FOLIO's own examples, and noise."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.facts.events import Edge, Event, RejectionReason, parse
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.folio import CHECK_IN_LEAD, FolioCopy, FolioMap, FolioMessage, Okapi, reconcile, translate
from tests.folio_simulated import MAP, TOKEN
from tests.needs import needs_data
from tests.unit.adapters.patron import PATRON_ID, named_in

AT = datetime(2026, 3, 2, tzinfo=UTC)
TS = int(AT.timestamp() * 1000)
ITEM = {"id": "i1", "instanceId": "t1", "effectiveLocationId": "loc-p1", "permanentLocationId": "loc-p1"}


def says(name: str, body: Any, headers: list[tuple[str, bytes]] | None = None, chosen: FolioMap = MAP) -> list[Any]:
    value = body if isinstance(body, bytes) else orjson.dumps(body)
    return list(translate([FolioMessage(f"folio.ALL.{name}", 2, 7, AT, value, headers or [])], chosen))


def item(kind: str, status: str, old: str | None = None, **more: Any) -> dict[str, Any]:
    new = ITEM | {"status": {"name": status}} | more
    before = ITEM | {"status": {"name": old}} if old else None
    return {"eventId": "e1", "eventTs": TS, "type": kind, "tenant": "diku", "old": before, "new": new}


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("Available", "Checked out", "copy.loaned"),
        ("Checked out", "Available", "copy.returned"),
        ("In transit", "Available", "transfer.received"),
        ("Missing", "Available", "copy.found"),
        ("Available", "Declared lost", "copy.missing"),
        ("Available", "Withdrawn", "copy.withdrawn"),
        ("Available", "In process", "copy.damaged"),
        ("Checked out", "Awaiting pickup", "copy.corrected"),
    ],
)
def test_an_items_change_of_status_is_a_fact(old: str, new: str, fact: str):
    assert [event["type"] for event in says("inventory.item", item("UPDATE", new, old))] == [fact]


def test_an_item_on_its_way_goes_from_where_it_was_checked_in_to_its_destination():
    body = item(
        "UPDATE",
        "In transit",
        "Checked out",
        lastCheckIn={"servicePointId": "sp-p3"},
        inTransitDestinationServicePointId="sp-p1",
    )
    assert says("inventory.item", body)[0]["data"] == {"copy": "i1", "place": "p3", "to": "p1"}


def test_a_new_item_is_listed_and_stands():
    assert [event["type"] for event in says("inventory.item", item("CREATE", "Available"))] == [
        "copy.added",
        "copy.corrected",
    ]


def test_an_item_that_is_only_on_order_is_no_stock():
    assert says("inventory.item", item("CREATE", "On order")) == []


def test_an_update_that_moves_nothing_is_no_news():
    assert says("inventory.item", item("UPDATE", "Available", "Available", barcode="1")) == []


def test_a_deletion_without_id_and_time_is_known_by_its_place_in_the_topic():
    body = {"type": "DELETE", "tenant": "diku", "old": ITEM | {"status": {"name": "Available"}}}
    [event] = says("inventory.item", body)
    assert (event["id"], event["time"]) == ("folio.ALL.inventory.item/2/7/withdrawn", AT.isoformat())


def test_a_check_in_is_dated_before_the_items_own_word_of_it():
    body = {
        "itemId": "i1",
        "id": "c1",
        "occurredDateTime": AT.isoformat(),
        "itemStatusPriorToCheckIn": "Checked out",
        "servicePointId": "sp-p2",
    }
    [event] = says(
        "circulation.check-in",
        {"id": "m1", "type": "CREATED", "tenant": "diku", "timestamp": TS, "data": {"new": body}},
    )
    assert (event["type"], event["data"]["place"]) == ("copy.returned", "p2")
    assert event["time"] == (AT - CHECK_IN_LEAD).isoformat()


@pytest.mark.parametrize(
    ("status", "kind", "fact"),
    [
        ("Open - Not yet filled", "CREATED", "hold.placed"),
        ("Open - Awaiting pickup", "UPDATED", "hold.filled"),
        ("Closed - Cancelled", "UPDATED", "hold.cancelled"),
        ("Closed - Pickup expired", "UPDATED", "hold.expired"),
    ],
)
def test_a_request_is_a_hold(status: str, kind: str, fact: str):
    hold = {"id": "r1", "instanceId": "t1", "itemId": "i1", "pickupServicePointId": "sp-p2", "requesterId": PATRON_ID}
    change = {"old": hold | {"status": "?"}, "new": hold | {"status": status}}
    [event] = says("circulation.request", {"id": "m1", "type": kind, "tenant": "diku", "timestamp": TS, "data": change})
    assert event["type"] == fact
    assert named_in(event) == []


def request(old: dict[str, Any], new: dict[str, Any]) -> list[Any]:
    change = {"old": old, "new": new}
    return says(
        "circulation.request", {"id": "m1", "type": "UPDATED", "tenant": "diku", "timestamp": TS, "data": change}
    )


def test_a_hold_that_is_switched_to_a_delivery_ends_at_its_place():
    hold = {"id": "r1", "instanceId": "t1", "itemId": "i1", "status": "Open - Awaiting pickup"}
    at_the_desk, delivered = hold | {"pickupServicePointId": "sp-p2"}, hold | {"fulfillmentPreference": "Delivery"}
    [ended] = request(at_the_desk, delivered)
    assert (ended["type"], ended["data"]["place"]) == ("hold.cancelled", "p2")
    assert request(delivered, delivered | {"status": "Closed - Cancelled"}) == []
    [again] = request(delivered, at_the_desk)
    assert again["type"] == "hold.filled"


def test_one_feed_follows_the_tenants_of_a_consortium():
    body = item("CREATE", "Available")
    consortium = MAP.model_copy(update={"tenant": ("central", "diku", "member")})
    for tenant in consortium.tenant:
        message = FolioMessage("folio.ALL.inventory.item", 2, 7, AT, orjson.dumps(body | {"tenant": tenant}), ())
        assert len(list(translate([message], consortium))) == 2


def test_another_tenants_message_on_a_shared_topic_is_not_ours_by_header_or_body():
    body = item("CREATE", "Available")
    assert says("inventory.item", body, [("folio.tenantId", b"other")]) == []
    assert says("inventory.item", body | {"tenant": "other"}) == []
    assert says("inventory.item", body | {"tenant": "other"}, [("X-Okapi-Tenant", b"diku")])


def test_a_service_point_outside_the_map_is_refused_with_the_records_id():
    [refused] = says(
        "inventory.item", item("CREATE", "Available", effectiveLocationId="loc-new", permanentLocationId=None)
    )
    assert isinstance(refused, RejectedRecord)
    assert (refused.rejection.reason, refused.position, b"i1" in refused.rejection.original) == (
        RejectionReason.UNKNOWN_PLACE,
        (2, 7),
        True,
    )


def test_a_location_that_the_map_puts_outside_the_network_is_passed_over():
    assert (
        says(
            "inventory.item",
            item("CREATE", "Available", effectiveLocationId="loc-online", permanentLocationId="loc-online"),
        )
        == []
    )


def test_everything_deleted_withdraws_nothing_but_is_told():
    [refused] = says("inventory.item", {"type": "DELETE_ALL", "tenant": "diku"})
    assert isinstance(refused, RejectedRecord)


@pytest.mark.parametrize(("told_after", "mended"), [(-1, 1), (1, 0)])
def test_a_reconciliation_mends_what_was_told_before_it_began_and_leaves_what_was_told_since(
    told_after: int, mended: int
):
    one = ITEM | {"status": {"name": "Available"}}
    known = FolioCopy(CopyState.ON_LOAN, "p1", None, AT + timedelta(seconds=told_after), MAP.source, True)
    answers = iter([{"items": [one]}, {"items": []}])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(answers)))
    with httpx.Client(base_url="http://folio", transport=transport) as okapi:
        pages = list(reconcile(Okapi(okapi), MAP, lambda ids: dict.fromkeys(ids, known), AT))
    assert [(last, len(told)) for last, told in pages] == [(one["id"], mended)]


def test_tokens_and_readers_stand_in_no_refusal():
    body = {
        "type": "UPDATED",
        "tenant": "diku",
        "data": {"new": {"userId": PATRON_ID, "action": "checkedout", "itemId": {"x": PATRON_ID}}},
    }
    refused = says("circulation.loan", body, [("X-Okapi-Token", TOKEN.encode())])
    assert refused
    assert named_in(refused) == []
    assert TOKEN not in str(refused)


@needs_data
def test_folios_own_messages_become_events_that_the_worker_takes(rotation_data: Path):
    lines = [json.loads(line) for line in (rotation_data / "folio" / "messages.jsonl").read_text().splitlines()]
    text = json.dumps(lines)
    points = dict.fromkeys(_values(lines, "ServicePointId") | _values(lines, "servicePointId"), "p1")
    locations = dict.fromkeys(_values(lines, "LocationId") | _values(lines, "itemEffectiveLocationIdAtCheckOut"), "p2")
    chosen = MAP.model_copy(update={"service_points": points, "locations": locations})
    found = [says(line["topic"].split(".", 2)[2], line["value"], chosen=chosen) for line in lines]
    assert [[event["type"] for event in events] for events in found] == [
        ["copy.loaned"],
        ["copy.returned"],
        ["transfer.sent"],
    ]
    edge = Edge(frozenset({"p1", "p2"}), frozenset(), datetime(2030, 1, 1, tzinfo=UTC))
    assert all(isinstance(one, Event) for events in found for one in parse(orjson.dumps(events), edge))
    assert "performedByUserId" in text
    assert "f9246eac-ef6f-4043-885b-0325a1e3a9eb" not in str(found)


def _values(found: Any, ending: str) -> set[str]:
    if isinstance(found, list):
        return set().union(*(_values(one, ending) for one in found))
    if not isinstance(found, dict):
        return set()
    here = {value for key, value in found.items() if key.endswith(ending) and isinstance(value, str)}
    return here.union(*(_values(value, ending) for value in found.values()))


noise = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**60) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "status", "name", "itemId", "action", "servicePointId", "loanDate", "occurredDateTime"]
            ),
            inner,
        )
    ),
    max_leaves=10,
)


@given(
    st.sampled_from(["circulation.loan", "circulation.check-in", "circulation.request", "inventory.item"]),
    noise,
    noise,
    noise,
)
@settings(max_examples=200, deadline=None)
def test_no_content_does_more_than_be_refused(name: str, kind: Any, old: Any, new: Any):
    body = {
        "type": kind,
        "tenant": "diku",
        "timestamp": new,
        "eventTs": old,
        "data": {"old": old, "new": new},
        "old": old,
        "new": new,
    }
    for one in says(name, body):
        assert isinstance(one, RejectedRecord | dict)


@given(st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_no_bytes_do_more_than_be_refused(value: bytes):
    assert all(isinstance(one, RejectedRecord) for one in says("inventory.item", value))


OUTSIDE = {"effectiveLocationId": "loc-online", "permanentLocationId": "loc-online"}


@pytest.mark.parametrize("where", [OUTSIDE, {"effectiveLocationId": "loc-online"}])
@pytest.mark.parametrize("status", ["Available", "Unavailable"])
def test_an_item_moved_outside_the_network_leaves_the_shelf(where: dict[str, str], status: str) -> None:
    [left] = says("inventory.item", item("UPDATE", status, "Available", **where))
    assert (left["type"], left["data"]["place"]) == ("copy.withdrawn", "p1")


@pytest.mark.parametrize(("state", "facts"), [(CopyState.ON_SHELF, ["copy.withdrawn"]), (CopyState.WITHDRAWN, [])])
def test_a_reconciliation_finds_what_has_moved_outside_the_network(state: CopyState, facts: list[str]) -> None:
    one = ITEM | OUTSIDE | {"status": {"name": "Available"}}
    known = FolioCopy(state, "p1", None, AT - timedelta(days=1), MAP.source, True)
    answers = iter([{"items": [one]}, {"items": []}])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(answers)))
    with httpx.Client(base_url="http://folio", transport=transport) as okapi:
        [(_, told)] = list(reconcile(Okapi(okapi), MAP, lambda ids: dict.fromkeys(ids, known), AT))
    assert [fact["type"] for fact in told if isinstance(fact, dict)] == facts
