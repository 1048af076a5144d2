"""Solver workers: a routing problem a message from `route.requests`, its solution to `route.results`.

The idea: a request is done when its result is with the broker, and only then is its place in the topic moved on. So a worker
killed in the middle loses nothing: another worker takes the partition and solves the request again, and the caller
takes the first answer of a request's id. `python -m rotation.courier.worker` runs a worker.
"""

import hashlib
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from config.kafka import partitions
from rotation.facts.parts import Deed, Part
from rotation.kafka import clients
from rotation.kafka.clients import Client
from rotation.kafka.topics import ROUTE_REQUESTS, ROUTE_RESULTS, SOLVERS_GROUP
from rotation.store.heartbeats import Pulse, Turned, unheard
from solver.check import ProblemError, read
from solver.engines import Limits
from solver.problem import Problem
from solver.solution import Solution
from solver.solve import solve

TOPICS = (ROUTE_REQUESTS.name, ROUTE_RESULTS.name)
POLL_MS = 200
LONGEST_SOLVE_MS = 900_000  # between two polls: a province's largest hub, and some
SESSION_MS = 10_000  # a worker silent for so long is taken for dead; the broker's own bounds begin at 6 s
ACK_S = 30.0  # longer than a broker's restart


class Unsolved(RuntimeError):
    """A worker could not solve a request; the message is its own."""


def run(
    client: Client,
    stop: threading.Event,
    *,
    topics: tuple[str, str] = TOPICS,
    group: str = SOLVERS_GROUP,
    turn: Turned = unheard,
) -> None:
    """Solve requests until `stop`, each after the other."""
    requests, results = topics
    consumer = clients.consumer(
        client,
        group_id=group,
        max_poll_records=1,
        max_poll_interval_ms=LONGEST_SOLVE_MS,
        session_timeout_ms=SESSION_MS,
    )
    consumer.subscribe([requests])
    producer = clients.producer(client)
    try:
        while not stop.is_set():
            turn()
            for records in consumer.poll(timeout_ms=POLL_MS, max_records=1).values():
                for record in records:
                    turn(within_s=LONGEST_SOLVE_MS / 1000)
                    _serve(record, producer, results)
                    _move_on(consumer, record)
                    turn(deed=Deed.SOLVED)
    finally:
        producer.close()
        consumer.close()


def _serve(record: ConsumerRecord, producer: KafkaProducer, results: str) -> None:
    """Answer a request and wait until the broker has the answer."""
    producer.send(results, key=record.key, value=answer(record.value)).get(timeout=ACK_S)


def _move_on(consumer: KafkaConsumer, record: ConsumerRecord) -> None:
    """Commit a request as done; if its partition has moved away meanwhile, it is solved again elsewhere, which does no harm."""
    place = TopicPartition(record.topic, record.partition)
    with suppress(Exception):
        consumer.commit({place: OffsetAndMetadata(record.offset + 1, "", -1)})


def answer(request: bytes) -> bytes:
    """Return the result of a request: its solution, or the sentence that says why there is none; never raises."""
    asked: Any = None
    try:
        asked = orjson.loads(request)
        solution = solve(read(asked["problem"]), Limits(**asked["limits"]))
        done = {"id": asked["id"], "solution": solution.model_dump(mode="json")}
    except Exception as error:  # a request that cannot be solved is answered, not tried for ever
        name = asked.get("id") if isinstance(asked, dict) else None
        kind = "bad_request" if isinstance(error, ProblemError | KeyError | TypeError | ValueError) else "failed"
        done = {"id": name, "error": {"code": kind, "text": str(error)[:2000]}}
    return orjson.dumps(done | {"worker": os.getpid()})


def request(problem: Problem, limits: Limits) -> tuple[str, bytes]:
    """Return a request's id, the same for the same problem and limits, and its message."""
    asked = {
        "problem": problem.model_dump(mode="json", exclude_defaults=True),
        "limits": {
            "time_s": limits.time_s,
            "iterations": limits.iterations,
            "threads": limits.threads,
            "seed": limits.seed,
        },
    }
    name = hashlib.blake2b(orjson.dumps(asked), digest_size=16).hexdigest()
    return name, orjson.dumps({"id": name, **asked})


class Workers:
    """The solver workers as a function from a problem to its solution, for `rotation.courier.day.plan_hubs`."""

    def __init__(self, client: Client, limits: Limits, wait_s: float, topics: tuple[str, str] = TOPICS) -> None:
        self.limits, self.wait_s, self.requests = limits, wait_s, topics[0]
        self.producer = clients.producer(client)
        self.waiting: dict[str, Future[Solution]] = {}
        self.stop = threading.Event()
        self.consumer = clients.consumer(client)
        places = partitions(self.consumer, topics[1])
        self.consumer.assign(places)
        for place in places:
            self.consumer.seek_to_end(place)
            self.consumer.position(place)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def __call__(self, problem: Problem) -> Solution:
        """Ask, and wait for the answer.

        Raises
        ------
        Unsolved
            When a worker says that it cannot.
        TimeoutError
            When no worker answers in time.
        """
        name, message = request(problem, self.limits)
        future = self.waiting.setdefault(name, Future())
        self.producer.send(self.requests, key=problem.depots[0].id.encode(), value=message).get(timeout=ACK_S)
        return future.result(timeout=self.wait_s)

    def _listen(self) -> None:
        while not self.stop.is_set():
            for records in self.consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    self._take(orjson.loads(record.value))

    def _take(self, result: Mapping[str, Any]) -> None:
        """Hand an answer to its caller; later answers of the same id are the same, or another's."""
        future = self.waiting.get(result["id"])
        if future is None or future.done():
            return
        if "solution" in result:
            future.set_result(Solution.model_validate(result["solution"]))
        else:
            future.set_exception(Unsolved(result["error"]["text"]))

    def close(self) -> None:
        """Stop listening and leave."""
        self.stop.set()
        self.listener.join()
        self.consumer.close()
        self.producer.close()


def main() -> None:
    """Run a worker until SIGTERM or SIGINT, with Kafka as the settings say; in a database, where one is set, its heart beats."""
    from config import load
    from config.kafka import client

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load()
    pulse = Pulse(settings.database_url.get_secret_value() if settings.database_url else "", Part.SOLVER)
    with pulse if settings.database_url else nullcontext():
        run(client(settings), stop, turn=pulse.turn)


if __name__ == "__main__":
    main()
