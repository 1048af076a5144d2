"""Places and classes that a batch of events touched: the content of `stock.touched`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

PLACES_A_NOTICE = 1_000  # with fifty classes each some 700 kB: a topic takes 1 MB


class Touched(NamedTuple):
    """Possible changes at a place: in the levels of these classes (None: of all), and whether in the copies awaited there."""

    classes: frozenset[str] | None = None
    awaited: bool = True

    def and_also(self, other: "Touched") -> "Touched":
        """Return both."""
        any_class = self.classes is None or other.classes is None
        classes = None if any_class else (self.classes or frozenset()) | (other.classes or frozenset())
        return Touched(classes, self.awaited or other.awaited)


def notices(touched: Mapping[str, Touched]) -> list[list[dict[str, Any]]]:
    """Return the values of stock.touched messages: all places of a batch in a single message, or in few.

    With a message for each place, alerts waited too long.
    """
    said = [
        {"place": place, "classes": None if one.classes is None else sorted(one.classes), "awaited": one.awaited}
        for place, one in sorted(touched.items())
    ]
    return [said[begin : begin + PLACES_A_NOTICE] for begin in range(0, len(said), PLACES_A_NOTICE)]
