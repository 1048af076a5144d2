"""How long each partition stood still, seen from outside: its position in the database, looked at ten times a second.

The longest standstill of any partition is what a fault costs; that after the fault had ended is the time to recover.
"""

import threading
import time
from itertools import pairwise
from types import TracebackType

import psycopg

LOOK_S = 0.1
CONNECT_S = 2


class Watch:
    """Looks while the context lasts; `report` tells seconds afterwards."""

    def __init__(self, database_url: str, topic: str) -> None:
        """Begin with the context."""
        self._url, self._topic = database_url, topic
        self._moves: dict[int, list[float]] = {}
        self._begin = self._ended_at = self._all_applied_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        """Begin to look."""
        self._begin = self._ended_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()
        self._all_applied_at = time.monotonic()

    def fault_ended(self) -> None:
        """Note that what was broken is whole again."""
        self._ended_at = time.monotonic()

    def report(self) -> dict[str, float]:
        """Return seconds: of the fault, of the longest standstill, from the fault's end until all moved, of the whole."""
        moves = self._moves.values()
        waits = [after - before for times in moves for before, after in pairwise([self._begin, *times])]
        first_after = [min((at for at in times if at > self._ended_at), default=self._ended_at) for times in moves]
        found = {
            "fault_s": self._ended_at - self._begin,
            "longest_standstill_s": max(waits, default=0.0),
            "recovered_s": max(first_after, default=self._ended_at) - self._ended_at,
            "all_applied_s": self._all_applied_at - self._begin,
        }
        return {name: round(seconds, 1) for name, seconds in found.items()}

    def _look(self) -> None:
        seen: dict[int, int] = {}
        while not self._stop.wait(LOOK_S):
            try:
                self._watch(seen)
            except psycopg.OperationalError:  # it is away: that is what we watch
                continue

    def _watch(self, seen: dict[int, int]) -> None:
        with psycopg.connect(self._url, connect_timeout=CONNECT_S, autocommit=True) as connection:
            while not self._stop.wait(LOOK_S):
                rows = connection.execute(
                    "SELECT partition, next_offset FROM progress WHERE topic = %s", (self._topic,)
                )
                for partition, offset in rows.fetchall():
                    if seen.get(partition, offset) != offset:
                        self._moves.setdefault(partition, []).append(time.monotonic())
                    seen[partition] = offset
