"""A worker that errs as real workers do: `-m tests.worker_that_errs HOW BOOTSTRAP URL PREFIX DIR`.

`frozen`: it stops (SIGSTOP) with its first batch in hand, before any of it is written; what it writes when it goes on is old.
`passes_by`: of its first batches it loses every message but the last of each partition, as Faust may.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rotation.kafka.message import Message
from streams import apply
from streams.apply import Batch, Writer
from streams.json_logs import configure_logging
from streams.worker import end, run
from tests.streams_process import app

LOSSY_BATCHES = 5


def freezing(step: Callable[..., Any]) -> Callable[..., Any]:
    """Freeze before the first batch's step."""
    batches = itertools.count(1)

    def done(*arguments: Any, **more: Any) -> Any:
        if next(batches) == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return step(*arguments, **more)

    return done


def losing(step: Callable[[Writer, Sequence[Message]], Batch]) -> Callable[[Writer, Sequence[Message]], Batch]:
    """Hand on the last message of each partition alone."""
    batches = itertools.count(1)

    def done(writer: Writer, messages: Sequence[Message]) -> Batch:
        last = {message.partition: message for message in sorted(messages, key=lambda message: message.offset)}
        return step(writer, list(last.values()) if next(batches) <= LOSSY_BATCHES else messages)

    return done


def prepare(how: str) -> None:
    """Set the error."""
    if how == "frozen":
        apply.write = freezing(apply.write)
    else:
        Writer.prepare = losing(Writer.prepare)  # type: ignore[method-assign]


if __name__ == "__main__":
    configure_logging()
    prepare(sys.argv[1])
    asyncio.run(run(lambda: app(*sys.argv[2:])))
    end(0)
