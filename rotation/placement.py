"""Where a returned copy goes next: it is in someone's hand already, so any place is one trip away.

Value of one more copy there - transport from here - handling if it moves - the night's price of shelf room there; staying and
going home are places like any other, and the best one wins. Levels follow the answers given.
"""

from dataclasses import dataclass

from rotation.demand import Rates
from rotation.rebalancing.outcome import Prices, Reason
from rotation.rebalancing.snapshot import Settings, Snapshot


@dataclass(frozen=True, slots=True)
class Choice:
    """A place that was considered and its net worth in expected loans over the horizon."""

    place: int
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the copy goes, why, and the next best places."""

    place: int
    value: float
    reason: Reason
    alternatives: tuple[Choice, ...]


class Placer:
    """Answers for one day; build a new one when a new night's plan is there (1 M copies: under a second)."""

    def __init__(
        self, snapshot: Snapshot, rates: Rates | None, prices: Prices | None, settings: Settings | None = None, *, plain: str = "home"
    ) -> None:
        """Take the night's world; without rates or prices every copy goes `plain`: "home" or "stay"."""
        raise NotImplementedError

    def place(self, title: int, at_place: int, *, home: int = -1, owner: int = 0, came_from: int = -1) -> Answer:
        """Answer for a copy of `title` returned at `at_place` and count it there. `home`: the shelf it counted on until now."""
        raise NotImplementedError

    def lent(self, title: int, place: int) -> None:
        """Make room where a copy was lent: it left the shelf, and still counts at its place."""
        raise NotImplementedError

    def moved(self, title: int, origin: int, destination: int) -> None:
        """Count a copy that something else moved (-1: from or to nowhere)."""
        raise NotImplementedError
