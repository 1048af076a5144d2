"""Write-back by SIP2: the check-in is the receipt.

SIP2 has neither holds of a copy for a place nor homes of copies, and gives no id. A check-in that got no answer is known to be
done by the item information now and before: status, place and destination.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.feeds import maps
from rotation.feeds.sip2 import ENCODING, Broken, Client
from rotation.feeds.write_back.system import NotWritten, WriteBackDone, WriteBackTask

UNKNOWN_STATUS = "01"  # "other": how systems answer for an item that they do not have
ON_ITS_SHELF = "03"
T = TypeVar("T")


class Sip2WriteBack(BaseModel):
    """The map: the server, and each place's name there (field AP)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Literal[WriteBackKind.CHECK_IN], ...] = (WriteBackKind.CHECK_IN,)
    name: Annotated[str, Field(min_length=1, max_length=64)] = "sip2"
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 6001
    institution: str = ""
    encoding: str = ENCODING
    places: Annotated[dict[str, str], Field(min_length=1)]


def read_map(path: Path) -> Sip2WriteBack:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, Sip2WriteBack)


class Sip2System:
    """A SIP2 server; each question has its own connection, since servers end those that are idle."""

    def __init__(self, chosen: Sip2WriteBack, user: str = "", password: str = "", timeout_s: float = 10.0) -> None:
        self.map, self.user, self.password, self.timeout_s = chosen, user, password, timeout_s
        self.name = chosen.name
        self.kinds: Collection[WriteBackKind] = chosen.kinds
        self.places: Mapping[str, str] = chosen.places

    def before(self, task: WriteBackTask) -> str:
        """Return status, place and destination."""
        return self._stands(task)

    def done(self, task: WriteBackTask) -> WriteBackDone | None:
        """Return whether status, place or destination have changed since the check-in was begun."""
        now = self._stands(task)
        return WriteBackDone(None, f"item information: {now}") if now != task.before else None

    def write(self, task: WriteBackTask) -> WriteBackDone:
        """Check the copy in."""
        answer = self._with(lambda client: client.checkin(task.barcode, self.places[task.place_id]))
        if not answer.ok:
            raise NotWritten(WriteBackFault.REFUSED, "the check-in was refused (10, ok=0)")
        where = " ".join(f"{key} {value}" for key, value in (("CT", answer.destination), ("CV", answer.alert)) if value)
        return WriteBackDone(None, f"checked in {where}".strip())

    def _stands(self, task: WriteBackTask) -> str:
        found = self._with(lambda client: client.item_information(task.barcode))
        if found.status == UNKNOWN_STATUS and not found.permanent_location:
            raise NotWritten(WriteBackFault.UNKNOWN_ITEM, "item information: status 01, no permanent location")
        return " ".join((found.status, found.current_location or "-", found.destination or "-"))

    def _with(self, question: Callable[[Client], T]) -> T:
        """Ask a question over a connection that is logged in."""
        map_ = self.map
        try:
            with Client(map_.host, map_.port, map_.institution, self.timeout_s, map_.encoding) as client:
                if self.user and not client.login(self.user, self.password):
                    raise NotWritten(WriteBackFault.NOT_ALLOWED, "the login was refused (94, ok=0)")
                return question(client)
        except Broken as wrong:
            raise NotWritten(WriteBackFault.REFUSED, str(wrong)) from wrong
        except OSError as error:
            raise NotWritten(WriteBackFault.AWAY, f"{type(error).__name__}: {error}") from error
