"""A file system of its own that can be filled to its last byte without harm to the machine (a tmpfs; needs root)."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = b"\0" * 65_536
BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[None]:
    """Mount a small file system at `folder`, made if need be, while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mb}m,mode=0777"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"not run: this machine lets us mount no file system of our own ({mounted.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until not one byte more fits."""
    with (folder / BALLAST).open("ab", buffering=0) as ballast:
        for size in (len(BLOCK), 4096, 1):
            try:
                while True:
                    ballast.write(BLOCK[:size])
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise


def relieve(folder: Path) -> None:
    """Give the room back."""
    (folder / BALLAST).unlink()
