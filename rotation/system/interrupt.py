"""Ctrl-C ends any state: a wait for a server that does not answer is interrupted when its grace is over.

Ten seconds are promised. Seen at a load of eight on two cores: 6 s, and 10 to 18 s before Python's last collection of garbage
was left out and the servers stopped at the same time.
"""

import atexit
import gc
import signal
import time
from threading import Event
from typing import NoReturn

from infra.ending import end_within

# After a signal what is stopped gets no longer than this; our own end and the guards' come after it.
END_S = 9.0
AT_ONCE_S = 0.01  # 0 would switch the alarm off
GRACE_S = 2.0  # a step that looks at the event ends within a quarter of a second; after this it waits for something


class _Asked:
    """When a signal came (monotonic; None: not yet), and how long the running part has to heed it."""

    at: float | None = None
    grace_s = GRACE_S


def stop_on_signals() -> Event:
    """Return an event that SIGINT and SIGTERM set. A wait that does not heed it gets KeyboardInterrupt after its grace."""
    stop = Event()

    def ask(*_: object) -> None:
        stop.set()
        _Asked.at = _Asked.at or time.monotonic()
        end_within(END_S)
        signal.setitimer(signal.ITIMER_REAL, _Asked.grace_s)

    signal.signal(signal.SIGALRM, _insist)
    atexit.register(heeded)
    # A process that ends collects what it read of the network and of numba twice more, for seconds beside other work.
    atexit.register(gc.freeze)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop


def _insist(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def grace(seconds: float) -> None:
    """From now on a signal is heeded within so long."""
    _Asked.grace_s = seconds


def heeded(within_s: float = 0.0) -> None:
    """Say that a signal is heeded, and how long after it the rest ends; 0: by itself. Nothing happens without a signal."""
    if _Asked.at is not None and signal.getitimer(signal.ITIMER_REAL)[0]:
        left_s = max(_Asked.at + within_s - time.monotonic(), AT_ONCE_S)
        signal.setitimer(signal.ITIMER_REAL, left_s if within_s else 0.0)
