"""Write-back by FOLIO's API: check-in by barcode at a service point, and an item's permanent location.

A check-in gives no id, and a second one of a copy that stands at home counts as use in the house: one that got no answer is known
to be done by the item's `lastCheckIn`. FOLIO's requests need a reader of their own and are not placed.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.feeds import maps
from rotation.feeds.folio.reconcile import sign_in
from rotation.feeds.write_back.system import NotWritten, WriteBackDone, WriteBackTask, asked, said, well

Offered = Literal[WriteBackKind.CHECK_IN, WriteBackKind.RELOCATE]


class FolioPlace(BaseModel):
    """A place's ids in FOLIO: the service point of its desk, and the location of its shelves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_point: str
    location: str


class FolioWriteBack(BaseModel):
    """The map: the tenant, and each place's ids there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Offered, ...] = (WriteBackKind.CHECK_IN, WriteBackKind.RELOCATE)
    name: Annotated[str, Field(min_length=1, max_length=64)] = "folio"
    tenant: Annotated[str, Field(min_length=1)]
    places: Annotated[dict[str, FolioPlace], Field(min_length=1)]


def read_map(path: Path) -> FolioWriteBack:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, FolioWriteBack)


class FolioSystem:
    """FOLIO's API; a token that has ended is renewed."""

    def __init__(self, chosen: FolioWriteBack, client: httpx.Client, user: str, password: str) -> None:
        self.map, self.client, self.user, self.password = chosen, client, user, password
        client.headers["x-okapi-tenant"] = chosen.tenant
        self.name = chosen.name
        self.kinds: Collection[WriteBackKind] = chosen.kinds
        self.places: Mapping[str, FolioPlace] = chosen.places

    def before(self, task: WriteBackTask) -> str:
        """Return when and where the item was checked in last."""
        return _last_check_in(self._item(task))

    def done(self, task: WriteBackTask) -> WriteBackDone | None:
        """Return whether the item was checked in at our service point since a check-in was begun."""
        if task.kind is not WriteBackKind.CHECK_IN:
            return None
        now = _last_check_in(self._item(task))
        here = now.endswith(f" {self.places[task.place_id].service_point}")
        return WriteBackDone(None, f"last check-in: {now}") if here and now != task.before else None

    def write(self, task: WriteBackTask) -> WriteBackDone:
        """Check the copy in, or change its permanent location."""
        return self._check_in(task) if task.kind is WriteBackKind.CHECK_IN else self._relocate(task)

    def _check_in(self, task: WriteBackTask) -> WriteBackDone:
        request = {
            "itemBarcode": self._item(task)["barcode"],
            "servicePointId": self.places[task.place_id].service_point,
            "checkInDate": task.at.isoformat(timespec="milliseconds"),
        }
        return WriteBackDone(None, said(well(self._ask("POST", "/circulation/check-in-by-barcode", json=request))))

    def _relocate(self, task: WriteBackTask) -> WriteBackDone:
        item, location = self._item(task), self.places[task.place_id].location
        if item.get("temporaryLocationId"):
            raise NotWritten(WriteBackFault.HARMFUL, "the item has a temporary location, which would hide the new one")
        if item.get("permanentLocationId") == location:
            return WriteBackDone(item["id"], "it was at home there already")
        # With the item's _version: FOLIO refuses (409) what was written in between, and it is read again.
        changed = item | {"permanentLocationId": location}
        answer = self._ask("PUT", f"/item-storage/items/{item['id']}", json=changed)
        if answer.status_code == httpx.codes.CONFLICT:
            raise NotWritten(WriteBackFault.AWAY, said(answer))
        return WriteBackDone(item["id"], said(well(answer)))

    def _item(self, task: WriteBackTask) -> dict[str, Any]:
        """Return the item: a copy of FOLIO's feed has its id."""
        found: dict[str, Any] = well(self._ask("GET", f"/item-storage/items/{task.copy_id}")).json()
        return found

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        answer = asked(self.client, method, path, **more)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._sign_in()
            answer = asked(self.client, method, path, **more)
        return answer

    def _sign_in(self) -> None:
        try:
            sign_in(self.client, self.user, self.password)
        except httpx.HTTPStatusError as refused:
            raise NotWritten(WriteBackFault.NOT_ALLOWED, said(refused.response)) from refused
        except httpx.HTTPError as error:
            raise NotWritten(WriteBackFault.AWAY, f"{type(error).__name__}: {error}") from error


def _last_check_in(item: Mapping[str, Any]) -> str:
    last = item.get("lastCheckIn") or {}
    return f"{last.get('dateTime', '-')} {last.get('servicePointId', '-')}"
