"""What if, for the city as it is now: read the night's world once, plan it twice, and tell what differs by the places' names."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from config import Settings
from rotation.network import Network
from rotation.planner import rebalancing_settings, visited
from rotation.rebalancing.what_if import Change, compare, sentences
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.store.snapshot import world


def beside_todays(
    connection: Connection,
    network: Network,
    settings: Settings,
    change: Change,
    *,
    capacity: Mapping[str, float],
    closed: Collection[str] = (),
    day: date | None = None,
) -> dict[str, Any]:
    """Plan the day (today, unless another is named) as it is and with `change`; nothing is kept.

    `capacity` says how many times as much a place takes in and gives away, `closed` which places no copy comes to or leaves.

    Raises
    ------
    ValueError
        When a place is not in the network, or a number cannot be.
    """
    now = read_clock(connection).now()
    for place in (*capacity, *closed):
        if place not in network.place:
            raise ValueError(f"the network has no place {place!r}; see its file for the ids")
    open_to_vans = visited(network, day or now.astimezone(network.timezone).date())
    found = world(driver(connection), network, now, history_weeks=settings.history_weeks, visited=open_to_vans)
    row = {place: i for i, place in enumerate(found.names.places)}
    rows = replace(change, capacity={row[b]: times for b, times in capacity.items()}, closed=[row[b] for b in closed])
    made = compare(found.snapshot, rows, rebalancing_settings(settings, found.season), settings.seed)
    chinese, english = sentences(made)
    return {
        "as_is": asdict(made.as_is),
        "changed": asdict(made.changed),
        "arrivals": {found.names.places[b]: more for b, more in made.arrivals.items()},
        "what": {"zh": chinese, "en": english},
    }


def capacities(words: Collection[str]) -> dict[str, float]:
    """Read "PLACE=TIMES".

    Raises
    ------
    ValueError
        When a word is none.
    """
    found = {}
    for word in words:
        place, _, times = word.rpartition("=")
        try:
            found[place] = float(times)
        except ValueError:
            raise ValueError(f"expected PLACE=TIMES, as in riverside=1.5, got {word!r}") from None
    return found
