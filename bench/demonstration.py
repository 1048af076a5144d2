"""The whole demonstration: seconds to the first plan from an empty folder and from a kept one, and memory by process.

    python -m bench.demonstration [--for SECONDS]

One JSON line for each start and one for each process, with the machine's size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psutil

MB = 1 << 20
SAMPLE_S = 2.0
NAMES = {
    "streams.worker": "worker",
    "streams.relay": "relay",
    "rotation.web": "web",
    "rotation planner": "planner",
    "-m city": "city",
    "kafka.Kafka": "kafka",
    "rotation run": "supervisor",
    "multiprocessing": "solver",
    "postgres": "postgres",
}


def main() -> None:
    """Start twice in a new folder and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=120.0, help="how long each start runs")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="rotation-bench-") as folder:
        for start in ("from an empty folder", "from a kept one"):
            figures, memory = run(folder, seconds)
            print(json.dumps({"bench": "demonstration", "start": start, **figures, **machine()}), flush=True)
            for name, most in sorted(memory.items()):
                line = {"bench": "demonstration", "start": start, "process": name, "peak_mb": round(most / MB)}
                print(json.dumps(line), flush=True)


def run(folder: str, seconds: float) -> tuple[dict[str, Any], dict[str, int]]:
    """Run the demonstration in `folder`; return its last line and the peak memory of each kind of process (PSS)."""
    environment = os.environ | {"ROTATION_DATA_DIR": folder, "ROTATION_WEB_PORT": "0"}
    command = [sys.executable, "-m", "rotation", "run", "--json", "--for", str(seconds)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    memory: dict[str, int] = {}
    while process.poll() is None:
        for name, size in memory_now(process.pid).items():
            memory[name] = max(memory.get(name, 0), size)
        time.sleep(SAMPLE_S)
    assert process.stdout
    last = json.loads(process.stdout.read().splitlines()[-1])
    wanted = ("seconds_to_ready", "events_in", "copies", "plans", "delivered", "missing")
    return {name: last[name] for name in wanted}, memory


def memory_now(pid: int) -> dict[str, int]:
    """Return bytes by kind of process: proportional set size, which counts shared memory once."""
    sizes: dict[str, int] = {}
    for name, size in _sizes(pid):
        sizes[name] = sizes.get(name, 0) + size
    return sizes


def _sizes(pid: int) -> Iterator[tuple[str, int]]:
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return
    for process in family:
        try:
            command = " ".join(process.cmdline())
            if "guard.py" not in command:
                name = next((short for words, short in NAMES.items() if words in command), "other")
                yield name, process.memory_full_info().pss
        except psutil.Error:
            continue


def machine() -> dict[str, Any]:
    """Return the machine's size."""
    return {"cores": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 2**30)}


if __name__ == "__main__":
    main()
