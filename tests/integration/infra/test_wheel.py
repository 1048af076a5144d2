"""The wheel and the source distribution: each holds all that the program needs, and the second makes the first."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.needs import REPOSITORY

PACKAGES = ("rotation", "streams", "solver", "city", "config", "infra")
OTHERS = (
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "package.json",
    "package-lock.json",
    ".npmrc",
)
MADE = shutil.ignore_patterns("__pycache__", "assets")


def built(source: Path, to: Path, *options: str) -> Path:
    """Return what a build of `source` puts into the folder `to`."""
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", to]
    subprocess.run([*map(str, command), *options, str(source)], check=True, capture_output=True)
    return next(path for path in to.iterdir() if path.suffix in (".whl", ".gz"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the program's part, its assets fetched."""
    folder = tmp_path_factory.mktemp("source code")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=MADE)
    for name in OTHERS:
        shutil.copy(REPOSITORY / name, folder)
    (folder / "node_modules").symlink_to(REPOSITORY / "node_modules")
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Files of the wheel that the clone makes, with their checksums."""
    return files(built(source, tmp_path_factory.mktemp("wheel"), "--wheel"))


def files(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {file.filename: file.CRC for file in archive.infolist() if ".dist-info" not in file.filename}


def test_the_wheel_holds_every_file_of_the_program(wheel: dict[str, int], source: Path):
    paths = (path for name in PACKAGES for path in (REPOSITORY / name).rglob("*") if path.is_file())
    wanted = {str(path.relative_to(REPOSITORY)) for path in paths if "__pycache__" not in path.parts}
    assert {path for path in wanted if "/web/assets/" not in path} - wheel.keys() == set()


def test_the_wheel_holds_each_asset_that_the_page_asks_for(wheel: dict[str, int]):
    page = (REPOSITORY / "rotation/web/templates/base.html").read_text(encoding="utf-8")
    folders = {"htmx": "htmx.org", "leaflet": "leaflet"}
    asked = re.findall(r'"/assets/(\w+)/([^"]+)"', page)
    assert len(asked) >= 3
    assert {f"rotation/web/assets/{folders[name]}/dist/{file}" for name, file in asked} <= wheel.keys()


def test_a_source_distribution_makes_the_same_wheel_without_a_checkout(
    wheel: dict[str, int], source: Path, tmp_path: Path
):
    archive = built(source, tmp_path / "sdist", "--sdist")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("rotation-*")
    assert files(built(unpacked, tmp_path / "wheel", "--wheel")) == wheel
