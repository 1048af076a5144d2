"""Write-back by Koha's REST API.

It places, finds and deletes holds of a copy, and changes an item's home library. It has no check-in, and creates no transfer:
Koha makes these itself when a copy with a hold is checked in, which SIP2 does. A PUT of an item clears its additional subfields
of 952, so an item that has any is left to people.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.feeds import maps
from rotation.feeds.write_back.system import NotWritten, WriteBackDone, WriteBackTask, asked, said, well

MOST_HOLDS = 100  # of one copy for our own account: more than one is our mistake or somebody else's
Offered = Literal[WriteBackKind.HOLD, WriteBackKind.RELOCATE]


class KohaWriteBack(BaseModel):
    """The map: Koha's library of each place, and the patron (Koha's number, of nobody) that our holds are placed for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Offered, ...] = (WriteBackKind.HOLD, WriteBackKind.RELOCATE)
    name: Annotated[str, Field(min_length=1, max_length=64)] = "koha"
    patron: Annotated[int, Field(ge=1)]
    places: Annotated[dict[str, str], Field(min_length=1)]


def read_map(path: Path) -> KohaWriteBack:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, KohaWriteBack)


class KohaSystem:
    """Koha's API, with a token of the client-credentials grant that is renewed when it has ended."""

    def __init__(self, chosen: KohaWriteBack, client: httpx.Client, client_id: str, client_secret: str) -> None:
        self.map, self.client = chosen, client
        self.grant = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self.name = chosen.name
        drops = (WriteBackKind.DROP_HOLD,) if WriteBackKind.HOLD in chosen.kinds else ()
        self.kinds: Collection[WriteBackKind] = (*chosen.kinds, *drops)
        self.places: Mapping[str, str] = chosen.places

    def before(self, task: WriteBackTask) -> str:  # noqa: ARG002
        """Return nothing of note: a hold of ours is found by its transfer, and the rest has no second effect."""
        return "-"

    def done(self, task: WriteBackTask) -> WriteBackDone | None:
        """Return our hold where it is there, or was and has been cancelled since: staff undid it, and it is not placed again."""
        if task.kind is not WriteBackKind.HOLD:
            return None
        ours = {"item_id": self._item(task)["item_id"], "patron_id": self.map.patron, "_per_page": MOST_HOLDS}
        holds = well(self._ask("GET", "/api/v1/holds", params=ours)).json()
        mine = [hold for hold in holds if hold.get("notes") == _note(task)]
        if mine:
            return WriteBackDone(str(mine[0]["hold_id"]), "found again")
        ended = self._ended(task, ours["item_id"])
        return WriteBackDone(str(ended[0]["hold_id"]), "placed, and cancelled there since") if ended else None

    def _ended(self, task: WriteBackTask, item: int) -> list[dict[str, Any]]:
        """Return our hold among those that are over; none where this release does not list them, or the account may not."""
        wanted = json.dumps({"item_id": item, "notes": _note(task)})
        answer = self._ask("GET", f"/api/v1/patrons/{self.map.patron}/holds", params={"old": "true", "q": wanted})
        found: list[dict[str, Any]] = answer.json() if answer.is_success else []
        return [hold for hold in found if hold.get("notes") == _note(task)]

    def write(self, task: WriteBackTask) -> WriteBackDone:
        """Place or drop the hold, or change the item's home."""
        if task.kind is WriteBackKind.HOLD:
            return self._hold(task)
        return self._drop(task) if task.kind is WriteBackKind.DROP_HOLD else self._relocate(task)

    def _hold(self, task: WriteBackTask) -> WriteBackDone:
        item = self._item(task)
        hold = {
            "patron_id": self.map.patron,
            "biblio_id": item["biblio_id"],
            "item_id": item["item_id"],
            "pickup_library_id": self.places[task.place_id],
            "notes": _note(task),
        }
        answer = well(self._ask("POST", "/api/v1/holds", json=hold))
        return WriteBackDone(str(answer.json()["hold_id"]), said(answer))

    def _drop(self, task: WriteBackTask) -> WriteBackDone:
        if task.hold is None:
            return WriteBackDone(None, "no hold was placed")
        answer = self._ask("DELETE", f"/api/v1/holds/{task.hold}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return WriteBackDone(task.hold, "the hold was gone")
        return WriteBackDone(task.hold, said(well(answer)))

    def _relocate(self, task: WriteBackTask) -> WriteBackDone:
        item, home = self._item(task), self.places[task.place_id]
        if item["home_library_id"] == home:
            return WriteBackDone(str(item["item_id"]), "it was at home there already")
        if item.get("extended_subfields"):
            raise NotWritten(WriteBackFault.HARMFUL, "a PUT of this item would clear its additional subfields of 952")
        path = f"/api/v1/biblios/{item['biblio_id']}/items/{item['item_id']}"
        return WriteBackDone(str(item["item_id"]), said(well(self._ask("PUT", path, json={"home_library_id": home}))))

    def _item(self, task: WriteBackTask) -> dict[str, Any]:
        """Return the item, by its number or else by its barcode."""
        if task.item is not None:
            found: dict[str, Any] = well(self._ask("GET", f"/api/v1/items/{task.item}")).json()
            return found
        items = well(self._ask("GET", "/api/v1/items", params={"external_id": task.barcode, "_match": "exact"})).json()
        if len(items) != 1:
            raise NotWritten(WriteBackFault.UNKNOWN_ITEM, f"{len(items)} items have the barcode {task.barcode}")
        only: dict[str, Any] = items[0]
        return only

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        answer = asked(self.client, method, path, **more)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._sign_in()
            answer = asked(self.client, method, path, **more)
        return answer

    def _sign_in(self) -> None:
        token = asked(self.client, "POST", "/api/v1/oauth/token", data=self.grant)
        if not token.is_success:
            raise NotWritten(WriteBackFault.NOT_ALLOWED, said(token))
        self.client.headers["authorization"] = f"Bearer {token.json()['access_token']}"


def _note(task: WriteBackTask) -> str:
    """Return the note by which a hold of ours is found again."""
    return f"Rotation {task.transfer_id}"
