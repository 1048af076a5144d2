"""Costs beside the night's plan: crates that are not full, which it does not charge, and all of the lanes between hubs.

The circulation charges each copy its share of a full crate between its place and the hub. A crate goes whole, so the room left
in it is carried too. Between two hubs there is a trunk, which depends on both ends at once: the circulation charges each title
the least from where a copy of it may leave, and pairing then chooses the copies by the rest.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rotation.network import Network

Way = tuple[str, str]  # from place, to place


class Beyond(NamedTuple):
    """Loans. Other copies of the day may fill the crates, so whole crates cost at most so much."""

    crates: float
    lanes: float


def beyond(network: Network, ways: Iterable[Way], per_km_loans: float) -> Beyond:
    """Return the cost of the picks' crates beyond their charge, and of their lanes.

    `per_km_loans`: a copy's share of a kilometre of a full crate.
    """
    picks = list(ways)
    packed = [Counter(place for place, _ in picks), Counter(place for _, place in picks)]
    empty = sum(
        -copies % network.network.copies_per_crate * network.km_to_hub(place)
        for ends in packed
        for place, copies in ends.items()
    )
    return Beyond(per_km_loans * empty, per_km_loans * sum(_between_hubs_km(network, *way) for way in picks))


def _between_hubs_km(network: Network, origin: str, destination: str) -> float:
    hub = network.hub_of(origin)
    return network.km(hub, network.hub_of(destination)) if hub else 0.0
