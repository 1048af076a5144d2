"""Once an end is set, nothing that is stopped gets longer."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import ending
from infra.child import Child

LONG_S, SHORT_S, KILLED_WITHIN_S = 30.0, 0.5, 5.0
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def _no_end() -> Iterator[None]:
    yield
    ending._by.clear()


def test_without_an_end_each_has_its_own_time():
    assert ending.patience_s(LONG_S) == LONG_S


def test_the_first_end_holds():
    ending.end_within(SHORT_S)
    ending.end_within(LONG_S)
    assert ending.patience_s(LONG_S) <= SHORT_S


def test_a_part_that_does_not_heed_is_killed_at_the_end(tmp_path: Path):
    child = Child("deaf", [sys.executable, "-c", DEAF], tmp_path / "log", signal.SIGTERM, LONG_S)
    child.start()
    child.wait_until(lambda: "deaf" in (tmp_path / "log").read_text(), LONG_S)
    ending.end_within(SHORT_S)
    begin = time.monotonic()
    child.stop()
    assert not child.alive()
    assert time.monotonic() - begin < KILLED_WITHIN_S
