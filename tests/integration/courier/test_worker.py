"""Solver workers on a real Kafka: every request is answered, also when a worker is killed in the middle."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from config import load
from rotation.courier.worker import Unsolved, Workers, answer, request, run
from rotation.kafka import admin
from rotation.kafka.recount import end_offsets
from rotation.kafka.topics import ROUTE_REQUESTS, ROUTE_RESULTS
from rotation.night.vans import searching
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.generate import courier_day
from solver.problem import Problem

WAIT_S = 60.0
START = """
import sys, threading
from rotation.courier.worker import run
run({"bootstrap_servers": sys.argv[1]}, threading.Event(), topics=(sys.argv[2], sys.argv[3]), group=sys.argv[2])
"""


@pytest.fixture
def topics(kafka: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Topics of the test's own, with two partitions, so that two workers share them."""
    names = f"{request.node.name}.requests", f"{request.node.name}.results"
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics([NewTopic(name, 2, 1) for name in names])
    admin.close()
    return names


@pytest.fixture
def start(kafka: str, topics: tuple[str, str]) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a worker; all are ended with the test."""
    children: list[subprocess.Popen[bytes]] = []

    def one() -> subprocess.Popen[bytes]:
        children.append(subprocess.Popen([sys.executable, "-c", START, kafka, *topics], start_new_session=True))
        return children[-1]

    yield one
    for child in children:
        with_its_engines(child, signal.SIGKILL)
        child.wait()


def with_its_engines(child: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    if child.poll() is None:
        os.killpg(child.pid, sign)


def days(count: int) -> list[Problem]:
    return [courier_day(8, seed) for seed in range(count)]


def test_a_request_is_the_same_for_the_same_problem_and_limits():
    one, other = days(2)
    assert request(one, Limits(1.0)) == request(one, Limits(1.0))
    assert (
        len(
            {
                request(one, Limits(1.0))[0],
                request(other, Limits(1.0))[0],
                request(one, Limits(2.0))[0],
            }
        )
        == 3
    )


@pytest.mark.parametrize("asked", [b"\xff", b"[]", b'{"id": "x"}', b'{"id": "x", "problem": {}, "limits": {}}'])
def test_what_cannot_be_solved_is_answered_with_a_sentence(asked: bytes):
    done = orjson.loads(answer(asked))
    assert done["error"]["code"] == "bad_request"
    assert done["error"]["text"]


def test_what_is_asked_is_solved_by_a_worker(kafka: str, topics: tuple[str, str], start: Callable[[], object]):
    start()
    (problem,) = days(1)
    workers = Workers({"bootstrap_servers": kafka}, Limits(0.5, seed=1), WAIT_S, topics)
    assert evaluate(problem, workers(problem)).feasible
    workers.close()


def test_a_request_that_is_no_problem_comes_back_as_an_error(
    kafka: str, topics: tuple[str, str], start: Callable[[], object]
):
    start()
    workers = Workers({"bootstrap_servers": kafka}, Limits(-1.0, iterations=-1), WAIT_S, topics)
    broken = days(1)[0].model_copy(update={"vans": []})
    with pytest.raises(Unsolved):
        workers(broken)
    workers.close()


def answers(kafka: str, topic: str, enough: Callable[[dict[str, set[int]]], bool]) -> dict[str, set[int]]:
    """Return who answered each request, as soon as that is enough."""
    consumer = KafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=200)
    found: dict[str, set[int]] = {}
    until = time.monotonic() + WAIT_S
    while not enough(found) and time.monotonic() < until:
        for record in consumer:
            result = orjson.loads(record.value)
            assert "solution" in result
            found.setdefault(result["id"], set()).add(result["worker"])
    consumer.close()
    return found


def test_one_of_two_workers_killed_in_the_middle_loses_nothing(
    kafka: str, topics: tuple[str, str], start: Callable[[], subprocess.Popen[bytes]]
):
    many = days(24)  # so that the second worker, which may start slowly, is killed in the middle
    asked = [request(problem, Limits(1.0, seed=1)) for problem in many]
    first, second = start(), start()
    producer = KafkaProducer(bootstrap_servers=kafka)
    for number, (_, message) in enumerate(asked):
        producer.send(topics[0], value=message, partition=number % 2)
    producer.close()
    before = answers(kafka, topics[1], lambda found: {first.pid, second.pid} <= set().union(*found.values()))
    with_its_engines(first, signal.SIGKILL)
    assert len(before) < len(asked), "the kill came too late to be in the middle of anything"
    after = answers(kafka, topics[1], lambda found: len(found) == len(asked))
    assert set(after) == {name for name, _ in asked}
    assert first.wait() == -signal.SIGKILL


def test_hubs_are_solved_side_by_side_by_two_workers(kafka: str, topics: tuple[str, str], start: Callable[[], object]):
    start(), start()
    workers = Workers({"bootstrap_servers": kafka}, Limits(0.5, seed=1), WAIT_S, topics)
    problems = days(6)
    with ThreadPoolExecutor(6) as threads:
        solutions = list(threads.map(workers, problems))
    assert all(evaluate(problem, solution).feasible for problem, solution in zip(problems, solutions, strict=True))
    workers.close()


def test_the_planner_asks_the_workers_where_the_setting_says_so(kafka: str):
    client = {"bootstrap_servers": kafka}
    admin.create(client, topics=[ROUTE_REQUESTS, ROUTE_RESULTS])
    stop = threading.Event()
    worker = threading.Thread(target=run, args=(client, stop), kwargs={"group": "night"})
    worker.start()
    settings = load(data_dir=Path("unused"), route_seconds=0.5, solving="workers", kafka_bootstrap=kafka)
    with searching(settings, settings.route_seconds) as search:
        assert evaluate(days(1)[0], search(days(1)[0])).feasible
    stop.set()
    worker.join()
    assert sum(end_offsets(client, ROUTE_RESULTS.name).values()) == 1
