"""The memory available to us: the machine's, or less in a container with a limit."""

import contextlib
from pathlib import Path

import psutil

MB = 1 << 20
# Where Linux says what a container may have: control groups, version 2 and 1.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_bytes() -> int:
    """Return the available memory."""
    found: list[int] = [psutil.virtual_memory().total]
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            found.append(int(limit.read_text()))
    return min(found)
