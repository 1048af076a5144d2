"""A worker of the consumer group: `python -m streams.worker` applies events and watches levels until it is stopped.

It says `ready` in its log when the first partitions are its own. SIGTERM ends the batch in hand and leaves the group.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from config import Settings, load
from config.kafka import client
from rotation import network as networks
from rotation.facts.parts import Part
from rotation.store.heartbeats import Pulse
from streams import metrics, watch
from streams.app import RotationApp, create
from streams.json_logs import configure_logging

STOP_S = 2.5  # for leaving the group; the whole system has 3 s, and uncommitted messages are read again
OBJECTS_A_COLLECTION = (
    100_000  # a batch makes some 50,000, free of cycles; at Python's 700 a quarter of parsing was looking
)
THREAD_TURN_S = 0.0005  # at Python's 5 ms the writing thread waited for the parsing thread 30 % of its time
log = structlog.get_logger()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    tune()
    settings = load()
    asyncio.run(run(lambda: app_of(settings)))
    end(0)


def tune() -> None:
    """Set Python's own clockwork for batches of thousands of objects and for threads that wait for each other."""
    gc.freeze()
    gc.set_threshold(OBJECTS_A_COLLECTION)
    sys.setswitchinterval(THREAD_TURN_S)


def end(code: int) -> None:
    """End the process at once: threads that wait for a broker or database that is away must not hold it."""
    sys.stdout.flush()
    os._exit(code)


def app_of(settings: Settings) -> RotationApp:
    """Return the app as the settings want it; its heart begins to beat."""
    if settings.database_url is None:
        raise SystemExit("no database: start `rotation run`, or set DATABASE_URL")
    url, network = settings.database_url.get_secret_value(), networks.read(settings.network_file())
    pulse = Pulse(url, Part.WORKER)
    app = create(client(settings), url, network, settings.data_dir, turn=pulse.turn)
    pulse.start()
    app.on_before_shutdown.connect(partial(_leave, pulse), weak=False)
    watch.attach(app, url, network, watch.Thresholds.of(settings))
    if settings.metrics_port:
        serve_figures(app, url, settings.metrics_host, settings.metrics_port)
    return app


async def _leave(pulse: Pulse, *_: Any, **__: Any) -> None:
    await asyncio.get_running_loop().run_in_executor(None, pulse.stop)


def serve_figures(app: RotationApp, url: str, host: str, port: int) -> None:
    """Let Prometheus ask for this worker's figures; they are of no reader, so that no token guards them."""

    def assigned() -> set[int]:
        return {tp.partition for tp in app.consumer.assignment() if tp.topic == app.sought_topic}

    metrics.serve(host, port, metrics.LookedUp(url, app.client, app.sought_topic, assigned))


async def run(make: Callable[[], RotationApp]) -> None:
    """Make the app in the running loop, start it, say when it is ready, and stop it in order when a signal comes."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    app = make()
    app.on_partitions_assigned.connect(say_ready, weak=False)
    await app.start()
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(app.wait_until_stopped())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if app.crash_reason:
        log.error("crashed", error=repr(app.crash_reason))
        end(1)
    threading.Timer(STOP_S, end, [0]).start()
    await app.stop()
    log.info("stopped")


async def say_ready(*arguments: Any, **_: Any) -> None:
    """Log that partitions are this worker's own."""
    log.info("ready", partitions=sorted(f"{tp.topic}/{tp.partition}" for tp in arguments[-1]), pid=os.getpid())


if __name__ == "__main__":
    main()
