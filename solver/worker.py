"""A process that solves problem after problem for its parent.

The idea: engines leak memory, crash occasionally and do not stop on request, so each search runs in a process of its own
that can be ended at any moment. Starting a process costs a second of imports, so an idle process is kept for the next search.
Jobs and answers are pickles on the child's standard input and output.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import BinaryIO, Literal, cast

from solver.engines import Limits, PartlyFailedError, Plan, engine
from solver.instance import Instance
from solver.rank import rank

# Then a fresh process: a process had grown to 0.9 GB after about 25 searches.
MOST_JOBS = 20
IDLE_KEPT = 4  # no more idle processes than this

# Share of its time that a search gets however long its process took to start.
LEAST_SHARE = 0.5
# Seconds that a new process may take to import its libraries on a busy machine.
STARTING_S = 8.0

# Seconds between looks at whether the parent lives.
PARENT_S = 1.0

Kind = Literal["plan", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    engine: str
    instance: Instance
    limits: Limits
    warm: Plan | None
    sent_s: float = field(
        default_factory=time.time
    )  # so that starting the process counts as search time, up to a share


@dataclass(frozen=True, slots=True)
class Answer:
    kind: Kind
    plan: Plan
    versions: dict[str, str]
    error: str = ""


class WorkerError(RuntimeError):
    """The engine failed; the message is its own."""


class Worker:
    """A child process."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from solver.worker import main; main()"],  # not -m: pickles name their module
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # its own end with it, and hold no pipe of ours; sessions would share the processor unequally
        )
        self.jobs = 0
        self.answers: Queue[Answer | None] = Queue()

    def start(self, job: Job) -> None:
        """Begin a search; its answers arrive on `answers`, the last is done or failed, or None if the child died."""
        self.jobs += 1
        pickle.dump(job, self._input)
        self._input.flush()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def _input(self) -> BinaryIO:
        return cast(BinaryIO, self.process.stdin)

    @property
    def _output(self) -> BinaryIO:
        return cast(BinaryIO, self.process.stdout)

    def _listen(self) -> None:
        answer: Answer | None = None
        try:
            while answer is None or answer.kind == "plan":
                answer = pickle.load(self._output)
                self.answers.put(answer)
        except (EOFError, OSError, pickle.UnpicklingError, ValueError):
            self.answers.put(None)

    def end(self) -> None:
        """Kill the child with the processes it made, and wait for it: a survivor would hold the pipe we close."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self._input, self._output):
            with suppress(OSError):
                pipe.close()


_idle: list[Worker] = []
_lock = threading.Lock()


def hire() -> Worker:
    """Return an idle worker, or a new worker."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.process.poll() is None:
                return worker
    return Worker()


def dismiss(worker: Worker, *, finished: bool) -> None:
    """Keep a worker that finished its search for the next search; end any other worker."""
    with _lock:
        keep = finished and worker.jobs < MOST_JOBS and len(_idle) < IDLE_KEPT and worker.process.poll() is None
        if keep:
            _idle.append(worker)
    if not keep:
        worker.end()


def end_idle() -> None:
    """End idle workers; for an orderly stop and for tests."""
    with _lock:
        ended = list(_idle)
        _idle.clear()
    for worker in ended:
        worker.end()


def plans(
    job: Job,
    patience_s: float | None,
    cancel: threading.Event | None = None,
    while_it_starts: Callable[[], None] | None = None,
) -> Iterator[tuple[Plan, dict[str, str]]]:
    """Run a search in a worker and yield its plans as they come; closing the iterator or `cancel` ends the search.

    `while_it_starts` is called once if the worker is a new process, which takes a second or more to begin.

    Raises
    ------
    WorkerError
        At the end, when the engine or some of its searches failed.
    """
    worker, finished = hire(), False
    new = not worker.jobs
    try:
        worker.start(job)
        if new and while_it_starts:
            while_it_starts()
        patience_s = patience_s + STARTING_S * new if patience_s is not None else None
        for answer in _answers(worker, patience_s, cancel):
            finished = answer is not None and answer.kind == "done"
            if answer is None or answer.error:
                raise WorkerError(answer.error if answer else f"the process of {job.engine} died")
            if answer.kind == "plan":
                yield answer.plan, answer.versions
    finally:
        dismiss(worker, finished=finished)


def _answers(worker: Worker, patience_s: float | None, cancel: threading.Event | None) -> Iterator[Answer | None]:
    """Yield answers up to the last one, until patience ends or the search is cancelled."""
    until = None if patience_s is None else time.monotonic() + patience_s
    while not (cancel and cancel.is_set()) and (until is None or time.monotonic() < until):
        with suppress(Empty):
            answer = worker.answers.get(timeout=0.05)
            yield answer
            if answer is None or answer.kind != "plan":
                return


def main() -> None:
    """Serve jobs until the parent closes our input."""
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library's prints must not mix with the answers
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            _serve(pickle.load(jobs), answers)


def _leave_with(parent: int) -> None:
    """End this process and its own as soon as the parent has ended: a search may never look at its input again."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _serve(job: Job, answers: BinaryIO) -> None:
    def send(answer: Answer) -> bool:
        pickle.dump(answer, answers)
        answers.flush()
        return True

    def report(plan: Plan) -> bool:
        return send(Answer("plan", plan, chosen.VERSIONS))

    try:
        chosen = engine(job.engine)
        rank(job.instance, [])  # loads the judge's compiled loops, which belongs to the start as imports do
        left_s = job.limits.time_s - (time.time() - job.sent_s)
        limits = replace(job.limits, time_s=max(LEAST_SHARE * job.limits.time_s, left_s))
        error = _error_of(lambda: chosen.run(job.instance, limits, job.warm, report))
        send(Answer("done", [], chosen.VERSIONS, error))
    except Exception as error:  # any engine failure is reported to the parent, and the worker lives on
        send(Answer("failed", [], {}, f"{job.engine}: {error!r}"))


def _error_of(search: Callable[[], None]) -> str:
    """Return why some searches of an engine failed; its plans count."""
    try:
        search()
    except PartlyFailedError as error:
        return str(error)
    return ""
