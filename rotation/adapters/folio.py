"""FOLIO: its Kafka topics as they are, and its REST API for what its fire-and-forget publishing lost.

The item stream is the truth of where a copy is; loans, check-ins and requests tell demand. Between the two nothing is
ordered, so a check-in is dated a little before the item's own word of the same action, which thereby stands whichever comes
first. Only named fields are read: users' ids, staff's and the tokens in headers stay outside.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotation.adapters import maps
from rotation.adapters.feed import Told, Translated, event, id_of, in_batches, refusal
from rotation.events import (
    CopyAdded,
    CopyCorrected,
    CopyDamaged,
    CopyFound,
    CopyLoaned,
    CopyMissing,
    CopyRenewed,
    CopyReturned,
    CopyWithdrawn,
    Fact,
    HoldCancelled,
    HoldExpired,
    HoldFact,
    HoldFilled,
    HoldPlaced,
    Reason,
    TransferReceived,
    TransferSent,
)
from rotation.movements import State

TOPIC_PATTERN = r"(^|.*\.)(circulation\.(loan|check-in|request)|inventory\.item)$"
CHECK_IN_LEAD = timedelta(
    seconds=5
)  # FOLIO logs a check-in after it moved the item: by some 100 ms, under load by seconds
PAGE_ITEMS = 500
FIRST_ITEM = "00000000-0000-0000-0000-000000000000"  # an id below all others
LONGEST_MESSAGE_BYTES = 5_000_000  # FOLIO's own producers allow a request of some MB; larger is damage
ON_THE_SHELF = frozenset({"Available", "Restricted"})
RESERVED = frozenset({"Awaiting pickup", "Awaiting delivery", "Paged"})
GONE = frozenset({"Missing", "Long missing", "Lost and paid", "Declared lost", "Aged to lost", "Claimed returned"})
IN_WORK = frozenset({"In process", "In process (non-requestable)", "Unavailable", "Unknown"})
NO_STOCK = frozenset({"On order", "Order closed", "Intellectual item"})
STATE_OF: Mapping[str, State] = {
    **dict.fromkeys(ON_THE_SHELF, State.ON_SHELF),
    **dict.fromkeys(RESERVED, State.ON_HOLD_SHELF),
    **dict.fromkeys(GONE, State.MISSING),
    **dict.fromkeys(IN_WORK, State.DAMAGED),  # off the shelf for work on it, the nearest that we have
    "Checked out": State.ON_LOAN,
    "In transit": State.IN_TRANSIT,
    "Withdrawn": State.WITHDRAWN,
}
NO_PLACE = "-"  # in the map: a location outside the network, such as one of e-resources


class Map(BaseModel):
    """Which of FOLIO's service points, locations and material types are which of the network's places and classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1, max_length=100)] = "folio"
    service_points: dict[str, str]
    locations: dict[str, str]
    classes: dict[str, str] = {}
    default_class: str


def read_map(path: Path) -> Map:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, Map)


class Message(NamedTuple):
    """One record of FOLIO's Kafka; `at` is the broker's time of it, for messages that tell none."""

    topic: str
    partition: int
    offset: int
    at: datetime
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Change(NamedTuple):
    """A message of either envelope, unpacked."""

    id: str
    type: str  # CREATE, UPDATE, DELETE, DELETE_ALL ..., whatever the vocabulary
    at: datetime
    old: Mapping[str, Any]
    new: Mapping[str, Any]


class Unmapped(ValueError):
    """A service point or location that the map does not know, or knows as outside the network."""

    def __init__(self, field: str, value: object, outside: bool = False) -> None:
        super().__init__(f"{str(value)[:64]!r} stands in no line of the map")
        self.field, self.outside = field, outside


# --- Messages -----------------------------------------------------------------------------------------------------------------


def translate(messages: Iterable[Message], chosen: Map) -> Iterator[Translated]:
    """Yield what the tenant's messages say; never raises on any bytes."""
    for message in messages:
        yield from _translated(message, chosen)


def _translated(message: Message, chosen: Map) -> Iterator[Translated]:
    edge, position = f"folio:{message.topic}", (message.partition, message.offset)
    try:
        body = _body(message)
        if _tenant(message, body) != chosen.tenant:
            return
        change = unpacked(body, message)
        yield from _NAMES[message.topic.rsplit(".", 2)[-1]](change, chosen)
    except Unmapped as error:
        if not error.outside:
            yield refusal(edge, position, Reason.UNKNOWN_PLACE, error.field, str(error), {"id": _id_in(message)})
    except ValidationError as error:
        first = error.errors()[0]
        yield refusal(
            edge, position, Reason.DATA, ".".join(map(str, first["loc"])), first["msg"], {"id": _id_in(message)}
        )
    except orjson.JSONDecodeError as error:
        yield refusal(edge, position, Reason.NOT_JSON, f"line {error.lineno} column {error.colno}", error.msg)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"not as FOLIO's schema says: {type(error).__name__}"  # whose words could quote what was read
        yield refusal(edge, position, Reason.DATA, "", what, {"id": _id_in(message)})


def _body(message: Message) -> Mapping[str, Any]:
    if len(message.value) > LONGEST_MESSAGE_BYTES:
        raise ValueError("too large")
    body = orjson.loads(message.value)
    if not isinstance(body, dict):
        raise TypeError("no object")
    return body


def _tenant(message: Message, body: Mapping[str, Any]) -> str:
    """Return whose message it is: by its header, else by its body; a topic's name may stand for many tenants."""
    for key, value in message.headers:
        if key.lower() in ("folio.tenantid", "x-okapi-tenant"):
            return value.decode("utf-8", "replace")
    return str(body["tenant"])


def _id_in(message: Message) -> str:
    """Return the id of the record that a refused message is about, to look it up in FOLIO."""
    try:
        body = orjson.loads(message.value)
        found = body.get("data") or body
        return str((found.get("new") or found.get("old") or {})["id"])[:64]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return ""


def unpacked(body: Mapping[str, Any], message: Message) -> Change:
    """Return what changed, by inventory's envelope {eventId, eventTs, old, new} or circulation's {id, timestamp, data}."""
    data = body.get("data") or body
    kind = str(body["type"]).upper()
    kind = {"CREATED": "CREATE", "UPDATED": "UPDATE", "DELETED": "DELETE", "ALL_DELETED": "DELETE_ALL"}.get(kind, kind)
    identity = body.get("eventId") or (body.get("id") if "data" in body else None)
    known = str(identity) if identity else f"{message.topic}/{message.partition}/{message.offset}"
    told_at = body.get("eventTs") or body.get("timestamp")
    return Change(
        known, kind, _instant(told_at) if told_at else message.at, data.get("old") or {}, data.get("new") or {}
    )


def _instant(value: object) -> datetime:
    """Read milliseconds since 1970 or an ISO time; FOLIO's times without a zone are UTC."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    found = datetime.fromisoformat(str(value))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _of_loan(change: Change, chosen: Map) -> Iterator[Told]:
    """A loan is lent from where the item stood; that it ended, the check-in and the item tell."""
    loan, action = change.new, str(change.new.get("action"))
    if action not in ("checkedout", "checkedOutThroughOverride", "renewed", "renewedThroughOverride"):
        return
    where = {"copy": loan["itemId"], "place": _lent_at(loan, chosen)}
    if action.startswith("renewed"):
        yield event(CopyRenewed.model_validate(where), chosen.source, change.at, event_id=f"{change.id}/renewed")
    else:
        fact, at = CopyLoaned.model_validate(where), _instant(loan["loanDate"])
        yield event(fact, chosen.source, at, event_id=f"loan/{loan['id']}")


def _lent_at(loan: Mapping[str, Any], chosen: Map) -> str:
    location = loan.get("itemEffectiveLocationIdAtCheckOut")
    if location:
        return _location(location, chosen)
    return _service_point(loan.get("checkoutServicePointId"), chosen)


def _of_check_in(change: Change, chosen: Map) -> Iterator[Told]:
    """A check-in brings a copy back, or receives it; one of a copy that was there anyway is no news."""
    found, before = change.new, str(change.new.get("itemStatusPriorToCheckIn"))
    if change.type != "CREATE" or before in ON_THE_SHELF:
        return
    where = {"copy": found["itemId"], "place": _service_point(found.get("servicePointId"), chosen)}
    fact = TransferReceived if before == "In transit" else CopyReturned
    at = _instant(found["occurredDateTime"]) - CHECK_IN_LEAD
    yield event(fact.model_validate(where), chosen.source, at, event_id=f"check-in/{found['id']}")


_ENDED: Mapping[str, type[HoldFact]] = {
    "Closed - Filled": HoldCancelled,  # fetched: nobody waits any more
    "Closed - Cancelled": HoldCancelled,
    "Closed - Unfilled": HoldExpired,
    "Closed - Pickup expired": HoldExpired,
}


def _of_request(change: Change, chosen: Map) -> Iterator[Told]:
    """A request is a hold; of its updates only those count that change who waits, where, or for what."""
    hold = change.new or change.old
    if not hold or not hold.get("pickupServicePointId"):  # a delivery to an address, or all of them deleted
        return
    status = str(hold.get("status"))
    fact = _ENDED.get(status) or (HoldFilled if status == "Open - Awaiting pickup" else HoldPlaced)
    if change.type == "DELETE":
        fact = HoldCancelled
    elif change.type == "UPDATE" and not _changed(change, "status", "pickupServicePointId", "itemId"):
        return
    values = {
        "hold": hold["id"],
        "title": hold["instanceId"],
        "place": _service_point(hold["pickupServicePointId"], chosen),
        "copy": hold.get("itemId"),
    }
    yield event(fact.model_validate(values), chosen.source, change.at, event_id=f"{change.id}/{fact.type}")


def _changed(change: Change, *fields: str) -> bool:
    return not change.old or any(change.old.get(name) != change.new.get(name) for name in fields)


def _of_item(change: Change, chosen: Map) -> Iterator[Told]:
    """What the item says of itself is where it is."""
    if change.type == "DELETE_ALL":
        raise ValueError("nothing is withdrawn on the word that everything is deleted; reconcile instead")
    if change.type == "DELETE":
        yield _withdrawn(change, chosen)
    elif change.type in ("CREATE", "UPDATE"):
        if change.type == "CREATE" or _changed(change, *LISTED):
            yield from _listed(change, chosen)
        if change.type == "CREATE" or _changed(change, *LISTED, "status", *WHERE):
            yield from _stands(change, chosen)


LISTED = ("instanceId", "materialTypeId", "permanentLocationId")
WHERE = ("effectiveLocationId", "inTransitDestinationServicePointId")


def _withdrawn(change: Change, chosen: Map) -> Told:
    item = change.old or change.new
    fact = CopyWithdrawn.model_validate({"copy": item["id"], "place": _place_of(item, chosen)})
    return event(fact, chosen.source, change.at, event_id=f"{change.id}/withdrawn", sequence=1)


def _listed(change: Change, chosen: Map) -> Iterator[Told]:
    if change.new.get("instanceId") and _status(change.new) not in NO_STOCK:
        added = added_of(change.new, str(change.new["instanceId"]), chosen)
        yield event(added, chosen.source, change.at, event_id=f"{change.id}/added")


def added_of(item: Mapping[str, Any], title: str, chosen: Map) -> CopyAdded:
    """Return that an item is in the stock; raises Unmapped where the map does not know its home."""
    home = item.get("permanentLocationId")
    title_class = chosen.classes.get(str(item.get("materialTypeId")), chosen.default_class)
    place = _location(home, chosen) if home else _place_of(item, chosen)
    return CopyAdded.model_validate({"copy": item["id"], "place": place, "title": title, "class": title_class})


def _stands(change: Change, chosen: Map) -> Iterator[Told]:
    fact = standing(change.new, chosen, before=_status(change.old))
    if fact:
        yield event(fact, chosen.source, change.at, event_id=f"{change.id}/stands", sequence=1)


def standing(item: Mapping[str, Any], chosen: Map, before: str = "") -> Fact | None:
    """Return the fact that puts an item where it says it is, None where it is no stock; `before` was its status until then.

    Raises
    ------
    Unmapped
        When the map does not know the place.
    ValueError
        When the status is none of FOLIO's.
    """
    status = _status(item)
    if status in NO_STOCK:
        return None
    if status not in STATE_OF:
        raise ValueError("unknown status")
    where = {"copy": item["id"], "place": _at(item, status, chosen)}
    if status == "In transit":
        return _on_the_way(item, where, chosen)
    if status in ON_THE_SHELF and before in _BACK_FROM:
        return _BACK_FROM[before].model_validate(where)
    if status in _NAMED:
        return _NAMED[status].model_validate(where)
    return CopyCorrected.model_validate(where | {"now": STATE_OF[status]})


_BACK_FROM: Mapping[str, type[Fact]] = {
    "Checked out": CopyReturned,
    "In transit": TransferReceived,
    **dict.fromkeys(GONE, CopyFound),
}
_NAMED: Mapping[str, type[Fact]] = {
    "Checked out": CopyLoaned,
    "Withdrawn": CopyWithdrawn,
    **dict.fromkeys(GONE, CopyMissing),
    **dict.fromkeys(IN_WORK, CopyDamaged),
}


def _on_the_way(item: Mapping[str, Any], where: dict[str, Any], chosen: Map) -> Fact:
    to = _service_point(item.get("inTransitDestinationServicePointId"), chosen)
    if to == where["place"]:  # between two service points of one place
        return CopyCorrected.model_validate(where | {"now": State.ON_SHELF})
    return TransferSent.model_validate(where | {"to": to})


def _at(item: Mapping[str, Any], status: str, chosen: Map) -> str:
    """Return where an item is: on its way or reserved, where it was checked in last; else at its location."""
    checked_in = (item.get("lastCheckIn") or {}).get("servicePointId")
    if checked_in and (status == "In transit" or status in RESERVED - {"Paged"}):
        return _service_point(checked_in, chosen)
    return _place_of(item, chosen)


def _place_of(item: Mapping[str, Any], chosen: Map) -> str:
    places = ("effectiveLocationId", "temporaryLocationId", "permanentLocationId")
    return _location(next((item[name] for name in places if item.get(name)), None), chosen)


def _status(item: Mapping[str, Any]) -> str:
    return str((item.get("status") or {}).get("name", ""))


def _location(location: object, chosen: Map) -> str:
    return _mapped(location, chosen.locations, "effectiveLocationId")


def _service_point(point: object, chosen: Map) -> str:
    return _mapped(point, chosen.service_points, "servicePointId")


def _mapped(value: object, places: Mapping[str, str], field: str) -> str:
    place = places.get(str(value))
    if place is None or place == NO_PLACE:
        raise Unmapped(field, value, outside=place == NO_PLACE)
    return place


_NAMES: Mapping[str, Callable[[Change, Map], Iterator[Told]]] = {
    "loan": _of_loan,
    "check-in": _of_check_in,
    "request": _of_request,
    "item": _of_item,
}


# --- Reconciliation -----------------------------------------------------------------------------------------------------------


class Known(NamedTuple):
    """What is known of a copy here."""

    state: State
    place: str
    to: str | None
    at: datetime
    source: str
    listed: bool


KnownOf = Callable[[Sequence[str]], Mapping[str, Known]]


def reconcile(
    okapi: httpx.Client, chosen: Map, known_of: KnownOf, as_of: datetime, after: str = FIRST_ITEM
) -> Iterator[tuple[str, list[Translated]]]:
    """Yield what FOLIO's items say otherwise than what is known here, page by page, each with its last item's id.

    `okapi` carries the address, the tenant and the token; `as_of` is the instant that it all is told for, before the first page
    was asked for, and `after` where to go on. What another source told later than FOLIO's own word stays, and what is told
    here of an item since `as_of`.

    Raises
    ------
    httpx.HTTPError
        When FOLIO does not answer, or refuses.
    """
    for items in pages(okapi, after):
        known = known_of([str(item["id"]) for item in items])
        titles = _titles(okapi, [item for item in items if not _is_listed(known, item)])
        told = (_mended(item, chosen, known.get(str(item["id"])), titles, as_of) for item in items)
        yield str(items[-1]["id"]), [one for some in told for one in some]


def sign_in(okapi: httpx.Client, user: str, password: str) -> None:
    """Give the client a fresh token; raises httpx.HTTPError where FOLIO does not let us in."""
    answer = okapi.post("/authn/login-with-expiry", json={"username": user, "password": password})
    if answer.status_code == httpx.codes.NOT_FOUND:  # releases before 2023
        answer = okapi.post("/authn/login", json={"username": user, "password": password})
    token = answer.raise_for_status().headers.get("x-okapi-token")
    if token:  # newer ones set a cookie, which the client keeps
        okapi.headers["x-okapi-token"] = token


def pages(okapi: httpx.Client, after: str) -> Iterator[list[dict[str, Any]]]:
    """Yield all items behind the one of that id, in the order of their ids."""
    while True:
        query = f'id>"{after}" sortby id'
        answer = okapi.get("/item-storage/items", params={"query": query, "limit": PAGE_ITEMS}).raise_for_status()
        items = sorted(answer.json()["items"], key=lambda item: str(item["id"]))
        if not items:
            return
        yield items
        after = str(items[-1]["id"])


def _is_listed(known: Mapping[str, Known], item: Mapping[str, Any]) -> bool:
    found = known.get(str(item["id"]))
    return found is not None and found.listed


def _titles(okapi: httpx.Client, items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the instances of the items' holdings, which item records do not name."""
    wanted, found = sorted({str(item["holdingsRecordId"]) for item in items if item.get("holdingsRecordId")}), {}
    for some in in_batches(wanted, 50):  # as many as an address takes
        query = "id==(" + " or ".join(f'"{one}"' for one in some) + ")"
        answer = okapi.get("/holdings-storage/holdings", params={"query": query, "limit": len(some)}).raise_for_status()
        found.update({str(one["id"]): str(one["instanceId"]) for one in answer.json()["holdingsRecords"]})
    return found


def _mended(
    item: Mapping[str, Any], chosen: Map, known: Known | None, titles: Mapping[str, str], as_of: datetime
) -> Iterator[Translated]:
    title = titles.get(str(item.get("holdingsRecordId")))
    identity = id_of("reconciled", item["id"], as_of.isoformat())
    try:
        fact = standing(item, chosen)
        if fact is None:
            return
        if title and (known is None or not known.listed):
            added = added_of(item, title, chosen)
            yield event(added, chosen.source, as_of, event_id=f"{identity}/added")
        elif known and (known.at > as_of or not _differs(fact, known, item, chosen)):
            return
        yield event(fact, chosen.source, as_of, event_id=f"{identity}/stands", sequence=1)
    except Unmapped as error:
        if not error.outside:
            kept = {"id": item["id"]}
            yield refusal("folio:reconcile", _position(item), Reason.UNKNOWN_PLACE, error.field, str(error), kept)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"not as FOLIO's schema says: {type(error).__name__}"
        yield refusal("folio:reconcile", _position(item), Reason.DATA, "", what, {"id": str(item.get("id"))[:64]})


def _position(item: Mapping[str, Any]) -> tuple[int, int]:
    """Return a place of the item's own among the rejections, so that each is kept once."""
    return 0, int(id_of(item.get("id"))[:15], 16)


def _differs(fact: Fact, known: Known, item: Mapping[str, Any], chosen: Map) -> bool:
    told: Any = fact
    says = told.now if isinstance(fact, CopyCorrected) else told.state
    same_state = says is known.state or (says is State.ON_SHELF and known.state is State.PICKED)
    if same_state and told.place == known.place and getattr(told, "to", None) == known.to:
        return False
    changed = (item.get("status") or {}).get("date")
    return known.source == chosen.source or not changed or _instant(changed) > known.at
