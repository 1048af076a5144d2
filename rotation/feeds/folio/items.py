"""FOLIO's items: the facts that an item record states about a copy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rotation.facts.events import (
    CopyAdded,
    CopyCorrected,
    CopyDamaged,
    CopyFound,
    CopyLoaned,
    CopyMissing,
    CopyReturned,
    CopyWithdrawn,
    Fact,
    TransferReceived,
    TransferSent,
)
from rotation.facts.movements import CopyState
from rotation.feeds.folio.mapping import FolioMap, UnmappedLocation, location_place, service_point_place

LONGEST_WORD = 128  # of an event's field
ON_THE_SHELF = frozenset({"Available", "Restricted"})
RESERVED = frozenset({"Awaiting pickup", "Awaiting delivery", "Paged"})
GONE = frozenset({"Missing", "Long missing", "Lost and paid", "Declared lost", "Aged to lost", "Claimed returned"})
IN_WORK = frozenset({"In process", "In process (non-requestable)", "Unavailable", "Unknown"})
NO_STOCK = frozenset({"On order", "Order closed", "Intellectual item"})
STATE_OF: Mapping[str, CopyState] = {
    **dict.fromkeys(ON_THE_SHELF, CopyState.ON_SHELF),
    **dict.fromkeys(RESERVED, CopyState.ON_HOLD_SHELF),
    **dict.fromkeys(GONE, CopyState.MISSING),
    **dict.fromkeys(IN_WORK, CopyState.DAMAGED),  # off the shelf for work on it, the nearest of our states
    "Checked out": CopyState.ON_LOAN,
    "In transit": CopyState.IN_TRANSIT,
    "Withdrawn": CopyState.WITHDRAWN,
}


def added_of(item: Mapping[str, Any], title: str, chosen: FolioMap, name: str = "") -> CopyAdded:
    """Return the fact that an item is in the stock; raises UnmappedLocation where the map does not list its home.

    `name` is the title's, where it is known.
    """
    home = item.get("permanentLocationId")
    title_class = chosen.classes.get(str(item.get("materialTypeId")), chosen.default_class)
    place = location_place(home, chosen) if home else place_of(item, chosen)
    said = {"copy": item["id"], "place": place, "title": title, "class": title_class}
    return CopyAdded.model_validate(said | ({"title_name": name} if name else {}) | shelving_of(item))


def shelving_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return call number and barcode, as far as the item has them."""
    call = item.get("effectiveCallNumberComponents") or {}
    parts = (call.get("prefix"), call.get("callNumber"), call.get("suffix"))
    words = {"call_number": " ".join(part for part in parts if part), "barcode": item.get("barcode")}
    return {field: str(word)[:LONGEST_WORD] for field, word in words.items() if word}


def standing(item: Mapping[str, Any], chosen: FolioMap, before: str = "") -> Fact | None:
    """Return the fact that puts an item where its record says it is, None if it is not in stock; `before` is its previous status.

    Raises
    ------
    UnmappedLocation
        When the map does not list the place.
    ValueError
        When the status is not one of FOLIO's.
    """
    status = status_of(item)
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


def _on_the_way(item: Mapping[str, Any], where: dict[str, Any], chosen: FolioMap) -> Fact:
    to = service_point_place(item.get("inTransitDestinationServicePointId"), chosen)
    if to == where["place"]:  # between two service points of one place
        return CopyCorrected.model_validate(where | {"now": CopyState.ON_SHELF})
    return TransferSent.model_validate(where | {"to": to})


def _at(item: Mapping[str, Any], status: str, chosen: FolioMap) -> str:
    """Return an item's place: in transit or reserved, the place of its last check-in; else its location."""
    checked_in = (item.get("lastCheckIn") or {}).get("servicePointId")
    if checked_in and (status == "In transit" or status in RESERVED - {"Paged"}):
        return service_point_place(checked_in, chosen)
    return place_of(item, chosen)


def place_of(item: Mapping[str, Any], chosen: FolioMap) -> str:
    places = ("effectiveLocationId", "temporaryLocationId", "permanentLocationId")
    return location_place(next((item[name] for name in places if item.get(name)), None), chosen)


def is_outside(item: Mapping[str, Any], chosen: FolioMap) -> bool:
    """Return whether the map puts the item's location outside the network."""
    try:
        place_of(item, chosen)
    except UnmappedLocation as error:
        return error.outside
    return False


def status_of(item: Mapping[str, Any]) -> str:
    return str((item.get("status") or {}).get("name", ""))


def instant_of(value: object) -> datetime:
    """Read milliseconds since 1970 or an ISO time; FOLIO's times without a zone are UTC."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    instant = datetime.fromisoformat(str(value))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
