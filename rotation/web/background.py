"""Questions that take seconds, answered beside the page: the page shows that someone is at it, and looks again.

A question is its own key (its parameters and its night): the first to ask starts the work, and whoever asks the
same gets the same answer. Questions are answered in turn; pages are served meanwhile.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

KEPT = 32  # answers remembered; a day's plan is asked about a few times
MOST_WAITING = 4  # more than a few would wait for minutes


class Busy(Exception):
    """So many wait already that this question would wait for minutes."""


@dataclass(frozen=True, slots=True)
class BackgroundAnswer:
    """A question: when the work on it began, and its answer when it is there."""

    since: float
    future: Future[Any]

    @property
    def seconds(self) -> int:
        """How long it has been asked."""
        return int(time.monotonic() - self.since)


def _one_at_a_time() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "work")


@dataclass
class Works:
    """A web process's questions."""

    _pool: ThreadPoolExecutor = field(default_factory=_one_at_a_time)
    _pieces: OrderedDict[Hashable, BackgroundAnswer] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def ask(self, question: Hashable, answer: Callable[[], Any]) -> BackgroundAnswer:
        """Return the question's piece of work, begun with `answer` if nobody is at it.

        Raises
        ------
        Busy
            When too many wait before it.
        """
        with self._lock:
            if question not in self._pieces:
                if sum(not piece.future.done() for piece in self._pieces.values()) >= MOST_WAITING:
                    raise Busy
                self._pieces[question] = BackgroundAnswer(time.monotonic(), self._pool.submit(answer))
                self._forget()
            return self._pieces[question]

    def _forget(self) -> None:
        done = [question for question, piece in self._pieces.items() if piece.future.done()]
        for question in done[: max(len(self._pieces) - KEPT, 0)]:
            del self._pieces[question]

    def close(self) -> None:
        """Begin nothing that waits, and forget all: a page that is started again is asked anew."""
        with self._lock:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = _one_at_a_time()
            self._pieces.clear()
