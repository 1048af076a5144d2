"""The map of a SIP2 proxy, and the question to placement that it shapes."""

from pathlib import Path
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict

from rotation.feeds import maps
from rotation.feeds.sip2.proxy import Ask, Placed


class Sip2Map(BaseModel):
    """Maps SIP2's location names to the network's places, and places to their sort bins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # How the library system and its machines write texts.
    encoding: Literal["latin-1", "utf-8", "gb18030", "big5"] = "latin-1"
    locations: dict[str, str]
    bins: dict[str, str] = {}
    default_location: str = ""


def read_map(path: Path) -> Sip2Map:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, Sip2Map)


def asking(page: httpx.AsyncClient, chosen: Sip2Map) -> Ask:
    """Return a function that asks `POST /placement`, in SIP2's names; `page` carries the page's address and a desk's token."""
    location_of = {place: location for location, place in reversed(chosen.locations.items())}

    async def ask(item: str, location: str) -> Placed | None:
        place = chosen.locations.get(location)
        if place is None:
            return None
        answer = await page.post("/placement", json={"copy": item, "place": place})
        if answer.status_code == httpx.codes.NOT_FOUND:  # an unknown copy
            return None
        to = str(answer.raise_for_status().json()["to"])
        if to != place and to not in location_of:
            return None
        return Placed(location_of[to] if to != place else None, chosen.bins.get(to))

    return ask
