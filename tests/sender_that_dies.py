"""An adapter of files that is killed with -9 in the middle: `-m tests.sender_that_dies ADAPTER BOOTSTRAP URL TOPIC PATH`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from rotation.adapters import librarieswest
from rotation.store.engine import engine
from streams.clients import producer
from streams.ingest import ingest_lines

FATAL_MESSAGE = 4


def send(adapter: str, bootstrap: str, url: str, topic: str, path: Path) -> None:
    """Send the whole of a file of events, or of a folder of snapshots."""
    client = {"bootstrap_servers": bootstrap.split(","), "security_protocol": "PLAINTEXT"}
    if adapter == "ingest":
        with path.open("rb") as lines:
            ingest_lines(lines, path.name, client, engine(url), topic)
    else:
        sender = producer(client)
        librarieswest.send(sender, topic, librarieswest.snapshots(path))
        sender.close()


class Dying(KafkaProducer):  # type: ignore[misc]
    """Sees what it sent stand in Kafka, and is gone before the next."""

    sent = 0

    def send(self, *arguments: Any, **more: Any) -> Any:
        Dying.sent += 1
        if Dying.sent == FATAL_MESSAGE:
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().send(*arguments, **more)


if __name__ == "__main__":
    producer.__globals__["KafkaProducer"] = Dying
    send(*sys.argv[1:-1], Path(sys.argv[-1]))
