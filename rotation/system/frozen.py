"""Parts that run and do not go on: their process is there, and their heart has stopped while the database answered.

Looked for on a thread, since a database that is frozen itself must not hold whoever is asked to stop.
"""

import threading
from collections.abc import Mapping
from time import monotonic

import psycopg

from infra.child import Child
from rotation.store.engine import Reconnecting
from rotation.store.heartbeats import BEAT_S, SILENT_S, beats_of, member_named


class FrozenParts(threading.Thread):
    """Watches the hearts of a system's parts; a part that never beat, such as the city, is not watched."""

    def __init__(self, url: str, parts: Mapping[str, Child], silent_s: float = SILENT_S) -> None:
        """Watch `parts` as it changes; a part is frozen when its heart stood still for `silent_s`."""
        super().__init__(name="frozen parts", daemon=True)
        self.stop = threading.Event()
        self._database, self._parts, self._silent_s = Reconnecting(url), parts, silent_s
        self._moved: dict[int, tuple[object, float]] = {}  # by process: its last beat, and when we saw it first
        self._frozen: set[int] = set()

    def take(self) -> list[Child]:
        """Return the parts found frozen since the last call."""
        found, self._frozen = self._frozen, set()
        return [child for child in self._parts.values() if child.pid in found]

    def run(self) -> None:
        """Look until `stop` is set; while the database is away no heart can be seen, and all have their time again."""
        while not self.stop.wait(BEAT_S):
            try:
                self._look()
            except psycopg.Error:
                self._moved.clear()
        self._database.close()

    def _look(self) -> None:
        members = {str(child.pid): member_named(child.pid) for child in list(self._parts.values())}
        with self._database.cursor() as cursor:
            beats = beats_of(cursor, members)
        now = monotonic()
        for pid, beat in ((int(pid), beat) for pid, beat in beats.items()):
            seen, since = self._moved.get(pid, (None, now))
            self._moved[pid] = (beat, since if beat == seen else now)
            if now - self._moved[pid][1] > self._silent_s:
                self._frozen.add(pid)
                del self._moved[pid]
