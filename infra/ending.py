"""By when everything has ended: a person who pressed Ctrl-C waits so long, however many servers are slow."""

import time

_by: list[float] = []  # monotonic; a process ends once


def end_within(seconds: float) -> None:
    """From now on nothing that is stopped gets longer than until `seconds` from now; the first call holds."""
    _by[:] = _by or [time.monotonic() + seconds]


def patience_s(at_most_s: float) -> float:
    """Return how long to wait for an end that may take `at_most_s`: less where the whole end is nearer."""
    return min([at_most_s, *(max(by - time.monotonic(), 0.0) for by in _by)])
