"""What the night's circulation does not charge its picks, told apart: crates that are not full, and lanes between hubs.

The circulation charges each copy its share of a full crate between its place and the hub. A crate goes whole, so the room left
in it is carried too; and between two hubs there is a trunk, which depends on both ends at once, as no charge of one place can.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rotation.network import Network, distance_m

Way = tuple[str, str]  # from place, to place


class Beyond(NamedTuple):
    """Loans. Other copies of the day may fill the crates, so whole crates cost at most so much."""

    crates: float
    lanes: float


def beyond(network: Network, ways: Iterable[Way], per_km_loans: float) -> Beyond:
    """Return what picks cost beyond their charge; `per_km_loans`: a copy's share of a kilometre of a full crate."""
    picks = list(ways)
    km = _Hubs(network)
    packed = [Counter(place for place, _ in picks), Counter(place for _, place in picks)]
    empty = sum(
        -copies % network.network.copies_per_crate * km.to_hub(place)
        for ends in packed
        for place, copies in ends.items()
    )
    return Beyond(per_km_loans * empty, per_km_loans * sum(km.between(*way) for way in picks))


class _Hubs:
    """Kilometres, 0 where a place or its hub has no coordinates."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def to_hub(self, place: str) -> float:
        return self._km(place, self.network.hub_of(place))

    def between(self, origin: str, destination: str) -> float:
        hub = self.network.hub_of(origin)
        return self._km(hub, self.network.hub_of(destination)) if hub else 0.0

    def _km(self, one: str, other: str | None) -> float:
        place = self.network.place
        if other is None or not (place[one].located and place[other].located):
            return 0.0
        return distance_m(place[one], place[other]) / 1000
