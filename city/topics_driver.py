"""The city on the topics: it sends facts as a library system would, and carries out transfer.orders.

Two phases: `send_history` tells the past at once, `run_live` goes on from there by the network's clock. All that happens
follows from the seed, the answers and the orders; both are kept, so a restart sends the same facts again.
"""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

from sqlalchemy import Engine

from city import checkpoint, history
from city import day as steps
from city.carriers import CarrierMemory
from city.facts import batches, lanes
from city.live import Ask, LiveCity, PlacementAnswer, home
from city.model import DAY_S, START, CitySize, build, midnight
from city.wires import Orders, Sender, ordering, producing
from rotation.kafka.topics import CIRCULATION_EVENTS
from rotation.network import Network
from rotation.store.clock import clock_held, read_clock

DEFAULT_WEEKS = 26

# Days sent, days in all.
Progress = Callable[[int, int], None]


def history_end(network: Network, weeks: int = DEFAULT_WEEKS, start: date = START) -> datetime:
    """Return the instant at which the past ends and the live phase begins: a local midnight."""
    return midnight(network, start) + timedelta(weeks=weeks)


def send_history(
    network: Network,
    seed: int,
    kafka: Mapping[str, Any],
    *,
    weeks: int = DEFAULT_WEEKS,
    size: CitySize | None = None,
    start: date = START,
    engine: Engine | None = None,
    progress: Progress = lambda done, of: None,
) -> int:
    """Send the first `weeks` through Kafka; return the number of events. Sent again, they carry the same ids.

    `kafka` are kafka-python's connection arguments. With an `engine`, the living city's starting state is kept there. A copy's
    facts go to one partition: a worker reads weeks of a partition before the next, and would else count some as late.

    Raises
    ------
    kafka.errors.KafkaError
        When the broker does not take them.
    """
    city = history.found(network, seed, size, start)
    with producing(kafka) as sender:
        partitions = sender.partitions(CIRCULATION_EVENTS.name)
        for day, events in enumerate(history.days(city, weeks)):
            for partition, some in enumerate(lanes(events, partitions)):
                for message in batches(some):
                    sender.send(CIRCULATION_EVENTS.name, message, partition)
            progress(day + 1, weeks * history.DAYS_A_WEEK)
    if engine is not None:
        checkpoint.save(engine, kept(begun(network, city, weeks, home), 0))
    return city.teller.serial


def begun(network: Network, city: history.City, weeks: int, ask: Ask) -> LiveCity:
    """Return the city at the end of its history, about to live."""
    return LiveCity(network, city, weeks * history.DAYS_A_WEEK * DAY_S, ask)


def kept(live: LiveCity, entries: int) -> dict[str, Any]:
    """Return the whole living city as JSON; it includes `entries` of its journal."""
    city = live.city
    return {
        "seed": city.seed,
        "now_s": live.now_s,
        "serial": city.teller.serial,
        "entries": entries,
        "memory": live.carriers.memory.kept(),
        "state": checkpoint.packed(city.state),
    }


# --- Live ---------------------------------------------------------------------------------------------------------------------

# Interval of sending facts.
ROUND_S = 0.1
# A restart replays at most this long; a checkpoint takes a third of a second.
CHECKPOINT_S = 60.0
# Interval of reading the clock: whoever stops it allows for less than HELD_AHEAD_S of drift.
CLOCK_S = 0.2
# Wall seconds: events later than this would come days late on a slow machine.
BEHIND_S = 1.0
STEP_S = 600  # simulated seconds at a time when catching up, so that a stop is heard


def run_live(
    network: Network,
    seed: int,
    kafka: Mapping[str, Any],
    engine: Engine,
    ask: Ask,
    stop: Event,
    *,
    weeks: int = DEFAULT_WEEKS,
    size: CitySize | None = None,
    start: date = START,
) -> None:
    """Live by the network's clock until `stop` is set: from the last checkpoint, or from the end of the history.

    `ask` says where a returned copy goes (`asking` over HTTP); `kafka` are kafka-python's connection arguments.
    """
    with producing(kafka, linger_ms=0) as sender, ordering(kafka) as orders:
        runner = Runner(network, engine, ask, sender, orders)
        runner.resume(seed, weeks, size, start)
        while not stop.is_set():
            began = time.monotonic()
            runner.round(stop)
            stop.wait(max(0.0, ROUND_S - (time.monotonic() - began)))
        runner.keep()


class Runner:
    """A living city with its topics and its saved state."""

    def __init__(self, network: Network, engine: Engine, ask: Ask, sender: Sender, orders: Orders) -> None:
        self.network, self.engine, self.sender, self.orders = network, engine, sender, orders
        self._ask, self._answers, self._replayed = ask, dict[str, PlacementAnswer](), dict[str, PlacementAnswer]()
        self._entries, self._kept_at, self._clock_at = 0, time.monotonic(), 0.0

    def resume(self, seed: int, weeks: int, size: CitySize | None, start: date) -> None:
        """Continue from the saved state, sending again the facts since; or begin after the history."""
        found = checkpoint.load(self.engine)
        if found is None:
            city = history.found(self.network, seed, size, start)
            for _ in history.days(city, weeks):
                pass
            self.live = begun(self.network, city, weeks, self._answer)
            self.keep()
            return
        self._restore(found.checkpoint, seed, size, start)
        for entry in found.journal:
            self._replay(entry)

    def _restore(self, was: Mapping[str, Any], seed: int, size: CitySize | None, start: date) -> None:
        if was["seed"] != seed:
            raise ValueError(
                f"the city was begun with seed {was['seed']}, not {seed}; empty the data folder to begin another"
            )
        world = build(self.network, seed, size or CitySize(), start=start)
        state, memory = checkpoint.unpacked(was["state"]), CarrierMemory.read(was["memory"])
        city = history.with_state(self.network, world, state, seed, start, was["serial"])
        self.live = LiveCity(self.network, city, was["now_s"], self._answer, memory)
        self._entries = was["entries"]

    def _replay(self, entry: Mapping[str, Any]) -> None:
        self._tell(self.live.advance(entry["from"]))
        self._replayed = {copy: PlacementAnswer(*answer) for copy, answer in entry["answers"].items()}
        self.live.take(entry["orders"])
        self._tell(self.live.advance(entry["until"]))
        self._entries, self._replayed = entry["number"], {}

    def keep(self) -> None:
        """Save everything, after all sent facts have arrived."""
        self.sender.flush()
        checkpoint.save(self.engine, kept(self.live, self._entries))
        self._kept_at = time.monotonic()

    def round(self, stop: Event) -> None:
        """Let the city catch up with the clock, and send the facts; a simulated clock waits for a city far behind it."""
        until = self._now_s()
        left_s = BEHIND_S - (until - self.live.now_s) / max(self._clock.speed, 1.0)
        if left_s > 0.0:
            self._catch_up(until, stop, left_s)  # not longer: answers may be slow, and the next round stops the clock
        else:
            with clock_held(self.engine):
                self._catch_up(until, stop)
        if time.monotonic() - self._kept_at > CHECKPOINT_S:
            self.keep()

    def _catch_up(self, until: int, stop: Event, within_s: float = math.inf) -> None:
        orders, end = self.orders(), time.monotonic() + within_s
        while True:
            began, step = self.live.now_s, min(until, self.live.now_s + STEP_S)
            self._answers = {}
            self.live.take(orders)
            events = self.live.advance(step)
            self._note(began, step, orders)
            self._tell(events)
            orders = []
            if step >= until or stop.is_set() or time.monotonic() > end:
                break

    def _note(self, began: int, until: int, orders: list[Mapping[str, Any]]) -> None:
        if not orders and not self._answers:
            return
        self._entries += 1
        entry = {
            "number": self._entries,
            "from": began,
            "until": max(began, until),
            "orders": orders,
            "answers": self._answers,
        }
        checkpoint.note(self.engine, self._entries, entry)

    def _tell(self, events: list[str]) -> None:
        for message in batches(events):
            self.sender.send(CIRCULATION_EVENTS.name, message)

    def _answer(self, copy: str, place: str) -> PlacementAnswer:
        answer = self._replayed.get(copy) or self._ask(copy, place)
        self._answers[copy] = answer
        return answer

    def _now_s(self) -> int:
        """Return the city's time by the network's clock, which runs on between readings."""
        if time.monotonic() - self._clock_at > CLOCK_S:
            with self.engine.connect() as connection:
                self._clock = read_clock(connection)
            self._clock_at = time.monotonic()
        return self.live.city.teller.second(self._clock.now(datetime.now(UTC)))


def warm(network: Network) -> None:
    """Compile the steps of a day, which numba keeps beside them: 15 s once on a new machine, a second after."""
    city = history.found(network, 1, CitySize(titles=50, copies=200, visits_a_week=700))
    for _ in history.days(city, 1):
        pass
    steps.compile_all(city.world.land, city.state)
