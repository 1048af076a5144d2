"""A server as a guarded child process: at most a server for each folder, watched, stopped in order, found again after a kill.

The processes of a folder are found by looking at the processes themselves (command line or working directory), never by
trusting a file: so a left-over is stopped before a new server starts, and two never work on one folder.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.ending import patience_s
from infra.memory import MB
from infra.messages import ServerError, ServerMessage, Tell

GUARD = Path(__file__).with_name("guard.py")
GUARD_MARGIN_S = 3.0  # beyond the server's own time to stop, for the guard to notice and to kill
LOOK_S = 0.05  # how often we look whether a server answers
LET_GO_S = 1.0  # how long a holder of a folder may take to end after it was killed
# Last words of the log in a failure's sentence.
SAID_CHARACTERS = 300
LOG_BYTES = 20 * MB  # a page that is looked at all day says 10 MB an hour; the last two files are kept
_held: set[Path] = set()


@dataclass
class Child:
    """A server's process behind its guard.

    `stop_signal` asks for an ordered end, for which it has `stop_s`; `user` runs it, "uid:gid" ("": our own);
    `folder` is its working directory (None: ours).
    """

    name: str
    command: list[str]
    log: Path
    stop_signal: signal.Signals
    stop_s: float
    user: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    log_bytes: int = LOG_BYTES
    pid: int = 0
    _guard: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start the process; its output goes to the log, and the previous log is kept beside it."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open(
            "a"
        ) as log:  # appended to wherever its end is, so that it may be cut while the process writes
            self._guard = subprocess.Popen(
                self._guarded(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal is for us: we stop the servers in order
                env=os.environ | self.environment,
                cwd=self.folder,
            )
        assert self._guard.stdout
        self.pid = int(self._guard.stdout.readline() or 0)

    def _guarded(self) -> list[str]:
        rules = [str(os.getpid()), str(int(self.stop_signal)), str(self.stop_s), self.user]
        return [sys.executable, "-I", "-S", str(GUARD), *rules, *self.command]

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._guard is not None and self._guard.poll() is None

    def exit_code(self) -> int | None:
        """Return how the process ended; None while it runs or was never started."""
        return self._guard.poll() if self._guard else None

    def check(self) -> None:
        """Raise server.died unless the process runs; keep its log small while it does."""
        self._cut_log()
        if not self.alive():
            raise ServerError("server.died", name=self.name, how=self._how(), last=last_words(self.log), log=self.log)

    def _cut_log(self) -> None:
        """Move the log so far to the previous log once it is long; a line said at that very moment may be lost."""
        if self.log.exists() and self.log.stat().st_size > self.log_bytes:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    def wait_until(self, answers: Callable[[], bool], within_s: float) -> float:
        """Wait until `answers`, and return the seconds this took; raise server.died or server.slow."""
        start = time.monotonic()
        while not answers():
            self.check()
            if time.monotonic() - start > within_s:
                raise ServerError("server.slow", name=self.name, seconds=within_s, log=self.log)
            time.sleep(LOOK_S)
        return time.monotonic() - start

    def wait_for_end(self, within_s: float) -> None:
        """Let a process that ends by itself do so; stop it after `within_s`."""
        assert self._guard
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(within_s)
        self.stop()

    def stop(self) -> None:
        """Stop the process in order, at the latest by force; nothing happens when it has ended."""
        if self._guard and self._guard.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
        self._reap(self.stop_s + GUARD_MARGIN_S)

    def kill(self) -> None:
        """Kill the process as a crash would (for tests)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap(GUARD_MARGIN_S)

    def replace(self, tell: Tell, frozen_s: float) -> None:
        """Kill a process that was frozen for `frozen_s`, and start it again."""
        tell(ServerMessage("server.frozen", {"name": self.name, "seconds": frozen_s, "log": self.log}))
        self.kill()
        self.start()

    def _reap(self, within_s: float) -> None:
        if not self._guard:
            return
        try:
            self._guard.wait(patience_s(within_s))
        except subprocess.TimeoutExpired:
            self._guard.kill()  # the system then kills the server
            self._guard.wait()

    def _how(self) -> str:
        code = self._guard.poll() if self._guard else None
        if code and (code > 128 or code < 0):
            return signal.Signals(code - 128 if code > 0 else -code).name
        return f"exit {code}"


def last_words(log: Path) -> str:
    """Return the log's last line about an error, or its last line."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("ERROR", "FATAL", "Exception", "error:"))]
    return (telling or lines or ["-"])[-1][:SAID_CHARACTERS]


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if need be, for this process alone.

    A POSIX record lock: it ends with its process however that dies, and a forked process does not inherit it.

    Raises
    ------
    ServerError
        folder.held by another start (or ours), folder.unusable.
    """
    if folder in _held:  # even opening and closing its file once more would release the lock
        raise ServerError("folder.held", folder=folder, pid=os.getpid())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise ServerError("folder.unusable", folder=folder, reason=error.strerror) from error
    with lock:
        _lock(lock.fileno(), folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _held.add(folder)
        try:
            yield
        finally:
            _held.discard(folder)


def _lock(descriptor: int, folder: Path) -> None:
    until = time.monotonic() + LET_GO_S
    while not _locked(descriptor):
        if time.monotonic() > until:
            raise ServerError("folder.held", folder=folder, pid=(folder / "lock").read_text() or "?")
        time.sleep(LOOK_S)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def stop_leftovers(name: str, belongs: Callable[[psutil.Process], bool], stop_s: float, tell: Tell) -> None:
    """Stop the processes that belong to a folder we hold: their guard may already be stopping them, so they get `stop_s`."""
    found = list(leftovers(belongs))
    for process in found:
        tell(ServerMessage("leftover.stop", {"name": name, "pid": process.pid}))
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, stop_s)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, GUARD_MARGIN_S)


def leftovers(belongs: Callable[[psutil.Process], bool]) -> Iterator[psutil.Process]:
    """Yield the running processes that belong; processes that end or hide meanwhile are skipped."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and belongs(process):
                yield process


def need_space(folder: Path, name: str, needed_mb: int) -> None:
    """Raise disk.full unless the disk of `folder` has `needed_mb` left."""
    free_mb = psutil.disk_usage(str(folder)).free // MB
    if free_mb < needed_mb:
        raise ServerError("disk.full", folder=folder, name=name, free_mb=free_mb, needed_mb=needed_mb)
