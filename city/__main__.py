"""`python -m city history|live`: the demonstration's city on the topics, configured by settings and environment."""

import argparse
import os
import signal
import sys
from pathlib import Path
from threading import Event

from sqlalchemy import Engine

from city import topics_driver
from city.live import home
from city.wires import asking
from config import Settings, load
from config.kafka import client
from rotation.facts.clock import standing_at
from rotation.network import Network, read
from rotation.store.clock import set_clock
from rotation.store.engine import engine

# A line for every four weeks sent.
PROGRESS_DAYS = 28


def main() -> None:
    """Send the history, or live until SIGTERM or Ctrl-C; ROTATION_URL and ROTATION_TOKEN give placement's address and token."""
    options = _options()
    settings = load()
    network = read(options.network or settings.network_file())
    seed = settings.seed if options.seed is None else options.seed
    phases = {"history": _history, "live": _live, "warm": _warm}
    phases[options.phase](network, settings, seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m city", description=__doc__)
    parser.add_argument(
        "phase", choices=["history", "live", "warm"], help="warm: compile the steps, which is kept on disk"
    )
    parser.add_argument("--network", type=Path, help="network file; the settings' by default")
    parser.add_argument("--seed", type=int, help="the settings' by default")
    return parser.parse_args()


def _history(network: Network, settings: Settings, seed: int) -> None:
    weeks, database = settings.demo_history_weeks, _database(settings)
    with (
        database.begin() as connection
    ):  # stop the clock at the end of the history, so that none of it lies in the future
        set_clock(connection, standing_at(topics_driver.history_end(network, weeks)))
    told = topics_driver.send_history(network, seed, client(settings), weeks=weeks, engine=database, progress=_show)
    print(f"{told} events sent", flush=True)


def _database(settings: Settings) -> Engine:
    if settings.database_url is None:
        sys.exit("the city needs DATABASE_URL: its clock and its checkpoint are there")
    return engine(settings.database_url.get_secret_value(), pool_size=2)


def _show(done: int, of: int) -> None:
    if done % PROGRESS_DAYS == 0 or done == of:
        print(f"{done} of {of} days sent", flush=True)


def _live(network: Network, settings: Settings, seed: int) -> None:
    stop, weeks = Event(), settings.demo_history_weeks
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    url = os.environ.get("ROTATION_URL", f"http://{settings.web_host}:{settings.web_port}")
    ask = asking(url, os.environ.get("ROTATION_TOKEN")) if url else home
    topics_driver.run_live(network, seed, client(settings), _database(settings), ask, stop, weeks=weeks)


def _warm(network: Network, settings: Settings, seed: int) -> None:
    topics_driver.warm(network)


if __name__ == "__main__":
    main()
