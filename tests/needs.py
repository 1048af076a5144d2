"""What a test needs of the machine: where it lacks, the test is skipped with the reason, and fails with CI=true.

Data too large to be committed is no part of a machine: where it does not lie, tests of it are skipped, with CI=true too.
`@needs_browser` or `@needs_data` above a test says so; a test's body asks for `program(name)`.
"""

import os
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = REPOSITORY / "samples" / "librarieswest"  # two real days, committed
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

needs_browser = pytest.mark.usefixtures("chromium")
needs_data = pytest.mark.usefixtures("rotation_data")


def lacking(what: str) -> None:
    """Skip the test, or fail it with CI=true, since the machine lacks `what`."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"this machine lacks {what}, which nothing may lack with CI=true", pytrace=False)
    pytest.skip(f"not run: this machine lacks {what}")


def program(name: str, *others: str) -> str:
    """Return the path of the first of these programs that the machine has, else end the test by `lacking`."""
    for candidate in (name, *others):
        if path := shutil.which(candidate):
            return path
    lacking(f"the program {name}")
    raise AssertionError("not reached")


def data_folder() -> Path | None:
    """Return the longer real data's folder: $ROTATION_DATA, else ../shared/data beside the repository; else None."""
    folder = Path(os.environ.get("ROTATION_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None
