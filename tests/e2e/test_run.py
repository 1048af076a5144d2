"""`rotation run` as a person starts it: killed in the middle, started again, ended by itself, with figures that add up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rotation.cli.errors import STANDS_STILL

REPOSITORY = Path(__file__).parents[2]
READY_S = 240  # on two cores some 30 s with this history; a loaded machine takes many times that
GONE_S = 15  # what servers have to stop in order when their parent was killed
STOP_S = 60  # after which a run that does not end fails by itself
PROMISED_S = 10  # from Ctrl-C to the end, in any state; seen: 5 s at a load of eight on two cores
DAYS_S = 300  # it ends as soon as something was delivered; seen: 40 s, and 180 s beside other work were too few
WEEKS, DAY_S = 2, 15


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("run")
    own = {
        "ROTATION_DATA_DIR": str(folder),
        "ROTATION_WEB_PORT": "0",
        "ROTATION_DEMO_HISTORY_WEEKS": str(WEEKS),
        "ROTATION_DEMO_DAY_S": str(DAY_S),
    }
    outside = ("DATABASE_URL", "KAFKA_BOOTSTRAP")
    return {name: value for name, value in os.environ.items() if name not in outside} | own


def start(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rotation", "run", "--json", *arguments]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(process: "subprocess.Popen[str]", words: str, within_s: float) -> list[str]:
    """Read standard error until a line has `words`, and return what was read."""
    assert process.stderr
    heard: list[str] = []
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        line = process.stderr.readline()
        heard.append(line)
        if words in line:
            return heard
        if not line and process.poll() is not None:
            break
    pytest.fail(f"never heard {words!r} in:\n{''.join(heard)}")


def of_folder(folder: str) -> list[str]:
    """Return the processes that work for a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if folder in " ".join(process.cmdline()) or process.environ().get("ROTATION_DATA_DIR") == folder:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        except psutil.Error:
            continue
    return found


def left_over(folder: str) -> list[str]:
    """Return the processes of a data folder that do not end by themselves soon."""
    end = time.monotonic() + GONE_S
    while (left := of_folder(folder)) and time.monotonic() < end:
        time.sleep(0.2)
    return left


@pytest.mark.timeout(READY_S + GONE_S)
def test_killed_in_the_middle_it_leaves_no_process_behind(environment: dict[str, str]):
    process = start(environment)
    wait_for(process, "Ready after", READY_S)
    time.sleep(DAY_S)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left_over(environment["ROTATION_DATA_DIR"]) == []


@pytest.mark.timeout(READY_S)
@pytest.mark.parametrize("after_s", [0.7, 2, 5])
def test_interrupted_in_its_first_seconds_it_stops_in_order(
    environment: dict[str, str], tmp_path: Path, after_s: float
):
    begun = environment | {"ROTATION_DATA_DIR": str(tmp_path)}
    process = start(begun)
    time.sleep(after_s)
    said, took_s = interrupted(process)
    assert took_s < PROMISED_S
    assert process.returncode in (0, 130, -signal.SIGINT)  # 0 once it listens
    assert "Traceback" not in said
    assert left_over(begun["ROTATION_DATA_DIR"]) == []  # a guard may still be stopping a server that had just begun


@pytest.fixture(scope="module")
def ended(environment: dict[str, str]) -> dict[str, Any]:
    """The figures of a second start, which goes on from the killed one's state until something planned was delivered."""
    process = start(environment)
    wait_for(process, "Ready after", READY_S)
    end = time.monotonic() + DAYS_S
    while time.monotonic() < end and not went_round(environment):
        time.sleep(DAY_S / 2)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    return figures(process, STOP_S) | {"stopping_s": time.monotonic() - begin}


def interrupted(process: "subprocess.Popen[str]") -> tuple[str, float]:
    """Send Ctrl-C; return what the run said on standard error, and the seconds until its end."""
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=STOP_S)[1], time.monotonic() - begin


def went_round(environment: dict[str, str]) -> bool:
    """Whether two days were planned and something was delivered."""
    command = [sys.executable, "-m", "rotation", "status", "--json"]
    said = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode in (0, STANDS_STILL), said.stderr
    status = json.loads(said.stdout)
    return bool(status["plans"] >= 2 and status["delivered"] and status["stops_done"])


def figures(process: "subprocess.Popen[str]", within_s: float) -> dict[str, Any]:
    """Return the last line of a run that ends well."""
    out, err = process.communicate(timeout=within_s)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.timeout(DAYS_S + READY_S)
def test_started_again_it_goes_on_and_every_event_has_one_count(ended: dict[str, Any]):
    counted = sum(ended[name] for name in ("applied", "duplicates", "late", "rejected"))
    assert ended["events_in"] == counted
    assert ended["missing"] == 0


@pytest.mark.timeout(READY_S)
def test_told_for_how_long_it_ends_by_itself(environment: dict[str, str], ended: dict[str, Any]):
    after = figures(start(environment, "--for", "10"), READY_S)
    assert after["missing"] == 0
    assert after["events_in"] >= ended["events_in"]


def test_ctrl_c_ends_the_live_run_within_ten_seconds(ended: dict[str, Any]):
    assert ended["stopping_s"] < PROMISED_S


def test_every_copy_is_in_one_state(ended: dict[str, Any]):
    assert sum(ended["by_state"].values()) == ended["copies"] > 50_000


def test_days_went_round_and_what_was_planned_was_delivered(ended: dict[str, Any]):
    assert ended["plans"] >= 2
    assert ended["delivered"] > 0
    assert ended["stops_done"] > 0


def test_the_city_tells_nothing_that_the_network_would_refuse(ended: dict[str, Any]):
    assert ended["rejected"] == 0
