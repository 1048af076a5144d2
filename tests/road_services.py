"""OSRM and Valhalla as they are, over a made-up town: their programs are taken out of pinned wheels, kept for all clones.

The town is a grid of streets with one-way streets, a street for residents alone, and an island without a bridge.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import httpx

from infra.ports import new_port

PROGRAMS = ("osrm-bindings==26.10.0", "pyvalhalla==3.9.1")  # wheels for Python 3.12: the programs in them need none
CACHE = Path.home() / ".cache" / "rotation" / "roads-26.10.0-3.9.1"
SIDE, LAT, LON, STEP = 12, 51.0, -2.0, 0.004  # streets each way, and degrees between them
ONE_WAY_ROW, ONE_WAY_COLUMN = 4, 5
ISLAND, RESIDENTS = (51.2, -1.5), (50.998, -1.98)
WAIT_S = 30.0

Point = tuple[float, float]


def programs() -> Path:
    """Return the folder with both services' files, fetched once."""
    if not CACHE.exists():
        part = CACHE.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        wanted = [
            "--target",
            str(part),
            "--python-version",
            "3.12",
            "--python-platform",
            "linux",
            "--no-deps",
            *PROGRAMS,
        ]
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--only-binary", ":all:", *wanted], check=True
        )
        part.rename(CACHE)
    return CACHE


def crossing(row: int, column: int) -> Point:
    """Return where two streets cross."""
    return round(LAT + row * STEP, 6), round(LON + column * STEP, 6)


def write_map(file: Path, side: int = SIDE) -> None:
    """Write the town, of so many streets each way, in OpenStreetMap's XML."""
    root, numbers = ElementTree.Element("osm", version="0.6"), dict[Point, str]()

    def node(point: Point) -> str:
        if point not in numbers:
            numbers[point] = str(len(numbers) + 1)
            at = {"id": numbers[point], "version": "1", "lat": str(point[0]), "lon": str(point[1])}
            ElementTree.SubElement(root, "node", at)
        return numbers[point]

    streets = [([crossing(row, at) for at in range(side)], _tags(row, ONE_WAY_ROW, "yes")) for row in range(side)]
    streets += [
        ([crossing(at, column) for at in range(side)], _tags(column, ONE_WAY_COLUMN, "-1")) for column in range(side)
    ]
    streets.append(([crossing(0, 5), RESIDENTS], {"highway": "residential", "motor_vehicle": "destination"}))
    streets.append(([ISLAND, (51.201, -1.5), (51.201, -1.499)], {"highway": "residential"}))
    ways = [([node(point) for point in points], tags) for points, tags in streets]
    for number, (nodes, tags) in enumerate(ways, 1):
        way = ElementTree.SubElement(root, "way", id=str(number), version="1")
        for one in nodes:
            ElementTree.SubElement(way, "nd", ref=one)
        for key, value in tags.items():
            ElementTree.SubElement(way, "tag", k=key, v=value)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _tags(number: int, one_way: int, direction: str) -> dict[str, str]:
    kind = {"highway": "secondary" if number % 3 == 0 else "residential"}
    return kind | ({"oneway": direction} if number == one_way else {})


@contextmanager
def osrm(folder: Path, *more: str, side: int = SIDE) -> Iterator[str]:
    """Yield the address of an OSRM over the town."""
    home, port = programs() / "osrm", new_port("roads", set())
    write_map(folder / "town.osm", side)
    for program, *arguments in (
        ("osrm-extract", "-p", str(home / "share" / "profiles" / "car.lua"), "town.osm"),
        ("osrm-partition", "town.osrm"),
        ("osrm-customize", "town.osrm"),
    ):
        subprocess.run([home / "bin" / program, *arguments], cwd=folder, check=True, capture_output=True)
    served = [
        home / "bin" / "osrm-routed",
        "--algorithm",
        "mld",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        *more,
        "town.osrm",
    ]
    with _serving(served, folder, f"http://127.0.0.1:{port}", "/nearest/v1/driving/-2,51") as address:
        yield address


@contextmanager
def valhalla(folder: Path) -> Iterator[str]:
    """Yield the address of a Valhalla over the town."""
    home, port = programs() / "valhalla", new_port("roads", set())
    write_map(folder / "town.osm")
    options = ["--mjolnir-tile-dir", str(folder / "tiles"), "--httpd-service-listen", f"tcp://127.0.0.1:{port}"]
    config = subprocess.run(
        [sys.executable, home / "valhalla_build_config.py", *options], check=True, capture_output=True
    )
    (folder / "valhalla.json").write_bytes(config.stdout)
    subprocess.run(
        [home / "bin" / "valhalla_build_tiles", "-c", "valhalla.json", "town.osm"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    served = [home / "bin" / "valhalla_service", "valhalla.json", "1"]
    with _serving(served, folder, f"http://127.0.0.1:{port}", "/status") as address:
        yield address


@contextmanager
def _serving(command: list[str | Path], folder: Path, address: str, ready: str) -> Iterator[str]:
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, timeout=WAIT_S) as client:
            client.get(address + ready).raise_for_status()
        yield address
    finally:
        process.terminate()
        process.wait()
