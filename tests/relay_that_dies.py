"""A relay that is killed with -9 after sending and before marking: `-m tests.relay_that_dies BOOTSTRAP URL`."""

import os
import signal
import sys
import threading
from collections.abc import Sequence

from kafka import KafkaProducer

from streams import relay

send = relay.send


def send_and_die(sender: KafkaProducer, rows: Sequence[relay.OutboxMessage]) -> None:
    """Send, see every message acknowledged, and be gone before any is deleted."""
    send(sender, rows)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    relay.send = send_and_die
    client = {"bootstrap_servers": sys.argv[1].split(","), "security_protocol": "PLAINTEXT"}
    relay.run(sys.argv[2], client, threading.Event())
