"""What is said before anything is fetched, on machines that cannot run Rotation."""

import os
import subprocess
from pathlib import Path

import pytest

from infra import preflight

REPOSITORY = Path(__file__).parents[3]
GLIBC = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (("Darwin", "arm64", 64, ("", "")), "runs on Linux"),
        (("Linux", "riscv64", 64, GLIBC), "built for x86_64"),
        (("Linux", "x86_64", 32, GLIBC), "32 bit"),
        (("Linux", "x86_64", 64, ("", "")), "musl"),
        (("Linux", "x86_64", 64, ("glibc", "2.31")), "glibc 2.34"),
    ],
)
def test_a_machine_that_will_not_do_is_named(machine: tuple[str, str, int, tuple[str, str]], said: str):
    assert said in next(preflight.of_the_machine(*machine))


@pytest.mark.parametrize("processor", preflight.MACHINES)
def test_a_machine_that_does_is_not(processor: str):
    assert list(preflight.of_the_machine("Linux", processor, 64, GLIBC)) == []


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("os.access", lambda *_: False)
    assert str(tmp_path) in next(preflight.of_the_folder(tmp_path))


def test_a_disk_too_small_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(preflight, "FREE_MB", 10**9)
    assert "MB left" in next(preflight.of_the_folder(tmp_path))


def test_a_user_without_a_name_is_named():
    assert "61184" in next(preflight.of_the_user(61_184))


@pytest.mark.parametrize("inside_make", [{}, {"MAKELEVEL": "1"}])
def test_without_a_python_that_does_make_says_so_and_fetches_nothing(inside_make: dict[str, str]):
    make = ["make", "--no-print-directory", "PYTHON=/bin/false", "environment"]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(
        make, cwd=REPOSITORY, env=surroundings | inside_make, capture_output=True, text=True, check=False
    )
    assert said.returncode
    assert said.stdout.startswith("No Python 3.11 to 3.14")
