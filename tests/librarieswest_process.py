"""A worker of LibrariesWest on a test's own topics: `python -m tests.librarieswest_process BOOTSTRAP URL PREFIX DIR DATA`."""

import asyncio
import sys
from pathlib import Path

from rotation.feeds.librarieswest import network
from streams import watch
from streams.app import RotationApp, create
from streams.json_logs import configure_logging
from streams.worker import end, run
from tests.needs import REPOSITORY
from tests.streams_process import topics

CHOICES = REPOSITORY / "config" / "networks" / "librarieswest.toml"


def app(bootstrap: str, url: str, prefix: str, folder: str, data: str) -> RotationApp:
    """The app on them."""
    client = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}
    west = network(Path(data), CHOICES)
    made = create(client, url, west, Path(folder), topics=topics(prefix), name=prefix)
    watch.attach(made, url, west, watch.Thresholds())
    return made


if __name__ == "__main__":
    watch.SWEEP_S = 5.0  # a test waits for a sweep
    configure_logging()
    asyncio.run(run(lambda: app(*sys.argv[1:])))
    end(0)
