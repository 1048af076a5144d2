"""A worker as a process on topics and a group of a test's own: `-m tests.streams_process BOOTSTRAP URL PREFIX DIR [PORT]`."""

import asyncio
import sys
from pathlib import Path

from streams import watch
from streams.app import RotationApp, create
from streams.apply import Topics
from streams.json_logs import configure_logging
from streams.worker import end, run, serve_figures
from tests.streams_world import city


def topics(prefix: str) -> Topics:
    """The topics of one test."""
    return Topics(f"{prefix}.events", f"{prefix}.touched", f"{prefix}.rejected")


def app(bootstrap: str, url: str, prefix: str, folder: str, figures_port: str = "") -> RotationApp:
    """The app on them, with figures where a port is given."""
    client = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}
    made = create(client, url, city(), Path(folder), topics=topics(prefix), name=prefix)
    watch.attach(made, url, city(), watch.Thresholds())
    if figures_port:
        serve_figures(made, url, "127.0.0.1", int(figures_port))
    return made


if __name__ == "__main__":
    configure_logging()
    asyncio.run(run(lambda: app(*sys.argv[1:])))
    end(0)
