"""What the night's circulation does not charge its picks, told apart: crates that are not full, and lanes between hubs.

The circulation charges each copy its share of a full crate between its place and the hub. A crate goes whole, so the room left
in it is carried too; and between two hubs there is a trunk, which depends on both ends at once, as no charge of one place can.
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
    """Return what picks cost beyond their charge; `per_km_loans`: a copy's share of a kilometre of a full crate."""
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
