"""A process of bench.streams: `python -m bench.streams_process noop|apply|watch BOOTSTRAP URL PREFIX DIR`."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import faust

from bench.streams import network
from streams import watch
from streams.app import create
from streams.apply import Topics
from streams.json_logs import configure_logging
from streams.worker import end, run, tune

NOOP_COUNT_FROM = 2_000  # messages before the clock of the no-op agent begins: its start is no part of its rate
QUIET_S = 2.0  # without a message the no-op agent has read all


def apply(kind: str, bootstrap: str, url: str, prefix: str, folder: str) -> Any:
    """The worker as it is in production, on topics of the case's own."""
    tune()
    client = {"bootstrap_servers": [bootstrap], "security_protocol": "PLAINTEXT"}
    topics = Topics(f"{prefix}.events", f"{prefix}.touched", f"{prefix}.rejected")
    app = create(client, url, network(), Path(folder), topics=topics, name=prefix)
    if kind == "watch":
        watch.attach(app, url, network(), watch.Thresholds())
    return app


def noop(bootstrap: str, prefix: str, folder: str) -> Any:
    """Faust with its defaults and an agent that does nothing but count."""
    app = faust.App(
        f"{prefix}-noop",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=4096,
        datadir=f"{folder}/{prefix}-noop",
        loghandlers=[],
    )
    seen = {"count": 0, "begin": 0.0, "last": 0.0, "cpu": 0.0, "cpu_last": 0.0}

    @app.agent(app.topic(f"{prefix}.events", value_serializer="json"))
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            seen["count"] += 1
            if seen["count"] == NOOP_COUNT_FROM:
                seen["begin"], seen["cpu"] = time.monotonic(), time.process_time()
            seen["last"], seen["cpu_last"] = time.monotonic(), time.process_time()

    @app.timer(0.5)
    async def write() -> None:
        if seen["begin"] and time.monotonic() - seen["last"] > QUIET_S:
            events = seen["count"] - NOOP_COUNT_FROM
            cpu_us = 1e6 * (seen["cpu_last"] - seen["cpu"]) / events
            _leave(Path(folder, f"{prefix}.noop"), events / (seen["last"] - seen["begin"]), cpu_us)

    return app


def _leave(file: Path, *figures: float) -> None:
    """Write the figures, completely or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.rename(file)


def main() -> None:
    """Run a process until SIGTERM."""
    configure_logging()
    kind, bootstrap, url, prefix, folder = sys.argv[1:]
    make = (
        (lambda: noop(bootstrap, prefix, folder))
        if kind == "noop"
        else (lambda: apply(kind, bootstrap, url, prefix, folder))
    )
    asyncio.run(run(make))
    end(0)


if __name__ == "__main__":
    main()
