"""No engine ends in silence: what it cannot express is left to the judge, and what fails is said in the result."""

import os
import subprocess
import sys
from time import monotonic, sleep

import pytest

from solver import worker_pool
from solver.engines import Limits
from solver.engines.pyvrp import PyvrpModel, SubProblem
from solver.evaluate import evaluate
from solver.instance import compiled
from solver.notices import notices
from solver.problem import Problem
from solver.search import Until
from solver.solve import solve
from solver.worker import Job, WorkerError, end_idle
from solver.worker_pool import Task, WorkerPool
from tests.unit.solver.days import day, stop, van

solving = sys.modules["solver.solve"]
HOUR_S = 3600
BUSY_S = 20  # a machine that does much else
SHORT = Limits(time_s=1.0)
LUNCH = [[0, HOUR_S], [2 * HOUR_S, 4 * HOUR_S]]
READY_IN_LUNCH = day(stop(1, deliver=1, windows=LUNCH, ready_s=5000), stop(2, deliver=1))


def direct(collect: list[list[int]], deliver: list[list[int]]) -> dict[str, object]:
    return {"id": "d", "collect": {"place": "1", "windows": collect}, "deliver": {"place": "4", "windows": deliver}}


# The widest window of the collection closes the only one of the delivery.
MORNING_ONLY = day(stop(2), shipments=[direct([[0, 3000], [4000, 20_000]], [[1000, 3500]])])
OVER_A_RELOAD = day(
    stop(2, deliver=2, windows=[[0, 1200]]),
    stop(3, deliver=2, windows=[[3000, 9000]]),
    vans=[van(capacity=3, max_reloads=1)],
    shipments=[direct([[0, 2000]], [[3000, 9000]])],
)


@pytest.fixture(autouse=True)
def _no_idle_worker_knows_another_test():
    end_idle()
    yield
    end_idle()


@pytest.mark.parametrize("problem", [READY_IN_LUNCH, MORNING_ONLY, OVER_A_RELOAD])
@pytest.mark.parametrize("engine", ["race", "pyvrp"])
def test_alternatives_make_no_engine_raise(problem: Problem, engine: str):
    found = solve(problem, SHORT, engine=engine)
    assert found.errors == []
    assert evaluate(problem, found).feasible


def test_a_window_before_the_crates_are_ready_is_none():
    model = PyvrpModel(compiled(READY_IN_LUNCH), SubProblem.whole(compiled(READY_IN_LUNCH)))
    assert [client.tw_late for client in model.data.clients()][:1] == [4 * HOUR_S]


def test_a_plan_with_a_shipment_over_a_reload_begins_a_search_without_it():
    instance = compiled(OVER_A_RELOAD)
    run = [instance.node(0, key) for key in ("collect:d", "s2", "reload:hub", "s3", "deliver:d")]
    model = PyvrpModel(instance, SubProblem.whole(instance))
    begun = model.decode(model.encode([(0, [node for node in run if node is not None])]))
    assert [[instance.keys[node] for node in nodes] for _, nodes in begun] == [["s2", "reload:hub", "s3"]]


@pytest.mark.parametrize("never", [{"windows": [[0, 100]]}, {"deliver": 1, "ready_s": 9000, "windows": [[0, 8000]]}])
def test_an_impossible_stop_costs_the_others_nothing(never: dict[str, object]):
    others = [stop(place, deliver=1) for place in (1, 2, 3, 4)]
    alone, beside = day(*others), day(*others, stop(9, **never))
    best = evaluate(alone, solve(alone, SHORT))
    found = solve(beside, SHORT)
    assert evaluate(beside, found).cost_cents == best.cost_cents
    assert (evaluate(beside, found).unserved, found.errors) == (["s9"], [])


@pytest.mark.parametrize("engine", ["race", "pyvrp", "ortools"])
def test_a_van_that_never_leaves_spoils_nobody(engine: str):
    hub = [{"id": "hub", "place": "0", "windows": [[5000, 30_000]]}]
    problem = day(stop(1), stop(2), vans=[van(latest_start_s=4000), van(id="w")], depots=hub)
    assert evaluate(problem, solve(problem, SHORT, engine=engine)).feasible


def test_what_is_asked_in_vain_is_named_and_the_rest_is_planned():
    hub = [{"id": "hub", "place": "0", "windows": [[5000, 30_000]]}]
    problem = day(
        stop(1), stop(2, windows=[[50_000, 60_000]]), vans=[van(latest_start_s=4000), van(id="w")], depots=hub
    )
    assert [(one.at, one.code) for one in notices(compiled(problem))] == [
        ("vans[0]", "van_never_leaves"),
        ("stops[1].windows", "window_outside_shifts"),
    ]
    assert evaluate(problem, solve(problem, SHORT)).unserved == ["s2"]


def test_nobody_goes_where_every_run_costs_more_than_it_brings():
    problem = day(stop(9, prize_cents=500), stop(8, prize_cents=400))
    found = evaluate(problem, solve(problem, SHORT))
    assert (found.cost_cents, found.totals.vans) == (900, 0)


def _raises(*_: object) -> None:
    raise ValueError("no such road")


def _dies(*_: object) -> None:
    os._exit(7)


@pytest.mark.parametrize(("ends", "said"), [(_raises, "no such road"), (_dies, "code 7")])
def test_a_search_that_ends_badly_is_an_error_and_its_core_goes_on(monkeypatch, ends, said):
    problem = compiled(day(stop(1), stop(2)))
    task = Task(SubProblem.whole(problem), [], Until(iterations=5), seed=1)
    with monkeypatch.context() as patched:
        patched.setattr(worker_pool, "Search", ends)
        team = WorkerPool(problem, 1)
    with team:
        (failed,) = team.ask([[task]], late=float("inf"))
        (after,) = team.ask([[task]], late=float("inf"))
    assert said in failed.error
    assert (said in after.error) == (ends is _raises)  # the child that died has a successor without the fault


def test_a_race_whose_process_dies_has_a_stand_in(monkeypatch):
    problem, whole = day(*(stop(place, deliver=1) for place in (5, 1, 3))), solving.plans

    def dying(job: Job, *rest: object) -> object:
        if job.engine == "race":
            raise WorkerError("the process of race died")
        return whole(job, *rest)

    monkeypatch.setattr(solving, "plans", dying)
    found = solve(problem, SHORT)
    assert found.errors == ["the process of race died"]
    assert evaluate(problem, found).feasible


@pytest.mark.parametrize("stops", [1, 2, 3])
def test_iterations_of_ortools_end_though_none_brings_a_solution(stops: int):
    problem = day(*(stop(place, deliver=1) for place in range(1, 1 + stops)))
    begun = monotonic()
    assert evaluate(problem, solve(problem, Limits(iterations=10), engine="ortools")).feasible
    assert monotonic() - begun < BUSY_S


def test_a_worker_ends_with_its_parent():
    code = "import time; from solver.worker import Worker; print(Worker().process.pid, flush=True); time.sleep(3)"
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
    until = monotonic() + BUSY_S
    while os.path.exists(f"/proc/{pid}") and monotonic() < until:
        sleep(0.1)
    assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("engine", ["race", "pyvrp", "ortools", "vroom"])
@pytest.mark.parametrize("limits", [SHORT, Limits(iterations=20)])
@pytest.mark.parametrize(("priority", "visits"), [(3, ["s9"]), (1, ["s1", "s2", "s3"])])
def test_priority_means_the_same_to_every_engine(engine: str, limits: Limits, priority: int, visits: list[str]):
    """There is time for the far stop or the three near ones; a stop left out counts 1 + its priority."""
    near = [stop(place, deliver=1, service_s=300) for place in (1, 2, 3)]
    problem = day(*near, stop(9, deliver=1, priority=priority), vans=[van(shift=[0, 2200])])
    (run,) = solve(problem, limits, engine=engine).runs
    assert sorted(run.visits) == visits
