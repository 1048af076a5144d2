"""FOLIO's Kafka topics, as published: messages into events.

The item stream is authoritative for where a copy is; loans, check-ins and requests report demand. The streams are not ordered
relative to each other, so a check-in is dated a little before the item's own message about the same action, which so prevails
whichever comes first. Only named fields are read: ids of users and staff, and the tokens in headers, stay outside.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from rotation.facts.events import (
    CopyLoaned,
    CopyRenewed,
    CopyReturned,
    CopyWithdrawn,
    HoldCancelled,
    HoldExpired,
    HoldFact,
    HoldFilled,
    HoldPlaced,
    RejectionReason,
    TransferReceived,
)
from rotation.feeds.carrying import EventDict, Translated, event, rejected_record
from rotation.feeds.folio.items import (
    NO_STOCK,
    ON_THE_SHELF,
    added_of,
    instant_of,
    is_outside,
    place_of,
    standing,
    status_of,
)
from rotation.feeds.folio.mapping import FolioMap, UnmappedLocation, location_place, service_point_place

TOPIC_PATTERN = r"(^|.*\.)(circulation\.(loan|check-in|request)|inventory\.item)$"
CHECK_IN_LEAD = timedelta(
    seconds=5
)  # FOLIO logs a check-in after it moved the item: by some 100 ms, under load by seconds
# FOLIO's own producers allow a request of some MB; a larger message is damaged.
LONGEST_MESSAGE_BYTES = 5_000_000


class FolioMessage(NamedTuple):
    """One record of FOLIO's Kafka; `at` is the broker's time, for messages without a time of their own."""

    topic: str
    partition: int
    offset: int
    at: datetime
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class FolioChange(NamedTuple):
    """An unpacked message of either envelope."""

    id: str
    type: str  # CREATE, UPDATE, DELETE, DELETE_ALL ..., in one vocabulary
    at: datetime
    old: Mapping[str, Any]
    new: Mapping[str, Any]


def translate(messages: Iterable[FolioMessage], chosen: FolioMap) -> Iterator[Translated]:
    """Yield the events of the tenant's messages; never raises on any bytes."""
    for message in messages:
        yield from _translated(message, chosen)


def _translated(message: FolioMessage, chosen: FolioMap) -> Iterator[Translated]:
    edge, position = f"folio:{message.topic}", (message.partition, message.offset)
    try:
        body = _body(message)
        if _tenant(message, body) not in chosen.tenant:
            return
        change = unpacked(body, message)
        yield from _NAMES[message.topic.rsplit(".", 2)[-1]](change, chosen)
    except UnmappedLocation as error:
        if not error.outside:
            yield rejected_record(
                edge, position, RejectionReason.UNKNOWN_PLACE, error.field, str(error), {"id": _id_in(message)}
            )
    except ValidationError as error:
        first = error.errors()[0]
        yield rejected_record(
            edge,
            position,
            RejectionReason.DATA,
            ".".join(map(str, first["loc"])),
            first["msg"],
            {"id": _id_in(message)},
        )
    except orjson.JSONDecodeError as error:
        yield rejected_record(
            edge, position, RejectionReason.NOT_JSON, f"line {error.lineno} column {error.colno}", error.msg
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"not as FOLIO's schema says: {type(error).__name__}"  # the exception's own text could quote the record
        yield rejected_record(edge, position, RejectionReason.DATA, "", what, {"id": _id_in(message)})


def _body(message: FolioMessage) -> Mapping[str, Any]:
    if len(message.value) > LONGEST_MESSAGE_BYTES:
        raise ValueError("too large")
    body = orjson.loads(message.value)
    if not isinstance(body, dict):
        raise TypeError("no object")
    return body


def _tenant(message: FolioMessage, body: Mapping[str, Any]) -> str:
    """Return the message's tenant: from its header, else from its body; a topic's name may stand for many tenants."""
    for key, value in message.headers:
        if key.lower() in ("folio.tenantid", "x-okapi-tenant"):
            return value.decode("utf-8", "replace")
    return str(body["tenant"])


def _id_in(message: FolioMessage) -> str:
    """Return the id of a rejected message's record, so that it can be looked up in FOLIO."""
    try:
        body = orjson.loads(message.value)
        change = body.get("data") or body
        return str((change.get("new") or change.get("old") or {})["id"])[:64]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return ""


def unpacked(body: Mapping[str, Any], message: FolioMessage) -> FolioChange:
    """Return the change in inventory's envelope {eventId, eventTs, old, new} or circulation's {id, timestamp, data}."""
    data = body.get("data") or body
    kind = str(body["type"]).upper()
    kind = {"CREATED": "CREATE", "UPDATED": "UPDATE", "DELETED": "DELETE", "ALL_DELETED": "DELETE_ALL"}.get(kind, kind)
    identity = body.get("eventId") or (body.get("id") if "data" in body else None)
    known = str(identity) if identity else f"{message.topic}/{message.partition}/{message.offset}"
    told_at = body.get("eventTs") or body.get("timestamp")
    return FolioChange(
        known, kind, instant_of(told_at) if told_at else message.at, data.get("old") or {}, data.get("new") or {}
    )


def _of_loan(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    """A loan starts where the item stood; its end is reported by the check-in and the item."""
    loan, action = change.new, str(change.new.get("action"))
    if action not in ("checkedout", "checkedOutThroughOverride", "renewed", "renewedThroughOverride"):
        return
    where = {"copy": loan["itemId"], "place": _lent_at(loan, chosen)}
    if action.startswith("renewed"):
        yield event(CopyRenewed.model_validate(where), chosen.source, change.at, event_id=f"{change.id}/renewed")
    else:
        fact, at = CopyLoaned.model_validate(where), instant_of(loan["loanDate"])
        yield event(fact, chosen.source, at, event_id=f"loan/{loan['id']}")


def _lent_at(loan: Mapping[str, Any], chosen: FolioMap) -> str:
    location = loan.get("itemEffectiveLocationIdAtCheckOut")
    if location:
        return location_place(location, chosen)
    return service_point_place(loan.get("checkoutServicePointId"), chosen)


def _of_check_in(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    """A check-in returns a copy, or receives it; a check-in of a copy that was there anyway changes nothing."""
    check_in, before = change.new, str(change.new.get("itemStatusPriorToCheckIn"))
    if change.type != "CREATE" or before in ON_THE_SHELF:
        return
    where = {"copy": check_in["itemId"], "place": service_point_place(check_in.get("servicePointId"), chosen)}
    fact = TransferReceived if before == "In transit" else CopyReturned
    at = instant_of(check_in["occurredDateTime"]) - CHECK_IN_LEAD
    yield event(fact.model_validate(where), chosen.source, at, event_id=f"check-in/{check_in['id']}")


_ENDED: Mapping[str, type[HoldFact]] = {
    "Closed - Filled": HoldCancelled,  # fetched: nobody waits any more
    "Closed - Cancelled": HoldCancelled,
    "Closed - Unfilled": HoldExpired,
    "Closed - Pickup expired": HoldExpired,
}


def _of_request(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    """A request is a hold; an update counts only if it changes who waits, where, or for which item."""
    hold, to_be_delivered = change.new or change.old, False
    if _is_delivered(hold) and not _is_delivered(change.old):
        # Switched to a delivery: nobody fetches it at the place that had it.
        hold, to_be_delivered = change.old, True
    if _is_delivered(hold):
        return
    status = str(hold.get("status"))
    fact = _ENDED.get(status) or (HoldFilled if status == "Open - Awaiting pickup" else HoldPlaced)
    if change.type == "DELETE" or to_be_delivered:
        fact = HoldCancelled
    elif change.type == "UPDATE" and not _changed(
        change, "status", "pickupServicePointId", "fulfillmentPreference", "itemId"
    ):
        return
    values = {
        "hold": hold["id"],
        "title": hold["instanceId"],
        "place": service_point_place(hold["pickupServicePointId"], chosen),
        "copy": hold.get("itemId"),
    }
    yield event(fact.model_validate(values), chosen.source, change.at, event_id=f"{change.id}/{fact.type}")


def _is_delivered(hold: Mapping[str, Any]) -> bool:
    """Return whether a request is for a delivery to an address, or no request at all (all of them deleted)."""
    return not hold.get("pickupServicePointId") or hold.get("fulfillmentPreference") == "Delivery"


def _changed(change: FolioChange, *fields: str) -> bool:
    return not change.old or any(change.old.get(name) != change.new.get(name) for name in fields)


def _of_item(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    """The item's own message says where it is."""
    if change.type == "DELETE_ALL":
        raise ValueError("a deletion of everything withdraws nothing; reconcile instead")
    if change.type == "DELETE":
        yield _withdrawn(change, chosen)
    elif change.type == "UPDATE" and is_outside(change.new, chosen):
        if change.old and not is_outside(change.old, chosen):
            yield _withdrawn(change, chosen)
    elif change.type in ("CREATE", "UPDATE"):
        if change.type == "CREATE" or _changed(change, *LISTED):
            yield from _listed(change, chosen)
        if change.type == "CREATE" or _changed(change, *LISTED, "status", *WHERE):
            yield from _stands(change, chosen)


LISTED = ("instanceId", "materialTypeId", "permanentLocationId")
WHERE = ("effectiveLocationId", "inTransitDestinationServicePointId")


def _withdrawn(change: FolioChange, chosen: FolioMap) -> EventDict:
    item = change.old or change.new
    fact = CopyWithdrawn.model_validate({"copy": item["id"], "place": place_of(item, chosen)})
    return event(fact, chosen.source, change.at, event_id=f"{change.id}/withdrawn", sequence=1)


def _listed(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    if change.new.get("instanceId") and status_of(change.new) not in NO_STOCK:
        added = added_of(change.new, str(change.new["instanceId"]), chosen)
        yield event(added, chosen.source, change.at, event_id=f"{change.id}/added")


def _stands(change: FolioChange, chosen: FolioMap) -> Iterator[EventDict]:
    fact = standing(change.new, chosen, before=status_of(change.old))
    if fact:
        yield event(fact, chosen.source, change.at, event_id=f"{change.id}/stands", sequence=1)


_NAMES: Mapping[str, Callable[[FolioChange, FolioMap], Iterator[EventDict]]] = {
    "loan": _of_loan,
    "check-in": _of_check_in,
    "request": _of_request,
    "item": _of_item,
}
