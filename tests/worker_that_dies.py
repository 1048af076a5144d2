"""A worker that ends itself with -9 at one point of its first batch: `-m tests.worker_that_dies POINT BOOTSTRAP URL PREFIX DIR`.

`before`: nothing of the batch is in the database; `inside`: all of it is, but for the commit; `after`: it is committed, and the
worker has not heard of it.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from streams import apply
from streams.apply import Writer
from streams.json_logs import configure_logging
from streams.worker import end, run
from tests.streams_process import app

POINTS = ("before", "inside", "after")
FATAL_BATCH = 1


def dying_before(step: Callable[..., Any]) -> Callable[..., Any]:
    """Do the step until the fatal batch comes."""
    batches = itertools.count(1)

    def done(*arguments: Any, **more: Any) -> Any:
        if next(batches) == FATAL_BATCH:
            die()
        return step(*arguments, **more)

    return done


def dying_after(step: Callable[..., Any]) -> Callable[..., Any]:
    """Do the step, and with the fatal batch be gone at its end."""
    batches = itertools.count(1)

    def done(*arguments: Any, **more: Any) -> Any:
        result = step(*arguments, **more)
        if next(batches) == FATAL_BATCH:
            die()
        return result

    return done


def die() -> None:
    """End as the machine's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(point: str) -> None:
    """Set the point."""
    if point == "after":
        Writer._write_spans = dying_after(Writer._write_spans)  # type: ignore[method-assign]
    else:
        apply.write = {"before": dying_before, "inside": dying_after}[point](apply.write)


if __name__ == "__main__":
    configure_logging()
    prepare(sys.argv[1])
    asyncio.run(run(lambda: app(*sys.argv[2:])))
    end(0)
